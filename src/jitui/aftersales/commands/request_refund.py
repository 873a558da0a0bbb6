"""A buyer asks for a refund before shipment: price the units, decide, open a ticket, queue refunds (R3, R4, R5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
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
    RecordDecision,
)
from jitui.aftersales.commands.allocation import net_paid, refundable_minor, units_due_minor
from jitui.aftersales.commands.approval import approve_ticket
from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute, not_found
from jitui.aftersales.commands.facts import USAGE_MAX_AGE, arm_of, decision_query, gather_facts, history_read, is_paused
from jitui.aftersales.commands.restriction_rules import RuledDecision, decide_under_rules
from jitui.aftersales.model.order import FulfillmentStatus, LineUnits, OrderLine
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import (
    SYSTEM,
    Actor,
    ActorKind,
    ApprovedBy,
    Reason,
    Ticket,
    TicketEvent,
    TicketLine,
    TicketState,
)
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import DecisionInputs, OrderRef, Store
from jitui.ids import lane_of, new_id
from jitui.money import split_by_weight
from jitui.policy import Decision, FactValue, Outcome, Policy, decision_to_json

BETWEEN_REQUESTS = timedelta(minutes=1)
REQUESTS_PER_LINE = 5
"""The most requests per line; besides, an order has at most one request a minute (WeChat shop)."""


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """A buyer's request: the order, the units (none: all that can be refunded) and the reason; no amount (T30)."""

    buyer_id: str
    order_id: str
    reason: Reason = Reason.OTHER
    lines: tuple[LineUnits, ...] = ()


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """How requests are decided: the policy, the time zone of calendar days, and whether the time to answer has passed.

    `providers`: those through which it can refund; money through any other one is not recorded. Usage of the shops'
    and the platform's caps that is older than `usage_max_age` is unknown.
    """

    policy: Policy
    time_zone: ZoneInfo
    providers: frozenset[str]
    deadline_passed: Callable[[], bool] = lambda: False
    usage_max_age: timedelta = USAGE_MAX_AGE


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
    query = decision_query(decision_settings.policy, now, decision_settings.time_zone)
    return await execute(store, ref, plan, query=query, reply=reply)


async def check_eligibility(
    store: Store, decision_settings: DecisionSettings, request: RefundRequest, *, now: datetime
) -> Eligibility | Refusal:
    """What a request would be decided now, and why; nothing is written or locked."""
    query = decision_query(decision_settings.policy, now, decision_settings.time_zone)
    read = await store.read_inputs(OrderRef(lane_of(request.buyer_id), request.order_id), query)
    if read is None:
        return not_found()
    snapshot, inputs = read
    requested = _requested_lines(snapshot, request, now)
    if isinstance(requested, Refusal):
        return requested
    decision = _decide(snapshot, inputs, decision_settings, requested, now).decision
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
    requested = _requested_lines(snapshot, request, now)
    if isinstance(requested, Refusal):
        return requested
    ruled = _decide(snapshot, inputs, decision_settings, requested, now)
    guard = guard_of(snapshot, inputs, decision_settings)
    instant = ruled.decision.outcome is Outcome.INSTANT and guard is None
    ticket = _new_ticket(
        snapshot, decision_settings, inputs, request, requested, now, instant=instant, review_reason=guard
    )
    lines = tuple(
        TicketLine(ticket.ticket_id, line.line_id, line.quantity, line.amount_minor) for line in requested.lines
    )
    opening = OpenTicket(ticket, lines)
    begun: tuple[Change, ...] = (
        *(ClaimUnits(line.line_id, line.quantity, line.amount_minor) for line in lines),
        *((ClaimFreight(requested.freight_minor),) if requested.freight_minor else ()),
        AddTimeline((_requested_event(ticket, by, request, now),)),
    )
    read_from = history_read(decision_settings.policy, snapshot, inputs)
    approved: tuple[Change, ...] = ()
    if instant:
        opening, approved = _approved_at_once(apply_all(snapshot, (opening, *begun)), ticket, now)
    ticket = opening.ticket
    changes: tuple[Change, ...] = (
        opening,
        *begun,
        record_decision(ticket.ticket_id, ruled.decision, ruled.facts, read_from, now),
        *ruled.restrictions,
        _history_event(ticket, now),
        Announce(OutgoingEventKind.TICKET_REQUESTED, now, ticket.shop_id, requested_body(ticket), ticket.ticket_id),
        *approved,
    )
    return Plan(changes, ticket.ticket_id)


def _approved_at_once(begun: OrderSnapshot, ticket: Ticket, now: datetime) -> tuple[OpenTicket, tuple[Change, ...]]:
    """Approve a ticket in the plan that opens it, so that its row is written once, in its final state."""
    approved = approve_ticket(begun, ticket, approved_by=ApprovedBy.INSTANT_REFUND, by=SYSTEM, now=now)
    moves = [change for change in approved if isinstance(change, MoveTicket) and change.ticket_id == ticket.ticket_id]
    after = apply_all(begun, moves)
    opening = OpenTicket(after.ticket(ticket.ticket_id), after.lines_of(ticket.ticket_id))
    return opening, tuple(change for change in approved if change not in moves)


