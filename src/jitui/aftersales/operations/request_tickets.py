"""What becomes of a ticket when its request at a platform is new, has changed, or was decided there.

Nothing here approves on what is unknown: an order that cannot be taken in whole, another amount or a state that is not
known leave the request to the shop.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from jitui.aftersales.changes import AddTimeline
from jitui.aftersales.commands.end_ticket import Ending, end_ticket
from jitui.aftersales.commands.execute import Executed, Plan
from jitui.aftersales.commands.failed_refund import may_still_be_paid
from jitui.aftersales.commands.on_ticket import Acting, Done, in_review, on_ticket
from jitui.aftersales.commands.request_refund import DecisionSettings, RefundRequest, request_refund
from jitui.aftersales.commands.review import plan_approval
from jitui.aftersales.commands.settle_refund import ManualPaymentRules, retry
from jitui.aftersales.commands.ship import goods_with_carrier
from jitui.aftersales.model.platform_request import PlatformRequestRef, request_of
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import OPEN_STATES, Actor, ActorKind, ApprovedBy, Ticket, TicketState
from jitui.aftersales.operations.platform_sync import take_order
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.platform import CallFailed, CallRefused, UnreadableOrder
from jitui.aftersales.platform_requests import PlatformRequest, RequestSource, RequestState, UnreadableRequest
from jitui.aftersales.ports import RefundRef, Store, TicketRef, read_order_by_id
from jitui.errors import Unavailable

REJECTED_HERE = "rejected"
TOLD_THERE, NOT_TAKEN_THERE = "told_platform", "platform_refused_answer"

_ENDINGS = {
    RequestState.REFUSED: (TicketState.REJECTED, "refused_at_platform", ActorKind.MERCHANT),
    RequestState.DISPUTED: (TicketState.REJECTED, "disputed_at_platform", ActorKind.BUYER),
    RequestState.CLOSED: (TicketState.WITHDRAWN, "withdrawn_at_platform", ActorKind.BUYER),
    RequestState.RETURNING: (TicketState.CLOSED, "returning_at_platform", ActorKind.PLATFORM),
}


@dataclass(frozen=True, slots=True)
class Taking:
    """What came of a request: whether anything changed here, or why it is left to the shop. `again`: try it later."""

    changed: bool = False
    why: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class _Case:
    """A request as it was just read, and its newest ticket on the order."""

    store: Store
    source: RequestSource
    deciding: DecisionSettings
    request: PlatformRequest
    snapshot: OrderSnapshot
    ticket: Ticket
    asked: PlatformRequestRef
    now: datetime

    @property
    def ref(self) -> TicketRef:
        return TicketRef(self.ticket.lane, self.ticket.ticket_id)

    def acting(self, kind: ActorKind) -> Acting:
        """As somebody at the platform; only on the ticket as it was read."""
        name = self.ticket.buyer_id if kind is ActorKind.BUYER else self.source.name
        return Acting(Actor(kind, name), self.now, self.ticket.version)

    @property
    def differs(self) -> bool:
        """Whether the request is no longer the one that the ticket was made for."""
        asked = (self.asked.version, self.asked.amount_minor)
        return (self.request.version, self.request.amount_minor) != asked or not self.request.refund_only


def ticket_for(snapshot: OrderSnapshot, platform: str, request_id: str) -> Ticket | None:
    """The newest ticket of a request."""
    for ticket in reversed(snapshot.tickets):
        asked = request_of(snapshot, ticket.ticket_id)
        if asked is not None and (asked.platform, asked.request_id) == (platform, request_id):
            return ticket
    return None


async def follow_request(
    store: Store, source: RequestSource, deciding: DecisionSettings, shop_id: str, request_id: str, now: datetime
) -> Taking:
    """Read a request, and the order where something is to be decided; then decide, or let the ticket follow."""
    request = await source.read_request(request_id)
    if isinstance(request, CallFailed):
        raise Unavailable(f"The request {request_id} at {source.name} cannot be read: {request.reason}.")
    if request is None or isinstance(request, UnreadableRequest):
        return Taking(why="The request is not there any more." if request is None else request.reason)
    if request.state is RequestState.WAITING:
        why = await _take_order(store, source, deciding, shop_id, request, now)
        if why:
            return Taking(why=why)
    snapshot = await read_order_by_id(store, request.order_id)
    if snapshot is None:
        return Taking()
    ticket = ticket_for(snapshot, source.name, request_id)
    if ticket is None:
        waits = request.state is RequestState.WAITING and request.refund_only
        return await _decide(store, source, deciding, snapshot, request, now) if waits else Taking()
    asked = request_of(snapshot, ticket.ticket_id)
    assert asked is not None
    return await _follow(_Case(store, source, deciding, request, snapshot, ticket, asked, now))


async def _take_order(
    store: Store,
    source: RequestSource,
    deciding: DecisionSettings,
    shop_id: str,
    request: PlatformRequest,
    now: datetime,
) -> str:
    """Record the request's order as it is there; why it could not be, in whole."""
    order = await source.find_order(request.order_id)
    if isinstance(order, CallFailed):
        raise Unavailable(f"The order {request.order_id} at {source.name} cannot be read: {order.reason}.")
    if order is None or isinstance(order, UnreadableOrder):
        return "The request's order is not there any more." if order is None else order.reason
    return " ".join(await take_order(store, deciding, source.name, shop_id, order, now=now))


