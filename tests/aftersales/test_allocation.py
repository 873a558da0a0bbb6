"""The split of money: parts sum to the whole, no part is negative, and the sequence of requests does not matter.

Commands are planned purely, and their changes are applied to the snapshot under the tables' CHECKs; a
smaller number runs on PostgreSQL. docs/reference/refund-split.md states the rules.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jitui.aftersales import changes as c
from jitui.aftersales.apply import apply
from jitui.aftersales.commands.execute import Plan
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.request_refund import DecisionSettings, RefundRequest, plan_request
from jitui.aftersales.commands.review import approve, plan_approval, plan_rejection, withdraw
from jitui.aftersales.commands.ship import ShipmentUpdate, plan_shipment
from jitui.aftersales.constraints import broken_constraint
from jitui.aftersales.deciding import Deciding
from jitui.aftersales.model.order import (
    Buyer,
    Funder,
    Funding,
    LineUnits,
    Order,
    OrderLine,
    ShipmentSource,
    ShipmentStatus,
    Tender,
)
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import APPROVED_STATES, Actor, ActorKind, ApprovedBy, Ticket, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import DecisionInputs, TicketRef
from jitui.money import split_by_weight, split_further
from tests.aftersales.market import DEFAULT_POLICY, NOW, PROVIDERS, TIME_ZONE, Market, rejection, ticket_of

A_MINUTE = timedelta(seconds=61)
MERCHANT = Actor(ActorKind.MERCHANT, "shop-1")
TERMS = DecisionSettings(Deciding(DEFAULT_POLICY), ZoneInfo(TIME_ZONE), PROVIDERS)


# The two splits of money.py --------------------------------------------------------------------------------------

WEIGHTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=6).filter(any)


@given(weights=WEIGHTS, data=st.data())
def test_a_larger_amount_makes_no_part_smaller(weights: list[int], data: st.DataObject) -> None:
    amount = data.draw(st.integers(0, sum(weights)))
    less = data.draw(st.integers(0, amount))
    parts, before = split_by_weight(amount, weights), split_by_weight(less, weights)
    assert sum(parts) == amount
    assert all(was <= part <= weight for was, part, weight in zip(before, parts, weights, strict=True))


@given(weights=st.lists(st.integers(1, 300), min_size=1, max_size=4), data=st.data())
def test_a_part_is_within_one_unit_of_its_exact_share(weights: list[int], data: st.DataObject) -> None:
    amount = data.draw(st.integers(0, sum(weights)))
    for part, weight in zip(split_by_weight(amount, weights), weights, strict=True):
        assert abs(part * sum(weights) - amount * weight) < (1 + (len(weights) > 3)) * sum(weights)


@given(weights=WEIGHTS, data=st.data())
def test_split_in_steps_is_split_at_once(weights: list[int], data: st.DataObject) -> None:
    taken = [0] * len(weights)
    for _ in range(data.draw(st.integers(1, 5))):
        step = data.draw(st.integers(0, sum(weights) - sum(taken)))
        taken = [before + part for before, part in zip(taken, split_further(step, weights, taken), strict=True)]
        assert tuple(taken) == split_by_weight(sum(taken), weights)


@given(weights=WEIGHTS, data=st.data())
def test_whatever_was_taken_before_nothing_is_overdrawn(weights: list[int], data: st.DataObject) -> None:
    taken = [data.draw(st.integers(0, weight)) for weight in weights]
    amount = data.draw(st.integers(0, sum(weights) - sum(taken)))
    parts = split_further(amount, weights, taken)
    assert sum(parts) == amount
    assert all(0 <= part <= weight - gone for part, weight, gone in zip(parts, weights, taken, strict=True))


def test_small_refunds_do_not_drain_one_payment_first() -> None:
    """Splitting each by what was left gave all of the first 33 single units to the larger of two payments."""
    taken = (0, 0)
    for _ in range(33):
        parts = split_further(1, (33, 66), taken)
        taken = (taken[0] + parts[0], taken[1] + parts[1])
    assert taken == (11, 22)


# An order without a database -------------------------------------------------------------------------------------


@dataclass
class OrderCase:
    """An order snapshot and the commands on it; every write is judged as the tables judge it."""

    snapshot: OrderSnapshot
    postings: dict[str, c.LedgerEntry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.at = NOW

    def ask(self, units: Sequence[tuple[str, int]]) -> Ticket | Refusal:
        self.at += A_MINUTE
        request = RefundRequest("b-1", "o-1", lines=tuple(LineUnits(*unit) for unit in units))
        buyer = Actor(ActorKind.BUYER, "b-1")
        return self.done(plan_request(self.snapshot, DecisionInputs(), TERMS, request, buyer, self.at))

    def approve(self, ticket: Ticket) -> Ticket | Refusal:
        current = self.snapshot.ticket(ticket.ticket_id)
        return self.done(plan_approval(self.snapshot, current, ApprovedBy.MERCHANT, MERCHANT, self.at))

    def close(self, ticket: Ticket, shipment: ShipmentUpdate | None = None) -> Ticket | Refusal:
        """A rejection; a withdrawal writes the same."""
        current = self.snapshot.ticket(ticket.ticket_id)
        done = self.done(
            plan_rejection(
                self.snapshot,
                current,
                rejection("no", shipment),
                MERCHANT,
                self.at,
            )
        )
        assert isinstance(done, Ticket), done
        others = tuple(row for row in self.snapshot.ticket_lines if row.ticket_id != ticket.ticket_id)
        self.snapshot = replace(self.snapshot, ticket_lines=others)  # five requests a line are a limit of their own
        return done

    def done(self, planned: Plan | Refusal) -> Ticket | Refusal:
        if isinstance(planned, Refusal):
            return planned
        for change in planned.changes:
            self.take(change)
        assert planned.ticket_id is not None
        ticket = self.snapshot.ticket(planned.ticket_id)
        assert ticket.amount_minor > 0 and ticket.freight_minor >= 0
        return ticket

    def take(self, change: c.Change) -> None:
        self.snapshot = apply(self.snapshot, change)
        assert broken_constraint(self.snapshot) is None
        match change:
            case c.QueueRefund(refund):
                assert refund.amount_minor > 0, "a refund of nothing"
            case c.HoldTender(_, pending):
                assert pending > 0, "a hold of nothing"
            case c.ReturnFunding(_, amount):
                assert amount > 0, "a return of nothing"
            case c.LedgerEntry(posting, _, _, amount):
                assert amount > 0 and posting not in self.postings
                self.postings[posting] = change

    def settle(self, ticket: Ticket) -> None:
        """The money has arrived: the ticket is no longer open, and its lines can be asked for again."""
        paid = replace(self.snapshot.ticket(ticket.ticket_id), state=TicketState.REFUNDED)
        self.take(c.move_ticket(paid))

    def totals(self) -> tuple[dict[str, int], dict[str, int], dict[Funder, int], int]:
        """What went back by line, tender and funder, and of the freight."""
        granted = {ticket.ticket_id for ticket in self.snapshot.tickets if ticket.state in APPROVED_STATES}
        rows = [row for row in self.snapshot.ticket_lines if row.ticket_id in granted]
        return (
            {x.line_id: sum(r.amount_minor for r in rows if r.line_id == x.line_id) for x in self.snapshot.lines},
            {tender.tender_id: tender.pending_minor for tender in self.snapshot.tenders},
            {fund.funder: fund.returned_minor for fund in self.snapshot.funding},
            sum(ticket.freight_minor for ticket in self.snapshot.tickets if ticket.ticket_id in granted),
        )


def order_case(
    lines: Sequence[tuple[int, int]],
    *,
    freight: int = 0,
    tenders: Sequence[int] = (),
    funding: Sequence[int] = (),
    currency: str = "CNY",
) -> OrderCase:
    """An order of (units, paid) lines l1, l2, …; one payment of everything unless tenders are given."""
    whole = sum(paid for _, paid in lines) + freight
    return OrderCase(
        OrderSnapshot(
            Order(0, "o-1", "b-1", "shop-1", currency, NOW, freight, paid_at=NOW),
            Buyer(0, "b-1"),
            tuple(OrderLine(f"l{n}", f"s{n}", f"i{n}", units, paid) for n, (units, paid) in enumerate(lines, 1)),
            tuple(
                Tender(f"t{n}", "simulator", f"pay-{n}", currency, captured, NOW)
                for n, captured in enumerate(tenders or (whole,), 1)
            ),
            tuple(Funding(funder, amount) for funder, amount in zip(Funder, funding, strict=False)),
        )
    )


@st.composite
def order_cases(draw: st.DrawFn, *, captured_percent: Sequence[int] = (100,)) -> OrderCase:
    """Orders with odd amounts: tiny ones, gifts, several payments and funders, with and without freight."""
    paid = st.one_of(st.integers(0, 5), st.integers(0, 100_000))
    lines = draw(st.lists(st.tuples(st.integers(1, 7), paid), min_size=1, max_size=6))
    freight = draw(st.sampled_from([0, 0, 1, 7, 800]))
    captured = (sum(p for _, p in lines) + freight) * draw(st.sampled_from(captured_percent)) // 100
    if captured == 0:
        lines, captured = [(3, 1), *lines], 1
    cuts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    tenders = [part for part in split_by_weight(captured, cuts) if part]
    funding = draw(st.lists(st.integers(1, 9_999), max_size=3))
    currency = draw(st.sampled_from(["CNY", "JPY", "BHD"]))
    return order_case(lines, freight=freight, tenders=tenders, funding=funding, currency=currency)


def refund_all(opened: OrderCase, units: Sequence[str], rng: random.Random, *, noise: bool) -> None:
    """Refund these units by a few requests that overlap; with noise, some are rejected and asked for again.

    What brings nothing alone is asked for together with what comes next.
    """
    cut = sorted(rng.randint(0, len(units)) for _ in range(3))
    chunks = [list(units[a:b]) for a, b in zip([0, *cut], [*cut, len(units)], strict=True) if a < b]
    pending: list[tuple[Ticket, list[str]]] = []
    vain = 4 if noise else 0
    while chunks or pending:
        if pending and (not chunks or rng.random() < 0.4):
            ticket, chunk = pending.pop(rng.randrange(len(pending)))
            if vain and rng.random() < 0.5:
                vain -= 1
                opened.close(ticket)
                chunks.append(chunk)
            else:
                _approved(opened, ticket)
            continue
        chunk = chunks.pop(0)
        ticket_or_refusal = opened.ask([(line, chunk.count(line)) for line in dict.fromkeys(chunk)])
        if isinstance(ticket_or_refusal, Ticket):
            pending.append((ticket_or_refusal, chunk))
        elif ticket_or_refusal.code is RefusalCode.REFUND_IN_PROGRESS or pending:
            for ticket, _ in pending:
                _approved(opened, ticket)
            pending.clear()
            chunks.insert(0, chunk)
        else:
            assert ticket_or_refusal.code is RefusalCode.NOTHING_TO_REFUND, ticket_or_refusal
            if chunks:
                chunks[0] = [*chunk, *chunks[0]]


def _approved(opened: OrderCase, ticket: Ticket) -> None:
    approved = opened.approve(ticket)
    assert isinstance(approved, Ticket), approved
    assert sum(refund.amount_minor for refund in opened.snapshot.refunds_of(ticket.ticket_id)) == approved.amount_minor
    opened.settle(ticket)


def units_of(opened: OrderCase) -> list[str]:
    return [line.line_id for line in opened.snapshot.lines for _ in range(line.quantity)]


@settings(max_examples=150, deadline=None)
@given(opened=order_cases(), seed=st.integers(0, 2**32), noise=st.booleans())
def test_when_everything_is_refunded_everybody_has_exactly_what_they_paid(
    opened: OrderCase, seed: int, noise: bool
) -> None:
    rng = random.Random(seed)
    units = units_of(opened)
    rng.shuffle(units)
    refund_all(opened, units, rng, noise=noise)
    lines, tenders, funders, freight = opened.totals()
    assert lines == {line.line_id: line.paid_minor for line in opened.snapshot.lines}
    assert tenders == {tender.tender_id: tender.captured_minor for tender in opened.snapshot.tenders}
    assert funders == {fund.funder: fund.amount_minor for fund in opened.snapshot.funding}
    assert freight == opened.snapshot.order.freight_minor
    escrow = sum(entry.amount_minor for entry in opened.postings.values() if entry.debit == "escrow")
    assert escrow == sum(tenders.values()) + sum(funders.values()), "nothing stays in escrow"


@settings(max_examples=150, deadline=None)
@given(opened=order_cases(captured_percent=(100, 100, 75, 30, 150)), seeds=st.tuples(*[st.integers(0, 2**32)] * 2))
def test_the_sequence_of_the_requests_does_not_matter(opened: OrderCase, seeds: tuple[int, int]) -> None:
    """Whatever units go back, in whatever order and portions: line, tender, funder and freight get the same."""
    units = units_of(opened)
    some = random.Random(seeds[0]).sample(units, random.Random(seeds[1]).randint(1, len(units)))
    totals = []
    for seed in seeds:
        again, rng = OrderCase(opened.snapshot), random.Random(seed)
        rng.shuffle(some)
        refund_all(again, some, rng, noise=seed % 2 == 0)
        totals.append(again.totals())
    assert totals[0] == totals[1]
    lines, tenders, _, freight = totals[0]
    assert sum(lines.values()) + freight == sum(tenders.values())
    captured = [tender.captured_minor for tender in opened.snapshot.tenders]
    assert tuple(tenders.values()) == split_by_weight(sum(tenders.values()), captured), "in step with what was captured"


@settings(max_examples=100, deadline=None)
@given(opened=order_cases(captured_percent=(75, 30, 150)), seed=st.integers(0, 2**32))
def test_an_order_captured_in_part_gives_back_what_was_captured_and_no_more(opened: OrderCase, seed: int) -> None:
    units = units_of(opened)
    random.Random(seed).shuffle(units)
    refund_all(opened, units, random.Random(seed), noise=True)
    whole = sum(line.paid_minor for line in opened.snapshot.lines) + opened.snapshot.order.freight_minor
    captured = sum(tender.captured_minor for tender in opened.snapshot.tenders)
    _, tenders, _, _ = opened.totals()
    assert sum(tenders.values()) == min(whole, captured)


@settings(max_examples=100, deadline=None)
@given(opened=order_cases(), seed=st.integers(0, 2**32))
def test_freight_stays_when_a_unit_has_left(opened: OrderCase, seed: int) -> None:
    rng = random.Random(seed)
    units = units_of(opened)
    rng.shuffle(units)
    gone = LineUnits(units.pop(), 1)
    update = ShipmentUpdate(ShipmentStatus.SHIPPED, "sf", "SF1", ShipmentSource.MERCHANT, NOW, (gone,))
    for change in _planned(plan_shipment(opened.snapshot, update, MERCHANT, NOW)).changes:
        opened.take(change)
    if units:
        refund_all(opened, units, rng, noise=True)
    assert opened.totals()[3] == 0


def _planned(done: Plan | Refusal) -> Plan:
    assert isinstance(done, Plan), done
    return done


# What the laws found ---------------------------------------------------------------------------------------------


def asked(opened: OrderCase, *units: tuple[str, int]) -> Ticket:
    ticket = opened.ask(units)
    assert isinstance(ticket, Ticket), ticket
    return ticket


def granted(opened: OrderCase, ticket: Ticket) -> Ticket:
    done = opened.approve(ticket)
    assert isinstance(done, Ticket), done
    return done


def test_two_requests_in_review_do_not_both_carry_a_funders_last_share() -> None:
    """Shares were fixed when asked for, counting requests that were withdrawn later: 102 of 101 were returned."""
    opened = order_case([(1, 50), (1, 50)], funding=[101])
    first, second = asked(opened, ("l1", 1)), asked(opened, ("l2", 1))
    opened.close(first)
    again = asked(opened, ("l1", 1))
    granted(opened, second)
    granted(opened, again)
    assert opened.totals()[2] == {Funder.PLATFORM_SUBSIDY: 101}


def test_a_request_that_waits_gives_funders_nothing_yet() -> None:
    opened = order_case([(1, 50), (1, 50)], funding=[101])
    first, second = asked(opened, ("l1", 1)), asked(opened, ("l2", 1))
    granted(opened, second)
    opened.close(first)
    assert opened.totals()[2] == {Funder.PLATFORM_SUBSIDY: 50}


def test_freight_stays_behind_when_the_other_line_ships_after_all() -> None:
    """The second request was asked for with the freight, because the first had claimed the rest of the order."""
    opened = order_case([(1, 50), (1, 60)], freight=8)
    first, second = asked(opened, ("l1", 1)), asked(opened, ("l2", 1))
    assert (first.freight_minor, second.freight_minor) == (0, 8)
    opened.close(
        first, ShipmentUpdate(ShipmentStatus.SHIPPED, "sf", "SF1", ShipmentSource.MERCHANT, NOW, (LineUnits("l1", 1),))
    )
    done = granted(opened, second)
    assert (done.amount_minor, done.freight_minor) == (60, 0)
    assert opened.snapshot.order.freight_claimed_minor == 0


def test_freight_moves_to_the_request_that_is_granted_last() -> None:
    opened = order_case([(1, 50), (1, 60)], freight=8)
    first, second = asked(opened, ("l1", 1)), asked(opened, ("l2", 1))
    assert granted(opened, second).amount_minor == 60
    waiting = opened.snapshot.ticket(first.ticket_id)
    assert (waiting.amount_minor, waiting.freight_minor, waiting.version) == (58, 8, first.version + 1)
    assert waiting.state is TicketState.AWAITING_MERCHANT and opened.snapshot.order.freight_claimed_minor == 8
    assert granted(opened, first).amount_minor == 58


def test_freight_is_set_free_when_units_of_the_order_are_not_asked_for_any_more() -> None:
    """It goes with whoever asks for the last of them, and not with a request that merely waits."""
    opened = order_case([(1, 50), (1, 60), (1, 70)], freight=8)
    first, second, third = (asked(opened, (f"l{n}", 1)) for n in (1, 2, 3))
    assert [ticket.freight_minor for ticket in (first, second, third)] == [0, 0, 8]
    opened.close(first)
    assert granted(opened, third).amount_minor == 70
    assert opened.snapshot.ticket(second.ticket_id).freight_minor == 0
    assert opened.snapshot.order.freight_claimed_minor == 0
    assert asked(opened, ("l1", 1)).freight_minor == 8


def test_a_funder_whose_share_of_the_goods_is_nothing_is_not_named() -> None:
    opened = order_case([(3, 300)], funding=[1])
    first = granted(opened, asked(opened, ("l1", 1)))
    assert first.funding_returns == {}
    opened.settle(first)
    assert granted(opened, asked(opened, ("l1", 2))).funding_returns == {Funder.PLATFORM_SUBSIDY: 1}


def test_a_gift_alone_waits_with_the_freight_until_the_rest_is_decided() -> None:
    opened = order_case([(1, 50), (1, 0)], freight=8)
    first = asked(opened, ("l1", 1))
    alone = opened.ask([("l2", 1)])
    assert isinstance(alone, Refusal) and alone.code is RefusalCode.NOTHING_TO_REFUND
    granted(opened, first)
    opened.settle(first)
    assert asked(opened, ("l2", 1)).amount_minor == 8


def test_goods_that_cost_the_buyer_nothing_give_their_funder_its_share_back() -> None:
    opened = order_case([(2, 0)], freight=8, funding=[100])
    assert granted(opened, asked(opened, ("l1", 2))).amount_minor == 8
    assert opened.totals()[2] == {Funder.PLATFORM_SUBSIDY: 100}


def test_one_unit_of_a_cent_for_three_brings_nothing_alone_and_the_refusal_says_so() -> None:
    opened = order_case([(3, 1), (1, 9)])
    alone = opened.ask([("l1", 1)])
    assert isinstance(alone, Refusal) and alone.code is RefusalCode.NOTHING_TO_REFUND
    assert "together with the rest" in alone.message
    assert asked(opened, ("l1", 3)).amount_minor == 1


def test_what_was_captured_late_goes_back_with_the_units_that_are_left() -> None:
    """A deposit of 30 on 100, one of two units back for its part, then the rest is captured."""
    opened = order_case([(2, 100)], tenders=[30])
    first = granted(opened, asked(opened, ("l1", 1)))
    opened.settle(first)
    late = Tender("t2", "simulator", "pay-2", "CNY", 70, NOW)
    opened.snapshot = replace(opened.snapshot, tenders=(*opened.snapshot.tenders, late))
    assert [first.amount_minor, granted(opened, asked(opened, ("l1", 1))).amount_minor] == [15, 85]


# Through the service, on PostgreSQL ------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9_999)), min_size=2, max_size=4),
    freight=st.sampled_from([0, 7, 800]),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    subsidy=st.integers(1, 999),
    seed=st.integers(0, 2**32),
)
@example(lines=[(1, 50), (1, 50)], freight=0, cuts=[1], subsidy=101, seed=3)
async def test_the_tables_hold_whatever_the_split_plans(
    market: Market, lines: list[tuple[int, int]], freight: int, cuts: list[int], subsidy: int, seed: int
) -> None:
    """One request a line at once, closed and asked for again, approved in any order: no CHECK is ever hit."""
    lines = [(1, 30_000), *lines]  # above the policy's 300 CNY, so that requests wait
    captured = sum(paid for _, paid in lines) + freight
    name, rng = uuid4().hex, random.Random(seed)
    ref = await market.paid_order(
        f"b-{name}",
        name,
        amounts=[paid for _, paid in lines],
        quantities=[units for units, _ in lines],
        freight_minor=freight,
        tenders=[part for part in split_by_weight(captured, cuts) if part],
        funding=(Funding(Funder.PLATFORM_SUBSIDY, subsidy),),
    )
    now, queue = NOW, [(f"l{n}", units) for n, (units, paid) in enumerate(lines, 1) if paid]
    rng.shuffle(queue)
    pending: list[tuple[Ticket, tuple[str, int]]] = []
    vain = 2
    while queue or pending:
        now += A_MINUTE
        if queue and (not pending or rng.random() < 0.6):
            unit = queue.pop(0)
            pending.append((await market.asked(f"b-{name}", name, lines=[unit], now=now), unit))
            continue
        ticket, unit = pending.pop(rng.randrange(len(pending)))
        where = TicketRef(ticket.lane, ticket.ticket_id)
        if vain and rng.random() < 0.5:
            vain -= 1
            ticket_of(await withdraw(market.store, where, Acting(MERCHANT, now)))
            queue.append(unit)
        else:
            ticket_of(await approve(market.store, where, Acting(MERCHANT, now)))
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    gifts = any(paid == 0 for _, paid in lines)
    assert sum(tender.pending_minor for tender in snapshot.tenders) == captured - (freight if gifts else 0)
    assert snapshot.funding[0].returned_minor == subsidy
    assert all(row.amount_minor > 0 for row in snapshot.refunds)


async def test_freight_moves_too_when_the_last_line_is_refunded_at_once(market: Market) -> None:
    """The first request waits, because usage was not fresh; the second is approved by the system in its own request."""
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(5000, 6000), freight_minor=800)
    now = NOW + A_MINUTE
    first = await market.asked(buyer, "o-1", lines=[("l1", 1)], now=now)
    assert first.state is TicketState.AWAITING_MERCHANT
    now += A_MINUTE
    await market.feed.roll_up(now)
    second = await market.asked(buyer, "o-1", lines=[("l2", 1)], now=now)
    assert (second.state, second.amount_minor, second.freight_minor) == (TicketState.REFUNDING, 6000, 0)
    where = TicketRef(first.lane, first.ticket_id)
    snapshot = await market.store.read_order(where)
    assert snapshot is not None
    waiting = snapshot.ticket(first.ticket_id)
    assert (waiting.amount_minor, waiting.freight_minor, waiting.version) == (5800, 800, 2)
    assert (waiting.expires_at, snapshot.order.freight_claimed_minor) == (first.expires_at, 800)
    assert [event.why for event in snapshot.timeline_of(first.ticket_id)] == ["requested", "freight_moved"]
    stale = await approve(market.store, where, Acting(MERCHANT, now, 1))
    assert isinstance(stale, Refusal) and stale.code is RefusalCode.TICKET_STALE
    assert ticket_of(await approve(market.store, where, Acting(MERCHANT, now, 2))).amount_minor == 5800
    done = await market.store.read_order(ref)
    assert done is not None and done.tenders[0].remaining_minor == 0


# The reference page ----------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "refund-split.md"


def rows_of_the_page() -> dict[str, list[int]]:
    rows = re.findall(r"^\| (A|B|C|sum) \|[^|]*\| ([\d |]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: [int(cell) for cell in cells.split("|")] for name, cells in rows}


def test_the_example_of_the_reference_page_is_what_happens() -> None:
    opened = order_case([(3, 10000), (1, 4999), (1, 0)], freight=800, tenders=[5000, 10799], funding=[1001, 500])
    told = rows_of_the_page()
    assert list(told) == ["A", "B", "C", "sum"]
    happened = []
    for units in ([("l1", 1)], [("l2", 1)], [("l1", 2), ("l3", 1)]):
        ticket = granted(opened, asked(opened, *units))
        opened.settle(ticket)
        parts = {refund.tender_id: refund.amount_minor for refund in opened.snapshot.refunds_of(ticket.ticket_id)}
        goods = ticket.amount_minor - ticket.freight_minor
        shares = [ticket.funding_returns[fund.funder] for fund in opened.snapshot.funding]
        happened.append([goods, ticket.freight_minor, ticket.amount_minor, parts["t1"], parts["t2"], *shares])
    assert happened == [told[name] for name in ("A", "B", "C")]
    assert [sum(column) for column in zip(*happened, strict=True)] == told["sum"]
