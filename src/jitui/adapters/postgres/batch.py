"""Runs prepared statements in one round trip, on psycopg's own connection through its libpq wrapper.

psycopg's pipeline sends and converts each statement separately, which costs several times what libpq needs. The
deciding transaction has about twenty statements, so the difference matters (decision 0007).
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString
from uuid import UUID
from weakref import WeakKeyDictionary

from psycopg import errors, pq

from jitui.adapters.postgres.pool import Connection
from jitui.tracing import span

Value = str | int | bool | bytes | datetime | UUID | None
Row = tuple[bytes | None, ...]

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_numbers = itertools.count(1)
_ABOUT = {"db.system.name": "postgresql"}
_OK = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """A statement with named parameters; each connection prepares it once, under its own name."""

    sql: bytes
    names: tuple[str, ...]
    name: bytes = field(default_factory=lambda: b"jitui_%d" % next(_numbers))


def statement(sql: LiteralString) -> Statement:
    """A statement from SQL with `%(name)s` placeholders; equal names become the same `$1`, `$2`, …"""
    names = tuple(dict.fromkeys(_PLACEHOLDER.findall(sql)))
    numbered = _PLACEHOLDER.sub(lambda found: f"${names.index(found[1]) + 1}", sql)
    return Statement(numbered.replace("%%", "%").encode(), names)


BEGIN = statement("BEGIN")
COMMIT = statement("COMMIT")

BatchCall = tuple[Statement, Mapping[str, Value]]

_prepared: WeakKeyDictionary[pq.abc.PGconn, set[bytes]] = WeakKeyDictionary()


async def run_batch(connection: Connection, calls: Sequence[BatchCall]) -> list[list[Row]]:
    """Send all calls with one sync, wait once, and return the rows of each call as text bytes.

    When a call fails, the calls after it are skipped and its error is raised; the transaction is then aborted, and the
    caller rolls it back. When cancelled, the connection is closed, because its responses are still coming.
    """
    pgconn = connection.pgconn
    with span("postgresql batch", _ABOUT, calls_out=True) as spanned:
        spanned.set({"db.operation.batch.size": len(calls)})
        pgconn.enter_pipeline_mode()
        try:
            messages = _send(pgconn, calls)
            await _flush(pgconn)
            results = await _receive(pgconn)
        except BaseException:
            pgconn.finish()
            raise
        pgconn.exit_pipeline_mode()
        return _answers(pgconn, messages, results)


def _send(pgconn: pq.abc.PGconn, calls: Sequence[BatchCall]) -> list[bytes | None]:
    """Queue the messages; returns, for each, the name that it prepares, or None for a call."""
    known = _prepared.setdefault(pgconn, set())
    messages: list[bytes | None] = []
    for made, params in calls:
        if made.name not in known and made.name not in messages:
            pgconn.send_prepare(made.name, made.sql)
            messages.append(made.name)
        pgconn.send_query_prepared(made.name, [_encode(params[name]) for name in made.names])
        messages.append(None)
    pgconn.pipeline_sync()
    return messages


def _answers(
    pgconn: pq.abc.PGconn, messages: Sequence[bytes | None], results: Sequence[pq.abc.PGresult]
) -> list[list[Row]]:
    """The rows of the calls. Successful preparations are remembered even when a later call failed."""
    rows: list[list[Row]] = []
    failed: errors.Error | None = None
    for prepared, result in zip(messages, results, strict=True):
        if result.status not in _OK:
            if failed is None and result.status != pq.ExecStatus.PIPELINE_ABORTED:
                failed = errors.error_from_result(result)
        elif prepared is not None:
            _prepared[pgconn].add(prepared)
        else:
            rows.append(_rows(result))
    if isinstance(failed, errors.InvalidSqlStatementName):
        _prepared.pop(pgconn, None)
    if failed is not None:
        raise failed
    return rows


def _encode(value: Value) -> bytes | None:
    if type(value) is str:  # nearly all values: about fifty in a deciding transaction
        return value.encode()
    if type(value) is int:
        return b"%d" % value
    match value:
        case None:
            return None
        case str():
            return value.encode()
        case bytes():
            return b"\\x" + value.hex().encode()
        case datetime():
            return value.isoformat().encode()
        case bool():
            return b"t" if value else b"f"
        case _:
            return str(value).encode()


async def _flush(pgconn: pq.abc.PGconn) -> None:
    while pgconn.flush():
        await _ready(pgconn, write=True)


async def _receive(pgconn: pq.abc.PGconn) -> list[pq.abc.PGresult]:
    """One result per message, each followed by a None, up to the result of the sync."""
    results: list[pq.abc.PGresult] = []
    while True:
        while pgconn.is_busy():
            await _ready(pgconn, write=False)
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            continue
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            return results
        results.append(result)


def _rows(result: pq.abc.PGresult) -> list[Row]:
    return [tuple(result.get_value(row, column) for column in range(result.nfields)) for row in range(result.ntuples)]


async def _ready(pgconn: pq.abc.PGconn, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not done.done():
            done.set_result(None)

    if write:
        loop.add_writer(pgconn.socket, wake)
    else:
        loop.add_reader(pgconn.socket, wake)
    try:
        await done
    finally:
        if write:
            loop.remove_writer(pgconn.socket)
        else:
            loop.remove_reader(pgconn.socket)
