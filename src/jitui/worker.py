"""The worker: pays refunds, closes tickets at their deadline, applies restriction rules, rolls up, sends webhooks.

Any number of workers share one database. A loop logs a failed step and goes on.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

from jitui.aftersales.commands.dispute import link_parked
from jitui.aftersales.commands.pay import pay_claimed
from jitui.aftersales.commands.restriction_rules import check_due
from jitui.aftersales.commands.shipping_reminder import MOST_AT_ONCE, remind_of_risks
from jitui.aftersales.governance.canary_guard import watch_canary
from jitui.aftersales.governance.cap_usage import look_at_caps
from jitui.aftersales.governance.erasure import ErasureList, list_as_text, read_list
from jitui.aftersales.governance.gates import recompute_due
from jitui.aftersales.governance.publication import LogEntry
from jitui.aftersales.operations.provider_health import ProvidersHealth, TroubleBegan, TroubleEnded, TroubleNews
from jitui.aftersales.operations.workers import WorkerBeat
from jitui.aftersales.ports import ClaimedRefund
from jitui.aftersales.reconciliation.restore import explain_refunds
from jitui.bootstrap import Service
from jitui.bootstrap_sending import notice_dispatcher, webhook_dispatcher
from jitui.deadlines import apply_incident_deadlines, expire_due, remind_due
from jitui.errors import BadInput, JituiError, NotConfigured
from jitui.logs import get_logger, name_trace, tell_failure
from jitui.monitoring.worker_metrics import WorkerMetrics
from jitui.monitoring.worker_port import metrics_port
from jitui.notices.dispatcher import NoticeDispatcher
from jitui.platform_syncing import sync_platforms
from jitui.policy import Policy
from jitui.tracing import continued_span, trace_id_of
from jitui.watching import AFTER_FAULT_SECONDS, pause, watch
from jitui.watching import repeat as again_and_again
from jitui.webhooks.dispatcher import Dispatcher

IDLE_SECONDS = 0.05
GATHER_SECONDS = 0.005
"""How long a full worker lets calls end before it claims again: a claim costs the same for one refund as for many."""
ROLL_UP_SECONDS = 1.0
LISTS_SECONDS = 0.5
GATES_SECONDS = 10.0
EXPIRY_SECONDS = 1.0
REMINDERS_SECONDS = 5.0
INCIDENTS_SECONDS = 5.0
BEAT_SECONDS = 10.0
PAYOUTS_SECONDS = 2.0
PARKED_SECONDS = 1.0
RESTRICTIONS_SECONDS = 1.0
FORGET_SECONDS = 600.0
ERASURES_SECONDS = 60.0
POOL_SECONDS = 5.0
KEYS_SECONDS = 86_400.0
AUDIT_SECONDS = 86_400.0
CANARY_SECONDS = 2.0
CAPS_SECONDS = 5.0
CLUSTERS_SECONDS = 1.0
SHIPPING_REMINDERS_SECONDS = 30.0
PLATFORMS_SECONDS = 15.0
MOST_KEYS_NAMED = 20
FAN_OUT_SECONDS = 0.5
WEBHOOK_WATCH_SECONDS = 60.0
WEBHOOK_HEALTH_SECONDS = 5.0
NOTICES_SECONDS = 2.0
KEEP_RESPONSES = timedelta(hours=48)
"""How long the answer to an Idempotency-Key is promised to be repeated."""
FORGET_SILENT = timedelta(days=1)
"""How long a worker that fell silent is a task; then it is struck out, as one that does not come back."""

Repeat = Callable[..., Awaitable[None]]
Step = Callable[[Service], Awaitable[bool | int | None]]
"""Returns whether there may be more to do at once."""

log = get_logger("jitui.worker")


async def run_worker(service: Service, stop: asyncio.Event) -> None:
    """Work until `stop` is set, then finish the calls in hand."""
    metrics = WorkerMetrics()
    async with metrics_port(service.settings, metrics.exposition):
        await _work(service, stop, metrics)


async def _work(service: Service, stop: asyncio.Event, metrics: WorkerMetrics) -> None:
    health = ProvidersHealth(service.clock, _tell_trouble)
    paying = replace(service, providers=health.watching(metrics.counting(service.providers)))
    name = service.settings.worker_name or socket.gethostname()
    worker = WorkerBeat(name, service.clock(), tuple(sorted(service.providers)))
    with suppress(JituiError):  # before anybody looks; the loop below says why when it cannot
        await _beat(service, worker, health, metrics)
    await _first_look(service, stop, metrics)
    repeat = partial(again_and_again, failed=metrics.step_failed)
    async with webhook_dispatcher(service) as dispatcher, notice_dispatcher(service) as notices:
        await asyncio.gather(
            *(_pay_through(paying, provider, stop, metrics) for provider in paying.providers),
            *(
                repeat(name, stop, partial(step, service), every_seconds=seconds)
                for name, step, seconds in _periodic_steps()
            ),
            watch(service, stop, failed=metrics.step_failed),
            repeat(
                "beat",
                stop,
                lambda: _beat(service, worker, health, metrics),
                every_seconds=BEAT_SECONDS,
                after_fault_seconds=BEAT_SECONDS,
            ),
            repeat("pool", stop, lambda: _sample_pool(service, metrics), every_seconds=POOL_SECONDS),
            _send_webhooks(dispatcher, stop, repeat),
            *(() if notices is None else (_send_notices(notices, stop, repeat),)),
        )
    with suppress(JituiError):  # a worker that cannot say so is found to be silent
        await service.workers.leave(name)


def _periodic_steps() -> tuple[tuple[str, Step, float], ...]:
    """What the worker does again and again beside paying: the step's name, the step, and its pause in seconds."""
    return (
        ("expiry", expire_due, EXPIRY_SECONDS),
        ("reminders", remind_due, REMINDERS_SECONDS),
        ("incidents", apply_incident_deadlines, INCIDENTS_SECONDS),
        ("roll_up", _roll_up, ROLL_UP_SECONDS),
        ("ticket_list", _fill_ticket_list, LISTS_SECONDS),
        ("refund_list", _fill_refund_list, LISTS_SECONDS),
        ("restrictions", _restrict_by_rules, RESTRICTIONS_SECONDS),
        ("gates", apply_gates, GATES_SECONDS),
        ("parked", _link_parked, PARKED_SECONDS),
        ("payouts", _watch_payouts, PAYOUTS_SECONDS),
        ("keys", warn_of_ending_keys, KEYS_SECONDS),
        ("canary", guard_canary, CANARY_SECONDS),
        ("clusters", _join_linked_accounts, CLUSTERS_SECONDS),
        ("cap_alerts", alert_of_caps, CAPS_SECONDS),
        ("shipping_reminders", remind_of_shipping, SHIPPING_REMINDERS_SECONDS),
        ("platforms", partial(sync_platforms, told={}), PLATFORMS_SECONDS),
        ("audit", note_audit_head, AUDIT_SECONDS),
        ("forget", _forget, FORGET_SECONDS),
        ("erasures", _keep_erasures, ERASURES_SECONDS),
    )


