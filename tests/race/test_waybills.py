"""Of two merchants who enter one number for two buyers at once, one is refused, and nothing of it is written."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.model.order import ShipmentSource
from jitui.aftersales.outcomes import Refusal, RefusalCode
from tests.aftersales.market import Market
from tests.race.locks import another, wait_for_a_lock

TAKE = (
    "INSERT INTO waybill_directory (waybill, lane, buyer_id, told_by, claimed_at) "
    "VALUES ('sf77', 1, 'another', 'merchant', '2026-06-01T12:00:00Z')"
)


@pytest.mark.parametrize("commits", [True, False])
async def test_a_ship_command_waits_for_a_claim_on_the_way(market: Market, database_url: str, commits: bool) -> None:
    ref = await market.paid_order("b-1", "o-1")
    async with another(database_url) as other:
        await other.execute(TAKE)
        shipping = asyncio.create_task(market.ship(ref, tracking_no="SF77"))
        assert await wait_for_a_lock(database_url, shipping)
        await (other.commit() if commits else other.rollback())
        done = await shipping
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    if not commits:
        assert isinstance(done, Executed) and len(snapshot.shipments) == 1
        return
    assert isinstance(done, Refusal) and done.code is RefusalCode.WAYBILL_OF_ANOTHER_BUYER
    assert snapshot.shipments == () and snapshot.lines[0].shipped_quantity == 0


async def test_a_scan_waits_for_it_too_and_is_recorded(market: Market, database_url: str) -> None:
    ref = await market.paid_order("b-1", "o-1")
    async with another(database_url) as other:
        await other.execute(TAKE)
        scan = asyncio.create_task(market.ship(ref, tracking_no="SF77", source=ShipmentSource.CARRIER))
        assert await wait_for_a_lock(database_url, scan)
        await other.commit()
        assert isinstance(await scan, Executed)


async def test_of_many_at_once_one_has_the_number(market: Market) -> None:
    refs = [await market.paid_order(f"b-{number}", f"o-{number}") for number in range(12)]
    done = await asyncio.gather(*(market.ship(ref, tracking_no="SF77") for ref in refs))
    assert sum(isinstance(one, Executed) for one in done) == 1
    codes = {one.code for one in done if isinstance(one, Refusal)}
    assert codes == {RefusalCode.WAYBILL_OF_ANOTHER_BUYER}
    async with market.pool.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM shipment")).fetchone()
    assert row == (1,)


async def test_the_database_itself_refuses_a_claim_that_is_replaced_too_soon(market: Market) -> None:
    await market.ship(await market.paid_order("b-1", "o-1"), tracking_no="SF77")
    async with market.pool.connection() as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="waybill_of_one_buyer"):
            await connection.execute(
                "UPDATE waybill_directory SET buyer_id = 'b-2', replaced_claim_at = claimed_at, "
                "claimed_at = claimed_at + interval '179 days'"
            )
