"""Exports the service's own database as a history for back-tests: each table of the schema as a Parquet file.

It reads one snapshot, a batch of rows at a time, so that a running service can be exported in bounded memory. Times are
in UTC. The facts of a decision are those that were stored with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from jitui.adapters.postgres.migrate import newest_revision, standing_of
from jitui.adapters.postgres.pool import unavailable
from jitui.aftersales.commands.shipped_policies import shipped_text
from jitui.aftersales.commands.withdrawal import STATUTORY_TEXTS
from jitui.backtest.schema import TABLES, ColumnType
from jitui.errors import BadInput
from jitui.policy import FACTS, LINE_FIELDS, FactType, Policy

ROWS_A_BATCH = 5_000
_Connection = psycopg.Connection[tuple[Any, ...]]

_ARROW: dict[ColumnType, pa.DataType] = {
    ColumnType.TEXT: pa.string(),
    ColumnType.INT: pa.int64(),
    ColumnType.BOOL: pa.bool_(),
    ColumnType.MOMENT: pa.timestamp("us"),
}
_FACT_TYPES: dict[FactType, pa.DataType] = {
    FactType.INT: pa.int64(),
    FactType.BOOL: pa.bool_(),
    FactType.STRING: pa.string(),
}
_LINES = pa.list_(pa.struct([(name, _FACT_TYPES[spec.type]) for name, spec in LINE_FIELDS.items()]))
_JSON_TYPES: dict[frozenset[str], pa.DataType] = {
    frozenset({"number"}): pa.int64(),
    frozenset({"boolean"}): pa.bool_(),
}
"""The columns for attributes by the types of their values; an attribute with values of several types becomes text."""

# Which events a decision had seen follows from the order of entries, not from clocks: `seen_at` grows by at least a
# microsecond with each entry, so an event counts for a decision exactly when it was written before it. A decision's own
# entry is that of its request.
_ENTRIES: LiteralString = """
entries AS MATERIALIZED (
    SELECT e.*, max(e.clock - e.n * interval '1 microsecond') OVER (PARTITION BY e.lane, e.buyer_id ORDER BY e.n)
        + e.n * interval '1 microsecond' AS seen_at
    FROM (SELECT b.*, b.recorded_at AT TIME ZONE 'UTC' AS clock,
                 row_number() OVER (PARTITION BY b.lane, b.buyer_id ORDER BY b.entry) AS n
          FROM buyer_event b
          WHERE (b.lane, b.buyer_id) IN (SELECT t.lane, t.buyer_id FROM ticket t JOIN decision USING (lane, ticket_id))
         ) e)
"""

_REQUESTS: LiteralString = f"""
WITH {_ENTRIES}
SELECT t.ticket_id::text AS request_id, t.order_id, t.buyer_id, t.shop_id, d.decided_at AT TIME ZONE 'UTC' AS asked_at,
       t.basis, t.amount_minor, (d.facts ->> 'request.whole_order')::boolean AS whole_order,
       (SELECT l.category_id FROM order_line l WHERE l.lane = t.lane AND l.order_id = t.order_id
        ORDER BY l.paid_minor DESC, l.position LIMIT 1) AS category_id,
       b.attributes ->> 'tier' AS tier, b.region, t.closed_at AT TIME ZONE 'UTC' AS closed_at, e.seen_at,
       coalesce((SELECT m.cluster_id::text FROM cluster_member m
                 WHERE m.lane = t.lane AND m.buyer_id = t.buyer_id AND m.from_at <= d.decided_at
                   AND (m.until_at IS NULL OR m.until_at > d.decided_at)), t.buyer_id) AS cluster_id,
       coalesce(b.erased, true) OR d.read_from ? 'history_from' AS erased
FROM decision d JOIN ticket t USING (lane, ticket_id)
     LEFT JOIN buyer b ON b.lane = t.lane AND b.buyer_id = t.buyer_id
     LEFT JOIN entries e ON e.lane = t.lane AND e.buyer_id = t.buyer_id AND e.event_id = 'requested:' || t.ticket_id
