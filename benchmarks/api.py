"""The HTTP service over a prepared market, as processes; and one of its requests recorded on the wire."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from litestar import Litestar

from benchmarks import environment
from benchmarks.processes import ROOT, started, wait_for_http
from benchmarks.replay import RecordingStore, Script, script_of
from jitui.adapters.postgres import reading
from jitui.adapters.postgres.answers import AnswerCompression
from jitui.adapters.postgres.pool import make_pool
from jitui.aftersales.ports import HistoryRecord, OrderRef
from jitui.bootstrap import install_policy, open_service
from jitui.entrypoints.http.app import create_app
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from jitui.ids import lane_of

USAGE_MAX_AGE_SECONDS = "600"
"""No worker runs while the asking is measured; longer than a window, so that every request of it is decided alike."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A running service; `pid` is the process above all others of it."""

    host: str
    port: int
    pid: int


async def prepare(url: str, home: Path) -> str:
    """Publish the default policy, complete the history, roll up, and issue a platform key."""
    async with open_service(environment.settings_for(url, home), url) as service:
        await install_policy(service)
        now = service.clock()
        records = [HistoryRecord(kind, environment.long_ago(now)) for kind in environment.HISTORY_KINDS]
        await service.registry.record_history(records)
        await service.feed.roll_up(now)
        return (await issue_key(service.keys, KeyScope.PLATFORM, "", label="bench", now=now)).secret


async def roll_up(url: str, home: Path) -> None:
    """What a worker does every second; usage of a window's begin stands for all of it (USAGE_MAX_AGE_SECONDS)."""
    async with open_service(environment.settings_for(url, home), url) as service:
        await service.feed.roll_up()
    environment.settle(url)


@contextmanager
def serving(url: str, home: Path, *, processes: int, source: Path = ROOT / "src") -> Iterator[Serving]:
    """`jitui serve` on a free port of this machine; `source` is the folder that the package comes from."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "JITUI_DATABASE_URL": url,
        "JITUI_HOME": str(home),
        "JITUI_PORT": str(port),
        "JITUI_USAGE_MAX_AGE_SECONDS": USAGE_MAX_AGE_SECONDS,
        "JITUI_RATE_PER_KEY": "100000",
        "PYTHONPATH": str(source),
    }
    with started(["-m", "jitui.entrypoints.cli", "serve", f"--processes={processes}"], settings) as process:
        wait_for_http(process, f"http://127.0.0.1:{port}/readyz")
        yield Serving("127.0.0.1", port, process.pid)


async def record_request(url: str, home: Path, key: str, numbers: range) -> Script:
    """Ask once through the HTTP application and turn what went to the database into a pgbench script."""
    answers = AnswerCompression()
    async with open_service(environment.settings_for(url, home), url) as service:
        for number in numbers:
            async with make_pool(url, max_size=1) as pool:
                store = RecordingStore(pool, service.settings.time_zone.key, answers)
                status, body = await _post(create_app(replace(service, store=store)), key, number)
            assert status == 201 and b'"approved_by":"instant_refund"' in body, body
            asking = store.recorded[0]
            try_key = reading.TRY_KEY[OrderRef]
            tried = next(sent for sent in asking if sent.sql.encode() == try_key.sql)
            lock = tried.values[try_key.names.index("lock")]
            assert lock is not None
            lane = lane_of(str(number))
            # The lane is told from other parameters by its value, so it must be one that nothing else has.
            if lane > 100 and number > numbers.start:  # the answer of the first is stored plain
                return script_of(store.recorded, number=number, lane=str(lane), own=lock)
    raise RuntimeError("no order had a lane to tell apart")


async def _post(app: Litestar, key: str, number: int) -> tuple[int, bytes]:
    """One request without a server between."""
    body = msgspec.json.encode({"order_id": str(number), "buyer_id": str(number), "reason": "no_longer_wanted"})
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "idempotency-key": f"ask-{number}"}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/after-sales",
        "raw_path": b"/v1/after-sales",
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await app(scope, receive, send)  # type: ignore[arg-type]  # plain dicts, as a server gives them
    status = next(message["status"] for message in sent if message["type"] == "http.response.start")
    parts = [message.get("body", b"") for message in sent if message["type"] == "http.response.body"]
    assert isinstance(status, int)
    return status, b"".join(part for part in parts if isinstance(part, bytes))
