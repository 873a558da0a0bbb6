"""The sample marketplace keeps to its calibrated figures, and is equal for equal seeds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import median

import pytest

from jitui.demo.marketplace import (
    CANCELLERS_SHARE,
    REFUND_SHARE_OF_PAID,
    UNPAID_SHARE,
    EventKind,
    Marketplace,
    MerchantVerdict,
    generate,
)
from jitui.demo.stock import STAFF
from jitui.identity.access import Role

ENDS_AT = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def large() -> Marketplace:
    return generate(seed=11, orders=12_000, ends_at=ENDS_AT)


def test_amounts_follow_the_measured_distribution(large: Marketplace) -> None:
    paid = sorted(order.paid_minor for order in large.orders if order.tenders_minor)
    assert 1 - len(paid) / len(large.orders) == pytest.approx(UNPAID_SHARE, abs=0.01)
    assert sum(minor < 30_000 for minor in paid) / len(paid) == pytest.approx(0.97, abs=0.01)
    assert median(paid) / 100 == pytest.approx(78.3, rel=0.04)  # e to the 4.361
    assert paid[len(paid) // 4] / 100 == pytest.approx(49.3, rel=0.05)
    assert paid[3 * len(paid) // 4] / 100 == pytest.approx(124.6, rel=0.05)


def test_as_many_paid_orders_are_asked_back_as_measured(large: Marketplace) -> None:
    paid = sum(event.kind is EventKind.PAY for event in large.events)
    asked = sum(event.kind is EventKind.ASK for event in large.events)
    assert asked / paid == pytest.approx(REFUND_SHARE_OF_PAID, abs=0.015)


def test_few_buyers_make_most_cancellations(large: Marketplace) -> None:
    counts = [sum(past.kind == "refund_before_shipment" for past in buyer.history) for buyer in large.buyers]
    cancellers = sorted(filter(None, counts), reverse=True)
    assert len(cancellers) / len(counts) == pytest.approx(CANCELLERS_SHARE, abs=0.02)
    assert sum(cancellers[: len(cancellers) // 10]) / sum(cancellers) == pytest.approx(0.61, abs=0.04)


def test_buyers_pay_as_fast_as_measured(large: Marketplace) -> None:
    placed = {order.order_id: order.placed_at for order in large.orders}
    delays = sorted(
        (event.at - placed[event.order_id]).total_seconds() for event in large.events if event.kind is EventKind.PAY
    )
    assert delays[len(delays) // 2] == pytest.approx(8, rel=0.1)
    assert delays[len(delays) * 9 // 10] == pytest.approx(51, rel=0.2)


def test_evenings_are_busier_than_nights(large: Marketplace) -> None:
    begins = ENDS_AT - timedelta(days=1)
    hours = [int((order.placed_at - begins).total_seconds() // 3600) for order in large.orders]
    assert hours.count(21) > 10 * hours.count(3)


def test_amounts_add_up_and_everything_is_somewhere(large: Marketplace) -> None:
    categories = {category.category_id: category for category in large.categories}
    for order in large.orders:
        whole = sum(line.paid_minor for line in order.lines) + order.freight_minor
        assert order.paid_minor in (0, whole)
        assert all(minor > 0 for minor in order.tenders_minor)
        assert all(line.goods.category_id in categories for line in order.lines)
    goods = [categories[line.goods.category_id] for order in large.orders for line in order.lines]
    assert any(category.customised for category in goods)
    assert any(category.virtual for category in goods)
    assert not any(category.customised and category.virtual for category in categories.values())
    assert {buyer.selection for buyer in large.buyers} == {None, "allow", "deny"}
    assert any(buyer.restricted for buyer in large.buyers)
    assert any(not shop.covered for shop in large.shops)
    assert any(len(order.tenders_minor) == 2 for order in large.orders)
    assert any(order.funding for order in large.orders)
    assert {event.verdict for event in large.events} == {None, *MerchantVerdict}
    assert any(event.races for event in large.events)
    assert any(event.twice for event in large.events)
    assert any(event.units for event in large.events)


def test_the_day_is_in_order_of_time_and_each_order_lives_forwards(large: Marketplace) -> None:
    times = [event.at for event in large.events]
    assert times == sorted(times)
    assert ENDS_AT - timedelta(days=1) <= times[0] <= times[-1] <= ENDS_AT
    began: dict[str, list[EventKind]] = {}
    for event in large.events:
        began.setdefault(event.order_id, []).append(event.kind)
    for kinds in began.values():
        assert kinds[0] is EventKind.PLACE
        assert len(kinds) == 1 or kinds[1] is EventKind.PAY
        assert EventKind.DECIDE not in kinds or kinds.index(EventKind.ASK) < kinds.index(EventKind.DECIDE)


def test_history_lies_before_the_day(large: Marketplace) -> None:
    begins = ENDS_AT - timedelta(days=1)
    for buyer in large.buyers:
        assert all(past.at <= begins for past in buyer.history)
        assert len({past.event_id for past in buyer.history}) == len(buyer.history)
        assert buyer.registered_at is None or all(past.at >= buyer.registered_at for past in buyer.history)


def test_a_seed_repeats_itself_and_another_does_not() -> None:
    assert generate(seed=3, orders=200, ends_at=ENDS_AT) == generate(seed=3, orders=200, ends_at=ENDS_AT)
    assert generate(seed=3, orders=200, ends_at=ENDS_AT).orders != generate(seed=4, orders=200, ends_at=ENDS_AT).orders


def test_the_next_day_has_the_same_buyers_and_other_orders() -> None:
    first, second = (generate(seed=3, orders=200, ends_at=ENDS_AT, day=day) for day in (1, 2))
    assert (first.buyers, first.shops) == (second.buyers, second.shops)
    assert not {order.order_id for order in first.orders} & {order.order_id for order in second.orders}


def test_whoever_may_be_needed_as_the_second_person_is_there() -> None:
    """Nobody decides an appeal against the own restriction, nor confirms or approves the own change."""
    roles = [person.role for person in STAFF]
    assert {role: roles.count(role) for role in (Role.RISK, Role.OPERATOR)} == {Role.RISK: 2, Role.OPERATOR: 2}
