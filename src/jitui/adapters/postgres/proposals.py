"""See `jitui.aftersales.governance.proposals.Proposals`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec
from psycopg import errors

from jitui.adapters.postgres import restrictions
from jitui.adapters.postgres.audit import RECENT_MAKERS, AuditEntry, write_audit
from jitui.adapters.postgres.coverage import cover_as_approved, unset_coverage
from jitui.adapters.postgres.policies import append_publication
from jitui.adapters.postgres.pool import Connection, Pool, read_rows
from jitui.adapters.postgres.registry import lift_pause
from jitui.adapters.postgres.selections import allow_as_approved
from jitui.aftersales.governance.gates import Place
from jitui.aftersales.governance.policies import NewPublication
from jitui.aftersales.governance.proposals import (
    ACCOUNT_OLD_ENOUGH,
    Proposal,
    ProposalKind,
    ProposalRefusal,
    ProposalState,
)
from jitui.aftersales.governance.publication import LogEntry
from jitui.aftersales.governance.registry import Coverage, Scope
from jitui.identity.audit import AuditAction

_ADD: LiteralString = """
INSERT INTO proposal (proposal_id, kind, subject, content, content_hash, reason, evidence, proposed_by, proposed_at,
                      state)
VALUES (%(proposal_id)s, %(kind)s, %(subject)s, %(content)s, %(content_hash)s, %(reason)s, %(evidence)s::jsonb,
        %(proposed_by)s, %(proposed_at)s, 'open')
"""

_READ: LiteralString = """
SELECT (to_jsonb(p) || jsonb_build_object(
    'content_hash', encode(p.content_hash, 'base64'),
    'approval', CASE WHEN a.proposal_id IS NOT NULL THEN to_jsonb(a) END))::text
FROM proposal p LEFT JOIN approval a USING (proposal_id)
"""

_FIND: LiteralString = _READ + " WHERE p.proposal_id = %(proposal_id)s"

_LIST: LiteralString = (
    _READ
    + """
WHERE p.state = ANY (%(states)s)
  AND (%(at)s::timestamptz IS NULL OR (p.proposed_at, p.proposal_id) < (%(at)s, %(id)s::uuid))
ORDER BY p.proposed_at DESC, p.proposal_id DESC LIMIT %(limit)s
"""
)

# Whoever decides on a proposal takes turns with whoever changes it.
_LOCK: LiteralString = "SELECT 1 FROM proposal WHERE proposal_id = %(proposal_id)s FOR UPDATE"

_VOID: LiteralString = "DELETE FROM approval WHERE proposal_id = %(proposal_id)s"

_STARTED: LiteralString = "SELECT 1 FROM policy WHERE proposal_id = %(proposal_id)s LIMIT 1"

_CHANGE: LiteralString = """
UPDATE proposal SET content = %(content)s, content_hash = %(content_hash)s, reason = %(reason)s,
    evidence = %(evidence)s::jsonb, proposed_by = %(proposed_by)s, proposed_at = %(proposed_at)s, state = 'open'
WHERE proposal_id = %(proposal_id)s AND content_hash = %(expected)s AND state IN ('open', 'approved')
"""

_APPROVE: LiteralString = f"""
INSERT INTO approval (proposal_id, content_hash, proposed_by, approved_by, approved_as, approved_at, note)
SELECT p.proposal_id, p.content_hash, p.proposed_by, %(by)s, %(role)s, %(now)s, %(note)s
FROM proposal p
WHERE p.proposal_id = %(proposal_id)s AND p.content_hash = %(content_hash)s AND p.state = 'open'
  AND p.proposed_by <> ALL {RECENT_MAKERS}
