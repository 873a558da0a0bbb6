"""`jitui webhooks`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitui.entrypoints.cli.completing import DELIVERY_STATES, EVENT_KINDS
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.text import visible

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from jitui.aftersales.changes import OutgoingEventKind
    from jitui.aftersales.outcomes import Refusal
    from jitui.bootstrap import Service
    from jitui.client import Client
    from jitui.webhooks.endpoints import NewEndpoint
    from jitui.webhooks.model import Delivery, EndpointChange, WebhookEndpoint

webhooks = new_typer("Addresses that get events as they happen.")

Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's id.", show_default=False)]
By = Annotated[str, typer.Option(help="Who does this, for the record.")]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        help="A kind of event, such as stop_ship; again for more.",
        show_default=False,
        autocompletion=EVENT_KINDS,
    ),
]


@webhooks.command()
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="An https address of a public host.", show_default=False)],
    shop: Annotated[str, typer.Option(help="Of this shop; without: of the platform, with every shop's events.")] = "",
    kind: Kinds = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """Create an endpoint for what happens from now on, and show its secret, once. Without --kind it gets every kind."""
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.words import id_of

    kinds = _kinds(kind)
    if shop:
        id_of(shop, "--shop")

    async def work(service: Service) -> NewEndpoint | Refusal:
        from jitui.webhooks.endpoints import create_endpoint

        return await create_endpoint(
            service.webhook_keeping,
            shop_id=shop,
            url=url,
            description=description,
            kinds=kinds or (),
            by=by,
            now=service.clock(),
        )

    def remote(client: Client) -> NewEndpoint | Refusal:
        from jitui.entrypoints.cli import remote_webhooks

        return remote_webhooks.create(client, url=url, shop=shop, kinds=kinds or (), description=description, by=by)

    _show_secret(_settled(on_service(work, remote)), as_json=as_json)


@webhooks.command("list")
def list_endpoints(
    shop: Annotated[str | None, typer.Option(help="Of one shop.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Every endpoint, newest first: where it is, what it gets and how it fares."""
    from jitui.entrypoints.cli.running import on_service

    async def work(service: Service) -> Sequence[WebhookEndpoint]:
        found: list[WebhookEndpoint] = []
        after: tuple[datetime, UUID] | None = None
        while page := await service.webhooks.endpoints.list(shop_id=shop, after=after, limit=200):
            found += page
            after = (page[-1].created_at, page[-1].endpoint_id)
        return found

    def remote(client: Client) -> Sequence[WebhookEndpoint]:
        from jitui.entrypoints.cli import remote_webhooks

        return remote_webhooks.endpoints(client, shop)

    found = on_service(work, remote)
    if as_json:
        print_json({"endpoints": [_plain(one) for one in found]})
        return
    for one in found:
        _show(one)
    if not found:
        echo("There are no webhook endpoints.")


@webhooks.command()
def show(endpoint: Endpoint, as_json: Json = False) -> None:
    """One endpoint, and how it fares; never its secret."""
    _after(endpoint, None, None, as_json=as_json)


