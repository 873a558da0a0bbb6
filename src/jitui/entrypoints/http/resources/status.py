"""The state of the service: alive, ready, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime

from jitui.aftersales.commands.cap_usage import usage_is_fresh
from jitui.aftersales.queries import Health
from jitui.bootstrap import Service
from jitui.entrypoints.http.operation import get, operation
from jitui.entrypoints.http.problems import UNAVAILABLE, Problem
from jitui.entrypoints.http.reply import Answer, Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources.shared import Shown
from jitui.errors import JituiError
from jitui.identity.access import Permission
from jitui.metrics import MEDIA_TYPE

LOOK_SECONDS = 3.0
"""How long to wait for the database's state."""


class ReadyAnswer(Shown, frozen=True, kw_only=True):
    """Whether requests can be served, and whether a worker is running.

    `degraded`: `worker_ended` or `usage_unknown`. `roll_up_age_seconds`: the age of the caps' usage.
    """

    ready: bool
    database: bool
    migrated: bool
    worker: bool
    degraded: tuple[str, ...]
    roll_up_age_seconds: float | None


class AliveAnswer(Shown, frozen=True, kw_only=True):
    """The process answers."""

    status: str


_ALIVE = answer(AliveAnswer(status="ok"))
_TAG = ["Service"]


@get("/healthz", tags=_TAG, summary="Is the process alive", opt=operation({200: AliveAnswer}, rate_limited=False))
async def healthz(request: RequestContext) -> Reply:
    """Answer that the process is alive, without checking anything else."""
    return _ALIVE


@get(
    "/readyz",
    tags=_TAG,
    summary="Can requests be served",
    description="503 while the database does not answer or is not migrated. `worker` is false, and `degraded` "
    "says why, while the worker beside this process has ended (`worker_ended`, it is started again) or no worker "
    "anywhere has rolled up in time (`usage_unknown`); requests are taken all the same. The age of the rolled-up "
    "cap usage is told: past ten seconds (a setting) it counts as unknown, and requests under such caps go to "
    "review.",
    opt=operation({200: ReadyAnswer}, rate_limited=False),
)
async def readyz(request: RequestContext) -> Reply:
    """Return whether requests can be served."""
    health = await _health(request.service)
    if health is None:
        return Problem(UNAVAILABLE, "The database does not answer, or was never migrated.", retry_after_seconds=1)
    if not health.migrated:
        return Problem(UNAVAILABLE, "The database is not at this release's migration; run: jitui migrate")
    now = request.service.clock()
    degraded = tuple(_degraded(request, health, now))
    return answer(
        ReadyAnswer(
            ready=True,
            database=True,
            migrated=True,
            worker=not degraded,
            degraded=degraded,
            roll_up_age_seconds=_age_seconds(health.usage_as_of, now),
        )
    )


def _degraded(request: RequestContext, health: Health, now: datetime) -> Iterator[str]:
    """Problems that need attention while a load balancer still sends requests here.

    Without a worker requests go to review and refunds wait; without the API nobody could make a request.
    """
    worker_runs = request.api.worker_beside
    if worker_runs is not None and not worker_runs():
        yield "worker_ended"
    if not usage_is_fresh(health.usage_as_of, now, request.service.settings.usage_max_age):
        yield "usage_unknown"


@get(
    "/metrics",
    tags=_TAG,
    summary="Read metrics for Prometheus",
    description="For a platform key, or `JITUI_METRICS_TOKEN` as the bearer token, which needs no database. "
    "What the processes of this port counted together, and figures of the whole service; while the database does not "
    "answer these are the last ones, with their age.",
    opt=operation({200: str}, Permission.METRICS_READ, rate_limited=False, for_monitoring=True),
)
async def metrics(request: RequestContext) -> Reply:
    """Return the metrics, whether the database answers or not."""
    shown = request.api.metrics
    await shown.figures.refresh(request.service)
    shown.pool.sample(request.service.pool_figures())
    return Answer(200, shown.exposition(), media_type=MEDIA_TYPE)


async def _health(service: Service) -> Health | None:
    try:
        return await asyncio.wait_for(service.queries.health(service.clock()), LOOK_SECONDS)
    except (JituiError, TimeoutError):
        return None


def _age_seconds(as_of: datetime | None, now: datetime) -> float | None:
    return None if as_of is None else max(0.0, (now - as_of).total_seconds())


HANDLERS = (healthz, readyz, metrics)

EXAMPLES = (
    ReadyAnswer(ready=True, database=True, migrated=True, worker=True, degraded=(), roll_up_age_seconds=0.7),
    AliveAnswer(status="ok"),
)
