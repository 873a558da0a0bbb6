"""One line of the log for each task that is opened, whichever way, and one for each that the service closes itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jitui.adapters.postgres import writing
from jitui.adapters.postgres.batch import BatchCall, Row
from jitui.aftersales.changes import Change, CloseTask, OpenTask
from jitui.aftersales.model.task import NewTask, OperatorTask, TaskKind
from jitui.logs import get_logger

log = get_logger("jitui.tasks")


def log_opened(task: NewTask | OperatorTask) -> None:
    """Something that a person must look at has begun; a provider's trouble is told by the worker that has it."""
    if task.kind is TaskKind.PROVIDER_TROUBLE:
        return
    about = {
        "task": str(task.task_id),
        "provider": task.provider or None,
        "order": task.order_id,
        "amount_minor": task.amount_minor,
        "currency": task.currency,
    }
    told = {name: value for name, value in about.items() if value is not None}
    log.warning(task.kind.value, **{**told, **task.evidence})


def log_ended(condition: str, note: str) -> None:
    """What a task was open for has ended; the name of a condition begins with its kind."""
    kind, _, subject = condition.partition(":")
    if kind == TaskKind.PROVIDER_TROUBLE:
        return
    log.info(f"{kind}_ended", **({"of": subject} if subject else {}), note=note)


def log_committed(changes: Iterable[Change], calls: Sequence[BatchCall], answers: Sequence[Sequence[Row]]) -> None:
    """The tasks of a plan that was committed: those that were new, and those that stood open and do no more."""
    made = {statement: rows for (statement, _), rows in zip(calls, answers, strict=False)}
    opened = _first_column(made.get(writing.STATEMENTS[OpenTask], ()))
    closed = _first_column(made.get(writing.STATEMENTS[CloseTask], ()))
    if not opened and not closed:
        return
    for change in changes:
        if isinstance(change, OpenTask) and str(change.task_id) in opened:
            log_opened(change.task)
        elif isinstance(change, CloseTask) and change.condition in closed:
            log_ended(change.condition, change.note)


def _first_column(rows: Sequence[Row]) -> set[str]:
    return {(row[0] or b"").decode() for row in rows}
