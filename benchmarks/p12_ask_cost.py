"""P12: what one ask costs PostgreSQL: processor time beside a `pgbench -N` transaction, and bytes of WAL.

Beside the two figures it says which table or index each byte of WAL went to, and which statement took how long.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, LiteralString
from urllib.parse import parse_qs, urlsplit

import psycopg

from benchmarks import api, environment
from benchmarks.frame import Measured, Run, result
from benchmarks.load import Load
from benchmarks.processes import apply, cpu_seconds
from jitui.adapters.embedded_postgres import EmbeddedServer, with_database

CLIENTS = 4
ASKS_A_SECOND = 200
"""A window has this many for each of its seconds; how long they take is not what is measured."""
WINDOWS = 5
WARM_UP = 600
"""Every connection of the service has chosen its plans by then; PostgreSQL plans the first five calls of each anew."""
TRANSACTIONS = 4_000
MOST_TIMES = 4.0
MOST_WAL_BYTES = 6 * 1024
LONGEST_SECONDS = 300.0
_SERVER = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "none", "autovacuum": "off"}

# A record without a block is the transaction's end, or of the server's own work. What the vacuum and the checkpointer
# write counts for nobody: the first is off, the second writes no blocks.
_WAL_BY_RELATION: LiteralString = """
WITH records AS (
    SELECT start_lsn, record_type, resource_manager, record_length - fpi_length AS bytes
    FROM pg_get_wal_records_info(%(since)s, %(until)s)),
places AS (
    SELECT DISTINCT ON (start_lsn) start_lsn, relfilenode, reldatabase
    FROM pg_get_wal_block_info(%(since)s, %(until)s, false) ORDER BY start_lsn, block_id),
named AS (
    SELECT c.relfilenode, coalesce(
        o.relname || ' (toast)', t.relname || ' (toast index)', c.relname) AS name
    FROM pg_class c
    LEFT JOIN pg_class o ON o.reltoastrelid = c.oid
    LEFT JOIN pg_index i ON i.indexrelid = c.oid AND c.relname LIKE 'pg_toast%%'
    LEFT JOIN pg_class t ON t.reltoastrelid = i.indrelid
    WHERE c.relfilenode <> 0)
SELECT coalesce(n.name, CASE WHEN p.relfilenode IS NULL THEN r.resource_manager || ' ' || r.record_type
                             ELSE 'other' END), sum(r.bytes)::float, count(*)::float
FROM records r LEFT JOIN places p USING (start_lsn) LEFT JOIN named n USING (relfilenode)
WHERE r.resource_manager NOT IN ('XLOG', 'Standby')
  AND (p.relfilenode IS NULL OR p.reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))
GROUP BY 1 ORDER BY 2 DESC
"""

_STATEMENTS: LiteralString = """
SELECT query, calls::float, total_exec_time, total_plan_time, wal_bytes::float, wal_fpi::float FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND toplevel
ORDER BY total_exec_time DESC
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A service that is asked, and pgbench's own database on the same server."""

    server: EmbeddedServer
    url: str
    peer_url: str
    serving: api.Serving
    key: str


