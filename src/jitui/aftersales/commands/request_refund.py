"""A buyer asks for a refund before shipment: price the units, decide, open a ticket, queue refunds (R3, R4, R5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import (
    AddTimeline,
    Announce,
    BuyerEventKind,
    Change,
    ClaimFreight,
    ClaimUnits,
    MoveTicket,
    OpenTicket,
    OutgoingEventKind,
    RecordBuyerEvent,
)
from jitui.aftersales.commands.approval import approve_ticket
from jitui.aftersales.commands.cap_usage import USAGE_MAX_AGE
from jitui.aftersales.commands.decision_record import record_decision
from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute, not_found
from jitui.aftersales.commands.facts import (
    arm_of,
    decision_query,
    facts_beside,
    gather_facts,
    history_read,
    inputs_beside,
    is_paused,
)
from jitui.aftersales.commands.platform_orders import (
    PlatformReading,
    asked_elsewhere,
    must_be_read,
    platform_unavailable,
)
from jitui.aftersales.commands.receipt import receipt_of
from jitui.aftersales.commands.requested_lines import RequestedLines, requested_lines
from jitui.aftersales.commands.restriction_rules import RESTRICTED, RuledDecision, decide_under_rules
from jitui.aftersales.commands.shadow import ShadowResult, shadow_result
from jitui.aftersales.commands.warehouse_question import ask_warehouse
from jitui.aftersales.commands.withdrawal import answer_by, decide_withdrawal, withdrawal_policy
from jitui.aftersales.deciding import BuyersPolicy, Deciding
from jitui.aftersales.model.order import FulfillmentStatus, LineUnits
from jitui.aftersales.model.platform_request import REQUESTED, PlatformRequestRef
from jitui.aftersales.model.review import next_reminder
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import (
    SYSTEM,
    Actor,
    ActorKind,
    ApprovedBy,
    Arm,
    Basis,
    Reason,
    Ticket,
    TicketEvent,
    TicketLine,
    TicketState,
)
from jitui.aftersales.outcomes import Refusal, StoredResponse
from jitui.aftersales.ports import DecisionInputs, DecisionQuery, OrderRef, Store
from jitui.ids import lane_of, new_id
from jitui.policy import (
    Decision,
    FactValue,
    Outcome,
    Policy,
    Verdict,
    decide,
    verdicts_beside,
    waits_for_warehouse,
)

PLATFORM_AMOUNT_DIFFERS = "platform_amount_differs"


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """A buyer's request: the order, the units (none: all that can be refunded) and the reason; no amount (T30).

    `basis`: whether the buyer asks for the platform's favour or withdraws from the contract by right. `there`: the
    request that a commerce platform owns; its deadline is the platform's, so silence here decides nothing.
    """

    buyer_id: str
    order_id: str
    reason: Reason = Reason.OTHER
    lines: tuple[LineUnits, ...] = ()
    basis: Basis = Basis.GOODWILL
    there: PlatformRequestRef | None = None


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """How requests are decided: the policies, the time zone of calendar days, and whether the time to answer is over.

    `providers`: those through which it can refund; money through any other one is not recorded. Usage of the shops'
    and the platform's caps that is older than `usage_max_age` is unknown. `platforms`: the connections to commerce
    platforms with their shops; `reading`: how the order was read there (`operations/read_first.py`).
    """

    deciding: Deciding
    time_zone: ZoneInfo
    providers: frozenset[str]
    deadline_passed: Callable[[], bool] = lambda: False
    usage_max_age: timedelta = USAGE_MAX_AGE
    platforms: Mapping[str, str] = field(default_factory=dict)
    reading: PlatformReading = PlatformReading.NOT_READ


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The result of a dry run: what would be decided now, and for which amount."""

    decision: Decision
    amount_minor: int
    currency: str
    review_reason: str | None


