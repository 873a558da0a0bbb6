"""After a restore from a backup: records what providers paid since the backup, before anything is paid again (I2).

A backup does not know what was paid after it. Such a refund is queued again, its attempt and key are lost, and a new
attempt would pay a second time. So nothing is claimed on a database that nobody has accepted (`payouts_allowed()` in
the database), and this module compares the ledger with the providers' refunds since the backup. Nothing is paid here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable
from uuid import UUID

import msgspec

from jitui.aftersales.commands.pay import Clock, refund_instruction
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.model.refund import Attempt, Refund, RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import NewTask, OperatorTask, TaskFilter, TaskKind, Tasks, TaskState
from jitui.aftersales.ports import AttemptRef, OrderRef, RefundRef, Store
from jitui.aftersales.provider import PaymentProvider, RefundResult, RefundResultKind
from jitui.ids import lane_of_id

LEASE = timedelta(minutes=10)
"""How long a refund that was found at the provider is locked for workers, until its result is written."""


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """A refund in a provider's records; `reference` is the id of our attempt, if the provider names one."""

    provider: str
    provider_refund_id: str
    payment_ids: tuple[str, ...]
    amount_minor: int
    currency: str
    at: datetime
    kind: RefundResultKind = RefundResultKind.SUCCEEDED
    reference: str | None = None
    advanced: bool | None = None  # the platform's account paid it; None: not told

    @property
    def attempt_id(self) -> UUID | None:
        """The reference as an attempt's id; None when it cannot be one."""
        try:
            return UUID(self.reference or "")
        except ValueError:
            return None


@runtime_checkable
class RefundListing(Protocol):
    """A provider that can list its refunds."""

    async def refunds_since(self, since: datetime) -> Sequence[ProviderRefund]:
        """Every refund of the account since this time. Raises Unavailable when the list cannot be read completely."""
        ...


@dataclass(frozen=True, slots=True)
class PayoutStatus:
    """Whether refunds may be paid from this database; `last_seen_at` is when a worker last ran on it."""

    allowed: bool
    timeline_id: int
    accepted_timeline_id: int | None
    accepted_at: datetime | None
    accepted_by: str | None
    held_since: datetime | None
    held_by: str | None
    held_reason: str | None
    last_seen_at: datetime | None
    open_refunds: int
    unexplained: int
    """Refunds at providers that the ledger does not explain; the refunds of their orders wait."""


class PayoutHold(Protocol):
    """Stores which database a person has accepted for payouts."""

    async def status(self) -> PayoutStatus: ...

    async def hold(self, *, reason: str, by: str, now: datetime) -> None:
        """Stop claims and instant approvals until `accept`."""
        ...

    async def accept(self, *, note: str, by: str, now: datetime) -> None:
        """Accept this database for payouts; it ends a hold too."""
        ...

    async def mark(self, now: datetime) -> None:
        """Record that a worker is running. Holds payouts when the home folder has more marks than the database."""
        ...

    async def accept_promotion(self, now: datetime) -> bool:
        """Accept a standby that was promoted, where every commit waited for it and it has what this worker did last.

        False where that is not certain: then it is a restore, which a person accepts.
        """
        ...

    async def open_attempts(self) -> Sequence[AttemptRef]:
        """The newest attempt of every refund that is not finished."""
        ...

    async def providers(self) -> Sequence[str]:
        """The providers of all recorded payments."""
        ...

    async def begin_attempt(self, ref: RefundRef, attempt_id: UUID, *, now: datetime, lease_until: datetime) -> bool:
        """Give a queued refund an attempt that the provider already knows. False when it is not queued any more."""
        ...

    async def orders_paid_by(self, provider: str, payment_ids: Sequence[str]) -> Sequence[OrderRef]: ...


@dataclass(frozen=True, slots=True)
class Restoring:
    """What the comparison needs."""

    store: Store
    tasks: Tasks
    payouts: PayoutHold
    clock: Clock
    providers: Mapping[str, PaymentProvider]
    listings: Mapping[str, RefundListing]


class _Evidence(msgspec.Struct, frozen=True):
    """The evidence in a task about a refund that the ledger does not explain."""

    provider_refund_id: str
    payment_ids: tuple[str, ...]
    reference: str | None
    state: RefundResultKind
    at: datetime


@dataclass(slots=True)
class RestoreReport:
    """What was found; `unchecked` are the providers whose refunds could not be listed."""

    since: datetime
    looked_up: int = 0
    listed: int = 0
    known: int = 0
    adopted: int = 0
    unexplained: list[NewTask] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


async def check_restore(
    parts: Restoring, since: datetime, statements: Mapping[str, Sequence[ProviderRefund]]
) -> RestoreReport:
    """Look up every open attempt, and record every refund that a provider lists from `since` on.

    `statements` has the lists of providers that cannot be asked, or need not be. Repeating it changes nothing. Raises
    Unavailable when a provider that lists its refunds does not answer.
    """
    report = RestoreReport(since)
    for ref in await parts.payouts.open_attempts():
        report.looked_up += await _look_up(parts, ref)
    for name in sorted({*await parts.payouts.providers(), *statements}):
        if name in statements:
            listed = [refund for refund in statements[name] if refund.at >= since]
        elif name in parts.listings:
            listed = list(await parts.listings[name].refunds_since(since))
        else:
            report.unchecked.append(name)
            continue
        for refund in sorted(listed, key=lambda one: (one.at, one.provider_refund_id)):
            await _take_in(parts, report, refund)
    return report


