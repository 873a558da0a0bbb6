"""What goes on and needs a person: pure, from what is read of the whole service to the tasks that must stand open.

Whoever looks (a worker, a process of the API, `jitui doctor`) comes to the same tasks, because what they look at is in
the database. A refund that failed is not here: the transaction that fails it opens its task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jitui.aftersales.commands.cap_usage import usage_is_fresh
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.task import NewTask, TaskKind, task_of_condition
from jitui.aftersales.operations.platform_connections import LATE
from jitui.aftersales.provider import BOTH, Capabilities
from jitui.aftersales.queries import (
    CanaryTrouble,
    OpenRefunds,
    OperationsState,
    PlatformSeen,
    UnbalancedOrder,
    WorkerSeen,
)

SILENT_AFTER = timedelta(seconds=60)
"""How long a worker may say nothing until it counts as dead."""

GRACE = timedelta(seconds=60)
"""How long work may lie, or usage be older than it may, while workers are started anew."""

FIRST_READING = timedelta(days=1)
"""How long a platform may be read for the first time, as long as it goes on."""

WATCHED = frozenset(
    {
        TaskKind.OUTCOME_OVERDUE,
        TaskKind.PROVIDER_NOT_CONFIGURED,
        TaskKind.PROVIDER_TROUBLE,
        TaskKind.LEDGER_UNBALANCED,
        TaskKind.ROLL_UP_STALE,
        TaskKind.WORKER_SILENT,
        TaskKind.NO_WORKER,
        TaskKind.APPEAL_OVERDUE,
        TaskKind.ARBITRATION_OVERDUE,
        TaskKind.COMPLAINT_OVERDUE,
        TaskKind.CANARY_ENDED,
        TaskKind.CANARY_SIGNAL,
        TaskKind.CHANGE_UNCONFIRMED,
        TaskKind.PLATFORM_UNREAD,
    }
)
"""Kinds whose tasks are opened and closed by looking."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What this installation takes for usual; `providers`: those that are configured, and what is usual of them."""

    providers: Mapping[str, Capabilities]
    usage_max_age: timedelta


def standing_tasks(
    state: OperationsState, unbalanced: Sequence[UnbalancedOrder], expected: Expected, now: datetime
) -> tuple[NewTask, ...]:
    """A task for each condition that stands now."""
    alive = [worker for worker in state.workers if is_alive(worker)]
    return (
        *_overdue(state.refunds, expected, now),
        *_not_configured(state.refunds, alive, expected, now),
        *_in_trouble(alive, now),
        *_unbalanced(unbalanced, now),
        *_stale(state, expected, now),
        *_silent(state.workers, now),
        *_no_worker(state, alive, now),
        *_overdue_answers(state, now),
        *_complaints(state, now),
        *_canary(state.canary, now),
        *_unconfirmed(state, now),
        *_unread(state.platforms, now),
    )


def is_alive(worker: WorkerSeen) -> bool:
    """Whether the worker was heard of in time."""
    return worker.seen_seconds_ago <= SILENT_AFTER.total_seconds()


def started_before(workers: Sequence[WorkerSeen], changed_at: datetime) -> tuple[str, ...]:
    """The workers that go on with a connection as it was before: a process takes up a change when it starts."""
    return tuple(worker.name for worker in workers if is_alive(worker) and worker.started_at < changed_at)


def _overdue(refunds: Sequence[OpenRefunds], expected: Expected, now: datetime) -> Iterator[NewTask]:
    """Outcomes that nobody knows for longer than is usual of their provider."""
    late: dict[str, list[OpenRefunds]] = {}
    for found in refunds:
        usual = _usual(found, expected)
        if usual is not None and now - found.oldest_at > usual:
            late.setdefault(found.provider, []).append(found)
    for provider, groups in late.items():
        evidence = {
            "refunds": sum(found.count for found in groups),
            "states": sorted(found.state.value for found in groups),
            "oldest_at": min(found.oldest_at for found in groups).isoformat(),
        }
        yield _task(TaskKind.OUTCOME_OVERDUE, provider, evidence, now, provider=provider)


def _usual(found: OpenRefunds, expected: Expected) -> timedelta | None:
    capabilities = expected.providers.get(found.provider, BOTH)
    match found.state:
        case RefundState.SENDING | RefundState.UNKNOWN:
            return capabilities.known_within
        case RefundState.PENDING:
            return capabilities.paid_within
    return None


def _not_configured(
    refunds: Sequence[OpenRefunds], alive: Sequence[WorkerSeen], expected: Expected, now: datetime
) -> Iterator[NewTask]:
    """Refunds that no living worker can take, because it has no settings of their provider."""
    served = {name for worker in alive for name in worker.providers} if alive else set(expected.providers)
    waiting: dict[str, list[OpenRefunds]] = {}
    for found in refunds:
        if found.provider not in served and found.due_since is not None and now - found.due_since > GRACE:
            waiting.setdefault(found.provider, []).append(found)
    for provider, groups in waiting.items():
        evidence = {
            "refunds": sum(found.count for found in groups),
            "due_since": min(found.due_since for found in groups if found.due_since is not None).isoformat(),
        }
        yield _task(TaskKind.PROVIDER_NOT_CONFIGURED, provider, evidence, now, provider=provider)


def _in_trouble(alive: Sequence[WorkerSeen], now: datetime) -> Iterator[NewTask]:
    """Providers that workers cannot work with, with the reason of whoever noticed first."""
    for provider in sorted({name for worker in alive for name in worker.trouble}):
        told = {worker.name: worker.trouble[provider] for worker in alive if provider in worker.trouble}
        first = min(told.values(), key=lambda trouble: trouble.since)
        evidence = {
            "trouble": first.kind,
            "reason": first.reason,
            "since": first.since.isoformat(),
            "workers": sorted(told),
        }
        yield _task(TaskKind.PROVIDER_TROUBLE, provider, evidence, now, provider=provider)


