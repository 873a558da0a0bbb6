"""A store in memory: policies, commands and payments run without a database.

It is for what-if runs and fast tests (docs/how-to/run-without-a-database.md). Its rules are those of PostgreSQL: a plan
changes what `apply` computes, and a plan that breaks a constraint is refused as a whole. The differences: nothing
outlives the process, one transaction runs at a time, and usage is rolled up before each decision, so it is never late.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from jitui.aftersales import ledger
from jitui.aftersales.changes import Change, ClaimRefund, LedgerEntry
from jitui.aftersales.commands.claim import claimed, plan_claim
from jitui.aftersales.commands.put_order import CategoryFlags, order_after, plan_order, standing_order
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.memory_store.inputs import decision_inputs
from jitui.aftersales.memory_store.lists import list_incidents, list_refunds, list_tasks, list_tickets
from jitui.aftersales.memory_store.registry import MemoryRegistry
from jitui.aftersales.memory_store.restriction_checks import MemoryRestrictionChecks
from jitui.aftersales.memory_store.tables import MemoryTables
from jitui.aftersales.model.incident import Incident
from jitui.aftersales.model.refund import Refund
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import OperatorTask, TaskFilter
from jitui.aftersales.model.ticket import Ticket
from jitui.aftersales.outcomes import IdempotencyKey, Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import (
    ClaimedRefund,
    DecisionInputs,
    DecisionQuery,
    IncidentRef,
    NewOrder,
    Opened,
    OrderRef,
    OrderTaken,
    OutgoingEvent,
    Ref,
    StoredDecision,
    TicketFilter,
    TicketRef,
)
from jitui.aftersales.refund_list import ListedRefunds, RefundFilter
from jitui.aftersales.ticket_list import ListedTickets
from jitui.errors import InvariantBroken
from jitui.ids import lane_of_id, new_id

_Key = tuple[str, str, str, str]


class MemoryStore:
    """A `jitui.aftersales.ports.Store`; `registry` sets the rows that decisions read."""

    def __init__(self, time_zone: ZoneInfo) -> None:
        self._tables = MemoryTables(time_zone)
        self._lock = asyncio.Lock()
        self._in_flight: set[_Key] = set()
        self.registry = MemoryRegistry(self._tables)
        self.restriction_checks = MemoryRestrictionChecks(self._tables)

    # Commands ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """A transaction; nothing is written unless `commit` is called."""
        transaction = MemoryTransaction(self._tables, self._lock, self._in_flight)
        try:
            yield transaction
        finally:
            transaction.end()

    async def put_order(self, ref: OrderRef, new: NewOrder, now: datetime) -> OrderTaken | Refusal:
        """Create or replace the order as `plan_order` says; hold and ship-by may always change."""
        tables = self._tables
        async with self._lock:
            known = tables.snapshots.get(ref.order_id)
            if known is not None:
                known = replace(known, completed_by_event=tables.is_completed_by_event(known))
            if known is not None and known.order.buyer_id != new.buyer_id:
                return Refusal(
                    RefusalCode.ORDER_BELONGS_TO_ANOTHER, "An order with this id belongs to another buyer.", "buyer_id"
                )
            entries = tables.ledger.get(ref.order_id, {}).values()
            flags = {name: CategoryFlags(row.customised, row.virtual) for name, row in tables.categories.items()}
            planned = plan_order(None if known is None else standing_order(known, entries, flags), new, now)
            if isinstance(planned, Refusal):
                return planned
            tables.put_order(order_after(known, tables.buyer(new.buyer_id), new, planned), planned, now)
            return OrderTaken(ref, created=known is None, changed=planned.replaces)

    async def purge_responses(self, before: datetime) -> int:
        """Delete responses to Idempotency-Keys that need not be kept any more; returns how many."""
        old = [key for key, (_, stored) in self._tables.responses.items() if stored.answered_at < before]
        for key in old:
            del self._tables.responses[key]
        return len(old)

    # Workers -------------------------------------------------------------------------------------------------------

    async def claim_refunds(
        self, *, now: datetime, lease_until: datetime, limit: int, provider: str | None = None
    ) -> list[ClaimedRefund]:
        """Claim up to `limit` due refunds, those first that have been due longest."""
        async with self._lock:
            due = sorted(self._due(now, provider), key=lambda refund: (refund.due_at or now, refund.refund_id))
            return [self._claim(refund, now, lease_until) for refund in due[:limit]]

    async def expired_tickets(self, now: datetime, limit: int) -> list[TicketRef]:
        """Tickets whose deadline has passed, the oldest first."""
        return self._waiting(lambda ticket: ticket.expires_at, now, limit)

    async def tickets_to_remind(self, now: datetime, limit: int) -> list[TicketRef]:
        """Tickets in review whose reminder is due, the oldest first."""
        return self._waiting(lambda ticket: ticket.remind_at, now, limit)

    def _waiting(self, moment: Callable[[Ticket], datetime | None], now: datetime, limit: int) -> list[TicketRef]:
        waiting = ((moment(ticket), ticket.ticket_id, ticket.lane) for ticket in self._tables.waiting.values())
        passed = sorted((at, ticket_id, lane) for at, ticket_id, lane in waiting if at is not None and at <= now)
        return [TicketRef(lane, ticket_id) for _, ticket_id, lane in passed[:limit]]

    async def due_incidents(self, now: datetime, limit: int) -> list[IncidentRef]:
        """Incidents with a deadline or a reminder that is due, the oldest first."""
        rows = ((one.due_at, one.incident_id) for one in self._tables.incidents.values())
        passed = sorted((at, incident_id) for at, incident_id in rows if at is not None and at <= now)
        return [IncidentRef(lane_of_id(incident_id), incident_id) for _, incident_id in passed[:limit]]

    def _due(self, now: datetime, provider: str | None) -> list[Refund]:
        return [
            refund
            for refund in self._tables.due.values()
            if refund.due_at is not None and refund.due_at <= now and provider in (None, refund.provider)
        ]

    def _claim(self, refund: Refund, now: datetime, lease_until: datetime) -> ClaimedRefund:
        lane = self._tables.snapshots[refund.order_id].order.lane
        change = plan_claim(refund, now=now, lease_until=lease_until, new_attempt_id=new_id(lane))
        self._tables.write(OrderRef(lane, refund.order_id), [change])
        snapshot = self._tables.snapshots[refund.order_id]
        leased = next(one for one in snapshot.refunds if one.refund_id == refund.refund_id)
        attempts = (one for one in snapshot.attempts if one.refund_id == refund.refund_id)
        attempt = next(one for one in attempts if one.attempt_no == leased.attempt_no)
        return claimed(lane, leased, attempt, is_new=change.attempt is not None)

    # Reading -------------------------------------------------------------------------------------------------------

    async def find_order(self, order_id: str) -> OrderRef | None:
        """The order, for callers that know its id but not its buyer."""
        snapshot = self._tables.snapshots.get(order_id)
        return None if snapshot is None else OrderRef(snapshot.order.lane, order_id)

    async def read_order(self, ref: Ref) -> OrderSnapshot | None:
        """The snapshot as it is now."""
        return self._tables.find(ref)

    async def read_inputs(self, ref: OrderRef, query: DecisionQuery) -> tuple[OrderSnapshot, DecisionInputs] | None:
        """The snapshot and the decision inputs, for a dry run."""
        snapshot = self._tables.find(ref)
        return None if snapshot is None else (snapshot, decision_inputs(self._tables, snapshot, query))

    async def ledger(self, ref: OrderRef) -> Sequence[LedgerEntry]:
        """The order's postings, by time."""
        return ledger.story(self._tables.ledger.get(ref.order_id, {}).values())

    async def decision(self, ref: TicketRef) -> StoredDecision | None:
        """The decision that was stored with a ticket."""
        found = self._tables.decisions.get(ref.ticket_id)
        if found is None:
            return None
        return StoredDecision(
            found.ticket_id,
            found.policy_id,
            found.policy_version,
            found.policy_sha256,
            found.outcome,
            found.decided_at,
            found.facts,
            found.decision,
            found.shadow,
        )

    async def tickets(self, wanted: TicketFilter) -> ListedTickets:
        """A page of tickets."""
        every = (ticket for snapshot in self._tables.snapshots.values() for ticket in snapshot.tickets)
        return list_tickets(every, wanted)

    async def refunds(self, wanted: RefundFilter) -> ListedRefunds:
        """A page of refunds."""
        snapshots = self._tables.snapshots.values()
        every = ((refund, snapshot.ticket(refund.ticket_id)) for snapshot in snapshots for refund in snapshot.refunds)
        return list_refunds(every, wanted)

    async def incidents(self, wanted: IncidentFilter) -> Sequence[Incident]:
        """A page of incidents."""
        snapshots = self._tables.snapshots
        every = ((one, snapshots[one.order_id].order.buyer_id) for one in self._tables.incidents.values())
        return list_incidents(every, wanted)

    async def tasks(self, wanted: TaskFilter) -> Sequence[OperatorTask]:
        """A page of tasks."""
        return list_tasks(self._tables.tasks.values(), wanted, self._tables.snapshots)

    async def roll_up(self, now: datetime) -> None:
        """Roll up usage and shops' days as of `now`; every decision does so before it reads them."""
        self._tables.roll_ups.roll_up(self._tables.feed, now)

    async def events(self, after: int, limit: int, *, shop_id: str | None = None) -> Sequence[OutgoingEvent]:
        """Events of the feed after a position."""
        rows = self._tables.feed[after:]
        found = (row for row in rows if shop_id in (None, row.shop_id))
        return [row for row, _ in zip(found, range(limit), strict=False)]


