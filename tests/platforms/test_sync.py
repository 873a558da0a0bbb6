"""Reading a platform again and again: what changed at once, what it does not tell by a time every few minutes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from jitui.adapters.postgres.platform_connections import PostgresPlatformConnections
from jitui.adapters.postgres.platform_states import PostgresPlatformStates
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.operations.platform_sync import OVERLAP, WATCHED_AT_ONCE, WATCHED_EVERY, Synced, sync_platform
from jitui.aftersales.platform import PlatformOrder, UnreadableOrder
from jitui.errors import Unavailable
from tests.aftersales.market import NOW, Market, open_market
from tests.platforms.shop import ORDER, MemoryShop


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    async with open_market(database_url) as opened:
        yield opened


class PagedShop(MemoryShop):
    """Tells orders by the time of their change, one in a page; shipping moves no time."""

    since: datetime | None = None
    breaks_after: int = 99

    async def changed_since(
        self, cursor: datetime | None, overlap: timedelta
    ) -> AsyncIterator[list[PlatformOrder | UnreadableOrder]]:
        self.since = None if cursor is None else cursor - overlap
        told = 0
        for order in sorted(self.orders.values(), key=lambda one: one.changed_at):
            if self.since is None or order.changed_at > self.since:
                if told == self.breaks_after:
                    raise Unavailable("The shop does not answer.")
                told += 1
                yield [order]


def order(number: int, changed_at: datetime) -> PlatformOrder:
    payments = (replace(ORDER.payments[0], payment_id=f"p{number}"),)
    return replace(ORDER, order_id=f"S-{number}", changed_at=changed_at, payments=payments)


def shop_of(count: int) -> PagedShop:
    placed = ORDER.placed_at
    return PagedShop(orders={f"S-{n}": order(n, placed + timedelta(minutes=n)) for n in range(1, count + 1)})


def settings_of(market: Market) -> Callable[[], Awaitable[DecisionSettings]]:
    async def settings() -> DecisionSettings:
        return replace(market.decision_settings, providers=frozenset({"memory"}))

    return settings


async def sync(market: Market, shop: MemoryShop, now: datetime = NOW, *, whole: bool = False) -> Synced:
    states = PostgresPlatformStates(market.pool)
    return await sync_platform(market.store, states, shop, settings_of(market), "shop-1", now=now, whole=whole)


async def shipped(market: Market, order_id: str) -> bool:
    ref = await market.store.find_order(order_id)
    assert ref is not None
    found = await market.store.read_order(ref)
    assert found is not None
    return bool(found.shipments)


async def test_a_second_reading_begins_before_the_cursor_and_changes_nothing(market: Market) -> None:
    shop = shop_of(3)
    assert (await sync(market, shop)).refused == {}
    states = PostgresPlatformStates(market.pool)
    state = await states.state("memory")
    assert (state.cursor, state.synced_at, state.watched_at) == (shop.orders["S-3"].changed_at, NOW, NOW)
    await sync(market, shop)
    assert shop.since == shop.orders["S-3"].changed_at - OVERLAP
    assert await states.state("memory") == state


async def test_a_reading_that_breaks_off_goes_on_where_it_was(market: Market) -> None:
    shop = shop_of(30)
    shop.breaks_after = 20
    with pytest.raises(Unavailable):
        await sync(market, shop)
    states = PostgresPlatformStates(market.pool)
    assert (await states.state("memory")).cursor == shop.orders["S-20"].changed_at
    assert (await states.state("memory")).synced_at is None, "it did not come to its end"
    shop.breaks_after = 99
    done = await sync(market, shop)
    assert shop.since == shop.orders["S-20"].changed_at - OVERLAP
    assert [n for n in range(1, 31) if await market.store.find_order(f"S-{n}") is None] == []
    assert done.refused == {}


async def test_what_moves_no_time_is_read_every_few_minutes(market: Market) -> None:
    shop = shop_of(1)
    shop.orders["S-2"] = order(2, NOW + timedelta(hours=1))  # the cursor is far ahead of S-1
    await sync(market, shop)
    shop.ship()
    await sync(market, shop, NOW + WATCHED_EVERY - timedelta(microseconds=1))
    assert not await shipped(market, "S-1")
    await sync(market, shop, NOW + WATCHED_EVERY)
    assert await shipped(market, "S-1")


async def test_a_person_who_asks_reads_everything(market: Market) -> None:
    shop = shop_of(1)
    shop.orders["S-2"] = order(2, NOW + timedelta(hours=1))
    await sync(market, shop)
    shop.ship()
    await sync(market, shop, whole=True)
    assert await shipped(market, "S-1")


async def test_progress_is_told_page_by_page(market: Market) -> None:
    shop, told = shop_of(3), list[tuple[int, datetime | None]]()
    await sync_platform(
        market.store,
        PostgresPlatformStates(market.pool),
        shop,
        settings_of(market),
        "shop-1",
        now=NOW,
        progress=lambda done, cursor: told.append((done.read, cursor)),
    )
    assert told[:3] == [(n, shop.orders[f"S-{n}"].changed_at) for n in (1, 2, 3)]


async def test_a_deleted_order_keeps_what_is_known_of_it(market: Market) -> None:
    """Whoever asks for it back is read the platform's answer at that moment, not this."""
    shop = shop_of(2)
    await sync(market, shop)
    del shop.orders["S-1"]
    assert (await sync(market, shop, whole=True)).refused == {}
    assert await market.store.find_order("S-1") is not None