# What is asked -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _RequestedLine:
    line_id: str
    quantity: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class _RequestedLines:
    lines: tuple[_RequestedLine, ...]
    freight_minor: int

    @property
    def amount_minor(self) -> int:
        return sum(line.amount_minor for line in self.lines) + self.freight_minor

    @property
    def units(self) -> tuple[LineUnits, ...]:
        return tuple(LineUnits(line.line_id, line.quantity) for line in self.lines)


def _requested_lines(snapshot: OrderSnapshot, request: RefundRequest, now: datetime) -> _RequestedLines | Refusal:
    if snapshot.order.buyer_id != request.buyer_id:
        return not_found()
    if snapshot.order.paid_at is None:
        return Refusal(RefusalCode.ORDER_NOT_PAID, "Nothing has been paid on this order yet.")
    if snapshot.fulfillment in (FulfillmentStatus.SHIPPED, FulfillmentStatus.DELIVERED):
        return Refusal(
            RefusalCode.ORDER_ALREADY_SHIPPED, "All goods have left; ask for a refund after shipment instead."
        )
    units = _requested_units(snapshot, request)
    if isinstance(units, Refusal):
        return units
    limit = _request_limits(snapshot, units, now)
    if limit is not None:
        return limit
    return _price(snapshot, units)


def _requested_units(snapshot: OrderSnapshot, request: RefundRequest) -> tuple[LineUnits, ...] | Refusal:
    lines = {line.line_id: line for line in snapshot.lines}
    busy = {line.line_id for line in snapshot.ticket_lines if line.open}
    if not request.lines:
        return _everything_free(snapshot.lines, busy)
    for index, wanted in enumerate(request.lines):
        if any(earlier.line_id == wanted.line_id for earlier in request.lines[:index]):
            return Refusal(RefusalCode.UNKNOWN_LINE, "A line is named twice.", f"lines[{index}].line_id")
        refused = _check_units(lines.get(wanted.line_id), wanted, busy, path=f"lines[{index}]")
        if refused is not None:
            return refused
    return request.lines


def _everything_free(lines: Sequence[OrderLine], busy: set[str]) -> tuple[LineUnits, ...] | Refusal:
    free = tuple(
        LineUnits(line.line_id, line.free_quantity) for line in lines if line.free_quantity and line.line_id not in busy
    )
    if free:
        return free
    if busy:
        return _in_progress("")
    return Refusal(RefusalCode.NOTHING_TO_REFUND, "Everything on this order has been refunded or has left.")


def _check_units(line: OrderLine | None, wanted: LineUnits, busy: set[str], *, path: str) -> Refusal | None:
    if line is None:
        return Refusal(RefusalCode.UNKNOWN_LINE, f"The order has no line {wanted.line_id!r}.", f"{path}.line_id")
    if line.line_id in busy:
        return _in_progress(f"{path}.line_id")
    if not 1 <= wanted.quantity <= line.free_quantity:
        return Refusal(
            RefusalCode.UNITS_NOT_AVAILABLE,
            f"Of line {line.line_id!r}, {line.free_quantity} of {line.quantity} units can still be refunded.",
            f"{path}.quantity",
        )
    return None


def _in_progress(path: str) -> Refusal:
    return Refusal(RefusalCode.REFUND_IN_PROGRESS, "There is an open refund ticket on these goods already.", path)


def _request_limits(snapshot: OrderSnapshot, units: Sequence[LineUnits], now: datetime) -> Refusal | None:
    latest = max((ticket.requested_at for ticket in snapshot.tickets), default=None)
    if latest is not None and now < latest + BETWEEN_REQUESTS:
        wait_seconds = max(1, int((latest + BETWEEN_REQUESTS - now).total_seconds()))
        return Refusal(
            RefusalCode.TOO_MANY_REQUESTS,
            f"One refund request a minute per order; try again in {wait_seconds} s.",
            retry_after_seconds=wait_seconds,
        )
    for wanted in units:
        if (
            sum(line.line_id == wanted.line_id and line.quantity > 0 for line in snapshot.ticket_lines)
            >= REQUESTS_PER_LINE
        ):
            return Refusal(
                RefusalCode.LINE_REQUEST_LIMIT,
                f"Line {wanted.line_id!r} was asked for {REQUESTS_PER_LINE} times; ask the shop or support.",
            )
    return None


