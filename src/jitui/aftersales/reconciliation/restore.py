"""After a restored backup: what the provider paid since is taken into the books before anything is paid again (I2).

A backup is older than the money. A refund that was paid after it stands as queued again, its attempt and key are lost,
and a new attempt would pay a second time. So nothing is claimed on a database that nobody has accepted
(`payouts_allowed()` in the database), and this compares the books with the provider's refunds since the restore.
Nothing here pays.
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
"""How long a refund that was found at the provider is kept from workers until its result is written."""


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """A refund in a provider's books, whoever asked for it; `reference` is our attempt where it names one."""

    provider: str
    provider_refund_id: str
    payment_ids: tuple[str, ...]
    amount_minor: int
    currency: str
    at: datetime
    kind: RefundResultKind = RefundResultKind.SUCCEEDED
    reference: str | None = None

    @property
    def attempt_id(self) -> UUID | None:
        """The reference as the id of an attempt; None where it cannot be one of ours."""
        try:
            return UUID(self.reference or "")
        except ValueError:
            return None


@runtime_checkable
class RefundListing(Protocol):
    """A provider that lists its refunds."""

    async def refunds_since(self, since: datetime) -> Sequence[ProviderRefund]:
        """Every refund of the account from this moment on. Raises Unavailable where the list cannot be had whole."""
        ...


@dataclass(frozen=True, slots=True)
class PayoutStatus:
    """Whether refunds may be paid, and on which database; `last_seen_at`: a worker was at work then."""

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
    """Refunds at providers that the books do not explain: those of their orders wait."""


class PayoutHold(Protocol):
    """Where it is kept which database a person has accepted."""

    async def status(self) -> PayoutStatus: ...

    async def hold(self, *, reason: str, by: str, now: datetime) -> None:
        """Nothing is claimed and nothing approved at once until `accept`."""
        ...

    async def accept(self, *, note: str, by: str, now: datetime) -> None:
        """This database is the one to pay from."""
        ...

    async def mark(self, now: datetime) -> None:
        """A worker is at work. Holds payouts where its home remembers later marks than the database has."""
        ...

    async def accept_promotion(self, now: datetime) -> bool:
        """Accept a standby that was promoted, where every commit waited for it and it has what this worker did last.

        False where that is not certain: then it is a restore, which a person accepts.
        """
        ...

    async def open_attempts(self) -> Sequence[AttemptRef]:
        """The newest attempt of every refund whose end is not known."""
        ...

    async def providers(self) -> Sequence[str]:
        """Those through whom anything was ever paid here."""
        ...

    async def begin_attempt(self, ref: RefundRef, attempt_id: UUID, *, now: datetime, lease_until: datetime) -> bool:
        """Give a queued refund an attempt that its provider knows already; False where it is not queued any more."""
        ...

    async def orders_paid_by(self, provider: str, payment_ids: Sequence[str]) -> Sequence[OrderRef]: ...


@dataclass(frozen=True, slots=True)
class Restoring:
    """What the comparison works with."""

    store: Store
    tasks: Tasks
    payouts: PayoutHold
    clock: Clock
    providers: Mapping[str, PaymentProvider]
    listings: Mapping[str, RefundListing]


class _Evidence(msgspec.Struct, frozen=True):
    """What a task keeps of a refund that nobody could explain."""

    provider_refund_id: str
    payment_ids: tuple[str, ...]
    reference: str | None
    state: RefundResultKind
    at: datetime


@dataclass(slots=True)
class RestoreReport:
    """What was found; `unchecked` are providers whose refunds nobody has listed."""

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
    """Look up every open refund, and take in every refund that a provider lists from `since` on.

    `statements` has the lists of providers that are not asked, or cannot be. The same again changes nothing.
    Raises Unavailable where a provider that lists its refunds does not answer.
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
    """Whether the provider knew the attempt; one that it does not know is sent again with its key, by a worker."""
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
    if listed.kind is RefundResultKind.DECLINED:  # the money is not gone: a new attempt may pay
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
    )
    return RefundUpdate(result, provider=listed.provider)


async def _adopt(parts: Restoring, listed: ProviderRefund) -> bool:
    """Give a queued refund the attempt that paid it before the restore: same payment, same amount, our reference."""
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
    """The oldest queued refund that a refund at the provider can be."""
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
    """While the task is open no refund of the order is paid: the buyer may ask again for what has gone back already."""
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
    """Look again for refunds that nobody could explain: the buyer may have asked again. Returns how many it was."""
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
