"""The service on a port of this machine, and a proxy before it that cuts answers off."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from jitui.entrypoints.http.openapi import document
from tests.provider_simulator.server import SIMULATOR_AWAY
from tests.serving import answering, free_port

_JSON = "application/json"
PROGRAM = """
import json, sys
from pathlib import Path
from jitui.entrypoints.http.server import serve
from jitui.settings import Settings

if __name__ == "__main__":
    home, url, port, more = sys.argv[1:]
    given = {name: Path(value) if name.endswith("_file") else value for name, value in json.loads(more).items()}
    serve(Settings(home=Path(home), port=int(port), pool_size=4, **given), url, processes=1)
"""


@contextmanager
def serving(database_url: str, home: Path, **settings: object) -> Iterator[str]:
    """The address of a service that runs with these settings."""
    port, program = free_port(), home / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    more = json.dumps({**SIMULATOR_AWAY, **settings})
    command = [sys.executable, str(program), str(home), database_url, str(port), more]
    with answering(command, port) as (address, _):
        yield address


@contextmanager
def answering_examples(known: str, newer: str) -> Iterator[str]:
    """The address of a server that answers each GET with its example of the document, `known` replaced by `newer`."""
    examples = [
        (re.sub(r"\{\w+\}", "[^/]+", path), json.dumps(answer["example"], separators=(",", ":")).replace(known, newer))
        for path, methods in document()["paths"].items()
        if (answer := methods.get("get", {}).get("responses", {}).get("200", {}).get("content", {}).get(_JSON))
    ]

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = next(text for pattern, text in examples if re.fullmatch(pattern, path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", _JSON)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@dataclass
class Cutter:
    """A proxy: it passes requests on, and closes the connection when `after_bytes` of an answer have come.

    `cuts`: how many answers are cut; those that come then are passed on whole. `taken` counts all.
    """

    address: str
    after_bytes: int = 0
    cuts: int = 1
    taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(connection,), daemon=True).start()

    def _pass_on(self, connection: socket.socket) -> None:
        host, _, port = self.address.removeprefix("http://").partition(":")
        with connection, socket.create_connection((host, int(port))) as service:
            threading.Thread(target=_pump, args=(connection, service), daemon=True).start()
            left = self._bytes_to_pass()
            while part := _received(service):
                with suppress(OSError):
                    connection.sendall(part if left is None else part[:left])
                if left is not None:
                    left -= len(part)
                    if left <= 0:
                        break
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # closing alone waits for the thread that reads

    def _bytes_to_pass(self) -> int | None:
        with self._lock:
            self.taken += 1
            return self.after_bytes if self.taken <= self.cuts else None


def _pump(source: socket.socket, target: socket.socket) -> None:
    while part := _received(source):
        try:
            target.sendall(part)
        except OSError:
            return


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(65_536)
    except OSError:
        return b""


@contextmanager
def cutting(address: str, *, after_bytes: int = 0, cuts: int = 1) -> Iterator[tuple[str, Cutter]]:
    """The address of a proxy that cuts answers off."""
    cutter = Cutter(address, after_bytes, cuts)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=cutter.serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", cutter
        listener.shutdown(socket.SHUT_RDWR)
