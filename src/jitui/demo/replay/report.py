"""The report of a replay, from the results of this run and the tickets in the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeVar
from uuid import UUID

from jitui.aftersales.model.ticket import ApprovedBy, Ticket, TicketState
from jitui.aftersales.ports import TicketFilter, TicketRef
from jitui.aftersales.ticket_list import place_of
from jitui.backtest.history import FileCounts, SetAside, Unmatched
from jitui.demo.replay.check import BooksCheck
from jitui.demo.replay.driver import Asked, Replay
from jitui.demo.replay.left_out import LeftOutRows, Units
from jitui.policy import Outcome, decision_from_json

_Value = TypeVar("_Value")

_PAGE = 500
_HOUR = 3600
DELAY_BOUNDS_HOURS = (1, 4, 12, 24, 48, 72, 168, 336, 720, 2160)
"""The upper bounds of the classes for delays from order to cancellation: one hour to ninety days."""


@dataclass(frozen=True, slots=True)
class FromFile:
    """What was read: the rows by their result, and the number of orders."""

    rows: int
    orders: int
    order_lines: int
    rows_set_aside: Mapping[str, int]
    first_broken_rows: Sequence[SetAside]


@dataclass(frozen=True, slots=True)
class Matching:
    """Cancelled goods that were matched to earlier orders, one request per cancellation and order; and the rest."""

    cancellations_matched: int
    requests: int
    credited_minor: int
    unmatched: Units
    unmatched_by_reason: Mapping[str, Units]
    first_unmatched: Sequence[Unmatched]


@dataclass(frozen=True, slots=True)
class Delays:
    """Delays from order to cancellation: requests per class (`under_24h` starts at 12 hours), and quantiles."""

    requests: Mapping[str, int]
    hours_p10: float | None
    hours_median: float | None
    hours_p90: float | None


@dataclass(frozen=True, slots=True)
class Decided:
    """Requests of one kind: `requests = instant + reviewed + refused`."""

    requests: int
    instant: int
    reviewed: int
    refused: int
    refused_by_code: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Stopped:
    """How often a condition sent a request to review: at all, alone, and as the first that did not hold."""

    requests: int
    alone: int
    first: int
    unknown: int


@dataclass(frozen=True, slots=True)
class ReplayAmounts:
    """Amounts in minor units of one currency; `asked` is the sum of the tickets' amounts."""

    currency: str
    paid_minor: int
    asked_minor: int
    instant_minor: int
    reviewed_minor: int
    refunded_minor: int


@dataclass(frozen=True, slots=True)
class New:
    """What this run has added; a repeated run adds nothing."""

    orders: int
    tickets: int
    answers: int


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """The complete result; everything but `new` is equal however often a replay is run."""

    assumed: Mapping[str, object]
    file: FromFile
    matching: Matching
    cancel_delays: Delays
    requests: int
    decided: int
    instant: int
    reviewed: int
    refused: int
    refunded: int
    before_dispatch: Decided
    after_dispatch: Decided
    reviewed_by_condition: Mapping[str, Stopped]
    reviewed_by_guard: Mapping[str, int]
    approved_by: Mapping[str, int]
    tickets_by_state: Mapping[str, int]
    amounts: ReplayAmounts
    new: New
    check: BooksCheck


async def make_report(run: Replay, left_out: LeftOutRows, counts: FileCounts, check: BooksCheck) -> ReplayReport:
    """Compute the report; it reads every ticket, and the decisions of those that went to review."""
    tickets = {ticket.ticket_id: ticket async for ticket in _tickets(run)}
    instant = {ticket_id for ticket_id, ticket in tickets.items() if ticket.approved_by is ApprovedBy.INSTANT_REFUND}
    asked = run.progress.asked
    reviewed = [ticket for ticket_id, ticket in tickets.items() if ticket_id not in instant]
    return ReplayReport(
        assumed=_assumed(run),
        file=FromFile(
            rows=counts.rows,
            orders=run.progress.orders,
            order_lines=run.progress.order_lines,
            rows_set_aside=_sorted(left_out.rows_by_reason),
            first_broken_rows=left_out.first_broken,
        ),
        matching=_matching(run, left_out),
        cancel_delays=_delays([one.delay_seconds for one in asked]),
        requests=len(asked),
        decided=len(tickets),
        instant=len(instant),
        reviewed=len(reviewed),
        refused=sum(one.answer.refused is not None for one in asked),
        refunded=sum(ticket.state is TicketState.REFUNDED for ticket in tickets.values()),
        before_dispatch=_decided([one for one in asked if one.before_dispatch], instant),
        after_dispatch=_decided([one for one in asked if not one.before_dispatch], instant),
        reviewed_by_condition=await _stopped(run, reviewed),
        reviewed_by_guard=_sorted(Counter(ticket.review_reason for ticket in reviewed if ticket.review_reason)),
        approved_by=_sorted(Counter(str(ticket.approved_by or "nobody") for ticket in tickets.values())),
        tickets_by_state=_sorted(Counter(ticket.state.value for ticket in tickets.values())),
        amounts=_amounts(run, tickets.values(), instant),
        new=New(
            orders=run.progress.new_orders,
            tickets=sum(one.is_new and one.answer.ticket_id is not None for one in asked),
            answers=sum(one.is_new for one in asked),
        ),
        check=check,
    )


