"""A worker's own port: `GET /metrics` for whoever has the token of the settings, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from os import strerror

from jitui.errors import NotConfigured
from jitui.logs import get_logger
from jitui.metrics import MEDIA_TYPE, is_opened_by
from jitui.settings import Settings

log = get_logger("jitui.worker")


@asynccontextmanager
async def metrics_port(settings: Settings, exposition: Callable[[], bytes]) -> AsyncIterator[int | None]:
    """Serve for as long as the block lasts; yields the port, None where none is set.

    In the worker's own loop, so that a worker that hangs does not look well. Raises NotConfigured when the port is
    taken.
    """
    if settings.worker_metrics_port is None or settings.metrics_token is None:
        yield None
        return
    from aiohttp import web

    async def metrics(request: web.Request) -> web.Response:
        authorization = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
        if not is_opened_by(authorization, settings.metrics_token):
            return web.Response(status=401, headers={"www-authenticate": 'Bearer realm="jitui"'})
        return web.Response(body=exposition(), headers={"content-type": MEDIA_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.worker_metrics_port)
        try:
            await site.start()
        except OSError as error:
            where = f"{settings.host}, port {settings.worker_metrics_port}"
            why = strerror(error.errno) if error.errno else str(error)
            raise NotConfigured(f"Cannot listen for metrics on {where}: {why}.") from error
        port = int(runner.addresses[0][1])
        log.info("listening", address=f"http://{settings.host}:{port}/metrics")
        yield port
    finally:
        await runner.cleanup()
