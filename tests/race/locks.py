"""Detects that a session waits for a lock, without assuming how long that takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

_WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
    "AND state = 'active'"
)


async def wait_for_a_lock(database_url: str, *tasks: asyncio.Task[object]) -> bool:
    """Whether all of these tasks come to wait for a lock; False as soon as one of them is done instead."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as looking:
        while not any(task.done() for task in tasks):
            row = await (await looking.execute(_WAITING)).fetchone()
            if row is not None and row[0] >= len(tasks):
                return True
            await asyncio.sleep(0.005)
    return False


@asynccontextmanager
async def another(database_url: str) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
    """A connection whose transaction is rolled back at the end, and which never waits long: waiting is an error."""
    async with await psycopg.AsyncConnection.connect(database_url, options="-c lock_timeout=5s") as connection:
        yield connection
        await connection.rollback()


def impatient(database_url: str) -> str:
    """The same database, where waiting for a lock is an error."""
    return psycopg.conninfo.make_conninfo(database_url, options="-c lock_timeout=2s")
