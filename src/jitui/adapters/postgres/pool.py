"""The connection pool that the adapter's parts share."""

from __future__ import annotations

from psycopg import AsyncConnection, AsyncCursor
from psycopg_pool import AsyncConnectionPool

Connection = AsyncConnection[tuple[object, ...]]
Cursor = AsyncCursor[tuple[object, ...]]
Pool = AsyncConnectionPool[Connection]

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
