"""The list of refunds: what a page has, what a worker finds without a word on the feed, and how late it is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from uuid import UUID

import msgspec
import psycopg

from jitui.adapters.postgres.refund_list import REFUND_LIST_LOCK, PostgresRefundList
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.memory_store.lists import list_refunds
from jitui.aftersales.model.refund import Refund, RefundState
from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.model.ticket import ApprovedBy, Ticket
from jitui.aftersales.ports import AttemptRef, ClaimedRefund
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.aftersales.refund_list import ListedRefund, ListedRefunds, RefundFilter, RefundSort, place_of_refund
from tests.aftersales.market import NOW, Market, beside
from tests.race.locks import another, wait_for_a_lock

# A ticket of each approver with two refunds of each state, in two shops, two currencies and three providers; many of
# them equal in what they are sorted by. Two of the buyers are in one lane.
_TICKETS = """
INSERT INTO ticket (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency, amount_minor,
    freight_minor, approved_by, arm, on_timeout, requested_at)
SELECT get_byte(sha256(b.id::bytea), 0), gen_random_uuid(), 'o-' || n, b.id, 'shop-' || n %% 2,
    'refunding', 1, 'other', CASE WHEN n %% 3 = 0 THEN 'USD' ELSE 'CNY' END, 100, 0, a.approved_by, 'live', 'approve',
    %(now)s::timestamptz
FROM generate_series(1, 3) g (m) CROSS JOIN unnest(%(approvers)s::text[]) WITH ORDINALITY a (approved_by, i)
    CROSS JOIN LATERAL (SELECT (m * 10 + i)::int AS n) numbered
    CROSS JOIN LATERAL (SELECT (%(buyers)s::text[])[1 + n %% 5] AS id) b
"""
_REFUNDS = """
INSERT INTO refund (lane, refund_id, ticket_id, order_id, tender_id, provider, payment_id, amount_minor, captured_minor,
    currency, state, queued_at)
SELECT t.lane, gen_random_uuid(), t.ticket_id, t.order_id, 't' || m, (ARRAY['alipay', 'stripe', 'wechat'])[1 + i %% 3],
    'p', 100 + i %% 2, 100, t.currency, s.state, %(now)s::timestamptz - i %% 3 * interval '1 hour'
FROM ticket t CROSS JOIN unnest(%(states)s::text[]) WITH ORDINALITY s (state, i) CROSS JOIN generate_series(1, 2) g (m)
"""
_TELL = """
INSERT INTO change (lane, kind, order_id, ticket_id, buyer_id, shop_id, at, body)
SELECT lane, 'ticket.approved', order_id, ticket_id, '', shop_id, requested_at, '{}' FROM ticket
"""
_DIRECTORY = "INSERT INTO order_directory (order_id, lane, buyer_id) SELECT order_id, lane, buyer_id FROM ticket"
_DIFFERENCES = """
SELECT refund_id FROM refund r JOIN ticket t USING (lane, ticket_id) FULL JOIN refund_list l USING (lane, refund_id)
WHERE (r.provider, r.state, r.queued_at, r.currency, r.amount_minor, t.shop_id, coalesce(t.approved_by, ''))
    IS DISTINCT FROM (l.provider, l.state, l.queued_at, l.currency, l.amount_minor, l.shop_id, l.approved_by)
"""
MANY = 3 * len(ApprovedBy) * 2 * len(RefundState)


def many(database_url: str) -> None:
    buyers = ["b-0", "b-1", "b-2", "b-3", beside("b-1")]
    params = {
        "now": NOW,
        "buyers": buyers,
        "approvers": [one.value for one in ApprovedBy],
        "states": [one.value for one in RefundState],
    }
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        for name in ("approved_by_arbitration", "ticket_approved_by_check"):
            connection.execute(f"ALTER TABLE ticket DROP CONSTRAINT {name}".encode())
        for statement in (_TICKETS, _REFUNDS, _TELL, _DIRECTORY):
            connection.execute(statement.encode(), params)


def differences(database_url: str) -> list[tuple[UUID]]:
    """Refunds whose row in the list is missing, or is not as their own row and their ticket's."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(_DIFFERENCES).fetchall()


@dataclass(frozen=True, slots=True)
class Row:
    refund: Refund
    ticket: Ticket


def rows(database_url: str) -> list[tuple[Refund, Ticket]]:
    """Every refund with its ticket."""
    query = """SELECT json_build_object('refund', to_json(r), 'ticket', to_json(t))::text
        FROM refund r JOIN ticket t USING (lane, ticket_id)"""
    with psycopg.connect(database_url) as connection:
        found = [msgspec.json.decode(str(text), type=Row) for (text,) in connection.execute(query)]
    return [(row.refund, row.ticket) for row in found]