"""

_APPROVED: LiteralString = "UPDATE proposal SET state = 'approved' WHERE proposal_id = %(proposal_id)s"

_CLOSE: LiteralString = """
UPDATE proposal SET state = %(state)s, closed_at = %(now)s, closed_by = %(by)s, closed_for = %(reason)s
WHERE proposal_id = %(proposal_id)s AND state IN ('open', 'approved')
"""

_CLOSINGS = {
    ProposalState.REJECTED: AuditAction.PROPOSAL_REJECTED,
    ProposalState.WITHDRAWN: AuditAction.PROPOSAL_WITHDRAWN,
}


class PostgresProposals:
    """Reference tables."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, proposal: Proposal) -> None:
        """Keep a new proposal."""
        async with self._pool.connection() as connection:
            await connection.execute(_ADD, _params(proposal))
            await write_audit(connection, _entry(AuditAction.PROPOSAL_MADE, proposal))

    async def find(self, proposal_id: UUID) -> Proposal | None:
        """The proposal with its approval."""
        async with self._pool.connection() as connection:
            return await _find(connection, proposal_id)

    async def list(
        self, *, states: Sequence[ProposalState], limit: int, after: tuple[datetime, UUID] | None = None
    ) -> Sequence[Proposal]:
        """The newest first."""
        at, proposal_id = after or (None, None)
        params = {"states": [state.value for state in states], "limit": limit, "at": at, "id": proposal_id}
        return await read_rows(self._pool, _LIST, params, Proposal)

    async def change(
        self, proposal: Proposal, *, expected: bytes, by: str, now: datetime
    ) -> Proposal | ProposalRefusal:
        """Another content; the approval goes with the content that it was for."""
        params = {**_params(proposal), "expected": expected}
        async with self._pool.connection() as connection:
            await connection.execute(_LOCK, params)
            found = await _find(connection, proposal.proposal_id)
            refused = _not_standing(found, expected)
            if refused is not None:
                return refused
            if await (await connection.execute(_STARTED, params)).fetchall():
                return ProposalRefusal.STARTED
            await connection.execute(_VOID, params)
            await connection.execute(_CHANGE, params)
            await write_audit(connection, _entry(AuditAction.PROPOSAL_CHANGED, proposal))
        return proposal

    async def approve(
        self, proposal_id: UUID, content_hash: bytes, *, by: str, role: str, now: datetime, note: str
    ) -> Proposal | ProposalRefusal:
        """Approve the content that was read."""
        params = {
            "proposal_id": proposal_id,
            "content_hash": content_hash,
            "by": by,
            "role": role,
            "now": now,
            "note": note,
            "old_enough": ACCOUNT_OLD_ENOUGH,
        }
        async with self._pool.connection() as connection:
            await connection.execute(_LOCK, params)
            found = await _find(connection, proposal_id)
            refused = _not_approvable(found, content_hash, by)
            if refused is not None:
                return refused
            assert found is not None
            if not (await connection.execute(_APPROVE, params)).rowcount:
                return ProposalRefusal.RECENT_ACCOUNT
            await connection.execute(_APPROVED, params)
            if found.kind is not ProposalKind.POLICY and not await _carried_out(connection, found, by=by, now=now):
                await connection.rollback()
                return ProposalRefusal.CHANGED
            told = {"content_hash": content_hash.hex(), "proposed_by": found.proposed_by, "note": note}
            entry = AuditEntry(AuditAction.PROPOSAL_APPROVED, str(proposal_id), by, now, told)
            await write_audit(connection, entry)
            approved = await _find(connection, proposal_id)
        assert approved is not None
        return approved

    async def close(
        self, proposal_id: UUID, state: ProposalState, *, by: str, now: datetime, reason: str
    ) -> Proposal | ProposalRefusal:
        """Reject or withdraw; only the proposer withdraws."""
        params = {"proposal_id": proposal_id, "state": state.value, "by": by, "now": now, "reason": reason}
        async with self._pool.connection() as connection:
            await connection.execute(_LOCK, params)
            found = await _find(connection, proposal_id)
            if found is None:
                return ProposalRefusal.NOT_FOUND
            if state is ProposalState.WITHDRAWN and found.proposed_by != by:
                return ProposalRefusal.NOT_THE_PROPOSER
            if not (await connection.execute(_CLOSE, params)).rowcount:
                return ProposalRefusal.CLOSED
            await write_audit(connection, AuditEntry(_CLOSINGS[state], str(proposal_id), by, now, {"reason": reason}))
            closed = await _find(connection, proposal_id)
        assert closed is not None
        return closed

    async def execute(
        self, proposal: Proposal, row: NewPublication, *, after: int | None, close: bool
    ) -> LogEntry | None:
        """Publish under the approval; the lock keeps a change of the proposal out until it is written."""
        params = {"proposal_id": proposal.proposal_id, "state": "executed", "by": row.by, "now": row.at, "reason": ""}
        try:
            async with self._pool.connection() as connection:
                await connection.execute(_LOCK, params)
                found = await _find(connection, proposal.proposal_id)
                if found is None or found.closed_at is not None:  # withdrawn, rejected or carried out meanwhile
                    return None
                entry = await append_publication(connection, row, after=after)
                if entry is not None and close:
                    await connection.execute(_CLOSE, params)
                return entry
        except errors.ForeignKeyViolation:  # the approval was voided meanwhile
            return None
        except errors.CheckViolation as error:
            raise ValueError(error.diag.message_primary or str(error)) from None


