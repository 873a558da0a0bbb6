"""See `jitui.aftersales.operations.workers.Workers`."""

from __future__ import annotations

from datetime import timedelta
from typing import LiteralString

import msgspec

from jitui.adapters.postgres.pool import Pool
from jitui.aftersales.operations.workers import WorkerBeat

_BEAT: LiteralString = """
INSERT INTO worker (name, started_at, seen_at, providers, trouble)
VALUES (%(name)s, %(started_at)s, clock_timestamp(), %(providers)s::jsonb, %(trouble)s::jsonb)
ON CONFLICT (name) DO UPDATE
SET started_at = excluded.started_at, seen_at = excluded.seen_at, providers = excluded.providers,
    trouble = excluded.trouble
"""

_FORGET: LiteralString = "DELETE FROM worker WHERE seen_at < clock_timestamp() - %(silent_for)s::interval"


class PostgresWorkers:
    """A row for each worker."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def beat(self, worker: WorkerBeat) -> None:
        """The worker lives, now."""
        params = {
            "name": worker.name,
            "started_at": worker.started_at,
            "providers": msgspec.json.encode(worker.providers).decode(),
            "trouble": msgspec.json.encode(worker.trouble).decode(),
        }
        async with self._pool.connection() as connection:
            await connection.execute(_BEAT, params)

    async def leave(self, name: str) -> None:
        """The worker takes its row with it."""
        async with self._pool.connection() as connection:
            await connection.execute("DELETE FROM worker WHERE name = %(name)s", {"name": name})

    async def forget(self, silent_for: timedelta) -> None:
        """Rows of workers that are gone for good."""
        async with self._pool.connection() as connection:
            await connection.execute(_FORGET, {"silent_for": silent_for})
