"""See `jitui.aftersales.governance.confirmations.Confirmations`; and how a row to be confirmed is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from jitui.adapters.postgres.audit import RECENT_MAKERS, AuditEntry, write_audit
from jitui.adapters.postgres.pool import Connection, Pool, read_rows
from jitui.aftersales.governance.confirmations import CONFIRM_WITHIN, Confirmation, ConfirmRefusal
from jitui.aftersales.governance.proposals import ACCOUNT_OLD_ENOUGH
from jitui.identity.audit import AuditAction
from jitui.ids import new_id

_ADD: LiteralString = """
INSERT INTO confirmation (confirmation_id, action, subject, done_by, done_at, reason, confirm_by)
SELECT %(id)s, %(action)s, %(subject)s, %(by)s, %(at)s, %(reason)s, %(confirm_by)s
FROM approval_mode WHERE NOT single_person
"""

_DROP: LiteralString = """
DELETE FROM confirmation WHERE action = %(action)s AND subject = %(subject)s AND confirmed_at IS NULL
"""

_OPEN: LiteralString = """
SELECT to_json(c)::text FROM confirmation c WHERE confirmed_at IS NULL
ORDER BY confirm_by, confirmation_id LIMIT %(limit)s
"""

_FIND: LiteralString = "SELECT to_json(c)::text FROM confirmation c WHERE confirmation_id = %(id)s FOR UPDATE"

_CONFIRM: LiteralString = f"""
UPDATE confirmation c SET confirmed_by = %(by)s, confirmed_at = %(now)s
WHERE confirmation_id = %(id)s AND confirmed_at IS NULL
  AND c.done_by <> ALL {RECENT_MAKERS}
RETURNING to_json(c)::text
"""


async def ask_confirmation(connection: Connection, entry: AuditEntry, reason: str) -> None:
    """In the transaction of what was done; not in an installation for one person."""
    params = {
        "id": new_id(0),
        "action": entry.action.value,
        "subject": entry.subject,
        "by": entry.by,
        "at": entry.at,
        "reason": reason,
        "confirm_by": entry.at + CONFIRM_WITHIN,
    }
    await connection.execute(_ADD, params)


async def drop_confirmations(connection: Connection, action: AuditAction, subject: str) -> None:
    """In the transaction that undoes it: two people have done that, and nothing is left for a second one to confirm."""
    await connection.execute(_DROP, {"action": action.value, "subject": subject})


class PostgresConfirmations:
    """A reference table."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, *, limit: int) -> Sequence[Confirmation]:
        """What nobody confirmed yet."""
        return await read_rows(self._pool, _OPEN, {"limit": limit}, Confirmation)

    async def confirm(self, confirmation_id: UUID, *, by: str, now: datetime) -> Confirmation | ConfirmRefusal:
        """Confirm it as somebody else than who did it."""
        params = {"id": confirmation_id, "by": by, "now": now, "old_enough": ACCOUNT_OLD_ENOUGH}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_FIND, params)).fetchall()
            if not rows:
                return ConfirmRefusal.NOTHING_TO_CONFIRM
            found = msgspec.json.decode(str(rows[0][0]), type=Confirmation)
            if found.confirmed_at is not None:
                return ConfirmRefusal.CONFIRMED_ALREADY
            if found.done_by == by:
                return ConfirmRefusal.OWN_CHANGE
            done = await (await connection.execute(_CONFIRM, params)).fetchall()
            if not done:
                return ConfirmRefusal.CONFIRMER_IS_RECENT
            told = {"action": found.action, "subject": found.subject, "done_by": found.done_by}
            await write_audit(connection, AuditEntry(AuditAction.CHANGE_CONFIRMED, str(confirmation_id), by, now, told))
            return msgspec.json.decode(str(done[0][0]), type=Confirmation)
