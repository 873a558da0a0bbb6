"""Batches on libpq: one round trip; errors leave the connection usable, a cancelled one does not harm the pool."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from jitui.adapters.postgres.batch import BEGIN, COMMIT, Value, run_batch, statement
from jitui.adapters.postgres.pool import make_pool
from tests.aftersales.market import NOW, open_market

ECHO = statement(
    "SELECT %(a)s::bigint, %(b)s::text, %(c)s::boolean, %(d)s::bytea, %(e)s::timestamptz AT TIME ZONE 'UTC', "
    "%(f)s::uuid, %(g)s::text IS NULL, %(a)s::bigint + 1"
)
DIVIDE = statement("SELECT 1 / %(n)s::int")
ONE = statement("SELECT 1")


async def test_values_arrive_as_they_were_sent(empty_database_url: str) -> None:
    async with make_pool(empty_database_url, max_size=1) as pool, pool.connection() as connection:
        params: dict[str, Value] = {
            "a": -7,
            "b": "极退 '\"\\ %",
            "c": True,
            "d": b"\x00\xff",
            "e": datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC),
            "f": UUID(int=5),
            "g": None,
        }
        ((row,),) = await run_batch(connection, [(ECHO, params)])
    assert row == (
        b"-7",
        "极退 '\"\\ %".encode(),
        b"t",
        b"\\x00ff",
        b"2026-01-02 03:04:05.6789",
        str(UUID(int=5)).encode(),
        b"t",
        b"-6",
    )


async def test_an_error_raises_and_the_connection_goes_on(empty_database_url: str) -> None:
    async with make_pool(empty_database_url, max_size=1) as pool, pool.connection() as connection:
        for _ in range(3):
            with pytest.raises(psycopg.errors.DivisionByZero):
                await run_batch(connection, [(BEGIN, {}), (DIVIDE, {"n": 0}), (ONE, {}), (COMMIT, {})])
            await connection.rollback()
            assert await run_batch(connection, [(DIVIDE, {"n": 1}), (ONE, {})]) == [[(b"1",)], [(b"1",)]]
            await connection.rollback()


async def test_a_cancelled_batch_gives_back_no_half_read_connection(empty_database_url: str) -> None:
    sleep = statement("SELECT pg_sleep(%(seconds)s::float8)")
    async with make_pool(empty_database_url, max_size=1) as pool:

        async def use() -> None:
            async with pool.connection() as connection:
                await run_batch(connection, [(sleep, {"seconds": 30}), (ONE, {})])

        task = asyncio.create_task(use())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with pool.connection() as connection:
            assert await run_batch(connection, [(ONE, {})]) == [[(b"1",)]]


async def test_the_deciding_transaction_takes_two_round_trips(database_url: str) -> None:
    """Counted on the wire: how often the client speaks after the server has (`architecture.md`, *Every command*)."""
    with TemporaryDirectory(prefix="jt", dir="/tmp") as folder:
        async with _Wire(database_url, Path(folder)) as wire, open_market(wire.url, pool_size=1) as market:
            for name in ("warm", "hot"):
                buyer = await market.premium_buyer(f"b-{name}")
                await market.paid_order(buyer, f"o-{name}")
                wire.turns = 0
                ticket = await market.asked(buyer, f"o-{name}", now=NOW)
                assert ticket.approved_by is not None
                assert wire.turns == 2


class _Wire:
    """A relay between client and server that counts the client's turns to speak."""

    def __init__(self, server_url: str, folder: Path) -> None:
        parts = conninfo_to_dict(server_url)
        self._server = f"{parts['host']}/.s.PGSQL.{parts.get('port', 5432)}"
        self.url = make_conninfo(server_url, host=str(folder), port="5432")
        self._socket = folder / ".s.PGSQL.5432"
        self.turns = 0
        self._clients_turn = True

    async def __aenter__(self) -> _Wire:
        self._relay = await asyncio.start_unix_server(self._serve, path=self._socket)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._relay.close()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(self._server)
        await asyncio.gather(
            self._pump(client, to_server, from_client=True), self._pump(server, to_client, from_client=False)
        )

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, from_client: bool) -> None:
        while data := await source.read(1 << 20):
            if from_client and self._clients_turn:
                self.turns += 1
                self._clients_turn = False
            if not from_client:
                self._clients_turn = True
            sink.write(data)
            await sink.drain()
        sink.close()
