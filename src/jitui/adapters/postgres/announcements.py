"""See `jitui.aftersales.governance.announcing.Announcements`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

import msgspec
from psycopg import errors

from jitui.adapters.postgres.audit import AuditEntry, write_audit
from jitui.adapters.postgres.pool import Connection, Pool, read_rows
from jitui.aftersales.governance.announcing import (
    Announcement,
    AnnounceRefusal,
    Notice,
    Opinion,
    TooEarly,
)
from jitui.identity.audit import AuditAction
from jitui.ids import new_id

_OPEN: LiteralString = "a.used_by IS NULL AND a.withdrawn_at IS NULL"

_NOTICE: LiteralString = f"""
SELECT json_build_object('days', extract(epoch FROM notice_before(9223372036854775807))::bigint / 86400,
    'announced_at', a.announced_at, 'takes_effect_at', a.takes_effect_at, 'read_at', clock_timestamp())::text
FROM (SELECT 1) one LEFT JOIN announcement a ON a.sha256 = %(sha256)s AND {_OPEN}
"""

# Whoever announces takes turns with whoever publishes, so that the period is the one that binds.
_TAKE_TURN: LiteralString = "SELECT 1 FROM approval_mode FOR UPDATE"

_TEXT: LiteralString = """
SELECT json_build_object('retired', t.retired_at IS NOT NULL,
    'binds', notice_before(9223372036854775807) > interval '0',
    'earliest', clock_timestamp() + notice_before(9223372036854775807),
    'announceable', (SELECT single_person FROM approval_mode) OR EXISTS (
        SELECT 1 FROM proposal p WHERE p.kind = 'policy' AND p.state = 'approved'
          AND p.content::jsonb ->> 'sha256' = t.sha256),
    'live', t.sha256 = (SELECT p.sha256 FROM policy p WHERE p.stage = 'live' AND p.action <> 'cancel'
        AND NOT EXISTS (SELECT 1 FROM policy c WHERE c.cancels = p.publication)
        AND (p.effective_at IS NULL OR p.effective_at <= clock_timestamp())
        ORDER BY coalesce(p.effective_at, p.published_at) DESC, p.publication DESC LIMIT 1))::text
FROM policy_text t WHERE t.sha256 = %(sha256)s
"""

_ADD: LiteralString = """
INSERT INTO announcement (announcement_id, sha256, announced_by, announced_at, takes_effect_at)
VALUES (%(id)s, %(sha256)s, %(by)s, clock_timestamp(), %(takes_effect_at)s)
"""

_STATE: LiteralString = """
CASE WHEN a.withdrawn_at IS NOT NULL THEN 'called_off' WHEN a.used_by IS NULL THEN 'announced'
     WHEN EXISTS (SELECT 1 FROM policy c WHERE c.cancels = a.used_by) THEN 'called_off'
     WHEN p.effective_at > clock_timestamp() THEN 'scheduled' ELSE 'took_effect' END
"""

_READ: LiteralString = f"""
SELECT json_build_object('announcement_id', a.announcement_id, 'sha256', a.sha256, 'policy_id', t.policy_id,
    'version', t.version, 'state', {_STATE}, 'announced_by', a.announced_by, 'announced_at', a.announced_at,
    'takes_effect_at', coalesce(p.effective_at, p.published_at, a.takes_effect_at),
    'opinions', (SELECT count(*) FROM opinion o WHERE o.announcement_id = a.announcement_id),
    'public_view', t.public_view, 'publication', a.used_by, 'withdrawn_at', a.withdrawn_at,
    'withdrawn_for', a.withdrawn_for)::text
FROM announcement a JOIN policy_text t USING (sha256) LEFT JOIN policy p ON p.publication = a.used_by
"""

_OF_TEXT: LiteralString = f"{_READ} WHERE a.sha256 = %(sha256)s AND {_OPEN}"

_BY_ID: LiteralString = f"{_READ} WHERE a.announcement_id = %(id)s"

_OF_PUBLICATION: LiteralString = f"{_READ} WHERE a.used_by = %(publication)s"

_LIST: LiteralString = f"""
{_READ} WHERE (%(at)s::timestamptz IS NULL OR (a.announced_at, a.announcement_id) < (%(at)s, %(id)s::uuid))
  AND (NOT %(to_come)s OR {_STATE} IN ('announced', 'scheduled'))
