"""See `jitui.aftersales.governance.complaint.Complaints`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import LiteralString
from uuid import UUID

import msgspec

from jitui.adapters.postgres.audit import AuditEntry, write_audit
from jitui.adapters.postgres.pool import Connection, Pool, read_rows
from jitui.aftersales.governance.complaint import (
    Complaint,
    ComplaintAnswer,
    ComplaintFilter,
    about_incident,
    complaint_answered,
    complaint_open,
)
from jitui.aftersales.outcomes import Refusal
from jitui.identity.audit import AuditAction

_MAKE: LiteralString = """
INSERT INTO complaint AS c (complaint_id, shop_id, reason, made_by, made_at, answer_by)
VALUES (%(complaint_id)s, %(shop_id)s, %(reason)s, %(made_by)s, %(made_at)s, %(answer_by)s)
ON CONFLICT (shop_id) WHERE state = 'open' AND incident_id IS NULL DO NOTHING
RETURNING to_json(c)::text
"""

# Another one may be answered between the two statements; then the next try makes this one.
_OPEN: LiteralString = """
SELECT to_json(c)::text FROM complaint c WHERE shop_id = %(shop_id)s AND state = 'open' AND incident_id IS NULL
"""

_ANSWER: LiteralString = """
UPDATE complaint c SET state = 'answered', outcome = %(outcome)s, answer = %(words)s, answered_by = %(by)s,
    answered_at = %(at)s
WHERE complaint_id = %(complaint_id)s AND state = 'open' AND incident_id IS NULL
RETURNING to_json(c)::text
"""

_ONE: LiteralString = "SELECT to_json(c)::text FROM complaint c WHERE complaint_id = %(complaint_id)s"

_LIST: LiteralString = """
SELECT to_json(c)::text FROM complaint c
WHERE (%(shop_id)s::text IS NULL OR shop_id = %(shop_id)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(after_at)s::timestamptz IS NULL OR (answer_by, complaint_id) > (%(after_at)s, %(after_id)s::uuid))
ORDER BY answer_by, complaint_id LIMIT %(limit)s
"""

_TRIES = 3


class PostgresComplaints:
    """A reference table."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def make(self, complaint: Complaint) -> Complaint | Refusal:
        """A unique index holds that one is open."""
        params = {name: getattr(complaint, name) for name in Complaint.__slots__}
        for _ in range(_TRIES):
            async with self._pool.connection() as connection:
                made = await _one(connection, _MAKE, params)
                if made is not None:
                    told = {"complaint": str(made.complaint_id)}
                    subject = f"shop {made.shop_id}"
                    entry = AuditEntry(AuditAction.COMPLAINT_MADE, subject, made.made_by, made.made_at, told)
                    await write_audit(connection, entry)
                    return made
                standing = await _one(connection, _OPEN, params)
            if standing is not None:
                return standing if standing.reason == complaint.reason else complaint_open()
        return complaint_open()

    async def answer(self, complaint_id: UUID, answer: ComplaintAnswer) -> Complaint | Refusal | None:
        """Of two who answer at once the first does."""
        params = {
            "complaint_id": complaint_id,
            "outcome": answer.outcome.value,
            "words": answer.words,
            "by": answer.by,
            "at": answer.at,
        }
        async with self._pool.connection() as connection:
            answered = await _one(connection, _ANSWER, params)
            if answered is not None:
                told = {"complaint": str(complaint_id), "outcome": answer.outcome.value}
                subject = f"shop {answered.shop_id}"
                entry = AuditEntry(AuditAction.COMPLAINT_ANSWERED, subject, answer.by, answer.at, told)
                await write_audit(connection, entry)
                return answered
            known = await _one(connection, _ONE, params)
        if known is None or (known.outcome, known.answer) == (answer.outcome, answer.words):
            return known
        return about_incident() if known.incident_id is not None else complaint_answered()

    async def get(self, complaint_id: UUID) -> Complaint | None:
        """One complaint."""
        found = await read_rows(self._pool, _ONE, {"complaint_id": complaint_id}, Complaint)
        return found[0] if found else None

    async def list(self, wanted: ComplaintFilter) -> Sequence[Complaint]:
        """The earliest deadline first."""
        at, complaint_id = wanted.after or (None, None)
        params = {
            "shop_id": wanted.shop_id,
            "state": wanted.state,
            "after_at": at,
            "after_id": complaint_id,
            "limit": wanted.limit,
        }
        return await read_rows(self._pool, _LIST, params, Complaint)


async def _one(connection: Connection, query: LiteralString, params: Mapping[str, object]) -> Complaint | None:
    rows = await (await connection.execute(query, params)).fetchall()
    return msgspec.json.decode(str(rows[0][0]), type=Complaint) if rows else None
