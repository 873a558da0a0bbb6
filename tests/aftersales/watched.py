"""A PostgreSQL store that compares the snapshot read after every commit and claim with what `apply` computes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import datetime
from uuid import UUID

from jitui.adapters.postgres import reading, writing
from jitui.adapters.postgres.batch import run_batch
from jitui.adapters.postgres.pool import Pool
from jitui.adapters.postgres.store import PostgresStore, PostgresTransaction, refusals
from jitui.aftersales.apply import apply, apply_all
from jitui.aftersales.changes import Announce, Change, MoveTicket, OpenTicket
from jitui.aftersales.commands.claim import plan_claim
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.outcomes import IdempotencyKey, StoredResponse
from jitui.aftersales.ports import ClaimedRefund, IncidentRef, OrderRef, Ref

SEEN: set[type] = set()
"""Kinds of change that were checked in this process."""


def differences(said: OrderSnapshot, found: OrderSnapshot) -> dict[str, object]:
    """By field, what `apply` says and what the database has."""
    names = [field.name for field in fields(OrderSnapshot)]
    pairs = {name: (getattr(said, name), getattr(found, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def moved(changes: Sequence[Change]) -> set[UUID]:
    """The tickets whose own row a plan writes."""
    opened = {change.ticket.ticket_id for change in changes if isinstance(change, OpenTicket)}
    return opened | {change.ticket_id for change in changes if isinstance(change, MoveTicket)}


def told(changes: Sequence[Change]) -> set[UUID]:
    """The tickets that a plan names on the feed."""
    return {change.ticket_id for change in changes if isinstance(change, Announce) and change.ticket_id is not None}


class WatchedTransaction(PostgresTransaction):
    """Reads the snapshot again before the commit, in the same transaction, so that nobody else can have changed it."""

    async def commit(
        self,
        snapshot: OrderSnapshot,
        changes: Sequence[Change],
        *,
        idempotency_key: IdempotencyKey | None = None,
        response: StoredResponse | None = None,
    ) -> None:
        ref: Ref = OrderRef(snapshot.order.lane, snapshot.order.order_id)
        if snapshot.incident is not None:
            ref = IncidentRef(snapshot.order.lane, snapshot.incident.incident_id)
        read = reading.READ_ORDER[type(ref)], reading.ref_params(ref)
        with refusals():
            *_, rows = await run_batch(self._connection, [*writing.calls(snapshot, changes, self._time_zone), read])
        found = reading.decode_snapshot(rows[0][0] or b"")
        assert differences(apply_all(snapshot, changes), found) == {}, [type(change).__name__ for change in changes]
        assert told(changes) or not moved(changes), "the list of tickets learns of a change from the feed alone"
        SEEN.update(type(change) for change in changes)
        await super().commit(snapshot, (), idempotency_key=idempotency_key, response=response)


class WatchedStore(PostgresStore):
    """See the module."""

    def __init__(self, pool: Pool, time_zone: str) -> None:
        super().__init__(pool, time_zone)
        self._watched = pool, time_zone

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[WatchedTransaction]:
        pool, time_zone = self._watched
        async with pool.connection() as connection:
            try:
                yield WatchedTransaction(connection, time_zone)
            finally:
                if not connection.closed:
                    await connection.rollback()

    async def check_claims(
        self, *orders: OrderRef, now: datetime, lease_until: datetime, limit: int = 100
    ) -> list[ClaimedRefund]:
        """Claim while nobody else does anything to these orders; what is due of others is claimed and left out."""
        said = {ref.order_id: await self._file(ref) for ref in orders}
        claims = await self.claim_refunds(now=now, lease_until=lease_until, limit=limit)
        found = [claim for claim in claims if claim.refund.order_id in said]
        for claim in found:
            order_id = claim.refund.order_id
            refund = next(one for one in said[order_id].refunds if one.refund_id == claim.refund.refund_id)
            change = plan_claim(refund, now=now, lease_until=lease_until, new_attempt_id=claim.attempt.attempt_id)
            said[order_id] = apply(said[order_id], change)
            SEEN.add(type(change))
            assert claim.refund in said[order_id].refunds
            assert claim.attempt in said[order_id].attempts
        for ref in orders:
            assert differences(said[ref.order_id], await self._file(ref)) == {}
        return found

    async def _file(self, ref: OrderRef) -> OrderSnapshot:
        snapshot = await self.read_order(ref)
        assert snapshot is not None
        return snapshot
