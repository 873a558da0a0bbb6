"""See `jitui.aftersales.model.task.Tasks`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.aftersales.model.task import NewTask, OperatorTask, TaskFilter, TaskState

_OPEN: LiteralString = """
WITH sent AS (
    SELECT r.place, t.* FROM jsonb_array_elements(%(rows)s::jsonb) WITH ORDINALITY AS r (task, place),
        jsonb_populate_record(NULL::task, r.task) t),
opened AS (
    INSERT INTO task (task_id, kind, provider, order_id, amount_minor, currency, evidence, opened_at)
    SELECT task_id, kind, provider, order_id, amount_minor, currency, evidence, opened_at FROM sent
    ON CONFLICT (task_id) DO NOTHING)
SELECT coalesce(k.state, 'open') FROM sent s LEFT JOIN task k ON k.task_id = s.task_id ORDER BY s.place
"""

_LIST: LiteralString = """
SELECT to_json(t)::text FROM task t
WHERE (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(provider)s::text IS NULL OR provider = %(provider)s)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
  AND (%(after_at)s::timestamptz IS NULL OR (opened_at, task_id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY opened_at DESC, task_id DESC LIMIT %(limit)s
"""

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

    async def list(self, wanted: TaskFilter) -> Sequence[OperatorTask]:
        """A page, newest first."""
        at, task_id = wanted.after or (None, None)
        params = {
            "state": wanted.state,
            "provider": wanted.provider,
            "kind": wanted.kind,
            "after_at": at,
            "after_id": task_id,
            "limit": wanted.limit,
        }
        return await read_rows(self._pool, _LIST, params, OperatorTask)

    async def resolve(self, task_id: UUID, *, note: str, by: str, now: datetime) -> OperatorTask | None:
        """Close an open task; one that is closed keeps its first note."""
        params = {"task_id": task_id, "note": note, "by": by, "now": now}
        found = await read_rows(self._pool, _RESOLVE, params, OperatorTask)
        return found[0] if found else None
