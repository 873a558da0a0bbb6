"""Parts broken on purpose, like faults of real systems; the simulation must notice each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from jitui.aftersales.changes import (
    AddTimeline,
    Change,
    HoldTender,
    LedgerEntry,
    MoveIncident,
    MoveRefund,
    OpenIncident,
    PutShipment,
)
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.usage import Usage
from jitui.aftersales.outcomes import IdempotencyKey, StoredResponse
from jitui.aftersales.ports import DecisionInputs, DecisionQuery, Opened, Ref, Store, Transaction
from jitui.aftersales.provider import (
    Capabilities,
    DisputeNotification,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    PaymentProvider,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)
from jitui.bootstrap import Service


@dataclass(frozen=True)
class _Provider:
    """The real provider; the tests' ones change one thing each."""

    inner: PaymentProvider

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        return await self.inner.send(instruction)

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        return await self.inner.look_up(instruction)

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | DisputeNotification | NotificationIgnored | NotificationRefused:
        return self.inner.read_notification(headers, body, now)


class _FreshKeys(_Provider):
    async def send(self, instruction: RefundInstruction) -> RefundResult:
        return await self.inner.send(replace(instruction, attempt_id=uuid4()))


class _UnknownIsFailed(_Provider):
    async def send(self, instruction: RefundInstruction) -> RefundResult:
        result = await self.inner.send(instruction)
        return replace(result, kind=RefundResultKind.DECLINED) if result.kind is RefundResultKind.UNKNOWN else result


class _DeafToBadNews(_Provider):
    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | DisputeNotification | NotificationIgnored | NotificationRefused:
        read = self.inner.read_notification(headers, body, now)
        if isinstance(read, Notification) and read.result.kind is RefundResultKind.DECLINED:
            return replace(read, result=replace(read.result, kind=RefundResultKind.PENDING))
        return read


class _Forgetful:
    """A store that leaves writes of one kind away."""

    def __init__(self, inner: Store, forgotten: type, share: int = 1) -> None:
        self._inner = inner
        self._forgotten = forgotten
        self._share = share

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._inner.transaction() as transaction:
            yield _ForgetfulTransaction(transaction, self._forgotten)


@dataclass(frozen=True)
class _ForgetfulTransaction:
    inner: Transaction
    forgotten: type

    async def open(
        self, ref: Ref, *, idempotency_key: IdempotencyKey | None = None, query: DecisionQuery | None = None
    ) -> Opened:
        return await self.inner.open(ref, idempotency_key=idempotency_key, query=query)

    async def commit(
        self,
        snapshot: OrderSnapshot,
        changes: Sequence[Change],
        *,
        idempotency_key: IdempotencyKey | None = None,
        response: StoredResponse | None = None,
    ) -> None:
        kept = [change for change in changes if not isinstance(change, self.forgotten)]
        await self.inner.commit(snapshot, kept, idempotency_key=idempotency_key, response=response)


class _Unlocked(_Forgetful):
    """Two round trips that share no transaction: what was read may be old when it is written."""

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        yield _UnlockedTransaction(self._inner)


@dataclass(frozen=True)
class _UnlockedTransaction:
    store: Store

    async def open(
        self, ref: Ref, *, idempotency_key: IdempotencyKey | None = None, query: DecisionQuery | None = None
    ) -> Opened:
        async with self.store.transaction() as transaction:
            return await transaction.open(ref, idempotency_key=idempotency_key, query=query)

    async def commit(
        self,
        snapshot: OrderSnapshot,
        changes: Sequence[Change],
        *,
        idempotency_key: IdempotencyKey | None = None,
        response: StoredResponse | None = None,
    ) -> None:
        from jitui.aftersales.ports import OrderRef

        async with self.store.transaction() as transaction:
            await transaction.open(OrderRef(snapshot.order.lane, snapshot.order.order_id))
            await transaction.commit(snapshot, changes, idempotency_key=idempotency_key, response=response)


