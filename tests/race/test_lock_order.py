"""Every transaction locks the buyer before the order, so that there are no deadlocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.intake import put_order
from jitui.aftersales.model.order import OrderLine
from jitui.aftersales.model.ticket import Ticket
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import AttemptRef, ClaimedRefund, NewOrder, OrderRef, OrderTaken, Ref, RefundRef, TicketRef
from tests.aftersales.market import NOW, Market
from tests.known_bugs.steps import claim
from tests.race.locks import another, wait_for_a_lock

REFS: dict[str, Callable[[OrderRef, Ticket, ClaimedRefund], Ref]] = {
    "order": lambda ref, ticket, claimed: ref,
    "ticket": lambda ref, ticket, claimed: TicketRef(ref.lane, ticket.ticket_id),
    "refund": lambda ref, ticket, claimed: RefundRef(ref.lane, claimed.refund.refund_id),
    "attempt": lambda ref, ticket, claimed: AttemptRef(ref.lane, claimed.attempt.attempt_id),
}
LOCK_BUYER = "SELECT 1 FROM buyer WHERE lane = %s AND buyer_id = 'b-1' FOR UPDATE"
TRY_ORDER = "SELECT 1 FROM orders WHERE lane = %s AND order_id = 'o-1' FOR UPDATE NOWAIT"


def order_of(buyer_id: str, amount_minor: int = 9000) -> NewOrder:
    line = OrderLine("l1", "sku-1", "item-1", 1, amount_minor, "apparel", customised=False, virtual=False)
    return NewOrder("o-1", buyer_id, "shop-1", "CNY", NOW, (line,))


@pytest.mark.parametrize("named_by", REFS)
async def test_a_command_that_waits_for_the_buyer_holds_no_order(
    market: Market, database_url: str, named_by: str
) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1")
    ticket = await market.asked(buyer, "o-1")
    (claimed,) = await claim(market)

    async def opened() -> object:
        async with market.store.transaction() as transaction:
            return (await transaction.open(REFS[named_by](ref, ticket, claimed))).snapshot

    async with another(database_url) as other:
        await other.execute(LOCK_BUYER, (ref.lane,))
        opening = asyncio.create_task(opened())
        assert await wait_for_a_lock(database_url, opening), "it went past the buyer's lock"
        await other.execute(TRY_ORDER, (ref.lane,))
        await other.rollback()
        assert await opening is not None


async def test_an_order_put_again_waits_for_the_buyer_and_holds_no_order(market: Market, database_url: str) -> None:
    taken = await put_order(market.store, order_of("b-1"), now=NOW)
    assert isinstance(taken, OrderTaken)
    async with another(database_url) as other:
        await other.execute(LOCK_BUYER, (taken.ref.lane,))
        putting = asyncio.create_task(put_order(market.store, order_of("b-1", 8000), now=NOW))
        assert await wait_for_a_lock(database_url, putting), "it went past the buyer's lock"
        await other.execute(TRY_ORDER, (taken.ref.lane,))
        await other.rollback()
        assert isinstance(await putting, OrderTaken)


@pytest.mark.parametrize("first", ["put", "ask"])
async def test_putting_an_order_and_asking_for_its_refund_cannot_wait_for_one_another(
    market: Market, database_url: str, first: str
) -> None:
    """Both stand in the queue for the buyer, whichever came first, when the buyer becomes free."""
    buyer = await market.premium_buyer("b-1")
    taken = await put_order(market.store, order_of(buyer), now=NOW)
    assert isinstance(taken, OrderTaken)
    acts: dict[str, Callable[[], Coroutine[None, None, object]]] = {
        "put": lambda: put_order(market.store, order_of(buyer, 8000), now=NOW),
        "ask": lambda: market.ask(buyer, "o-1"),
    }
    async with another(database_url) as other:
        await other.execute(LOCK_BUYER, (taken.ref.lane,))
        tasks: list[asyncio.Task[object]] = []
        for name in sorted(acts, key=lambda name: name != first):
            tasks.append(asyncio.create_task(acts[name]()))
            assert await wait_for_a_lock(database_url, *tasks)
        await other.rollback()
        done = await asyncio.gather(*tasks)
    (refused,) = [outcome for outcome in done if isinstance(outcome, Refusal)]
    assert refused.code is RefusalCode.ORDER_NOT_PAID
    assert [outcome for outcome in done if isinstance(outcome, OrderTaken)] == [OrderTaken(taken.ref, created=False)]


async def test_events_that_are_imported_wait_for_a_decision_about_their_buyer(
    market: Market, database_url: str
) -> None:
    """What a decision has read stays as it was read until the decision stands."""
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1")
    lost = RecordBuyerEvent(buyer, "dispute-1", "dispute_lost", NOW, NOW)
    async with another(database_url) as deciding:
        await deciding.execute(LOCK_BUYER, (ref.lane,))
        importing = asyncio.create_task(market.registry.record_buyer_events([lost]))
        assert await wait_for_a_lock(database_url, importing), "it was imported beside the decision"
        await deciding.rollback()
        assert await importing == 1


async def test_an_event_and_its_retraction_imported_at_once_count_nothing(market: Market, database_url: str) -> None:
    """Neither sees the other's row before it commits: under the buyer's lock they come one after the other."""
    buyer = await market.premium_buyer("b-1")
    event = RecordBuyerEvent(buyer, "refund-1", "refund_before_shipment", NOW, NOW)
    retraction = RecordBuyerEvent(buyer, "back-1", "refund_before_shipment", NOW, NOW, retracts="refund-1")
    await market.registry.record_buyer_events([RecordBuyerEvent(buyer, "refund-0", event.kind, NOW, NOW)])
    async with another(database_url) as other:
        await other.execute("SELECT 1 FROM buyer_day WHERE buyer_id = %s AND kind = %s FOR UPDATE", (buyer, event.kind))
        first = asyncio.create_task(market.registry.record_buyer_events([event]))
        assert await wait_for_a_lock(database_url, first)
        second = asyncio.create_task(market.registry.record_buyer_events([retraction]))
        await wait_for_a_lock(database_url, first, second)
        await other.rollback()
        assert [await first, await second] == [1, 1]
        row = await (
            await other.execute("SELECT events FROM buyer_day WHERE buyer_id = %s AND kind = %s", (buyer, event.kind))
        ).fetchone()
    assert row == (1,), "the earlier event alone"