def _unbalanced(found: Sequence[UnbalancedOrder], now: datetime) -> Iterator[NewTask]:
    orders: dict[str, list[UnbalancedOrder]] = {}
    for one in found:
        orders.setdefault(one.order_id, []).append(one)
    for order_id, differences in orders.items():
        told = {one.what: {"ledger_minor": one.ledger_minor, "order_minor": one.order_minor} for one in differences}
        worst = max(differences, key=lambda one: abs(one.ledger_minor - one.order_minor))
        yield task_of_condition(
            f"{TaskKind.LEDGER_UNBALANCED}:{order_id}",
            TaskKind.LEDGER_UNBALANCED,
            {"differs": told},
            now,
            order_id=order_id,
            amount_minor=abs(worst.ledger_minor - worst.order_minor),
            currency=worst.currency,
        )


def _stale(state: OperationsState, expected: Expected, now: datetime) -> Iterator[NewTask]:
    """Usage that was rolled up once, and is not any more: all requests under caps go to review."""
    as_of = state.usage_as_of
    if as_of is not None and not usage_is_fresh(as_of, now, expected.usage_max_age + GRACE):
        yield _task(TaskKind.ROLL_UP_STALE, "", {"as_of": as_of.isoformat()}, now)


def _silent(workers: Sequence[WorkerSeen], now: datetime) -> Iterator[NewTask]:
    for worker in workers:
        if not is_alive(worker):
            evidence = {
                "worker": worker.name,
                "started_at": worker.started_at.isoformat(),
                "seen_at": (now - timedelta(seconds=worker.seen_seconds_ago)).isoformat(timespec="seconds"),
            }
            yield _task(TaskKind.WORKER_SILENT, worker.name, evidence, now)


def _no_worker(state: OperationsState, alive: Sequence[WorkerSeen], now: datetime) -> Iterator[NewTask]:
    """There was a worker, or there is work, and nobody is at it. A fresh installation has neither."""
    rolled_up = state.usage_as_of is not None and usage_is_fresh(state.usage_as_of, now, GRACE)
    waiting = [found.due_since for found in state.refunds if found.due_since is not None]
    lies = bool(waiting) and now - min(waiting) > GRACE
    if not alive and not rolled_up and (state.usage_as_of is not None or lies):
        evidence = {"refunds": sum(found.count for found in state.refunds if found.due_since is not None)}
        yield _task(TaskKind.NO_WORKER, "", evidence, now)


def _overdue_answers(state: OperationsState, now: datetime) -> Iterator[NewTask]:
    """Appeals and arbitrations whose buyers were promised an answer by now."""
    for kind, name, late in (
        (TaskKind.APPEAL_OVERDUE, "appeals", state.overdue_appeals),
        (TaskKind.ARBITRATION_OVERDUE, "arbitrations", state.overdue_arbitrations),
    ):
        if late is not None:
            evidence = {name: late.count, "oldest_answer_by": late.oldest_answer_by.isoformat()}
            yield _task(kind, "", evidence, now)


def _complaints(state: OperationsState, now: datetime) -> Iterator[NewTask]:
    """Complaints of merchants that nobody answered by their deadline."""
    for complaint in state.overdue_complaints:
        evidence = {
            "complaint": str(complaint.complaint_id),
            "shop": complaint.shop_id,
            "answer_by": complaint.answer_by.isoformat(),
        }
        yield _task(TaskKind.COMPLAINT_OVERDUE, str(complaint.complaint_id), evidence, now)


def _canary(found: CanaryTrouble | None, now: datetime) -> Iterator[NewTask]:
    """A canary that a guard ended, or whose share is not raised while a signal stands."""
    if found is None:
        return
    about = {"publication": found.publication, "version": found.version}
    if found.ended_for is not None:
        evidence = {**about, "reason": found.ended_for}
        yield _task(TaskKind.CANARY_ENDED, str(found.publication), evidence, now)
    elif found.signals:
        evidence = {**about, "signals": list(found.signals)}
        yield _task(TaskKind.CANARY_SIGNAL, str(found.publication), evidence, now)


def _unconfirmed(state: OperationsState, now: datetime) -> Iterator[NewTask]:
    """What one person did to narrow payments, and no second person confirmed within a day."""
    for change in state.unconfirmed:
        evidence = {
            "confirmation": str(change.confirmation_id),
            "action": change.action,
            "subject": change.subject,
            "done_by": change.done_by,
            "confirm_by": change.confirm_by.isoformat(),
        }
        yield _task(TaskKind.CHANGE_UNCONFIRMED, str(change.confirmation_id), evidence, now)


def _unread(platforms: Sequence[PlatformSeen], now: datetime) -> Iterator[NewTask]:
    """Commerce platforms that were not read in time: nothing is decided on their orders, so buyers cannot ask."""
    for one in platforms:
        is_first = one.began and one.read_at is None and not one.problem
        if now - one.unread_since > (FIRST_READING if is_first else LATE):
            evidence = {"reason": one.problem, "since": one.unread_since.isoformat(timespec="seconds")}
            yield _task(TaskKind.PLATFORM_UNREAD, one.platform, evidence, now, provider=one.platform)


def _task(
    kind: TaskKind, subject: str, evidence: Mapping[str, object], now: datetime, *, provider: str = ""
) -> NewTask:
    return task_of_condition(f"{kind}:{subject}" if subject else kind.value, kind, evidence, now, provider=provider)
