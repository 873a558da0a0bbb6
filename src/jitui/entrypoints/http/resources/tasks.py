"""Tasks: what differs, what was paid twice, what failed and what goes on, for a person to look at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.model.task import OperatorTask, TaskFilter, TaskKind, TaskSort, TaskState, place_of_task
from jitui.aftersales.model.view import Amount
from jitui.entrypoints.http.cursors import place_in, sorted_page
from jitui.entrypoints.http.fields import Cursor, Id, Kind, PageLimit, Why, read_uuid
from jitui.entrypoints.http.mapping import shown, taken
from jitui.entrypoints.http.operation import get, operation, post
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.entrypoints.list_cursor import TASKS
from jitui.identity.access import Permission


class TaskQuery(Sent, frozen=True, kw_only=True):
    """Filters of the list of tasks."""

    state: TaskState | None = None
    provider: Kind | None = None
    kind: TaskKind | None = None
    order_id: Id | None = None
    shop_id: Annotated[Id | None, Meta(description="Of the order that the task is about.")] = None
    buyer_id: Annotated[Id | None, Meta(description="Of the order that the task is about.")] = None
    sort: Annotated[
        TaskSort,
        Meta(
            description="In one state by time. Amounts are sorted by currency first; a task without an amount counts "
            "as one of 0."
        ),
    ] = TaskSort.OPENED_AT
    order: SortOrder = SortOrder.DESC
    cursor: Cursor | None = None
    limit: PageLimit = 50


class ResolutionSent(Sent, frozen=True, kw_only=True):
    """How a person resolved a task."""

    note: Why


class TaskAnswer(Shown, frozen=True, kw_only=True):
    """Something that a person must look at, with its evidence."""

    task_id: UUID
    kind: TaskKind
    provider: str
    state: TaskState
    order_id: str | None
    shop_id: str | None
    amount: Amount | None
    evidence: Mapping[str, object]
    condition: str | None
    opened_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    note: str | None


class TaskPage(Shown, frozen=True, kw_only=True):
    """A page of tasks; `next` is null on the last one."""

    tasks: tuple[TaskAnswer, ...]
    next: str | None


@get(
    "/v1/tasks",
    tags=["Books"],
    summary="List tasks",
    description="Differences from statements, double payments, refunds that failed, and what goes wrong in the "
    "service. Newest first, unless `sort` and `order` say otherwise. A task with a `condition` closes itself when that "
    "has ended.",
    opt=operation({200: TaskPage}, Permission.TASKS_READ, query=TaskQuery),
)
async def list_tasks(request: RequestContext) -> Reply:
    """Return the tasks."""
    query = read_query(request, TaskQuery)
    after = place_in(TASKS, query.cursor, query.sort, query.order)
    wanted = taken(TaskFilter, query, after=after, limit=query.limit + 1)
    found = await request.service.tasks.list(wanted)
    rows, following = sorted_page(TASKS, found, query.limit, query.sort, query.order, place_of_task)
    return answer(TaskPage(tasks=tuple(map(_task, rows)), next=following))


@post(
    "/v1/tasks/{task_id:str}/resolve",
    tags=["Books"],
    summary="Resolve a task",
    description="Idempotent by nature: a task that was resolved keeps its first note. No money moves.",
    opt=operation({200: TaskAnswer}, Permission.TASKS_WRITE, body=ResolutionSent),
)
async def resolve_task(request: RequestContext, task_id: FromPath[str]) -> Reply:
    """Resolve a task with a note."""
    sent = await read_body(request, ResolutionSent)
    known_id = read_uuid(task_id)
    if known_id is None:
        return not_found()
    service = request.service
    task = await service.tasks.resolve(known_id, note=sent.note, by=request.actor.id, now=service.clock())
    return not_found() if task is None else answer(_task(task))


def _task(task: OperatorTask) -> TaskAnswer:
    known = task.amount_minor is not None and task.currency is not None
    return shown(TaskAnswer, task, amount=Amount(task.amount_minor or 0, task.currency or "") if known else None)


HANDLERS = (list_tasks, resolve_task)

_TASK = TaskAnswer(
    task_id=sample.TASK_ID,
    kind=TaskKind.PAID_TWICE,
    provider="simulator",
    state=TaskState.OPEN,
    order_id="o-1001",
    shop_id="s-1",
    amount=sample.FULL,
    evidence={
        "refund_id": str(sample.REFUND_ID),
        "attempt_id": str(sample.ATTEMPT_ID),
        "settled_by_hand": True,
        "looked_up": True,
    },
    condition=None,
    opened_at=sample.REFUNDED_AT,
    resolved_at=None,
    resolved_by=None,
    note=None,
)
EXAMPLES = (
    ResolutionSent(note="The provider booked it a day later; checked with its support."),
    _TASK,
    TaskPage(tasks=(_TASK,), next=None),
)