async def _look_up(parts: Restoring, ref: AttemptRef) -> bool:
    """Look an attempt up; returns whether the provider knew it.

    An unknown one is sent again by a worker, with its key.
    """
    found = await _attempt(parts, ref)
    provider = parts.providers.get(found[1].provider) if found is not None else None
    if found is None or provider is None or not provider.capabilities.look_up:
        return False
    attempt, refund = found
    result = await provider.look_up(refund_instruction(refund, attempt))
    if result.kind is RefundResultKind.NOT_FOUND:
        return False
    await confirm(parts.store, ref, RefundUpdate(result, looked_up=True, lease=refund.leased_until), now=parts.clock())
    return result.kind is not RefundResultKind.UNKNOWN


async def _attempt(parts: Restoring, ref: AttemptRef) -> tuple[Attempt, Refund] | None:
    snapshot = await parts.store.read_order(ref)
    if snapshot is None:
        return None
    attempt = next(attempt for attempt in snapshot.attempts if attempt.attempt_id == ref.attempt_id)
    return attempt, next(refund for refund in snapshot.refunds if refund.refund_id == attempt.refund_id)


async def _take_in(parts: Restoring, report: RestoreReport, listed: ProviderRefund) -> None:
    report.listed += 1
    if listed.attempt_id is not None:
        ref = AttemptRef(lane_of_id(listed.attempt_id), listed.attempt_id)
        if await parts.store.read_order(ref) is not None:
            await confirm(parts.store, ref, _update(listed), now=parts.clock())
            report.known += 1
            return
    if listed.kind is RefundResultKind.DECLINED:  # nothing was paid, so a new attempt may pay
        return
    if await _adopt(parts, listed):
        report.adopted += 1
        return
    task = await _unexplained(parts, listed)
    (state,) = await parts.tasks.open([task])
    if state is TaskState.OPEN:
        report.unexplained.append(task)


def _update(listed: ProviderRefund) -> RefundUpdate:
    result = RefundResult(
        listed.kind,
        reason="returned, as the provider's list says" if listed.kind is RefundResultKind.DECLINED else "",
        provider_refund_id=listed.provider_refund_id,
        payment_ids=listed.payment_ids,
        amount_minor=listed.amount_minor,
        currency=listed.currency,
        occurred_at=listed.at,
        advanced=listed.advanced,
    )
    return RefundUpdate(result, provider=listed.provider)


async def _adopt(parts: Restoring, listed: ProviderRefund) -> bool:
    """Give a queued refund the attempt that paid it before the restore.

    It must have the same payment and amount, and the provider must name our attempt.
    """
    attempt_id = listed.attempt_id
    if attempt_id is None:
        return False
    for order in await parts.payouts.orders_paid_by(listed.provider, listed.payment_ids):
        snapshot = await parts.store.read_order(order)
        refund = lost_refund(snapshot, listed) if snapshot is not None else None
        if refund is None or order.lane != lane_of_id(attempt_id):
            continue
        now = parts.clock()
        ref = RefundRef(order.lane, refund.refund_id)
        if await parts.payouts.begin_attempt(ref, attempt_id, now=now, lease_until=now + LEASE):
            await confirm(parts.store, AttemptRef(order.lane, attempt_id), _update(listed), now=now)
            return True
    return False


def lost_refund(snapshot: OrderSnapshot, listed: ProviderRefund) -> Refund | None:
    """The oldest queued refund with the provider, payment and amount of this refund at the provider."""
    return next(
        (
            refund
            for refund in snapshot.refunds
            if refund.state is RefundState.QUEUED
            and refund.provider == listed.provider
            and refund.payment_id in listed.payment_ids
            and (refund.amount_minor, refund.currency) == (listed.amount_minor, listed.currency)
        ),
        None,
    )


async def _unexplained(parts: Restoring, listed: ProviderRefund) -> NewTask:
    """The task about a refund that the ledger does not explain. While it is open, no refund of the order is paid.

    The buyer may request again what was refunded before the restore.
    """
    orders = await parts.payouts.orders_paid_by(listed.provider, listed.payment_ids)
    return NewTask(
        name=f"{TaskKind.REFUND_NOT_IN_BOOKS} {listed.provider} {listed.provider_refund_id}",
        kind=TaskKind.REFUND_NOT_IN_BOOKS,
        provider=listed.provider,
        order_id=orders[0].order_id if orders else None,
        amount_minor=listed.amount_minor,
        currency=listed.currency,
        evidence={
            "provider_refund_id": listed.provider_refund_id,
            "payment_ids": list(listed.payment_ids),
            "reference": listed.reference,
            "state": listed.kind.value,
            "at": listed.at.isoformat(),
            "orders": [order.order_id for order in orders],
        },
        opened_at=parts.clock(),
    )


async def explain_refunds(parts: Restoring) -> int:
    """Try again to match the refunds of open tasks, because the buyer may have requested them again.

    Returns how many were matched.
    """
    explained = 0
    wanted = TaskFilter(TaskState.OPEN, kind=TaskKind.REFUND_NOT_IN_BOOKS)
    for task in await parts.tasks.list(wanted):
        if await _adopt(parts, _told_by(task)):
            note = "taken in: the buyer asked again for what had gone back before the restore"
            await parts.tasks.resolve(task.task_id, note=note, by="system", now=parts.clock())
            explained += 1
    return explained


def _told_by(task: OperatorTask) -> ProviderRefund:
    assert task.amount_minor is not None and task.currency is not None
    told = msgspec.convert(task.evidence, _Evidence)
    return ProviderRefund(
        provider=task.provider,
        provider_refund_id=told.provider_refund_id,
        payment_ids=told.payment_ids,
        amount_minor=task.amount_minor,
        currency=task.currency,
        at=told.at,
        kind=told.state,
        reference=told.reference,
    )
