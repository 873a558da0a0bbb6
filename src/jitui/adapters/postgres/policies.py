"""See `jitui.aftersales.governance.policies.Policies`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString, TypeVar

import msgspec
from psycopg import errors

from jitui.adapters.postgres.announcements import PostgresAnnouncements
from jitui.adapters.postgres.audit import AuditEntry, write_audit
from jitui.adapters.postgres.confirmations import ask_confirmation
from jitui.adapters.postgres.pool import Connection, read_rows
from jitui.aftersales.governance.policies import LogReading, NewPublication, PolicyText
from jitui.aftersales.governance.publication import Authority, LogAction, LogEntry, in_force
from jitui.aftersales.ports import Publication
from jitui.identity.audit import AuditAction
from jitui.policy import PublicPolicy

_Row = TypeVar("_Row")

_PUSH: LiteralString = """
INSERT INTO policy_text (sha256, policy_id, version, document, cases, public_view, pushed_by, pushed_at, notice_days)
VALUES (%(sha256)s, %(policy_id)s, %(version)s, %(document)s, %(cases)s, %(view)s::jsonb, %(pushed_by)s, %(pushed_at)s,
        %(notice_days)s)
ON CONFLICT DO NOTHING
"""

# Test cases may come after the text, once.
_ADD_CASES: LiteralString = """
UPDATE policy_text SET cases = %(cases)s WHERE sha256 = %(sha256)s AND cases = '' AND %(cases)s <> ''
"""

_TEXT: LiteralString = "SELECT to_json(t)::text FROM policy_text t WHERE sha256 = %(sha256)s"

_FIND_TEXT: LiteralString = """
SELECT to_json(t)::text FROM policy_text t
WHERE policy_id = %(policy_id)s AND version = %(version)s AND NOT superseded
"""

_TEXTS: LiteralString = """
SELECT (to_jsonb(t) || '{"document": "", "cases": ""}')::text FROM policy_text t
WHERE %(at)s::timestamptz IS NULL OR (pushed_at, sha256) < (%(at)s, %(sha256)s)
ORDER BY pushed_at DESC, sha256 DESC LIMIT %(limit)s
"""

# What is in force or scheduled is not retired; a canary or a shadow that was ended is neither.
_RETIRE: LiteralString = """
UPDATE policy_text SET retired_at = %(now)s, retired_by = %(by)s, retired_for = %(reason)s
WHERE sha256 = %(sha256)s AND retired_at IS NULL AND NOT sha256 = ANY (%(standing)s)
"""

_LOG_ENTRY: LiteralString = """
json_build_object('publication', p.publication, 'action', p.action, 'stage', p.stage, 'policy_id', p.policy_id,
    'version', p.version, 'sha256', p.sha256, 'published_at', p.published_at, 'effective_at', p.effective_at,
    'cancels', p.cancels, 'canary_percent', p.canary_percent, 'canary_seed', p.canary_seed)
"""

_LOG: LiteralString = f"SELECT {_LOG_ENTRY}::text FROM policy p ORDER BY p.publication"

_NOT_CANCELLED: LiteralString = """
(p.action <> 'cancel' AND NOT EXISTS (SELECT 1 FROM policy c WHERE c.cancels = p.publication))
"""

_LIVE_NOW: LiteralString = f"""
SELECT coalesce(p.effective_at, p.published_at), p.publication FROM policy p
WHERE p.stage = 'live' AND {_NOT_CANCELLED} AND (p.effective_at IS NULL OR p.effective_at <= clock_timestamp())
ORDER BY 1 DESC, 2 DESC LIMIT 1
"""

_STANDING: LiteralString = f"""
SELECT json_build_object('read_at', clock_timestamp(),
    'single_person', (SELECT single_person FROM approval_mode), 'entries', coalesce((
    SELECT json_agg({_LOG_ENTRY} ORDER BY p.publication) FROM policy p
    WHERE {_NOT_CANCELLED}
      AND (coalesce(p.effective_at, p.published_at), p.publication) >= (SELECT at, n FROM ({_LIVE_NOW}) live (at, n))
), '[]'))::text
"""

# Publications take turns by this row, so that what was checked still holds when it is written.
_TAKE_TURN: LiteralString = "SELECT 1 FROM approval_mode FOR UPDATE"

# The log's times come from the machines of many people. A row without a moment of its own counts from when it is
# appended, so its time is never before that of a row that counts already, and never ahead of the database's clock:
# else a roll-back from a machine that is some seconds late would not be in force.
_PUBLISHED_AT: LiteralString = """
greatest(least(%(at)s, clock_timestamp()), (
    SELECT max(coalesce(q.effective_at, q.published_at)) FROM policy q
    WHERE q.effective_at IS NULL OR q.effective_at <= clock_timestamp()))
