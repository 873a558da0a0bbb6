"""Processes that a measurement starts and stops, and the processor time that they take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
import psutil

from benchmarks.load import Load, Loaded

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120.0


@contextmanager
def started(command: list[str], settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`python …` with these settings and no other JITUI_… variable; terminated at the end."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("JITUI_")}
    process = subprocess.Popen(
        [sys.executable, *command], env={**environ, **settings}, cwd=ROOT, stdin=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_http(process: subprocess.Popen[bytes], url: str) -> None:
    """Until the address answers; raises RuntimeError when the process ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer (exit code {process.poll()})")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and of everything below it so far, those that ended among them."""
    top = psutil.Process(pid)
    total = 0.0
    for process in [top, *top.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def apply(load: Load) -> Loaded:
    """Run a load in a process of its own. Raises RuntimeError when it broke."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=msgspec.json.encode(load),
        capture_output=True,
        cwd=ROOT,
        check=False,
        timeout=load.seconds + 60,
    )
    if done.returncode:
        raise RuntimeError(f"the load broke off:\n{done.stderr.decode()[-1500:]}")
    loaded = msgspec.json.decode(done.stdout, type=Loaded)
    if loaded.other:
        raise RuntimeError(
            f"{loaded.other} of {loaded.sent} requests were not refunded at once:\n{done.stderr.decode()}"
        )
    return loaded
