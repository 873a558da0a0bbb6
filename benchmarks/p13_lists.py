"""P13: a list of tickets over 1,000,000 of them, by every filter and in every order, first and hundredth page.

A page is timed from the call to the decoded rows, so the server's time is less. The hundredth page is reached by
cursors, as a reader reaches it; where there are fewer pages it is the last one. The tickets' rows and their events on
the feed are written by the bench, the list is filled from the feed as a worker fills it. `JITUI_BENCH_TICKETS` sets
another number of tickets.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from statistics import median
from typing import TypedDict

import psycopg

from benchmarks import environment
from benchmarks.frame import Measured, Run, result
from jitui.adapters.postgres.pool import Pool, make_pool
from jitui.adapters.postgres.queries import PostgresQueries
from jitui.adapters.postgres.ticket_list import PostgresTicketList
from jitui.aftersales.model.ticket import ApprovedBy, TicketState
from jitui.aftersales.ports import TicketFilter
from jitui.aftersales.ticket_list import ListedTickets, SortOrder, TicketSort, place_of

TARGET_MS = 50.0
TICKETS = 1_000_000
PAGES = 100
TIMES = 3
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
BIG, SMALL, ONE_TICKET, NO_TICKET = "shop-big", "shop-7", "shop-one", "shop-none"
"""A third of all tickets; some 350; one; none."""


class Detail(TypedDict):
    """Milliseconds of the first and the hundredth page of each list.

    `ranges_by_other_than_time` are lists of a range of time in another order than that of time; they are not judged.
    """

    seconds_to_fill: float
    lists: int
    pages: dict[str, tuple[float, float]]
    ranges_by_other_than_time: dict[str, tuple[float, float]]


_TICKETS = """
INSERT INTO ticket (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency, amount_minor,
    freight_minor, notice, approved_by, arm, on_timeout, requested_at, expires_at, approved_at, closed_at,
    arbitration)
SELECT made.*, CASE WHEN approved_by = 'arbitration' THEN %(decided)s::jsonb END FROM (
SELECT b %% 256 AS lane, gen_random_uuid() AS id, 'o-' || n AS o, 'b-' || b AS b_id, shop, state, 1 AS version,
    'no_longer_wanted' AS reason,
    CASE WHEN n %% 50 = 0 THEN 'USD' ELSE 'CNY' END AS currency, 1 + (random() * 30000)::int AS amount, 0 AS freight,
    CASE WHEN state = 'refunded' THEN '{"zh": "该用户为平台优质用户且订单满足极速退款条件"}'::jsonb END AS notice,
    CASE WHEN state IN ('refunding', 'refunded', 'refund_failed') THEN
        CASE WHEN n %% 10 < 7 THEN 'instant_refund' WHEN n %% 10 < 9 THEN 'merchant'
             WHEN n %% 5000 = 9 THEN 'arbitration' WHEN n %% 100 = 19 THEN 'operator' ELSE 'merchant_timeout' END
    END AS approved_by,
    'live' AS arm, 'approve' AS on_timeout, at,
    CASE WHEN state = 'awaiting_merchant' THEN at + interval '2 days' END AS due,
    CASE WHEN state IN ('refunding', 'refunded', 'refund_failed') THEN at END AS approved,
    CASE WHEN state IN ('refunded', 'rejected', 'withdrawn', 'closed') THEN at + interval '1 minute' END AS closed
FROM (
    SELECT n, n %% 300000 AS b, %(now)s::timestamptz - n * interval '30 seconds' AS at,
        CASE WHEN n = %(rare)s THEN 'shop-one' WHEN n %% 3 = 0 THEN 'shop-big' ELSE 'shop-' || n %% 1900 END AS shop,
        CASE WHEN n %% 100 < 80 THEN 'refunded' WHEN n %% 100 < 86 THEN 'awaiting_merchant'
             WHEN n %% 100 < 92 THEN 'rejected'
             WHEN n %% 100 < 97 THEN 'withdrawn' WHEN n %% 100 < 99 THEN 'refunding'
             WHEN n %% 100000 = 99 THEN 'closed' ELSE 'refund_failed' END AS state
    FROM generate_series(1, %(count)s::int) n) drawn) made