"""

_OF_DECIDED: LiteralString = "(lane, order_id) IN (SELECT lane, order_id FROM decision)"

_ORDERS: LiteralString = f"""
SELECT o.order_id, o.currency, o.placed_at AT TIME ZONE 'UTC' AS placed_at, o.paid_at AT TIME ZONE 'UTC' AS paid_at,
       (SELECT sum(p.captured_minor)::bigint FROM tender p WHERE p.lane = o.lane AND p.order_id = o.order_id)
           AS paid_minor,
       o.freight_minor, o.hold, o.completed_at AT TIME ZONE 'UTC' AS completed_at
FROM orders o WHERE {_OF_DECIDED}
"""

# Units requested and units left are those of the order's latest request, from its facts.
_ORDER_LINES: LiteralString = """
WITH asked AS (
    SELECT d.lane, d.order_id, f.line FROM (
        SELECT DISTINCT ON (lane, order_id) lane, order_id, facts FROM decision
        ORDER BY lane, order_id, decided_at DESC, ticket_id DESC) d
    CROSS JOIN LATERAL jsonb_array_elements(d.facts -> 'order.lines') AS f (line))
SELECT l.order_id, l.line_id, l.sku, l.item_id, l.category_id, l.quantity,
       (a.line ->> 'requested_quantity')::bigint AS requested_quantity,
       (a.line ->> 'shipped_quantity')::bigint AS shipped_quantity,
       l.paid_minor, l.customised, l.virtual, (a.line ->> 'covered')::boolean AS covered
FROM asked a JOIN order_line l ON l.lane = a.lane AND l.order_id = a.order_id AND l.line_id = a.line ->> 'line_id'
"""

_CATEGORIES: LiteralString = "SELECT category_id, customised, virtual FROM category"

_SHIPMENTS: LiteralString = f"""
SELECT s.order_id, s.degree, s.happened_at AT TIME ZONE 'UTC' AS at, s.recorded_at AT TIME ZONE 'UTC' AS recorded_at
FROM shipment s WHERE {_OF_DECIDED}
"""

_EVENTS: LiteralString = f"""
WITH {_ENTRIES}
SELECT 'buyer' AS subject, e.buyer_id AS subject_id, e.kind, e.at AT TIME ZONE 'UTC' AS at, e.seen_at AS recorded_at,
       e.event_id, e.order_id, e.amount_minor, e.currency, NULL::bigint AS times, e.retracts
FROM entries e
UNION ALL
SELECT 'shop', s.shop_id, s.kind, ((s.day + time '12:00') AT TIME ZONE %(time_zone)s) AT TIME ZONE 'UTC', NULL, NULL,
       NULL, s.amount_minor, nullif(s.currency, ''), s.events, NULL
FROM shop_day s
WHERE s.shop_id IN (SELECT t.shop_id FROM ticket t JOIN decision USING (lane, ticket_id))
"""

_EVENT_RECORDS: LiteralString = """
SELECT kind, complete_from AT TIME ZONE 'UTC' AS complete_from, fresh_until AT TIME ZONE 'UTC' AS fresh_until
FROM history_record
"""

# Decisions from before `read_from` was stored use what the service knows now. Of an erased buyer nothing
# is known: complete only from after the request.
_READINGS: LiteralString = """
SELECT d.ticket_id::text AS request_id, r.kind,
       CASE WHEN b.erased THEN d.decided_at + interval '1 day'
            ELSE greatest(r.complete_from, (d.read_from ->> 'history_from')::timestamptz)
       END AT TIME ZONE 'UTC' AS complete_from,
       r.fresh_until AT TIME ZONE 'UTC' AS fresh_until,
       (d.read_from ->> 'registered_at')::timestamptz AT TIME ZONE 'UTC' AS registered_at,
       (d.read_from ->> 'shop_days_as_of')::timestamptz AT TIME ZONE 'UTC' AS shop_days_as_of
FROM decision d JOIN ticket t USING (lane, ticket_id) JOIN buyer b ON b.lane = t.lane AND b.buyer_id = t.buyer_id
    CROSS JOIN LATERAL jsonb_to_recordset(d.read_from -> 'records')
        AS r (kind text, complete_from timestamptz, fresh_until timestamptz)
