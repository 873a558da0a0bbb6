"""`jitui tickets`: list and read tickets, review them for a shop, and decide arbitrations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.completing import REJECTION_CODES, TICKET_STATES, one_of
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.list_options import say_late
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from jitui.aftersales.commands.arbitration import ArbitrationDecision
    from jitui.aftersales.commands.on_ticket import Acting, Done
    from jitui.aftersales.commands.review import Rejection
    from jitui.aftersales.model.ticket import Ticket, TicketState
    from jitui.aftersales.model.view import TicketView
    from jitui.aftersales.ports import Store, TicketRef
    from jitui.aftersales.queries import OpenArbitration
    from jitui.aftersales.ticket_list import ListedTickets
    from jitui.bootstrap import Service
    from jitui.client import Client

    Rows = list[dict[str, object]]

tickets = new_typer("Tickets: list, read, review for a shop; decide what buyers ask the platform to decide.")

TicketId = Annotated[str, typer.Argument(metavar="TICKET", help="The ticket's id.", show_default=False)]
TicketIds = Annotated[list[str], typer.Argument(metavar="TICKET", help="The tickets' ids.", show_default=False)]
By = Annotated[str, typer.Option(help="Who does this, for the platform; needed, except over HTTP.", show_default=False)]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")]


# Reading -----------------------------------------------------------------------------------------------------------


@tickets.command("list")
def list_tickets(
    state: Annotated[
        str | None, typer.Option(help="Only in this state.", show_default=False, autocompletion=TICKET_STATES)
    ] = None,
    shop: Annotated[str | None, typer.Option(help="Of one shop.", show_default=False)] = None,
    buyer: Annotated[str | None, typer.Option(help="Of one buyer.", show_default=False)] = None,
    order: Annotated[str | None, typer.Option(help="Of one order.", show_default=False)] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Tickets, newest first. Those that wait for a shop: --state awaiting_merchant."""
    from jitui.aftersales.model.ticket import TicketState
    from jitui.aftersales.ports import TicketFilter
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.words import word_of

    wanted = None if state is None else word_of(state, tuple(TicketState), "--state")
    asked = TicketFilter(shop_id=shop, buyer_id=buyer, order_id=order, state=wanted, limit=limit)

    async def work(service: Service) -> ListedTickets:
        return await service.queries.tickets(asked)

    def remote(client: Client) -> ListedTickets:
        from jitui.entrypoints.cli import remote_tickets

        return remote_tickets.tickets(client, asked)

    page = on_service(work, remote)
    say_late(page.lag_ms)
    found = page.tickets
    if as_json:
        print_json({"tickets": [_document(ticket) for ticket in found]})
        return
    for ticket in found:
        _line(
            ticket.ticket_id, ticket.state, ticket.order_id, ticket.amount_minor, ticket.currency, ticket.requested_at
        )
        if ticket.expires_at is not None:
            _deadline(ticket.expires_at)
    if not found:
        echo("There are no such tickets.")


@tickets.command("show")
def show_ticket(ticket: TicketId, as_json: Json = False) -> None:
    """One ticket: what was asked for, what its review has come to, its timeline."""
    from jitui.entrypoints.cli.running import on_service

    ref = _ref(ticket)

    def remote(client: Client) -> TicketView:
        from jitui.entrypoints.cli import remote_tickets

        return remote_tickets.view(client, ref.ticket_id)

    view = on_service(lambda service: _view(service, ref), remote)
    if as_json:
        print_json(view)
        return
    _show(view)


