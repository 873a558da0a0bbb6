"""Every hot statement names its lane: on a distributed database it must stay on one shard (`architecture.md`)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from jitui.adapters.postgres import queue, reading, webhook_queue, writing
from jitui.adapters.postgres.batch import Statement

HOT: dict[str, Statement] = {
    **{f"lock_buyer.{kind.__name__}": made for kind, made in reading.LOCK_BUYER.items()},
    **{f"lock_order.{kind.__name__}": made for kind, made in reading.LOCK_ORDER.items()},
    **{f"read_file.{kind.__name__}": made for kind, made in reading.READ_ORDER.items()},
    "read_inputs": reading.READ_INPUTS,
    **{f"try_key.{kind.__name__}": made for kind, made in reading.TRY_KEY.items()},
    **{f"kept_answer.{kind.__name__}": made for kind, made in reading.STORED_RESPONSE.items()},
    "keep_answer": writing.STORE_RESPONSE,
    **{f"write.{kind.__name__}": made for kind, made in writing.STATEMENTS.items()},
    "one_per_order": writing.ONE_PER_ORDER,
    "claim": queue.CLAIM,
    "expired": queue.EXPIRED,
    "webhook_claim": webhook_queue.CLAIM,
    "webhook_next_events": webhook_queue.NEXT_EVENTS,
    "webhook_leave_empty": webhook_queue.LEAVE_EMPTY,
    "webhook_lock_order": webhook_queue.LOCK_ORDER,
    "webhook_close": webhook_queue.CLOSE,
    "webhook_release": webhook_queue.RELEASE,
    "webhook_leave": webhook_queue.LEAVE,
}
"""Deciding, confirming (its reads and writes are the same ones), claiming, deadlines, and sending webhooks.

Not `DUE_LANES` and `webhook_queue.DUE`: listing, without a lock, what is due where is the one look
across all of them.
"""


@pytest.mark.parametrize("name", HOT)
def test_every_table_with_lanes_is_reached_by_its_lane(name: str, module_database_url: str) -> None:
    with psycopg.connect(module_database_url) as connection:
        with_lane = _tables_with_lane(connection)
        connection.execute("SET enable_seqscan = off")
        query = "EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + HOT[name].sql.decode()
        row = connection.execute(query.encode(), prepare=False).fetchone()
    assert row is not None
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
    for node in _nodes(plan[0]["Plan"]):
        if node.get("Relation Name") in with_lane and node["Node Type"] != "ModifyTable":
            found = " ".join(str(node.get(key, "")) for key in ("Index Cond", "Recheck Cond", "Filter"))
            assert _names_lane(found), f"{node['Relation Name']} is read by {found or 'nothing'}"


def test_every_table_of_a_tickets_life_starts_its_key_with_the_lane(module_database_url: str) -> None:
    with psycopg.connect(module_database_url) as connection:
        rows = connection.execute(
            "SELECT c.conrelid::regclass::text, a.attname FROM pg_constraint c "
            "JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] "
            "WHERE c.contype IN ('p', 'u', 'f') AND c.connamespace = 'public'::regnamespace"
        ).fetchall()
        with_lane = _tables_with_lane(connection)
    for table, first in rows:
        if table in with_lane and table not in ("order_directory", "payment_directory", "waybill_directory"):
            assert first == "lane", f"a constraint of {table} starts with {first}"


def _tables_with_lane(connection: psycopg.Connection[tuple[object, ...]]) -> set[str]:
    rows = connection.execute(
        "SELECT table_name FROM information_schema.columns WHERE column_name = 'lane' AND table_schema = 'public'"
    ).fetchall()
    return {str(row[0]) for row in rows} - {"order_directory"}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def _names_lane(condition: str) -> bool:
    return re.search(r"\blane = ", condition) is not None