UNION ALL
SELECT d.ticket_id::text, h.kind, h.complete_from AT TIME ZONE 'UTC', h.fresh_until AT TIME ZONE 'UTC',
       b.registered_at AT TIME ZONE 'UTC', d.decided_at AT TIME ZONE 'UTC'
FROM decision d JOIN ticket t USING (lane, ticket_id) JOIN buyer b ON b.lane = t.lane AND b.buyer_id = t.buyer_id
    CROSS JOIN history_record h
WHERE d.read_from IS NULL
"""

_DECISIONS: LiteralString = """
SELECT d.ticket_id::text AS request_id, d.outcome, d.policy_id, d.policy_version, d.policy_sha256, t.arm,
       EXISTS (SELECT 1 FROM selection s WHERE s.lane = t.lane AND s.buyer_id = t.buyer_id) AS listed,
       NULL::boolean AS eligible, t.review_reason, d.decision::text AS decision
FROM decision d JOIN ticket t USING (lane, ticket_id)
"""

# The texts that come with Jitui, which no platform publishes, stand beside those that were published.
_POLICIES: LiteralString = """
SELECT DISTINCT ON (sha256) sha256 AS policy_sha256, document FROM (
    SELECT sha256, document, publication FROM policy
    UNION ALL SELECT s ->> 0, s ->> 1, 0 FROM jsonb_array_elements(%(statutory)s::jsonb) s) p
ORDER BY sha256, publication
"""

_QUERIES: Mapping[str, LiteralString] = {
    "requests": _REQUESTS,
    "orders": _ORDERS,
    "order_lines": _ORDER_LINES,
    "categories": _CATEGORIES,
    "shipments": _SHIPMENTS,
    "events": _EVENTS,
    "event_records": _EVENT_RECORDS,
    "readings": _READINGS,
    "decisions": _DECISIONS,
    "policies": _POLICIES,
}

_FACT_KEYS: LiteralString = "SELECT DISTINCT f.key, jsonb_typeof(f.value) FROM decision, jsonb_each(facts) f"
_ATTRIBUTE_KEYS: LiteralString = "SELECT DISTINCT a.key, jsonb_typeof(a.value) FROM buyer, jsonb_each(attributes) a"


@dataclass(frozen=True, slots=True)
class _Export:
    """One table to export: its query and, in this order, its columns."""

    name: str
    query: sql.Composed
    columns: pa.Schema


def is_own_database(database_url: str) -> bool:
    """Whether the database has the service's tables; raises Unavailable when it does not answer."""
    with closing(_connect(database_url)) as connection:
        wanted = ("alembic_version", "decision", "ticket", "buyer_event", "shop_day")
        found = connection.execute(
            "SELECT count(*) FROM unnest(%s::text[]) AS t (name) WHERE to_regclass(name) IS NOT NULL", [list(wanted)]
        ).fetchone()
    return found == (len(wanted),)