async def every(market: Market, wanted: RefundFilter) -> list[ListedRefund]:
    """All pages."""
    found: list[ListedRefund] = []
    while page := (await market.queries.refunds(wanted)).refunds:
        assert len(page) <= wanted.limit
        found += page
        wanted = replace(wanted, after=place_of_refund(page[-1], wanted.sort))
    return found


async def listed(market: Market, **wanted: object) -> ListedRefunds:
    return await market.queries.refunds(RefundFilter(**wanted))  # type: ignore[arg-type]


async def states(market: Market, **wanted: object) -> list[tuple[RefundState, RefundState]]:
    """Of each refund of a page: how the list found it, and how it is."""
    return [(row.listed_state, row.refund.state) for row in (await listed(market, **wanted)).refunds]


async def paying(market: Market, *names: str) -> None:
    """A queued refund of each of these buyers."""
    for name in names:
        await market.premium_buyer(name)
        await market.paid_order(name, f"o-{name}")
        await market.asked(name, f"o-{name}")


async def claim(market: Market) -> list[ClaimedRefund]:
    return await market.store.claim_refunds(now=NOW, lease_until=NOW + timedelta(minutes=1), limit=99)


async def tell(market: Market, claimed: ClaimedRefund, kind: RefundResultKind) -> None:
    result = RefundResult(kind, provider_refund_id=f"at-provider-{claimed.attempt.attempt_id}", reason="so")
    await confirm(market.store, AttemptRef(claimed.lane, claimed.attempt.attempt_id), RefundUpdate(result), now=NOW)


# Reading -----------------------------------------------------------------------------------------------------------


async def test_every_filter_in_every_order_is_what_the_memory_lists(market: Market, database_url: str) -> None:
    """Page by page, with many rows that are equal in what they are sorted by; another shop's row is in none."""
    many(database_url)
    await market.refund_list.fill()
    all_of_them = rows(database_url)
    assert len(all_of_them) == MANY
    filters = [
        RefundFilter(),
        RefundFilter(shop_id="shop-1"),
        RefundFilter(shop_id="shop-9"),
        RefundFilter(provider="stripe"),
        RefundFilter(provider="nobody"),
        RefundFilter(state=RefundState.UNKNOWN),
        RefundFilter(approved_by=ApprovedBy.ARBITRATION),
        RefundFilter(shop_id="shop-0", provider="wechat", state=RefundState.SUCCEEDED, approved_by=ApprovedBy.MERCHANT),
        RefundFilter(buyer_id="b-1"),
        RefundFilter(buyer_id="b-1", shop_id="shop-1", state=RefundState.FAILED),
        RefundFilter(buyer_id="b-2", provider="alipay", approved_by=ApprovedBy.MERCHANT),
        RefundFilter(order_id="o-11"),
        RefundFilter(order_id="o-11", shop_id="shop-0"),
        RefundFilter(queued_from=NOW - timedelta(hours=1), queued_before=NOW),
        RefundFilter(queued_from=NOW - timedelta(hours=1), shop_id="shop-0"),
        RefundFilter(queued_before=NOW - timedelta(hours=1)),
        RefundFilter(buyer_id="b-1", queued_from=NOW - timedelta(hours=1), queued_before=NOW),
    ]
    for wanted, (sort, order) in product(filters, product(RefundSort, SortOrder)):
        wanted = replace(wanted, sort=sort, order=order, limit=23)
        said = list_refunds(all_of_them, replace(wanted, limit=1000)).refunds
        assert await every(market, wanted) == said, wanted


async def test_what_a_buyer_has_just_done_is_in_the_buyers_list_and_the_orders(market: Market) -> None:
    """And it stands in no other list before a worker has filled it."""
    await paying(market, "b-1")
    own, of_order = await listed(market, buyer_id="b-1"), await listed(market, order_id="o-b-1")
    assert own == of_order and own.lag_ms == 0 and len(own.refunds) == 1
    assert (await listed(market)).refunds == (await listed(market, shop_id="shop-1")).refunds == []
    await market.refund_list.fill()
    assert (await listed(market)).refunds == (await listed(market, shop_id="shop-1")).refunds == own.refunds
    assert (await listed(market, shop_id="shop-2")).refunds == []


# Following ---------------------------------------------------------------------------------------------------------


