"""The service and its worker as a person starts them, on a database of their own that is taken away for a while."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from jitui.adapters import embedded_postgres
from jitui.adapters.embedded_postgres import ServerOptions
from tests.serving import free_port

OPTIONS = ServerOptions(durable=False, shared_buffers_mb=32)


@dataclass
class Running:
    """`log`: what serve and worker wrote, each line with the name of its process."""

    address: str
    folder: Path
    api_log: Path
    worker_log: Path

    def lines(self) -> dict[str, list[dict[str, Any]]]:
        """The lines of both processes so far."""
        return {
            path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            for path in (self.api_log, self.worker_log)
        }

    def written_bytes(self) -> dict[str, int]:
        """How much each has written."""
        return {path.stem: path.stat().st_size for path in (self.api_log, self.worker_log)}

    def database_away(self, seconds: float, every_seconds: float) -> Counter[int]:
        """Stop the server, ask it all the same, and start it again; the statuses that callers saw."""
        seen: Counter[int] = Counter()
        embedded_postgres.shut_down(self.folder)
        ends_at = time.monotonic() + seconds
        with httpx.Client(base_url=self.address, timeout=30) as client:
            while time.monotonic() < ends_at:
                for path in ("/readyz", "/v1/orders/o-1", "/metrics"):
                    headers = {"authorization": f"Bearer {TOKEN}"} if path == "/metrics" else {"authorization": KEY}
                    with suppress(httpx.TransportError):
                        seen[client.get(path, headers=headers).status_code] += 1
                time.sleep(every_seconds)
        return seen


TOKEN = "metrics-token-of-tests"
KEY = "Bearer jt_0123456789ab_" + "x" * 43


@contextmanager
def serving(home: Path, folder: Path, *, level: str = "info") -> Iterator[Running]:
    """An API and a worker on the server in `folder`, which this process holds while it is up."""
    server = embedded_postgres.start(folder, OPTIONS)
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JITUI_")}
    environment |= {
        "JITUI_HOME": str(home),
        "JITUI_DATABASE_URL": server.url,
        "JITUI_PORT": str(port),
        "JITUI_LOG_FORMAT": "json",
        "JITUI_LOG_LEVEL": level,
        "JITUI_METRICS_TOKEN": TOKEN,
        "JITUI_SIMULATOR_URL": "http://127.0.0.1:9",
        "JITUI_SIMULATOR_KEY": "key-of-the-simulator",
        "JITUI_SIMULATOR_WEBHOOK_SECRET": "whsec_c2VjcmV0LW9mLXRlc3RzLTEyMw==",
    }
    jitui = [sys.executable, "-m", "jitui.entrypoints.cli"]
    subprocess.run([*jitui, "migrate"], env=environment, check=True, capture_output=True)
    running = Running(f"http://127.0.0.1:{port}", folder, home / "api.log", home / "worker.log")
    started = []
    try:
        for words, log in ((["serve"], running.api_log), (["worker"], running.worker_log)):
            with log.open("wb") as out:
                started.append(subprocess.Popen([*jitui, *words], env=environment, stdout=out, stderr=out))
        until_ready(running.address)
        yield running
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            process.wait(60)


def until_ready(address: str) -> None:
    """Wait until requests are answered, and usage is rolled up by the worker."""
    for _ in range(900):
        with suppress(httpx.TransportError):
            got = httpx.get(f"{address}/readyz", timeout=10)
            if got.status_code == 200 and got.json()["worker"]:
                return
        time.sleep(0.1)
    raise AssertionError("it never became ready")