def export_history(database_url: str, folder: Path, time_zone: ZoneInfo) -> Path:
    """Write the tables to a folder, from one snapshot of a database that may be in use.

    Raises BadInput for a database of another revision, Unavailable when it does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with closing(_connect(database_url)) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        # Whole tables are read; a nested loop through a missing index would take hours.
        connection.execute("SET LOCAL enable_nestloop = off")
        _check_revision(connection)
        for export in _exports(connection, time_zone):
            _write(connection, export, folder / f"{export.name}.parquet")
    return folder


def _connect(database_url: str) -> _Connection:
    with unavailable():
        return psycopg.connect(database_url, application_name="jitui backtest")


def _check_revision(connection: _Connection) -> None:
    found = standing_of(connection)
    if not found.usable:
        raise BadInput(
            f"The database is at revision {found.revision or 'none'} and this version reads {newest_revision()}:"
            " run `jitui migrate` first, or install the newer version.",
            path="--history",
        )


def _exports(connection: _Connection, time_zone: ZoneInfo) -> Iterator[_Export]:
    texts = {name: shipped_text(name) for name in STATUTORY_TEXTS}
    statutory = [[Policy.from_text(text, name).sha256, text] for name, text in texts.items()]
    values = {"zone": sql.Literal(time_zone.key), "statutory": sql.Literal(json.dumps(statutory))}
    for name, query in _QUERIES.items():
        given = query.replace("{", "{{").replace("}", "}}")
        given = given.replace("%(time_zone)s", "{zone}").replace("%(statutory)s", "{statutory}")
        composed = sql.SQL(given).format(**values)
        cursor = connection.execute(sql.SQL("SELECT * FROM ({}) q LIMIT 0").format(composed))
        spec = TABLES[name]
        columns = [(one.name, spec.column(one.name)) for one in cursor.description or ()]
        yield _Export(name, composed, pa.schema([(name, _ARROW[column.type]) for name, column in columns if column]))
    yield _buyers(connection)
    yield _facts(connection)


def _buyers(connection: _Connection) -> _Export:
    """The buyers who made requests, with one column for each attribute that any of them has."""
    kinds = _keys(connection, _ATTRIBUTE_KEYS)
    spec = TABLES["buyers"]
    names = sorted(name for name in kinds if spec.column(name) is None)
    query = sql.SQL("""
        SELECT b.buyer_id, b.registered_at AT TIME ZONE 'UTC'{values}
        FROM buyer b WHERE (b.lane, b.buyer_id) IN
            (SELECT t.lane, t.buyer_id FROM ticket t JOIN decision USING (lane, ticket_id))
    """).format(values=_values("b.attributes", names, kinds))
    columns: list[tuple[str, pa.DataType]] = [("buyer_id", pa.string()), ("registered_at", pa.timestamp("us"))]
    return _Export("buyers", query, pa.schema(columns + [(name, kinds[name]) for name in names]))


def _facts(connection: _Connection) -> _Export:
    """The stored facts; a fact that a decision does not have is NULL, which means unknown.

    Every fact of the table FACTS has a column, so that a fact that no decision knew is not computed from later events.
    """
    kinds = _keys(connection, _FACT_KEYS)
    kinds |= {name: _FACT_TYPES.get(spec.type, _LINES) for name, spec in FACTS.items()}
    names = sorted(kinds)
    query = sql.SQL("SELECT d.ticket_id::text{values} FROM decision d").format(values=_values("d.facts", names, kinds))
    return _Export("facts", query, pa.schema([("request_id", pa.string())] + [(name, kinds[name]) for name in names]))


def _keys(connection: _Connection, query: LiteralString) -> dict[str, pa.DataType]:
    found: dict[str, set[str]] = {}
    for name, kind in connection.execute(query).fetchall():
        if kind != "null":
            found.setdefault(name, set()).add(kind)
    return {name: _JSON_TYPES.get(frozenset(kinds), pa.string()) for name, kinds in found.items()}


def _values(document: LiteralString, names: Sequence[str], kinds: Mapping[str, pa.DataType]) -> sql.Composable:
    """One value of a JSON document for each name, in the type of its column."""
    parts: list[sql.Composable] = [sql.SQL("")]
    for name in names:
        if kinds[name] == _LINES:
            value = sql.SQL(document + " -> {}")
        elif kinds[name] == pa.int64():
            value = sql.SQL("(" + document + " ->> {})::bigint")
        elif kinds[name] == pa.bool_():
            value = sql.SQL("(" + document + " ->> {})::boolean")
        else:
            value = sql.SQL(document + " ->> {}")
        parts.append(value.format(sql.Literal(name)))
    return sql.SQL(", ").join(parts)


def _write(connection: _Connection, export: _Export, path: Path) -> None:
    """Write a table through a server-side cursor, so that neither side holds the whole table in memory."""
    with (
        connection.cursor(f"export_{export.name}") as cursor,
        pq.ParquetWriter(path, export.columns, compression="zstd") as writer,
    ):
        cursor.execute(export.query)
        while rows := cursor.fetchmany(ROWS_A_BATCH):
            columns = [
                pa.array(column, field.type)
                for column, field in zip(zip(*rows, strict=True), export.columns, strict=True)
            ]
            writer.write_batch(pa.record_batch(columns, schema=export.columns))
