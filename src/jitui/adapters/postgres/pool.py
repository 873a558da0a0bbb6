"""The connection pool that the adapter's parts share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import LiteralString, TypeVar

import msgspec
from psycopg import AsyncConnection, AsyncCursor
from psycopg_pool import AsyncConnectionPool

Connection = AsyncConnection[tuple[object, ...]]
Cursor = AsyncCursor[tuple[object, ...]]
Pool = AsyncConnectionPool[Connection]
_Row = TypeVar("_Row")

WAIT_SECONDS = 10.0
"""How long a caller waits for a connection before it is told that the service is not available."""


def make_pool(database_url: str, *, max_size: int, min_size: int = 1) -> Pool:
    """A pool that `async with` opens and closes.

    psycopg prepares nothing by itself: it would drop every prepared statement of the connection at a rollback,
    those of `jitui.adapters.postgres.batch` too.
    """
    return AsyncConnectionPool(
        database_url,
        min_size=min(min_size, max_size),
        max_size=max_size,
        open=False,
        timeout=WAIT_SECONDS,
        kwargs={"prepare_threshold": None, "application_name": "jitui"},
    )


async def read_rows(pool: Pool, query: LiteralString, params: Mapping[str, object], kind: type[_Row]) -> list[_Row]:
    """The rows of a query that selects one JSON text, as the core's own values."""
    async with pool.connection() as connection:
        cursor = await connection.execute(query, params)
        return [msgspec.json.decode(str(row[0]), type=kind) for row in await cursor.fetchall()]
