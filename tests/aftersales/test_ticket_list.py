"""The list of tickets: what a page has, how a worker fills it, and what it says of its lateness."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import product
from uuid import UUID

import psycopg
import pytest

from jitui.adapters.postgres.ticket_list import TICKET_LIST_LOCK, PostgresTicketList
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import reject
from jitui.aftersales.memory_store.lists import list_tickets
from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.model.ticket import Actor, ActorKind, ApprovedBy, Ticket, TicketState
from jitui.aftersales.ports import TicketFilter, TicketRef
from jitui.aftersales.ticket_list import ListedTickets, TicketSort, place_of
from jitui.errors import JituiError
from tests.aftersales.market import NOW, Market, beside, rejection
from tests.race.locks import another, wait_for_a_lock

EVERY_ORDER = list(product(TicketSort, SortOrder))

# One ticket of each state and approver that there can be, in two shops and two currencies; some equal in what they are
# sorted by. The orders that they name are not there: no list reads them.
_MANY = """
INSERT INTO ticket (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency, amount_minor,
    freight_minor, approved_by, arm, on_timeout, requested_at, expires_at)
SELECT n %% 256, gen_random_uuid(), 'o-' || n, (%(buyers)s::text[])[1 + n %% 5], 'shop-' || n %% 2, s.state, 1, 'other',
    CASE WHEN n %% 3 = 0 THEN 'USD' ELSE 'CNY' END, 100 + n %% 4, 0, a.approved_by, 'live', 'approve',
    %(now)s::timestamptz - n %% 7 * interval '1 hour',
    CASE WHEN n %% 2 = 0 THEN %(now)s::timestamptz + n %% 3 * interval '1 day' END
FROM generate_series(1, 4) g (n4) CROSS JOIN unnest(%(states)s::text[]) WITH ORDINALITY s (state, i)
    CROSS JOIN unnest(%(approvers)s::text[]) WITH ORDINALITY a (approved_by, j)
    CROSS JOIN LATERAL (SELECT (n4 * 100 + i * 10 + j)::int AS n) numbered
"""
_TELL = """
INSERT INTO change (lane, kind, order_id, ticket_id, buyer_id, shop_id, at, body)
SELECT lane, 'ticket.requested', order_id, ticket_id, '', shop_id, requested_at, '{}' FROM ticket
"""
_DIFFERENCES = """
SELECT t.ticket_id FROM ticket t FULL JOIN ticket_list l USING (lane, ticket_id)
WHERE to_jsonb(t) IS DISTINCT FROM to_jsonb(l) || jsonb_build_object('approved_by', nullif(l.approved_by, ''),
    'expires_at', CASE WHEN isfinite(l.expires_at) THEN l.expires_at END)
"""


def many(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        states, approvers = [state.value for state in TicketState], [None, *(one.value for one in ApprovedBy)]
        # Every state by every approver, also those that the database would refuse.
        for name in ("approved_by_arbitration", "ticket_approved_by_check"):
            connection.execute(f"ALTER TABLE ticket DROP CONSTRAINT {name}".encode())
        buyers = ["b-0", "b-1", "b-2", "b-3", beside("b-1")]  # two of them in one lane
        connection.execute(_MANY, {"now": NOW, "states": states, "approvers": approvers, "buyers": buyers})
        connection.execute(_TELL)


def differences(database_url: str) -> list[tuple[UUID]]:
    """Tickets whose row in the list is missing, or is not what their own row is, in any column."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(_DIFFERENCES).fetchall()


async def every(market: Market, wanted: TicketFilter) -> list[Ticket]:
    """All pages."""
    found: list[Ticket] = []
    while page := (await market.queries.tickets(wanted)).tickets:
        assert len(page) <= wanted.limit
        found += page
        wanted = replace(wanted, after=place_of(page[-1], wanted.sort))
    return found


async def listed(market: Market, **wanted: object) -> ListedTickets:
    return await market.queries.tickets(TicketFilter(**wanted))  # type: ignore[arg-type]


async def lag_ms(market: Market) -> int:
    return (await listed(market)).lag_ms


# Reading -----------------------------------------------------------------------------------------------------------


