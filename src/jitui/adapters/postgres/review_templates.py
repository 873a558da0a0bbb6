"""See `jitui.aftersales.governance.review_templates.ReviewTemplates`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import LiteralString

from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.aftersales.governance.review_templates import MOST_TEMPLATES, ReviewTemplate, too_many_templates
from jitui.aftersales.outcomes import Refusal

_LIST: LiteralString = """
SELECT to_json(t)::text FROM review_template t
WHERE shop_id = %(shop_id)s AND (%(name)s::text IS NULL OR name = %(name)s)
ORDER BY name COLLATE "C"
"""

# Those who add to one shop at once take turns, so that no more than the most are kept.
_LOCK: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended(%(shop_id)s, 7405129))"

_PUT: LiteralString = """
INSERT INTO review_template (shop_id, name, reason_code, reason, updated_at, updated_by)
SELECT %(shop_id)s, %(name)s, %(reason_code)s, %(reason)s, %(updated_at)s, %(updated_by)s
WHERE (SELECT count(*) FROM review_template WHERE shop_id = %(shop_id)s AND name <> %(name)s) < %(most)s
ON CONFLICT (shop_id, name) DO UPDATE
SET reason_code = excluded.reason_code, reason = excluded.reason, updated_at = excluded.updated_at,
    updated_by = excluded.updated_by
"""

_DELETE: LiteralString = "DELETE FROM review_template WHERE shop_id = %(shop_id)s AND name = %(name)s"


class PostgresReviewTemplates:
    """A reference table, by shop."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, shop_id: str) -> Sequence[ReviewTemplate]:
        """All of a shop's, by name."""
        return await read_rows(self._pool, _LIST, {"shop_id": shop_id, "name": None}, ReviewTemplate)

    async def get(self, shop_id: str, name: str) -> ReviewTemplate | None:
        """One template."""
        found = await read_rows(self._pool, _LIST, {"shop_id": shop_id, "name": name}, ReviewTemplate)
        return found[0] if found else None

    async def put(self, template: ReviewTemplate) -> Refusal | None:
        """Counting is a statement of its own after the lock."""
        params = {**asdict(template), "reason_code": template.reason_code.value, "most": MOST_TEMPLATES}
        async with self._pool.connection() as connection:
            await connection.execute(_LOCK, {"shop_id": template.shop_id})
            written = await connection.execute(_PUT, params)
            return None if written.rowcount else too_many_templates()

    async def delete(self, shop_id: str, name: str) -> bool:
        """Whether there was one."""
        async with self._pool.connection() as connection:
            return bool((await connection.execute(_DELETE, {"shop_id": shop_id, "name": name})).rowcount)
