"""Runs the provider simulator of a replay in a child process, which ends when we end, even when we are killed."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jitui.errors import JituiError, Unavailable
from jitui.provider_simulator import SimulatorSettings, new_webhook_secret, run

_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class RunningSimulator:
    """The address of the simulator, and its API key."""

    url: str
    api_key: str
    webhook_secret: str


class _Start(msgspec.Struct):
    books: str
    api_key: str


@contextmanager
def running_simulator(books_path: Path) -> Iterator[RunningSimulator]:
    """Start the simulator on a free port. Raises Unavailable, with its error message, when it does not start."""
    api_key = secrets.token_hex(16)
    process = subprocess.Popen(
        [sys.executable, "-m", "jitui.demo.replay.provider"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is handled by us: the simulator stops when it is not needed any more
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        process.stdin.write(msgspec.json.encode(_Start(str(books_path), api_key)) + b"\n")
        process.stdin.flush()
        url = process.stdout.readline().decode().strip()
        if not url:
            said = process.stderr.read().decode(errors="replace").strip()
            raise Unavailable(f"The provider simulator did not start; is another replay at work? {said}")
        yield RunningSimulator(url, api_key, new_webhook_secret())
    finally:
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()


def main() -> int:
    """Serve until standard input is closed, by the parent or by its death."""
    start = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Start)
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    try:
        run(
            books_path=Path(start.books),
            settings=SimulatorSettings(api_key=start.api_key, key_life_seconds=None),
            port=0,
            on_ready=lambda url: print(url, flush=True),
        )
    except JituiError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _stop_at_end_of_input() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
