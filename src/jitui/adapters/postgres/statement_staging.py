"""Puts a statement into temporary tables and groups it with our postings, on PostgreSQL.

It implements `jitui.aftersales.reconciliation.reconcile.StatementStaging`. A statement may have millions of rows, so
they are copied in, grouped by the database, and read group by group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from jitui.adapters.postgres.pool import Connection, Pool
from jitui.aftersales.ledger import AT_PROVIDER, Account, Cause
from jitui.aftersales.reconciliation.match import MovementGroup, ProviderMovement
from jitui.aftersales.reconciliation.statement import (
    MOST_UNREADABLE,
    AnyRow,
    OtherRow,
    RowKind,
    StatementRow,
    StatementSummary,
    StatementWindow,
    UnreadableRow,
)
from jitui.errors import BadInput
from jitui.ids import lane_of_id
from jitui.text import sentence

_TABLES: LiteralString = """
CREATE TEMPORARY TABLE statement_row (
    line bigint, kind text, at timestamptz, amount_minor bigint, currency text, reference text,
    provider_refund_id text, payment_ids text[], final boolean, lane smallint, attempt_id uuid
) ON COMMIT DROP;
CREATE TEMPORARY TABLE statement_of_ours (
    line bigint, lane smallint, order_id text, attempt_id uuid, refund_id uuid, state text, tender_id text,
    payment_id text
) ON COMMIT DROP;
"""

_COPY: LiteralString = (
    "COPY statement_row (line, kind, at, amount_minor, currency, reference, provider_refund_id, payment_ids, final, "
    "lane, attempt_id) FROM STDIN"
)

# The attempt or payment of ours that a row is about: by our reference, or else by the provider's number.
_FIND: LiteralString = """
INSERT INTO statement_of_ours (line, lane, order_id, attempt_id, refund_id, state, tender_id, payment_id)
SELECT DISTINCT ON (line) * FROM (
    SELECT s.line, a.lane, a.order_id, a.attempt_id, a.refund_id, a.state, NULL AS tender_id, NULL AS payment_id
    FROM statement_row s
    JOIN refund_attempt a ON a.lane = s.lane AND a.attempt_id = s.attempt_id
    JOIN refund r ON r.lane = a.lane AND r.refund_id = a.refund_id AND r.provider = %(provider)s
    WHERE s.kind <> 'payment'
    UNION ALL
    SELECT s.line, a.lane, a.order_id, a.attempt_id, a.refund_id, a.state, NULL, NULL
    FROM statement_row s
    JOIN refund_attempt a ON a.provider_refund_id = s.provider_refund_id
    JOIN refund r ON r.lane = a.lane AND r.refund_id = a.refund_id AND r.provider = %(provider)s
    WHERE s.kind <> 'payment' AND s.attempt_id IS NULL
    UNION ALL
    SELECT s.line, t.lane, t.order_id, NULL, NULL, NULL, t.tender_id, t.payment_id
    FROM statement_row s CROSS JOIN LATERAL unnest(s.payment_ids) AS u (payment_id)
    JOIN tender t ON t.payment_id = u.payment_id AND t.provider = %(provider)s
    WHERE s.kind = 'payment') found
ORDER BY line
"""

# Our movements for everything that the statement names, at any time, and all our movements in the window.
_REFUNDS: LiteralString = """
WITH posted AS (
    SELECT l.* FROM (SELECT DISTINCT lane, order_id FROM statement_of_ours WHERE attempt_id IS NOT NULL) k
    JOIN ledger l ON l.lane = k.lane AND l.order_id = k.order_id
    UNION
    SELECT l.* FROM ledger l WHERE l.posted_at >= %(since)s AND l.posted_at < %(until)s),
ours AS (
    SELECT p.*, split_part(p.posting, ':', 2)::uuid AS attempt_id FROM posted p
    WHERE %(clearing)s IN (p.debit, p.credit) AND split_part(p.posting, ':', 1) = ANY (%(causes)s)),