class _NoQuota(_Forgetful):
    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._inner.transaction() as transaction:
            yield _NoQuotaTransaction(transaction)


@dataclass(frozen=True)
class _NoQuotaTransaction:
    inner: Transaction

    async def open(
        self, ref: Ref, *, idempotency_key: IdempotencyKey | None = None, query: DecisionQuery | None = None
    ) -> Opened:
        opened = await self.inner.open(ref, idempotency_key=idempotency_key, query=query)
        inputs: DecisionInputs | None = opened.inputs
        return replace(opened, inputs=replace(inputs, buyer_usage=Usage())) if inputs is not None else opened

    async def commit(
        self,
        snapshot: OrderSnapshot,
        changes: Sequence[Change],
        *,
        idempotency_key: IdempotencyKey | None = None,
        response: StoredResponse | None = None,
    ) -> None:
        await self.inner.commit(snapshot, changes, idempotency_key=idempotency_key, response=response)


class _NoKeys(_Forgetful):
    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._inner.transaction() as transaction:
            yield _NoKeysTransaction(transaction)


@dataclass(frozen=True)
class _NoKeysTransaction:
    inner: Transaction

    async def open(
        self, ref: Ref, *, idempotency_key: IdempotencyKey | None = None, query: DecisionQuery | None = None
    ) -> Opened:
        return await self.inner.open(ref, query=query)

    async def commit(
        self,
        snapshot: OrderSnapshot,
        changes: Sequence[Change],
        *,
        idempotency_key: IdempotencyKey | None = None,
        response: StoredResponse | None = None,
    ) -> None:
        await self.inner.commit(snapshot, changes)


def _with_provider(service: Service, kind: type[_Provider]) -> Service:
    return replace(service, providers={name: kind(provider) for name, provider in service.providers.items()})


def fresh_key_for_each_send(service: Service) -> Service:
    """A retry is a new refund to the provider."""
    return _with_provider(service, _FreshKeys)


def unknown_is_failed(service: Service) -> Service:
    """A time-out counts as refused, so the operator pays again."""
    return _with_provider(service, _UnknownIsFailed)


def deaf_to_bad_news(service: Service) -> Service:
    """Succeeded, then failed days later: nobody listens."""
    return _with_provider(service, _DeafToBadNews)


def no_hold_on_the_tender(service: Service) -> Service:
    """The tender's sums stay as they are."""
    return replace(service, store=_Forgetful(service.store, HoldTender))


def no_advance(service: Service) -> Service:
    """The platform's account pays for a shop, and nobody charges the shop."""
    return replace(service, store=_Forgetful(service.store, OpenIncident))


def advance_not_ended(service: Service) -> Service:
    """The provider takes such a refund back, and the shop goes on owing it."""
    return replace(service, store=_Forgetful(service.store, MoveIncident))


def no_posting(service: Service) -> Service:
    """The ledger hears of nothing."""
    return replace(service, store=_Forgetful(service.store, LedgerEntry))


def no_timeline(service: Service) -> Service:
    """The ticket moves and nobody writes down why."""
    return replace(service, store=_Forgetful(service.store, AddTimeline))


def refund_not_moved(service: Service) -> Service:
    """The news is taken and the queue does not learn of it."""
    return replace(service, store=_Forgetful(service.store, MoveRefund))


def shipment_forgotten(service: Service) -> Service:
    """The merchant was told that it is recorded."""
    return replace(service, store=_Forgetful(service.store, PutShipment))


def quota_forgotten(service: Service) -> Service:
    """Earlier approvals of the buyer are not counted."""
    return replace(service, store=_NoQuota(service.store, type(None)))


def keys_forgotten(service: Service) -> Service:
    """The same Idempotency-Key is a new request."""
    return replace(service, store=_NoKeys(service.store, type(None)))


def no_locks(service: Service) -> Service:
    """Read in one transaction, written in another."""
    return replace(service, store=_Unlocked(service.store, type(None)))
