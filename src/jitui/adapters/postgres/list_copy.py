"""Copies that lists are read from, filled from the feed (decisions 0041 and 0047)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from jitui.adapters.postgres.feed import LOCK_FOR_THE_TRANSACTION, database_time, publish_changes
from jitui.adapters.postgres.pool import Connection, Pool

FILL_BATCH = 5_000
"""Changes in one transaction: a few tenths of a second, well within the limit of an idle session."""

_NEXT: LiteralString = """
SELECT r.position, (SELECT max(c.position) FROM (
    SELECT position FROM change WHERE position > r.position ORDER BY position LIMIT %(limit)s) c)
FROM roll_up r WHERE r.name = %(name)s
"""

# The time is the database's; after a failover its clock may go back, and the list's time with it.
_ADVANCE: LiteralString = """
UPDATE roll_up SET position = %(upto)s, by_database_clock = true, as_of = coalesce(%(as_of)s, as_of)
WHERE name = %(name)s
"""

LAG_MS: LiteralString = """(SELECT greatest(0, floor(extract(epoch FROM clock_timestamp() - as_of) * 1000))::bigint
    FROM roll_up WHERE name = '{name}')"""
"""How many milliseconds ago everything that was committed by then was in the copy with this name."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy, by the name of its row in `roll_up`.

    `copy` copies what changes of the feed are about, from %(after)s to %(upto)s. `follow`, if any, copies what has
    changed without a change of the feed.
    """

    name: LiteralString
    lock: int
    copy: LiteralString
    follow: LiteralString | None = None


class ListCopy:
    """Fills a copy; a position on the feed says how far it is."""

    def __init__(self, pool: Pool, copied: Copied, batch: int) -> None:
        self._pool = pool
        self._copied = copied
        self._batch = batch

    async def fill(self) -> None:
        """Copy all that was committed when this began; one worker at a time copies."""
        async with self._pool.connection() as connection:
            # Read before publishing: what is committed after this time may not be in the list yet.
            as_of = await database_time(connection)
            while await publish_changes(connection, 10_000) == 10_000:
                pass
            while await self._copy_next(connection, as_of):
                pass

    async def _copy_next(self, connection: Connection, as_of: datetime) -> bool:
        """Copy one batch and commit; whether there may be more. Only who has reached the end says how late it is."""
        copied = self._copied
        await connection.execute(LOCK_FOR_THE_TRANSACTION, {"lock": copied.lock})
        row = await (await connection.execute(_NEXT, {"limit": self._batch, "name": copied.name})).fetchone()
        assert row is not None, "the migration wrote it"
        after, upto = row
        if upto is not None:
            await connection.execute(copied.copy, {"after": after, "upto": upto})
        elif copied.follow is not None:
            await connection.execute(copied.follow)
        reached = as_of if upto is None else None
        await connection.execute(_ADVANCE, {"upto": upto or after, "as_of": reached, "name": copied.name})
        await connection.commit()
        return upto is not None