parts AS (
    SELECT a.attempt_id::text AS key, a.order_id, a.attempt_id, a.refund_id, a.state, NULL::json AS theirs,
        json_build_object('kind', CASE WHEN o.credit = %(clearing)s THEN 'refund' ELSE 'refund_returned' END,
            'at', o.posted_at, 'possible_from', a.started_at, 'amount_minor', o.amount_minor, 'currency', o.currency,
            'posting', o.posting, 'payment_id', r.payment_id) AS ours
    FROM ours o JOIN refund_attempt a ON a.lane = o.lane AND a.attempt_id = o.attempt_id
    JOIN refund r ON r.lane = a.lane AND r.refund_id = a.refund_id
    UNION ALL
    SELECT coalesce(f.attempt_id::text, 'refund ' || s.provider_refund_id, 'reference ' || s.reference,
            'line ' || s.line),
        f.order_id, f.attempt_id, f.refund_id, f.state, to_json(s), NULL
    FROM statement_row s LEFT JOIN statement_of_ours f USING (line) WHERE s.kind <> 'payment')
SELECT json_build_object('key', key, 'order_id', order_id, 'attempt_id', attempt_id, 'refund_id', refund_id,
    'attempt_state', state, 'ours', coalesce(json_agg(ours) FILTER (WHERE ours IS NOT NULL), '[]'),
    'theirs', coalesce(json_agg(theirs) FILTER (WHERE theirs IS NOT NULL), '[]'))::text
FROM parts GROUP BY key, order_id, attempt_id, refund_id, state
"""

# A payment may be shared by several orders and captured in several steps; all of it is one group.
_PAYMENTS: LiteralString = """
WITH posted AS (
    SELECT l.* FROM (
        SELECT DISTINCT t.lane, t.order_id FROM statement_of_ours f
        JOIN tender t ON t.lane = f.lane AND t.provider = %(provider)s AND t.payment_id = f.payment_id
        WHERE f.tender_id IS NOT NULL) k
    JOIN ledger l ON l.lane = k.lane AND l.order_id = k.order_id
    UNION
    SELECT l.* FROM ledger l WHERE l.posted_at >= %(since)s AND l.posted_at < %(until)s),
parts AS (
    SELECT 'payment ' || t.payment_id AS key, t.order_id, NULL::json AS theirs,
        json_build_object('kind', 'payment', 'at', p.posted_at, 'possible_from', p.posted_at,
            'amount_minor', p.amount_minor, 'currency', p.currency, 'posting', p.posting) AS ours
    FROM posted p
    JOIN tender t ON t.lane = p.lane AND t.order_id = p.order_id AND (p.posting = %(captured)s || t.tender_id
        OR regexp_replace(p.posting, %(captured_more)s, '') = t.tender_id)
    WHERE p.debit = %(clearing)s
    UNION ALL
    SELECT 'payment ' || coalesce(f.payment_id, s.payment_ids[1], 'line ' || s.line), f.order_id, to_json(s), NULL
    FROM statement_row s LEFT JOIN statement_of_ours f USING (line) WHERE s.kind = 'payment')
SELECT json_build_object('key', key, 'order_id', min(order_id),
    'ours', coalesce(json_agg(ours) FILTER (WHERE ours IS NOT NULL), '[]'),
    'theirs', coalesce(json_agg(theirs) FILTER (WHERE theirs IS NOT NULL), '[]'))::text
FROM parts GROUP BY key
"""

_OURS_NOW: LiteralString = """
SELECT json_build_object('kind', CASE WHEN l.credit = %(clearing)s THEN 'refund' ELSE 'refund_returned' END,
    'at', l.posted_at, 'possible_from', a.started_at, 'amount_minor', l.amount_minor, 'currency', l.currency,
    'posting', l.posting, 'payment_id', r.payment_id)::text
FROM refund_attempt a JOIN refund r ON r.lane = a.lane AND r.refund_id = a.refund_id
JOIN ledger l ON l.lane = a.lane AND l.order_id = a.order_id
WHERE a.lane = %(lane)s AND a.attempt_id = %(attempt_id)s AND %(clearing)s IN (l.debit, l.credit)
  AND split_part(l.posting, ':', 1) = ANY (%(causes)s) AND split_part(l.posting, ':', 2) = %(attempt_id)s::text