async def pay_due(service: Service) -> int:
    """Claim and pay all due refunds, and wait until they are paid; returns how many were claimed."""
    paid = 0
    for provider in service.providers:
        while claimed := await _claim(service, provider, service.settings.worker_batch):
            await asyncio.gather(*(_pay_one(service, refund) for refund in claimed))
            paid += len(claimed)
    return paid


async def restrict_by_rules(service: Service) -> int:
    """Apply the restriction rules of the policy in force to buyers with new events; returns how many were looked at."""
    try:
        deciding = await service.policy_in_force.deciding()
    except NotConfigured:  # before the first policy there are no rules
        return 0
    zone = service.settings.time_zone
    return await check_due(service.restriction_checks, deciding, now=service.clock(), time_zone=zone)


async def _restrict_by_rules(service: Service) -> bool:
    await restrict_by_rules(service)
    return False


async def _pay_through(service: Service, provider: str, stop: asyncio.Event, metrics: WorkerMetrics) -> None:
    """Keep up to `worker_batch` calls to one provider running, and claim only as many refunds as can be called now.

    Each provider has a limit of its own, so a slow provider does not delay the refunds of another. A call that ends
    makes room for the next one at once, so a slow call occupies one place.
    """
    calls: set[asyncio.Task[None]] = set()
    while not stop.is_set():
        free = service.settings.worker_batch - len(calls)
        try:
            claimed = await _claim(service, provider, free)
        except Exception as error:
            tell_failure(log, "step_failed", error, step="claim", provider=provider)
            metrics.step_failed("claim")
            await pause(stop, AFTER_FAULT_SECONDS)
            continue
        metrics.claimed(provider, len(claimed))
        for refund in claimed:
            call = asyncio.create_task(_pay_one(service, refund))
            calls.add(call)
            call.add_done_callback(calls.discard)
        if not claimed and free:
            await pause(stop, IDLE_SECONDS)
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
    refund = claimed.refund
    about = {"jitui.refund_id": str(refund.refund_id), "jitui.provider": refund.provider}
    with continued_span("pay refund", claimed.trace_parent, about) as spanned:
        name_trace(spanned.trace_id or trace_id_of(claimed.trace_parent))
        try:
            await pay_claimed(service.store, service.providers, claimed, clock=service.clock)
        except Exception as error:
            spanned.failed(error)
            tell_failure(log, "refund_not_confirmed", error, refund=str(refund.refund_id))


