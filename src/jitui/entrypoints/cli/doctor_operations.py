"""What `jitui doctor` says of the running service: conditions that a person must look at, each with what mends it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jitui.aftersales.model.task import NewTask
    from jitui.aftersales.operations.conditions import Expected
    from jitui.aftersales.provider import Capabilities
    from jitui.aftersales.queries import OperationsState
    from jitui.settings import Settings


class Level(StrEnum):
    """`missing` is needed and `failed` goes wrong: both fail the command. `absent` is only needed for some things."""

    OK = "ok"
    ABSENT = "absent"
    MISSING = "missing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One line of the report; `mend` says what to do about it."""

    what: str
    level: Level
    found: str
    mend: str = ""


RUN_A_WORKER = "Without a worker nothing is refunded at once and nothing is paid: run `jitui worker`."


def operations(state: OperationsState, standing: Sequence[NewTask], now: datetime) -> Iterator[DoctorFinding]:
    """Refunds, workers, what goes on, and open tasks."""
    yield _failed(state, now)
    yield from _workers(state, standing)
    for task in standing:
        if task.kind != "platform_unread":  # each connected platform has a finding of its own
            yield _of_condition(task, now)
    if not any(task.kind == "ledger_unbalanced" for task in standing):
        found = "balanced in the orders of the last hour"
        yield DoctorFinding("ledger", Level.OK, found, "`jitui ledger --check` looks at all orders.")
    yield _tasks(state.open_tasks)


def _failed(state: OperationsState, now: datetime) -> DoctorFinding:
    failed = [found for found in state.refunds if found.state == "failed"]
    if not failed:
        return DoctorFinding("refunds", Level.OK, "none has failed")
    count = sum(found.count for found in failed)
    providers = ", ".join(sorted({found.provider for found in failed}))
    oldest = age_of(now, min(found.oldest_at for found in failed))
    mend = "`jitui refunds list --state failed` says why; docs/how-to/mend-failed-refunds.md."
    return DoctorFinding("refunds", Level.FAILED, f"{count} failed ({providers}), the oldest for {oldest}", mend)


def _workers(state: OperationsState, standing: Sequence[NewTask]) -> Iterator[DoctorFinding]:
    from jitui.aftersales.operations.conditions import is_alive

    alive = [worker.name for worker in state.workers if is_alive(worker)]
    if alive:
        yield DoctorFinding("workers", Level.OK, f"{len(alive)} at work: {', '.join(alive)}")
    elif not any(task.kind == "no_worker" for task in standing):
        yield DoctorFinding("workers", Level.ABSENT, "none at work", RUN_A_WORKER)


def _of_condition(task: NewTask, now: datetime) -> DoctorFinding:
    from jitui.aftersales.model.task import TaskKind

    told, name = task.evidence, task.provider
    match task.kind:
        case TaskKind.OUTCOME_OVERDUE:
            states = " or ".join(map(str, _list(told["states"])))
            found = (
                f"{told['refunds']} {states} for longer than is usual, the oldest for {_lasts(told, 'oldest_at', now)}"
            )
            mend = (
                f"`jitui refunds list --provider {name}`, then `jitui refunds show REFUND`: it says whom to ask. "
                "The provider's next statement ends it too."
            )
            return DoctorFinding(f"outcomes at {name}", Level.FAILED, found, mend)
        case TaskKind.PROVIDER_NOT_CONFIGURED:
            waits = f"{told['refunds']}, the oldest for {_lasts(told, 'due_since', now)}"
            found = f"not configured; refunds that wait for it: {waits}"
            mend = "Set its settings and start the workers anew, or settle them by hand."
            return DoctorFinding(f"provider {name}", Level.FAILED, found, mend)
        case TaskKind.PROVIDER_TROUBLE:
            found = f"{told['trouble']} for {_lasts(told, 'since', now)}: {told['reason']}"
            return DoctorFinding(f"provider {name}", Level.FAILED, found, MEND_TROUBLE.get(str(told["trouble"]), ""))
        case TaskKind.LEDGER_UNBALANCED:
            found = f"order {task.order_id} differs: {_differences(told)}"
            mend = f"`jitui ledger {task.order_id}`. Something else than Jitui has written to the database."
            return DoctorFinding("ledger", Level.FAILED, found, mend)
        case TaskKind.ROLL_UP_STALE:
            return DoctorFinding(
                "roll-up", Level.FAILED, f"cap usage is {_lasts(told, 'as_of', now)} old, hence unknown", RUN_A_WORKER
            )
        case TaskKind.WORKER_SILENT:
            found = f"silent for {_lasts(told, 'seen_at', now)}"
            return DoctorFinding(f"worker {told['worker']}", Level.FAILED, found, "Start it anew, and read its log.")
        case TaskKind.NO_WORKER:
            return DoctorFinding(
                "workers", Level.FAILED, f"none at work; refunds that wait: {told['refunds']}", RUN_A_WORKER
            )
    return _waits_for_people(task, now)


