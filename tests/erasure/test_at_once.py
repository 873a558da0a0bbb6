"""Two erasures, an erasure beside what runs, and one whose process is killed: on real connections."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine

import psycopg
import pytest

from jitui.adapters.postgres.appeals import PostgresAppeals
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.governance.appeals import new_appeal
from jitui.aftersales.governance.erasure import Erased, ErasurePending, PendingKind
from jitui.aftersales.governance.registry import Restriction
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.ids import lane_of, new_id
from tests.aftersales.market import NOW, Market
from tests.erasure.life import ACCOUNT, BUYER, LATER, PLANTED, a_life, erase, erased, everywhere, rows
from tests.race.locks import another, wait_for_a_lock

BUYERS_LOCK = "SELECT 1 FROM buyer WHERE buyer_id = %s FOR UPDATE"


async def test_of_two_erasures_at_once_one_erases_and_the_other_finds_it_done(
    market: Market, database_url: str
) -> None:
    await a_life(market)
    async with another(database_url) as holder:
        await holder.execute(BUYERS_LOCK, [BUYER])
        both = [asyncio.create_task(erase(market)) for _ in range(2)]
        assert await wait_for_a_lock(database_url, *both)
    done = await asyncio.gather(*both)
    assert sorted(one.again for one in done if isinstance(one, Erased)) == [False, True]
    assert rows(database_url, "SELECT count(*) FROM audit_event WHERE action = 'buyer.erased'") == [(1,)]
    assert len(rows(database_url, "SELECT 1 FROM buyer WHERE erased")) == 1


async def test_two_erasures_of_somebody_without_a_row_take_turns_too(market: Market, database_url: str) -> None:
    await market.registry.restrict(Restriction(new_id(lane_of(BUYER)), BUYER, "because", NOW, None, "risk"))
    async with another(database_url) as feed:
        await feed.execute("SELECT pg_advisory_xact_lock(7405102)")
        both = [asyncio.create_task(erase(market)) for _ in range(2)]
        assert await wait_for_a_lock(database_url, *both)
        await feed.rollback()
    done = await asyncio.gather(*both)
    assert sorted(one.again for one in done if isinstance(one, Erased)) == [False, True]
    assert rows(database_url, "SELECT count(*) FROM audit_event WHERE action = 'buyer.erased'") == [(1,)]


async def test_an_appeal_that_waits_for_an_erasure_finds_no_restriction_of_that_buyer(
    market: Market, database_url: str
) -> None:
    restriction_id = new_id(lane_of(BUYER))
    await market.registry.restrict(Restriction(restriction_id, BUYER, "because", NOW, None, "risk"))
    async with another(database_url) as feed:
        await feed.execute("SELECT pg_advisory_xact_lock(7405102)")
        erasing = asyncio.create_task(erase(market))
        assert await wait_for_a_lock(database_url, erasing)
        appeal = new_appeal(restriction_id, BUYER, "Mine.", now=NOW, answer_days=15)
        opening = asyncio.create_task(PostgresAppeals(market.pool).open(appeal))
        assert await wait_for_a_lock(database_url, erasing, opening)
        await feed.rollback()
    assert isinstance(await erasing, Erased)
    refused = await opening
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.NOT_FOUND
    assert rows(database_url, "SELECT 1 FROM appeal") == []


async def test_a_request_that_came_first_holds_the_erasure_up(market: Market, database_url: str) -> None:
    """Its ticket is there when the erasure looks."""
    await market.premium_buyer(BUYER)
    await market.paid_order(BUYER, "o-1")
    async with another(database_url) as holder:
        await holder.execute("SELECT 1 FROM orders WHERE order_id = 'o-1' FOR UPDATE")
        asking = asyncio.create_task(market.ask(BUYER, "o-1"))  # has the buyer, waits for the order
        assert await wait_for_a_lock(database_url, asking)
        erasing = asyncio.create_task(erase(market, now=LATER))
        assert await wait_for_a_lock(database_url, asking, erasing)
    assert isinstance(await asking, Executed)
    done = await erasing
    assert isinstance(done, ErasurePending)
    assert PendingKind.REFUND in {one.kind for one in done.pending}


async def test_a_request_that_came_later_finds_the_erased_buyers_order_and_locks_the_new_buyer(
    market: Market, database_url: str
) -> None:
    await market.premium_buyer(BUYER)
    ref = await market.paid_order(BUYER, "o-1")
    async with another(database_url) as feed, market.store.transaction() as transaction:
        await feed.execute("SELECT pg_advisory_xact_lock(7405102)")  # the erasure waits, its locks in hand
        erasing = asyncio.create_task(erase(market))
        assert await wait_for_a_lock(database_url, erasing)
        opening = asyncio.create_task(transaction.open(ref))
        assert await wait_for_a_lock(database_url, erasing, opening)
        await feed.rollback()
        assert isinstance(await erasing, Erased)
        opened = await opening
        assert opened.snapshot is not None and opened.snapshot.buyer.erased
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await feed.execute("SELECT 1 FROM buyer WHERE erased FOR UPDATE NOWAIT")


HELD_UP = pytest.mark.parametrize(
    "held",
    ["SELECT 1 FROM orders WHERE order_id = 'o-1' FOR UPDATE", "SELECT pg_advisory_xact_lock(7405102)"],
    ids=["with-the-buyer-locked", "with-the-buyer-deleted"],
)


async def _beside_an_erasure(
    market: Market, database_url: str, held: str, meanwhile: Coroutine[object, object, object]
) -> object:
    """What `meanwhile` came to: it begins while an erasure is held up in its middle, and waits for it."""
    await market.premium_buyer(BUYER)
    await market.paid_order(BUYER, "o-1")
    async with another(database_url) as feed:
        await feed.execute(held.encode())
        erasing = asyncio.create_task(erase(market))
        assert await wait_for_a_lock(database_url, erasing)
        beside = asyncio.create_task(meanwhile)
        assert await wait_for_a_lock(database_url, erasing, beside)
        await feed.rollback()
    assert isinstance(await erasing, Erased)
    return await beside


@HELD_UP
async def test_an_order_that_is_put_meanwhile_is_refused_and_leaves_no_buyer(
    market: Market, database_url: str, held: str
) -> None:
    refused = await _beside_an_erasure(market, database_url, held, _put_again(market))
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.BUYER_ERASED
    assert everywhere(database_url, BUYER) == []


async def _put_again(market: Market) -> object:
    from jitui.aftersales.commands.intake import put_order
    from jitui.aftersales.model.order import OrderLine
    from jitui.aftersales.ports import NewOrder

    lines = (OrderLine("l1", "sku-1", "item-1", 1, 12900, "apparel", customised=False, virtual=False),)
    return await put_order(market.store, NewOrder("o-1", BUYER, "shop-1", "CNY", NOW, lines), now=LATER)


@HELD_UP
async def test_events_that_are_told_meanwhile_belong_to_a_buyer_who_begins_anew(
    market: Market, database_url: str, held: str
) -> None:
    event = RecordBuyerEvent(BUYER, "late", "order_paid", NOW, LATER)
    recorded = await _beside_an_erasure(market, database_url, held, market.registry.record_buyer_events([event]))
    assert recorded == 0, "it happened before the erasure"
    found = rows(database_url, "SELECT history_from, erased FROM buyer WHERE buyer_id = %s", BUYER)
    assert found == [(LATER, False)]
    assert rows(database_url, "SELECT count(*) FROM buyer_event") == [(0,)]


async def test_many_at_once_with_everything_that_publishes_and_reads(market: Market, database_url: str) -> None:
    buyers = [f"buyer-{number}" for number in range(12)]
    for buyer in buyers:
        await market.premium_buyer(buyer)
        await market.paid_order(buyer, f"order-{buyer}")

    async def publish() -> None:
        for _ in range(20):
            await market.feed.events(0, 100)

    done = await asyncio.gather(*(erase(market, buyer) for buyer in buyers * 2), publish(), publish())
    assert sum(isinstance(one, Erased) and not one.again for one in done) == len(buyers)
    assert everywhere(database_url, *(f'{buyer}"' for buyer in buyers)) == []
    assert rows(database_url, "SELECT count(*) FROM buyer WHERE NOT erased") == [(0,)]


WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def test_a_sign_in_at_the_same_moment_waits_for_nobody_who_waits_for_it(
    market: Market, database_url: str
) -> None:
    """Both write the audit log; the erasure has the account before it has the log's end."""
    await a_life(market)
    async with another(database_url) as signing_in:
        await signing_in.execute("SELECT 1 FROM console_person WHERE name = %s FOR KEY SHARE", [ACCOUNT])
        erasing = asyncio.create_task(erase(market))
        assert await wait_for_a_lock(database_url, erasing)
        await signing_in.execute(
            "SELECT append_named_audit(now(), %s, 'person.signed_in', %s, '{}')", [ACCOUNT, ACCOUNT]
        )
        await signing_in.commit()
    assert isinstance(await erasing, Erased)


