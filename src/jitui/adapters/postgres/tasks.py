"""See `jitui.aftersales.model.task.Tasks`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.adapters.postgres.task_list import read_tasks
from jitui.adapters.postgres.task_log import log_ended, log_opened
from jitui.aftersales.model.task import (
    BY_THE_SERVICE,
    NewTask,
    OperatorTask,
    TaskFilter,
    TaskKind,
    TasksObserved,
    TaskState,
)

_SHOP: LiteralString = """(SELECT o.shop_id FROM order_directory d
        JOIN orders o ON o.lane = d.lane AND o.order_id = d.order_id WHERE d.order_id = s.order_id)"""

_OPEN: LiteralString = f"""
WITH sent AS (
    SELECT r.place, t.* FROM jsonb_array_elements(%(rows)s::jsonb) WITH ORDINALITY AS r (task, place),
        jsonb_populate_record(NULL::task, r.task) t),
opened AS (
    INSERT INTO task (task_id, kind, provider, order_id, amount_minor, currency, evidence, opened_at, condition,
        shop_id)
    SELECT task_id, kind, provider, order_id, amount_minor, currency, evidence, opened_at, condition, {_SHOP}
    FROM sent s
    ON CONFLICT DO NOTHING)
SELECT coalesce(k.state, 'open') FROM sent s LEFT JOIN task k ON k.task_id = s.task_id ORDER BY s.place
"""

# Of several who look at the same moment one opens a condition's task and one closes it: only they are told. Conditions
# are opened in one order, so that two lookers never wait for one another.
_OBSERVE: LiteralString = f"""
WITH standing AS MATERIALIZED (
    SELECT t.* FROM jsonb_array_elements(%(rows)s::jsonb) AS r (task), jsonb_populate_record(NULL::task, r.task) t),
opened AS (
    INSERT INTO task (task_id, kind, provider, order_id, amount_minor, currency, evidence, opened_at, condition,
        shop_id)
    SELECT task_id, kind, provider, order_id, amount_minor, currency, evidence, opened_at, condition, {_SHOP}
    FROM standing s
    ORDER BY condition
    ON CONFLICT DO NOTHING
    RETURNING *),
ended AS (
    UPDATE task SET state = 'resolved', resolved_at = %(now)s, resolved_by = '{BY_THE_SERVICE}',
        note = 'It has ended by itself.'
    WHERE state = 'open' AND condition IS NOT NULL AND kind = ANY (%(kinds)s)
      AND condition NOT IN (SELECT condition FROM standing)
    RETURNING *)
SELECT 'opened', to_json(o)::text FROM opened o
UNION ALL SELECT 'ended', to_json(e)::text FROM ended e
"""

_ONE: LiteralString = "SELECT to_json(t)::text FROM task t WHERE task_id = %(task_id)s"

_RESOLVE: LiteralString = """
WITH resolved AS (
    UPDATE task SET state = 'resolved', resolved_at = %(now)s, resolved_by = %(by)s, note = %(note)s
    WHERE task_id = %(task_id)s AND state = 'open' RETURNING *)
SELECT to_json(r)::text FROM resolved r
UNION ALL
SELECT to_json(t)::text FROM task t WHERE task_id = %(task_id)s AND NOT EXISTS (SELECT 1 FROM resolved)
"""


class PostgresTasks:
    """Rows for people."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, tasks: Sequence[NewTask]) -> Sequence[TaskState]:
        """Open what is new; the state in which each task stands."""
        rows = [{**msgspec.to_builtins(task), "task_id": task.task_id} for task in tasks]
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_OPEN, {"rows": msgspec.json.encode(rows).decode()})
            return [TaskState(str(state)) for (state,) in await cursor.fetchall()]

    async def observe(self, standing: Sequence[NewTask], kinds: Collection[TaskKind], now: datetime) -> TasksObserved:
        """Open a task for each condition that stands and has none, and close those whose condition ended."""
        rows = [{**msgspec.to_builtins(task), "task_id": task.task_id} for task in standing]
        params = {"rows": msgspec.json.encode(rows).decode(), "kinds": [str(kind) for kind in kinds], "now": now}
        async with self._pool.connection() as connection:
            found = await (await connection.execute(_OBSERVE, params)).fetchall()
        tasks = [(what, msgspec.json.decode(str(row), type=OperatorTask)) for what, row in found]
        opened, ended = (tuple(task for was, task in tasks if was == what) for what in ("opened", "ended"))
        for task in opened:
            log_opened(task)
        for task in ended:
            log_ended(task.condition or "", task.note or "")
        return TasksObserved(opened, ended)

    async def list(self, wanted: TaskFilter) -> Sequence[OperatorTask]:
        """A page of tasks."""
        return await read_tasks(self._pool, wanted)

    async def get(self, task_id: UUID) -> OperatorTask | None:
        """One task."""
        found = await read_rows(self._pool, _ONE, {"task_id": task_id}, OperatorTask)
        return found[0] if found else None

    async def resolve(self, task_id: UUID, *, note: str, by: str, now: datetime) -> OperatorTask | None:
        """Close an open task; one that is closed keeps its first note."""
        params = {"task_id": task_id, "note": note, "by": by, "now": now}
        found = await read_rows(self._pool, _RESOLVE, params, OperatorTask)
        return found[0] if found else None
