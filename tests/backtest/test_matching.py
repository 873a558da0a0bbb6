"""The order from which a cancellation takes goods, and what matching can never do."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from jitui.backtest.history import PastCancellation, PastLine, PastOrder, PastRequest, Unmatched
from jitui.backtest.history.matching import match_cancellations
from jitui.backtest.history.past import CancelledGoods

BEGIN = datetime(2011, 3, 1, 10, tzinfo=UTC)
SKUS = ("A", "B")
CUSTOMERS = ("1", "2")


def order(number: int, customer: str = "1", **bought: int) -> PastOrder:
    """An order of one line for each stock code."""
    lines = tuple(
        PastLine(f"{index:04d}", sku, sku, "goods", quantity, quantity * 100, index)
        for index, (sku, quantity) in enumerate(bought.items(), start=1)
    )
    return PastOrder(f"{number}-{customer}", customer, BEGIN + timedelta(hours=number), lines)


def cancellation(number: int, customer: str = "1", **goods: int) -> PastCancellation:
    taken = tuple(CancelledGoods(sku, quantity, quantity * 100, number) for sku, quantity in goods.items())
    return PastCancellation(f"C{number}-{customer}", customer, BEGIN + timedelta(hours=number), taken)


def matched(*events: PastOrder | PastCancellation) -> list[tuple[str, dict[str, int]]]:
    """The requests, each with its order and units by line."""
    cancelled = {(customer, sku) for customer in CUSTOMERS for sku in SKUS}
    found = match_cancellations(events, cancelled=cancelled)
    return [
        (event.order_id, {unit.line_id: unit.quantity for unit in event.units})
        for event in found
        if isinstance(event, PastRequest)
    ]


def test_the_latest_earlier_order_comes_first() -> None:
    assert matched(order(1, A=5), order(2, A=5), order(3, B=5), cancellation(4, A=3)) == [("2-1", {"0001": 3})]


def test_what_one_order_does_not_have_comes_from_the_one_before() -> None:
    assert matched(order(1, A=5), order(2, A=2), cancellation(3, A=6)) == [("2-1", {"0001": 2}), ("1-1", {"0001": 4})]


def test_a_unit_is_taken_back_once() -> None:
    events = (order(1, A=5), cancellation(2, A=4), cancellation(3, A=4))
    assert matched(*events) == [("1-1", {"0001": 4}), ("1-1", {"0001": 1})]


def test_later_orders_and_other_customers_have_no_part_in_it() -> None:
    assert matched(order(1, "2", A=5), cancellation(2, A=1), order(3, A=5)) == []


def test_several_codes_of_one_order_are_one_request() -> None:
    assert matched(order(1, A=5, B=2), cancellation(2, A=1, B=2)) == [("1-1", {"0001": 1, "0002": 2})]


def test_two_lines_of_the_same_goods_are_taken_in_their_order() -> None:
    first = PastLine("0001", "A", "A", "goods", 2, 200, 1)
    second = PastLine("0002", "A", "A", "goods", 2, 180, 2)
    double = PastOrder("1-1", "1", BEGIN, (first, second))
    assert matched(double, cancellation(2, A=3)) == [("1-1", {"0001": 2, "0002": 1})]


def test_goods_that_nobody_cancels_are_not_remembered() -> None:
    found = list(match_cancellations([order(1, A=5), cancellation(2, A=1)], cancelled=frozenset()))
    assert [type(event) for event in found] == [PastOrder, Unmatched]


@st.composite
def histories(draw: st.DrawFn) -> list[PastOrder | PastCancellation]:
    events: list[PastOrder | PastCancellation] = []
    for number in range(draw(st.integers(0, 12))):
        customer = draw(st.sampled_from(CUSTOMERS))
        goods = draw(st.dictionaries(st.sampled_from(SKUS), st.integers(1, 9), min_size=1))
        bought = draw(st.booleans())
        events.append(order(number, customer, **goods) if bought else cancellation(number, customer, **goods))
    return events


@given(histories())
def test_no_unit_comes_back_that_was_not_bought_and_none_is_lost(
    events: list[PastOrder | PastCancellation],
) -> None:
    cancelled = {(customer, sku) for customer in CUSTOMERS for sku in SKUS}
    bought: Counter[tuple[str, str]] = Counter()
    wanted: Counter[str] = Counter()
    credited: Counter[str] = Counter()
    found: Counter[str] = Counter()
    given_back: Counter[str] = Counter()
    for event in match_cancellations(events, cancelled=cancelled):
        match event:
            case PastOrder():
                bought.update({(event.order_id, line.line_id): line.quantity for line in event.lines})
            case PastRequest():
                for unit in event.units:
                    bought[event.order_id, unit.line_id] -= unit.quantity
                    found[event.cancellation_id] += unit.quantity
                assert event.order_id.endswith(f"-{event.buyer_id}")
                assert event.placed_at < event.asked_at
                given_back[event.cancellation_id] += event.credited_minor
            case Unmatched():
                found[event.cancellation_id] += event.quantity
                given_back[event.cancellation_id] += event.credited_minor
            case _:
                raise AssertionError(event)
    for asked in events:
        if isinstance(asked, PastCancellation):
            wanted[asked.cancellation_id] = sum(goods.quantity for goods in asked.goods)
            credited[asked.cancellation_id] = sum(goods.credited_minor for goods in asked.goods)
    assert min(bought.values(), default=0) >= 0
    assert found == wanted
    assert given_back == credited