"""

_DECIDED = (
    '{"state": "approved", "at_fault": "merchant", "borne_by": "merchant", "decided_by": "li.na", "note": "As found.",'
    ' "reason": "", "opened_by": "", "opened_at": "2026-06-01T00:00:00Z", "answer_by": "2026-06-08T00:00:00Z"}'
)

_EVENTS = """
INSERT INTO change (lane, position, kind, order_id, ticket_id, buyer_id, shop_id, at, body)
SELECT lane, nextval('change_position'), 'ticket.requested', order_id, ticket_id, '', shop_id, requested_at, '{}'
FROM ticket ORDER BY requested_at
"""


def measure(run: Run) -> Measured:
    """The slowest page, in milliseconds."""
    count = int(os.environ.get("JITUI_BENCH_TICKETS", TICKETS))
    with environment.server() as server:
        url = environment.new_database(server, "lists")
        _seed(url, count)
        detail = asyncio.run(_measure(url, run))
    ours = max(max(both) for both in detail["pages"].values())
    return result("P13", ours=ours, floor=None, unit="ms", holds=ours < TARGET_MS, detail={"tickets": count, **detail})


def _seed(url: str, count: int) -> None:
    """Tickets and events alone; the orders that they name are not there, as no list reads them."""
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(_TICKETS, {"now": NOW, "count": count, "rare": count // 2, "decided": _DECIDED})
        connection.execute(_EVENTS)


async def _measure(url: str, run: Run) -> Detail:
    async with make_pool(url, max_size=2) as pool:
        started = time.perf_counter()
        await PostgresTicketList(pool).fill()
        filled = time.perf_counter() - started
        environment.settle(url)
        pages = {name: await _pages(pool, wanted) for name, wanted in _judged()}
        ranges = {name: await _pages(pool, wanted) for name, wanted in _lists(_RANGES, _BY_OTHER_THAN_TIME)}
    slow = sorted(pages.items(), key=lambda item: -max(item[1]))
    for name, (first, hundredth) in slow[:10]:
        run.say(f"  {name}: first {first:.1f} ms, hundredth {hundredth:.1f} ms")
    return Detail(
        seconds_to_fill=round(filled, 1), lists=len(pages), pages=dict(slow), ranges_by_other_than_time=ranges
    )


_FILTERS: dict[str, dict[str, object]] = {
    "all": {},
    **{f"shop {shop}": {"shop_id": shop} for shop in (BIG, SMALL, ONE_TICKET, NO_TICKET)},
    "buyer": {"buyer_id": "b-77"},
    **{f"state {state}": {"state": state} for state in TicketState},
    **{f"approved by {one}": {"approved_by": one} for one in ApprovedBy},
    "closed in the big shop": {"shop_id": BIG, "state": TicketState.CLOSED},
    "failed, by arbitration": {"state": TicketState.REFUND_FAILED, "approved_by": ApprovedBy.ARBITRATION},
    "big shop, refunded, at once": {
        "shop_id": BIG,
        "state": TicketState.REFUNDED,
        "approved_by": ApprovedBy.INSTANT_REFUND,
    },
    "big shop, by arbitration": {"shop_id": BIG, "approved_by": ApprovedBy.ARBITRATION},
    "big shop, awaiting": {"shop_id": BIG, "state": TicketState.AWAITING_MERCHANT},
    "buyer, refunded": {"buyer_id": "b-77", "state": TicketState.REFUNDED},
}
"""Every filter alone and combined, those too that find almost nothing."""

_RANGES: dict[str, dict[str, object]] = {
    "one day": {"requested_from": NOW - timedelta(days=9), "requested_until": NOW - timedelta(days=8)},
    "one month": {"requested_from": NOW - timedelta(days=60), "requested_until": NOW - timedelta(days=30)},
    "half of all": {"requested_from": NOW - timedelta(days=173)},
    "big shop, one month": {"shop_id": BIG, "requested_from": NOW - timedelta(days=30)},
}
_BY_OTHER_THAN_TIME = (TicketSort.EXPIRES_AT, TicketSort.AMOUNT)


def _lists(
    filters: Mapping[str, Mapping[str, object]], sorts: Iterable[TicketSort]
) -> Iterator[tuple[str, TicketFilter]]:
    """The filters in every order; those of a range of time are judged in order of time alone."""
    for (name, chosen), sort, order in product(filters.items(), sorts, SortOrder):
        yield f"{name}, {sort} {order}", TicketFilter(**chosen, sort=sort, order=order, limit=51)  # type: ignore[arg-type]


def _judged() -> Iterator[tuple[str, TicketFilter]]:
    yield from _lists(_FILTERS, TicketSort)
    yield from _lists(_RANGES, [sort for sort in TicketSort if sort not in _BY_OTHER_THAN_TIME])


async def _pages(pool: Pool, wanted: TicketFilter) -> tuple[float, float]:
    """Milliseconds for the first page and for the hundredth, the median of some reads of each."""
    queries = PostgresQueries(pool)
    place = wanted
    for _ in range(PAGES - 1):
        tickets = (await queries.tickets(place)).tickets
        if len(tickets) < wanted.limit:
            break
        place = replace(wanted, after=place_of(tickets[wanted.limit - 2], wanted.sort))
    return await _timed(queries, wanted), await _timed(queries, place)


async def _timed(queries: PostgresQueries, wanted: TicketFilter) -> float:
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        found: ListedTickets = await queries.tickets(wanted)
        taken.append((time.perf_counter() - started) * 1000)
        assert len(found.tickets) <= wanted.limit
    return round(median(taken), 2)