def measure(run: Run) -> Measured:
    """Windows of asks and of pgbench in turn; then one more, of which WAL and statements are looked at."""
    asks = round(ASKS_A_SECOND * run.seconds)
    with tempfile.TemporaryDirectory() as home, environment.server(_SERVER) as server:
        url, peer_url = environment.new_database(server, "ours"), _peer(server)
        numbers = environment.seed(url, WARM_UP + (WINDOWS + 1) * asks)
        key = asyncio.run(api.prepare(url, Path(home)))
        environment.settle(url)
        with api.serving(url, Path(home), processes=1) as serving:
            scene = Scene(server, url, peer_url, serving, key)
            asyncio.run(api.roll_up(url, Path(home)))
            _ask(scene, numbers.start, WARM_UP // 2)
            environment.settle(url)  # the tables that the asks write have statistics now, as in a running system
            _ask(scene, numbers.start + WARM_UP // 2, WARM_UP // 2)
            first, ours, peer = numbers.start + WARM_UP, [], []
            for _ in range(WINDOWS):
                ours.append(_cpu_of(scene, lambda at=first: _ask(scene, at, asks)) / asks)
                peer.append(_cpu_of(scene, lambda: _pgbench(scene, TRANSACTIONS)) / TRANSACTIONS)
                first += asks
                run.say(f"   {ours[-1]:.3f} ms, pgbench -N {peer[-1]:.3f} ms")
            wal, statements = _looked_at(scene, first, asks)
    return _found(ours, peer, wal, statements)


def _found(ours: list[float], peer: list[float], wal: Mapping[str, Any], statements: list[Any]) -> Measured:
    times = median(mine / theirs for mine, theirs in zip(ours, peer, strict=True))
    wal_bytes = sum(one["bytes"] for one in wal.values())
    return result(
        "P12",
        ours=median(ours),
        floor=median(peer),
        unit="ms",
        ratio=times,
        holds=times <= MOST_TIMES and wal_bytes <= MOST_WAL_BYTES,
        detail={
            "wal_bytes": round(wal_bytes),
            "wal_by_relation": wal,
            "statements": statements,
            "ms_of_windows": [round(one, 3) for one in ours],
            "pgbench_ms_of_windows": [round(one, 3) for one in peer],
        },
    )


def _peer(server: EmbeddedServer) -> str:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE peer")
    url = with_database(server.url, "peer")
    _run_pgbench(server, url, "--initialize", "--scale=10", "--quiet")
    return url


def _pgbench(scene: Scene, transactions: int) -> None:
    each = transactions // CLIENTS
    options = (f"--client={CLIENTS}", "--jobs=1", f"--transactions={each}", "--protocol=prepared", "--no-vacuum", "-N")
    _run_pgbench(scene.server, scene.peer_url, *options)


def _run_pgbench(server: EmbeddedServer, url: str, *options: str) -> None:
    where = urlsplit(url)
    named = {name: str(value[0]) for name, value in parse_qs(where.query).items()}
    command = [str(server.bin_folder / "pgbench"), *options, f"--host={named['host']}", f"--port={named['port']}"]
    done = subprocess.run(
        [*command, f"--username={where.username}", where.path.lstrip("/")],
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_SECONDS,
        env={"PATH": os.defpath},
    )
    if done.returncode:
        raise RuntimeError(f"pgbench stopped:\n{done.stderr[-1500:]}")


def _ask(scene: Scene, first: int, count: int) -> None:
    host, port = scene.serving.host, scene.serving.port
    apply(Load(host, port, scene.key, first, count, CLIENTS, LONGEST_SECONDS))


def _cpu_of(scene: Scene, work: Any) -> float:
    """Milliseconds of the server's processor time."""
    before = cpu_seconds(scene.server.pid)
    work()
    return (cpu_seconds(scene.server.pid) - before) * 1000


def _looked_at(scene: Scene, first: int, asks: int) -> tuple[dict[str, Any], list[Any]]:
    """The WAL of each table and index, and the statements, for each of the asks."""
    with psycopg.connect(scene.url, autocommit=True) as connection:
        for name in ("pg_walinspect", "pg_stat_statements"):
            connection.execute(f"CREATE EXTENSION {name}")
        connection.execute("ALTER SYSTEM SET pg_stat_statements.track = 'top'")
        connection.execute("ALTER SYSTEM SET pg_stat_statements.track_planning = on")
        connection.execute("SELECT pg_reload_conf()")
        _ask(scene, first, asks // 2)  # until all back ends have read the setting
        connection.execute("SELECT pg_stat_statements_reset()")
        since = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        _ask(scene, first + asks // 2, asks - asks // 2)
        until = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        found = connection.execute(_STATEMENTS).fetchall()
        assert since is not None and until is not None
        wal = connection.execute(_WAL_BY_RELATION, {"since": since[0], "until": until[0]}).fetchall()
    each = asks - asks // 2
    by_relation = {
        name: {"bytes": round(size / each, 1), "records": round(records / each, 2)}
        for name, size, records in wal
        if size >= each
    }
    statements = [
        {
            "statement": _label(query),
            "calls": round(calls / each, 2),
            "ms": round(ms / each, 4),
            "planning_ms": round(planning / each, 4),
            "wal_bytes": round(size / each, 1),
            "full_page_images": round(images / each, 3),
        }
        for query, calls, ms, planning, size, images in found
        if calls * 10 >= each
    ]
    return by_relation, statements


def _label(query: str) -> str:
    """What a statement writes, or how it begins."""
    written = re.findall(r"(?:INSERT INTO|UPDATE|DELETE FROM) \w+", query)
    return ", ".join(dict.fromkeys(one for one in written)) or " ".join(query.split())[:70]