@tickets.command("arbitrations")
def list_arbitrations(
    shop: Annotated[str | None, typer.Option(help="Of one shop.", show_default=False)] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Open arbitrations, those first whose answer is due first."""
    from jitui.aftersales.queries import ArbitrationFilter
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.speaking import amount, moment

    wanted = ArbitrationFilter(shop_id=shop, limit=limit)

    def remote(client: Client) -> Sequence[OpenArbitration]:
        from jitui.entrypoints.cli import remote_tickets

        return remote_tickets.arbitrations(client, wanted)

    found = on_service(lambda service: service.queries.arbitrations(wanted), remote)
    if as_json:
        print_json({"arbitrations": found})
        return
    for row in found:
        echo(f"{row.ticket_id}  answer due by {moment(row.answer_by)}")
        echo(f"  order {row.order_id}, shop {row.shop_id}, {amount(row.amount_minor, row.currency)}")
        echo(f"  {row.reason}")
    if not found:
        echo("No arbitration is open.")


# Reviewing ---------------------------------------------------------------------------------------------------------


@tickets.command("approve")
def approve_tickets(ticket: TicketIds, by: By = "", as_json: Json = False) -> None:
    """Approve tickets for their shops; each is a transaction of its own."""
    from jitui.aftersales.commands.review import approve

    def remote(client: Client, ids: Sequence[UUID]) -> Rows:
        from jitui.entrypoints.cli import remote_tickets

        return remote_tickets.approve(client, ids)

    _each(ticket, by, approve, remote, as_json=as_json)


@tickets.command("reject")
def reject_tickets(
    ticket: TicketIds,
    code: Annotated[str, typer.Option(help="Why, as a word.", autocompletion=REJECTION_CODES, show_default=False)],
    reason: Annotated[str, typer.Option(help="Why, in words that the buyer reads.", show_default=False)],
    evidence: Annotated[list[str], typer.Option(help="What shows it; may be given again.", show_default=False)],
    by: By = "",
    as_json: Json = False,
) -> None:
    """Reject tickets for their shops, with a reason and evidence; each is a transaction of its own."""
    from jitui.aftersales.commands.review import Rejection, reject
    from jitui.aftersales.model.review import EvidenceItem, RejectionCode
    from jitui.entrypoints.cli.words import word_of

    items = tuple(EvidenceItem(piece) for piece in evidence)
    rejection: Rejection = Rejection(word_of(code, tuple(RejectionCode), "--code"), reason, items)

    def rejecting(store: Store, ref: TicketRef, acting: Acting) -> Awaitable[Done]:
        return reject(store, ref, rejection, acting)

    def remote(client: Client, ids: Sequence[UUID]) -> Rows:
        from jitui.entrypoints.cli import remote_tickets

        return remote_tickets.reject(client, ids, rejection)

    _each(ticket, by, rejecting, remote, as_json=as_json)


@tickets.command("assign")
def assign_tickets(
    ticket: TicketIds,
    by: By = "",
    take_over: Annotated[bool, typer.Option("--take-over", help="Also those on which somebody else works.")] = False,
    as_json: Json = False,
) -> None:
    """Work on tickets for half an hour: meanwhile nobody else decides them, unless they take them over."""
    from functools import partial

    from jitui.aftersales.commands.assignment import assign

    def remote(client: Client, ids: Sequence[UUID]) -> Rows:
        from jitui.entrypoints.cli import remote_tickets

        return remote_tickets.assign(client, ids, take_over=take_over)

    _each(ticket, by, partial(assign, take_over=take_over), remote, as_json=as_json)


@tickets.command("decide")
def decide_ticket(
    ticket: TicketId,
    verdict: Annotated[
        str,
        typer.Argument(
            metavar="approve|deny", help="Does the buyer get the money back?", autocompletion=one_of("approve", "deny")
        ),
    ],
    fault: Annotated[
        str,
        typer.Option(
            help="buyer, merchant, platform or nobody.",
            autocompletion=one_of("buyer", "merchant", "platform", "nobody"),
            show_default=False,
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why, in words that both read.", show_default=False)],
    borne_by: Annotated[
        str | None,
        typer.Option(
            help="merchant or platform; with approve.",
            autocompletion=one_of("merchant", "platform"),
            show_default=False,
        ),
    ] = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Decide an arbitration. Whoever rejected the request does not decide."""
    from jitui.aftersales.commands.arbitration import decide_arbitration

    decision = _decision(verdict, fault, borne_by, reason)

    def deciding(store: Store, ref: TicketRef, acting: Acting) -> Awaitable[Done]:
        return decide_arbitration(store, ref, decision, acting)

    def remote(client: Client, ids: Sequence[UUID]) -> Rows:
        from jitui.entrypoints.cli import remote_tickets

        return [remote_tickets.decide(client, ticket_id, decision) for ticket_id in ids]

    _each([ticket], by, deciding, remote, as_json=as_json)


def _decision(verdict: str, fault: str, borne_by: str | None, reason: str) -> ArbitrationDecision:
    from jitui.aftersales.commands.arbitration import ArbitrationDecision
    from jitui.aftersales.model.review import AtFault, RefundBorneBy
    from jitui.entrypoints.cli.words import word_of
    from jitui.errors import BadInput

    if verdict not in ("approve", "deny"):
        raise BadInput(f"An arbitration is decided by approve or deny, not {verdict!r}.", path="verdict")
    if (verdict == "approve") != (borne_by is not None):
        raise BadInput("--borne-by goes with approve, and only with it.", path="--borne-by")
    if not reason.strip():
        raise BadInput("Say why: both read it.", path="--reason")
    bears = None if borne_by is None else word_of(borne_by, tuple(RefundBorneBy), "--borne-by")
    return ArbitrationDecision(word_of(fault, tuple(AtFault), "--fault"), bears, reason.strip())


def _each(
    ids: Sequence[str],
    by: str,
    command: Callable[[Store, TicketRef, Acting], Awaitable[Done]],
    remote: Callable[[Client, Sequence[UUID]], Rows],
    *,
    as_json: bool,
) -> None:
    """Run a command on each ticket; those that were refused are named, and the exit code is 1."""
    from jitui.entrypoints.cli.remote import only_by_key, remote_url
    from jitui.entrypoints.cli.running import on_service
    from jitui.errors import BadInput

    if remote_url() is None and not by.strip():
        raise BadInput("Who does this? Give --by.", path="--by")
    refs = list(dict.fromkeys(_ref(one) for one in ids))

    async def work(service: Service) -> Rows:
        return [await _one(service, ref, by, command) for ref in refs]

    def elsewhere(client: Client) -> Rows:
        only_by_key(by)
        return remote(client, [ref.ticket_id for ref in refs])

    rows = on_service(work, elsewhere)
    if as_json:
        print_json({"tickets": rows})
    else:
        for row in rows:
            echo(f"{row['ticket_id']}  {row['state'] if row['done'] else row['detail']}")
    if not all(row["done"] for row in rows):
        raise typer.Exit(FAILED)


async def _one(
    service: Service, ref: TicketRef, by: str, command: Callable[[Store, TicketRef, Acting], Awaitable[Done]]
) -> dict[str, object]:
    from jitui.aftersales.commands.execute import Executed
    from jitui.aftersales.commands.on_ticket import Acting
    from jitui.aftersales.model.ticket import Actor, ActorKind
    from jitui.aftersales.outcomes import Refusal

    done = await command(service.store, ref, Acting(Actor(ActorKind.OPERATOR, by), service.clock()))
    if isinstance(done, Refusal):
        return {"ticket_id": str(ref.ticket_id), "done": False, "code": done.code.value, "detail": done.message}
    assert isinstance(done, Executed)
    return {"ticket_id": str(ref.ticket_id), "done": True, "state": done.snapshot.ticket(ref.ticket_id).state.value}


# Showing -----------------------------------------------------------------------------------------------------------

_SHOWN = (
    "ticket_id",
    "order_id",
    "buyer_id",
    "shop_id",
    "state",
    "version",
    "reason",
    "amount_minor",
    "currency",
    "approved_by",
    "notice",
    "requested_at",
    "expires_at",
    "approved_at",
    "closed_at",
)
"""What a list tells of a ticket, here and elsewhere; the rest is on the ticket itself."""


def _document(ticket: Ticket) -> dict[str, object]:
    return {name: getattr(ticket, name) for name in _SHOWN}


def _ref(text: str) -> TicketRef:
    from uuid import UUID

    from jitui.aftersales.ports import TicketRef
    from jitui.errors import BadInput
    from jitui.ids import lane_of_id

    try:
        ticket_id = UUID(text)
    except ValueError:
        raise BadInput(f"{text!r} is not an id (a UUID).", path="TICKET") from None
    return TicketRef(lane_of_id(ticket_id), ticket_id)


async def _view(service: Service, ref: TicketRef) -> TicketView:
    from jitui.aftersales.model.view import view_ticket
    from jitui.errors import BadInput

    snapshot = await service.store.read_order(ref)
    if snapshot is None:
        raise BadInput(f"There is no ticket {ref.ticket_id}.", path="TICKET")
    return view_ticket(snapshot, ref.ticket_id)


def _line(
    ticket_id: UUID, state: TicketState, order_id: str, amount_minor: int, currency: str, requested_at: datetime
) -> None:
    from jitui.entrypoints.cli.speaking import amount, moment, told, word

    asked, paid = moment(requested_at), amount(amount_minor, currency)
    echo(f"{ticket_id}  {word(state)}")
    echo("  " + told(f"{paid}, order {order_id}; asked {asked}", f"{paid}，订单 {order_id}；申请于 {asked}"))


def _deadline(expires_at: datetime) -> None:
    from jitui.entrypoints.cli.speaking import moment, told

    echo("  " + told(f"the shop decides by {moment(expires_at)}", f"商家须于 {moment(expires_at)} 前处理"))


def _show(view: TicketView) -> None:
    from jitui.entrypoints.cli.speaking import moment, word

    _line(view.ticket_id, view.state, view.order_id, view.amount.amount_minor, view.amount.currency, view.requested_at)
    if view.expires_at is not None:
        _deadline(view.expires_at)
    review = view.review
    if review is not None and review.assignment is not None:
        echo(f"{review.assignment.person} works on it until {moment(review.assignment.until)}")
    if review is not None and review.offer is not None:
        units = ", ".join(f"{unit.quantity} of {unit.line_id}" for unit in review.offer.lines)
        echo(f"the shop offers to refund {units}: {review.offer.reason}")
    if review is not None and review.rejection is not None:
        echo(f"rejected ({review.rejection.reason_code or 'no code'}): {review.rejection.reason}")
        for item in review.rejection.evidence:
            echo(f"  {item.text} {item.url}".rstrip())
    if review is not None and review.arbitration is not None:
        case = review.arbitration
        echo(f"arbitration {case.state}, answer by {moment(case.answer_by)}: {case.reason}")
        for item in case.evidence:
            echo(f"  {item.by}: {item.text} {item.url}".rstrip())
        if case.note:
            echo(f"  decided by {case.decided_by}; at fault {case.at_fault}; borne by {case.borne_by}: {case.note}")
    for event in view.timeline:
        echo(f"  {moment(event.at)}  {event.why}, {word(event.actor)} {event.actor_id}".rstrip())