KILLED = """
import asyncio, sys
from datetime import date, datetime
from jitui.adapters.postgres.personal_data import PostgresPersonalData
from jitui.adapters.postgres.pool import make_pool

async def main():
    async with make_pool(sys.argv[1], max_size=1) as pool:
        await PostgresPersonalData(pool).erase(
            sys.argv[2], by="killed", now=datetime.fromisoformat(sys.argv[3]), keep_until=date(2027, 12, 1))

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "held",
    [
        "SELECT 1 FROM idempotency FOR UPDATE",
        "SELECT 1 FROM change FOR UPDATE",
        "SELECT 1 FROM audit_head FOR UPDATE",
        "SELECT 1 FROM api_key FOR UPDATE",
    ],
    ids=["rows-are-moved", "feed-is-emptied", "log-is-written", "keys-are-revoked"],
)
async def test_a_killed_process_has_erased_nothing_and_another_one_erases_all(
    market: Market, database_url: str, held: str
) -> None:
    await a_life(market)
    before = everywhere(database_url, BUYER, PLANTED)
    with psycopg.connect(database_url) as holder:
        holder.execute(held.encode())
        command = [sys.executable, "-c", KILLED, database_url, BUYER, LATER.isoformat()]
        process = await asyncio.create_subprocess_exec(*command)
        while rows(database_url, WAITING) == [(0,)]:
            assert process.returncode is None
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        holder.rollback()
    assert everywhere(database_url, BUYER, PLANTED) == before
    await erased(market)
    assert everywhere(database_url, BUYER, PLANTED) == []
    assert lane_of(BUYER) == rows(database_url, "SELECT lane FROM buyer WHERE erased")[0][0]


async def test_a_worker_that_copies_tickets_beside_an_erasure_brings_no_id_back(
    market: Market, database_url: str
) -> None:
    await a_life(market)
    async with another(database_url) as holder:  # a worker between its lock and its commit
        await holder.execute("SELECT pg_advisory_xact_lock(7405107)")
        erasing = asyncio.create_task(erase(market))
        assert await wait_for_a_lock(database_url, erasing)
        copying = asyncio.create_task(market.ticket_list.fill())
        assert await wait_for_a_lock(database_url, erasing, copying)
    assert isinstance(await erasing, Erased)
    await copying
    assert [hit for hit in everywhere(database_url, BUYER) if hit.table == "ticket_list"] == []
    assert rows(database_url, "SELECT count(*) FROM ticket_list l JOIN ticket t USING (lane, ticket_id, buyer_id)") == (
        rows(database_url, "SELECT count(*) FROM ticket")
    )
