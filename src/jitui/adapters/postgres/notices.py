"""Notices on PostgreSQL; the ports are in `jitui.notices.model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from jitui.adapters.postgres.feed import publish_changes
from jitui.adapters.postgres.pool import Connection, Pool, fetch, read_rows
from jitui.identity.access import ROLE_GRANTS, Permission
from jitui.ids import lane_of, lane_of_id
from jitui.notices.model import (
    LOST,
    SHARED_MAILBOX,
    ClaimedNotice,
    Closed,
    Notice,
    NoticeBacklog,
    NoticeFilter,
    NoticeKind,
    Preferences,
    Recipient,
)

NOTICES_LOCK = 7405133
"""Held while notices are queued, so that one worker at a time reads on."""
MOST_TASKS_AN_HOUR = 20
"""Of one kind, by mail; the list of tasks has them all."""
OVERLAP = timedelta(hours=1)
"""How far a look at what is not on the feed goes back: a row may be committed after later ones were seen."""

# Fan-out ----------------------------------------------------------------------------------------------------------

_TRY_LOCK: LiteralString = """
SELECT pg_try_advisory_xact_lock(%(lock)s), set_config('idle_in_transaction_session_timeout', '5s', true)
"""

_BEGIN: LiteralString = """
INSERT INTO notice_cursor (position, scanned_until, began_at)
SELECT coalesce(max(position), 0), %(now)s, %(now)s FROM change
ON CONFLICT (only_one) DO NOTHING
"""

_REACH: LiteralString = """
SELECT w.position, least(w.position + %(limit)s, (SELECT coalesce(max(position), 0) FROM change)),
    greatest(w.began_at, least(w.scanned_until, %(now)s) - %(overlap)s::interval)
FROM notice_cursor w
"""

_QUEUE: LiteralString = """
INSERT INTO notice (lane, recipient, recipient_id, kind, subject, queued_at, due_at)
"""

_ONCE: LiteralString = " ON CONFLICT ON CONSTRAINT notice_once DO NOTHING"

# Who is told of an event. An approval that comes with its request is told with it; a request that needs no review is
# not the shop's to answer, and a shop that approved knows what not to ship. An approval by arbitration is told with the
# decision. What can happen to a subject again has the moment in its name, so that it is told again (`Notice.subject`).
_OF_THE_FEED: LiteralString = (
    _QUEUE
    + """
SELECT c.lane, n.recipient, CASE n.recipient WHEN 'buyer' THEN t.buyer_id ELSE t.shop_id END, n.kind,
    CASE n.about WHEN 'ticket' THEN c.ticket_id::text WHEN 'case' THEN c.ticket_id::text || m.moment
        ELSE c.body ->> 'incident_id' || m.moment END, %(now)s::timestamptz, %(now)s::timestamptz