async def test_states_that_are_on_no_feed_are_in_the_next_list(market: Market, database_url: str) -> None:
    await paying(market, "b-1")
    await market.refund_list.fill()
    sending, pending, succeeded, failed = (
        RefundState.SENDING,
        RefundState.PENDING,
        RefundState.SUCCEEDED,
        RefundState.FAILED,
    )
    (claimed,) = await claim(market)
    queued = RefundState.QUEUED
    assert await states(market, state=queued) == [(queued, sending)], "found as it was, shown as it is"
    await market.refund_list.fill()
    assert await states(market, state=queued) == [] and await states(market, state=sending) == [(sending, sending)]
    await tell(market, claimed, RefundResultKind.PENDING)
    await market.refund_list.fill()
    assert await states(market, state=pending) == [(pending, pending)]
    await tell(market, claimed, RefundResultKind.SUCCEEDED)
    await market.refund_list.fill()
    assert (
        await states(market, state=succeeded) == [(succeeded, succeeded)] and await states(market, state=failed) == []
    )
    assert differences(database_url) == []


async def test_of_a_ticket_that_is_paid_in_two_parts_the_first_is_followed_too(
    market: Market, database_url: str
) -> None:
    """The feed tells only of the ticket, which is not refunded yet; nor does it tell when that part comes back."""
    await market.premium_buyer("b-1")
    await market.paid_order("b-1", "o-1", tenders=(4000, 8900))
    await market.asked("b-1", "o-1")
    await market.refund_list.fill()
    first, _ = await claim(market)
    await tell(market, first, RefundResultKind.SUCCEEDED)
    await market.refund_list.fill()
    assert differences(database_url) == []
    assert len(await states(market, state=RefundState.SUCCEEDED)) == 1
    await tell(market, first, RefundResultKind.DECLINED)
    await market.refund_list.fill()
    assert differences(database_url) == []


async def test_a_walk_by_state_goes_on_where_the_list_found_its_rows(market: Market) -> None:
    """Each row once, although those that were read have another state by now."""
    await paying(market, "b-1", "b-2", "b-3", "b-4")
    await market.refund_list.fill()
    claims = await claim(market)
    await tell(market, claims[0], RefundResultKind.SUCCEEDED)
    for order in SortOrder:
        walked = await every(market, RefundFilter(sort=RefundSort.STATE, order=order, limit=1))
        assert len({row.refund.refund_id for row in walked}) == len(walked) == 4


# Filling -----------------------------------------------------------------------------------------------------------


async def test_filled_again_from_the_beginning_it_is_the_same(market: Market, database_url: str) -> None:
    many(database_url)
    await PostgresRefundList(market.pool, batch=4).fill()
    assert differences(database_url) == []
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM refund_list")
        connection.execute("UPDATE roll_up SET position = 0 WHERE name = 'refund_list'")
    assert len(differences(database_url)) == MANY
    await market.refund_list.fill()
    assert differences(database_url) == []


async def test_workers_at_once_beside_requests_and_payments_leave_nothing_out(
    market: Market, database_url: str
) -> None:
    names = [f"b-{number}" for number in range(8)]
    workers = [PostgresRefundList(market.pool, batch=3) for _ in range(2)]

    async def pay() -> None:
        for claimed in await claim(market):
            await tell(market, claimed, RefundResultKind.SUCCEEDED)

    await asyncio.gather(*(paying(market, name) for name in names), *(worker.fill() for worker in workers * 2), pay())
    await asyncio.gather(pay(), *(worker.fill() for worker in workers * 2))
    await workers[0].fill()
    assert differences(database_url) == []
    assert len(await states(market, state=RefundState.SUCCEEDED)) == len(names)


async def test_a_refund_that_is_paid_while_a_worker_fills_is_in_the_next_list(
    market: Market, database_url: str
) -> None:
    await paying(market, "b-1", "b-2")
    await market.refund_list.fill()
    async with another(database_url) as slow:
        await slow.execute("UPDATE refund SET state = 'sending' WHERE order_id = 'o-b-1'")
        await market.refund_list.fill()
        await slow.commit()
    assert len(differences(database_url)) == 1
    await market.refund_list.fill()
    assert differences(database_url) == []


async def test_while_no_worker_fills_it_the_lateness_grows(market: Market, database_url: str) -> None:
    await market.refund_list.fill()
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE roll_up SET as_of = as_of - interval '1 hour' WHERE name = 'refund_list'")
    late = await listed(market)
    assert late.lag_ms >= 3_600_000 and NOW - late.as_of(NOW) >= timedelta(hours=1)
    await market.ticket_list.fill()
    assert (await listed(market)).lag_ms >= late.lag_ms, "another list's worker does not say it of this one"
    async with another(database_url) as holder:  # a worker that hangs
        await holder.execute("SELECT pg_advisory_xact_lock(%s)", [REFUND_LIST_LOCK])
        waiting = asyncio.create_task(market.refund_list.fill())
        assert await wait_for_a_lock(database_url, waiting)
        assert (await listed(market)).lag_ms >= late.lag_ms
    await waiting
    assert (await listed(market)).lag_ms < 3_600_000
