"""P13: lists of 1,000,000 tickets and as many refunds, of 100,000 incidents and tasks; every filter in every order.

A page is timed from the call to the decoded rows, so the server's time is less; the quickest of three counts, because
what other processes of the machine take is not the server's. The place of the hundredth page is that of the 4,950th
row, as a cursor has it; where there are fewer pages it is the last one. The rows and their events on the feed are
written by the bench, the copies are filled from the feed as a worker fills them. `JITUI_BENCH_TICKETS` sets another
number of tickets.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from typing import Any, TypedDict

from benchmarks import environment
from benchmarks.frame import Measured, Run, result
from benchmarks.lists_seed import NOW, RARE_BUYER, seed
from jitui.adapters.postgres.pool import Pool, make_pool
from jitui.adapters.postgres.queries import PostgresQueries
from jitui.adapters.postgres.refund_list import PostgresRefundList
from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.adapters.postgres.ticket_list import PostgresTicketList
from jitui.aftersales.incident_list import IncidentFilter, IncidentSort, place_of_incident
from jitui.aftersales.model.incident import IncidentState
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.sorting import Place, SortOrder
from jitui.aftersales.model.task import TaskFilter, TaskKind, TaskSort, TaskState, place_of_task
from jitui.aftersales.model.ticket import ApprovedBy, TicketState
from jitui.aftersales.ports import TicketFilter
from jitui.aftersales.refund_list import RefundFilter, RefundSort, place_of_refund
from jitui.aftersales.ticket_list import TicketSort, place_of

TARGET_MS = 50.0
TICKETS = 1_000_000
PAGES = 100
PAGE = 50
TIMES = 3
BIG, SMALL, ONE_TICKET, NO_TICKET = "shop-big", "shop-7", "shop-one", "shop-none"
"""A third of all tickets; some 350; one; none."""


class Detail(TypedDict):
    """Milliseconds of the first and the hundredth page of each list.

    `seconds_to_fill` from nothing; `ms_to_follow`: one more time, when nothing has changed. `ranges_by_other_than_time`
    are lists of a range of time in another order than that of time; they are not judged.
    """

    seconds_to_fill: dict[str, float]
    ms_to_follow: dict[str, float]
    lists: int
    pages: dict[str, tuple[float, float]]
    ranges_by_other_than_time: dict[str, tuple[float, float]]


_Filters = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Listing:
    """One kind of list: how a page is asked for and read, and by what it is filtered and sorted."""

    name: str
    wanted: Callable[..., Any]
    read: Callable[[Pool, Any], Awaitable[Sequence[Any]]]
    place: Callable[[Any, Any], Place]
    sorts: Iterable[Any]
    filters: _Filters
    ranges: _Filters
    by_time: tuple[Any, ...] = ()


def measure(run: Run) -> Measured:
    """The slowest page, in milliseconds."""
    count = int(os.environ.get("JITUI_BENCH_TICKETS", TICKETS))
    with environment.server() as server:
        url = environment.new_database(server, "lists")
        seed(url, count)
        detail = asyncio.run(_measure(url, run))
    ours = max(max(both) for both in detail["pages"].values())
    return result("P13", ours=ours, floor=None, unit="ms", holds=ours < TARGET_MS, detail={"tickets": count, **detail})


async def _measure(url: str, run: Run) -> Detail:
    async with make_pool(url, max_size=2) as pool:
        copies = {"tickets": PostgresTicketList(pool), "refunds": PostgresRefundList(pool)}
        filled = {name: round(await _seconds(copy.fill), 1) for name, copy in copies.items()}
        environment.settle(url)
        followed = {name: round(1000 * await _seconds(copy.fill), 1) for name, copy in copies.items()}
        pages: dict[str, tuple[float, float]] = {}
        ranges: dict[str, tuple[float, float]] = {}
        for listing in LISTINGS:
            for into, wanted_of in ((pages, _judged(listing)), (ranges, _not_judged(listing))):
                for name, wanted in wanted_of:
                    into[f"{listing.name}: {name}"] = await _pages(pool, listing, wanted)
    slow = sorted(pages.items(), key=lambda item: -max(item[1]))
    for name, (first, hundredth) in slow[:10]:
        run.say(f"  {name}: first {first:.1f} ms, hundredth {hundredth:.1f} ms")
    return Detail(
        seconds_to_fill=filled,
        ms_to_follow=followed,
        lists=len(pages),
        pages=dict(slow),
        ranges_by_other_than_time=ranges,
    )


async def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


# What is listed ----------------------------------------------------------------------------------------------------

_OF: dict[str, dict[str, object]] = {
    "all": {},
    **{f"shop {shop}": {"shop_id": shop} for shop in (BIG, SMALL, ONE_TICKET, NO_TICKET)},
    "buyer": {"buyer_id": RARE_BUYER},
    "order": {"order_id": "o-77"},
}
_BY_APPROVER: dict[str, dict[str, object]] = {f"approved by {one}": {"approved_by": one} for one in ApprovedBy}
_SPANS = {
    "one day": (NOW - timedelta(days=9), NOW - timedelta(days=8)),
    "one month": (NOW - timedelta(days=60), NOW - timedelta(days=30)),
    "half of all": (NOW - timedelta(days=173), None),
}


def _ranges(low: str, high: str) -> _Filters:
    spans = {name: {low: begin, high: end} for name, (begin, end) in _SPANS.items()}
    return {**spans, "big shop, one month": {"shop_id": BIG, **spans["one month"]}}


async def _tickets(pool: Pool, wanted: TicketFilter) -> Sequence[Any]:
    return (await PostgresQueries(pool).tickets(wanted)).tickets


async def _refunds(pool: Pool, wanted: RefundFilter) -> Sequence[Any]:
    return (await PostgresQueries(pool).refunds(wanted)).refunds


LISTINGS = (
    Listing(
        "tickets",
        TicketFilter,
        _tickets,
        place_of,
        TicketSort,
        {
            **_OF,
            **_BY_APPROVER,
            **{f"state {state}": {"state": state} for state in TicketState},
            "closed in the big shop": {"shop_id": BIG, "state": TicketState.CLOSED},
            "failed, by arbitration": {"state": TicketState.REFUND_FAILED, "approved_by": ApprovedBy.ARBITRATION},
            "big shop, refunded, at once": {
                "shop_id": BIG,
                "state": TicketState.REFUNDED,
                "approved_by": ApprovedBy.INSTANT_REFUND,
            },
            "big shop, by arbitration": {"shop_id": BIG, "approved_by": ApprovedBy.ARBITRATION},
            "big shop, awaiting": {"shop_id": BIG, "state": TicketState.AWAITING_MERCHANT},
            "buyer, refunded": {"buyer_id": RARE_BUYER, "state": TicketState.REFUNDED},
        },
        _ranges("requested_from", "requested_until"),
        (TicketSort.REQUESTED_AT, TicketSort.STATE),
    ),
    Listing(
        "refunds",
        RefundFilter,
        _refunds,
        place_of_refund,
        RefundSort,
        {
            **_OF,
            **_BY_APPROVER,
            **{f"state {state}": {"state": state} for state in RefundState},
            **{f"provider {name}": {"provider": name} for name in ("wechat", "bank", "none")},
            "big shop, failed": {"shop_id": BIG, "state": RefundState.FAILED},
            "big shop, hardly used provider": {"shop_id": BIG, "provider": "bank"},
            "failed, by arbitration": {"state": RefundState.FAILED, "approved_by": ApprovedBy.ARBITRATION},
            "unknown at a hardly used provider": {"state": RefundState.UNKNOWN, "provider": "bank"},
            "big shop, succeeded, at once": {
                "shop_id": BIG,
                "state": RefundState.SUCCEEDED,
                "approved_by": ApprovedBy.INSTANT_REFUND,
            },
        },
        _ranges("queued_from", "queued_before"),
        (RefundSort.QUEUED_AT, RefundSort.STATE),
    ),
    Listing(
        "incidents",
        IncidentFilter,
        lambda pool, wanted: PostgresQueries(pool).incidents(wanted),
        place_of_incident,
        IncidentSort,
        {
            **_OF,
            **{f"state {state}": {"state": state} for state in IncidentState},
            "big shop, contested": {"shop_id": BIG, "state": IncidentState.CONTESTED},
        },
        {},
    ),
    Listing(
        "tasks",
        TaskFilter,
        lambda pool, wanted: PostgresTasks(pool).list(wanted),
        place_of_task,
        TaskSort,
        {
            **_OF,
            **{f"state {state}": {"state": state} for state in TaskState},
            **{
                f"kind {kind}": {"kind": kind}
                for kind in (TaskKind.REFUND_FAILED, TaskKind.PAID_TWICE, TaskKind.NO_WORKER)
            },
            **{f"provider {name}": {"provider": name} for name in ("wechat", "bank", "none")},
            "big shop, open": {"shop_id": BIG, "state": TaskState.OPEN},
            "big shop, hardly used provider": {"shop_id": BIG, "provider": "bank"},
            "open, paid twice": {"state": TaskState.OPEN, "kind": TaskKind.PAID_TWICE},
        },
        {},
    ),
)
"""Every filter alone and combined, those too that find almost nothing."""


def _judged(listing: Listing) -> Iterator[tuple[str, Any]]:
    yield from _lists(listing, listing.filters, listing.sorts)
    yield from _lists(listing, listing.ranges, listing.by_time)


def _not_judged(listing: Listing) -> Iterator[tuple[str, Any]]:
    yield from _lists(listing, listing.ranges, [sort for sort in listing.sorts if sort not in listing.by_time])


def _lists(listing: Listing, filters: _Filters, sorts: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for (name, chosen), sort, order in product(filters.items(), sorts, SortOrder):
        yield f"{name}, {sort} {order}", listing.wanted(**chosen, sort=sort, order=order, limit=PAGE + 1)


async def _pages(pool: Pool, listing: Listing, wanted: Any) -> tuple[float, float]:
    """Milliseconds for the first page and for the hundredth, the quickest of some reads of each."""
    before = await listing.read(pool, replace(wanted, limit=(PAGES - 1) * PAGE))
    begin = (len(before) - 1) // PAGE * PAGE if len(before) < (PAGES - 1) * PAGE else len(before)
    place = replace(wanted, after=listing.place(before[begin - 1], wanted.sort)) if begin > 0 else wanted
    return await _timed(pool, listing, wanted), await _timed(pool, listing, place)


async def _timed(pool: Pool, listing: Listing, wanted: Any) -> float:
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        found = await listing.read(pool, wanted)
        taken.append((time.perf_counter() - started) * 1000)
        assert len(found) <= wanted.limit
    return round(min(taken), 2)
