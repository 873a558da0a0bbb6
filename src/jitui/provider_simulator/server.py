"""Serves the simulator with uvicorn until it is stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn

from jitui.connections import BoundedProtocol, Limits, most_connections
from jitui.errors import Unavailable
from jitui.provider_simulator.app import create_app
from jitui.provider_simulator.asgi import CLOSE_EXTENSION
from jitui.provider_simulator.books import open_books
from jitui.provider_simulator.settings import SimulatorSettings

IDLE_SECONDS = 75
"""Longer than clients keep idle connections, so that no client writes into a closed one."""


class ClosableProtocol(BoundedProtocol):
    """Lets the application close a connection without a response, which ASGI alone does not offer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CLOSE_EXTENSION: {"close": self.transport.close}}


def run(
    *,
    books_path: Path,
    settings: SimulatorSettings,
    host: str = "127.0.0.1",
    port: int = 8765,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Open the books and serve until SIGTERM or SIGINT; `on_ready` gets the address. Port 0 takes a free port.

    Raises BadInput for damaged books, Unavailable when the books or the port are in use.
    """
    books = open_books(books_path)
    listener = _listen(host, port)
    limits = Limits(idle_seconds=IDLE_SECONDS, connections=most_connections())
    config = uvicorn.Config(
        create_app(books, settings),
        http=cast(Any, partial(ClosableProtocol, limits=limits)),
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=5,
    )
    if on_ready is not None:
        on_ready(f"http://{host}:{listener.getsockname()[1]}")
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable(f"cannot listen on {host} port {port}: {error.strerror}") from None
    listener.listen(2048)
    return listener
