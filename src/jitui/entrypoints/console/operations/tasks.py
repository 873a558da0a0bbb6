"""The operators' tasks: what a person must look at, what to do about it, and how one is ended with a reason."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import FromPath
from litestar.response import Response, Stream

from jitui.aftersales.model.sorting import Place, SortOrder
from jitui.aftersales.model.task import OperatorTask, TaskFilter, TaskKind, TaskSort, TaskState, place_of_task
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.csv_file import BATCH, CsvRow, csv_file
from jitui.entrypoints.console.page.cursor import begins
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.language import Speech
from jitui.entrypoints.console.page.list_link import list_link
from jitui.entrypoints.console.page.typed import one_line
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.words.tasks import WHAT_TO_DO
from jitui.entrypoints.list_cursor import TASKS
from jitui.identity.access import Permission
from jitui.money import to_decimal_text
from jitui.text import why_no_id

TASKS_PER_PAGE = 25
LONGEST_NOTE = 500
PATH = "/operations/tasks"


def _(message: str) -> str:
    return message


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """The filters of the list; open tasks unless something else is asked for."""

    state: TaskState = TaskState.OPEN
    kind: TaskKind | None = None
    provider: str = ""
    after: str = ""

    def link(self, path: str = PATH, **changed: object) -> str:
        """The link to this list with some filters changed; then it begins with the first page."""
        return list_link(path, self, changed)


TABS = ((_("Open"), TaskQuery()), (_("Ended"), TaskQuery(state=TaskState.RESOLVED)))


@dataclass(frozen=True, slots=True)
class Ending:
    """A task that was to be ended, with the reason that was written, and why it was not."""

    task_id: UUID
    note: str
    problem: str


@get("/tasks", opt=needs(Permission.TASKS_READ))
async def tasks(visit: Visiting, request: ConsoleRequest) -> Page:
    """What a person must look at, newest first."""
    return await _page(visit, read_query(request.query_params))


@get("/tasks.csv", opt=needs(Permission.TASKS_READ))
async def tasks_csv(visit: Visiting, request: ConsoleRequest) -> Stream:
    """The whole filtered list."""
    wanted = _filter(replace(read_query(request.query_params), after=""))
    return csv_file("tasks.csv", _headings(visit.speech), _batches(visit, wanted))


@post("/tasks/{task_id:uuid}/resolve", opt=needs(Permission.TASKS_WRITE), status_code=303)
async def end_task(visit: Visiting, task_id: FromPath[UUID], data: Form) -> Response[str]:
    """End a task with the reason; one that was ended already keeps its first reason, and the page says whose."""
    query = read_query(dict(parse_qsl(urlsplit(data.get("back", "")).query)))
    note = one_line(data.get("note", ""))
    if not 0 < len(note) <= LONGEST_NOTE:
        problem = visit.speech.say(_("Please write what became of it, in up to 500 characters."))
        return await _page(visit, query, ending=Ending(task_id, note, problem), status_code=422)
    by, now = visit.reader.name, visit.service.clock()
    task = await visit.service.tasks.resolve(task_id, note=note, by=by, now=now)
    if task is None:
        raise NotFoundException
    if (task.resolved_by, task.note) != (by, note):
        said = visit.speech.say(_("It was ended already, by %(name)s: %(note)s"))
        problem = said % {"name": task.resolved_by, "note": task.note}
        return await _page(visit, query, ending=Ending(task_id, note, problem), status_code=409)
    return go_to(query.link(after=query.after))


def read_query(params: Mapping[str, str]) -> TaskQuery:
    """The filters in a link; empty fields are not set. Raises ValidationException for an unknown filter."""
    provider = params.get("provider", "").strip()
    if provider and why_no_id(provider) is not None:
        raise ValidationException
    try:
        return TaskQuery(
            state=TaskState(params.get("state") or TaskState.OPEN),
            kind=TaskKind(params["kind"]) if params.get("kind") else None,
            provider=provider,
            after=params.get("after", ""),
        )
    except ValueError as error:
        raise ValidationException from error


def _filter(query: TaskQuery) -> TaskFilter:
    return TaskFilter(query.state, query.provider or None, query.kind, after=begins_tasks(query.after))


def begins_tasks(cursor: str) -> Place | None:
    """Where a page of tasks begins. Raises ValidationException for a damaged link."""
    return begins(TASKS, cursor, TaskSort.OPENED_AT, SortOrder.DESC)


def cursor_after(task: OperatorTask) -> str:
    """The cursor of the page of tasks that begins after this one."""
    return TASKS.after(place_of_task(task, TaskSort.OPENED_AT), TaskSort.OPENED_AT, SortOrder.DESC)


async def _page(visit: Visit, query: TaskQuery, *, ending: Ending | None = None, status_code: int = 200) -> Page:
    service, now = visit.service, visit.service.clock()
    found = await service.tasks.list(replace(_filter(query), limit=TASKS_PER_PAGE + 1))
    shown = found[:TASKS_PER_PAGE]
    state = await service.queries.operations(now)
    last = shown[-1] if shown else None
    return show(
        visit,
        "operations/tasks.html",
        status_code=status_code,
        query=query,
        tabs=TABS,
        tasks=shown,
        next_page=cursor_after(last) if last and len(found) > len(shown) else "",
        open_kinds={kind: count for kind in TaskKind if (count := state.open_tasks.get(kind.value, 0))},
        kinds=tuple(TaskKind),
        states=tuple(TaskState),
        providers=sorted(service.providers),
        what_to_do=WHAT_TO_DO,
        evidence_of=evidence_of,
        may_end=may(visit, Permission.TASKS_WRITE),
        ending=ending,
        is_listed=ending is not None and any(one.task_id == ending.task_id for one in shown),
        now=now,
    )


def evidence_of(task: OperatorTask) -> Sequence[tuple[str, str]]:
    """The evidence, a line for each name; what is nested stays JSON."""
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in sorted(task.evidence.items())
        if value is not None
    ]


async def _batches(visit: Visit, wanted: TaskFilter) -> AsyncIterator[Iterable[CsvRow]]:
    wanted = replace(wanted, limit=BATCH)
    while batch := await visit.service.tasks.list(wanted):
        yield [_csv_row(visit.speech, task) for task in batch]
        wanted = replace(wanted, after=place_of_task(batch[-1], wanted.sort))


def _headings(speech: Speech) -> Sequence[str]:
    names = (
        _("Task"),
        _("Kind"),
        _("State"),
        _("Payment provider"),
        _("Order"),
        _("Amount"),
        _("Currency"),
        _("Opened"),
        _("Ended at"),
        _("Ended by"),
        _("Note"),
    )
    return [speech.say(name) for name in names]


def _csv_row(speech: Speech, task: OperatorTask) -> CsvRow:
    known = task.amount_minor is not None and task.currency is not None
    return (
        str(task.task_id),
        speech.word(task.kind),
        speech.word(task.state),
        task.provider,
        task.order_id or "",
        to_decimal_text(task.amount_minor or 0, task.currency or "") if known else "",
        task.currency or "",
        *(at.astimezone(speech.zone).isoformat() if at else "" for at in (task.opened_at, task.resolved_at)),
        task.resolved_by or "",
        task.note or "",
    )


HANDLERS = (tasks, tasks_csv, end_task)
