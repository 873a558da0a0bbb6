"""See `jitui.identity.links.Links`."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from jitui.adapters.postgres.audit import AuditEntry, write_audit
from jitui.adapters.postgres.people import PERSON
from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.identity.audit import AuditAction
from jitui.identity.people import Person

_ADD: LiteralString = """
WITH void AS (DELETE FROM one_time_link WHERE name = %(name)s AND used_at IS NULL)
INSERT INTO one_time_link (token_hash, name, created_at, created_by, expires_at)
VALUES (%(token_hash)s, %(name)s, %(now)s, %(by)s, %(expires_at)s)
"""

_FIND: LiteralString = f"""
SELECT {PERSON}::text FROM one_time_link l JOIN console_person p ON p.name = l.name
WHERE l.token_hash = %(token_hash)s AND l.used_at IS NULL AND l.expires_at > %(now)s AND p.disabled_at IS NULL
"""

# The row of the link lets one through: whoever waited for it finds it used.
_TAKE: LiteralString = f"""
WITH taken AS (
    UPDATE one_time_link l SET used_at = %(now)s
    WHERE l.token_hash = %(token_hash)s AND l.used_at IS NULL AND l.expires_at > %(now)s
      AND EXISTS (SELECT FROM console_person p WHERE p.name = l.name AND p.disabled_at IS NULL)
    RETURNING l.name
),
ended AS (DELETE FROM console_session s USING taken t WHERE s.name = t.name),
given_up AS (DELETE FROM pending_sign_in s USING taken t WHERE s.name = t.name)
UPDATE console_person p SET password_hash = %(password_hash)s FROM taken t WHERE p.name = t.name
RETURNING {PERSON}::text
"""


class PostgresLinks:
    """Links that were used stay, for the record."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add_link(self, token_hash: bytes, name: str, *, by: str, now: datetime, expires_at: datetime) -> None:
        """Keep a link; those of the person that were not used go."""
        params = {"token_hash": token_hash, "name": name, "by": by, "now": now, "expires_at": expires_at}
        async with self._pool.connection() as connection:
            await connection.execute(_ADD, params)
            entry = AuditEntry(AuditAction.LINK_MADE, name, by, now, {"expires_at": expires_at})
            await write_audit(connection, entry)

    async def find_link(self, token_hash: bytes, now: datetime) -> Person | None:
        """Whom a link that can be used is for."""
        found = await read_rows(self._pool, _FIND, {"token_hash": token_hash, "now": now}, Person)
        return found[0] if found else None

    async def take_link(self, token_hash: bytes, password_hash: str, now: datetime) -> Person | None:
        """Use a link, in one statement: the password is set and the sessions end; None where it cannot be used."""
        params = {"token_hash": token_hash, "password_hash": password_hash, "now": now}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_TAKE, params)).fetchall()
            if not rows:
                return None
            person = msgspec.json.decode(str(rows[0][0]), type=Person)
            await write_audit(connection, AuditEntry(AuditAction.LINK_USED, person.name, person.name, now))
            return person