async def request_refund(
    store: Store,
    decision_settings: DecisionSettings,
    request: RefundRequest,
    *,
    now: datetime,
    by: Actor | None = None,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Open a ticket, decide on it, and queue its refunds, in one transaction of two round trips."""
    actor = by or Actor(ActorKind.BUYER, request.buyer_id)

    def plan(snapshot: OrderSnapshot, inputs: DecisionInputs) -> Plan | Refusal:
        return plan_request(snapshot, inputs, decision_settings, request, actor, now)

    ref = OrderRef(lane_of(request.buyer_id), request.order_id)
    query = _query_for(decision_settings.deciding.for_buyer(request.buyer_id), decision_settings, now)
    return await execute(store, ref, plan, query=query, reply=reply)


async def check_eligibility(
    store: Store, decision_settings: DecisionSettings, request: RefundRequest, *, now: datetime
) -> Eligibility | Refusal:
    """What a request would be decided now, on what is recorded, and why; nothing is written or locked."""
    policy = decision_settings.deciding.for_buyer(request.buyer_id).policy
    query = decision_query(policy, now, decision_settings.time_zone)
    read = await store.read_inputs(OrderRef(lane_of(request.buyer_id), request.order_id), query)
    if read is None:
        return not_found()
    snapshot, inputs = read
    requested = _requested(snapshot, decision_settings, request, now)
    if isinstance(requested, Refusal):
        return requested
    decision = _decide(policy, snapshot, inputs, decision_settings, requested, request.basis, now).decision
    guard = guard_of(snapshot, inputs, decision_settings)
    return Eligibility(decision, requested.amount_minor, snapshot.order.currency, guard)


def plan_request(
    snapshot: OrderSnapshot,
    inputs: DecisionInputs,
    decision_settings: DecisionSettings,
    request: RefundRequest,
    by: Actor,
    now: datetime,
) -> Plan | Refusal:
    """The whole command as a pure function of the snapshot, the inputs and the policy."""
    requested = _requested(snapshot, decision_settings, request, now)
    if isinstance(requested, Refusal):
        return requested
    decides = decision_settings.deciding.for_buyer(snapshot.order.buyer_id)
    ruled = _decide(decides.policy, snapshot, inputs, decision_settings, requested, request.basis, now)
    shadow = _shadow(_shadowed(decides, request.basis), ruled, snapshot, inputs, decision_settings, requested, now)
    guard = guard_of(snapshot, inputs, decision_settings) or _differs_there(request, requested)
    instant = ruled.decision.outcome is Outcome.INSTANT and guard is None
    ticket = _new_ticket(snapshot, decides, inputs, request, requested, now, instant=instant, review_reason=guard)
    lines = tuple(
        TicketLine(ticket.ticket_id, line.line_id, line.quantity, line.amount_minor) for line in requested.lines
    )
    opening = OpenTicket(ticket, lines)
    begun: tuple[Change, ...] = (
        *(ClaimUnits(line.line_id, line.quantity, line.amount_minor) for line in lines),
        *((ClaimFreight(requested.freight_minor),) if requested.freight_minor else ()),
        AddTimeline((_requested_event(ticket, by, request, now),)),
    )
    by_policy = decides.policy if request.basis is Basis.GOODWILL else withdrawal_policy()
    read_from = history_read(by_policy, snapshot, inputs)
    approved: tuple[Change, ...] = ()
    asked: tuple[Change, ...] = ()
    if instant:
        opening, approved = _approved_at_once(apply_all(snapshot, (opening, *begun)), ticket, now)
    elif guard is None and by_policy.stop_ship is not None and waits_for_warehouse(by_policy, ruled.decision):
        asked = ask_warehouse(apply_all(snapshot, (opening, *begun)), ticket, by_policy.stop_ship.minutes, now)
    ticket = opening.ticket
    receipt = receipt_of(snapshot, ticket, opening.lines, ruled.decision, decision_settings.time_zone)
    decided = record_decision(ticket.ticket_id, ruled.decision, ruled.facts, read_from, now, shadow=shadow)
    changes: tuple[Change, ...] = (
        opening,
        *begun,
        replace(decided, receipt=receipt),
        *ruled.restrictions,
        _history_event(ticket, now),
        Announce(OutgoingEventKind.TICKET_REQUESTED, now, ticket.shop_id, requested_body(ticket), ticket.ticket_id),
        *approved,
        *asked,
    )
    return Plan(changes, ticket.ticket_id)


def _requested(
    snapshot: OrderSnapshot, decision_settings: DecisionSettings, request: RefundRequest, now: datetime
) -> RequestedLines | Refusal:
    """What is asked for, of an order that is not asked back at its platform, nor has to be read there before."""
    requested = requested_lines(snapshot, request.buyer_id, request.lines, now, basis=request.basis)
    if must_be_read(snapshot, decision_settings.platforms, decision_settings.reading, requested):
        return platform_unavailable()
    if request.there is None and isinstance(requested, RequestedLines):
        return asked_elsewhere(snapshot) or requested
    return requested


def _approved_at_once(begun: OrderSnapshot, ticket: Ticket, now: datetime) -> tuple[OpenTicket, tuple[Change, ...]]:
    """Approve a ticket in the plan that opens it, so that its row is written once, in its final state."""
    by = ApprovedBy.WITHDRAWAL if ticket.basis is Basis.WITHDRAWAL else ApprovedBy.INSTANT_REFUND
    approved = approve_ticket(begun, ticket, approved_by=by, by=SYSTEM, now=now)
    moves = [change for change in approved if isinstance(change, MoveTicket) and change.ticket_id == ticket.ticket_id]
    after = apply_all(begun, moves)
    opening = OpenTicket(after.ticket(ticket.ticket_id), after.lines_of(ticket.ticket_id))
    return opening, tuple(change for change in approved if change not in moves)


# Deciding ------------------------------------------------------------------------------------------------------


def _query_for(decides: BuyersPolicy, decision_settings: DecisionSettings, now: datetime) -> DecisionQuery:
    return decision_query(decides.policy, now, decision_settings.time_zone, beside=decides.shadow)


def _shadow(
    decides: BuyersPolicy,
    ruled: RuledDecision,
    snapshot: OrderSnapshot,
    inputs: DecisionInputs,
    decision_settings: DecisionSettings,
    requested: RequestedLines,
    now: datetime,
) -> ShadowResult | None:
    """What the shadow decides on the same snapshot, of what the same statement read for it.

    Its restriction rules are not applied: whether the buyer is restricted is what the live policy's come to.
    """
    shadow = decides.shadow
    if shadow is None:
        return None

    def verdicts() -> dict[str, Verdict]:
        if shadow.currency != decides.policy.currency:
            own = inputs_beside(decides.policy, shadow, inputs, now, decision_settings.time_zone)
            own_facts = _facts(shadow, snapshot, own, decision_settings, requested, now)
            if RESTRICTED in ruled.facts:
                own_facts[RESTRICTED] = ruled.facts[RESTRICTED]
            return {one.id: one.verdict for one in decide(shadow, own_facts).conditions}
        found, changed = facts_beside(
            decides.policy,
            ruled.facts,
            shadow,
            snapshot,
            inputs,
            now=now,
            time_zone=decision_settings.time_zone,
            amount_minor=requested.amount_minor,
            line_amounts=requested.amounts,
            usage_max_age=decision_settings.usage_max_age,
        )
        return verdicts_beside(decides.policy, ruled.decision, shadow, found, changed)

    return shadow_result(shadow, ruled.decision, verdicts)


def _shadowed(decides: BuyersPolicy, basis: Basis) -> BuyersPolicy:
    """A policy in shadow decides nothing of what no policy decides."""
    return decides if basis is Basis.GOODWILL else replace(decides, shadow=None)


def _decide(
    policy: Policy,
    snapshot: OrderSnapshot,
    inputs: DecisionInputs,
    decision_settings: DecisionSettings,
    requested: RequestedLines,
    basis: Basis,
    now: datetime,
) -> RuledDecision:
    if basis is Basis.WITHDRAWAL:
        return decide_withdrawal(_facts(withdrawal_policy(), snapshot, inputs, decision_settings, requested, now))
    facts = _facts(policy, snapshot, inputs, decision_settings, requested, now)
    return decide_under_rules(policy, facts, inputs, snapshot.order.lane, now, decision_settings.time_zone)


def _facts(
    policy: Policy,
    snapshot: OrderSnapshot,
    inputs: DecisionInputs,
    decision_settings: DecisionSettings,
    requested: RequestedLines,
    now: datetime,
) -> dict[str, FactValue]:
    return gather_facts(
        policy,
        snapshot,
        inputs,
        asked=requested.units,
        amount_minor=requested.amount_minor,
        line_amounts=requested.amounts,
        now=now,
        time_zone=decision_settings.time_zone,
        usage_max_age=decision_settings.usage_max_age,
    )


def guard_of(snapshot: OrderSnapshot, inputs: DecisionInputs, decision_settings: DecisionSettings) -> str | None:
    """What prevents an instant approval whatever the policy says; it becomes the ticket's review reason."""
    if decision_settings.deadline_passed():
        return "deadline_passed"
    if decision_settings.reading is PlatformReading.DIFFERS:
        return "platform_differs"
    paused = is_paused(snapshot, inputs)
    if paused is not False:
        return "service_paused" if paused else "pause_unknown"
    if snapshot.is_disputed:
        return "dispute_open"
    if snapshot.fulfillment not in (
        FulfillmentStatus.UNSHIPPED,
        FulfillmentStatus.LABEL_PRINTED,
        FulfillmentStatus.PICKED_UP,
    ):
        return "partly_shipped"
    return None


def _differs_there(request: RefundRequest, requested: RequestedLines) -> str | None:
    """The platform pays what its request says: where that is another amount than ours, a person decides."""
    same = request.there is None or request.there.amount_minor == requested.amount_minor
    return None if same else PLATFORM_AMOUNT_DIFFERS


# The new ticket ------------------------------------------------------------------------------------------------


def _new_ticket(
    snapshot: OrderSnapshot,
    decides: BuyersPolicy,
    inputs: DecisionInputs,
    request: RefundRequest,
    requested: RequestedLines,
    now: datetime,
    *,
    instant: bool,
    review_reason: str | None,
) -> Ticket:
    order, review = snapshot.order, decides.policy.review
    by_right = request.basis is Basis.WITHDRAWAL
    notice = withdrawal_policy().notice if by_right else decides.policy.notice
    deadline = now + timedelta(seconds=review.deadline_seconds)
    no_deadline = instant or request.there is not None
    expires_at = None if no_deadline else answer_by(deadline, now) if by_right else deadline
    return Ticket(
        lane=order.lane,
        ticket_id=new_id(order.lane),
        order_id=order.order_id,
        buyer_id=order.buyer_id,
        shop_id=order.shop_id,
        state=TicketState.AWAITING_MERCHANT,
        version=1,
        reason=request.reason,
        currency=order.currency,
        amount_minor=requested.amount_minor,
        freight_minor=requested.freight_minor,
        arm=Arm.NONE if by_right else arm_of(decides, order.buyer_id, inputs.selection),
        requested_at=now,
        notice=dict(notice) if instant else None,
        review_reason=review_reason,
        on_timeout=withdrawal_policy().review.on_timeout if by_right else review.on_timeout,
        expires_at=expires_at,
        remind_at=None if expires_at is None else next_reminder(expires_at, now),
        basis=request.basis,
        advance_up_to_minor=None if by_right else _advance_up_to_minor(decides.policy, order.currency),
    )


def _advance_up_to_minor(policy: Policy, currency: str) -> int | None:
    """What the platform's account may pay for the shop; an amount in another currency says nothing."""
    if policy.advance is None or policy.currency != currency:
        return None
    return policy.advance.at_most_minor


def _requested_event(ticket: Ticket, by: Actor, request: RefundRequest, now: datetime) -> TicketEvent:
    return TicketEvent(
        ticket_id=ticket.ticket_id,
        seq=1,
        at=now,
        actor_kind=by.kind,
        actor_id=by.id,
        from_state=None,
        to_state=TicketState.AWAITING_MERCHANT,
        why=REQUESTED,
        detail={
            "reason": request.reason.value,
            "amount_minor": ticket.amount_minor,
            **({} if request.there is None else request.there.detail),
        },
    )


def requested_body(ticket: Ticket) -> dict[str, object]:
    """The body of the feed event about a new ticket."""
    return {
        "state": ticket.state.value,
        "amount_minor": ticket.amount_minor,
        "currency": ticket.currency,
        "arm": ticket.arm.value,
        "basis": ticket.basis.value,
    }


def _history_event(ticket: Ticket, now: datetime) -> RecordBuyerEvent:
    return RecordBuyerEvent(
        buyer_id=ticket.buyer_id,
        event_id=f"requested:{ticket.ticket_id}",
        kind=BuyerEventKind.REFUND_REQUESTED,
        at=now,
        recorded_at=now,
        order_id=ticket.order_id,
        amount_minor=ticket.amount_minor,
    )
