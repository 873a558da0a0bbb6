"""The service about itself: alive, ready, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
import psycopg

from jitui.aftersales.facts import usage_is_fresh
from jitui.aftersales.shelf import Benefit, Health
from jitui.entrypoints.http import answers
from jitui.entrypoints.http.metrics import MEDIA_TYPE
from jitui.entrypoints.http.operation import PLATFORM, Answer, Call, Done, Nothing, Operation
from jitui.entrypoints.http.problems import UNAVAILABLE, Problem
from jitui.errors import JituiError
from jitui.wiring import App

LOOK_SECONDS = 3.0
"""How long the database may take to say how it is."""

REFUND_TIMES_OVER = timedelta(hours=1)
_encode = msgspec.json.Encoder().encode
_ALIVE = _encode(answers.AliveAnswer(status="ok"))


async def healthz(_: Call[Nothing, Nothing]) -> Done:
    """The process answers; nothing else is looked at."""
    return Answer(200, _ALIVE)


async def readyz(call: Call[Nothing, Nothing]) -> Done:
    """Whether requests can be served."""
    health = await _health(call.app)
    if health is None:
        return Problem(UNAVAILABLE, "The database does not answer, or was never migrated.", retry_after_seconds=1)
    if not health.migrated:
        return Problem(UNAVAILABLE, "The database is not at this release's migration; run: jitui migrate")
    now = call.app.clock()
    degraded = tuple(_degraded(call, health, now))
    body = answers.ReadyAnswer(
        ready=True,
        database=True,
        migrated=True,
        worker=not degraded,
        degraded=degraded,
        roll_up_age_seconds=_age_seconds(health.usage_as_of, now),
    )
    return Answer(200, _encode(body))


def _degraded(call: Call[Nothing, Nothing], health: Health, now: datetime) -> Iterator[str]:
    """What somebody has to look at while a load balancer still sends requests here.

    Without a worker requests go to review and refunds wait; without the API nobody could even ask.
    """
    if call.worker_beside is not None and not call.worker_beside():
        yield "worker_ended"
    if not usage_is_fresh(health.usage_as_of, now, call.app.settings.usage_max_age):
        yield "usage_unknown"


async def metrics(call: Call[Nothing, Nothing]) -> Done:
    """Prometheus text; without an answer of the database, this process's own figures."""
    health = await _health(call.app)
    age_seconds = _age_seconds(health.usage_as_of, call.app.clock()) if health is not None else None
    benefit = await _benefit(call.app) if health is not None else None
    return Answer(200, call.metrics.exposition(health, age_seconds, benefit), media_type=MEDIA_TYPE)


async def _health(app: App) -> Health | None:
    try:
        return await asyncio.wait_for(app.shelf.health(app.clock()), LOOK_SECONDS)
    except (psycopg.Error, JituiError, TimeoutError):
        return None


async def _benefit(app: App) -> Benefit | None:
    try:
        since = app.clock() - REFUND_TIMES_OVER
        return await asyncio.wait_for(app.shelf.benefit(shop_id=None, since=since), LOOK_SECONDS)
    except (psycopg.Error, JituiError, TimeoutError):
        return None


def _age_seconds(as_of: datetime | None, now: datetime) -> float | None:
    return None if as_of is None else max(0.0, (now - as_of).total_seconds())


_TAG = "Service"
OPERATIONS = (
    Operation("GET", "/healthz", healthz, "Is the process alive", _TAG, {200: answers.AliveAnswer}, unmetered=True),
    Operation(
        "GET",
        "/readyz",
        readyz,
        "Can requests be served",
        _TAG,
        {200: answers.ReadyAnswer},
        unmetered=True,
        description="503 while the database does not answer or is not migrated. `worker` is false, and `degraded` "
        "says why, while the worker beside this process has ended (`worker_ended`, it is started again) or no worker "
        "anywhere has rolled up in time (`usage_unknown`); requests are taken all the same. The age of the rolled-up "
        "cap usage is told: past ten seconds (a setting) it counts as unknown, and requests under such caps go to "
        "review.",
    ),
    Operation(
        "GET",
        "/metrics",
        metrics,
        "Read metrics for Prometheus",
        _TAG,
        {200: str},
        scopes=frozenset({PLATFORM}),
        unmetered=True,
        for_monitoring=True,
        description="For a platform key, or `JITUI_METRICS_TOKEN` as the bearer token, which needs no database. "
        "Counters are those of the process that answers, under its `process` label.",
    ),
)
