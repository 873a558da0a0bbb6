"""See `jitui.identity.audit.AuditLog`; and the one way by which a row is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString

import msgspec

from jitui.adapters.postgres.pool import Connection, Pool, fetch
from jitui.identity.audit import AuditAction, AuditEvent, AuditReading, Head
from jitui.ids import lane_of

_APPEND: LiteralString = "SELECT append_named_audit(%(at)s, %(actor)s, %(action)s, %(subject)s, %(detail)s)"

_PSEUDONYM: LiteralString = "SELECT make_pseudonym(%(lane)s::smallint, %(buyer_id)s)"

_COLUMNS: LiteralString = "number, at, actor, action, subject, detail, previous_hash, hash, redacted_in"

_ALL: LiteralString = f"SELECT {_COLUMNS} FROM audit_event ORDER BY number"

_LIST: LiteralString = f"""
SELECT {_COLUMNS} FROM audit_event
WHERE (%(actor)s::text IS NULL OR actor = %(actor)s) AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(subject)s::text IS NULL OR subject = %(subject)s) AND (%(before)s::bigint IS NULL OR number < %(before)s)
ORDER BY number DESC LIMIT %(limit)s
"""

# Who made or reset the account of %(by)s less than %(old_enough)s before %(now)s. For them it is not somebody else's
# yet: they may still be the ones who use it.
RECENT_MAKERS: LiteralString = """(
    SELECT e.actor FROM audit_event e
    WHERE e.subject = %(by)s AND e.action LIKE 'person.%%' AND e.at > %(now)s::timestamptz - %(old_enough)s::interval
)"""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What is to be written down of a change."""

    action: AuditAction
    subject: str
    by: str
    at: datetime
    detail: Mapping[str, object] = field(default_factory=dict)


async def write_audit(connection: Connection, entry: AuditEntry) -> None:
    """Append in the transaction of the change; it waits for whoever appends at this moment.

    Who signs in as a buyer is named by the buyer's pseudonym.
    """
    params = {
        "at": entry.at,
        "actor": entry.by,
        "action": entry.action.value,
        "subject": entry.subject,
        "detail": msgspec.json.encode(entry.detail, order="sorted").decode(),
    }
    await connection.execute(_APPEND, params)


async def pseudonym_of(connection: Connection, buyer_id: str) -> str:
    """What stands for a buyer in the log and on the feed."""
    found = await connection.execute(_PSEUDONYM, {"lane": lane_of(buyer_id), "buyer_id": buyer_id})
    return str((await found.fetchall())[0][0])


async def fetch_audited(
    pool: Pool, statement: LiteralString, params: Mapping[str, object], entry: AuditEntry
) -> list[tuple[object, ...]]:
    """Run a statement, and write it down when it did something: gave a row, or changed one."""
    async with pool.connection() as connection:
        cursor = await connection.execute(statement, params)
        rows = await cursor.fetchall() if cursor.description is not None else []
        if cursor.rowcount > 0:
            await write_audit(connection, entry)
        return rows


class PostgresAuditLog:
    """A table that is only appended to."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AuditReading]:
        """All of it in one snapshot, so that what is appended meanwhile is no part of it."""
        async with self._pool.connection() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            rows = await (await connection.execute("SELECT number, hash FROM audit_head")).fetchall()
            number, hash_ = rows[0] if rows else (0, b"")
            head = Head(int(str(number)), msgspec.convert(hash_, bytes))
            async with connection.cursor("audit") as cursor:
                await cursor.execute(_ALL)
                yield AuditReading(head, (_event(row) async for row in cursor))

    async def events(
        self, *, actor: str | None, action: str | None, subject: str | None, before: int | None, limit: int
    ) -> Sequence[AuditEvent]:
        """A page, newest first."""
        params = {"actor": actor, "action": action, "subject": subject, "before": before, "limit": limit}
        return [_event(row) for row in await fetch(self._pool, _LIST, params)]


def _event(row: Sequence[object]) -> AuditEvent:
    names = ("number", "at", "actor", "action", "subject", "detail", "previous_hash", "hash", "redacted_in")
    return msgspec.convert(dict(zip(names, row, strict=True)), AuditEvent)