async def _decide(
    store: Store,
    source: RequestSource,
    deciding: DecisionSettings,
    snapshot: OrderSnapshot,
    request: PlatformRequest,
    now: datetime,
) -> Taking:
    """Decide as for a buyer who asks here: the policy, its stop reasons, and a ticket that says why."""
    asked = RefundRequest(
        snapshot.order.buyer_id, request.order_id, reason=request.reason, there=request.ref(source.name)
    )
    done = await request_refund(store, deciding, asked, now=now)
    if isinstance(done, Refusal):
        return Taking(why=done.message, again=done.code is RefusalCode.TOO_MANY_REQUESTS)
    return Taking(changed=True)


# What happened there ------------------------------------------------------------------------------------------------


async def _follow(case: _Case) -> Taking:
    match case.request.state:
        case RequestState.WAITING:
            return await _waiting(case)
        case RequestState.APPROVED | RequestState.REFUNDED:
            return await _approved_there(case)
        case RequestState.UNKNOWN:
            return Taking(why=f"The request is in a state that is not known here: {case.request.said}")
        case RequestState.REFUSED | RequestState.DISPUTED | RequestState.CLOSED | RequestState.RETURNING as state:
            ticket_state, why, kind = _ENDINGS[state]
            return await _end(case, Ending(ticket_state, why, case.request.ref(case.source.name).detail), kind)
        case _:
            assert_never(case.request.state)


async def _waiting(case: _Case) -> Taking:
    ticket = case.ticket
    if case.differs:
        changed = Ending(TicketState.CLOSED, "changed_at_platform", case.request.ref(case.source.name).detail)
        ended = await _end(case, changed, ActorKind.PLATFORM)
        if ticket.state in OPEN_STATES and not ended.changed:
            return ended  # it is being carried out: that finds the change, and this is read again
        if not case.request.refund_only:
            return ended
        return await _decide(case.store, case.source, case.deciding, case.snapshot, case.request, case.now)
    if ticket.state is TicketState.REFUND_FAILED and goods_with_carrier(case.snapshot, ticket.ticket_id):
        return await _end(case, Ending(TicketState.CLOSED, "goods_left", {}), ActorKind.PLATFORM)
    if ticket.state is TicketState.REJECTED and _last_why(case) == REJECTED_HERE:
        return await _refuse_there(case)
    return Taking()


async def _end(case: _Case, ending: Ending, kind: ActorKind) -> Taking:
    """End the ticket, if it is open and its money does not move; otherwise nothing changes now."""
    if case.ticket.state not in OPEN_STATES:
        return Taking()
    return Taking(changed=isinstance(await end_ticket(case.store, case.ref, ending, case.acting(kind)), Executed))


async def _approved_there(case: _Case) -> Taking:
    """The shop or the platform approved: the ticket is approved too, and its refund is looked up by the queue."""
    same = case.request.amount_minor == case.ticket.amount_minor
    if case.ticket.state is TicketState.AWAITING_MERCHANT and same:
        done = await _approve_here(case)
        if isinstance(done, Executed):
            return Taking(changed=True)
    elif case.ticket.state is TicketState.REFUND_FAILED and same:
        return Taking(changed=await _look_again(case))
    if case.request.state is not RequestState.REFUNDED:
        return Taking()
    paid = Ending(
        TicketState.CLOSED, "refunded_at_platform", case.request.ref(case.source.name).detail, case.request.amount_minor
    )
    return await _end(case, paid, ActorKind.PLATFORM)


async def _approve_here(case: _Case) -> Done:
    """Approve as the shop did there, whoever has the ticket assigned here."""
    acting = case.acting(ActorKind.MERCHANT)

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        return plan_approval(snapshot, ticket, ApprovedBy.MERCHANT, acting.by, case.now)

    return await on_ticket(case.store, case.ref, acting, plan, in_review)


async def _look_again(case: _Case) -> bool:
    """Send the failed refunds again: that looks at the request first, which is approved by now."""
    rules, by, moved = (
        ManualPaymentRules(case.deciding.providers, {}),
        Actor(ActorKind.PLATFORM, case.source.name),
        False,
    )
    for refund in case.snapshot.refunds_of(case.ticket.ticket_id):
        if refund.state is RefundState.FAILED and not may_still_be_paid(case.snapshot, refund):
            ref = RefundRef(case.ticket.lane, refund.refund_id)
            moved |= isinstance(await retry(case.store, ref, rules, by=by, now=case.now), Executed)
    return moved


# What was decided here ----------------------------------------------------------------------------------------------


def _last_why(case: _Case) -> str:
    return case.snapshot.timeline_of(case.ticket.ticket_id)[-1].why


async def _refuse_there(case: _Case) -> Taking:
    """Tell the platform that the shop rejected the request here; once it was told, or does not take it, no more."""
    rejected = case.snapshot.timeline_of(case.ticket.ticket_id)[-1]
    done = await case.source.refuse(case.request, str(rejected.detail.get("reason", "")))
    if isinstance(done, CallFailed):
        return Taking(why=f"The platform was not told of the rejection: {done.reason}")
    if isinstance(done, CallRefused):
        await _note(case, NOT_TAKEN_THERE, {"said": done.reason})
        return Taking(why=f"The platform does not take the rejection, so it still waits there: {done.reason}")
    await _note(case, TOLD_THERE, {})
    return Taking(changed=True)


async def _note(case: _Case, why: str, detail: dict[str, object]) -> None:
    acting = case.acting(ActorKind.PLATFORM)

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan:
        event = transition(snapshot, ticket, ticket.state, by=acting.by, why=why, now=case.now, detail=detail)
        return Plan((AddTimeline((event,)),), ticket.ticket_id)

    await on_ticket(case.store, case.ref, acting, plan)