# Hints of webhooks ----------------------------------------------------------------------------------------------------

MOMENT = timedelta(microseconds=1)


async def test_an_order_that_a_webhook_names_is_read_first_and_once(market: Market) -> None:
    shop, states = shop_of(2), PostgresPlatformStates(market.pool)
    await sync(market, shop)
    shop.ship()
    for earlier in (2, 1):
        await states.note_hint("memory", "S-1", NOW - earlier * MOMENT)
    await states.note_hint("memory", "S-404", NOW)
    for order_id in ("S-1", "S-2"):
        await states.note_hint("another", order_id, NOW)
    with pytest.raises(Unavailable):
        await sync(market, Told(shop.orders))
    assert await shipped(market, "S-1")
    assert await states.hints("memory", NOW, 9) == []
    assert [hint.order_id for hint in await states.hints("another", NOW, 9)] == ["S-1", "S-2"]


class Told(PagedShop):
    """Reads orders by their ids, and tells no changes."""

    def __init__(self, orders: dict[str, PlatformOrder]) -> None:
        super().__init__(orders=orders)

    def changed_since(
        self, cursor: datetime | None, overlap: timedelta
    ) -> AsyncIterator[list[PlatformOrder | UnreadableOrder]]:
        raise Unavailable("The shop tells no changes.")


async def test_a_hint_stays_until_its_order_was_read(market: Market) -> None:
    """While the platform is down, and where a webhook named the order again while it was read."""
    shop, states = shop_of(1), PostgresPlatformStates(market.pool)
    await states.note_hint("memory", "S-1", NOW - MOMENT)

    class Down(Told):
        async def read_orders(self, order_ids: Sequence[str]) -> list[PlatformOrder | UnreadableOrder]:
            raise Unavailable("The shop does not answer.")

    with pytest.raises(Unavailable):
        await sync(market, Down(shop.orders))
    assert [hint.order_id for hint in await states.hints("memory", NOW, 9)] == ["S-1"]

    class Named(PagedShop):
        async def read_orders(self, order_ids: Sequence[str]) -> list[PlatformOrder | UnreadableOrder]:
            await states.note_hint("memory", "S-1", NOW + MOMENT)
            return await super().read_orders(order_ids)

    await sync(market, Named(orders=shop.orders))
    assert await states.hints("memory", NOW, 9) == []
    (left,) = await states.hints("memory", NOW + MOMENT, 9)
    assert (left.order_id, left.hinted_at) == ("S-1", NOW + MOMENT)


async def test_a_late_webhook_moves_no_hint_back(market: Market) -> None:
    states = PostgresPlatformStates(market.pool)
    for at in (NOW, NOW - MOMENT):
        await states.note_hint("memory", "S-1", at)
    assert await states.hints("memory", NOW - MOMENT, 9) == []


async def test_more_hints_than_are_read_at_once(market: Market) -> None:
    shop, states = shop_of(0), PostgresPlatformStates(market.pool)
    for number in range(WATCHED_AT_ONCE + 1):
        await states.note_hint("memory", f"S-{number}", NOW)
    await sync(market, shop)
    assert await states.hints("memory", NOW, 9) == []


async def test_hints_go_with_the_connection(market: Market) -> None:
    states = PostgresPlatformStates(market.pool)
    for name in ("memory", "another"):
        await states.note_hint(name, "S-1", NOW)
    await PostgresPlatformConnections(market.pool).remove("memory", by="test", now=NOW)
    assert await states.hints("memory", NOW, 9) == []
    assert len(await states.hints("another", NOW, 9)) == 1


async def test_an_order_that_is_read_twice_counts_once(market: Market) -> None:
    """The watched orders are read besides those that changed."""
    shop = shop_of(5)
    done = await sync(market, shop, whole=True)
    assert (done.read, done.ids) == (5, {f"S-{n}" for n in range(1, 6)})
    assert (await sync(market, shop, NOW + timedelta(seconds=1), whole=True)).read == 5


def test_what_was_taken_in_at_last_is_not_refused() -> None:
    done = Synced()
    done.add("S-1", ["not yet"])
    done.add("S-2", ["no"])
    assert (done.read, set(done.refused)) == (2, {"S-1", "S-2"})
    done.add("S-1", [])
    assert (done.read, done.refused) == (2, {"S-2": "no"})


async def test_an_order_of_another_shop_says_which_shop_to_connect_for(market: Market) -> None:
    shop, states = shop_of(1), PostgresPlatformStates(market.pool)
    await sync(market, shop)
    done = await sync_platform(market.store, states, shop, settings_of(market), "another", now=NOW)
    assert "recorded for the shop shop-1" in done.refused["S-1"]
    assert "connect it with --shop shop-1" in done.refused["S-1"]
