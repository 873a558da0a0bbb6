"""A server in a process of its own, on a port of this machine."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def answering(command: Sequence[str], port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of the server that the command starts on the port, once it is ready; it is stopped afterwards."""
    with subprocess.Popen(command) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(600):
                assert process.poll() is None, "the server ended by itself"
                try:
                    if httpx.get(f"{address}/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield address, process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(30)


def takes_ctrl_c() -> None:
    """Before a program begins: what a shell runs in the background, and all that this starts, ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
