"""Requests are read window by window: nothing falls between two, and what cannot be read is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from jitui.adapters.platforms.kuaishou.requests import NAME
from jitui.aftersales.operations.platform_sync import SyncState
from jitui.aftersales.operations.request_sync import FIRST_READING, OVERLAP
from jitui.aftersales.platform_requests import Gap, ListRules, Window, windows_of
from jitui.errors import Unavailable
from tests.platforms.kuaishou.market import KuaishouMarket, open_kuaishou_market
from tests.platforms.kuaishou.server import DETAIL, LIST, ORDER, Fault, KuaishouServer

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RULES = ListRules(HOUR, 90 * DAY)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


# Windows ------------------------------------------------------------------------------------------------------------


def test_windows_cover_the_time_without_a_hole() -> None:
    gap, windows = windows_of(NOON, NOON + 2 * HOUR + timedelta(seconds=1), RULES)
    assert gap is None
    assert list(windows) == [
        Window(NOON, NOON + HOUR),
        Window(NOON + HOUR, NOON + 2 * HOUR),
        Window(NOON + 2 * HOUR, NOON + 2 * HOUR + timedelta(seconds=1)),
    ]
    assert list(windows_of(NOON, NOON, RULES)[1]) == []


def test_what_is_too_long_ago_is_a_gap() -> None:
    gap, windows = windows_of(NOON - 91 * DAY, NOON, ListRules(DAY, 90 * DAY))
    assert gap == Gap(NOON - 91 * DAY, NOON - 90 * DAY)
    found = list(windows)
    assert (found[0].begins_at, found[-1].ends_at, len(found)) == (NOON - 90 * DAY, NOON, 90)
    assert windows_of(NOON - 90 * DAY, NOON, ListRules(DAY, 90 * DAY))[0] is None


# Reading ------------------------------------------------------------------------------------------------------------


async def test_the_first_reading_goes_back_a_month_and_the_next_an_overlap(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    await market.sync()
    first = there.calls(LIST)
    assert len(first) == 30
    spans = [(_moment(one["beginTime"]), _moment(one["endTime"])) for one in first]
    assert all(after[0] == before[1] for before, after in pairwise(spans))
    assert spans[-1][1] - spans[0][0] == FIRST_READING
    await market.sync()
    (second,) = there.calls(LIST)[30:]
    assert _moment(second["beginTime"]) == spans[-1][1] - OVERLAP


async def test_a_shop_that_was_away_for_days_reads_every_window(database_url: str, there: KuaishouServer) -> None:
    """Kuaishou lists six hours at most now; requests lie at both ends of a window, and in the middle of one."""
    there.longest_window = 6 * HOUR
    async with open_kuaishou_market(database_url, there, window=6 * HOUR) as market:
        cursor = market.clock() - 2 * DAY
        cursor = cursor.replace(microsecond=cursor.microsecond // 1000 * 1000)
        await market.parts.states.note(NAME, SyncState(cursor))
        begins_at = cursor - OVERLAP
        orders: list[int] = []
        for after in (timedelta(), 6 * HOUR, 12 * HOUR, 12 * HOUR + timedelta(milliseconds=1), 45 * HOUR):
            oid = there.place(buyer=f"buyer-{len(orders)}")
            refund_id = there.ask(oid)
            there.requests[refund_id]["updateTime"] = _milliseconds(begins_at + after)
            orders.append(oid)
        done = await market.sync()
        assert (done.taken, done.left, done.gap) == (5, {}, None)
        assert len(there.calls(LIST)) == 9
        for oid in orders:
            assert len((await market.order(oid)).tickets) == 1


async def test_what_cannot_be_listed_any_more_is_said(market: KuaishouMarket) -> None:
    await market.parts.states.note(NAME, SyncState(market.clock() - 100 * DAY))
    done = await market.sync()
    assert done.gap is not None
    assert timedelta(days=9) < done.gap.ends_at - done.gap.begins_at < timedelta(days=11)
    assert "cannot be listed any more" in (await market.parts.states.state(NAME)).problem
    assert (await market.sync()).gap is None


async def test_a_window_is_read_page_by_page(market: KuaishouMarket, there: KuaishouServer) -> None:
    oid = there.place()
    asked = [there.ask(oid) for _ in range(201)]
    for refund_id in asked[:-1]:
        there.withdraw(refund_id)
    there.change(asked[-1])
    await market.parts.states.note(NAME, SyncState(market.clock()))
    assert (await market.sync()).taken == 1
    pages = there.calls(LIST)
    assert [(one["currentPage"], one["pcursor"]) for one in pages] == [(1, ""), (2, "100"), (3, "200")]
    assert {one["pageSize"] for one in pages} == {100}
    assert await market.sync()
    assert len((await market.order(oid)).tickets) == 1


async def test_a_list_that_does_not_go_on_is_said(market: KuaishouMarket, there: KuaishouServer) -> None:
    there.stuck = True
    with pytest.raises(Unavailable, match="does not go on"):
        await market.sync()
    assert len(there.calls(LIST)) == 2


@pytest.mark.parametrize(("before", "found"), [(OVERLAP - timedelta(minutes=1), 1), (OVERLAP + HOUR, 0)])
async def test_a_change_that_is_listed_late_is_found_within_the_overlap(
    market: KuaishouMarket, there: KuaishouServer, before: timedelta, found: int
) -> None:
    await market.sync()
    cursor = (await market.parts.states.state(NAME)).cursor
    assert cursor is not None
    refund_id = there.ask(there.place())
    there.requests[refund_id]["updateTime"] = _milliseconds(cursor - before)
    assert (await market.sync()).taken == found


@pytest.mark.parametrize("minutes", [-9, 9])
async def test_clocks_that_differ_lose_nothing(market: KuaishouMarket, there: KuaishouServer, minutes: int) -> None:
    """Theirs is behind: the change is before our cursor. Theirs is ahead: it is listed once our clock is there."""
    there.ahead = timedelta(minutes=minutes)
    await market.sync()
    oid = there.place()
    there.ask(oid)
    await market.sync()
    await market.after(timedelta(minutes=10)).sync()
    assert len((await market.order(oid)).tickets) == 1


# What breaks off ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [LIST, DETAIL, ORDER])
async def test_a_reading_that_breaks_off_goes_on_where_it_was(
    market: KuaishouMarket, there: KuaishouServer, method: str
) -> None:
    cursor = market.clock() - 2 * DAY
    await market.parts.states.note(NAME, SyncState(cursor))
    oid = there.place()
    refund_id = there.ask(oid)
    there.faults[method] = [Fault.PAGE]
    with pytest.raises(Unavailable):
        await market.sync()
    state = await market.parts.states.state(NAME)
    assert state.cursor is not None
    assert cursor <= state.cursor <= _moment(there.requests[refund_id]["updateTime"])
    assert state.synced_at is None
    assert (await market.sync()).taken == 1


async def test_an_order_that_cannot_be_read_leaves_its_request_to_the_shop_and_stops_nothing(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    closed, gone, good = (there.place(buyer=name) for name in ("a", "b", "c"))
    asked = {oid: str(there.ask(oid)) for oid in (closed, gone, good)}
    there.orders[closed]["orderBaseInfo"]["status"] = 80
    del there.orders[gone]
    done = await market.sync()
    assert done.taken == 1
    assert set(done.left) == {asked[closed], asked[gone]}
    assert len((await market.order(good)).tickets) == 1


async def test_a_request_without_an_amount_is_left_to_the_shop(market: KuaishouMarket, there: KuaishouServer) -> None:
    refund_id = there.ask(there.place(), fen=0)
    assert "no amount" in (await market.sync()).left[str(refund_id)]


async def test_an_order_that_cannot_be_recorded_whole_is_not_decided(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    """Another order of this number is another buyer's here."""
    oid = there.place(buyer="ann")
    await market.jitui.paid_order("somebody-else", str(oid), now=market.clock())
    refund_id = there.ask(oid)
    done = await market.sync()
    assert (done.taken, list(done.left)) == (0, [str(refund_id)])
    assert (await market.order(oid)).tickets == ()