async def test_every_filter_in_every_order_is_what_the_memory_lists(market: Market, database_url: str) -> None:
    many(database_url)
    await market.ticket_list.fill()
    tickets = await every(market, TicketFilter(limit=1000))
    assert len(tickets) == 4 * len(TicketState) * (1 + len(ApprovedBy))
    filters = [
        TicketFilter(),
        TicketFilter(shop_id="shop-1"),
        TicketFilter(shop_id="shop-9"),
        TicketFilter(buyer_id="b-1"),
        TicketFilter(buyer_id="b-1", shop_id="shop-1", state=TicketState.REFUNDED),
        TicketFilter(buyer_id="b-1", approved_by=ApprovedBy.MERCHANT),
        TicketFilter(order_id="o-111"),
        TicketFilter(state=TicketState.CLOSED),
        TicketFilter(approved_by=ApprovedBy.ARBITRATION),
        TicketFilter(shop_id="shop-0", state=TicketState.REFUNDED, approved_by=ApprovedBy.MERCHANT),
        TicketFilter(shop_id="shop-0", requested_from=NOW - timedelta(hours=4), requested_until=NOW),
        TicketFilter(requested_from=NOW - timedelta(hours=4)),
        TicketFilter(requested_until=NOW - timedelta(hours=2)),
    ]
    with psycopg.connect(database_url) as connection:  # the lanes that these ids have
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO order_directory SELECT order_id, lane, buyer_id FROM ticket")
        lane = "get_byte(sha256(buyer_id::bytea), 0)"
        connection.execute(f"UPDATE ticket SET lane = {lane}".encode())
        connection.execute(f"UPDATE order_directory SET lane = {lane}".encode())
        connection.execute(f"UPDATE ticket_list SET lane = {lane}".encode())
    tickets = await every(market, TicketFilter(limit=1000))
    for wanted, (sort, order) in product(filters, EVERY_ORDER):
        wanted = replace(wanted, sort=sort, order=order, limit=7)
        said = list_tickets(tickets, replace(wanted, limit=1000)).tickets
        assert await every(market, wanted) == said, wanted


async def test_a_place_of_another_list_shows_nothing_outside_the_range(market: Market, database_url: str) -> None:
    many(database_url)
    await market.ticket_list.fill()
    low, high = NOW - timedelta(hours=4), NOW - timedelta(hours=2)
    for sort, order in product((TicketSort.REQUESTED_AT, TicketSort.STATE), SortOrder):
        for ticket in await every(market, TicketFilter(limit=500)):
            wanted = TicketFilter(sort=sort, order=order, requested_from=low, requested_until=high, limit=500)
            page = (await market.queries.tickets(replace(wanted, after=place_of(ticket, sort)))).tickets
            assert all(low <= one.requested_at < high for one in page)
            break


async def test_one_direction_is_the_other_read_from_its_end(market: Market, database_url: str) -> None:
    many(database_url)
    await market.ticket_list.fill()
    for sort in TicketSort:
        up, down = [await every(market, TicketFilter(sort=sort, order=order, limit=50)) for order in SortOrder]
        assert up == list(reversed(down))
    by_deadline = await every(market, TicketFilter(sort=TicketSort.EXPIRES_AT, order=SortOrder.ASC, limit=50))
    without = [ticket.expires_at is None for ticket in by_deadline]
    assert without == sorted(without) and len(set(without)) == 2, "no deadline is the last of all deadlines"


async def test_what_a_buyer_has_just_done_is_in_the_buyers_list_and_the_orders(market: Market) -> None:
    """And it stands in no other list before a worker has filled it."""
    await market.paid_order("b-1", "o-1")
    ticket = await market.asked("b-1", "o-1")
    assert await listed(market, buyer_id="b-1") == await listed(market, order_id="o-1") == ListedTickets([ticket], 0)
    assert (await listed(market)).tickets == (await listed(market, shop_id="shop-1")).tickets == []
    await market.ticket_list.fill()
    assert (await listed(market)).tickets == (await listed(market, shop_id="shop-1")).tickets == [ticket]


# Filling -----------------------------------------------------------------------------------------------------------


async def test_a_ticket_that_changes_moves(market: Market, database_url: str) -> None:
    await market.paid_order("b-1", "o-1")
    ticket = await market.asked("b-1", "o-1")
    await market.ticket_list.fill()
    waiting = {"state": TicketState.AWAITING_MERCHANT, "sort": TicketSort.EXPIRES_AT}
    assert (await listed(market, **waiting)).tickets == [ticket]
    acting = Acting(Actor(ActorKind.MERCHANT, "shop-1"), NOW, ticket.version)
    done = await reject(market.store, TicketRef(ticket.lane, ticket.ticket_id), rejection(), acting)
    assert isinstance(done, Executed)
    assert (await listed(market, **waiting)).tickets == [ticket], "a moment late"
    await market.ticket_list.fill()
    assert (await listed(market, **waiting)).tickets == []
    (moved,) = (await listed(market, state=TicketState.REJECTED)).tickets
    assert moved == done.snapshot.ticket(ticket.ticket_id) and moved.version > ticket.version
    assert differences(database_url) == []


