"""P3: refunds sent, confirmed and posted by one worker, against bare psycopg doing the same two commits for each.

The floor sends the statements that Jitui itself sends, claim and confirm, recorded and replayed on psycopg's
connections, as many as the worker has; it calls no provider and decides nothing.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import LiteralString
from urllib.request import Request, urlopen

import msgspec
import psycopg
import uvloop

from benchmarks import environment
from benchmarks.frame import Measured, Run, result
from benchmarks.processes import ROOT, cpu_seconds, started
from benchmarks.replay import Pipelines, Recording, RecordingStore, filled, tapped, templates
from jitui.adapters.embedded_postgres import EmbeddedServer
from jitui.adapters.postgres import queue
from jitui.adapters.postgres.batch import run_batch
from jitui.adapters.postgres.pool import Connection, make_pool
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.ports import AttemptRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.bootstrap import utc_now
from jitui.ids import lane_of, new_id

AT_LEAST = 0.8
REFUNDS_A_SECOND = 500
"""So many are queued for every second of the window; both sides work until all are done."""
CONNECTIONS = 16
SLOW_MS = 200
"""How long the slow provider takes for each answer, when two workers share its refunds."""
API_KEY = "sim_key_for_benchmarks"
WEBHOOK_SECRET = "whsec_YmVuY2htYXJrcyBuZWVkIG5vIHdlYmhvb2tz"

_APPROVE: tuple[LiteralString, ...] = (
    "CREATE TEMP TABLE asked AS SELECT o.*, (md5('t' || o.order_id))::uuid AS ticket_id, "
    "(md5('r' || o.order_id))::uuid AS refund_id FROM orders o",
    "INSERT INTO ticket (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency, amount_minor, "
    "freight_minor, approved_by, arm, on_timeout, requested_at, approved_at) "
    "SELECT lane, ticket_id, order_id, buyer_id, shop_id, 'refunding', 2, 'other', 'CNY', %(amount)s, 0, "
    "'instant_refund', 'live', 'approve', %(now)s, %(now)s FROM asked",
    "INSERT INTO ticket_line (lane, ticket_id, order_id, line_id, quantity, amount_minor, open) "
    "SELECT a.lane, a.ticket_id, a.order_id, l.line_id, 1, l.paid_minor, true "
    "FROM asked a JOIN order_line l ON l.lane = a.lane AND l.order_id = a.order_id",
    "INSERT INTO ticket_event (lane, ticket_id, seq, order_id, at, actor_kind, to_state, why) "
    "SELECT lane, ticket_id, s, order_id, %(now)s, 'system', 'refunding', 'approved' "
    "FROM asked, generate_series(1, 2) AS s",
    "INSERT INTO refund (lane, refund_id, ticket_id, order_id, tender_id, provider, payment_id, amount_minor, "
    "captured_minor, currency, state, due_at, queued_at) SELECT lane, refund_id, ticket_id, order_id, 't1', "
    "'simulator', 'pay-' || order_id, %(amount)s, %(amount)s, 'CNY', 'queued', %(now)s, %(now)s FROM asked",
    "UPDATE order_line SET claimed_quantity = 1, claimed_minor = paid_minor",
    "UPDATE tender SET pending_minor = %(amount)s",
)


def measure(run: Run) -> Measured:
    """The floor first and last, ours between, so that a machine that grows slower favours neither."""
    count = round(run.seconds * REFUNDS_A_SECOND)
    with tempfile.TemporaryDirectory() as folder, environment.server() as server:
        home = Path(folder)
        urls = {name: _queue(server, name, count) for name in ("first", "ours", "last", "slow")}
        claim, confirming = asyncio.run(_record(_queue(server, "recorded", 8)))
        before = cpu_seconds(server.pid), time.process_time()
        floors = [_floor(urls["first"], claim, confirming, count)]
        after = cpu_seconds(server.pid), time.process_time()
        run.say(f"   bare psycopg: {floors[0]:.0f}/s")
        with _simulator(home) as (simulator, url):
            _tell(url, count)
            ours, shares = _pay(server, urls["ours"], url, home, simulator.pid, count)
            _check(url, count)
        run.say(f"   the worker: {ours:.0f}/s")
        floors.append(_floor(urls["last"], claim, confirming, count))
        run.say(f"   bare psycopg again: {floors[1]:.0f}/s")
        with _simulator(home / "slow", latency_ms=SLOW_MS) as (simulator, url):
            _tell(url, count)
            slow, _ = _pay(server, urls["slow"], url, home, simulator.pid, count, workers=2)
            _check(url, count)
        run.say(f"   two workers, a provider of {SLOW_MS} ms: {slow:.0f}/s")
    floor = sum(floors) / len(floors)
    floor_shares = {
        "postgresql": round((after[0] - before[0]) * 1000 / count, 3),
        "psycopg": round((after[1] - before[1]) * 1000 / count, 3),
    }
    detail = {
        "refunds": count,
        "floors": [round(one, 1) for one in floors],
        "cpu_ms_per_refund": {"ours": shares, "floor": floor_shares},
        f"two_workers_with_{SLOW_MS}_ms_per_second": round(slow, 1),
    }
    return result("P3", ours=ours, floor=floor, unit="1/s", holds=ours / floor >= AT_LEAST, detail=detail)


def _queue(server: EmbeddedServer, name: str, count: int) -> str:
    """A database in which so many approved refunds wait to be paid."""
    url = environment.new_database(server, name)
    environment.seed(url, count)
    with psycopg.connect(url) as connection:
        for insert in _APPROVE:
            connection.execute(insert, {"now": utc_now(), "amount": environment.AMOUNT_MINOR})
    environment.settle(url)
    return url


# Ours --------------------------------------------------------------------------------------------------------------


@contextmanager
def _simulator(home: Path, *, latency_ms: int = 0) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The provider in a process of its own, with books on the disk and without webhooks."""
    home.mkdir(exist_ok=True)
    told = {"books": str(home / "books.journal"), "api_key": API_KEY, "latency_ms": latency_ms}
    process = subprocess.Popen(
        [sys.executable, "-m", "jitui.provider_simulator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(told).encode())
        process.stdin.close()
        yield process, process.stdout.readline().decode().strip()
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _call(url: str, path: str, body: bytes | None = None) -> bytes:
    with urlopen(Request(url + path, data=body, headers={"authorization": f"Bearer {API_KEY}"}), timeout=60) as answer:
        content: bytes = answer.read()
        return content


def _tell(url: str, count: int) -> None:
    """The provider has captured what the refunds give back."""
    numbers = range(environment.FIRST_ORDER, environment.FIRST_ORDER + count)
    for at in range(0, count, 500):
        payments = [
            {
                "id": f"pay-{number}",
                "order_id": str(number),
                "amount_minor": environment.AMOUNT_MINOR,
                "currency": "CNY",
            }
            for number in numbers[at : at + 500]
        ]
        _call(url, "/payments/batch", json.dumps({"payments": payments}).encode())


def _check(url: str, count: int) -> None:
    books = json.loads(_call(url, "/books"))
    if books["refunds_by_status"].get("succeeded") != count or books["paid_twice"]:
        raise RuntimeError(f"the provider's books do not agree: {books['refunds_by_status']}, {books['paid_twice']}")


def _pay(
    server: EmbeddedServer,
    url: str,
    simulator_url: str,
    home: Path,
    simulator_pid: int,
    count: int,
    *,
    workers: int = 1,
) -> tuple[float, dict[str, float]]:
    """Refunds a second, and who took how much of the processors."""
    settings = {
        "JITUI_HOME": str(home),
        "JITUI_DATABASE_URL": url,
        "JITUI_POOL_SIZE": str(CONNECTIONS),
        "JITUI_SIMULATOR_URL": simulator_url,
        "JITUI_SIMULATOR_KEY": API_KEY,
        "JITUI_SIMULATOR_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    with ExitStack() as stack:
        words = ["-m", "jitui.entrypoints.cli", "worker"]
        worker, *others = [stack.enter_context(started(words, settings)) for _ in range(workers)]
        pids = {"worker": worker.pid, "postgresql": server.pid, "simulator": simulator_pid}
        pids |= {f"worker {place}": other.pid for place, other in enumerate(others, 2)}
        with psycopg.connect(url, autocommit=True) as watching:
            _until(watching, "SELECT EXISTS (SELECT 1 FROM refund_attempt)", worker)
            before = {name: cpu_seconds(pid) for name, pid in pids.items()}
            # Nothing that was queued is due any more, and nothing that was claimed is open.
            _until(watching, "SELECT NOT EXISTS (SELECT 1 FROM refund WHERE due_at IS NOT NULL)", worker)
            after = {name: cpu_seconds(pid) for name, pid in pids.items()}
            closed = watching.execute("SELECT closed_at FROM refund ORDER BY closed_at").fetchall()
    shares = {name: round((after[name] - before[name]) * 1000 / count, 3) for name in pids}
    return _steady([row[0].timestamp() for row in closed]), shares


def _steady(ended_at: Sequence[float]) -> float:
    """A second's worth after the first fifth, in which connections are opened and statements planned, on both sides."""
    ordered = sorted(ended_at)
    first = len(ordered) // 5
    return (len(ordered) - first) / (ordered[-1] - ordered[first])


def _until(watching: psycopg.Connection, question: LiteralString, worker: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while watching.execute(question).fetchone() != (True,):
        if time.monotonic() > deadline or worker.poll() is not None:
            raise RuntimeError(f"the worker did not finish (exit code {worker.poll()})")
        time.sleep(0.1)


# The floor ---------------------------------------------------------------------------------------------------------


async def _record(url: str) -> tuple[Pipelines, Pipelines]:
    """One claim of one refund, and the confirmation of its success, as they went over the wire."""
    now = utc_now()
    claims: Recording = []
    async with make_pool(url, max_size=1) as pool, pool.connection() as connection:
        wire = tapped(connection, claims)
        while True:
            (claimed,) = await queue.claim_refunds(
                wire, queue.SeenLog(), now=now, lease_until=now + timedelta(hours=1), limit=1, provider="simulator"
            )
            if claimed.lane > 100:  # told from the other parameters by its value
                break
    async with make_pool(url, max_size=1) as pool:
        store = RecordingStore(pool, "Asia/Shanghai")
        paid = RefundUpdate(RefundResult(RefundResultKind.SUCCEEDED, provider_refund_id="re_1"))
        await confirm(store, AttemptRef(claimed.lane, claimed.attempt.attempt_id), paid, now=now)
    marks = {
        claimed.refund.order_id: "@order",
        str(claimed.refund.refund_id): "@refund",
        str(claimed.refund.ticket_id): "@ticket",
        str(claimed.attempt.attempt_id): "@attempt",
    }
    # The listing of due lanes is left out: the floor is told where to look.
    return templates(claims[-1:], marks, claimed.lane), templates(store.recorded, marks, claimed.lane)


def _floor(url: str, claim: Pipelines, confirming: Pipelines, count: int) -> float:
    return uvloop.run(_floor_run(url, claim, confirming, count))


async def _floor_run(url: str, claim: Pipelines, confirming: Pipelines, count: int) -> float:
    """As many connections as the worker has; each claims one refund, commits, confirms it, commits."""
    numbers = iter(range(environment.FIRST_ORDER, environment.FIRST_ORDER + count))
    async with make_pool(url, max_size=CONNECTIONS, min_size=CONNECTIONS) as pool:
        await pool.wait()
        ended_at: list[float] = []

        async def work() -> None:
            async with pool.connection() as connection:
                for number in numbers:
                    await _pay_bare(connection, claim, confirming, number)
                    ended_at.append(time.perf_counter())

        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM refund WHERE state = 'succeeded'").fetchone()
    if row != (count,):
        raise RuntimeError(f"the floor paid {row}, not {count}")
    return _steady(ended_at)


async def _pay_bare(connection: Connection, claim: Pipelines, confirming: Pipelines, number: int) -> None:
    lane = lane_of(str(number))
    known = {"@lane": str(lane), "@attempt": str(new_id(lane))}
    _, rows, _ = await run_batch(connection, [filled(one, known) for one in claim[0]])
    refund = msgspec.json.decode(rows[0][1] or b"", type=_Claimed)
    known |= {"@order": refund.order_id, "@refund": refund.refund_id, "@ticket": refund.ticket_id}
    for pipeline in confirming:
        await run_batch(connection, [filled(one, known) for one in pipeline])


class _Claimed(msgspec.Struct):
    order_id: str
    refund_id: str
    ticket_id: str