async def _beat(service: Service, worker: WorkerBeat, health: ProvidersHealth, metrics: WorkerMetrics) -> bool:
    """Say that this worker lives, and what it cannot work with."""
    health.look()
    await service.workers.beat(replace(worker, trouble=health.trouble))
    metrics.beat(service.clock())
    return False


def _tell_trouble(news: TroubleNews) -> None:
    """Once when it begins, with the reason, and once when it has ended."""
    match news:
        case TroubleBegan():
            log.warning(
                "provider_trouble_began", provider=news.provider, trouble=news.trouble.value, reason=news.reason
            )
        case TroubleEnded():
            lasted = round(news.lasted.total_seconds())
            log.warning(
                "provider_trouble_ended", provider=news.provider, trouble=news.trouble.value, lasted_seconds=lasted
            )


async def _first_look(service: Service, stop: asyncio.Event, metrics: WorkerMetrics) -> None:
    """Check before the first claim whether the database is a restored backup; repeat until the check succeeds."""
    while not stop.is_set():
        try:
            await _watch_payouts(service)
            return
        except Exception as error:
            tell_failure(log, "step_failed", error, step="payouts")
            metrics.step_failed("payouts")
            await pause(stop, AFTER_FAULT_SECONDS)


async def _watch_payouts(service: Service) -> bool:
    """Warn when payouts are held; otherwise leave the mark that shows later how old a restored backup is."""
    status = await service.payouts.status()
    if status.allowed:
        await service.payouts.mark(service.clock())
        if status.unexplained:
            await explain_refunds(service.restoring())
    elif await service.payouts.accept_promotion(service.clock()):
        log.warning("promoted_standby_accepted", timeline=status.timeline_id)
    else:
        log.warning("payouts_held", open_refunds=status.open_refunds, reason=status.held_reason or "restored database")
    return False


async def warn_of_ending_keys(service: Service) -> bool:
    """Whoever uses a key that ends soon learns of it in time, once a day from each worker; the first ends are named."""
    ending = await service.keys.ending_soon(service.clock())
    for key in ending[:MOST_KEYS_NAMED]:
        ends_at = key.expires_at.isoformat(timespec="seconds") if key.expires_at is not None else ""
        log.warning("api_key_ends_soon", key_id=key.key_id, label=key.label, ends_at=ends_at, ending=len(ending))
    return False


async def note_audit_head(service: Service) -> bool:
    """Where the audit log ends, kept outside of the database too: `jitui audit verify --noted` takes it."""
    async with service.audit_log.reading() as reading:
        log.info("audit_head", head=str(reading.head))
    return False


async def guard_canary(service: Service) -> bool:
    """Count what the canary's buyers asked, and end it when a guard's bound is crossed."""
    deciding = await service.policy_in_force.deciding()

    def compiled(entry: LogEntry) -> Policy | None:
        canary = deciding.canary
        return canary.policy if canary is not None and canary.policy.sha256 == entry.sha256 else None

    ended = await watch_canary(service.policies, service.canary_guards, compiled, now=service.clock())
    if ended is not None:
        log.error(
            "canary_ended",
            policy=ended.entry.policy_id,
            version=ended.entry.version,
            publication=ended.entry.publication,
            reason=ended.reason,
        )
    return False


async def alert_of_caps(service: Service) -> bool:
    """Tell operators once when usage has passed a share of a cap of the live policy."""
    try:
        policy = await service.policy_in_force.current()
    except NotConfigured:  # before the first policy there are no caps
        return False
    for alert in await look_at_caps(service.cap_usages, policy, service.clock()):
        about = {"scope": alert.scope.value, "of": alert.ref, "measure": alert.measure.value}
        log.warning("cap_share_passed", **about, percent=alert.percent, used=alert.used, cap=alert.cap)
    return False


