"""A real transaction of Jitui, recorded on the wire and replayed by pgbench: the floor of everything that writes.

The recording keeps every statement with its parameters as libpq got them. The script that is made of it sends the
same statements, prepared, in the same two pipelines, for another order each time.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg import pq

from jitui.adapters.embedded_postgres import EmbeddedServer
from jitui.adapters.postgres.answers import AnswerCompression
from jitui.adapters.postgres.batch import BatchCall, Statement
from jitui.adapters.postgres.pool import Connection, Pool
from jitui.adapters.postgres.store import PostgresStore, PostgresTransaction

_UUID = re.compile(r"\b([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{5})[0-9a-f]{7}\b")
_PARAMETER = re.compile(r"\$(\d+)")
_NUMBER = "@n"
"""Stands for the order's number in a recorded value."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One statement as it went over the wire, its parameters in text form."""

    sql: str
    values: tuple[str | None, ...]


Recording = list[list[Sent]]
"""Pipelines in order, each with its statements."""


@dataclass(eq=False)
class _Wire:
    """Stands before a libpq connection and writes down what is sent."""

    pgconn: pq.abc.PGconn
    pipelines: Recording
    prepared: dict[bytes, bytes] = field(default_factory=dict)

    def enter_pipeline_mode(self) -> None:
        self.pipelines.append([])
        self.pgconn.enter_pipeline_mode()

    def send_prepare(self, name: bytes, command: bytes) -> None:
        self.prepared[name] = command
        self.pgconn.send_prepare(name, command)

    def send_query_prepared(self, name: bytes, values: Sequence[bytes | None]) -> None:
        texts = tuple(None if value is None else value.decode() for value in values)
        self.pipelines[-1].append(Sent(self.prepared[name].decode(), texts))
        self.pgconn.send_query_prepared(name, values)

    def __getattr__(self, name: str) -> object:
        return getattr(self.pgconn, name)


@dataclass(frozen=True, slots=True)
class _Tapped:
    """A connection whose wire is being recorded."""

    connection: Connection
    pgconn: _Wire

    def __getattr__(self, name: str) -> object:
        return getattr(self.connection, name)


class RecordingStore(PostgresStore):
    """A store that writes down its transactions. Its connections must be new: what is prepared already is unknown."""

    def __init__(self, pool: Pool, time_zone: str, answers: AnswerCompression | None = None) -> None:
        super().__init__(pool, time_zone)
        self.answers = answers or AnswerCompression()
        self.pool, self.time_zone = pool, time_zone
        self.recorded: Recording = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        async with self.pool.connection() as connection:
            yield PostgresTransaction(tapped(connection, self.recorded), self.time_zone, self.answers)
            await self.answers.learn(connection)


def tapped(connection: Connection, recorded: Recording) -> Connection:
    """The same connection, recorded."""
    return cast(Connection, _Tapped(connection, _Wire(connection.pgconn, recorded)))


@dataclass(frozen=True, slots=True)
class Script:
    """A pgbench script and the constant values that it sends as parameters."""

    text: str
    values: dict[str, str]


def script_of(recording: Recording, *, number: int, lane: str, own: str) -> Script:
    """The order's number, its lane and its new ids become variables; everything else stays as it was sent.

    `lane` and `own` are values that the recorded transaction had in parameters of their own: the buyer's lane, and a
    number of which every transaction needs another one (the advisory lock of its key).
    """
    values: dict[str, str] = {}
    lines = [r"\set i :i + 1", r"\set n :first + :client_id + :i * :clients", r"\set lane :n % 256"]
    for pipeline in recording:
        lines.append(r"\startpipeline")
        for sent in pipeline:
            expressions = [":n" if value == own else _expression(value, number, lane, values) for value in sent.values]
            text = _with_expressions(sent.sql, expressions)
            lines.append(f"{text.strip()};")  # its lines stay: a comment ends with its line
        lines.append(r"\endpipeline")
    return Script("\n".join(lines) + "\n", values)


def _with_expressions(sql: str, expressions: Sequence[str]) -> str:
    return _PARAMETER.sub(lambda found: expressions[int(found[1]) - 1], sql)