async def _tickets(run: Replay) -> AsyncIterator[Ticket]:
    await run.service.ticket_list.fill()
    wanted = TicketFilter(shop_id=run.history.shop_id, limit=_PAGE)
    while page := (await run.service.queries.tickets(wanted)).tickets:
        for ticket in page:
            yield ticket
        wanted = replace(wanted, after=place_of(page[-1], wanted.sort))


def _assumed(run: Replay) -> dict[str, object]:
    return {
        **{name: value for name, value in asdict(run.assumptions).items() if value is not None},
        "policy_id": run.decision_settings.deciding.live.id,
        "policy_version": run.decision_settings.deciding.live.version,
        "time_zone": run.history.time_zone.key,
        "paid_in_full_when_placed": True,
        "merchant_approves_reviewed_requests": True,
        "provider_answers_at_once": True,
    }


def _matching(run: Replay, left_out: LeftOutRows) -> Matching:
    every = Units()
    for units in left_out.unmatched_by_reason.values():
        every.rows += units.rows
        every.units += units.units
        every.credited_minor += units.credited_minor
    asked = run.progress.asked
    return Matching(
        cancellations_matched=len({one.cancellation_id for one in asked}),
        requests=len(asked),
        credited_minor=sum(one.credited_minor for one in asked),
        unmatched=every,
        unmatched_by_reason=_sorted(left_out.unmatched_by_reason),
        first_unmatched=left_out.first_unmatched,
    )


def _delays(delays_seconds: Sequence[int]) -> Delays:
    ordered = sorted(delays_seconds)
    classes: dict[str, int] = {}
    counted = 0
    for hours in DELAY_BOUNDS_HOURS:
        under = sum(seconds < hours * _HOUR for seconds in ordered)
        classes[f"under_{hours}h"] = under - counted
        counted = under
    classes["longer"] = len(ordered) - counted

    def at(share: int) -> float | None:
        return round(ordered[(len(ordered) - 1) * share // 100] / _HOUR, 2) if ordered else None

    return Delays(classes, at(10), at(50), at(90))


def _decided(asked: Sequence[Asked], instant: set[UUID]) -> Decided:
    refused = Counter(one.answer.refused.value for one in asked if one.answer.refused is not None)
    at_once = sum(one.answer.ticket_id in instant for one in asked)
    return Decided(
        requests=len(asked),
        instant=at_once,
        reviewed=len(asked) - at_once - refused.total(),
        refused=refused.total(),
        refused_by_code=_sorted(refused),
    )


async def _stopped(run: Replay, reviewed: Iterable[Ticket]) -> dict[str, Stopped]:
    every, alone, first, unknown = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for ticket in reviewed:
        stored = await run.service.queries.decision(TicketRef(ticket.lane, ticket.ticket_id))
        assert stored is not None
        decision = decision_from_json(stored.decision)
        if decision.outcome is Outcome.INSTANT:
            continue  # a guard sent it to review, not a condition of the policy
        missed = [result for result in decision.conditions if result.verdict != "true"]
        every.update(result.id for result in missed)
        unknown.update(result.id for result in missed if result.verdict == "unknown")
        first[missed[0].id] += 1
        if len(missed) == 1:
            alone[missed[0].id] += 1
    return {name: Stopped(count, alone[name], first[name], unknown[name]) for name, count in every.most_common()}


def _amounts(run: Replay, tickets: Iterable[Ticket], instant: set[UUID]) -> ReplayAmounts:
    known = list(tickets)
    return ReplayAmounts(
        currency=run.history.currency,
        paid_minor=run.progress.paid_minor,
        asked_minor=sum(ticket.amount_minor for ticket in known),
        instant_minor=sum(ticket.amount_minor for ticket in known if ticket.ticket_id in instant),
        reviewed_minor=sum(ticket.amount_minor for ticket in known if ticket.ticket_id not in instant),
        refunded_minor=sum(ticket.amount_minor for ticket in known if ticket.state is TicketState.REFUNDED),
    )


def _sorted(counts: Mapping[str, _Value]) -> dict[str, _Value]:
    return dict(sorted(counts.items()))
