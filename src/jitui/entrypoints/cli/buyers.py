"""`jitui restrict` and `jitui select`: what the platform decides about one buyer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.completing import LISTS
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.entrypoints.cli.remote import as_error
from jitui.entrypoints.cli.words import id_of

if TYPE_CHECKING:
    from datetime import datetime

    from jitui.aftersales.governance.registry import Restriction, Selection
    from jitui.bootstrap import Service
    from jitui.client import Client
    from jitui.client.api import RestrictionAnswer

BuyerId = Annotated[str, typer.Argument(metavar="BUYER", help="The platform's id of the buyer.", show_default=False)]
By = Annotated[str, typer.Option(help="Who does this, for the record.")]


def restrict(
    buyer: BuyerId,
    reason: Annotated[str, typer.Option(help="Why; the buyer reads it. With --lift: why it is lifted.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="For how long.")] = 90,
    no_end: Annotated[bool, typer.Option("--no-end", help="Until it is lifted.")] = False,
    starts: Annotated[str | None, typer.Option(metavar="TIME", help="From when on.", show_default="now")] = None,
    order: Annotated[list[str] | None, typer.Option(help="Evidence: an order; may be repeated.")] = None,
    event: Annotated[list[str] | None, typer.Option(help="Evidence: an event; may be repeated.")] = None,
    note: Annotated[str, typer.Option(help="Evidence in words; the buyer does not read it.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="Lift every standing restriction instead.")] = False,
    propose_lift: Annotated[
        bool, typer.Option("--propose-lift", help="Where two people approve: propose to lift them, with --reason.")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="Only show the buyer's restrictions.")] = False,
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """Withdraw the service from a buyer: requests go to the ordinary review until it ends or is lifted.

    Where two people approve, --lift is refused: --propose-lift proposes it, as the person of the token in
    --api-key-file, and another one runs `jitui policy approve`.
    """
    from jitui.entrypoints.cli.words import moment_of

    if propose_lift:
        _propose_lift(buyer, reason, as_json=as_json)
        return
    if not listing:
        _check(buyer, reason, lift=lift)
    sent = _Sent(buyer, reason, None if no_end else days, tuple(order or ()), tuple(event or ()), note, by)
    begins = None if starts is None else moment_of(starts, "--starts")
    lifted, rows = _changed(sent, begins, lift=lift, listing=listing)
    if as_json:
        print_json({"buyer_id": buyer, "restrictions": [_document(row) for row in rows]})
    else:
        _show(buyer, rows)
    if lift and not lifted:
        say(f"Buyer {buyer} had no standing restriction.")
        raise typer.Exit(FAILED)


def _changed(sent: _Sent, begins: datetime | None, *, lift: bool, listing: bool) -> tuple[int, Sequence[Restriction]]:
    """Restrict the buyer, or lift what stands, unless it is only listed; how many were lifted, and all there are."""
    from jitui.entrypoints.cli.remote import only_by_key
    from jitui.entrypoints.cli.running import on_service

    lifted = 0

    def remote(client: Client) -> Sequence[Restriction]:
        nonlocal lifted
        only_by_key(sent.by)
        if lift:
            lifted = _lift_remotely(client, sent.buyer, sent.reason)
        elif not listing:
            _restrict_remotely(client, sent, begins)
        return _restrictions(client, sent.buyer)

    async def work(service: Service) -> Sequence[Restriction]:
        nonlocal lifted
        if lift:
            lifted = await _lift(service, sent.buyer, sent.by, sent.reason)
        elif not listing:
            await service.registry.restrict(_restriction(sent, begins, service.clock()))
        return await service.registry.restrictions_of(sent.buyer)

    rows = on_service(work, remote)
    return lifted, rows


@dataclass(frozen=True, slots=True)
class _Sent:
    """A restriction as it was typed; `days` is None for one without an end."""

    buyer: str
    reason: str
    days: int | None
    orders: tuple[str, ...]
    events: tuple[str, ...]
    note: str
    by: str


def _restriction(sent: _Sent, begins: datetime | None, now: datetime) -> Restriction:
    from datetime import timedelta

    from jitui.aftersales.governance.registry import Evidence, Restriction
    from jitui.ids import lane_of, new_id

    starts_at = begins or now
    return Restriction(
        restriction_id=new_id(lane_of(sent.buyer)),
        buyer_id=sent.buyer,
        reason=sent.reason,
        starts_at=starts_at,
        ends_at=None if sent.days is None else starts_at + timedelta(days=sent.days),
        set_by=sent.by,
        set_at=now,
        evidence=Evidence(sent.orders, sent.events, sent.note),
    )


def _propose_lift(buyer: str, reason: str, *, as_json: bool) -> None:
    from jitui.entrypoints.cli.loosening import propose_restriction_lifts

    if not propose_restriction_lifts(buyer, reason, as_json=as_json):
        say(f"Buyer {buyer} had no standing restriction.")
        raise typer.Exit(FAILED)


async def _lift(service: Service, buyer: str, by: str, reason: str) -> int:
    """How many were lifted. Raises BadInput where a second person approves that."""
    from jitui.aftersales.governance.loosening import lift_restriction
    from jitui.aftersales.governance.publishing import NotAlone
    from jitui.entrypoints.cli.loosening import refuse_alone

    now, lifted = service.clock(), 0
    for row in await service.registry.restrictions_of(buyer):
        done = await lift_restriction(
            service.registry, service.policies, row.restriction_id, by=by, now=now, reason=reason
        )
        if isinstance(done, NotAlone):
            refuse_alone(done, "--lift", "--propose-lift")
        lifted += done is None
    return lifted


def _check(buyer: str, reason: str, *, lift: bool) -> None:
    from jitui.errors import BadInput

    if not lift:
        id_of(buyer, "buyer")
    if not reason.strip():
        what = (
            "Lifting needs a --reason: for the record."
            if lift
            else "A restriction needs a --reason: the buyer can read it."
        )
        raise BadInput(what, path="--reason")


def _restrict_remotely(client: Client, sent: _Sent, begins: datetime | None) -> None:
    from datetime import UTC, datetime, timedelta

    from jitui.client import api

    ends_at = None if sent.days is None else (begins or datetime.now(UTC)) + timedelta(days=sent.days)
    evidence = api.RestrictionEvidenceSent(order_ids=sent.orders, event_ids=sent.events, note=sent.note)
    body = api.RestrictionSent(
        buyer_id=sent.buyer, reason=sent.reason, starts_at=begins, ends_at=ends_at, evidence=evidence
    )
    client.send(api.restrict_buyer(body))


def _lift_remotely(client: Client, buyer: str, reason: str) -> int:
    """Lift each that stands; one that somebody else lifted meanwhile does not count."""
    from jitui.client import Problem, api

    standing = [row for row in _restrictions(client, buyer) if row.lifted_at is None]
    outcomes = [
        client.outcome(api.lift_restriction(row.restriction_id, api.LiftSent(reason=reason))) for row in standing
    ]
    for outcome in outcomes:
        if isinstance(outcome, Problem) and outcome.kind != "not-found":
            raise as_error(outcome)
    return sum(not isinstance(outcome, Problem) for outcome in outcomes)


def _restrictions(client: Client, buyer: str) -> Sequence[Restriction]:
    from jitui.client import api

    return [_answered(row) for row in client.send(api.list_restrictions(buyer_id=buyer)).restrictions]


def _answered(row: RestrictionAnswer) -> Restriction:
    from jitui.aftersales.governance.registry import Evidence, Restriction, Withdrawn
    from jitui.entrypoints.cli.remote import our_code, our_value

    return Restriction(
        restriction_id=row.restriction_id,
        buyer_id=row.buyer_id,
        reason=row.reason,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        set_by=row.set_by,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by,
        lift_reason=row.lift_reason,
        set_at=row.set_at,
        withdraw=our_code(Withdrawn, row.withdraw),
        evidence=Evidence() if row.evidence is None else our_value(Evidence, row.evidence),
        policy_id=row.rule.policy_id if row.rule else None,
        policy_version=row.rule.version if row.rule else None,
        rule_id=row.rule.rule_id if row.rule else None,
        facts=row.rule.facts if row.rule else None,
    )


def _document(row: Restriction) -> dict[str, object]:
    """As the API answers it, without the statement of reasons."""
    rule = {"policy_id": row.policy_id, "version": row.policy_version, "rule_id": row.rule_id, "facts": row.facts}
    return {
        "restriction_id": row.restriction_id,
        "buyer_id": row.buyer_id,
        "reason": row.reason,
        "withdraw": row.withdraw,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "set_by": row.set_by,
        "set_at": row.set_at or row.starts_at,
        "lifted_at": row.lifted_at,
        "lifted_by": row.lifted_by,
        "lift_reason": row.lift_reason,
        "evidence": row.evidence if row.rule_id is None else None,
        "rule": None if row.rule_id is None else rule,
    }


def _show(buyer: str, rows: Sequence[Restriction]) -> None:
    for row in rows:
        ends = f"until {row.ends_at.isoformat(timespec='seconds')}" if row.ends_at else "without an end"
        lifted = f", lifted {row.lifted_at.isoformat(timespec='seconds')}" if row.lifted_at else ""
        if lifted and row.lifted_by:
            lifted += f" by {row.lifted_by}" + (f" ({row.lift_reason})" if row.lift_reason else "")
        since = row.starts_at.isoformat(timespec="seconds")
        echo(f"{buyer}: restricted from {since} {ends}{lifted}, by {row.set_by}: {row.reason}")
        echo(f"  {row.restriction_id}")
        told = row.evidence
        for name, found in (("orders", told.order_ids), ("events", told.event_ids), ("note", (told.note,))):
            if any(found):
                echo(f"  {name}: {', '.join(found)}")
        for name, value in (row.facts or {}).items():
            echo(f"  {name} = {value}")
    if not rows:
        echo(f"{buyer} was never restricted.")


def select(
    buyer: BuyerId,
    verdict: Annotated[
        str,
        typer.Argument(
            metavar="allow|deny",
            help="Which list.",
            show_default=False,
            autocompletion=LISTS,
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    propose: Annotated[
        bool, typer.Option("--propose", help="Where two people approve: propose to allow, with --reason.")
    ] = False,
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """Put a buyer on the platform's allow or deny list; it goes before the hold-out.

    Where two people approve, `allow` is refused: --propose proposes it, as the person of the token in --api-key-file.
    """
    from jitui.entrypoints.cli.loosening import propose_allow
    from jitui.errors import BadInput

    if verdict not in ("allow", "deny"):
        raise BadInput(f"A buyer is put on the list 'allow' or 'deny', not {verdict!r}.", path="verdict")

    id_of(buyer, "buyer")
    if propose:
        propose_allow(buyer, verdict, reason, as_json=as_json)
        return
    row = _selected(buyer, verdict, reason, by)
    if as_json:
        print_json(row)
    else:
        echo(f"{buyer} is on the {verdict} list.")


def _selected(buyer: str, verdict: str, reason: str, by: str) -> Selection:
    """The entry of the list as it is kept. Raises BadInput where a second person approves it."""
    from dataclasses import replace

    from jitui.aftersales.governance.loosening import select_buyer
    from jitui.aftersales.governance.publishing import NotAlone
    from jitui.aftersales.governance.registry import Selection, new_selection
    from jitui.entrypoints.cli.loosening import refuse_alone
    from jitui.entrypoints.cli.remote import only_by_key
    from jitui.entrypoints.cli.running import on_service

    async def work(service: Service) -> Selection:
        row = new_selection(buyer, verdict, reason, by, service.clock())
        done = await select_buyer(service.registry, service.policies, row)
        if isinstance(done, NotAlone):
            refuse_alone(done, "allow", "--propose")
        return replace(row, selection_id=done)

    def remote(client: Client) -> Selection:
        from jitui.client import api

        only_by_key(by)
        sent = api.SelectionSent(verdict="allow" if verdict == "allow" else "deny", reason=reason)
        row = client.send(api.select_buyer(buyer, sent))
        return Selection(row.buyer_id, row.verdict, row.reason, row.set_by, row.set_at, row.selection_id)

    return on_service(work, remote)
