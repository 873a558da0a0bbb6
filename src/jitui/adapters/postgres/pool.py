"""The connection pool of all adapters to the database. It turns errors of the connection into `Unavailable`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import LiteralString, TypeVar

import msgspec
import psycopg
from psycopg import AsyncConnection, AsyncCursor, errors
from psycopg_pool import AsyncConnectionPool

from jitui.errors import Unavailable

Connection = AsyncConnection[tuple[object, ...]]
Cursor = AsyncCursor[tuple[object, ...]]
_Row = TypeVar("_Row")

WAIT_SECONDS = 10.0
"""How long a caller waits for a connection before `Unavailable` is raised."""

_UNAVAILABLE = (psycopg.OperationalError, psycopg.InterfaceError)
"""No server, no free connection in time, a broken connection, or a statement that the server cancelled."""
_NOT_MIGRATED = (errors.UndefinedTable, errors.UndefinedColumn)


_CANNOT_BE_USED = (*_UNAVAILABLE, *_NOT_MIGRATED)


@contextmanager
def unavailable() -> Iterator[None]:
    """Raise `Unavailable` for psycopg's errors about a database that cannot be used now."""
    try:
        yield
    except _CANNOT_BE_USED as error:
        raise _unavailable_for(error) from error


def _unavailable_for(error: psycopg.Error) -> Unavailable:
    if isinstance(error, _NOT_MIGRATED):
        said = error.diag.message_primary
        return Unavailable(f"The database's tables are of another version (run `jitui migrate`): {said}")
    # psycopg's message has host, user and database, never the password
    return Unavailable(f"The database does not answer: {str(error).strip().partition(chr(10))[0]}")


class Pool(AsyncConnectionPool[Connection]):
    """psycopg's pool, whose errors become `Unavailable`."""

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ASYNC109
        """A connection in a transaction, which commits at the end of the block and rolls back when the block raises."""
        try:
            async with super().connection(timeout) as connection:
                yield connection
        except _CANNOT_BE_USED as error:
            raise _unavailable_for(error) from error


def make_pool(database_url: str, *, max_size: int, min_size: int = 1) -> Pool:
    """A pool that `async with` opens and closes.

    psycopg's own preparing is off: at a rollback it would drop every prepared statement of the connection, also those
    of `jitui.adapters.postgres.batch`.
    """
    return Pool(
        database_url,
        min_size=min(min_size, max_size),
        max_size=max_size,
        open=False,
        timeout=WAIT_SECONDS,
        kwargs={"prepare_threshold": None, "application_name": "jitui"},
    )


async def read_rows(pool: Pool, query: LiteralString, params: Mapping[str, object], kind: type[_Row]) -> list[_Row]:
    """The rows of a query that selects one JSON text, decoded as `kind`."""
    async with pool.connection() as connection:
        cursor = await connection.execute(query, params)
        return [msgspec.json.decode(str(row[0]), type=kind) for row in await cursor.fetchall()]


async def fetch(pool: Pool, statement: LiteralString, params: Mapping[str, object]) -> list[tuple[object, ...]]:
    """Run one statement in a transaction of its own; its rows, if it gives any."""
    async with pool.connection() as connection:
        cursor = await connection.execute(statement, params)
        return await cursor.fetchall() if cursor.description is not None else []
