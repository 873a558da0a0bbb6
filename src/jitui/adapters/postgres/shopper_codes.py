"""See `jitui.identity.shopper.ShopperCodes`."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import LiteralString

from jitui.adapters.postgres.pool import Pool
from jitui.identity.shopper import CODE_LASTS, CODES_PER_ORDER, CODES_WITHIN, MOST_TRIES

# The lock makes requests for one order wait for one another, so that each counts those before it.
_LOCK: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended('shopper_code ' || %(order_id)s, 0))"

_PURGE: LiteralString = "DELETE FROM shopper_code WHERE sent_at <= %(since)s"

_ADD: LiteralString = """
INSERT INTO shopper_code (asked, code, order_id, sent_at, expires_at)
SELECT %(asked)s, %(code)s, %(order_id)s, %(now)s, %(expires_at)s
WHERE (SELECT count(*) FROM shopper_code WHERE order_id = %(order_id)s AND sent_at > %(since)s) < %(most)s
"""

_TRY: LiteralString = """
UPDATE shopper_code SET tries = tries + 1
WHERE asked = %(asked)s AND tries < %(most)s AND used_at IS NULL AND expires_at > %(now)s
RETURNING code, order_id
"""

_USED: LiteralString = "UPDATE shopper_code SET used_at = %(now)s WHERE asked = %(asked)s"


class PostgresShopperCodes:
    """A row for each code that was sent; it is forgotten when it counts for no limit any more."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, asked: bytes, code: bytes, order_id: str, *, now: datetime) -> bool:
        """One statement after the lock counts and inserts."""
        values = {
            "asked": asked,
            "code": code,
            "order_id": order_id,
            "now": now,
            "expires_at": now + CODE_LASTS,
            "since": now - CODES_WITHIN,
            "most": CODES_PER_ORDER,
        }
        async with self._pool.connection() as connection:
            await connection.execute(_LOCK, values)
            await connection.execute(_PURGE, values)
            added = await connection.execute(_ADD, values)
            return added.rowcount == 1

    async def use(self, asked: bytes, code: bytes, *, now: datetime) -> str | None:
        """The row's lock makes tries wait for one another; a right code is used up in the same transaction."""
        values = {"asked": asked, "now": now, "most": MOST_TRIES}
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_TRY, values)).fetchone()
            if row is None or not hmac.compare_digest(bytes(memoryview(row[0])), code):  # type: ignore[arg-type]
                return None
            await connection.execute(_USED, values)
            return str(row[1])