async def test_filled_again_from_the_beginning_it_is_the_same(market: Market, database_url: str) -> None:
    many(database_url)
    await market.ticket_list.fill()
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM ticket_list")
        connection.execute("UPDATE roll_up SET position = 0 WHERE name = 'ticket_list'")
    assert differences(database_url) != []
    await PostgresTicketList(market.pool, batch=10).fill()
    assert differences(database_url) == []


async def test_workers_at_once_beside_requests_leave_nothing_out(market: Market, database_url: str) -> None:
    buyers = [await market.premium_buyer(f"b-{number}") for number in range(20)]
    for buyer in buyers:
        await market.paid_order(buyer, f"o-{buyer}")
    workers = [PostgresTicketList(market.pool, batch=3) for _ in range(3)]
    asks = [market.asked(buyer, f"o-{buyer}") for buyer in buyers]
    await asyncio.gather(*asks, *(worker.fill() for worker in workers for _ in range(3)))
    await workers[0].fill()
    assert differences(database_url) == []
    assert len((await listed(market)).tickets) == 20


async def test_a_change_that_commits_while_a_worker_fills_is_in_the_next_list(
    market: Market, database_url: str
) -> None:
    """Its row got its number on the feed before that of a change which is in the list already."""
    await market.paid_order("b-1", "o-1")
    await market.paid_order("b-2", "o-2")
    ticket = await market.asked("b-1", "o-1")
    await market.ticket_list.fill()
    async with another(database_url) as slow:
        await slow.execute(
            "WITH t AS (UPDATE ticket SET version = 77 WHERE ticket_id = %s RETURNING *) INSERT INTO change "
            "(lane, kind, order_id, ticket_id, buyer_id, shop_id, at, body) "
            "SELECT lane, 'ticket.rejected', order_id, ticket_id, '', shop_id, now(), '{}' FROM t",
            [ticket.ticket_id],
        )
        await market.asked("b-2", "o-2")
        await market.ticket_list.fill()
        await slow.commit()
    assert differences(database_url) == [(ticket.ticket_id,)]
    await market.ticket_list.fill()
    assert differences(database_url) == []


async def test_a_worker_that_is_killed_in_the_middle_is_caught_up_with(market: Market, database_url: str) -> None:
    many(database_url)
    worker = PostgresTicketList(market.pool, batch=50)
    async with another(database_url) as other:
        last = "(SELECT ticket_id FROM change ORDER BY change_id DESC LIMIT 1)"
        await other.execute(  # the last batch waits for this row
            "INSERT INTO ticket_list SELECT lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason,"
            " currency, amount_minor, freight_minor, funding_returns, notice, '', review_reason, arm, on_timeout,"
            f" requested_at, 'infinity', approved_at, closed_at FROM ticket WHERE ticket_id = {last}".encode()
        )
        filling = asyncio.create_task(worker.fill())
        assert await wait_for_a_lock(database_url, filling)
        before = await lag_ms(market)
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as killer:
            await killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event_type = 'Lock'"
            )
        with pytest.raises(JituiError):
            await filling
    left = len(differences(database_url))
    assert 0 < left < 168, "whole batches are there, and the one in hand is not"
    assert await lag_ms(market) >= before, "who has not reached the end does not say how late the list is"
    await worker.fill()
    assert differences(database_url) == []


async def test_while_no_worker_fills_it_the_lateness_grows(market: Market, database_url: str) -> None:
    await market.ticket_list.fill()
    fresh = await lag_ms(market)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE roll_up SET as_of = as_of - interval '1 hour' WHERE name = 'ticket_list'")
    late = await listed(market)
    assert 3_600_000 <= late.lag_ms < 3_600_000 + 600_000 + fresh
    assert NOW - late.as_of(NOW) >= timedelta(hours=1)
    async with another(database_url) as holder:  # a worker that hangs
        await holder.execute("SELECT pg_advisory_xact_lock(%s)", [TICKET_LIST_LOCK])
        waiting = asyncio.create_task(market.ticket_list.fill())
        assert await wait_for_a_lock(database_url, waiting)
        assert await lag_ms(market) >= late.lag_ms
    await waiting
    assert await lag_ms(market) < 3_600_000


async def test_a_clock_that_was_put_back_makes_no_list_of_the_future(market: Market, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE roll_up SET as_of = now() + interval '1 hour' WHERE name = 'ticket_list'")
    assert await lag_ms(market) == 0
    await market.ticket_list.fill()
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT as_of <= clock_timestamp() FROM roll_up WHERE name = 'ticket_list'").fetchone()
    assert row == (True,)
