"""An event that is written alone, and the same event by the statement for all: one rule, and the same rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from jitui.adapters.postgres import writing
from jitui.adapters.postgres.batch import Value, run_batch
from jitui.adapters.postgres.pool import Connection, make_pool
from jitui.adapters.postgres.writing_rows import RECORD_PLAIN_EVENT, plain_event
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.ids import lane_of

NOW = datetime(2026, 6, 1, 17, 30, tzinfo=UTC)  # the next day in Shanghai
EVENT = RecordBuyerEvent("b-1", "requested:1", "refund_requested", NOW, NOW, "o-1", 1_000)
LANE = lane_of("b-1")

ORDER = (
    "INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, placed_at, free_of_charge) "
    "VALUES (%s, %s, %s, 's', 'CNY', 0, now(), %s)"
)
TOLD = (
    "INSERT INTO buyer_event (lane, buyer_id, event_id, kind, at, recorded_at, retracts) "
    "VALUES (%s, %s, %s, 'refund_requested', now(), now(), %s)"
)
BEFORE: dict[str, tuple[tuple[str, tuple[Any, ...]], ...]] = {
    "nothing": (),
    "its order": ((ORDER, (LANE, "o-1", "b-1", False)),),
    "an order that cost nothing": ((ORDER, (LANE, "o-1", "b-1", True)),),
    "an order of another buyer": ((ORDER, (LANE, "o-1", "b-2", False)),),
    "an order of another lane": ((ORDER, (LANE + 1, "o-1", "b-1", True)),),
    "the same event": ((TOLD, (LANE, "b-1", "requested:1", None)),),
    "it was taken back already": ((TOLD, (LANE, "b-1", "back", "requested:1")),),
    "another buyer took one back": ((TOLD, (LANE, "b-2", "back", "requested:1")),),
    "another was taken back": ((TOLD, (LANE, "b-1", "back", "requested:2")),),
    "an erasure after it": (("UPDATE buyer SET history_from = %s", (NOW + timedelta(seconds=1),)),),
    "an erasure at its moment": (("UPDATE buyer SET history_from = %s", (NOW,)),),
    "a check that waits": (("INSERT INTO restriction_check (lane, buyer_id) VALUES (%s, 'b-1')", (LANE,)),),
    "others of the day": (
        (
            "INSERT INTO buyer_day (lane, buyer_id, kind, day, currency, events, amount_minor) VALUES "
            "(%s, 'b-1', 'refund_requested', '2026-06-02', '', 2, 7), "
            "(%s, 'b-1', 'refund_requested', '2026-06-02', 'CNY', 3, 9)",
            (LANE, LANE),
        ),
    ),
}
EVENTS = {
    "as it is": EVENT,
    "without an order": replace(EVENT, order_id=None),
    "with a currency": replace(EVENT, currency="USD"),
    "without an amount": replace(EVENT, amount_minor=0),
}


async def rows_after(connection: Connection, before: str, event: RecordBuyerEvent, *, alone: bool) -> list[Any]:
    """What is in the tables after the event, which is then undone."""
    common: dict[str, Value] = {"lane": LANE, "order_id": "o-1", "buyer_id": "b-1", "time_zone": "Asia/Shanghai"}
    await connection.execute(
        "INSERT INTO buyer (lane, buyer_id, updated_at) VALUES (%s, 'b-1', now()), (%s, 'b-2', now())", (LANE, LANE)
    )
    for query, values in BEFORE[before]:
        await connection.execute(query.encode(), values)
    rows: dict[str, Value] = {**common, "rows": msgspec.json.encode([event]).decode()}
    call = plain_event(event, common) if alone else (writing.STATEMENTS[RecordBuyerEvent], rows)
    assert call is not None
    await run_batch(connection, [call])
    found = []
    for query in (
        "SELECT lane, buyer_id, event_id, kind, order_id, amount_minor, currency, retracts, counts_for_order, "
        "event_id = 'requested:1' AND at = recorded_at FROM buyer_event ORDER BY buyer_id, event_id",
        "SELECT * FROM buyer_day ORDER BY buyer_id, kind, day, currency",
        "SELECT lane, buyer_id FROM restriction_check",
    ):
        found.append(await (await connection.execute(query.encode())).fetchall())
    await connection.rollback()
    return found


@pytest.mark.parametrize("before", BEFORE)
async def test_an_event_alone_is_recorded_as_by_the_statement_for_all(before: str, database_url: str) -> None:
    async with make_pool(database_url, max_size=1) as pool, pool.connection() as connection:
        for name, event in EVENTS.items():
            wanted = await rows_after(connection, before, event, alone=False)
            assert await rows_after(connection, before, event, alone=True) == wanted, name


async def test_the_cases_have_events_that_count_and_events_that_do_not(database_url: str) -> None:
    async with make_pool(database_url, max_size=1) as pool, pool.connection() as connection:
        counted = {before for before in BEFORE if (await rows_after(connection, before, EVENT, alone=True))[1]}
    assert set(BEFORE) - counted == {
        "an order that cost nothing",
        "the same event",
        "it was taken back already",
        "an erasure after it",
    }


def test_an_event_that_takes_back_or_counts_once_is_not_written_alone() -> None:
    assert plain_event(replace(EVENT, retracts="requested:0"), {}) is None
    assert plain_event(replace(EVENT, kind="order_paid"), {}) is None
    assert (plain_event(EVENT, {}) or (None,))[0] is RECORD_PLAIN_EVENT
