"""Runs a command: open the order snapshot under its locks, plan purely, write and commit.

A planner is a pure function from the snapshot to changes; only `apply` computes the snapshot after them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from uuid import UUID

from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import Announce, Change, PutShipment, RecordBuyerEvent
from jitui.aftersales.model.order import WAYBILL_KEPT
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Ticket
from jitui.aftersales.outcomes import IdempotencyKey, Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import DecisionInputs, DecisionQuery, Opened, Ref, Store
from jitui.errors import WaybillTaken


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command will write, and the ticket that it is about, if any."""

    changes: tuple[Change, ...] = ()
    ticket_id: UUID | None = None


@dataclass(frozen=True)
class Executed:
    """What a command wrote, the snapshot before it, and the ticket that it was about, if any."""

    before: OrderSnapshot
    changes: tuple[Change, ...]
    ticket_id: UUID | None = None

    @cached_property
    def snapshot(self) -> OrderSnapshot:
        """The snapshot after the command; it is computed only when somebody reads it."""
        return apply_all(self.before, self.changes)

    @property
    def ticket(self) -> Ticket:
        """The ticket after the command, for a command that is about one."""
        assert self.ticket_id is not None
        return self.snapshot.ticket(self.ticket_id)


@dataclass(frozen=True, slots=True)
class IdempotentReply:
    """The response to the caller, which is stored under the Idempotency-Key in the transaction of its command."""

    key: IdempotencyKey
    render: Callable[[Executed], StoredResponse]


async def execute(
    store: Store,
    ref: Ref,
    plan: Callable[[OrderSnapshot, DecisionInputs], Plan | Refusal],
    *,
    query: DecisionQuery | None = None,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Run a command in two round trips: lock (buyer, order) and read; then write the changes and commit.

    Returns what was committed, the response stored by an earlier call with the same Idempotency-Key, or a refusal,
    after which nothing was written.
    """
    idempotency_key = reply.key if reply is not None else None
    async with store.transaction() as transaction:
        opened = await transaction.open(ref, idempotency_key=idempotency_key, query=query)
        early = _before_planning(opened)
        if early is not None:
            return early
        assert opened.snapshot is not None
        planned = plan(opened.snapshot, opened.inputs or DecisionInputs())
        if isinstance(planned, Refusal):
            return planned
        changes = _uncounted(planned.changes) if opened.snapshot.order.free_of_charge else planned.changes
        executed = Executed(opened.snapshot, changes, planned.ticket_id)
        response = reply.render(executed) if reply is not None else None
        try:
            await transaction.commit(opened.snapshot, changes, idempotency_key=idempotency_key, response=response)
        except WaybillTaken:
            return _waybill_of_another(changes)
        return executed


def _waybill_of_another(changes: Sequence[Change]) -> Refusal:
    """Only the database knows the waybills of all buyers, and only it can hold them against one another."""
    said = next(change.shipment.tracking_no for change in changes if isinstance(change, PutShipment))
    return Refusal(
        RefusalCode.WAYBILL_OF_ANOTHER_BUYER,
        f"Tracking number {said!r} is on another buyer's order. Correct it; if the carrier gave this parcel the same "
        f"number, its scan is recorded, and the number is free {WAYBILL_KEPT.days} days after the other parcel.",
        "tracking_no",
    )


def _uncounted(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Keep an order that costs nothing out of every feature, where it would be a cheap way to a good record."""
    return tuple(
        replace(change, body={**change.body, "free_of_charge": True}) if isinstance(change, Announce) else change
        for change in changes
        if not isinstance(change, RecordBuyerEvent)
    )


def _before_planning(opened: Opened) -> StoredResponse | Refusal | None:
    if opened.in_flight:
        return Refusal(
            RefusalCode.REQUEST_IN_FLIGHT,
            "A request with this Idempotency-Key is being worked on; try again shortly.",
            retry_after_seconds=1,
        )
    if opened.key_reused:
        return Refusal(
            RefusalCode.IDEMPOTENCY_KEY_REUSED,
            "This Idempotency-Key was used with another body; use a new key for a new request.",
        )
    if opened.stored is not None:
        return opened.stored
    if opened.snapshot is None:
        return not_found()
    return None


def not_found() -> Refusal:
    """The response for what does not exist and for what belongs to somebody else alike (I8)."""
    return Refusal(RefusalCode.NOT_FOUND, "There is no such thing here, or it is not yours to see.")