def _waits_for_people(task: NewTask, now: datetime) -> DoctorFinding:
    """What somebody should have answered, confirmed or looked at."""
    from jitui.aftersales.model.task import TaskKind

    told = task.evidence
    match task.kind:
        case TaskKind.APPEAL_OVERDUE:
            found = f"{told['appeals']} not answered, the oldest overdue for {_lasts(told, 'oldest_answer_by', now)}"
            return DoctorFinding("appeals", Level.FAILED, found, "`jitui appeals list` shows them.")
        case TaskKind.ARBITRATION_OVERDUE:
            late = _lasts(told, "oldest_answer_by", now)
            found = f"{told['arbitrations']} not decided, the oldest overdue for {late}"
            return DoctorFinding("arbitrations", Level.FAILED, found, "`jitui tickets arbitrations` shows them.")
        case TaskKind.COMPLAINT_OVERDUE:
            found = f"of {told['shop']} not answered, overdue for {_lasts(told, 'answer_by', now)}"
            return DoctorFinding("complaint", Level.FAILED, found, "`jitui complaints list` shows it.")
        case TaskKind.CANARY_ENDED:
            found = f"version {told['version']} was ended by its guard: {told['reason']}"
            return DoctorFinding("canary", Level.FAILED, found, "Retire the text, or publish another one.")
        case TaskKind.CANARY_SIGNAL:
            signals = " and ".join(map(str, _list(told["signals"])))
            found = f"the share of version {told['version']} is not raised: {signals} above its bound"
            return DoctorFinding("canary", Level.FAILED, found, "Look at its requests; end it, or wait.")
        case TaskKind.CHANGE_UNCONFIRMED:
            found = (
                f"{told['action']} by {told['done_by']} not confirmed, overdue for {_lasts(told, 'confirm_by', now)}"
            )
            return DoctorFinding("approvals", Level.FAILED, found, "`jitui policy confirm` lists and confirms it.")
        case _:
            return DoctorFinding(task.kind.value, Level.FAILED, "stands", "`jitui tasks` shows it.")


MEND_TROUBLE = {
    "unauthorised": "It does not take our key: mend the settings, and start the workers anew.",
    "timed_out": "It answers too late: look at its status page and at the network.",
    "unreachable": "There is no connection: look at the network, a proxy, the address in the settings.",
    "failing": "It says itself that it cannot answer: look at its status page.",
}


def _tasks(open_tasks: Mapping[str, int]) -> DoctorFinding:
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(open_tasks.items()))
    if not told:
        return DoctorFinding("tasks", Level.OK, "none is open")
    return DoctorFinding("tasks", Level.ABSENT, f"open are {told}", "`jitui tasks` lists them.")


def _differences(evidence: Mapping[str, object]) -> str:
    differs = evidence["differs"]
    assert isinstance(differs, Mapping)
    return ", ".join(
        f"{what} is {one['ledger_minor']} by the ledger and {one['order_minor']} by the order"
        for what, one in sorted(differs.items())
    )


def _list(value: object) -> Sequence[object]:
    assert isinstance(value, list)
    return value


def _lasts(evidence: Mapping[str, object], name: str, now: datetime) -> str:
    return age_of(now, datetime.fromisoformat(str(evidence[name])))


def age_of(now: datetime, since: datetime) -> str:
    """How long that is, in the largest unit of which there are two."""
    seconds = max(0, int((now - since).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


async def expected_of(settings: Settings, platforms: Iterable[str]) -> Expected:
    """What is usual here, by the settings and the connected platforms; who cannot be used is left out."""
    from contextlib import AsyncExitStack, suppress

    from jitui.aftersales.operations.conditions import Expected
    from jitui.aftersales.operations.platform_calls import CAPABILITIES
    from jitui.bootstrap_providers import alipay, simulator, stripe, wechat_pay
    from jitui.errors import NotConfigured

    async with AsyncExitStack() as stack:
        found: dict[str, Capabilities] = dict.fromkeys(platforms, CAPABILITIES)
        for make in (alipay, simulator, stripe, wechat_pay):
            with suppress(NotConfigured):
                provider = make(settings)
                if provider is not None:
                    await stack.enter_async_context(provider)
                    found[provider.name] = provider.capabilities
        return Expected(found, settings.usage_max_age)