def _expression(value: str | None, number: int, lane: str, values: dict[str, str]) -> str:
    if not value:  # pgbench has no empty variables
        return "NULL" if value is None else "''"
    if value == lane:
        return ":lane"
    text = _UUID.sub(rf"\g<1>{_NUMBER}", value).replace(str(number), _NUMBER)
    if text == _NUMBER:
        return ":n"
    if (name := next((known for known, held in values.items() if held == text), None)) is None:
        name = f"v{len(values)}"
        values[name] = text
    if _NUMBER not in text:
        return f":{name}"
    return f"replace(:{name}, '{_NUMBER}', :n)"  # the statements say which type it becomes


@dataclass(frozen=True, slots=True)
class Replayed:
    """What pgbench reached."""

    clients: int
    transactions: int
    per_second: float
    mean_ms: float


def replay(server: EmbeddedServer, url: str, script: Script, *, first: int, clients: int, seconds: float) -> Replayed:
    """Run pgbench for a while on the orders from `first` on; raises RuntimeError when a transaction failed.

    Its first second does not count: connections are opened and statements planned then.
    """
    with psycopg.connect(url) as connection:  # the recorded receipt names another order than its hash was made of
        connection.execute("ALTER TABLE decision DROP CONSTRAINT IF EXISTS receipt_is_whole")
    where = urlsplit(url)
    options = {name: str(value[0]) for name, value in parse_qs(where.query).items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "replay.sql"
        path.write_text(script.text)
        command = [str(server.bin_folder / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--file={path}"]
        command += [f"--client={clients}", f"--jobs={min(2, clients)}"]
        command += [f"--time={math.ceil(seconds) + 1}", "--progress=1"]
        command += [f"--host={options['host']}", f"--port={options['port']}", f"--username={where.username}"]
        variables = {"i": "-1", "first": str(first), "clients": str(clients), **script.values}
        command += [f"--define={name}={value}" for name, value in variables.items()]
        done = subprocess.run(
            [*command, where.path.lstrip("/")],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + 60,
            env={"PATH": os.defpath},
        )
    return _read(done, clients)


def _read(done: subprocess.CompletedProcess[str], clients: int) -> Replayed:
    processed = re.search(r"actually processed: (\d+)", done.stdout)
    seconds = re.findall(r"^progress: [\d.]+ s, ([\d.]+) tps, lat ([\d.]+) ms", done.stderr, flags=re.MULTILINE)[1:]
    failed = re.search(r"failed transactions: ([1-9]\d*)", done.stdout)
    if done.returncode or failed or not (processed and seconds):
        raise RuntimeError(f"pgbench stopped:\n{done.stdout[-500:]}{done.stderr[-1500:]}")
    rates, latencies = zip(*((float(rate), float(latency)) for rate, latency in seconds), strict=True)
    return Replayed(clients, int(processed[1]), sum(rates) / len(rates), sum(latencies) / len(latencies))


# Replayed from Python, where a script cannot know what the statement before found -----------------------------------


@dataclass(frozen=True, slots=True)
class Template:
    """A recorded statement whose values have marks where a run has its own."""

    made: Statement
    values: tuple[str | None, ...]


Pipelines = Sequence[Sequence[Template]]


def templates(recording: Recording, marks: Mapping[str, str], lane: int) -> list[list[Template]]:
    """Replace every value that `marks` names, and the lane by `@lane`."""
    return [[_template(sent, marks, lane) for sent in pipeline] for pipeline in recording]


def _template(sent: Sent, marks: Mapping[str, str], lane: int) -> Template:
    values = []
    for value in sent.values:
        text = "@lane" if value == str(lane) else value
        for known, mark in marks.items():
            text = text.replace(known, mark) if text is not None else None
        values.append(text)
    names = tuple(f"p{index}" for index in range(len(values)))
    return Template(Statement(sent.sql.encode(), names), tuple(values))


def filled(template: Template, known: Mapping[str, str]) -> BatchCall:
    """The statement with this run's values in it."""
    return template.made, {
        name: _fill(value, known) for name, value in zip(template.made.names, template.values, strict=True)
    }


def _fill(value: str | None, known: Mapping[str, str]) -> str | None:
    if value is None or "@" not in value:
        return value
    for mark, text in known.items():
        value = value.replace(mark, text)
    return value