class MemoryTransaction:
    """A `jitui.aftersales.ports.Transaction`; from `open` to `end` no other transaction uses the store."""

    def __init__(self, tables: MemoryTables, lock: asyncio.Lock, in_flight: set[_Key]) -> None:
        self._tables = tables
        self._lock = lock
        self._in_flight = in_flight
        self._key: _Key | None = None
        self._holds = False

    async def open(
        self, ref: Ref, *, idempotency_key: IdempotencyKey | None = None, query: DecisionQuery | None = None
    ) -> Opened:
        """Lock and read; when another request with the same key is running, return at once."""
        known = self._tables.find(ref)
        if known is not None and idempotency_key is not None:
            key = (idempotency_key.key_id, idempotency_key.route, known.order.buyer_id, idempotency_key.key)
            if key in self._in_flight:
                return Opened(None, in_flight=True)
            self._in_flight.add(key)
            self._key = key
        await self._lock.acquire()
        self._holds = True
        snapshot = self._tables.find(ref)
        if snapshot is None:
            return Opened(None)
        if idempotency_key is not None and self._key in self._tables.responses:
            body_hash, stored = self._tables.responses[self._key]
            return (
                Opened(None, stored=stored) if body_hash == idempotency_key.body_hash else Opened(None, key_reused=True)
            )
        return Opened(snapshot, inputs=None if query is None else decision_inputs(self._tables, snapshot, query))

    async def commit(
        self,
        snapshot: OrderSnapshot,
        changes: Sequence[Change | ClaimRefund],
        *,
        idempotency_key: IdempotencyKey | None = None,
        response: StoredResponse | None = None,
    ) -> None:
        """Write everything of the plan, and the stored response."""
        order = snapshot.order
        key = (
            None
            if idempotency_key is None
            else (idempotency_key.key_id, idempotency_key.route, order.buyer_id, idempotency_key.key)
        )
        if key in self._tables.responses and response is not None:
            raise InvariantBroken("The store refused a write: it breaks idempotency_pkey.")
        self._tables.write(OrderRef(order.lane, order.order_id), changes)
        if key is not None and idempotency_key is not None and response is not None:
            self._tables.responses[key] = idempotency_key.body_hash, response

    def end(self) -> None:
        """Release the store to the next transaction."""
        if self._key is not None:
            self._in_flight.discard(self._key)
            self._key = None
        if self._holds:
            self._lock.release()
            self._holds = False
