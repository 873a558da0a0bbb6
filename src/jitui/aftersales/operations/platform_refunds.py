"""Refunds a payment at a commerce platform: cancel what may not be shipped, then ask for the refund, once.

    lock the order > read it > cancel > read it again > note the call > refund > settle > unlock

The lock and the note are rows of ours, since platforms have neither. A shipment that the platform has ends the refund
before any money moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from jitui.aftersales.operations.platform_calls import (
    BUSY,
    CAPABILITIES,
    Clock,
    PlatformCalls,
    failed,
    under_lock,
    unknown,
)
from jitui.aftersales.platform import (
    CallFailed,
    CallRefused,
    Platform,
    PlatformOrder,
    PlatformPayment,
    PlatformRefund,
    PlatformWriter,
    RefundedUnits,
    UnreadableOrder,
    WantedRefund,
    reference_of,
)
from jitui.aftersales.provider import (
    CallTrouble,
    Capabilities,
    NotificationIgnored,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)

SHIPPED = "shipped at the shop's platform before the refund went out; nothing was refunded"
REFUNDED_THERE = "refunded at the shop's platform by hand after this was approved; nothing was refunded on top"
ASKED_BEFORE = (
    "the refund was asked for once and the shop's platform shows none: look at the payment's gateway, and say with "
    "`jitui platform resolve` whether the money went back"
)
MADE_UNSEEN = (
    "made by the payment's gateway and not shown by the shop's platform; settle it with the gateway's reference"
)
LOOK_AGAIN_SECONDS = 900.0


Units = Callable[[str], Awaitable[RefundedUnits]]


@dataclass(frozen=True, slots=True)
class PlatformRules:
    """How refunds are made there. `settles`: a refund that waits for a person there is settled by us.

    `timeout_seconds`: for a look-up, for the steps before the refund, for the refund, and for settling.
    `pause_seconds`: between a cancellation and the next reading, so that a shipment that was under way is seen.
    """

    settles: bool
    timeout_seconds: float
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Ready:
    """An order as it has just been read, with the payment to refund."""

    order: PlatformOrder
    payment: PlatformPayment


class PlatformProvider:
    """A platform as a payment provider; `units` says what an order has refunded here."""

    def __init__(
        self,
        platform: Platform,
        writer: PlatformWriter,
        units: Units,
        calls: PlatformCalls,
        rules: PlatformRules,
        clock: Clock,
    ) -> None:
        self._platform = platform
        self._writer = writer
        self._units = units
        self._calls = calls
        self._rules = rules
        self._clock = clock

    @property
    def name(self) -> str:
        return self._platform.name

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """Cancel, refund, settle; at most one refund is asked for by an attempt, ever."""
        work = partial(self._send, instruction)
        return await under_lock(
            self._calls, self.name, instruction.order_id, self._clock(), self._rules.timeout_seconds, work
        )

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """The refund with our reference; one of ours that waits to be settled is settled."""
        found = await self._in_time(self._read(instruction))
        return found if isinstance(found, RefundResult) else await self._known(instruction, found)

    def read_notification(self, headers: Mapping[str, str], body: bytes, now: datetime) -> NotificationIgnored:
        """What a platform sends is a hint that an order changed: it is read again, and the body is no proof."""
        return NotificationIgnored("Refunds are looked up at the platform")

    async def _in_time(self, asking: Awaitable[_Ready | RefundResult]) -> _Ready | RefundResult:
        try:
            async with asyncio.timeout(self._rules.timeout_seconds):
                return await asking
        except TimeoutError:
            return unknown("no answer in time", trouble=CallTrouble.TIMED_OUT)

    async def _read(self, instruction: RefundInstruction) -> _Ready | RefundResult:
        order = await self._platform.find_order(instruction.order_id)
        if isinstance(order, CallFailed):
            return failed(order)
        if order is None or isinstance(order, UnreadableOrder):
            return unknown("the order is not at the shop's platform any more" if order is None else order.reason)
        payment = order.payment(instruction.payment_id)
        if payment is None:
            return unknown(f"the shop's platform has no payment {instruction.payment_id} on the order")
        return _Ready(order, payment)

    async def _known(self, instruction: RefundInstruction, read: _Ready) -> RefundResult:
        """What is known of the attempt: by the order there, then by our note."""
        found = read.payment.refund_of(instruction.attempt_id)
        if found is not None:
            return await self._settled(instruction, read.order, found)
        call = await self._calls.call(instruction.attempt_id)
        if call is not None and call.made_note is not None:
            return _made_unseen(instruction, call.made_note)
        if call is not None:
            return unknown(ASKED_BEFORE, retry_after_seconds=LOOK_AGAIN_SECONDS)
        return RefundResult(RefundResultKind.NOT_FOUND, "no refund with our reference, and none was asked for")

    async def _send(self, instruction: RefundInstruction, until: datetime) -> RefundResult:
        units = await self._units(instruction.order_id)
        ready = await self._in_time(self._prepare(instruction, units))
        return ready if isinstance(ready, RefundResult) else await self._ask_once(instruction, ready, until)

    # Before the refund ----------------------------------------------------------------------------------------------

    async def _prepare(self, instruction: RefundInstruction, units: RefundedUnits) -> _Ready | RefundResult:
        """Look up, then cancel; the order where the refund may be asked for. It may break off at any point."""
        read = await self._read(instruction)
        if isinstance(read, RefundResult):
            return read
        before = await self._known(instruction, read)
        if before.kind is not RefundResultKind.NOT_FOUND:
            return before
        if why := _why_not(read, units):
            return RefundResult(RefundResultKind.DECLINED, why)
        stopped = await self._cancel(instruction, read.order, units)
        if stopped is not None:
            return stopped
        again = await self._read(instruction)
        if isinstance(again, RefundResult):
            return again
        why = _why_not(again, units)
        return RefundResult(RefundResultKind.DECLINED, why) if why else again

    async def _cancel(
        self, instruction: RefundInstruction, order: PlatformOrder, units: RefundedUnits
    ) -> RefundResult | None:
        """Cancel the units that are not cancelled yet; None when that is done."""
        missing = _to_cancel(order, units)
        if not missing:
            return None
        whole = all(line.quantity - line.cancelled == missing.get(line.line_id, 0) for line in order.lines)
        done = await self._writer.cancel(
            order, missing, freight=whole and units.freight, reference=reference_of(instruction.attempt_id)
        )
        if isinstance(done, CallRefused):
            return unknown(f"cancelling: {done.reason}")
        if isinstance(done, CallFailed):
            return failed(done)
        await asyncio.sleep(self._rules.pause_seconds)
        return None

    # The refund -----------------------------------------------------------------------------------------------------

    async def _ask_once(self, instruction: RefundInstruction, ready: _Ready, until: datetime) -> RefundResult:
        """Note the call, then ask. Broken off between the two, nobody can say later whether it was asked for."""
        now = self._clock()
        if now + timedelta(seconds=2 * self._rules.timeout_seconds) > until:
            return unknown(BUSY, retry_after_seconds=1)  # we were held up for so long that somebody may follow
        if not await self._calls.begin(self.name, instruction.order_id, instruction.attempt_id, now):
            return unknown(ASKED_BEFORE, retry_after_seconds=LOOK_AGAIN_SECONDS)
        wanted = WantedRefund(
            instruction.payment_id,
            instruction.amount_minor,
            instruction.currency,
            instruction.attempt_id,
            reference_of(instruction.attempt_id),
        )
        made = await self._writer.refund(ready.order, wanted)
        if isinstance(made, PlatformRefund):
            return await self._settled(instruction, ready.order, made)
        if isinstance(made, CallRefused):
            return RefundResult(RefundResultKind.DECLINED, made.reason)
        if not made.reached:
            await self._calls.withdraw(instruction.attempt_id)
            return failed(made)
        found = await self.look_up(instruction)  # it may have acted: only its records say
        return found if found.kind is not RefundResultKind.UNKNOWN else failed(made)

    async def _settled(
        self, instruction: RefundInstruction, order: PlatformOrder, refund: PlatformRefund
    ) -> RefundResult:
        """What became of our refund; where we settle, one that is pending is settled."""
        if refund.state is not RefundResultKind.PENDING or not self._rules.settles:
            return _result_of(instruction, order, refund)
        settled = await self._writer.settle(order, refund)
        if isinstance(settled, CallRefused):
            return unknown(f"settling: {settled.reason}")
        return failed(settled) if isinstance(settled, CallFailed) else _result_of(instruction, order, settled)


def _why_not(read: _Ready, units: RefundedUnits) -> str:
    """Why nothing may be refunded any more; empty when it may."""
    shipped = read.order.shipped_units()
    for line in read.order.lines:
        wanted = units.units.get(line.line_id, 0)
        if wanted and wanted + shipped.get(line.line_id, 0) > line.quantity:
            return SHIPPED
    counted_minor = units.elsewhere_minor.get(read.payment.payment_id, 0)
    return REFUNDED_THERE if read.payment.elsewhere_minor > counted_minor else ""


def _to_cancel(order: PlatformOrder, units: RefundedUnits) -> dict[str, int]:
    """By line, the units to cancel beyond those that are cancelled."""
    missing = {line.line_id: units.units.get(line.line_id, 0) - line.cancelled for line in order.lines}
    return {line_id: quantity for line_id, quantity in missing.items() if quantity > 0}


def _result_of(instruction: RefundInstruction, order: PlatformOrder, refund: PlatformRefund) -> RefundResult:
    return RefundResult(
        refund.state,
        refund.said,
        provider_refund_id=refund.refund_id,
        payment_ids=(instruction.payment_id,),
        amount_minor=refund.amount_minor,
        currency=order.currency,
        occurred_at=refund.at,
    )


def _made_unseen(instruction: RefundInstruction, note: str) -> RefundResult:
    """The money is back and the platform does not know: no new attempt, and a person settles it with evidence."""
    return RefundResult(
        RefundResultKind.PENDING,
        f"{MADE_UNSEEN}: {note}",
        payment_ids=(instruction.payment_id,),
        amount_minor=instruction.amount_minor,
        currency=instruction.currency,
        stuck=True,
    )