"""

_APPEND: LiteralString = f"""
INSERT INTO policy AS p (policy_id, version, sha256, document, public_view, published_by, published_at, action, stage,
                         effective_at, cancels, canary_percent, canary_seed, authority, reason,
                         proposal_id, content_hash, proposed_by, approved_by)
SELECT t.policy_id, t.version, t.sha256, t.document, t.public_view, %(by)s, {_PUBLISHED_AT}, %(action)s, %(stage)s,
       %(effective_at)s, %(cancels)s, %(canary_percent)s, %(canary_seed)s, %(authority)s, %(reason)s,
       %(proposal_id)s, %(content_hash)s, %(proposed_by)s, %(approved_by)s
FROM policy_text t
WHERE t.sha256 = %(sha256)s AND (SELECT max(publication) FROM policy) IS NOT DISTINCT FROM %(after)s::bigint
RETURNING {_LOG_ENTRY}::text
"""

# `replaced_at`: when another text became the live one.
_PUBLICATIONS: LiteralString = f"""
SELECT json_build_object(
    'publication', p.publication, 'published_at', p.published_at, 'published_by', p.published_by,
    'action', p.action, 'stage', p.stage, 'effective_at', p.effective_at, 'reason', p.reason,
    'canary_percent', p.canary_percent, 'authority', p.authority, 'approved_by', p.approved_by, 'cancels', p.cancels,
    'policy_id', p.policy_id, 'version', p.version, 'sha256', p.sha256,
    'viewed', t.public_view IS NOT NULL, 'public_view', t.public_view,
    'replaced_at', CASE WHEN p.stage = 'live' THEN (
        SELECT min(coalesce(n.effective_at, n.published_at)) FROM policy n
        WHERE n.stage = 'live' AND n.action <> 'cancel'
          AND NOT EXISTS (SELECT 1 FROM policy c WHERE c.cancels = n.publication)
          AND (coalesce(n.effective_at, n.published_at), n.publication)
              > (coalesce(p.effective_at, p.published_at), p.publication)) END,
    'document', CASE WHEN %(documents)s OR t.public_view IS NULL THEN t.document ELSE '' END)::text
FROM policy p JOIN policy_text t USING (sha256)
WHERE (%(before)s::bigint IS NULL OR p.publication < %(before)s)
  AND (%(only)s::bigint IS NULL OR p.publication = %(only)s)
  AND (NOT %(announced)s OR (p.stage = 'live' AND {_NOT_CANCELLED}))
  AND (NOT %(live)s OR p.publication = (SELECT n FROM ({_LIVE_NOW}) live (at, n)))
ORDER BY p.publication DESC LIMIT %(limit)s
"""

# Another process may have stored the view, which is equal.
_KEEP_VIEW: LiteralString = """
UPDATE policy_text SET public_view = %(view)s::jsonb WHERE sha256 = %(sha256)s AND public_view IS NULL
"""

_END_SINGLE_PERSON: LiteralString = """
UPDATE approval_mode SET single_person = false, ended_at = %(now)s, ended_by = %(by)s WHERE single_person
"""


class PostgresPolicies(PostgresAnnouncements):
    """Reference tables: a few hundred rows at most."""

    async def push(self, text: PolicyText, view: PublicPolicy) -> PolicyText:
        """Keep a text, or its cases where they are new."""
        async with self._pool.connection() as connection:
            return await push_text(connection, text, view)

    async def text(self, sha256: str) -> PolicyText | None:
        """The text with this hash."""
        return await self._one(_TEXT, {"sha256": sha256}, PolicyText)

    async def find_text(self, policy_id: str, version: str) -> PolicyText | None:
        """The text that has this version."""
        return await self._one(_FIND_TEXT, {"policy_id": policy_id, "version": version}, PolicyText)

    async def texts(self, *, limit: int, after: tuple[datetime, str] | None = None) -> Sequence[PolicyText]:
        """The newest first."""
        at, sha256 = after or (None, None)
        return await read_rows(self._pool, _TEXTS, {"limit": limit, "at": at, "sha256": sha256}, PolicyText)

    async def retire(self, sha256: str, *, by: str, now: datetime, reason: str) -> bool:
        """Whether it was retired now."""
        async with self._pool.connection() as connection:
            await connection.execute(_TAKE_TURN)
            reading = await _standing(connection)
            found = in_force(reading.entries, reading.read_at)
            rows = () if found is None else (found.live, found.canary, found.shadow, *found.scheduled)
            standing = [row.sha256 for row in rows if row is not None]
            params = {"sha256": sha256, "by": by, "now": now, "reason": reason, "standing": standing}
            if not (await connection.execute(_RETIRE, params)).rowcount:
                return False
            await write_audit(connection, AuditEntry(AuditAction.POLICY_RETIRED, sha256, by, now, {"reason": reason}))
            return True

    async def standing(self) -> LogReading:
        """The rows that decide now or later."""
        async with self._pool.connection() as connection:
            return await _standing(connection)

    async def log(self) -> Sequence[LogEntry]:
        """All rows."""
        return await read_rows(self._pool, _LOG, {}, LogEntry)

    async def append(self, row: NewPublication, *, after: int | None) -> LogEntry | None:
        """Append a row, in turn with all others who do."""
        try:
            async with self._pool.connection() as connection:
                return await append_publication(connection, row, after=after)
        except (errors.CheckViolation, errors.ForeignKeyViolation, errors.UniqueViolation) as error:
            raise ValueError(error.diag.message_primary or str(error)) from None

    async def publications(
        self, *, before: int | None, limit: int, documents: bool = False, announced: bool = False
    ) -> Sequence[Publication]:
        """A page of the log, newest first."""
        params = {"before": before, "only": None, "live": False, "limit": limit}
        params |= {"documents": documents, "announced": announced}
        return await read_rows(self._pool, _PUBLICATIONS, params, Publication)

    async def publication(self, number: int | None, *, documents: bool = False) -> Publication | None:
        """One row of the log; without a number that of the live policy."""
        params = {"before": None, "only": number, "live": number is None, "limit": 1}
        params |= {"documents": documents, "announced": False}
        return await self._one(_PUBLICATIONS, params, Publication)

    async def keep_public_view(self, sha256: str, view: PublicPolicy | None) -> None:
        """Store the public view of a text; None for one that can no longer be read."""
        async with self._pool.connection() as connection:
            params = {"sha256": sha256, "view": msgspec.json.encode(view).decode()}
            await connection.execute(_KEEP_VIEW, params)

    async def single_person(self) -> bool:
        """Whether one person is enough."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute("SELECT single_person FROM approval_mode")).fetchall()
        return rows == [(True,)]

    async def end_single_person(self, *, by: str, now: datetime) -> bool:
        """Whether it was ended now."""
        entry = AuditEntry(AuditAction.SINGLE_PERSON_ENDED, "installation", by, now)
        async with self._pool.connection() as connection:
            changed = (await connection.execute(_END_SINGLE_PERSON, {"by": by, "now": now})).rowcount
            if changed:
                await write_audit(connection, entry)
        return changed > 0

    async def _one(self, query: LiteralString, params: Mapping[str, object], kind: type[_Row]) -> _Row | None:
        found = await read_rows(self._pool, query, params, kind)
        return found[0] if found else None


