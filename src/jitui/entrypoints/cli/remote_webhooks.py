"""Webhook endpoints of a service elsewhere, as `jitui webhooks` shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from jitui.aftersales.changes import OutgoingEventKind
from jitui.client import Client, api
from jitui.entrypoints.cli.remote import LARGEST_PAGE, found_or_none, only_by_key, our_code, up_to
from jitui.errors import BadInput
from jitui.webhooks.endpoints import NewEndpoint
from jitui.webhooks.model import DeliveryState, EndpointState, Redelivery, WebhookEndpoint

if TYPE_CHECKING:
    from jitui.webhooks.model import EndpointChange


def create(
    client: Client, *, url: str, shop: str, kinds: Sequence[OutgoingEventKind], description: str, by: str
) -> NewEndpoint:
    """A new endpoint with its secret."""
    only_by_key(by)
    sent = api.EndpointSent(url=url, kinds=_kinds(kinds), description=description, shop_id=shop or None)
    made = client.send(api.create_webhook_endpoint(sent))
    return NewEndpoint(_endpoint(made.endpoint), made.secret)


def endpoints(client: Client, shop: str | None) -> list[WebhookEndpoint]:
    """Every endpoint that the key may see, newest first."""
    rows = client.each(api.list_webhook_endpoints(shop_id=shop or None, limit=LARGEST_PAGE))
    found = [_endpoint(row) for row in rows]
    return found if shop != "" else [one for one in found if one.for_platform]


def known(client: Client, endpoint_id: UUID) -> WebhookEndpoint:
    """The endpoint. Raises BadInput where there is none that the key may see."""
    found = found_or_none(client, api.get_webhook_endpoint(endpoint_id))
    if found is None:
        raise BadInput(f"There is no webhook endpoint {endpoint_id} at this service.", path="endpoint")
    return _endpoint(found)


def change(client: Client, endpoint_id: UUID, wanted: EndpointChange) -> None:
    """Another address, kinds or description."""
    given: dict[str, object] = {}
    if wanted.url is not None:
        given["url"] = wanted.url
    if wanted.description is not None:
        given["description"] = wanted.description
    if wanted.kinds is not None:
        given["kinds"] = _kinds(wanted.kinds)
    client.send(api.put_webhook_endpoint(endpoint_id, api.EndpointChangeSent(**given)))  # type: ignore[arg-type]


def rotate(client: Client, endpoint_id: UUID, overlap: timedelta) -> NewEndpoint:
    """A new secret beside the old one."""
    sent = api.SecretRotationSent(overlap_hours=overlap // timedelta(hours=1))
    made = client.send(api.rotate_webhook_secret(endpoint_id, sent))
    return NewEndpoint(_endpoint(made.endpoint), made.secret)


def deliveries(
    client: Client, endpoint_id: UUID, state: DeliveryState | None, limit: int
) -> Sequence[api.DeliveryAnswer]:
    """What became of its events, newest first."""
    wanted = None if state is None else api.DeliveryState(state)
    call = api.list_webhook_deliveries(endpoint_id, state=wanted, limit=min(limit, LARGEST_PAGE))
    return up_to(client, call, limit)


def redeliver(client: Client, endpoint_id: UUID, event: str | None, chosen: Redelivery) -> int:
    """How many events are sent again."""
    sent = api.RedeliverySent(event_id=event, since=chosen.since, delivered=chosen.delivered)
    if event is not None:
        sent = api.RedeliverySent(event_id=event)
    found = found_or_none(client, api.redeliver_webhooks(endpoint_id, sent))
    return 0 if found is None else found.redelivered


def _kinds(kinds: Sequence[str]) -> list[api.OutgoingEventKind]:
    return [api.OutgoingEventKind(kind) for kind in kinds]


def _endpoint(row: api.EndpointAnswer) -> WebhookEndpoint:
    return WebhookEndpoint(
        endpoint_id=row.endpoint_id,
        shop_id=row.shop_id or "",
        url=row.url,
        description=row.description,
        kinds=row.kinds,
        state=our_code(EndpointState, row.state),
        created_at=row.created_at,
        created_by=row.created_by,
        paused_because=row.paused_because,
        failing_since=row.failing_since,
        last_success_at=row.last_success_at,
        last_failure_at=row.last_failure_at,
        last_failure=row.last_failure,
    )
