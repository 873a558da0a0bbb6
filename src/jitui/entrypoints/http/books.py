"""The ledger of an order, and tasks: what differs from the providers' statements or was paid twice."""

from __future__ import annotations

import msgspec

from jitui.aftersales.ledger import FLOWS, balances, cause_of
from jitui.aftersales.task import Task, TaskFilter
from jitui.aftersales.view import Amount
from jitui.aftersales.writes import Post
from jitui.entrypoints.http import answers, bodies
from jitui.entrypoints.http.operation import PLATFORM, Answer, Call, Done, Nothing, Operation
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.reading import TimePlace, read_cursor, read_uuid, write_cursor
from jitui.entrypoints.http.subjects import id_in

_encode = msgspec.json.Encoder().encode


async def get_ledger(call: Call[Nothing, Nothing]) -> Done:
    """An order's story in accounts."""
    order_id = id_in(call, "order_id")
    ref = await call.app.store.find_order(order_id)
    if ref is None:
        return not_found()
    posts = await call.app.shelf.ledger(ref)
    body = answers.LedgerAnswer(
        order_id=order_id,
        postings=tuple(_posting(post) for post in posts),
        balances=tuple(
            answers.BalanceAnswer(account=account, balance_minor=minor, currency=currency)
            for (account, currency), minor in balances(posts).items()
        ),
    )
    return Answer(200, _encode(body))


def _posting(post: Post) -> answers.PostingAnswer:
    cause = cause_of(post)
    return answers.PostingAnswer(
        posted_at=post.posted_at,
        cause=cause,
        meaning=FLOWS[cause].meaning,
        debit=post.debit,
        credit=post.credit,
        amount=Amount(post.amount_minor, post.currency),
        posting=post.posting,
    )


async def list_tasks(call: Call[Nothing, bodies.TaskQuery]) -> Done:
    """What a person must look at."""
    query = call.query
    place = read_cursor(query.cursor, TimePlace)
    after = (place.at, place.id) if place is not None else None
    found = await call.app.tasks.list(TaskFilter(query.state, query.provider, query.kind, after, query.limit + 1))
    rows = tuple(_task(row) for row in found[: query.limit])
    following = write_cursor(rows[-1].opened_at, rows[-1].task_id) if len(found) > query.limit else None
    return Answer(200, _encode(answers.TaskPage(tasks=rows, next=following)))


async def resolve_task(call: Call[bodies.ResolutionSent, Nothing]) -> Done:
    """Say what became of a task."""
    task_id = read_uuid(call.path("task_id"))
    if task_id is None:
        return not_found()
    app = call.app
    task = await app.tasks.resolve(task_id, note=call.body.note, by=call.actor.id, now=app.clock())
    return not_found() if task is None else Answer(200, _encode(_task(task)))


def _task(row: Task) -> answers.TaskAnswer:
    known = row.amount_minor is not None and row.currency is not None
    return answers.TaskAnswer(
        task_id=row.task_id,
        kind=row.kind,
        provider=row.provider,
        state=row.state,
        order_id=row.order_id,
        amount=Amount(row.amount_minor or 0, row.currency or "") if known else None,
        evidence=row.evidence,
        opened_at=row.opened_at,
        resolved_at=row.resolved_at,
        resolved_by=row.resolved_by,
        note=row.note,
    )


_PLATFORM = frozenset({PLATFORM})
_BOOKS = "Books"
OPERATIONS = (
    Operation(
        "GET",
        "/v1/orders/{order_id}/ledger",
        get_ledger,
        "Read an order's ledger",
        _BOOKS,
        {200: answers.LedgerAnswer},
        scopes=_PLATFORM,
        description="Double entry: each posting moves a positive amount from `credit` to `debit`.",
    ),
    Operation(
        "GET",
        "/v1/tasks",
        list_tasks,
        "List tasks",
        _BOOKS,
        {200: answers.TaskPage},
        scopes=_PLATFORM,
        query=bodies.TaskQuery,
        description="Differences from statements and double payments, newest first.",
    ),
    Operation(
        "POST",
        "/v1/tasks/{task_id}/resolve",
        resolve_task,
        "Resolve a task",
        _BOOKS,
        {200: answers.TaskAnswer},
        scopes=_PLATFORM,
        body=bodies.ResolutionSent,
        description="Idempotent by nature: a task that was resolved keeps its first note. No money moves.",
    ),
)
