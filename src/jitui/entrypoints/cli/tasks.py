"""`jitui tasks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.completing import words_of
from jitui.entrypoints.cli.list_options import Ascending, Buyer, Limit, Order, Provider, Shop, direction
from jitui.entrypoints.cli.output import Json, echo, print_json
from jitui.text import visible

if TYPE_CHECKING:
    from uuid import UUID

    from jitui.aftersales.model.task import OperatorTask, TaskFilter
    from jitui.bootstrap import Service
    from jitui.client import Client
    from jitui.client.api import TaskAnswer


Kind = Annotated[
    str | None,
    typer.Option(
        help="About one thing, such as refund_failed.",
        show_default=False,
        autocompletion=words_of("jitui.aftersales.model.task:TaskKind"),
    ),
]
Sort = Annotated[
    str,
    typer.Option(help="opened_at, amount or state.", autocompletion=words_of("jitui.aftersales.model.task:TaskSort")),
]


def tasks(
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    provider: Provider = None,
    kind: Kind = None,
    order: Order = None,
    shop: Shop = None,
    buyer: Buyer = None,
    sort: Sort = "opened_at",
    ascending: Ascending = False,
    limit: Limit = 50,
    resolve: Annotated[str | None, typer.Option(metavar="TASK", help="Close a task.", show_default=False)] = None,
    note: Annotated[str, typer.Option(help="How it was resolved; needed to close a task.")] = "",
    by: Annotated[str, typer.Option(help="Who does this, for the record.")] = "command line",
    as_json: Json = False,
) -> None:
    """List differences from statements and double payments for people to look at; no money moves.

    A task that was resolved keeps its first note.
    """
    from jitui.aftersales.model.task import TaskFilter, TaskKind, TaskSort, TaskState
    from jitui.entrypoints.cli.remote import only_by_key
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.words import word_of

    chosen = _chosen(resolve, note)
    wanted = TaskFilter(
        state=None if everything else TaskState.OPEN,
        provider=provider,
        kind=None if kind is None else word_of(kind, tuple(TaskKind), "--kind"),
        order_id=order,
        shop_id=shop,
        buyer_id=buyer,
        sort=word_of(sort, tuple(TaskSort), "--sort"),
        order=direction(ascending),
        limit=limit,
    )

    async def work(service: Service) -> Sequence[OperatorTask]:
        if chosen is not None:
            return [await _resolve(service, chosen, note, by)]
        return await service.tasks.list(wanted)

    def remote(client: Client) -> Sequence[OperatorTask]:
        only_by_key(by)
        if chosen is not None:
            return [_resolve_remotely(client, chosen, note)]
        return _tasks(client, wanted)

    _print_list(on_service(work, remote), as_json, open_ones=not everything)


def _print_list(found: Sequence[OperatorTask], as_json: bool, *, open_ones: bool) -> None:
    if as_json:
        print_json({"tasks": found})
        return
    for task in found:
        _show(task)
    if not found:
        echo("There are no open tasks." if open_ones else "There are no tasks.")


def _chosen(resolve: str | None, note: str) -> UUID | None:
    from uuid import UUID

    from jitui.errors import BadInput

    if resolve is None:
        return None
    if not note.strip():
        raise BadInput("Closing a task needs a --note: how it was resolved.", path="--note")
    try:
        return UUID(resolve)
    except ValueError:
        raise BadInput(f"{resolve!r} is not a task's id (a UUID).", path="--resolve") from None


async def _resolve(service: Service, task_id: UUID, note: str, by: str) -> OperatorTask:
    from jitui.errors import BadInput

    task = await service.tasks.resolve(task_id, note=note, by=by, now=service.clock())
    if task is None:
        raise BadInput(f"There is no task {task_id} in this database.", path="--resolve")
    return task


def _tasks(client: Client, wanted: TaskFilter) -> list[OperatorTask]:
    from jitui.client import api
    from jitui.entrypoints.cli.remote import LARGEST_PAGE, up_to

    call = api.list_tasks(
        state=None if wanted.state is None else api.TaskState(wanted.state),
        provider=wanted.provider,
        kind=None if wanted.kind is None else api.TaskKind(wanted.kind),
        order_id=wanted.order_id,
        shop_id=wanted.shop_id,
        buyer_id=wanted.buyer_id,
        sort=wanted.sort.value,
        order=wanted.order.value,
        limit=min(wanted.limit, LARGEST_PAGE),
    )
    return [_task(row) for row in up_to(client, call, wanted.limit)]


def _resolve_remotely(client: Client, task_id: UUID, note: str) -> OperatorTask:
    from jitui.client import api
    from jitui.entrypoints.cli.remote import found_or_none
    from jitui.errors import BadInput

    row = found_or_none(client, api.resolve_task(task_id, api.ResolutionSent(note=note)))
    if row is None:
        raise BadInput(f"There is no task {task_id} at this service.", path="--resolve")
    return _task(row)


def _task(row: TaskAnswer) -> OperatorTask:
    from jitui.aftersales.model.task import OperatorTask, TaskKind, TaskState
    from jitui.entrypoints.cli.remote import our_code

    return OperatorTask(
        row.task_id,
        our_code(TaskKind, row.kind),
        row.provider,
        our_code(TaskState, row.state),
        row.evidence,
        row.opened_at,
        row.order_id,
        None if row.amount is None else row.amount.amount_minor,
        None if row.amount is None else row.amount.currency,
        row.resolved_at,
        row.resolved_by,
        row.note,
        row.condition,
        row.shop_id,
    )


def _show(task: OperatorTask) -> None:
    from jitui.entrypoints.cli.speaking import amount, moment, told, word

    known = task.amount_minor is not None and task.currency is not None
    paid = amount(task.amount_minor or 0, task.currency or "") if known else ""
    order = f"{told('order', '订单')} {task.order_id}" if task.order_id else ""
    echo(f"{task.task_id}  {task.kind}  {word(task.state)}")
    parts = ", ".join(part for part in (task.provider, order, paid) if part)
    echo(f"  {parts}; {told('since', '开始于')} {moment(task.opened_at)}")
    if task.evidence.get("reason"):
        echo(f"  {visible(str(task.evidence['reason']))}")
    if task.note is not None:
        echo(f"  {task.resolved_by}: {task.note}")
