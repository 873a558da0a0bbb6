"""Stops every call through a port at a checkpoint, reports it, and waits until the driver lets it continue."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

from jitui.aftersales.changes import Change
from jitui.aftersales.feed import Feed
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.outcomes import IdempotencyKey, Refusal, StoredResponse
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
    Store,
    TicketRef,
    Transaction,
)
from jitui.aftersales.provider import (
    Capabilities,
    DisputeNotification,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    PaymentProvider,
    RefundInstruction,
    RefundResult,
)
from jitui.demo.simulation.messages import Ended, Go, Parked, ProcessMessage, Result, write

FIRST_OWN_NUMBER = 1_000_000
"""Tasks that a command starts itself are numbered from here; the driver numbers the commands."""
_BREATHS = 6
"""How many turns of the event loop reports are collected, so that tasks that start together are reported together."""


class MortalLoop(asyncio.SelectorEventLoop):
    """An event loop that can kill its process while it waits for the database, after a statement has been sent.

    Only psycopg and `adapters.postgres.batch` use `add_reader` in these processes.
    """

    die_at = 0

    def add_reader(self, fd: object, callback: Callable[..., object], *args: object) -> None:
        """Count a wait, and kill the process at the one that `die_at` names."""
        if self.die_at:
            self.die_at -= 1
            if not self.die_at:
                os.kill(os.getpid(), signal.SIGKILL)
        super().add_reader(fd, callback, *args)  # type: ignore[arg-type]


class Checkpoints:
    """The checkpoints of one process: they number its tasks, report where they are, and have the simulated time."""

    def __init__(self, loop: MortalLoop, writer: asyncio.StreamWriter) -> None:
        self._loop = loop
        self._writer = writer
        self._numbers: dict[asyncio.Task[object], int] = {}
        self._waiting: dict[int, asyncio.Future[Go]] = {}
        self._next = FIRST_OWN_NUMBER
        self._messages: list[ProcessMessage] = []
        self._now = 0.0

    def clock(self) -> datetime:
        """The simulated time, as the driver last sent it."""
        return datetime.fromtimestamp(self._now, UTC)

    def hear(self, now: float) -> None:
        """Set the simulated time."""
        self._now = now

    def number(self, task: asyncio.Task[object], number: int) -> None:
        """Number the task of a command; its end is reported with its result."""
        self._numbers[task] = number

    async def stop_at(self, at: str, key: str = "") -> Go:
        """Report that the task is at a checkpoint, and wait until it may continue."""
        task = asyncio.current_task()
        assert task is not None
        if task not in self._numbers:
            self._numbers[task] = self._next
            self._next += 1
            task.add_done_callback(self._own_task_ended)
        number = self._numbers[task]
        waiting = self._waiting[number] = self._loop.create_future()
        self.report(Parked(number, at, key))
        go: Go = await waiting
        return go

    def let_go(self, go: Go) -> None:
        """Let a task continue."""
        self.hear(go.now)
        self._loop.die_at = go.die_at
        self._waiting.pop(go.task).set_result(go)

    def command_ended(self, task: asyncio.Task[object], result: Result) -> None:
        """Report the end of a command."""
        self.report(Ended(self._numbers.pop(task), result))

    def report(self, message: ProcessMessage) -> None:
        """Queue a report; reports within a few turns of the loop are sent together."""
        self._messages.append(message)
        if len(self._messages) == 1:
            self._loop.call_soon(self._breathe, _BREATHS)

    def _breathe(self, left: int) -> None:
        if left:
            self._loop.call_soon(self._breathe, left - 1)
            return
        messages, self._messages = self._messages, []
        write(self._writer, messages)

    def _own_task_ended(self, task: asyncio.Task[object]) -> None:
        self.report(Ended(self._numbers.pop(task)))


class CheckpointedTransaction:
    """A transaction that stops before and after each of its two round trips."""

    def __init__(self, inner: Transaction, checkpoints: Checkpoints) -> None:
        self._inner = inner
        self._checkpoints = checkpoints

    async def open(
        self, ref: Ref, *, idempotency_key: IdempotencyKey | None = None, query: DecisionQuery | None = None
    ) -> Opened:
        """The second checkpoint holds the locks."""
        await self._checkpoints.stop_at("open")
        opened = await self._inner.open(ref, idempotency_key=idempotency_key, query=query)
        await self._checkpoints.stop_at("opened")
        return opened

    async def commit(
        self,
        snapshot: OrderSnapshot,
        changes: Sequence[Change],
        *,
        idempotency_key: IdempotencyKey | None = None,
        response: StoredResponse | None = None,
    ) -> None:
        """At the second checkpoint the changes are committed, and nobody has been told yet."""
        await self._checkpoints.stop_at("commit")
        await self._inner.commit(snapshot, changes, idempotency_key=idempotency_key, response=response)
        await self._checkpoints.stop_at("committed")


class CheckpointedStore:
    """A `jitui.aftersales.ports.Store` whose changing calls stop at checkpoints."""

    def __init__(self, inner: Store, checkpoints: Checkpoints) -> None:
        self._inner = inner
        self._checkpoints = checkpoints

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction whose steps stop at checkpoints."""
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._inner.transaction() as transaction:
            yield CheckpointedTransaction(transaction, self._checkpoints)

    async def claim_refunds(
        self, *, now: datetime, lease_until: datetime, limit: int, provider: str | None = None
    ) -> list[ClaimedRefund]:
        """Stops before and after; at the second checkpoint it is open whether the claimed refunds are paid."""
        await self._checkpoints.stop_at("claim")
        claimed = await self._inner.claim_refunds(now=now, lease_until=lease_until, limit=limit, provider=provider)
        await self._checkpoints.stop_at("claimed")
        return claimed

    async def expired_tickets(self, now: datetime, limit: int) -> list[TicketRef]:
        """Stops before and after, because the tickets may be decided before each is expired."""
        await self._checkpoints.stop_at("expired")
        found = await self._inner.expired_tickets(now, limit)
        await self._checkpoints.stop_at("expired found")
        return found

    async def tickets_to_remind(self, now: datetime, limit: int) -> list[TicketRef]:
        """Stops before and after, because the tickets may be decided before each is announced."""
        await self._checkpoints.stop_at("to remind")
        found = await self._inner.tickets_to_remind(now, limit)
        await self._checkpoints.stop_at("to remind found")
        return found

    async def due_incidents(self, now: datetime, limit: int) -> list[IncidentRef]:
        """Incidents have deadlines of days, which no simulation reaches."""
        return await self._inner.due_incidents(now, limit)

    async def purge_responses(self, before: datetime) -> int:
        """Stops before."""
        await self._checkpoints.stop_at("forget")
        return await self._inner.purge_responses(before)

    async def find_order(self, order_id: str) -> OrderRef | None:
        """Reads have no checkpoint: they change nothing and hold no lock."""
        return await self._inner.find_order(order_id)

    async def read_order(self, ref: Ref) -> OrderSnapshot | None:
        """Reads have no checkpoint."""
        return await self._inner.read_order(ref)

    async def read_inputs(self, ref: OrderRef, query: DecisionQuery) -> tuple[OrderSnapshot, DecisionInputs] | None:
        """Reads have no checkpoint."""
        return await self._inner.read_inputs(ref, query)

    async def put_order(self, ref: OrderRef, new: NewOrder, now: datetime) -> OrderTaken | Refusal:
        """Stops before."""
        await self._checkpoints.stop_at("put order")
        return await self._inner.put_order(ref, new, now)


