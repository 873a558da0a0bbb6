"""See `jitui.aftersales.governance.appeals.Appeals`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

import msgspec

from jitui.adapters.postgres.audit import AuditEntry, pseudonym_of, write_audit
from jitui.adapters.postgres.pool import Connection, Pool, read_rows
from jitui.adapters.postgres.restrictions import lift
from jitui.aftersales.commands.execute import not_found
from jitui.aftersales.governance.appeals import (
    BY_BUYER,
    Appeal,
    AppealDecision,
    AppealFilter,
    another_person_decides,
    appeal_decided,
    appeal_open,
    restriction_over,
)
from jitui.aftersales.model.refund import same_person
from jitui.aftersales.outcomes import Refusal
from jitui.identity.audit import AuditAction
from jitui.ids import lane_of, lane_of_id

# Every path locks the restriction before it writes an appeal: an appeal, its decision and an erasure take turns.
_LOCK_RESTRICTION: LiteralString = """
SELECT lifted_at IS NOT NULL OR ends_at <= %(opened_at)s, CASE WHEN rule_id IS NULL THEN set_by END
FROM restriction
WHERE lane = %(lane)s AND restriction_id = %(restriction_id)s AND buyer_id = %(buyer_id)s FOR UPDATE
"""

_OPEN: LiteralString = """
INSERT INTO appeal (lane, appeal_id, restriction_id, buyer_id, text, opened_at, opened_by, answer_by, restricted_by)
VALUES (%(lane)s, %(appeal_id)s, %(restriction_id)s, %(buyer_id)s, %(text)s, %(opened_at)s, %(opened_by)s,
        %(answer_by)s, %(restricted_by)s)
ON CONFLICT (lane, restriction_id) WHERE state = 'open' DO NOTHING
"""

_OPEN_ONE: LiteralString = """
SELECT to_json(a)::text FROM appeal a
WHERE lane = %(lane)s AND restriction_id = %(restriction_id)s AND state = 'open'
"""

_ONE: LiteralString = "SELECT to_json(a)::text FROM appeal a WHERE lane = %(lane)s AND appeal_id = %(id)s"

_LIST: LiteralString = """
SELECT to_json(a)::text FROM appeal a
WHERE (%(lane)s::smallint IS NULL OR lane = %(lane)s)
  AND (%(buyer_id)s::text IS NULL OR buyer_id = %(buyer_id)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(after_at)s::timestamptz IS NULL OR (answer_by, appeal_id) > (%(after_at)s, %(after_id)s::uuid))
ORDER BY answer_by, appeal_id LIMIT %(limit)s
"""

_LOCK_FOR_DECISION: LiteralString = """
SELECT 1 FROM restriction r
WHERE r.lane = %(lane)s AND r.restriction_id = (
    SELECT restriction_id FROM appeal WHERE lane = %(lane)s AND appeal_id = %(id)s) FOR UPDATE
"""

_RESTRICTED_BY: LiteralString = """
SELECT state = 'open', restricted_by FROM appeal WHERE lane = %(lane)s AND appeal_id = %(id)s
"""

_DECIDE: LiteralString = """
UPDATE appeal a SET state = %(state)s, answer = %(answer)s, decided_at = %(at)s, decided_by = %(by)s
WHERE lane = %(lane)s AND appeal_id = %(id)s AND state = 'open'
RETURNING to_json(a)::text
"""


class PostgresAppeals:
    """An appeal lies in the lane of its restriction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, appeal: Appeal) -> Appeal | Refusal:
        """Under the lock of the restriction."""
        async with self._pool.connection() as connection:
            return await _open(connection, appeal)

    async def get(self, appeal_id: UUID) -> Appeal | None:
        """One appeal; its id contains the lane."""
        found = await read_rows(self._pool, _ONE, {"lane": lane_of_id(appeal_id), "id": appeal_id}, Appeal)
        return found[0] if found else None

    async def list(self, wanted: AppealFilter) -> Sequence[Appeal]:
        """A page, by deadline."""
        at, appeal_id = wanted.after or (None, None)
        params = {
            "lane": lane_of(wanted.buyer_id) if wanted.buyer_id is not None else None,
            "buyer_id": wanted.buyer_id,
            "state": wanted.state,
            "after_at": at,
            "after_id": appeal_id,
            "limit": wanted.limit,
        }
        return await read_rows(self._pool, _LIST, params, Appeal)

    async def decide(self, appeal_id: UUID, decision: AppealDecision) -> Appeal | Refusal:
        """The decision, the lifting of the restriction and their rows in the audit log are one transaction."""
        async with self._pool.connection() as connection:
            return await _decide(connection, appeal_id, decision)


async def _open(connection: Connection, appeal: Appeal) -> Appeal | Refusal:
    params: dict[str, object] = {
        "lane": lane_of_id(appeal.restriction_id),
        "appeal_id": appeal.appeal_id,
        "restriction_id": appeal.restriction_id,
        "buyer_id": appeal.buyer_id,
        "text": appeal.text,
        "opened_at": appeal.opened_at,
        "opened_by": appeal.opened_by,
        "answer_by": appeal.answer_by,
    }
    found = await (await connection.execute(_LOCK_RESTRICTION, params)).fetchall()
    if not found:
        return not_found()
    over, params["restricted_by"] = found[0]
    if over:
        return restriction_over()
    if not (await connection.execute(_OPEN, params)).rowcount:
        rows = await (await connection.execute(_OPEN_ONE, params)).fetchall()
        known = msgspec.json.decode(str(rows[0][0]), type=Appeal)
        return known if known.text == appeal.text else appeal_open()
    pseudonym = await pseudonym_of(connection, appeal.buyer_id)
    by = pseudonym if appeal.opened_by == BY_BUYER else appeal.opened_by
    told = {"buyer": pseudonym, "restriction": str(appeal.restriction_id), "answer_by": appeal.answer_by}
    await write_audit(
        connection, AuditEntry(AuditAction.APPEAL_OPENED, str(appeal.appeal_id), by, appeal.opened_at, told)
    )
    return appeal


async def _decide(connection: Connection, appeal_id: UUID, decision: AppealDecision) -> Appeal | Refusal:
    params: dict[str, object] = {
        "lane": lane_of_id(appeal_id),
        "id": appeal_id,
        "state": decision.state.value,
        "answer": decision.answer,
        "at": decision.at,
        "by": decision.by,
    }
    # Reading is a statement of its own after the lock.
    await connection.execute(_LOCK_FOR_DECISION, params)
    found = await (await connection.execute(_RESTRICTED_BY, params)).fetchall()
    if not found:
        return not_found()
    is_open, restricted_by = found[0]
    if not is_open:
        return appeal_decided()
    if restricted_by is not None and same_person(str(restricted_by), decision.by):
        return another_person_decides()
    rows = await (await connection.execute(_DECIDE, params)).fetchall()
    decided = msgspec.json.decode(str(rows[0][0]), type=Appeal)
    told = {"state": decision.state.value, "restriction": str(decided.restriction_id)}
    await write_audit(
        connection, AuditEntry(AuditAction.APPEAL_DECIDED, str(appeal_id), decision.by, decision.at, told)
    )
    if decision.upheld:
        lifted_for = {"appeal": str(appeal_id)}
        await lift(
            connection,
            decided.restriction_id,
            decision.at,
            by=decision.by,
            reason=decision.answer,
            told=lifted_for,
        )
    return decided