ORDER BY a.announced_at DESC, a.announcement_id DESC LIMIT %(limit)s
"""

_WITHDRAW: LiteralString = f"""
UPDATE announcement a SET withdrawn_at = %(now)s, withdrawn_by = %(by)s, withdrawn_for = %(reason)s
WHERE announcement_id = %(id)s AND {_OPEN}
"""

_RECORD: LiteralString = """
INSERT INTO opinion AS o (opinion_id, announcement_id, said_by, said, reference, recorded_by, recorded_at)
VALUES (%(opinion_id)s, %(announcement_id)s, %(said_by)s, %(said)s, %(reference)s, %(recorded_by)s, %(recorded_at)s)
ON CONFLICT DO NOTHING RETURNING to_json(o)::text
"""

_RECORDED: LiteralString = """
SELECT to_json(o)::text FROM opinion o
WHERE announcement_id = %(announcement_id)s AND reference = %(reference)s
"""

_ANSWER: LiteralString = """
UPDATE opinion o SET answer = %(answer)s, answered_by = %(by)s, answered_at = %(now)s
WHERE opinion_id = %(id)s AND answer IS NULL RETURNING to_json(o)::text
"""

_OPINION: LiteralString = "SELECT to_json(o)::text FROM opinion o WHERE opinion_id = %(id)s"

_OPINIONS: LiteralString = """
SELECT to_json(o)::text FROM opinion o WHERE announcement_id = %(announcement_id)s
  AND (%(at)s::timestamptz IS NULL OR (recorded_at, opinion_id) < (%(at)s, %(id)s::uuid))