async def remind_of_shipping(service: Service) -> bool:
    """Tell shops and the platform of shipping risks, each stage of each once; returns whether there may be more."""
    told = await remind_of_risks(service.store, service.shipping_risks, now=service.clock())
    if told:
        log.info("shipping_reminders_told", reminders=told)
    return told >= MOST_AT_ONCE


async def _sample_pool(service: Service, metrics: WorkerMetrics) -> bool:
    metrics.pool.sample(service.pool_figures())
    return False


async def _send_webhooks(dispatcher: Dispatcher, stop: asyncio.Event, repeat: Repeat) -> None:
    await asyncio.gather(
        dispatcher.run(stop),
        repeat("webhook_fan_out", stop, dispatcher.fan_out, every_seconds=FAN_OUT_SECONDS),
        repeat("webhook_health", stop, dispatcher.note_health, every_seconds=WEBHOOK_HEALTH_SECONDS),
        repeat("webhook_watch", stop, dispatcher.look_after, every_seconds=WEBHOOK_WATCH_SECONDS),
        repeat("webhook_forget", stop, dispatcher.purge, every_seconds=FORGET_SECONDS),
    )


async def _send_notices(dispatcher: NoticeDispatcher, stop: asyncio.Event, repeat: Repeat) -> None:
    """Queue what happens for buyers and shops, send it, and tell a person what nobody knows of."""
    await asyncio.gather(
        repeat("notice_fan_out", stop, dispatcher.fan_out, every_seconds=NOTICES_SECONDS),
        repeat("notices", stop, dispatcher.send_due, every_seconds=NOTICES_SECONDS),
        repeat("notices_lost", stop, dispatcher.look_after, every_seconds=WEBHOOK_WATCH_SECONDS),
        repeat("notices_forget", stop, dispatcher.purge, every_seconds=FORGET_SECONDS),
    )


async def _link_parked(service: Service) -> bool:
    await link_parked(service.store, service.parked_disputes, service.tasks, now=service.clock())
    return False


async def _roll_up(service: Service) -> bool:
    """Roll up usage, by the database's clock: the age of usage must not depend on this machine's clock."""
    await service.feed.roll_up()
    return False


async def _fill_ticket_list(service: Service) -> bool:
    await service.ticket_list.fill()
    return False


async def _fill_refund_list(service: Service) -> bool:
    await service.refund_list.fill()
    return False


async def _join_linked_accounts(service: Service) -> int:
    return await service.linked_accounts.join_new(service.clock())


async def apply_gates(service: Service) -> bool:
    """Compute the coverage of every place once a day, after the roll-up, and when another policy is in force."""
    computed = await recompute_due(service.gates, await service.gate_rules(), service.clock())
    if computed:
        log.info("gates_computed", places=computed)
    return False


async def _keep_erasures(service: Service) -> bool:
    await keep_erasures(service)
    return False


async def _forget(service: Service) -> bool:
    await service.workers.forget(FORGET_SILENT)
    await service.store.purge_responses(service.clock() - KEEP_RESPONSES)
    return False


async def keep_erasures(service: Service) -> int:
    """Keep who was erased outside of the database too, where a restore changes nothing; how many are missing in it.

    When any are missing, the database was restored, and these erasures are to be done again.
    """
    data, today, file = service.personal_data, service.clock().date(), service.settings.erasures_file
    await data.forget_marks(today)
    known, fingerprint = await data.marks(), await data.fingerprint()
    try:
        kept = read_list(file.read_text(), file.name) if file.exists() else ErasureList(fingerprint, ())
    except (OSError, ValueError, BadInput) as error:
        log.error("erasures_file_unreadable", file=str(file), reason=str(error))
        return 0
    if kept.fingerprint != fingerprint:
        log.error("erasures_file_of_another_database", file=str(file))
        return 0
    standing = {mark.name: mark for mark in kept.marks if mark.keep_until > today}
    missing = len(standing.keys() - {mark.name for mark in known})
    if missing:
        log.warning("erasures_to_be_done_again", erasures=missing, file=str(file))
    text = list_as_text(ErasureList(fingerprint, tuple((standing | {mark.name: mark for mark in known}).values())))
    if (known or kept.marks) and text != list_as_text(kept):
        _write_whole(file, text)
    return missing


def _write_whole(file: Path, text: str) -> None:
    beside = file.with_name(f"{file.name}.{uuid4().hex}")
    file.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(text)
    beside.replace(file)


async def _first_of(calls: set[asyncio.Task[None]], stop: asyncio.Event) -> None:
    """Wait until one of the calls ends or `stop` is set."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({*calls, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
