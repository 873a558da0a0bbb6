"""Applies a history's orders, payments, shipments, requests and decisions through the service's own functions.

Every step can be repeated: ids come from the invoices, and the result of a request, also a refusal, is stored under its
Idempotency-Key. So a run that was killed is finished by running it again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

import msgspec

from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute
from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.pay import pay_claimed
from jitui.aftersales.commands.request_refund import DecisionSettings, RefundRequest, request_refund
from jitui.aftersales.commands.review import approve, expire
from jitui.aftersales.commands.ship import ShipmentUpdate, complete_order, record_shipment
from jitui.aftersales.model.order import LineUnits, OrderLine, ShipmentSource, ShipmentStatus, Tender
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, ActorKind, Reason, TicketState
from jitui.aftersales.outcomes import IdempotencyKey, Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import NewOrder, OrderRef, TicketRef
from jitui.backtest.history import History, PastEvent, PastOrder, PastRequest
from jitui.bootstrap import Service
from jitui.demo.replay.assumptions import ReplayAssumptions
from jitui.demo.replay.books import ReplayBooks, ReplayPayment
from jitui.demo.replay.timeline import Rank, ReplayStep, Timeline
from jitui.errors import BadInput, InvariantBroken
from jitui.ids import lane_of, lane_of_id

PROVIDER = "simulator"
CARRIER = "assumed"
PAYMENTS_AT_ONCE = 2_000
LOOK_AGAIN = timedelta(hours=1)
"""How far time moves at the end, for refunds without a clear result; longer than any backoff."""


class StoredOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is stored under a request's Idempotency-Key: a ticket, or the code of a refusal."""

    ticket_id: UUID | None = None
    expires_at: datetime | None = None
    refused: RefusalCode | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the history, and its result."""

    cancellation_id: str
    delay_seconds: int
    before_dispatch: bool
    credited_minor: int
    answer: StoredOutcome
    is_new: bool


@dataclass(slots=True)
class Progress:
    """What this run has done so far; `day` is the current day of the replay."""

    orders: int = 0
    order_lines: int = 0
    paid_minor: int = 0
    new_orders: int = 0
    asked: list[Asked] = field(default_factory=list)
    not_approved: dict[str, int] = field(default_factory=dict)
    day: datetime | None = None


@dataclass(slots=True)
class Replay:
    """One run: the service, the assumptions, and the state.

    `repeating`: there was an earlier run, and every request so far had a stored response.
    """

    service: Service
    books: ReplayBooks
    decision_settings: DecisionSettings
    history: History
    assumptions: ReplayAssumptions
    completed: frozenset[str]
    repeating: bool
    progress: Progress
    unpaid: list[ReplayPayment] = field(default_factory=list)
    waiting: dict[str, OrderRef] = field(default_factory=dict)
    rolled_up_at: datetime | None = None
    timeline: Timeline = field(init=False)


async def drive(replay: Replay, events: Iterator[PastEvent], *, watch: Callable[[Progress], None]) -> None:
    """Replay the history and everything that follows from it, up to the last completed order."""
    replay.timeline = Timeline(_steps(replay, events))
    while segment := replay.timeline.next_segment():
        await _run_segment(replay, segment)
        replay.progress.day = segment[-1].at
        watch(replay.progress)
    await _record_payments(replay)
    if replay.progress.day is not None:
        await _pay(replay, replay.progress.day + LOOK_AGAIN)
        await replay.service.feed.roll_up(replay.progress.day)


async def _run_segment(replay: Replay, segment: Sequence[ReplayStep]) -> None:
    """Run the steps of different buyers concurrently, those of one buyer in order; a failure ends the run."""
    # the sort is stable: each buyer's steps keep their order
    by_buyer = sorted(segment, key=lambda step: step.buyer_id)
    at_once = asyncio.Semaphore(replay.service.settings.pool_size)

    async def in_order(steps: list[ReplayStep]) -> None:
        async with at_once:
            for step in steps:
                await step.run()

    async with asyncio.TaskGroup() as group:
        for _, steps in groupby(by_buyer, key=lambda step: step.buyer_id):
            group.create_task(in_order(list(steps)))


# From the history to steps -------------------------------------------------------------------------------------


def _steps(replay: Replay, events: Iterator[PastEvent]) -> Iterator[tuple[ReplayStep, ...]]:
    for event in events:
        match event:
            case PastOrder():
                if replay.progress.orders == replay.assumptions.limit_orders:
                    return
                yield from _order_steps(replay, event)
            case PastRequest():
                yield (_ask_step(replay, event),)
            case _:
                pass


def _ask_step(replay: Replay, asked: PastRequest) -> ReplayStep:
    return ReplayStep(asked.asked_at, Rank.ASK, asked.request_id, asked.buyer_id, lambda: _ask(replay, asked))


def _order_steps(replay: Replay, order: PastOrder) -> Iterator[tuple[ReplayStep, ...]]:
    """Placing and dispatch of an order; nothing when an earlier run has completed it."""
    replay.progress.orders += 1
    replay.progress.order_lines += len(order.lines)
    replay.progress.paid_minor += order.paid_minor
    replay.unpaid.append(ReplayPayment(_payment_id(order), order.order_id, order.paid_minor, replay.history.currency))
    if order.order_id in replay.completed:
        return
    ref = OrderRef(lane_of(order.buyer_id), order.order_id)
    dispatch_at = order.placed_at + replay.assumptions.dispatch_delay
    yield (
        ReplayStep(order.placed_at, Rank.ORDER, order.order_id, order.buyer_id, lambda: _place(replay, order)),
        ReplayStep(dispatch_at, Rank.SHIP, order.order_id, order.buyer_id, lambda: _ship(replay, ref, dispatch_at)),
    )


# Orders --------------------------------------------------------------------------------------------------------


async def _place(replay: Replay, order: PastOrder) -> None:
    store, at = replay.service.store, order.placed_at
    taken = await put_order(store, _new_order(replay, order), now=at)
    if isinstance(taken, Refusal):
        raise BadInput(f"Order {order.order_id} differs in the database: {taken.message}", path=order.order_id)
    replay.progress.new_orders += taken.created
    tender = Tender("t1", PROVIDER, _payment_id(order), replay.history.currency, order.paid_minor, at)
    _done(await capture_payment(store, taken.ref, tender, replay.decision_settings, now=at))


def _new_order(replay: Replay, order: PastOrder) -> NewOrder:
    lines = tuple(
        OrderLine(line.line_id, line.sku, line.sku, line.quantity, line.paid_minor, line.category, line.title)
        for line in order.lines
    )
    history = replay.history
    return NewOrder(order.order_id, order.buyer_id, history.shop_id, history.currency, order.placed_at, lines)


def _payment_id(order: PastOrder) -> str:
    return f"pay-{order.order_id}"


async def _ship(replay: Replay, ref: OrderRef, at: datetime) -> None:
    """Ship the units that are free; while a request is open, the parcel waits for its decision."""
    done = await _record_shipment(replay, ref, at, ())
    if isinstance(done, Refusal):
        snapshot = await replay.service.store.read_order(ref)
        assert snapshot is not None
        if _is_awaited(snapshot):
            replay.waiting[ref.order_id] = ref
            return
        free = tuple(LineUnits(line.line_id, line.free_quantity) for line in snapshot.lines if line.free_quantity)
        if not free:
            return  # everything was refunded, so nothing ships and nothing completes
        # An interrupted run may come here late: the parcel left at the last decision.
        decided = (ticket.approved_at or ticket.closed_at for ticket in snapshot.tickets)
        at = max([at, *(moment for moment in decided if moment is not None)])
        done = await _record_shipment(replay, ref, at, free)
    snapshot = _done(done).snapshot
    left_at = max((shipment.happened_at for shipment in snapshot.shipments), default=at)
    complete_at = left_at + replay.assumptions.complete_delay
    replay.timeline.add(
        ReplayStep(
            complete_at,
            Rank.COMPLETE,
            ref.order_id,
            snapshot.order.buyer_id,
            lambda: _complete(replay, ref, complete_at),
        )
    )


async def _record_shipment(
    replay: Replay, ref: OrderRef, at: datetime, lines: tuple[LineUnits, ...]
) -> Executed | Refusal | StoredResponse:
    update = ShipmentUpdate(
        ShipmentStatus.SHIPPED, CARRIER, f"parcel-{ref.order_id}", ShipmentSource.MERCHANT, happened_at=at, lines=lines
    )
    return await record_shipment(replay.service.store, ref, update, by=_merchant(replay), now=at)


def _is_awaited(snapshot: OrderSnapshot) -> bool:
    return any(ticket.state is TicketState.AWAITING_MERCHANT for ticket in snapshot.tickets)


async def _complete(replay: Replay, ref: OrderRef, at: datetime) -> None:
    _done(await complete_order(replay.service.store, ref, now=at, completed_at=at))


# Requests ------------------------------------------------------------------------------------------------------


async def _ask(replay: Replay, asked: PastRequest) -> None:
    """Make a request, store its result, and pay at once what was approved at once."""
    at = asked.asked_at
    answer = await _answer_kept(replay, asked) if replay.repeating else None
    is_new = False
    if answer is None:
        replay.repeating = False
        await _roll_up(replay, at)
        answer, is_new = await _answer(replay, asked)
    dispatch_at = asked.placed_at + replay.assumptions.dispatch_delay
    delay_seconds = int((at - asked.placed_at).total_seconds())
    replay.progress.asked.append(
        Asked(asked.cancellation_id, delay_seconds, at < dispatch_at, asked.credited_minor, answer, is_new)
    )
    if answer.ticket_id is None:
        return
    if answer.expires_at is None:
        await _pay(replay, at)
        return
    decide_at = min(at + replay.assumptions.merchant_delay, answer.expires_at)
    ref = TicketRef(lane_of_id(answer.ticket_id), answer.ticket_id)
    replay.timeline.add(
        ReplayStep(
            decide_at,
            Rank.DECIDE,
            asked.request_id,
            asked.buyer_id,
            lambda: _decide(replay, ref, asked.order_id, decide_at, by_silence=decide_at == answer.expires_at),
        )
    )


async def _roll_up(replay: Replay, at: datetime) -> None:
    """Roll up the usage of caps just before each request, so that it is exact; in the running service it may lag."""
    if replay.rolled_up_at != at:
        await replay.service.feed.roll_up(at)
        replay.rolled_up_at = at


async def _answer_kept(replay: Replay, asked: PastRequest) -> StoredOutcome | None:
    """The result that an earlier run stored; None when it did not get that far."""
    nothing = Refusal(RefusalCode.NOT_FOUND, "This request was not made yet.")
    ref = OrderRef(lane_of(asked.buyer_id), asked.order_id)
    reply = IdempotentReply(_idempotency_key(asked), lambda _: _stored(StoredOutcome(), asked.asked_at))
    done = await execute(replay.service.store, ref, lambda _, __: nothing, reply=reply)
    return msgspec.json.decode(done.body, type=StoredOutcome) if isinstance(done, StoredResponse) else None


async def _answer(replay: Replay, asked: PastRequest) -> tuple[StoredOutcome, bool]:
    """The ticket or the refusal, and whether it is new."""
    store, at, idempotency_key = replay.service.store, asked.asked_at, _idempotency_key(asked)

    def keep(done: Executed) -> StoredResponse:
        return _stored(_ticket(done), at)

    done = await request_refund(
        store, replay.decision_settings, _refund_ask(asked), now=at, reply=IdempotentReply(idempotency_key, keep)
    )
    if isinstance(done, StoredResponse):
        return msgspec.json.decode(done.body, type=StoredOutcome), False
    if isinstance(done, Executed):
        replay.rolled_up_at = None  # what was just approved counts for the next request, even in the same minute
        return _ticket(done), True
    if done.code in (RefusalCode.REQUEST_IN_FLIGHT, RefusalCode.IDEMPOTENCY_KEY_REUSED, RefusalCode.NOT_FOUND):
        raise InvariantBroken(f"Request {asked.request_id}: {done.message}")
    refused = StoredOutcome(refused=done.code)
    # A refusal writes nothing. It is stored here, because after a later shipment the result could be different.
    ref = OrderRef(lane_of(asked.buyer_id), asked.order_id)
    reply = IdempotentReply(idempotency_key, lambda _: _stored(refused, at))
    stored = await execute(store, ref, lambda _, __: Plan(), reply=reply)
    _done(stored)
    return refused, True


def _refund_ask(asked: PastRequest) -> RefundRequest:
    units = tuple(LineUnits(unit.line_id, unit.quantity) for unit in asked.units)
    return RefundRequest(asked.buyer_id, asked.order_id, Reason.OTHER, units)


def _idempotency_key(asked: PastRequest) -> IdempotencyKey:
    """The Idempotency-Key of a cancellation and an order; its hash covers everything that determines the request."""
    body = msgspec.json.encode((asked.asked_at, _refund_ask(asked)))
    return IdempotencyKey("replay", "requests", asked.request_id, hashlib.sha256(body).digest())


def _ticket(done: Executed) -> StoredOutcome:
    assert done.ticket_id is not None
    return StoredOutcome(done.ticket_id, done.ticket.expires_at)


def _stored(answer: StoredOutcome, at: datetime) -> StoredResponse:
    return StoredResponse(409 if answer.refused else 201, msgspec.json.encode(answer), at)


async def _decide(replay: Replay, ref: TicketRef, order_id: str, at: datetime, *, by_silence: bool) -> None:
    """Approve as the merchant or by the deadline; the parcel that waited then leaves with the rest."""
    store = replay.service.store
    if by_silence:
        done = await expire(store, ref, now=at)
    else:
        done = await approve(store, ref, Acting(_merchant(replay), at))
    decided = (RefusalCode.TICKET_ALREADY_APPROVED, RefusalCode.TICKET_ALREADY_CLOSED)
    if isinstance(done, Refusal) and done.code not in decided:
        count = replay.progress.not_approved
        count[done.code] = count.get(done.code, 0) + 1
    await _pay(replay, at)
    waiting = replay.waiting.pop(order_id, None)
    if waiting is not None:
        await _ship(replay, waiting, at)


async def _pay(replay: Replay, at: datetime) -> None:
    """Pay everything that is due; leases end at once, so that a repeated run finds its refunds at the same time."""
    await _record_payments(replay)
    service = replay.service
    while claimed := await service.store.claim_refunds(now=at, lease_until=at, limit=service.settings.worker_batch):
        for claim in claimed:
            await pay_claimed(service.store, service.providers, claim, clock=lambda: at)


async def _record_payments(replay: Replay) -> None:
    """Record buyers' payments in the provider's books, before anything is refunded."""
    for start in range(0, len(replay.unpaid), PAYMENTS_AT_ONCE):
        await replay.books.record(replay.unpaid[start : start + PAYMENTS_AT_ONCE])
    replay.unpaid.clear()


def _merchant(replay: Replay) -> Actor:
    return Actor(ActorKind.MERCHANT, replay.history.shop_id)


def _done(outcome: Executed | Refusal | StoredResponse) -> Executed:
    """The result of a command that cannot be refused in a replay; raises when it was refused."""
    if isinstance(outcome, Executed):
        return outcome
    what = outcome.message if isinstance(outcome, Refusal) else "an answer was kept that nobody gave"
    raise InvariantBroken(f"The replay came to a step that was refused: {what}")
