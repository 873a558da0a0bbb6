"""Pseudonyms: an HMAC with a key of the buyer's own, made once, on the feed and in the audit log from then on."""

from __future__ import annotations

import asyncio
import hashlib
import hmac

import psycopg

from jitui.adapters.postgres.audit import PostgresAuditLog
from jitui.adapters.postgres.migrate import upgrade
from jitui.adapters.postgres.people import PostgresPeople
from jitui.aftersales.governance.registry import Restriction
from jitui.aftersales.model.ticket import TicketState
from jitui.identity.audit import AuditAction, verify
from jitui.ids import lane_of, new_id
from tests.aftersales.market import NOW, Market
from tests.erasure.life import ACCOUNT, BUYER, erased, personal_data, rows, signs_in


async def test_it_is_an_hmac_and_the_digest_of_an_erasure_too(market: Market, database_url: str) -> None:
    for buyer in (BUYER, "买家-7"):
        await market.premium_buyer(buyer)
        await market.paid_order(buyer, f"o-{buyer}")
        ((key, pseudonym),) = rows(
            database_url, "SELECT key, pseudonym FROM buyer_pseudonym WHERE buyer_id = %s", buyer
        )
        assert len(key) == 32
        assert pseudonym == f"bp_{hmac.new(key, buyer.encode(), hashlib.sha256).hexdigest()[:32]}"
        assert await personal_data(market).pseudonym_of(buyer) == pseudonym
    ((secret,),) = rows(database_url, "SELECT secret FROM installation_secret WHERE name = 'erasure digest'")
    await erased(market)
    ((lane, digest),) = rows(database_url, "SELECT lane, digest FROM erased_buyer")
    assert (lane, digest) == (lane_of(BUYER), hmac.new(bytes.fromhex(secret), BUYER.encode(), hashlib.sha256).digest())


async def test_with_the_row_goes_the_key_and_a_fresh_start_has_another_pseudonym(
    market: Market, database_url: str
) -> None:
    await market.premium_buyer(BUYER)
    await market.paid_order(BUYER, "o-1")
    first = await personal_data(market).pseudonym_of(BUYER)
    await erased(market)
    assert await personal_data(market).pseudonym_of(BUYER) is None
    assert rows(database_url, "SELECT count(*) FROM buyer_pseudonym") == [(0,)]
    await market.paid_order(BUYER, "o-2")
    assert await personal_data(market).pseudonym_of(BUYER) not in (None, first)


async def test_two_who_need_the_first_pseudonym_at_once_get_the_same(market: Market) -> None:
    async def one() -> str:
        async with market.pool.connection() as connection:
            found = await connection.execute("SELECT make_pseudonym(%s::smallint, %s)", [lane_of(BUYER), BUYER])
            return str((await found.fetchall())[0][0])

    assert len(set(await asyncio.gather(*(one() for _ in range(20))))) == 1


async def test_the_audit_log_names_who_signs_in_as_a_buyer_by_it_and_leaves_the_address_out(market: Market) -> None:
    await signs_in(market)
    people = PostgresPeople(market.pool)
    await people.set_disabled(ACCOUNT, True, by="ada", now=NOW)
    await market.registry.restrict(Restriction(new_id(lane_of(BUYER)), BUYER, "because", NOW, None, "risk"))
    pseudonym = await personal_data(market).pseudonym_of(BUYER)
    log = PostgresAuditLog(market.pool)
    written = await log.events(actor=None, action=None, subject=None, before=None, limit=9)
    said = {event.action: (event.actor, event.subject) for event in written}
    assert said[AuditAction.PERSON_ADDED] == said[AuditAction.PERSON_DISABLED] == ("ada", pseudonym)
    assert said[AuditAction.SIGNED_IN] == (pseudonym, pseudonym)
    text = str(written)
    assert ACCOUNT not in text and BUYER not in text and "203.0.113.77" not in text
    assert f'"buyer":"{pseudonym}"' in text
    assert (await verify(log)).faults == ()
    await erased(market)
    verdict = await verify(log)
    assert (verdict.faults, verdict.redacted) == ((), ()), "nothing that was written needed to be redacted"


async def test_whoever_redacts_a_row_without_an_erasure_is_found(market: Market, database_url: str) -> None:
    await signs_in(market)
    await erased(market)
    log = PostgresAuditLog(market.pool)
    ((erasure,),) = rows(database_url, "SELECT number FROM audit_event WHERE action = 'buyer.erased'")
    with psycopg.connect(database_url) as connection:
        connection.execute("SET LOCAL jitui.redacting = on")
        connection.execute("UPDATE audit_event SET actor = 'eve', redacted_in = %s WHERE number = 1", [erasure])
    assert [(fault.kind, fault.number) for fault in (await verify(log)).faults] == [("changed", 1)]


def test_the_migration_takes_the_buyers_ids_out_of_the_feed(empty_database_url: str) -> None:
    upgrade(empty_database_url, "0015")
    with psycopg.connect(empty_database_url) as connection:
        for buyer in (BUYER, BUYER, "b-2"):
            connection.execute(
                "INSERT INTO change (lane, kind, order_id, buyer_id, shop_id, at, body) "
                "VALUES (%s, 'order.paid', 'o', %s, 's', now(), '{}')",
                [lane_of(buyer), buyer],
            )
    upgrade(empty_database_url)
    told = rows(empty_database_url, "SELECT buyer_id, buyer_pseudonym FROM change ORDER BY change_id")
    names = [name for _, name in told]
    assert [buyer for buyer, _ in told] == ["", "", ""]
    assert names[0] == names[1] != names[2] and all(name.startswith("bp_") for name in names)


async def test_what_an_earlier_release_writes_beside_this_one_never_goes_out(market: Market, database_url: str) -> None:
    """Published by it, too, before this one looks."""
    await market.premium_buyer(BUYER)
    ref = await market.paid_order(BUYER, "o-1")
    await market.feed.events(0, 10)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO change (lane, kind, order_id, buyer_id, shop_id, at, body, position) "
            "VALUES (%s, 'order.paid', 'o-1', %s, 's', now(), '{}', nextval('change_position'))",
            [ref.lane, BUYER],
        )
    events = await market.feed.events(0, 10)
    assert len(events) == 2 and len({event.buyer_pseudonym for event in events}) == 1
    assert rows(database_url, "SELECT count(*) FROM change WHERE buyer_id <> ''") == [(0,)]


async def test_deliveries_that_are_over_go_and_one_that_waits_carries_nothing_of_the_buyer(
    market: Market, database_url: str
) -> None:
    ref = await market.paid_order(BUYER, "o-1")
    ticket = await market.asked(BUYER, "o-1")
    assert ticket.state is TicketState.AWAITING_MERCHANT
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE ticket SET state = 'withdrawn'")
        connection.execute(
            "INSERT INTO webhook_delivery "
            "(lane, endpoint_id, position, change_id, order_id, queued_at, state, closed_at) "
            "SELECT lane, gen_random_uuid(), change_id, change_id, order_id, at, "
            "  CASE kind WHEN 'order.paid' THEN 'delivered' ELSE 'pending' END, "
            "  CASE kind WHEN 'order.paid' THEN at END FROM change"
        )
    await erased(market)
    found = rows(
        database_url,
        "SELECT d.state, c.kind, c.buyer_id FROM webhook_delivery d JOIN change c USING (lane, change_id)",
    )
    assert (ref.lane, found) == (lane_of(BUYER), [("pending", "ticket.requested", "")])
