"""The connection pool that the adapter's parts share."""

from __future__ import annotations

from psycopg import AsyncConnection, AsyncCursor
from psycopg_pool import AsyncConnectionPool

Connection = AsyncConnection[tuple[object, ...]]
Cursor = AsyncCursor[tuple[object, ...]]
Pool = AsyncConnectionPool[Connection]


def make_pool(database_url: str, *, max_size: int, min_size: int = 1) -> Pool:
    """A pool that `async with` opens and closes; a statement is prepared at its second use."""
    return AsyncConnectionPool(
        database_url,
        min_size=min(min_size, max_size),
        max_size=max_size,
        open=False,
        kwargs={"prepare_threshold": 1, "application_name": "jitui"},
    )
