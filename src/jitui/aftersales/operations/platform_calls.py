"""What every call to a commerce platform stands on: a lock of the order, a note before the call, and how one fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble, Capabilities, RefundResult, RefundResultKind

BUSY = "another refund of the order is being sent"
CAPABILITIES = Capabilities(keys=True, look_up=True, paid_within=timedelta(days=3))
"""`keys`: an attempt that is sent again is never a second refund, by our note or by the state of the request there."""
LOCK_FACTOR = 6
"""How many time-outs a lock lasts: more than all calls of a refund take together."""

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class PlatformCall:
    """A refund that was asked for. `made_note`: a person has seen at the payment's gateway that it was made."""

    begun_at: datetime
    made_note: str | None = None


class PlatformCalls(Protocol):
    """What is kept about calls to platforms: who works on an order, and which refunds were asked for."""

    async def lock(self, platform: str, order_id: str, holder: UUID, now: datetime, until: datetime) -> bool:
        """Whether the holder has the order now; nobody else has it until then."""
        ...

    async def unlock(self, platform: str, order_id: str, holder: UUID) -> None:
        """Give the order back; nothing where somebody else has it by now."""
        ...

    async def begin(self, platform: str, order_id: str, attempt_id: UUID, at: datetime) -> bool:
        """INVARIANT I2: note that the attempt's refund is about to be asked for; False: it was noted before."""
        ...

    async def withdraw(self, attempt_id: UUID) -> None:
        """Take the note back: nothing was asked for after all."""
        ...

    async def call(self, attempt_id: UUID) -> PlatformCall | None:
        """The note about the attempt's refund; None: it was never asked for."""
        ...


async def under_lock(
    calls: PlatformCalls,
    platform: str,
    order_id: str,
    now: datetime,
    timeout_seconds: float,
    work: Callable[[datetime], Awaitable[RefundResult]],
) -> RefundResult:
    """Work on an order that nobody else works on; `work` is given the time until which that holds."""
    holder, until = uuid4(), now + timedelta(seconds=LOCK_FACTOR * timeout_seconds)
    if not await calls.lock(platform, order_id, holder, now, until):
        return unknown(BUSY, retry_after_seconds=1)
    try:
        return await work(until)
    finally:
        await calls.unlock(platform, order_id, holder)


def unknown(
    reason: str, *, retry_after_seconds: float | None = None, trouble: CallTrouble | None = None
) -> RefundResult:
    """Nobody can say now what became of the refund."""
    return RefundResult(RefundResultKind.UNKNOWN, reason, retry_after_seconds=retry_after_seconds, trouble=trouble)


def failed(call: CallFailed) -> RefundResult:
    """What a call that came to nothing says of the refund."""
    return unknown(call.reason, trouble=call.trouble)
