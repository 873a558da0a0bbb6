"""The worker: pays claimed refunds, closes tickets at their deadline, publishes and rolls up the feed.

Any number of workers share one database; each loop survives a fault of what it calls and says so in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import structlog

from jitui.aftersales.pay import pay_claimed
from jitui.aftersales.ports import ClaimedRefund
from jitui.aftersales.review import expire
from jitui.wiring import App

IDLE_SECONDS = 0.05
AFTER_FAULT_SECONDS = 1.0
ROLL_UP_SECONDS = 1.0
EXPIRY_SECONDS = 1.0
EXPIRY_BATCH = 200

log = structlog.get_logger("jitui.worker")


async def run_worker(app: App, stop: asyncio.Event) -> None:
    """Work until `stop` is set, then finish the calls in hand."""
    await asyncio.gather(
        _repeat("pay", stop, lambda: _pay_batch(app)),
        _repeat("expiry", stop, lambda: expire_due(app), every_seconds=EXPIRY_SECONDS),
        _repeat("roll_up", stop, lambda: _roll_up(app), every_seconds=ROLL_UP_SECONDS),
    )


async def pay_due(app: App) -> int:
    """Claim what is due now and pay it; returns how many refunds were claimed."""
    now = app.clock()
    lease_until = now + timedelta(seconds=app.settings.worker_lease_seconds)
    claimed = await app.store.claim_refunds(now=now, lease_until=lease_until, limit=app.settings.worker_batch)
    await asyncio.gather(*(_pay_one(app, refund) for refund in claimed))
    return len(claimed)


async def expire_due(app: App) -> int:
    """Close or approve every ticket whose deadline has passed; returns how many were due."""
    now = app.clock()
    due = await app.store.expired_tickets(now, EXPIRY_BATCH)
    for ref in due:
        await expire(app.store, ref, now=now)
    return len(due)


async def _pay_batch(app: App) -> bool:
    return await pay_due(app) > 0


async def _pay_one(app: App, claimed: ClaimedRefund) -> None:
    """A fault of one refund leaves its lease to run out; the others go on."""
    if claimed.refund.provider not in app.providers:
        log.warning("provider_not_configured", provider=claimed.refund.provider, refund=str(claimed.refund.refund_id))
        return
    try:
        await pay_claimed(app.store, app.providers, claimed, clock=app.clock)
    except Exception:
        log.exception("refund_not_confirmed", refund=str(claimed.refund.refund_id))


async def _roll_up(app: App) -> bool:
    await app.feed.roll_up(app.clock())
    return False


async def _repeat(
    name: str, stop: asyncio.Event, step: Callable[[], Awaitable[bool | int]], *, every_seconds: float = IDLE_SECONDS
) -> None:
    """Run a step again and again; at once while it finds work, else after a pause."""
    while not stop.is_set():
        pause_seconds = every_seconds
        try:
            if await step():
                continue
        except Exception:
            log.exception("step_failed", step=name)
            pause_seconds = AFTER_FAULT_SECONDS
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_seconds)