@webhooks.command()
def update(
    endpoint: Endpoint,
    url: Annotated[str | None, typer.Option(help="Its new address.", show_default=False)] = None,
    kind: Kinds = None,
    all_kinds: Annotated[bool, typer.Option("--all-kinds", help="Every kind from now on.")] = False,
    description: Annotated[str | None, typer.Option(help="What it is for.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Change an endpoint; what is not given stays as it was. What waits already goes to the new address."""
    from jitui.errors import BadInput

    kinds = _kinds(kind)
    if kinds is not None and all_kinds:
        raise BadInput("Give either --kind or --all-kinds.", path="--kind")

    def change() -> EndpointChange:
        from jitui.webhooks.model import EndpointChange

        return EndpointChange(url, description, () if all_kinds else kinds)

    async def work(service: Service, known: WebhookEndpoint) -> None:
        from jitui.webhooks.endpoints import change_endpoint

        _settled(await change_endpoint(service.webhook_keeping, known.endpoint_id, change()))

    def remote(client: Client, endpoint_id: UUID) -> None:
        from jitui.entrypoints.cli import remote_webhooks

        remote_webhooks.change(client, endpoint_id, change())

    _after(endpoint, work, remote, as_json=as_json)


@webhooks.command()
def pause(
    endpoint: Endpoint,
    reason: Annotated[str, typer.Option(help="Why, for everybody who asks.")] = "Paused by hand.",
    as_json: Json = False,
) -> None:
    """Send nothing to an endpoint for now; events wait for it. One that is paused keeps its reason."""

    async def work(service: Service, known: WebhookEndpoint) -> None:
        await service.webhooks.endpoints.pause(known.endpoint_id, reason.strip() or "Paused by hand.")

    def remote(client: Client, endpoint_id: UUID) -> None:
        from jitui.client import api

        client.send(api.pause_webhook_endpoint(endpoint_id, api.EndpointPauseSent(reason=reason)))

    _after(endpoint, work, remote, as_json=as_json)


@webhooks.command()
def resume(endpoint: Endpoint, as_json: Json = False) -> None:
    """Send to an endpoint again, what waited first."""

    async def work(service: Service, known: WebhookEndpoint) -> None:
        await service.webhooks.endpoints.resume(known.endpoint_id, service.clock())

    def remote(client: Client, endpoint_id: UUID) -> None:
        from jitui.client import api

        client.send(api.resume_webhook_endpoint(endpoint_id))

    _after(endpoint, work, remote, as_json=as_json)


@webhooks.command()
def delete(endpoint: Endpoint) -> None:
    """Delete an endpoint with all that waits for it."""
    from jitui.entrypoints.cli.running import on_service

    async def work(service: Service) -> None:
        known = await _known(service, endpoint)
        await service.webhooks.endpoints.delete(known.endpoint_id)

    def remote(client: Client) -> None:
        from jitui.client import api
        from jitui.entrypoints.cli import remote_webhooks

        client.send(api.delete_webhook_endpoint(remote_webhooks.known(client, _endpoint_id(endpoint)).endpoint_id))

    on_service(work, remote)
    say("Deleted. What is on its way may still arrive.")


@webhooks.command("rotate-secret")
def rotate(
    endpoint: Endpoint,
    overlap_hours: Annotated[int, typer.Option(min=0, max=168, help="For so long both secrets sign.")] = 24,
    as_json: Json = False,
) -> None:
    """Make a new secret and show it, once; the old one signs beside it for a while."""
    from datetime import timedelta

    from jitui.entrypoints.cli.running import on_service

    overlap = timedelta(hours=overlap_hours)

    async def work(service: Service) -> NewEndpoint | Refusal:
        from jitui.webhooks.endpoints import rotate_secret

        known = await _known(service, endpoint)
        return await rotate_secret(service.webhook_keeping, known.endpoint_id, overlap=overlap, now=service.clock())

    def remote(client: Client) -> NewEndpoint | Refusal:
        from jitui.entrypoints.cli import remote_webhooks

        known = remote_webhooks.known(client, _endpoint_id(endpoint))
        return remote_webhooks.rotate(client, known.endpoint_id, overlap)

    _show_secret(_settled(on_service(work, remote)), as_json=as_json)


@webhooks.command()
def deliveries(
    endpoint: Endpoint,
    state: Annotated[
        str | None,
        typer.Option(
            help="pending, delivered or dead.",
            show_default=False,
            autocompletion=DELIVERY_STATES,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest event first.")] = 50,
    as_json: Json = False,
) -> None:
    """What became of an endpoint's events, newest first."""
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.words import word_of
    from jitui.webhooks.model import DeliveryState

    wanted = word_of(state, tuple(DeliveryState), "--state") if state is not None else None

    async def work(service: Service) -> Sequence[Mapping[str, Any]]:
        known = await _known(service, endpoint)
        rows = await service.webhooks.endpoints.deliveries(known.endpoint_id, state=wanted, before=None, limit=limit)
        return [_told(one) for one in rows]

    def remote(client: Client) -> Sequence[Mapping[str, Any]]:
        from jitui.entrypoints.cli import remote_webhooks

        known = remote_webhooks.known(client, _endpoint_id(endpoint))
        rows = remote_webhooks.deliveries(client, known.endpoint_id, wanted, limit)
        return [{name: getattr(one, name) for name in _DELIVERY_FIELDS} for one in rows]

    found = on_service(work, remote)
    if as_json:
        print_json({"deliveries": found})
        return
    for one in found:
        tried = f"{one['tries']} attempts" if one["tries"] != 1 else "1 attempt"
        failed = f"; {visible(one['failure'])}" if one["failure"] else ""
        echo(f"{one['event_id']}  {one['kind']}  {one['state']}")
        happened = one["at"].isoformat(timespec="seconds")
        echo(f"  order {visible(one['order_id'])}, happened {happened}, {tried}{failed}")
    if not found:
        echo("There are no deliveries." if state is None else f"There are no {state} deliveries.")


@webhooks.command()
def redeliver(
    endpoint: Endpoint,
    event: Annotated[str | None, typer.Option(help="One event, by its id.", show_default=False)] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="The dead ones since then, with its zone.", show_default=False)
    ] = None,
    delivered: Annotated[bool, typer.Option("--delivered", help="With --since: those that were taken too.")] = False,
    as_json: Json = False,
) -> None:
    """Send events again: one, or all dead letters since a time. They have the same ids, and all their attempts anew."""
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.words import moment_of
    from jitui.errors import BadInput
    from jitui.webhooks.model import Redelivery

    if (event is None) == (since is None):
        raise BadInput("Give either --event or --since.", path="--event")
    wanted = Redelivery.of_event(event) if event is not None else None
    if since is not None:
        wanted = Redelivery(since=moment_of(since, "--since"), delivered=delivered)
    if wanted is None:
        raise BadInput(f"{event!r} is no event's id, such as evt_42_5b3c….", path="--event")
    chosen = wanted

    async def work(service: Service) -> int:
        known = await _known(service, endpoint)
        return await service.webhooks.endpoints.redeliver(known.endpoint_id, chosen, service.clock())

    def remote(client: Client) -> int:
        from jitui.entrypoints.cli import remote_webhooks

        known = remote_webhooks.known(client, _endpoint_id(endpoint))
        return remote_webhooks.redeliver(client, known.endpoint_id, event, chosen)

    count = on_service(work, remote)
    if count == 0 and event is not None:
        raise BadInput(f"The endpoint never had {event!r}, or it is not kept any more.", path="--event")
    if as_json:
        print_json({"redelivered": count})
    else:
        echo(f"Events that the worker sends again: {count}.")


def _after(
    endpoint: str,
    work: Callable[[Service, WebhookEndpoint], Awaitable[None]] | None,
    remotely: Callable[[Client, UUID], None] | None,
    *,
    as_json: bool,
) -> None:
    """Do something with an endpoint, and show how it stands after that."""
    from jitui.entrypoints.cli.running import on_service

    async def whole(service: Service) -> WebhookEndpoint:
        known = await _known(service, endpoint)
        if work is not None:
            await work(service, known)
        return await _known(service, endpoint)

    def remote(client: Client) -> WebhookEndpoint:
        from jitui.entrypoints.cli import remote_webhooks

        known = remote_webhooks.known(client, _endpoint_id(endpoint))
        if remotely is None:
            return known
        remotely(client, known.endpoint_id)
        return remote_webhooks.known(client, known.endpoint_id)

    stands = on_service(whole, remote)
    if as_json:
        print_json(_plain(stands))
    else:
        _show(stands)


def _endpoint_id(text: str) -> UUID:
    from uuid import UUID

    from jitui.errors import BadInput

    try:
        return UUID(text)
    except ValueError:
        raise BadInput(f"{text!r} is not an endpoint's id (a UUID).", path="endpoint") from None


async def _known(service: Service, text: str) -> WebhookEndpoint:
    from jitui.errors import BadInput

    endpoint_id = _endpoint_id(text)
    found = await service.webhooks.endpoints.get(endpoint_id)
    if found is None:
        raise BadInput(f"There is no webhook endpoint {endpoint_id} in this database.", path="endpoint")
    return found


def _kinds(given: Sequence[str] | None) -> tuple[OutgoingEventKind, ...] | None:
    from jitui.aftersales.changes import OutgoingEventKind
    from jitui.entrypoints.cli.words import word_of

    return tuple(sorted({word_of(one, tuple(OutgoingEventKind), "--kind") for one in given})) if given else None


def _settled(done: NewEndpoint | WebhookEndpoint | Refusal) -> NewEndpoint | WebhookEndpoint:
    from jitui.aftersales.outcomes import Refusal
    from jitui.errors import BadInput

    if isinstance(done, Refusal):
        raise BadInput(done.message, path=done.path)
    return done


def _show_secret(made: NewEndpoint | WebhookEndpoint, *, as_json: bool) -> None:
    from jitui.webhooks.endpoints import NewEndpoint

    assert isinstance(made, NewEndpoint)
    if as_json:
        print_json({"endpoint": _plain(made.endpoint), "secret": made.secret})
        return
    _show(made.endpoint)
    echo(made.secret)
    say("Keep the secret now: it is not shown again.")


def _show(endpoint: WebhookEndpoint) -> None:
    whose = f"shop {visible(endpoint.shop_id)}" if endpoint.shop_id else "platform"
    kinds = ", ".join(endpoint.kinds) or "every kind of event"
    echo(f"{endpoint.endpoint_id}  {endpoint.state}  {visible(endpoint.url)}")
    echo(f"  {whose}; {kinds}" + (f"; {visible(endpoint.description)}" if endpoint.description else ""))
    if endpoint.paused_because:
        echo(f"  paused: {visible(endpoint.paused_because)}")
    if endpoint.failing_since is not None:
        since = endpoint.failing_since.isoformat(timespec="seconds")
        echo(f"  has taken nothing since {since}: {visible(endpoint.last_failure)}")


def _plain(endpoint: WebhookEndpoint) -> dict[str, object]:
    return {**asdict(endpoint), "shop_id": endpoint.shop_id or None}


_OF_THE_EVENT = ("event_id", "kind", "at", "order_id")
_DELIVERY_FIELDS = (*_OF_THE_EVENT, "state", "tries", "queued_at", "tried_at", "closed_at", "status", "failure")


def _told(delivery: Delivery) -> dict[str, Any]:
    return {name: getattr(delivery.event if name in _OF_THE_EVENT else delivery, name) for name in _DELIVERY_FIELDS}
