"""P2: from the ask over HTTP to the commit, against pgbench replaying the statements of the same request."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import api, environment
from benchmarks.frame import Measured, Run, result
from benchmarks.load import Load, Loaded
from benchmarks.processes import apply, cpu_seconds
from benchmarks.replay import Replayed, Script, replay
from jitui.adapters.embedded_postgres import EmbeddedServer

CLIENTS = (1, 8, 32, 64)
PROCESSES = (1, 2)
AT_LEAST = 0.5
P99_MS = 25.0
MOST_A_SECOND = 2_500
"""Orders are prepared for this rate at most; a run that is faster ends when they are used up."""
MOST_A_SECOND_REPLAYED = 6_000


@dataclass
class Orders:
    """Prepared orders, handed out once."""

    numbers: range
    used: int = 0

    def take(self, count: int) -> int:
        """The first of so many fresh orders."""
        first = self.numbers.start + self.used
        self.used += count
        assert first + count <= self.numbers.stop, "too few orders were prepared"
        return first


@dataclass(frozen=True)
class Scene:
    """Two equal databases on one server: one is asked over HTTP, on the other pgbench replays."""

    server: EmbeddedServer
    home: Path
    url: str
    floor_url: str
    key: str
    script: Script
    orders: Orders
    floor_orders: Orders
    shares: dict[str, Mapping[str, float]] = field(default_factory=dict)


def measure(run: Run) -> Measured:
    """Every number of clients, first ours with one process and with two, then the floor."""
    with tempfile.TemporaryDirectory() as home, environment.server() as server:
        scene = _prepare(server, Path(home), run)
        ours = {count: _ask(scene, run, processes=count) for count in PROCESSES}
        floor = [_replay(scene, run, clients) for clients in CLIENTS]
        best = {count: max(loads.items(), key=lambda one: one[1].per_second) for count, loads in ours.items()}
        processes, (clients, fastest) = max(best.items(), key=lambda one: one[1][1].per_second)
        paced = _paced(scene, run, processes, fastest.per_second / 2)
    top = max(floor, key=lambda one: one.per_second)
    ratio = fastest.per_second / top.per_second
    return result(
        "P2",
        ours=fastest.per_second,
        floor=top.per_second,
        unit="1/s",
        holds=ratio >= AT_LEAST and paced.p99_ms < P99_MS,
        detail={
            "best": {"processes": processes, "clients": clients},
            "floor_clients": top.clients,
            "ours": {
                str(count): [_row(number, load) for number, load in loads.items()] for count, loads in ours.items()
            },
            "floor": [_floor_row(one) for one in floor],
            "half_load": {**_row(CLIENTS[-1], paced), "asked_per_second": round(fastest.per_second / 2, 1)},
            "cpu_ms_per_request": scene.shares,
        },
    )


def _prepare(server: EmbeddedServer, home: Path, run: Run) -> Scene:
    windows = len(CLIENTS) * len(PROCESSES) + 2  # and the warm-up of each service
    url, floor_url = environment.new_database(server, "ours"), environment.new_database(server, "floor")
    run.say("   preparing orders")
    recorded = 200
    numbers = environment.seed(
        url, round((windows * run.seconds + 2 * (len(PROCESSES) + 1)) * MOST_A_SECOND) + recorded
    )
    floor_numbers = environment.seed(
        floor_url, round(len(CLIENTS) * (run.seconds + 2) * MOST_A_SECOND_REPLAYED), lane=environment.BY_NUMBER
    )
    key = asyncio.run(api.prepare(url, home))
    asyncio.run(api.prepare(floor_url, home))
    orders = Orders(numbers)
    first = orders.take(recorded)
    script = asyncio.run(api.record_request(url, home, key, range(first, first + recorded)))
    return Scene(server, home, url, floor_url, key, script, orders, Orders(floor_numbers))


def _ask(scene: Scene, run: Run, *, processes: int) -> dict[int, Loaded]:
    with api.serving(scene.url, scene.home, processes=processes) as serving:
        asyncio.run(api.roll_up(scene.url, scene.home))
        _load(scene, serving, clients=CLIENTS[-1], seconds=2.0)  # connections opened, statements prepared
        loads = {}
        for clients in CLIENTS:
            loads[clients] = _shared_load(scene, serving, run, processes, clients)
            run.say(f"   {processes} process(es), {clients} clients: {loads[clients].per_second:.0f}/s")
        return loads


def _shared_load(scene: Scene, serving: api.Serving, run: Run, processes: int, clients: int) -> Loaded:
    """A load, and who took how much of the processors for it."""
    asyncio.run(api.roll_up(scene.url, scene.home))
    before = cpu_seconds(serving.pid), cpu_seconds(scene.server.pid)
    loaded = _load(scene, serving, clients=clients, seconds=run.seconds)
    after = cpu_seconds(serving.pid), cpu_seconds(scene.server.pid)
    each = 1000 / max(1, loaded.answered)
    scene.shares[f"{processes} processes, {clients} clients"] = {
        "api": round((after[0] - before[0]) * each, 3),
        "postgresql": round((after[1] - before[1]) * each, 3),
        "load": round(loaded.cpu_seconds * each, 3),
    }
    return loaded


def _load(
    scene: Scene, serving: api.Serving, *, clients: int, seconds: float, per_second: float | None = None
) -> Loaded:
    count = round(seconds * (per_second or MOST_A_SECOND))
    first = scene.orders.take(count)
    return apply(Load(serving.host, serving.port, scene.key, first, count, clients, seconds, per_second))


def _paced(scene: Scene, run: Run, processes: int, per_second: float) -> Loaded:
    with api.serving(scene.url, scene.home, processes=processes) as serving:
        asyncio.run(api.roll_up(scene.url, scene.home))
        _load(scene, serving, clients=CLIENTS[-1], seconds=1.0, per_second=per_second)
        asyncio.run(api.roll_up(scene.url, scene.home))
        paced = _load(scene, serving, clients=CLIENTS[-1], seconds=run.seconds, per_second=per_second)
    run.say(f"   half of the maximum, {per_second:.0f}/s: p99 {paced.p99_ms:.1f} ms")
    return paced


def _replay(scene: Scene, run: Run, clients: int) -> Replayed:
    environment.settle(scene.floor_url)
    before = cpu_seconds(scene.server.pid)
    first = scene.floor_orders.numbers.start + scene.floor_orders.used
    replayed = replay(scene.server, scene.floor_url, scene.script, first=first, clients=clients, seconds=run.seconds)
    # Each client numbers its own orders, so the fastest of them may be ahead of what their sum says.
    scene.floor_orders.take(round(replayed.transactions * 1.5) + clients)
    each = (cpu_seconds(scene.server.pid) - before) * 1000 / max(1, replayed.transactions)
    scene.shares[f"pgbench, {clients} clients"] = {"postgresql": round(each, 3)}
    run.say(f"   pgbench, {clients} clients: {replayed.per_second:.0f}/s")
    return replayed


def _row(clients: int, load: Loaded) -> dict[str, float]:
    return {
        "clients": clients,
        "per_second": round(load.per_second, 1),
        "p50_ms": round(load.p50_ms, 2),
        "p99_ms": round(load.p99_ms, 2),
    }


def _floor_row(one: Replayed) -> dict[str, float]:
    return {"clients": one.clients, "per_second": round(one.per_second, 1), "mean_ms": round(one.mean_ms, 2)}