async def _carried_out(connection: Connection, proposal: Proposal, *, by: str, now: datetime) -> bool:
    """Do what was approved, and close the proposal with it; False where its subject is not as it was proposed."""
    if not await _DOING[proposal.kind](connection, proposal, by, now):
        return False
    closed = {"proposal_id": proposal.proposal_id, "state": "executed", "by": by, "now": now, "reason": ""}
    await connection.execute(_CLOSE, closed)
    return True


def _told(proposal: Proposal) -> dict[str, object]:
    return {"proposed_by": proposal.proposed_by, "reason": proposal.reason}


async def _lift_pause(connection: Connection, proposal: Proposal, by: str, now: datetime) -> bool:
    """Lift the very pause that was proposed."""
    content = proposal.lift_pause
    entry = AuditEntry(AuditAction.PAUSE_LIFTED, proposal.subject, by, now, _told(proposal))
    return await lift_pause(connection, content.scope, content.ref, entry, set_at=content.set_at)


async def _lift_restriction(connection: Connection, proposal: Proposal, by: str, now: datetime) -> bool:
    restriction_id = proposal.lift_restriction.restriction_id
    return await restrictions.lift(connection, restriction_id, now, by=by, reason=proposal.reason, told=_told(proposal))


async def _cover(connection: Connection, proposal: Proposal, by: str, now: datetime) -> bool:
    """Cover the place, or let the gates decide on it, as it stood when it was proposed."""
    content, told = proposal.cover, _told(proposal)
    scope = Scope(content.scope)
    if content.unset:
        place = Place(scope, content.ref)
        return await unset_coverage(connection, place, by=by, now=now, stands_since=content.stands_since, told=told)
    row = Coverage(scope, content.ref, True, content.reason, by, now)
    return await cover_as_approved(connection, row, stands_since=content.stands_since, told=told)


async def _allow(connection: Connection, proposal: Proposal, by: str, now: datetime) -> bool:
    content, told = proposal.allow_buyer, _told(proposal)
    return await allow_as_approved(
        connection,
        content.selection_id,
        stands_since=content.stands_since,
        by=by,
        now=now,
        reason=proposal.reason,
        told=told,
    )


_DOING: Mapping[ProposalKind, Callable[[Connection, Proposal, str, datetime], Awaitable[bool]]] = {
    ProposalKind.LIFT_PAUSE: _lift_pause,
    ProposalKind.LIFT_RESTRICTION: _lift_restriction,
    ProposalKind.COVER: _cover,
    ProposalKind.ALLOW_BUYER: _allow,
}


def _not_standing(found: Proposal | None, expected: bytes) -> ProposalRefusal | None:
    if found is None:
        return ProposalRefusal.NOT_FOUND
    if found.closed_at is not None:
        return ProposalRefusal.CLOSED
    return ProposalRefusal.CHANGED if found.content_hash != expected else None


def _not_approvable(found: Proposal | None, content_hash: bytes, by: str) -> ProposalRefusal | None:
    refused = _not_standing(found, content_hash)
    if refused is not None or found is None:
        return refused
    if found.approval is not None:
        return ProposalRefusal.APPROVED_ALREADY
    return ProposalRefusal.OWN_PROPOSAL if found.proposed_by == by else None


async def _find(connection: Connection, proposal_id: UUID) -> Proposal | None:
    rows = await (await connection.execute(_FIND, {"proposal_id": proposal_id})).fetchall()
    return msgspec.json.decode(str(rows[0][0]), type=Proposal) if rows else None


def _params(proposal: Proposal) -> dict[str, object]:
    return {
        "proposal_id": proposal.proposal_id,
        "kind": proposal.kind.value,
        "subject": proposal.subject,
        "content": proposal.content,
        "content_hash": proposal.content_hash,
        "reason": proposal.reason,
        "evidence": msgspec.json.encode(proposal.evidence).decode(),
        "proposed_by": proposal.proposed_by,
        "proposed_at": proposal.proposed_at,
    }


def _entry(action: AuditAction, proposal: Proposal) -> AuditEntry:
    told = {"kind": proposal.kind, "content": proposal.content, "reason": proposal.reason}
    return AuditEntry(action, str(proposal.proposal_id), proposal.proposed_by, proposal.proposed_at, told)
