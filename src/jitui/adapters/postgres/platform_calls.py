"""See `jitui.aftersales.operations.platform_calls.PlatformCalls` and `…operations.platform_connections.LostCalls`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from jitui.adapters.postgres.audit import AuditEntry, fetch_audited
from jitui.adapters.postgres.pool import Pool, fetch, read_rows
from jitui.aftersales.operations.platform_calls import PlatformCall
from jitui.aftersales.operations.platform_connections import GatewayAnswer
from jitui.identity.audit import AuditAction

_LOCK: LiteralString = """
INSERT INTO platform_lock AS held (platform, order_id, holder, until)
VALUES (%(platform)s, %(order_id)s, %(holder)s, %(until)s)
ON CONFLICT (platform, order_id) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE held.until <= %(now)s
"""

_UNLOCK: LiteralString = """
DELETE FROM platform_lock WHERE platform = %(platform)s AND order_id = %(order_id)s AND holder = %(holder)s
"""

_BEGIN: LiteralString = """
INSERT INTO platform_call (attempt_id, platform, order_id, begun_at)
VALUES (%(attempt_id)s, %(platform)s, %(order_id)s, %(at)s)
ON CONFLICT (attempt_id) DO NOTHING
"""


_CALL: LiteralString = """
SELECT json_build_object('begun_at', begun_at, 'made_note', made_note)::text
FROM platform_call WHERE attempt_id = %(attempt_id)s
"""

_MADE: LiteralString = """
UPDATE platform_call SET made_note = %(note)s
WHERE attempt_id = %(attempt_id)s AND made_note IS NULL RETURNING attempt_id
"""

_NOT_MADE: LiteralString = """
DELETE FROM platform_call WHERE attempt_id = %(attempt_id)s AND made_note IS NULL RETURNING attempt_id
"""


_LOST: LiteralString = """
SELECT r.refund_id FROM refund r
JOIN refund_attempt a ON a.lane = r.lane AND a.refund_id = r.refund_id AND a.attempt_no = r.attempt_no
JOIN platform_call c ON c.attempt_id = a.attempt_id
WHERE r.state = 'unknown' AND c.made_note IS NULL AND c.begun_at <= %(begun_by)s
"""

_ANSWERS: LiteralString = """
SELECT json_build_object('made', detail::json -> 'made', 'note', coalesce(detail::json ->> 'note', ''),
    'by', actor, 'at', at)::text
FROM audit_event WHERE subject = ANY (%(attempts)s::text[]) AND action = %(action)s ORDER BY number
"""


class PostgresPlatformCalls:
    """A row for each locked order, and one for each attempt that asked; every call commits by itself."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def lock(self, platform: str, order_id: str, holder: UUID, now: datetime, until: datetime) -> bool:
        """Take the order, where nobody has it or its time is over."""
        params = {"platform": platform, "order_id": order_id, "holder": holder, "now": now, "until": until}
        return await self._changed(_LOCK, params) == 1

    async def unlock(self, platform: str, order_id: str, holder: UUID) -> None:
        """Give the order back."""
        await self._changed(_UNLOCK, {"platform": platform, "order_id": order_id, "holder": holder})

    async def begin(self, platform: str, order_id: str, attempt_id: UUID, at: datetime) -> bool:
        """Note the call, unless it was noted."""
        params = {"platform": platform, "order_id": order_id, "attempt_id": attempt_id, "at": at}
        return await self._changed(_BEGIN, params) == 1

    async def withdraw(self, attempt_id: UUID) -> None:
        """Take the note back."""
        await self._changed("DELETE FROM platform_call WHERE attempt_id = %(attempt_id)s", {"attempt_id": attempt_id})

    async def call(self, attempt_id: UUID) -> PlatformCall | None:
        """The note about the attempt's call."""
        found = await read_rows(self._pool, _CALL, {"attempt_id": attempt_id}, PlatformCall)
        return found[0] if found else None

    async def lost(self, begun_by: datetime) -> Collection[UUID]:
        """The refunds that a person must look at."""
        return {UUID(str(row[0])) for row in await fetch(self._pool, _LOST, {"begun_by": begun_by})}

    async def answers(self, attempts: Collection[UUID]) -> Sequence[GatewayAnswer]:
        """By the audit log: of a call that was not made there is no other row any more."""
        params = {"attempts": [str(one) for one in attempts], "action": AuditAction.PLATFORM_CALL_RESOLVED.value}
        return await read_rows(self._pool, _ANSWERS, params, GatewayAnswer)

    async def answer(self, attempt_id: UUID, *, made: bool, note: str, by: str, now: datetime) -> bool:
        """Mark the call as made, or take its note away; False where it was answered meanwhile."""
        detail = {"made": made, "note": note}
        entry = AuditEntry(AuditAction.PLATFORM_CALL_RESOLVED, str(attempt_id), by, now, detail)
        params = {"attempt_id": attempt_id, "note": note}
        return bool(await fetch_audited(self._pool, _MADE if made else _NOT_MADE, params, entry))

    async def _changed(self, statement: LiteralString, params: dict[str, object]) -> int:
        async with self._pool.connection() as connection:
            return (await connection.execute(statement, params)).rowcount