async def push_text(connection: Connection, text: PolicyText, view: PublicPolicy) -> PolicyText:
    """Keep a text in the transaction of the caller; returns the text that has its version."""
    params = {**msgspec.to_builtins(text, builtin_types=(datetime,)), "view": msgspec.json.encode(view).decode()}
    if (await connection.execute(_PUSH, params)).rowcount:
        told = {"version": text.version, "sha256": text.sha256}
        await write_audit(
            connection, AuditEntry(AuditAction.POLICY_PUSHED, text.policy_id, text.pushed_by, text.pushed_at, told)
        )
    else:
        await connection.execute(_ADD_CASES, params)
    rows = await (await connection.execute(_FIND_TEXT, params)).fetchall()
    return msgspec.json.decode(str(rows[0][0]), type=PolicyText)


async def append_publication(connection: Connection, row: NewPublication, *, after: int | None) -> LogEntry | None:
    """Append a row in the transaction of the caller."""
    await connection.execute(_TAKE_TURN)
    approval = row.approval
    params = {
        "by": row.by,
        "at": row.at,
        "action": row.action.value,
        "stage": row.stage.value,
        "effective_at": row.effective_at,
        "cancels": row.cancels,
        "canary_percent": row.canary_percent,
        "canary_seed": row.canary_seed,
        "authority": row.authority.value,
        "reason": row.reason,
        "sha256": row.text.sha256,
        "after": after,
        "proposal_id": approval.proposal_id if approval is not None else None,
        "content_hash": approval.content_hash if approval is not None else None,
        "proposed_by": approval.proposed_by if approval is not None else None,
        "approved_by": approval.approved_by if approval is not None else None,
    }
    rows = await (await connection.execute(_APPEND, params)).fetchall()
    if not rows:
        return None
    told = {
        "version": row.text.version,
        "sha256": row.text.sha256,
        "action": row.action,
        "stage": row.stage,
        "authority": row.authority,
        "effective_at": row.effective_at,
        "approved_by": params["approved_by"],
        "reason": row.reason,
    }
    entry = AuditEntry(AuditAction.POLICY_PUBLISHED, row.text.policy_id, row.by, row.at, told)
    await write_audit(connection, entry)
    if row.authority is Authority.ONE_PERSON and row.action is not LogAction.PUBLISH:
        await ask_confirmation(connection, entry, row.reason)
    return msgspec.json.decode(str(rows[0][0]), type=LogEntry)


async def _standing(connection: Connection) -> LogReading:
    rows = await (await connection.execute(_STANDING)).fetchall()
    return msgspec.json.decode(str(rows[0][0]), type=LogReading)
