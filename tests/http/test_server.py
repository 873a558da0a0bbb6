"""The server as it is run: real sockets, one process and two, and an orderly end."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from jitui.entrypoints.http.read_body import MAX_BODY_BYTES
from jitui.entrypoints.http.server import build, listen
from jitui.errors import NotConfigured
from jitui.settings import Settings
from tests.http.api import BUYER, open_api
from tests.serving import answering, free_port

PROGRAM = """
import sys
from pathlib import Path
from jitui.entrypoints.http.server import serve
from jitui.settings import Settings

if __name__ == "__main__":
    home, url, port, processes = sys.argv[1:]
    serve(Settings(home=Path(home), port=int(port), pool_size=4), url, processes=int(processes))
"""


@contextmanager
def served(database_url: str, home: Path, *, processes: int = 1) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port, program = free_port(), home / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, str(program), str(home), database_url, str(port), str(processes)]
    with answering(command, port) as served_by:
        yield served_by


async def _prepare(database_url: str, home: Path) -> str:
    async with open_api(database_url, home=home) as api:
        await api.paid_order("o-1")
        return api.platform


def serving(parent: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that answer."""
    found = []
    for one in psutil.Process(parent.pid).children():
        with suppress(psutil.NoSuchProcess):  # or a zombie
            if any("spawn_main" in word for word in one.cmdline()):
                found.append(one)
    return found


def test_two_processes_on_one_port_answer_alike_and_count_together(database_url: str, tmp_path: Path) -> None:
    key = asyncio.run(_prepare(database_url, tmp_path))
    headers = {"authorization": f"Bearer {key}", "idempotency-key": "k-1"}
    with served(database_url, tmp_path, processes=2) as (address, process):
        bodies, statuses, asked, texts = set(), set(), 0, []
        both = serving(process)
        assert len(both) == 2
        for resting in both:
            resting.suspend()  # the other one answers
            for _ in range(3):
                with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
                    got = client.post("/v1/after-sales", json={"order_id": "o-1", "buyer_id": BUYER})
                    asked += 1
                    texts.append(client.get("/metrics").text)
                bodies.add(got.content)
                statuses.add(got.status_code)
                counted = f'jitui_http_requests_total{{method="POST",route="/v1/after-sales",status="201"}} {asked}.0'
                assert counted in texts[-1].splitlines(), "whichever process answers tells of all"
            resting.resume()
        assert (statuses, len(bodies)) == ({201}, 1)
        assert not re.search(r'[{,](pid|process)="', "".join(texts))
        both[0].kill()
        for _ in range(600):
            if len(alive := serving(process)) == 2 and both[0] not in alive:
                break
            time.sleep(0.1)
        assert both[0] not in alive
        with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
            text = client.get("/metrics").text
        assert counted in text.splitlines(), "what a dead process counted stays counted"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(database_url: str, tmp_path: Path) -> None:
    key = asyncio.run(_prepare(database_url, tmp_path))
    with (
        served(database_url, tmp_path) as (address, _),
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=20) as connection,
    ):
        connection.sendall(
            b"PUT /v1/orders/o-9 HTTP/1.1\r\nhost: jitui\r\ncontent-type: application/json\r\n"
            + f"authorization: Bearer {key}\r\ncontent-length: {MAX_BODY_BYTES * 200}\r\n\r\n".encode()
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_reader_that_waits_does_not_keep_the_server_from_stopping(database_url: str, tmp_path: Path) -> None:
    key = asyncio.run(_prepare(database_url, tmp_path))

    async def wait_and_stop(address: str, process: subprocess.Popen[bytes]) -> httpx.Response:
        async with httpx.AsyncClient(
            base_url=address, headers={"authorization": f"Bearer {key}"}, timeout=60
        ) as client:
            place = (await client.get("/v1/changes")).json()["next"]
            waiting = asyncio.create_task(client.get("/v1/changes", params={"after": place, "wait_seconds": 30}))
            await asyncio.sleep(1)
            process.send_signal(signal.SIGTERM)
            return await waiting

    with served(database_url, tmp_path) as (address, process):
        got = asyncio.run(wait_and_stop(address, process))
        assert (got.status_code, got.json()["changes"]) == (200, [])
        assert process.wait(30) == 0


def test_a_server_sees_that_there_is_no_worker_any_more(database_url: str, tmp_path: Path) -> None:
    """A dead worker cannot say so; each process of the API looks."""
    asyncio.run(_prepare(database_url, tmp_path))  # which has rolled up half a year ago
    with served(database_url, tmp_path), psycopg.connect(database_url, autocommit=True) as connection:
        for _ in range(300):
            found = connection.execute("SELECT kind FROM task ORDER BY kind").fetchall()
            if found:
                break
            time.sleep(0.1)
    assert found == [("no_worker",), ("roll_up_stale",)]


def test_a_port_that_is_taken_is_said_in_one_sentence() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(NotConfigured, match="Cannot listen on"):
        taken.listen()
        listen("127.0.0.1", taken.getsockname()[1])


def test_a_process_of_its_own_needs_the_address_of_the_database(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="JITUI_DATABASE_URL"):
        build(Settings(home=tmp_path))
