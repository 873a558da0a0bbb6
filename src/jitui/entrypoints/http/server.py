"""Serves the API with uvicorn on uvloop and httptools: bounded connections, one or several processes on one port."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from litestar import Litestar
from litestar.types import ControllerRouterHandler
from uvicorn.supervisors import Multiprocess

from jitui import tracing
from jitui.bootstrap import Service, open_service
from jitui.child import end_with_parent
from jitui.connections import BoundedProtocol, Limits, most_connections
from jitui.entrypoints.http.app import create_opening_app
from jitui.entrypoints.http.request import Stopping
from jitui.errors import NotConfigured
from jitui.logs import configure, get_logger
from jitui.metrics import shared_between_processes
from jitui.settings import Settings, read_settings
from jitui.watching import watching

GRACE_SECONDS = 10
START_SECONDS = 60
"""How long a process may be silent: it does not answer while it imports, which is slow on a busy machine."""
BACKLOG = 2048
log = get_logger("jitui.http")

_STOPS = (signal.SIGINT, signal.SIGTERM)

Extra = Callable[[], Sequence[ControllerRouterHandler]]
"""Makes the handlers that are served beside the API; a function of a module, so that any process can call it."""


class WorkerBeside:
    """Whether the worker that was started beside the API is running, in memory that all its processes share."""

    def __init__(self) -> None:
        self._runs = multiprocessing.get_context("spawn").RawValue("b", 1)

    def tell(self, runs: bool) -> None:
        """Set whether it is running; called by the process that keeps it running."""
        self._runs.value = runs

    def __call__(self) -> bool:
        return bool(self._runs.value)


def build(
    settings: Settings | None = None,
    database_url: str | None = None,
    extra: Extra | None = None,
    worker: WorkerBeside | None = None,
    address: str | None = None,
) -> Litestar:
    """The application for one process; its service is opened at start-up and closed at the end.

    With an `address` it says at start-up that it listens there.

    Called without arguments (as `uvicorn --factory` does), it reads the settings; JITUI_DATABASE_URL must then be a
    running, migrated database. Raises NotConfigured when it is not set.
    """
    settings = settings or read_settings()
    configure(settings)
    url = database_url or settings.database_url
    if url is None:
        raise NotConfigured("JITUI_DATABASE_URL must be set here: the embedded database has one owner, `jitui serve`.")
    beside = extra() if extra is not None else ()
    app = create_opening_app(partial(_opened, settings, url), settings, extra_handlers=beside, worker=worker)
    tracing.configure(settings, "api")
    app.on_startup += [_end_waiting_on_signal, _spare_the_collector]
    app.on_shutdown.append(tracing.stop)
    if address is not None:
        app.on_startup.append(partial(_say_where, address))
    return app


def _say_where(address: str) -> None:
    log.info("listening", address=address, process_id=os.getpid())


def _build_in(
    parent: int,
    settings: Settings,
    database_url: str,
    extra: Extra | None,
    worker: WorkerBeside | None,
    address: str,
) -> Litestar:
    """The application in a serving process; with several processes, each ends with its parent."""
    if os.getpid() != parent:
        end_with_parent(parent)
    return build(settings, database_url, extra, worker, address)


def _spare_the_collector() -> None:
    """Keep what start-up made out of garbage collection, which saves about 7 % of a request's time."""
    gc.collect()
    gc.freeze()


def serve(
    settings: Settings,
    database_url: str,
    *,
    processes: int = 1,
    extra: Extra | None = None,
    worker: WorkerBeside | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; running requests are finished, for at most ten seconds."""
    configure(settings)
    listener = listen(settings.host, settings.port)
    config = uvicorn.Config(
        partial(_build_in, os.getpid(), settings, database_url, extra, worker, address_of(listener)),
        factory=True,
        workers=processes,
        loop="uvloop",
        http=cast(Any, partial(BoundedProtocol, limits=Limits(connections=most_connections()))),
        ws="none",
        lifespan="on",
        log_config=None,  # uvicorn's messages go to the service's own log
        log_level="warning",
        access_log=False,  # see jitui.entrypoints.http.access_log
        # uvicorn would believe headers from any process of this machine; see jitui.entrypoints.http.client
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_worker_healthcheck=START_SECONDS,
        backlog=BACKLOG,
    )
    server = uvicorn.Server(config)
    with closing(listener), _signals_end_quietly(server):
        if processes > 1:
            with shared_between_processes():
                Multiprocess(config, sockets=[listener]).run()
        else:
            server.run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that all processes share; port 0 takes a free port. Raises NotConfigured when the port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise NotConfigured(f"Cannot listen on {host}, port {port}: {error.strerror or error}.") from error
    listener.set_inheritable(True)
    return listener


def address_of(listener: socket.socket) -> str:
    """Where people and machines reach it, as an address for a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _signals_end_quietly(server: uvicorn.Server) -> Iterator[None]:
    """Ignore the signal that uvicorn raises again at its end, because the caller still has to clean up."""

    def stop(signum: int, frame: FrameType | None) -> None:
        server.should_exit = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@asynccontextmanager
async def _opened(settings: Settings, database_url: str) -> AsyncIterator[Service]:
    async with open_service(settings, database_url) as service, watching(service):
        yield service


def _end_waiting_on_signal(app: Litestar) -> None:
    """End the waits of readers when the process gets a signal; then uvicorn's own handling runs."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    stopping: Stopping = app.state.stopping
    for number in _STOPS:
        before = signal.getsignal(number)

        def handle(signum: int, frame: FrameType | None, before: object = before) -> None:
            loop.call_soon_threadsafe(stopping.now)
            if callable(before):
                before(signum, frame)

        signal.signal(number, handle)