FROM change c JOIN ticket t ON t.lane = c.lane AND t.ticket_id = c.ticket_id
CROSS JOIN LATERAL (SELECT to_char(c.at AT TIME ZONE 'UTC', '"@"YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS m (moment)
CROSS JOIN LATERAL (VALUES
    ('ticket.requested', 'buyer', 'request_received', 'ticket', true),
    ('ticket.requested', 'shop', 'review_asked', 'ticket', c.body ->> 'state' = 'awaiting_merchant'),
    ('ticket.review_due', 'shop', 'review_reminder', 'ticket', true),
    ('ticket.approved', 'buyer', 'request_approved', 'ticket',
        c.body ->> 'approved_by' NOT IN ('instant_refund', 'withdrawal', 'arbitration')),
    ('ticket.rejected', 'buyer', 'request_rejected', 'ticket', true),
    ('ticket.refunded', 'buyer', 'refunded', 'ticket', true),
    ('stop_ship', 'shop', 'stop_ship', 'ticket', t.approved_by <> 'merchant'),
    ('arbitration.opened', 'buyer', 'arbitration_opened', 'case', true),
    ('arbitration.opened', 'shop', 'evidence_asked', 'case', true),
    ('arbitration.decided', 'buyer', 'arbitration_decided', 'case', true),
    ('arbitration.decided', 'shop', 'arbitration_decided', 'case', true),
    ('incident.opened', 'shop', 'incident_opened', 'ticket', true),
    ('incident.decided', 'shop', 'incident_decided', 'incident', true)) AS n (event, recipient, kind, about, wanted)
WHERE c.position > %(after)s AND c.position <= %(upto)s AND c.kind = n.event AND n.wanted
"""
    + _ONCE
)

_RESTRICTIONS: LiteralString = (
    _QUEUE
    + """
SELECT r.lane, 'buyer', r.buyer_id, 'restricted', r.restriction_id::text, %(now)s::timestamptz, %(now)s::timestamptz
FROM restriction r WHERE r.set_at > %(since)s AND r.set_at <= %(now)s AND r.lifted_at IS NULL
"""
    + _ONCE
)

_APPEALS: LiteralString = (
    _QUEUE
    + """
SELECT a.lane, 'buyer', a.buyer_id, 'appeal_answered', a.appeal_id::text, %(now)s::timestamptz, %(now)s::timestamptz
FROM appeal a WHERE a.decided_at > %(since)s AND a.decided_at <= %(now)s
"""
    + _ONCE
)

_ANSWERED: LiteralString = """
SELECT 'shop', c.shop_id, 'complaint_answered', c.complaint_id::text
FROM complaint c WHERE c.answered_at > %(since)s AND c.answered_at <= %(now)s
"""

# To the shared mailbox, and to operators of whom an address is known. Of one kind of task not more than `most` of an
# hour: when a thousand refunds fail, people are told, and other notices still go out.
_TASKS: LiteralString = f"""
SELECT 'operator', p.name, 'task_opened', t.task_id::text
FROM task t CROSS JOIN LATERAL (
    SELECT '{SHARED_MAILBOX}' AS name WHERE %(mailbox)s
    UNION ALL
    SELECT name FROM console_person WHERE role = ANY (%(roles)s) AND disabled_at IS NULL AND email IS NOT NULL) p
WHERE t.opened_at > %(since)s AND t.opened_at <= %(now)s AND t.state = 'open' AND (
    SELECT count(*) FROM task o
    WHERE o.kind = t.kind AND o.opened_at > t.opened_at - interval '1 hour'
      AND (o.opened_at, o.task_id) < (t.opened_at, t.task_id)) < %(most)s
"""

_TO_ONE: LiteralString = (
    _QUEUE
    + """
VALUES (%(lane)s, %(recipient)s, %(recipient_id)s, %(kind)s, %(subject)s, %(now)s::timestamptz, %(now)s::timestamptz)
"""
    + _ONCE
)

_REACHED: LiteralString = "UPDATE notice_cursor SET position = %(upto)s, scanned_until = %(now)s"

# Sending ----------------------------------------------------------------------------------------------------------

_NOTICE: LiteralString = "to_jsonb(n) - 'claim_id'"

# Without locks: a hint of where to look, not a claim.
_DUE_LANES: LiteralString = """
SELECT lane FROM notice WHERE state = 'pending' AND due_at <= %(now)s GROUP BY lane LIMIT %(limit)s
"""

_CLAIM: LiteralString = f"""
WITH due AS MATERIALIZED (
    SELECT notice_id FROM notice
    WHERE lane = %(lane)s AND state = 'pending' AND due_at <= %(now)s AND handed_over_at IS NULL
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
UPDATE notice n SET claim_id = %(claim_id)s, due_at = %(lease_until)s
FROM due d WHERE n.lane = %(lane)s AND n.notice_id = d.notice_id
RETURNING ({_NOTICE})::text
"""

_HAND_OVER: LiteralString = """
UPDATE notice SET handed_over_at = %(now)s, due_at = %(lease_until)s
WHERE lane = %(lane)s AND notice_id = %(notice_id)s AND claim_id = %(claim_id)s AND state = 'pending'
"""

# That it was sent is true whoever has the notice by now; everything else counts for who has it.
_CLOSE: LiteralString = """
UPDATE notice SET state = %(state)s, failure = %(failure)s, tries = tries + %(tried)s::int,
    tried_at = CASE WHEN %(tried)s THEN %(at)s ELSE tried_at END, claim_id = NULL, handed_over_at = NULL,
    due_at = %(due_at)s, closed_at = CASE WHEN %(state)s = 'pending' THEN NULL ELSE %(at)s::timestamptz END
WHERE lane = %(lane)s AND notice_id = %(notice_id)s AND claim_id = %(claim_id)s
  AND (state = 'pending' OR (state = 'unknown' AND %(state)s IN ('sent', 'dead')))
"""

# The claim stays, so that a worker that was only slow can still say that it was sent.
_LOST: LiteralString = f"""
UPDATE notice n SET state = 'unknown', failure = %(failure)s, due_at = NULL, closed_at = %(now)s, tried_at = %(now)s,
    tries = tries + 1
WHERE n.lane = %(lane)s AND n.state = 'pending' AND n.due_at <= %(now)s AND n.handed_over_at IS NOT NULL
RETURNING ({_NOTICE})::text
"""

_PURGE: LiteralString = """
DELETE FROM notice n USING (
    SELECT lane, notice_id FROM notice WHERE closed_at < %(before)s AND state <> 'unknown' LIMIT %(limit)s) old
WHERE n.lane = old.lane AND n.notice_id = old.notice_id AND n.closed_at < %(before)s
"""

# People -----------------------------------------------------------------------------------------------------------

_LIST: LiteralString = f"""
SELECT ({_NOTICE})::text FROM notice n
WHERE (%(state)s::text IS NULL OR n.state = %(state)s)
  AND (%(recipient)s::text IS NULL OR (n.recipient = %(recipient)s AND n.recipient_id = %(recipient_id)s))
  AND (%(after_at)s::timestamptz IS NULL OR (n.queued_at, n.notice_id) < (%(after_at)s, %(after_id)s::uuid))
  AND (%(subject)s::text IS NULL OR (n.lane = %(lane)s AND n.subject = %(subject)s))
ORDER BY n.queued_at DESC, n.notice_id DESC LIMIT %(limit)s
"""

_GET: LiteralString = f"SELECT ({_NOTICE})::text FROM notice n WHERE n.notice_id = %(notice_id)s"

_RETRY: LiteralString = """
UPDATE notice SET state = 'pending', due_at = %(now)s, queued_at = %(now)s, closed_at = NULL, claim_id = NULL,
    handed_over_at = NULL, tries = 0
WHERE notice_id = %(notice_id)s AND state IN ('dead', 'unknown')
"""

_BACKLOG: LiteralString = """
SELECT json_build_object(
    'pending', count(*) FILTER (WHERE state = 'pending'), 'dead', count(*) FILTER (WHERE state = 'dead'),
    'unknown', count(*) FILTER (WHERE state = 'unknown'),
    'oldest_pending_at', min(queued_at) FILTER (WHERE state = 'pending'))::text
FROM notice WHERE state IN ('pending', 'dead', 'unknown')
"""

_PREFERENCES: LiteralString = """
SELECT json_build_object('off', off, 'language', language)::text FROM notice_preference
WHERE lane = %(lane)s AND recipient = %(recipient)s AND recipient_id = %(recipient_id)s
"""

_PUT_PREFERENCES: LiteralString = """
INSERT INTO notice_preference (lane, recipient, recipient_id, off, language, changed_at)
VALUES (%(lane)s, %(recipient)s, %(recipient_id)s, %(off)s, %(language)s, %(now)s)
ON CONFLICT (lane, recipient, recipient_id) DO UPDATE
SET off = excluded.off, language = excluded.language, changed_at = excluded.changed_at
"""

_TOLD_OF_TASKS = [role.value for role, grants in ROLE_GRANTS.items() if Permission.TASKS_WRITE in grants]
_DECODER = msgspec.json.Decoder(Notice)


class PostgresNoticeQueue:
    """Rows that wait, claimed lane by lane. `mailbox`: the operators' own, which hears of tasks too."""

    def __init__(self, pool: Pool, mailbox: str | None = None) -> None:
        self._pool = pool
        self._of_tasks = {"mailbox": mailbox is not None, "roles": _TOLD_OF_TASKS, "most": MOST_TASKS_AN_HOUR}

    async def fan_out(self, now: datetime, limit: int = 5_000) -> int:
        """One worker at a time; the others go on."""
        async with self._pool.connection() as connection:
            await publish_changes(connection, 10_000)
            locked = await (await connection.execute(_TRY_LOCK, {"lock": NOTICES_LOCK})).fetchone()
            if locked is None or locked[0] is not True:
                return 0
            await connection.execute(_BEGIN, {"now": now})
            row = await (await connection.execute(_REACH, {"limit": limit, "now": now, "overlap": OVERLAP})).fetchone()
            after, upto, since = msgspec.convert(row, tuple[int, int, datetime])
            params = {"now": now, "after": after, "upto": max(after, upto), "since": since}
            for made in (_OF_THE_FEED, _RESTRICTIONS, _APPEALS):
                await connection.execute(made, params)
            for found in (_ANSWERED, _TASKS):
                await _queue_found(connection, found, {**params, **self._of_tasks})
            await connection.execute(_REACHED, params)
            return max(after, upto) - after

    async def claim(self, *, now: datetime, lease_until: datetime, limit: int) -> Sequence[ClaimedNotice]:
        """A transaction for each lane that has something due."""
        claimed: list[ClaimedNotice] = []
        for (lane,) in await fetch(self._pool, _DUE_LANES, {"now": now, "limit": limit}):
            claim_id = UUID(str(uuid7()))
            params = {"lane": lane, "now": now, "lease_until": lease_until, "claim_id": claim_id}
            rows = await fetch(self._pool, _CLAIM, {**params, "limit": limit - len(claimed)})
            claimed += [ClaimedNotice(_DECODER.decode(str(row[0])), claim_id) for row in rows]
            if len(claimed) >= limit:
                break
        return claimed

    async def hand_over(self, claimed: ClaimedNotice, *, now: datetime, lease_until: datetime) -> bool:
        """Committed before the first byte of the text goes out."""
        return await self._run(_HAND_OVER, {**_named(claimed), "now": now, "lease_until": lease_until}) == 1

    async def close(self, claimed: ClaimedNotice, closed: Closed) -> None:
        """Write what came of it."""
        params = {
            **_named(claimed),
            "state": closed.state.value,
            "failure": closed.failure,
            "tried": closed.tried,
            "at": closed.at,
            "due_at": closed.due_at,
        }
        await self._run(_CLOSE, params)

    async def lost(self, now: datetime) -> Sequence[Notice]:
        """Lane by lane."""
        found: list[Notice] = []
        for (lane,) in await fetch(self._pool, _DUE_LANES, {"now": now, "limit": None}):
            rows = await fetch(self._pool, _LOST, {"lane": lane, "now": now, "failure": LOST})
            found += [_DECODER.decode(str(row[0])) for row in rows]
        return found

    async def purge(self, before: datetime, limit: int = 10_000) -> int:
        """A part at a time; what nobody knows of stays until a person has decided."""
        return await self._run(_PURGE, {"before": before, "limit": limit})

    async def list(self, wanted: NoticeFilter) -> Sequence[Notice]:
        """Newest first."""
        at, notice_id = wanted.after or (None, None)
        params = {
            "after_at": at,
            "after_id": notice_id,
            "state": wanted.state,
            "recipient": None if wanted.recipient is None else wanted.recipient.kind.value,
            "recipient_id": None if wanted.recipient is None else wanted.recipient.id,
            "lane": None if wanted.ticket_id is None else lane_of_id(wanted.ticket_id),
            "subject": None if wanted.ticket_id is None else str(wanted.ticket_id),
            "limit": wanted.limit,
        }
        return await read_rows(self._pool, _LIST, params, Notice)

    async def get(self, notice_id: UUID) -> Notice | None:
        """One notice."""
        found = await read_rows(self._pool, _GET, {"notice_id": notice_id}, Notice)
        return found[0] if found else None

    async def retry(self, notice_id: UUID, now: datetime) -> bool:
        """It begins anew, with all its time."""
        return await self._run(_RETRY, {"notice_id": notice_id, "now": now}) == 1

    async def backlog(self) -> NoticeBacklog:
        """Counted in the table."""
        return (await read_rows(self._pool, _BACKLOG, {}, NoticeBacklog))[0]

    async def _run(self, made: LiteralString, params: Mapping[str, object]) -> int:
        async with self._pool.connection() as connection:
            return (await connection.execute(made, params)).rowcount


class PostgresNoticePreferences:
    """One row for each recipient that chose something."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, recipient: Recipient) -> Preferences:
        """What the recipient wants; everything, where nothing was chosen."""
        found = await read_rows(self._pool, _PREFERENCES, _of(recipient), Preferences)
        return found[0] if found else Preferences()

    async def put(self, recipient: Recipient, preferences: Preferences, now: datetime) -> None:
        """In place of what was there."""
        off = [kind.value for kind in NoticeKind if kind in preferences.off]
        params = {**_of(recipient), "off": off, "language": preferences.language, "now": now}
        async with self._pool.connection() as connection:
            await connection.execute(_PUT_PREFERENCES, params)


async def _queue_found(connection: Connection, query: LiteralString, params: Mapping[str, object]) -> None:
    """What the query finds, in the lane of the recipient's id, which SQL does not know."""
    for recipient, recipient_id, kind, subject in await (await connection.execute(query, params)).fetchall():
        to = {"lane": lane_of(str(recipient_id)), "recipient": recipient, "recipient_id": recipient_id}
        await connection.execute(_TO_ONE, {**to, "kind": kind, "subject": subject, "now": params["now"]})


def _named(claimed: ClaimedNotice) -> dict[str, object]:
    return {"lane": claimed.notice.lane, "notice_id": claimed.notice.notice_id, "claim_id": claimed.claim_id}


def _of(recipient: Recipient) -> dict[str, object]:
    return {"lane": lane_of(recipient.id), "recipient": recipient.kind.value, "recipient_id": recipient.id}
