"""The operators' page of reconciliation: what differs from the providers' statements, and what we booked at each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from litestar import get
from litestar.exceptions import ValidationException

from jitui.aftersales.accounting.journal import Days, JournalLine, journal_lines
from jitui.aftersales.ledger import Account
from jitui.aftersales.model.task import NewTask, OperatorTask, TaskFilter, TaskKind, TaskState
from jitui.aftersales.reconciliation.match import DIFFERENCES
from jitui.aftersales.reconciliation.statement import RowKind
from jitui.bootstrap_providers import statement_formats
from jitui.entrypoints.console.operations.tasks import begins_tasks, cursor_after
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.list_link import list_link
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, show
from jitui.entrypoints.console.words.operations import OPERATIONS_WORDS
from jitui.entrypoints.console.words.tasks import WHAT_TO_DO
from jitui.identity.access import Permission

PATH = "/operations/reconciliation"
PER_PAGE = 25
DAYS = 7
MOST_DAYS = 31
KINDS = (*DIFFERENCES.values(), TaskKind.UNREADABLE_ROW, TaskKind.REFUND_NOT_IN_BOOKS)
"""What a statement opens tasks of."""

_CLEARING = Account.PROVIDER_CLEARING.partition(":")[0] + ":"


@dataclass(frozen=True, slots=True)
class DifferenceQuery:
    """One kind of difference, and the days of the books."""

    kind: TaskKind | None = None
    since: date | None = None
    until: date | None = None
    after: str = ""

    def link(self, path: str = PATH, **changed: object) -> str:
        """The link to this page with some filters changed; then it begins with the first page."""
        return list_link(path, self, changed)


@dataclass(frozen=True, slots=True)
class Side:
    """A movement as one side tells it; texts that it does not have are empty."""

    at: datetime
    amount_minor: int
    currency: str
    named: Sequence[str]


@get("/reconciliation", opt=needs(Permission.TASKS_READ))
async def reconciliation(visit: Visiting, request: ConsoleRequest) -> Page:
    """Open differences by kind, both sides beside one another, and each provider's account by days."""
    query, service, now = _read_query(request.query_params), visit.service, visit.service.clock()
    counted = (await service.queries.operations(now)).open_tasks
    counts = {kind: counted.get(kind.value, 0) for kind in KINDS}
    kind = query.kind or next((kind for kind, count in counts.items() if count), KINDS[0])
    wanted = TaskFilter(TaskState.OPEN, None, kind, after=begins_tasks(query.after), limit=PER_PAGE + 1)
    found = await service.tasks.list(wanted)
    last = found[PER_PAGE - 1] if len(found) > PER_PAGE else None
    days, problem = _days(visit, query)
    return show(
        visit,
        "operations/reconciliation.html",
        status_code=422 if problem else 200,
        problem=visit.speech.say(problem) if problem else None,
        query=query,
        counts=counts,
        kind=kind,
        what_to_do=WHAT_TO_DO[kind],
        differences=[(task, side_of(task, "ours"), side_of(task, "theirs")) for task in found[:PER_PAGE]],
        movements=OPERATIONS_WORDS[RowKind],
        next_page=cursor_after(last) if last else "",
        days=days,
        formats=tuple(statement_formats()) if may(visit, Permission.TASKS_WRITE) else (),
        clearing=await _clearing(visit, days) if may(visit, Permission.FINANCE_READ) else None,
        now=now,
    )


def _read_query(params: Mapping[str, str]) -> DifferenceQuery:
    try:
        kind = TaskKind(params["kind"]) if params.get("kind") else None
        if kind is not None and kind not in KINDS:
            raise ValidationException
        return DifferenceQuery(kind, _day(params.get("since")), _day(params.get("until")), params.get("after", ""))
    except ValueError as error:
        raise ValidationException from error


def _day(text: str | None) -> date | None:
    if not text:
        return None
    day = date.fromisoformat(text)
    if not 1970 <= day.year < 9999:
        raise ValueError(text)
    return day


def _(message: str) -> str:
    return message


def _days(visit: Visit, query: DifferenceQuery) -> tuple[Days, str | None]:
    """Those that are asked for; else the last ones, today included. With what is wrong with those asked for, if any."""
    zone = visit.service.settings.time_zone
    last = query.until or max(visit.service.clock().astimezone(zone).date(), query.since or date.min)
    first = query.since or last - timedelta(days=DAYS - 1)
    if first <= last < first + timedelta(days=MOST_DAYS):
        return Days(first, last, zone), None
    usual = replace(query, since=None, until=None)
    wrong = _("The first day is after the last one.") if last < first else _("Please choose at most 31 days.")
    return _days(visit, usual)[0], wrong


async def _clearing(visit: Visit, days: Days) -> Sequence[tuple[str, JournalLine]]:
    async with visit.service.books.journal(days) as reading:
        lines = [line async for line in journal_lines(reading) if line.account.startswith(_CLEARING)]
    return [(line.account.removeprefix(_CLEARING), line) for line in reversed(lines)]


def side_of(task: OperatorTask | NewTask, name: str) -> Side | None:
    """What a difference's evidence has of one side; evidence in another form is shown by the task alone."""
    told = task.evidence.get(name)
    if not isinstance(told, Mapping):
        return None
    try:
        at = datetime.fromisoformat(str(told["at"]))
        amount_minor, currency = int(str(told["amount_minor"])), str(told["currency"])
    except (KeyError, ValueError):
        return None
    payments = told.get("payment_ids") or ()
    named = (
        told.get("reference"),
        told.get("provider_refund_id"),
        told.get("payment_id"),
        *(payments if isinstance(payments, list) else ()),
    )
    return Side(at, amount_minor, currency, list(dict.fromkeys(str(one) for one in named if one)))
