"""Every psycopg error about a database that cannot be used now becomes `Unavailable`, with one sentence."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import errors

from jitui.adapters.postgres.migrate import current_revision, server_version
from jitui.adapters.postgres.pool import make_pool
from jitui.adapters.postgres.registry import PostgresRegistry
from jitui.errors import Unavailable

NOBODY = "postgresql://jitui:secret-7@127.0.0.1:1/none"


async def test_a_connection_that_the_server_ended_is_unavailable_and_the_next_one_works(
    empty_database_url: str,
) -> None:
    async with make_pool(empty_database_url, max_size=1) as pool:
        with pytest.raises(Unavailable, match="does not answer"):
            async with pool.connection() as connection:
                with psycopg.connect(empty_database_url, autocommit=True) as other:
                    other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
                await connection.execute("SELECT 1")
        async with pool.connection() as connection:
            row = await (await connection.execute("SELECT 1")).fetchone()
    assert row == (1,)


async def test_no_free_connection_in_time_is_unavailable(empty_database_url: str) -> None:
    async with make_pool(empty_database_url, max_size=1) as pool, pool.connection():
        with pytest.raises(Unavailable, match="does not answer"):
            async with pool.connection(timeout=0.05):
                pytest.fail("a second connection of a pool of one")


async def test_a_database_that_was_never_migrated_is_unavailable_and_says_what_to_run(empty_database_url: str) -> None:
    async with make_pool(empty_database_url, max_size=1) as pool:
        with pytest.raises(Unavailable, match="jitui migrate"):
            await PostgresRegistry(pool, "Asia/Shanghai").pauses(datetime.now(UTC))


async def test_a_fault_of_a_statement_stays_what_it_is(empty_database_url: str) -> None:
    async with make_pool(empty_database_url, max_size=1) as pool:
        with pytest.raises(errors.DivisionByZero):
            async with pool.connection() as connection:
                await connection.execute("SELECT 1 / 0")


def test_nobody_at_the_address_is_one_sentence_without_the_password() -> None:
    for read in (current_revision, server_version):
        with pytest.raises(Unavailable) as raised:
            read(NOBODY)
        assert "does not answer" in str(raised.value)
        assert "secret-7" not in str(raised.value) and "\n" not in str(raised.value)
