"""Reading lists of tasks, by indexes of the table itself (decision 0047)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import LiteralString

from jitui.adapters.postgres.list_page import (
    STATE_OF_EVERYBODY,
    Column,
    Page,
    Values,
    amount_columns,
    exact_page,
    id_column,
    is_few,
    merged_page,
    set_filters,
    text_column,
    time_column,
    whose,
)
from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.aftersales.model.task import OperatorTask, TaskFilter, TaskKind, TaskSort, TaskState

_TIME = time_column("opened_at")
_ID = id_column("task_id")
_SORTED_BY: Mapping[TaskSort, tuple[Column, ...]] = {
    TaskSort.OPENED_AT: (_TIME, _ID),
    TaskSort.AMOUNT: (
        *amount_columns("coalesce(t.currency, '') COLLATE \"C\"", "coalesce(t.amount_minor, 0)"),
        _ID,
    ),
    TaskSort.STATE: (text_column("state"), _TIME, _ID),
}

_READ: LiteralString = "SELECT to_json(x.row)::text FROM ({page}) x ORDER BY {order}"

_OF_BUYER: LiteralString = """ AND t.order_id IN (
    SELECT o.order_id FROM orders o WHERE o.lane = %(lane)s AND o.buyer_id = %(buyer_id)s)"""
_FILTERS: tuple[tuple[str, LiteralString], ...] = (
    ("shop_id", " AND t.shop_id = %(shop_id)s"),
    ("provider", " AND t.provider = %(provider)s"),
)
_FEW_FILTERS: tuple[tuple[str, LiteralString], ...] = (
    *_FILTERS,
    ("order_id", " AND t.order_id = %(order_id)s"),
    ("buyer_id", _OF_BUYER),
    ("state", " AND t.state = %(state)s"),
    ("kind", " AND t.kind = %(kind)s"),
)


async def read_tasks(pool: Pool, wanted: TaskFilter) -> Sequence[OperatorTask]:
    """A page; those about a buyer's orders, or about one order, are few, and all of them are read."""
    page = _few(wanted) if is_few(wanted) else _listed(wanted)
    params = {**page.params, **whose(wanted), "provider": wanted.provider, "kind": wanted.kind}
    return await read_rows(pool, _READ.format(page=page.relation, order=page.order), params, OperatorTask)


def _listed(wanted: TaskFilter) -> Page:
    states: Sequence[str] = tuple(TaskState) if wanted.state is None else (wanted.state,)
    kinds: Sequence[str] = tuple(TaskKind) if wanted.kind is None else (wanted.kind,)
    return merged_page(
        "task",
        {"state": Values(states, text="" if wanted.shop_id is not None else STATE_OF_EVERYBODY), "kind": Values(kinds)},
        _SORTED_BY[wanted.sort],
        wanted.order,
        wanted.after,
        wanted.limit,
        filters=set_filters(_FILTERS, wanted),
    )


def _few(wanted: TaskFilter) -> Page:
    return exact_page(
        "task t",
        _SORTED_BY[wanted.sort],
        wanted.order,
        wanted.after,
        wanted.limit,
        where=f"true{set_filters(_FEW_FILTERS, wanted)}",
    )
