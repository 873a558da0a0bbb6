"""Processes that `serve` and the demo start are restarted when they die, and end with their parent."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from jitui.adapters import embedded_postgres
from jitui.bootstrap import open_service, utc_now
from jitui.demo.home import DemoProcesses, Home
from jitui.errors import Unavailable
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from jitui.settings import Settings
from tests.serving import free_port


def until(holds: Callable[[], object], *, seconds: float = 60.0) -> None:
    ends_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends_at, "it never held"
        time.sleep(0.02)


def environment_of(database_url: str | None, home: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("JITUI_")}
    database = {} if database_url is None else {"JITUI_DATABASE_URL": database_url}
    return {**ours, **database, "JITUI_HOME": str(home), "JITUI_POOL_SIZE": "4"}


@contextmanager
def served(
    database_url: str | None, home: Path, *words: str, before: tuple[str, ...] = ()
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    jitui = [sys.executable, "-m", "jitui.entrypoints.cli"]
    subprocess.run([*jitui, "migrate"], env=environment_of(database_url, home), check=True)  # serving needs a policy
    command = [*before, *jitui, "serve", f"--port={port}", *words]
    process = subprocess.Popen(command, env=environment_of(database_url, home), start_new_session=True)
    family: list[psutil.Process] = []
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: process.poll() is not None or readiness(address) is not None)
        assert process.poll() is None, "the server ended by itself"
        yield address, process
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()


def readiness(address: str) -> dict[str, object] | None:
    try:
        got = httpx.get(f"{address}/readyz", timeout=10)
    except httpx.TransportError:
        return None
    return dict(got.json()) if got.status_code == 200 else None


def degraded(address: str) -> list[str]:
    found = (readiness(address) or {}).get("degraded", ["no answer"])
    assert isinstance(found, list)
    return found


def workers(parent: subprocess.Popen[bytes]) -> list[psutil.Process]:
    found = []
    for one in psutil.Process(parent.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "worker" in one.cmdline():
                found.append(one)
    return found


def gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_dead_worker_beside_serve_is_started_again_and_readyz_says_so(
    database_url: str, tmp_path: Path, processes: int
) -> None:
    with served(database_url, tmp_path, "--with-worker", f"--processes={processes}") as (address, process):
        until(lambda: degraded(address) == [])
        (worker,) = workers(process)
        worker.kill()
        until(lambda: "worker_ended" in degraded(address))
        until(lambda: degraded(address) == [])
        (another,) = workers(process)
        assert another.pid != worker.pid


def test_when_serve_is_killed_its_processes_and_its_worker_end(database_url: str, tmp_path: Path) -> None:
    with served(database_url, tmp_path, "--with-worker", "--processes=2") as (address, process):
        until(lambda: degraded(address) == [])
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 3
        process.kill()
        process.wait()
        until(lambda: gone(family))
        assert readiness(address) is None


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home that the embedded server's account can reach; what runs in it is stopped at the end."""
    home = Path(tempfile.mkdtemp(prefix="jitui-"))
    home.chmod(0o755)
    yield home
    embedded_postgres.shut_down(Settings(home=home).embedded_folder)
    shutil.rmtree(home)


def postmaster(home: Path) -> psutil.Process | None:
    """The embedded server of a home, while it runs."""
    try:
        pid = (Settings(home=home).embedded_folder / "data" / "postmaster.pid").read_text().split()[0]
        return psutil.Process(int(pid))
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None


def test_the_database_of_a_serve_that_was_killed_is_found_by_the_next_command_and_stopped_by_the_last(
    open_home: Path,
) -> None:
    with served(None, open_home) as (_, process):
        before = postmaster(open_home)
        process.kill()
        process.wait()
        assert before is not None and before.is_running(), "nobody was there to stop it"
        with served(None, open_home) as (address, _):  # a migration first, which leaves as the last one
            assert readiness(address) is not None
            after = postmaster(open_home)
            assert after is not None and (after == before or gone([before]))
    until(lambda: gone([before, after]))


def test_300_idle_connections_leave_a_service_with_256_descriptors_answering(database_url: str, tmp_path: Path) -> None:
    async def key_of_platform() -> str:
        async with open_service(Settings(home=tmp_path), database_url) as service:
            return (await issue_key(service.keys, KeyScope.PLATFORM, "", label="", now=utc_now())).secret

    headers = {"authorization": f"Bearer {asyncio.run(key_of_platform())}"}
    few = ("bash", "-c", 'ulimit -n 256; exec "$@"', "few")
    kinds = (b"", b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /healthz HTTP/1.1\r\nhost: ", POST)
    with served(database_url, tmp_path, before=few) as (address, _):
        port = int(address.rpartition(":")[2])
        for sent in kinds:
            with ExitStack() as open_ones:
                for _ in range(300):
                    connection = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
                    with suppress(ConnectionError):
                        connection.sendall(sent)
                for _ in range(3):
                    got = httpx.get(f"{address}/v1/history", headers=headers, timeout=30)
                    assert got.status_code == 200, sent


POST = b"POST /v1/notifications/simulator HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc"


# The demo's -------------------------------------------------------------------------------------------------------

_SLEEPER = "import time, pathlib, sys\npathlib.Path(sys.argv[1]).touch()\ntime.sleep(600)\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "demo")
    home.logs.mkdir(parents=True)
    (tmp_path / "sleeper.py").write_text(_SLEEPER, encoding="utf-8")
    return home


def module_path(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def test_the_demo_starts_what_it_keeps_again(home: Home, tmp_path: Path) -> None:
    children, up = DemoProcesses(home), tmp_path / "up"

    def is_up_again() -> bool:
        children.check()
        return up.exists()

    try:
        children.start("worker", "sleeper", (str(up),), environment=module_path(tmp_path), is_kept=True)
        for _ in range(2):
            until(up.exists)
            up.unlink()
            children._running[0].process.kill()
            until(is_up_again)
    finally:
        children.stop()


def test_what_dies_again_and_again_is_given_up_and_what_is_not_kept_at_once(home: Home, tmp_path: Path) -> None:
    children = DemoProcesses(home)
    children.start("worker", "no_such_module", environment=module_path(tmp_path), is_kept=True)
    with pytest.raises(Unavailable, match=r"worker has ended with code 1:\n(.|\n)*no_such_module"):
        until(children.check)
    children = DemoProcesses(home)
    children.start("api", "no_such_module", environment=module_path(tmp_path))
    children._running[0].process.wait()
    with pytest.raises(Unavailable):
        children.check()


def test_a_child_ends_when_its_parent_is_killed_or_was_gone_before_it_began(home: Home, tmp_path: Path) -> None:
    up = tmp_path / "up"
    program = (
        "import subprocess, sys, time\nfrom jitui.child import command_of\n"
        "subprocess.Popen(command_of('sleeper', sys.argv[1]), start_new_session=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(up)], env=module_path(tmp_path))
    until(up.exists)
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) == 1
    parent.kill()
    parent.wait()
    until(lambda: gone(family))
    late = subprocess.Popen(
        [sys.executable, "-m", "jitui.child", str(parent.pid), "sleeper", str(up)], env=module_path(tmp_path)
    )
    assert late.wait(30) == -signal.SIGTERM
