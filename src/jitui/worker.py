"""The worker: pays claimed refunds, closes tickets at their deadline, rolls up the feed and sends webhooks.

Any number of workers share one database; each loop survives a fault of what it calls and says so in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from jitui.aftersales.commands.dispute import link_parked
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.mismatch import mismatch_task
from jitui.aftersales.commands.pay import pay_claimed
from jitui.aftersales.commands.review import expire
from jitui.aftersales.ports import ClaimedRefund
from jitui.bootstrap import Service, webhook_dispatcher
from jitui.logs import get_logger
from jitui.webhooks.dispatcher import Dispatcher

IDLE_SECONDS = 0.05
GATHER_SECONDS = 0.005
"""How long a full worker lets calls end before it claims again: a claim costs the same for one refund as for many."""
AFTER_FAULT_SECONDS = 1.0
ROLL_UP_SECONDS = 1.0
EXPIRY_SECONDS = 1.0
EXPIRY_BATCH = 200
WATCH_SECONDS = 60.0
PARKED_SECONDS = 1.0
FORGET_SECONDS = 600.0
FAN_OUT_SECONDS = 0.5
WEBHOOK_HEALTH_SECONDS = 5.0
KEEP_RESPONSES = timedelta(hours=48)
"""How long the answer to an Idempotency-Key is promised to be repeated."""

log = get_logger("jitui.worker")


async def run_worker(service: Service, stop: asyncio.Event) -> None:
    """Work until `stop` is set, then finish the calls in hand."""
    async with webhook_dispatcher(service) as dispatcher:
        await asyncio.gather(
            *(_pay_through(service, provider, stop) for provider in service.providers),
            _repeat("expiry", stop, lambda: expire_due(service), every_seconds=EXPIRY_SECONDS),
            _repeat("roll_up", stop, lambda: _roll_up(service), every_seconds=ROLL_UP_SECONDS),
            _repeat("parked", stop, lambda: _link_parked(service), every_seconds=PARKED_SECONDS),
            _repeat("watch", stop, lambda: _warn_of_unpaid(service), every_seconds=WATCH_SECONDS),
            _repeat("forget", stop, lambda: _forget(service), every_seconds=FORGET_SECONDS),
            _send_webhooks(dispatcher, stop),
        )


async def pay_due(service: Service) -> int:
    """Claim all that is due, pay it, and wait until it is done; returns how many refunds were claimed."""
    paid = 0
    for provider in service.providers:
        while claimed := await _claim(service, provider, service.settings.worker_batch):
            await asyncio.gather(*(_pay_one(service, refund) for refund in claimed))
            paid += len(claimed)
    return paid


async def expire_due(service: Service) -> int:
    """Close or approve every ticket whose deadline has passed; returns how many it closed or approved."""
    now = service.clock()
    done = 0
    for ref in await service.store.expired_tickets(now, EXPIRY_BATCH):
        try:
            done += isinstance(await expire(service.store, ref, now=now), Executed)
        except Exception:
            log.exception("ticket_not_expired", ticket=str(ref.ticket_id))
    return done


async def _pay_through(service: Service, provider: str, stop: asyncio.Event) -> None:
    """Keep calls to one provider in flight, `worker_batch` at most, and claim only what can be called for now.

    Each provider has places of its own, so one that is slow or down holds up nobody else's refunds; and each call
    frees its place by itself, so a slow call holds up one place.
    """
    calls: set[asyncio.Task[None]] = set()
    while not stop.is_set():
        free = service.settings.worker_batch - len(calls)
        try:
            claimed = await _claim(service, provider, free)
        except Exception:
            log.exception("step_failed", step="claim", provider=provider)
            await _pause(stop, AFTER_FAULT_SECONDS)
            continue
        for refund in claimed:
            call = asyncio.create_task(_pay_one(service, refund))
            calls.add(call)
            call.add_done_callback(calls.discard)
        if not claimed and free:
            await _pause(stop, IDLE_SECONDS)
        elif len(claimed) == free:
            await _first_of(calls, stop)
            await asyncio.sleep(GATHER_SECONDS)
    await asyncio.gather(*calls)


async def _claim(service: Service, provider: str, limit: int) -> list[ClaimedRefund]:
    now = service.clock()
    lease_until = now + timedelta(seconds=service.settings.worker_lease_seconds)
    return await service.store.claim_refunds(now=now, lease_until=lease_until, limit=limit, provider=provider)


async def _pay_one(service: Service, claimed: ClaimedRefund) -> None:
    """A fault of one refund leaves its lease to run out; the others go on."""
    try:
        done = await pay_claimed(service.store, service.providers, claimed, clock=service.clock)
        if isinstance(done, Executed) and (task := mismatch_task(done.changes)) is not None:
            log.warning("answer_differs", task=str(task.task_id), **task.evidence)
    except Exception:
        log.exception("refund_not_confirmed", refund=str(claimed.refund.refund_id))


async def _send_webhooks(dispatcher: Dispatcher, stop: asyncio.Event) -> None:
    await asyncio.gather(
        dispatcher.run(stop),
        _repeat("webhook_fan_out", stop, dispatcher.fan_out, every_seconds=FAN_OUT_SECONDS),
        _repeat("webhook_health", stop, dispatcher.note_health, every_seconds=WEBHOOK_HEALTH_SECONDS),
        _repeat("webhook_watch", stop, dispatcher.look_after, every_seconds=WATCH_SECONDS),
        _repeat("webhook_forget", stop, dispatcher.purge, every_seconds=FORGET_SECONDS),
    )


async def _warn_of_unpaid(service: Service) -> bool:
    """Nobody claims a refund whose provider is not configured here; somebody must hear of it."""
    for name in await service.store.due_providers(service.clock()) - set(service.providers):
        log.warning("provider_not_configured", provider=name)
    return False


async def _link_parked(service: Service) -> bool:
    await link_parked(service.store, service.parked_disputes, service.tasks, now=service.clock())
    return False


async def _roll_up(service: Service) -> bool:
    """By the database's clock, so that the age of usage does not depend on this machine's."""
    await service.feed.roll_up()
    return False


async def _forget(service: Service) -> bool:
    await service.store.purge_responses(service.clock() - KEEP_RESPONSES)
    return False


async def _repeat(
    name: str, stop: asyncio.Event, step: Callable[[], Awaitable[bool | int | None]], *, every_seconds: float
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
        await _pause(stop, pause_seconds)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _first_of(calls: set[asyncio.Task[None]], stop: asyncio.Event) -> None:
    """Wait until a call ends, or until the worker is to stop."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({*calls, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