"""

_GROUP = msgspec.json.Decoder(MovementGroup)
_POSTING = msgspec.json.Decoder(ProviderMovement)
_CAUSES = [cause.value for cause in AT_PROVIDER]


def _clearing(provider: str) -> str:
    return Account.PROVIDER_CLEARING.value.format(provider=provider)


@dataclass(frozen=True, slots=True)
class PostgresStagedStatement:
    """Implements `jitui.aftersales.reconciliation.reconcile.StagedStatement`."""

    connection: Connection
    provider: str
    summary: StatementSummary

    async def groups(self, window: StatementWindow) -> AsyncIterator[MovementGroup]:
        """The groups of refunds, then those of payments; without payments in the statement, refunds alone."""
        params = {
            "clearing": _clearing(self.provider),
            "causes": _CAUSES,
            "captured": f"{Cause.CAPTURED}:",
            "captured_more": f"^{Cause.CAPTURED_MORE}:[0-9]+:",
            "provider": self.provider,
            "since": window.since,
            "until": window.until,
        }
        queries: tuple[LiteralString, ...] = (
            (_REFUNDS, _PAYMENTS) if self.summary.rows[RowKind.PAYMENT] else (_REFUNDS,)
        )
        for query in queries:
            async with self.connection.cursor(name="statement_groups") as cursor:
                cursor.itersize = 1_000
                await cursor.execute(query, params)
                async for (text,) in cursor:
                    yield _GROUP.decode(str(text))


class PostgresStatementStaging:
    """Keeps the statement on one connection; other connections write what was learned from it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def stage(self, provider: str, rows: Iterable[AnyRow]) -> AsyncIterator[PostgresStagedStatement]:
        """Read the whole statement into temporary tables. Raises BadInput when it cannot be read."""
        async with self._pool.connection() as connection:
            await connection.execute(_TABLES)
            summary = await _copy(connection, rows)
            await connection.execute("ANALYZE statement_row")
            await connection.execute(_FIND, {"provider": provider})
            await connection.execute("ANALYZE statement_of_ours")
            yield PostgresStagedStatement(connection, provider, summary)

    async def group_of(self, provider: str, group: MovementGroup) -> MovementGroup:
        """The group with our movements of the attempt as they are now."""
        assert group.attempt_id is not None
        params = {
            "lane": lane_of_id(group.attempt_id),
            "attempt_id": group.attempt_id,
            "clearing": _clearing(provider),
            "causes": _CAUSES,
        }
        async with self._pool.connection() as connection:
            found = await (await connection.execute(_OURS_NOW, params)).fetchall()
        return replace(group, ours=tuple(_POSTING.decode(str(text)) for (text,) in found))


async def _copy(connection: Connection, rows: Iterable[AnyRow]) -> StatementSummary:
    counts: Counter[RowKind] = Counter()
    others = 0
    unreadable: list[UnreadableRow] = []
    first_at: datetime | None = None
    last_at: datetime | None = None
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for row in rows:
            match row:
                case StatementRow():
                    await copy.write_row(_columns(row))
                    counts[row.kind] += 1
                    first_at = row.at if first_at is None else min(first_at, row.at)
                    last_at = row.at if last_at is None else max(last_at, row.at)
                case OtherRow():
                    others += 1
                case UnreadableRow():
                    unreadable.append(row)
                    if len(unreadable) > MOST_UNREADABLE:
                        raise _too_many(unreadable[0])
    return StatementSummary(counts, others, tuple(unreadable), first_at, last_at)


def _too_many(first: UnreadableRow) -> BadInput:
    return BadInput(
        sentence(
            "More than %(most)s rows cannot be read, the first in line %(line)s: %(why)s."
            " Is this the right provider's statement?",
            most=MOST_UNREADABLE,
            line=first.line,
            why=first.said,
        )
    )


def _columns(row: StatementRow) -> tuple[object, ...]:
    attempt_id = _attempt_of(row.reference)
    return (
        row.line,
        row.kind.value,
        row.at,
        row.amount_minor,
        row.currency,
        row.reference,
        row.provider_refund_id,
        list(row.payment_ids),
        row.final,
        None if attempt_id is None else lane_of_id(attempt_id),
        attempt_id,
    )


def _attempt_of(reference: str | None) -> UUID | None:
    """The id of an attempt, with or without dashes; None for a reference that is not ours."""
    if reference is None or len(reference) not in (32, 36):
        return None
    try:
        return UUID(reference)
    except ValueError:
        return None
