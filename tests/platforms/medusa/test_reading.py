"""How orders are found and read, and what is said where they cannot be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.medusa.opening import open_medusa
from jitui.adapters.platforms.medusa.orders import MedusaOrders
from jitui.adapters.postgres.platform_states import PostgresPlatformStates
from jitui.aftersales.platform import CallFailed, PlatformOrder
from jitui.aftersales.provider import CallTrouble
from jitui.errors import Unavailable
from tests.platforms.market import ShopMarket
from tests.platforms.medusa.shop import Medusa, admin, books, edit, lines_in, place


@pytest.fixture
async def reader(medusa: Medusa) -> AsyncIterator[MedusaOrders]:
    """A reader that has read nothing yet."""
    async with AsyncExitStack() as stack:
        yield (await open_medusa(PlatformAccess(medusa.url, medusa.token, 20), stack))[0]


async def test_an_order_is_found_by_its_number(reader: MedusaOrders, medusa: Medusa) -> None:
    bought = await place(medusa, "ann", [("cup", 2)])
    found = await reader.find_order(bought.number)
    assert isinstance(found, PlatformOrder)
    assert (found.order_id, found.platform_id, found.currency) == (bought.number, bought.there, "CNY")
    assert [(line.sku, line.quantity, line.paid_minor) for line in found.lines] == [("cup", 2, 7980)]
    assert found.freight_minor == 500
    assert [paid.amount_minor for paid in found.payments] == [8480]
    assert await reader.contact_address(bought.number) == "ann@example.com"


@pytest.mark.parametrize("number", ["99999", "0", "-1", "", " ", "1 2", "#1", "%", "order_1", "ann@example.com"])
async def test_what_is_no_number_finds_nothing(reader: MedusaOrders, medusa: Medusa, number: str) -> None:
    await place(medusa, "ann")
    assert await reader.find_order(number) is None
    assert await reader.contact_address(number) is None


async def test_a_number_that_many_addresses_have_is_found(reader: MedusaOrders, medusa: Medusa) -> None:
    """The search looks into addresses too: "1 Long Road" is in all of them. Behind it, the numbers are bisected."""
    bought = [await place(medusa, "ann", captured=False) for _ in range(2)]
    for one in bought:
        assert await reader._bisect(int(one.number)) == one.there
    assert await reader._bisect(int(bought[-1].number) + 1) is None


async def test_read_orders_leaves_out_what_is_not_there(reader: MedusaOrders, medusa: Medusa) -> None:
    one, other = await place(medusa, "ann"), await place(medusa, "bob")
    found = await reader.read_orders([one.number, "99999", other.number])
    assert {order.order_id for order in found} == {one.number, other.number}
    assert await reader.read_orders([]) == []


async def test_pages_lose_no_order_that_changes_meanwhile(reader: MedusaOrders, medusa: Medusa) -> None:
    began = datetime.now(UTC)
    bought = [await place(medusa, f"page{number}", captured=False) for number in range(3)]
    order = await books(medusa, bought[0])
    await edit(medusa, bought[0], {lines_in(order)["cup"]: 3})
    found = [order async for page in reader.changed_since(began, timedelta(0)) for order in page]
    assert {order.order_id for order in found} == {one.number for one in bought}
    assert found[-1].order_id == bought[0].number, "the oldest change comes first"
    assert [order.changed_at for order in found] == sorted(order.changed_at for order in found)
    late = [order async for page in reader.changed_since(datetime.now(UTC), timedelta(0)) for order in page]
    assert late == []
    again = [order async for page in reader.changed_since(datetime.now(UTC), timedelta(minutes=30)) for order in page]
    assert {one.number for one in bought} <= {order.order_id for order in again}, "the overlap is read"


async def test_a_draft_is_no_order(reader: MedusaOrders, medusa: Medusa) -> None:
    item = {"title": "A bowl", "unit_price": 20, "quantity": 1}
    made = {"region_id": medusa.region, "email": "ann@example.com", "items": [item], "shipping_methods": []}
    draft = (await admin(medusa, "POST", "draft-orders", made))["draft_order"]
    assert await reader.find_order(str(draft["display_id"])) is None


async def test_a_second_reading_from_the_start_changes_nothing(market: ShopMarket, medusa: Medusa) -> None:
    bought = [await place(medusa, f"again{number}") for number in range(2)]
    await edit(medusa, bought[1], {lines_in(await books(medusa, bought[1]))["cup"]: 2})
    await market.sync()
    known = [await market.order(one.number) for one in bought]
    assert isinstance(market.states, PostgresPlatformStates)
    await market.states.forget("medusa")
    again = await market.sync()
    assert again.read >= 2
    assert not again.refused
    assert [await market.order(one.number) for one in bought] == known


# What is wrong ------------------------------------------------------------------------------------------------------


async def test_it_says_what_is_wrong(medusa: Medusa, reader: MedusaOrders) -> None:
    assert await reader.check() is None
    for url, token, said, trouble in (
        (medusa.url, "sk_wrong", "does not take the key", CallTrouble.UNAUTHORISED),
        (medusa.url, medusa.store_key, "does not take the key", CallTrouble.UNAUTHORISED),
        (f"{medusa.url}/store", medusa.token, "is not the admin interface", CallTrouble.UNREADABLE),
        ("http://127.0.0.1:9", medusa.token, "Check the address", CallTrouble.UNREACHABLE),
        ("not-an-address", medusa.token, "Check the address", CallTrouble.UNREACHABLE),
    ):
        async with AsyncExitStack() as stack:
            orders, _ = await open_medusa(PlatformAccess(url, token, 20), stack)
            told = await orders.check()
            assert told is not None and said in told, (url, told)
            assert token not in told
            found = await orders.find_order("1")
            assert isinstance(found, CallFailed) and found.trouble is trouble
            with pytest.raises(Unavailable, match=said):
                await orders.contact_address("1")
            with pytest.raises(Unavailable, match=said):
                await orders.read_orders(["1"])