def _price(snapshot: OrderSnapshot, units: Sequence[LineUnits]) -> _RequestedLines | Refusal:
    """The share of each unit, with freight when these are the last and nothing has left; at most what was captured."""
    wanted = {unit.line_id: unit.quantity for unit in units}
    asked = [line for line in snapshot.lines if line.line_id in wanted]
    paid = net_paid(snapshot)
    due_minor = [units_due_minor(line, paid.lines[line.line_id], wanted[line.line_id]) for line in asked]
    due_minor.append(_freight_with(snapshot, wanted, paid.freight_minor, alone=not any(due_minor)))
    payable_minor = min(sum(due_minor), refundable_minor(snapshot.tenders))
    if payable_minor <= 0 and not snapshot.order.free_of_charge:
        return _nothing_due(snapshot)
    *line_amounts, freight_minor = split_by_weight(payable_minor, due_minor)
    lines = tuple(
        _RequestedLine(line.line_id, wanted[line.line_id], amount)
        for line, amount in zip(asked, line_amounts, strict=True)
    )
    return _RequestedLines(lines, freight_minor)


def _nothing_due(snapshot: OrderSnapshot) -> Refusal:
    if refundable_minor(snapshot.tenders):
        message = "These units alone bring nothing back; ask for them together with the rest of the order."
    else:
        message = "What was paid on this order has been refunded already."
    return Refusal(RefusalCode.NOTHING_TO_REFUND, message)


def _freight_with(snapshot: OrderSnapshot, wanted: dict[str, int], net_paid_minor: int, *, alone: bool) -> int:
    """The rest of the freight, for a request after which no unit is free.

    Freight alone waits until no ticket is in review.
    """
    last = all(line.claimed_quantity + wanted.get(line.line_id, 0) == line.quantity for line in snapshot.lines)
    shipped = any(line.left_quantity for line in snapshot.lines)
    waiting = alone and any(ticket.state is TicketState.AWAITING_MERCHANT for ticket in snapshot.tickets)
    return max(0, net_paid_minor - snapshot.order.freight_claimed_minor) if last and not shipped and not waiting else 0


# Deciding ------------------------------------------------------------------------------------------------------


def _decide(
    snapshot: OrderSnapshot,
    inputs: DecisionInputs,
    decision_settings: DecisionSettings,
    requested: _RequestedLines,
    now: datetime,
) -> RuledDecision:
    policy, time_zone = decision_settings.policy, decision_settings.time_zone
    facts = gather_facts(
        policy,
        snapshot,
        inputs,
        asked=requested.units,
        amount_minor=requested.amount_minor,
        now=now,
        time_zone=time_zone,
        usage_max_age=decision_settings.usage_max_age,
    )
    return decide_under_rules(policy, facts, inputs, snapshot.order.lane, now, time_zone)


def guard_of(snapshot: OrderSnapshot, inputs: DecisionInputs, decision_settings: DecisionSettings) -> str | None:
    """What prevents an instant approval whatever the policy says; it becomes the ticket's review reason."""
    if decision_settings.deadline_passed():
        return "deadline_passed"
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


# The new ticket ------------------------------------------------------------------------------------------------


def _new_ticket(
    snapshot: OrderSnapshot,
    decision_settings: DecisionSettings,
    inputs: DecisionInputs,
    request: RefundRequest,
    requested: _RequestedLines,
    now: datetime,
    *,
    instant: bool,
    review_reason: str | None,
) -> Ticket:
    order, review = snapshot.order, decision_settings.policy.review
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
        arm=arm_of(decision_settings.policy, order.buyer_id, inputs.selection),
        requested_at=now,
        notice=dict(decision_settings.policy.notice) if instant else None,
        review_reason=review_reason,
        on_timeout=review.on_timeout,
        expires_at=None if instant else now + timedelta(seconds=review.deadline_seconds),
    )


def _requested_event(ticket: Ticket, by: Actor, request: RefundRequest, now: datetime) -> TicketEvent:
    return TicketEvent(
        ticket_id=ticket.ticket_id,
        seq=1,
        at=now,
        actor_kind=by.kind,
        actor_id=by.id,
        from_state=None,
        to_state=TicketState.AWAITING_MERCHANT,
        why="requested",
        detail={"reason": request.reason.value, "amount_minor": ticket.amount_minor},
    )


def requested_body(ticket: Ticket) -> dict[str, object]:
    """The body of the feed event about a new ticket."""
    return {
        "state": ticket.state.value,
        "amount_minor": ticket.amount_minor,
        "currency": ticket.currency,
        "arm": ticket.arm.value,
    }


def record_decision(
    ticket_id: UUID, decision: Decision, facts: dict[str, FactValue], read_from: dict[str, object], now: datetime
) -> RecordDecision:
    """The decision as it is stored with its ticket."""
    return RecordDecision(
        ticket_id=ticket_id,
        policy_id=decision.policy_id,
        policy_version=decision.policy_version,
        policy_sha256=decision.policy_sha256,
        outcome=decision.outcome.value,
        decided_at=now,
        facts=facts,
        decision=decision_to_json(decision),
        read_from=read_from,
    )


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