class CheckpointedFeed:
    """A `jitui.aftersales.feed.Feed` whose changing calls stop at checkpoints."""

    def __init__(self, inner: Feed, checkpoints: Checkpoints) -> None:
        self._inner = inner
        self._checkpoints = checkpoints

    async def publish(self, limit: int = 10_000) -> int:
        """Stops before."""
        await self._checkpoints.stop_at("publish")
        return await self._inner.publish(limit)

    async def events(self, after: int, limit: int, *, shop_id: str | None = None) -> Sequence[OutgoingEvent]:
        """Publish, and read the events."""
        return await self._inner.events(after, limit, shop_id=shop_id)

    async def roll_up(self, now: datetime | None = None) -> None:
        """Publish and count in one call; a process is killed within it by `die_at`."""
        await self._checkpoints.stop_at("roll up")
        await self._inner.roll_up(now)


class CheckpointedProvider:
    """A provider whose calls stop at a checkpoint; the driver decides whether a call waits for its response."""

    def __init__(self, patient: PaymentProvider, impatient: PaymentProvider, checkpoints: Checkpoints) -> None:
        self._patient = patient
        self._impatient = impatient
        self._checkpoints = checkpoints

    @property
    def name(self) -> str:
        """The provider's name."""
        return self._patient.name

    @property
    def capabilities(self) -> Capabilities:
        """The provider's capabilities."""
        return self._patient.capabilities

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """Ask for the refund."""
        key = str(instruction.attempt_id)
        go = await self._checkpoints.stop_at("send", key)
        result = await (self._impatient if go.impatient else self._patient).send(instruction)
        await self._checkpoints.stop_at(f"sent: {result.kind}", key)
        return result

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """Ask what became of the refund."""
        key = str(instruction.attempt_id)
        go = await self._checkpoints.stop_at("look up", key)
        result = await (self._impatient if go.impatient else self._patient).look_up(instruction)
        await self._checkpoints.stop_at(f"looked up: {result.kind}", key)
        return result

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | DisputeNotification | NotificationIgnored | NotificationRefused:
        """Read a notification; it waits for nothing, so it has no checkpoint."""
        return self._patient.read_notification(headers, body, now)
