"""What is open holds an erasure up, and says until when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from jitui.aftersales.governance.erasure import (
    INCIDENT_OPEN,
    UNFINISHED,
    ErasurePending,
    Pending,
    PendingKind,
    keep_until,
    new_buyer_id,
)
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.ids import lane_of
from tests.aftersales.market import NOW, Market
from tests.erasure.life import BUYER, PLANTED, erase, erased, everywhere, paid_back, rows

ORDER = "o-1"
SECOND = timedelta(seconds=1)


async def waits(market: Market) -> None:
    """A ticket, for the merchant."""
    await market.paid_order(BUYER, ORDER, amounts=(50_000,))
    await market.asked(BUYER, ORDER)


async def refund(market: Market) -> None:
    await market.premium_buyer(BUYER)
    await market.feed.roll_up(NOW)
    await market.paid_order(BUYER, ORDER)
    await market.asked(BUYER, ORDER)


async def failed(market: Market) -> None:
    await refund(market)
    await run(market, "UPDATE refund SET state = 'failed', due_at = NULL")
    await run(market, "UPDATE ticket SET state = 'refund_failed'")


async def dispute(market: Market) -> None:
    await market.paid_order(BUYER, ORDER)
    await run(
        market,
        "INSERT INTO dispute SELECT lane, order_id, 'd', tender_id, provider, 'open', 1, 'CNY', 0, '', now() "
        "FROM tender",
    )


async def task(market: Market) -> None:
    await market.paid_order(BUYER, ORDER)
    await run(
        market,
        "INSERT INTO task (task_id, kind, provider, order_id, evidence, opened_at) "
        "SELECT gen_random_uuid(), 'theirs_only', 'simulator', order_id, '{}', now() FROM orders",
    )


async def run(market: Market, statement: str) -> None:
    async with market.pool.connection() as connection:
        await connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("prepare", "kind"),
    [
        (refund, PendingKind.REFUND),
        (failed, PendingKind.REFUND),
        (dispute, PendingKind.DISPUTE),
        (task, PendingKind.TASK),
    ],
    ids=["refund-on-its-way", "refund-that-failed", "dispute", "task"],
)
async def test_what_somebody_has_to_end_has_no_end_of_its_own(
    market: Market, database_url: str, prepare: Callable[[Market], Awaitable[None]], kind: PendingKind
) -> None:
    await prepare(market)
    before = rows(database_url, "SELECT * FROM orders")
    done = await erase(market)
    assert isinstance(done, ErasurePending)
    assert [(one.kind, one.order_id, one.until) for one in done.pending] == [(kind, ORDER, None)]
    assert done.possible_from is None
    assert rows(database_url, "SELECT * FROM orders") == before
    assert rows(database_url, "SELECT count(*) FROM erased_buyer") == [(0,)]


async def test_a_ticket_that_waits_says_its_deadline(market: Market) -> None:
    await waits(market)
    done = await erase(market)
    assert isinstance(done, ErasurePending)
    ((kind, until),) = [(one.kind, one.until) for one in done.pending]
    assert (kind, until, done.possible_from) == (PendingKind.TICKET, until, until)
    assert until is not None and until > NOW


async def test_an_order_that_nobody_finished_waits_thirty_days(market: Market) -> None:
    await market.paid_order(BUYER, ORDER)
    placed = NOW - timedelta(hours=1)
    done = await erase(market, now=placed + UNFINISHED - SECOND)
    assert done == ErasurePending((Pending(PendingKind.ORDER, ORDER, ORDER, placed + UNFINISHED),))
    assert done.possible_from == placed + UNFINISHED
    assert not isinstance(await erase(market, now=placed + UNFINISHED), ErasurePending)


async def test_a_parcel_under_way_waits_until_it_is_delivered_or_thirty_days(market: Market) -> None:
    ref = await market.paid_order(BUYER, ORDER)
    await market.ship(ref, source=ShipmentSource.CARRIER)
    done = await erase(market, now=NOW + UNFINISHED - SECOND)
    assert isinstance(done, ErasurePending)
    assert [(one.kind, one.until) for one in done.pending] == [(PendingKind.PARCEL, NOW + UNFINISHED)]
    await market.ship(ref, source=ShipmentSource.CARRIER, status=ShipmentStatus.DELIVERED)
    assert not isinstance(await erase(market, now=NOW), ErasurePending)


async def test_goods_that_left_after_their_refund_wait_ninety_days(market: Market) -> None:
    await market.premium_buyer(BUYER)
    await market.feed.roll_up(NOW)
    ref = await paid_back(market, ORDER)
    await market.ship(ref, source=ShipmentSource.CARRIER, tracking_no=f"SF-{PLANTED}")
    done = await erase(market, now=NOW + INCIDENT_OPEN - SECOND)
    assert isinstance(done, ErasurePending)
    assert [(one.kind, one.until) for one in done.pending] == [(PendingKind.INCIDENT, NOW + INCIDENT_OPEN)]
    assert not isinstance(await erase(market, now=NOW + INCIDENT_OPEN), ErasurePending)


async def test_all_that_is_open_is_told_and_the_last_end_counts(market: Market) -> None:
    await waits(market)
    await market.paid_order(BUYER, "o-2")
    done = await erase(market, now=NOW)
    assert isinstance(done, ErasurePending)
    assert [(one.order_id, one.kind) for one in done.pending] == [
        ("o-1", PendingKind.TICKET),
        ("o-2", PendingKind.ORDER),
    ]
    assert done.possible_from == max(one.until for one in done.pending if one.until is not None)


async def test_another_buyers_open_things_hold_nobody_up(market: Market, database_url: str) -> None:
    await market.premium_buyer(BUYER)
    await market.paid_order("somebody-else", "o-2")
    await market.asked("somebody-else", "o-2")
    await erased(market)
    assert everywhere(database_url, BUYER) == []
    assert rows(database_url, "SELECT buyer_id FROM orders") == [("somebody-else",)]


async def test_nobody_is_erased_whom_nothing_is_stored_about(market: Market, database_url: str) -> None:
    assert await erase(market, "nobody") is None
    assert rows(database_url, "SELECT count(*) FROM erased_buyer") == [(0,)]
    assert rows(database_url, "SELECT count(*) FROM audit_event WHERE action = 'buyer.erased'") == [(0,)]


@pytest.mark.parametrize("lane", [0, 77, 255])
def test_an_id_is_drawn_until_it_falls_in_the_lane(lane: int) -> None:
    assert lane_of(new_buyer_id(lane)) == lane
    assert new_buyer_id(lane) != new_buyer_id(lane)


@pytest.mark.parametrize(
    ("days", "until"),
    [(0, "2026-07-01"), (29, "2026-07-01"), (30, "2026-08-01"), (213, "2027-01-01"), (214, "2027-02-01")],
    ids=["this-month", "its-last-day", "next-month", "december", "january"],
)
def test_a_digest_is_kept_until_a_month_begins(days: int, until: str) -> None:
    assert str(keep_until(NOW, timedelta(days=days))) == until
