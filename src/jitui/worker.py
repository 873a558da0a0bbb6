"""The worker: pays claimed refunds, closes tickets at their deadline, and rolls up the feed.

Any number of workers share one database. A loop logs a failed step and goes on.
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
from jitui.aftersales.reconciliation.restore import explain_refunds
from jitui.bootstrap import Service
from jitui.logs import get_logger

IDLE_SECONDS = 0.05
GATHER_SECONDS = 0.005
"""How long a full worker waits for calls to end before it claims again: one claim costs as much as a claim of many."""
AFTER_FAULT_SECONDS = 1.0
ROLL_UP_SECONDS = 1.0
EXPIRY_SECONDS = 1.0
EXPIRY_BATCH = 200
WATCH_SECONDS = 60.0
PAYOUTS_SECONDS = 10.0
PARKED_SECONDS = 1.0
FORGET_SECONDS = 600.0
KEEP_RESPONSES = timedelta(hours=48)
"""How long the response to an Idempotency-Key is kept for repetition, as promised to callers."""

log = get_logger("jitui.worker")


async def run_worker(service: Service, stop: asyncio.Event) -> None:
    """Work until `stop` is set, then finish the calls that are running."""
    await _first_look(service, stop)
    await asyncio.gather(
        *(_pay_through(service, provider, stop) for provider in service.providers),
        _repeat("expiry", stop, lambda: expire_due(service), every_seconds=EXPIRY_SECONDS),
        _repeat("roll_up", stop, lambda: _roll_up(service), every_seconds=ROLL_UP_SECONDS),
        _repeat("parked", stop, lambda: _link_parked(service), every_seconds=PARKED_SECONDS),
        _repeat("watch", stop, lambda: _warn_of_unpaid(service), every_seconds=WATCH_SECONDS),
        _repeat("payouts", stop, lambda: _watch_payouts(service), every_seconds=PAYOUTS_SECONDS),
        _repeat("forget", stop, lambda: _forget(service), every_seconds=FORGET_SECONDS),
    )


async def pay_due(service: Service) -> int:
    """Claim and pay all due refunds, and wait until they are paid; returns how many were claimed."""
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
    """Keep up to `worker_batch` calls to one provider running, and claim only as many refunds as can be called now.

    Each provider has a limit of its own, so a slow provider does not delay the refunds of another. A call that ends
    makes room for the next one at once, so a slow call occupies one place.
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
    """Pay one claimed refund. When this fails, its lease runs out and it is claimed again later."""
    try:
        done = await pay_claimed(service.store, service.providers, claimed, clock=service.clock)
        if isinstance(done, Executed) and (task := mismatch_task(done.changes)) is not None:
            log.warning("answer_differs", task=str(task.task_id), **task.evidence)
    except Exception:
        log.exception("refund_not_confirmed", refund=str(claimed.refund.refund_id))


async def _warn_of_unpaid(service: Service) -> bool:
    """Warn of due refunds whose provider is not configured here: no worker claims them."""
    for name in await service.store.due_providers(service.clock()) - set(service.providers):
        log.warning("provider_not_configured", provider=name)
    return False


async def _first_look(service: Service, stop: asyncio.Event) -> None:
    """Check before the first claim whether the database is a restored backup; repeat until the check succeeds."""
    while not stop.is_set():
        try:
            await _watch_payouts(service)
            return
        except Exception:
            log.exception("step_failed", step="payouts")
            await _pause(stop, AFTER_FAULT_SECONDS)


async def _watch_payouts(service: Service) -> bool:
    """Warn when payouts are held; otherwise leave the mark that shows later how old a restored backup is."""
    status = await service.payouts.status()
    if status.allowed:
        await service.payouts.mark(service.clock())
        if status.unexplained:
            await explain_refunds(service.restoring())
    else:
        log.warning("payouts_held", open_refunds=status.open_refunds, reason=status.held_reason or "restored database")
    return False


async def _link_parked(service: Service) -> bool:
    await link_parked(service.store, service.parked_disputes, service.tasks, now=service.clock())
    return False


async def _roll_up(service: Service) -> bool:
    """Roll up usage, by the database's clock: the age of usage must not depend on this machine's clock."""
    await service.feed.roll_up()
    return False


async def _forget(service: Service) -> bool:
    await service.store.purge_responses(service.clock() - KEEP_RESPONSES)
    return False


async def _repeat(
    name: str, stop: asyncio.Event, step: Callable[[], Awaitable[bool | int]], *, every_seconds: float
) -> None:
    """Call a step until `stop` is set: again at once when it found work, else after a pause."""
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
    """Wait until one of the calls ends or `stop` is set."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({*calls, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