ORDER BY recorded_at DESC, opinion_id DESC LIMIT %(limit)s
"""


_ON_THE_WAY = timedelta(seconds=1)


class _Standing(msgspec.Struct, frozen=True):
    retired: bool
    binds: bool
    earliest: datetime
    announceable: bool
    live: bool | None


class PostgresAnnouncements:
    """Reference tables."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def notice(self, sha256: str) -> Notice:
        """The period and the open announcement."""
        return (await read_rows(self._pool, _NOTICE, {"sha256": sha256}, Notice))[0]

    async def announce(
        self, sha256: str, takes_effect_at: datetime | None, *, by: str, now: datetime
    ) -> Announcement | TooEarly | AnnounceRefusal:
        """A trigger takes the database's clock, and refuses what would be too early or was approved by nobody."""
        params = {"id": new_id(0), "sha256": sha256, "by": by, "takes_effect_at": takes_effect_at}
        async with self._pool.connection() as connection:
            await connection.execute(_TAKE_TURN)
            known = await _announcement(connection, _OF_TEXT, params)
            if known is not None:
                same = takes_effect_at in (None, known.takes_effect_at)
                return known if same else AnnounceRefusal.ANNOUNCED_OTHERWISE
            rows = await (await connection.execute(_TEXT, params)).fetchall()
            standing = msgspec.json.decode(str(rows[0][0]), type=_Standing)
            refused = _not_announceable(standing, takes_effect_at)
            if refused is not None:
                return refused
            await connection.execute(_ADD, params)
            made = await _announcement(connection, _BY_ID, params)
            assert made is not None
            told = {"version": made.version, "sha256": sha256, "takes_effect_at": made.takes_effect_at}
            await write_audit(connection, AuditEntry(AuditAction.POLICY_ANNOUNCED, made.policy_id, by, now, told))
            return made

    async def withdraw_announcement(
        self, announcement_id: UUID, *, by: str, now: datetime, reason: str
    ) -> Announcement | AnnounceRefusal:
        """What was published is called off by its publication."""
        params = {"id": announcement_id, "by": by, "now": now, "reason": reason}
        async with self._pool.connection() as connection:
            changed = (await connection.execute(_WITHDRAW, params)).rowcount
            found = await _announcement(connection, _BY_ID, params)
            if found is None:
                return AnnounceRefusal.NOT_ANNOUNCED
            if not changed:
                return AnnounceRefusal.NOT_TO_COME
            told = {"version": found.version, "sha256": found.sha256, "reason": reason}
            entry = AuditEntry(AuditAction.ANNOUNCEMENT_WITHDRAWN, found.policy_id, by, now, told)
            await write_audit(connection, entry)
            return found

    async def announcements(
        self, *, limit: int, after: tuple[datetime, UUID] | None = None, to_come: bool = False
    ) -> Sequence[Announcement]:
        """The newest first."""
        at, announcement_id = after or (None, None)
        params = {"limit": limit, "at": at, "id": announcement_id, "to_come": to_come}
        return await read_rows(self._pool, _LIST, params, Announcement)

    async def announcement_of(self, publication: int) -> Announcement | None:
        """At most one, since a publication uses the one that is open."""
        found = await read_rows(self._pool, _OF_PUBLICATION, {"publication": publication}, Announcement)
        return found[0] if found else None

    async def record_opinion(self, opinion: Opinion) -> Opinion | AnnounceRefusal:
        """A unique index holds that one reference is one opinion."""
        params = {name: getattr(opinion, name) for name in Opinion.__slots__}
        try:
            async with self._pool.connection() as connection:
                made = await _opinion(connection, _RECORD, {**params, "said_by": opinion.said_by.value})
                if made is None:
                    known = await _opinion(connection, _RECORDED, params)
                    assert known is not None, "another one has this reference"
                    return known
                told = {"opinion": str(made.opinion_id), "announcement": str(made.announcement_id)}
                entry = AuditEntry(
                    AuditAction.OPINION_RECORDED, str(made.announcement_id), made.recorded_by, made.recorded_at, told
                )
                await write_audit(connection, entry)
                return made
        except errors.ForeignKeyViolation:
            return AnnounceRefusal.NOT_ANNOUNCED

    async def answer_opinion(
        self, opinion_id: UUID, answer: str, *, by: str, now: datetime
    ) -> Opinion | AnnounceRefusal:
        """Of two who answer at once the first does."""
        params = {"id": opinion_id, "answer": answer, "by": by, "now": now}
        async with self._pool.connection() as connection:
            answered = await _opinion(connection, _ANSWER, params)
            if answered is not None:
                told = {"opinion": str(opinion_id)}
                subject = str(answered.announcement_id)
                await write_audit(connection, AuditEntry(AuditAction.OPINION_ANSWERED, subject, by, now, told))
                return answered
            known = await _opinion(connection, _OPINION, params)
        if known is None:
            return AnnounceRefusal.NO_OPINION
        return known if known.answer == answer else AnnounceRefusal.ANSWERED_OTHERWISE

    async def opinions(
        self, announcement_id: UUID, *, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> Sequence[Opinion]:
        """The newest first."""
        at, opinion_id = after or (None, None)
        params = {"announcement_id": announcement_id, "limit": limit, "at": at, "id": opinion_id}
        return await read_rows(self._pool, _OPINIONS, params, Opinion)


def _not_announceable(standing: _Standing, takes_effect_at: datetime | None) -> TooEarly | AnnounceRefusal | None:
    if standing.retired:
        return AnnounceRefusal.TEXT_RETIRED
    if standing.live:
        return AnnounceRefusal.TEXT_IN_FORCE
    if not standing.announceable:
        return AnnounceRefusal.TEXT_NOT_APPROVED
    # A second is left for the way to the trigger, which takes the clock once more.
    # Without a moment it is the end of the period; where none binds, that is over as soon as it is announced.
    late_enough = standing.binds if takes_effect_at is None else takes_effect_at >= standing.earliest + _ON_THE_WAY
    return None if late_enough else TooEarly(standing.earliest + _ON_THE_WAY)


async def _announcement(
    connection: Connection, query: LiteralString, params: Mapping[str, object]
) -> Announcement | None:
    rows = await (await connection.execute(query, params)).fetchall()
    return msgspec.json.decode(str(rows[0][0]), type=Announcement) if rows else None


async def _opinion(connection: Connection, query: LiteralString, params: Mapping[str, object]) -> Opinion | None:
    rows = await (await connection.execute(query, params)).fetchall()
    return msgspec.json.decode(str(rows[0][0]), type=Opinion) if rows else None
