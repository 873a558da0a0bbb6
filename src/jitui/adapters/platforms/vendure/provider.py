"""Refunds a payment on Vendure: cancel what may not be shipped, then refund once, then settle.

The order is read again before each write. A shipment that Vendure has ends the refund before any money moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from jitui.adapters.platforms.vendure.client import Failed, VendureClient
from jitui.adapters.platforms.vendure.mapping import FAILED, PENDING, SETTLED, attempt_of, fulfilled_units, reason_of
from jitui.adapters.platforms.vendure.orders import NAME, find_orders
from jitui.adapters.platforms.vendure.queries import CANCEL, NOTE, REFUND, SETTLE, Order, Payment, Refund
from jitui.aftersales.platform import RefundedUnits
from jitui.aftersales.provider import (
    CallTrouble,
    Capabilities,
    NotificationIgnored,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)

ASKED_BEFORE = (
    "the refund was asked for once and Vendure shows none: look at the payment's gateway. If no money went back, "
    "delete our note on the order there, and it is asked for again"
)
_NOT_ASKED = "Not asked after all: "
LOOK_AGAIN_SECONDS = 900.0
SHIPPED = "shipped in Vendure before the refund went out; nothing was refunded"
REFUNDED_THERE = "refunded in Vendure by hand after this was approved; nothing was refunded on top"

_FINAL = frozenset(
    {
        "ALREADY_REFUNDED_ERROR",
        "NOTHING_TO_REFUND_ERROR",
        "PAYMENT_ORDER_MISMATCH_ERROR",
        "QUANTITY_TOO_GREAT_ERROR",
        "REFUND_AMOUNT_ERROR",
        "REFUND_ORDER_STATE_ERROR",
    }
)
"""Refusals of `refundOrder` that come before the payment handler is asked."""

Units = Callable[[str], Awaitable[RefundedUnits]]
_Found = tuple[Order, Payment]
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class VendureRules:
    """How refunds are carried out here. `settles`: a refund that waits for a person there is settled by us.

    `timeout_seconds`: for a look-up, for the steps before the refund, and for the refund itself.
    """

    settles: bool
    timeout_seconds: float


class VendureProvider:
    """See `jitui.aftersales.provider.PaymentProvider`; `units` says what an order has refunded here."""

    def __init__(self, client: VendureClient, units: Units, rules: VendureRules) -> None:
        self._client = client
        self._units = units
        self._rules = rules
        self._busy: set[str] = set()

    @property
    def name(self) -> str:
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        """A repeated attempt is never a second refund: it asks only where no note says that it had asked before."""
        return Capabilities(keys=True, look_up=True, paid_within=timedelta(days=3))

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """Cancel, refund, settle; at most one `refundOrder` for an attempt, ever."""
        if instruction.order_id in self._busy:  # two refunds of one order would cancel the same units twice
            return _unknown("another refund of the order is being sent", retry_after_seconds=1)
        self._busy.add(instruction.order_id)
        try:
            units = await self._units(instruction.order_id)
            order = await self._in_time(self._prepare(instruction, units))
            return order if isinstance(order, RefundResult) else await self._ask_once(instruction, units, order)
        finally:
            self._busy.discard(instruction.order_id)

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """The refund with our reason; one of ours that waits to be settled is settled."""
        return await self._in_time(self._look_up(instruction))

    def read_notification(self, headers: Mapping[str, str], body: bytes, now: datetime) -> NotificationIgnored:
        """Vendure sends none."""
        return NotificationIgnored("Vendure sends no notifications")

    async def _in_time(self, asking: Awaitable[_Result]) -> _Result | RefundResult:
        try:
            async with asyncio.timeout(self._rules.timeout_seconds):
                return await asking
        except TimeoutError:
            return _unknown("no answer in time", trouble=CallTrouble.TIMED_OUT)

    async def _look_up(self, instruction: RefundInstruction) -> RefundResult:
        read = await self._read(instruction)
        return read if isinstance(read, RefundResult) else await self._known(instruction, *read)

    async def _known(self, instruction: RefundInstruction, order: Order, payment: Payment) -> RefundResult:
        """What the order says of the attempt."""
        found = _ours(payment, instruction)
        if found is not None:
            return await self._settled(found, order)
        if _notes(order, instruction):
            return _unknown(ASKED_BEFORE, retry_after_seconds=LOOK_AGAIN_SECONDS)
        return RefundResult(RefundResultKind.NOT_FOUND, "no refund with our reason, and no note")

    # Cancelling -----------------------------------------------------------------------------------------------------

    async def _prepare(self, instruction: RefundInstruction, units: RefundedUnits) -> Order | RefundResult:
        """Look up, then cancel; the order where the refund may be asked for. It may break off at any point."""
        read = await self._read(instruction)
        if isinstance(read, RefundResult):
            return read
        order, payment = read
        before = await self._known(instruction, order, payment)
        if before.kind is not RefundResultKind.NOT_FOUND:
            return before
        if why := _why_not(order, payment, units):
            return RefundResult(RefundResultKind.DECLINED, why)
        return await self._cancel(instruction, order, units) or order

    async def _cancel(self, instruction: RefundInstruction, order: Order, units: RefundedUnits) -> RefundResult | None:
        """Cancel the units that are not cancelled yet; None when that is done."""
        missing = _to_cancel(order, units)
        if not missing:
            return None
        whole = all(line.quantity == missing.get(line.id, 0) for line in order.lines)
        asked = {
            "orderId": order.id,
            "lines": [{"orderLineId": line_id, "quantity": quantity} for line_id, quantity in missing.items()],
            "cancelShipping": whole and units.freight,
            "reason": reason_of(instruction.attempt_id),
        }
        answer = await self._client.ask(CANCEL, {"input": asked})
        if isinstance(answer, Failed):
            return _failed(answer)
        told = answer["cancelOrder"]
        if told["__typename"] == "Order":
            return None
        return _unknown(f"cancelling: {told.get('message', told['__typename'])}")

    # Asking once -----------------------------------------------------------------------------------------------

    async def _ask_once(self, instruction: RefundInstruction, units: RefundedUnits, order: Order) -> RefundResult:
        """Leave our note, read the order again, and ask where it is the attempt's only note.

        INVARIANT I2: whoever asks has written before reading, so that of two at once at most one asks. Each call has a
        time-out of its own: broken off between the note and the refund, nobody could say later whether it was asked.
        """
        note = f"{_note_of(instruction)} {uuid4().hex}"
        answer = await self._client.ask(NOTE, {"input": {"id": order.id, "note": note, "isPublic": False}})
        stopped = _failed(answer) if isinstance(answer, Failed) else await self._stopped(instruction, units, note)
        if stopped is None:
            return await self._refund(instruction, order)
        taken_back = {"id": order.id, "note": f"{_NOT_ASKED}{note}", "isPublic": False}
        await self._client.ask(NOTE, {"input": taken_back})
        return stopped

    async def _stopped(self, instruction: RefundInstruction, units: RefundedUnits, note: str) -> RefundResult | None:
        """Why it must not be asked for after all, by what Vendure says now."""
        read = await self._read(instruction)
        if isinstance(read, RefundResult):
            return read
        order, payment = read
        if _notes(order, instruction) != [note] or _ours(payment, instruction) is not None:
            return _unknown("another worker asks for the refund", retry_after_seconds=1)
        why = _why_not(order, payment, units)
        return RefundResult(RefundResultKind.DECLINED, why) if why else None

    async def _refund(self, instruction: RefundInstruction, order: Order) -> RefundResult:
        asked = {
            "paymentId": instruction.payment_id,
            "amount": instruction.amount_minor,
            "reason": reason_of(instruction.attempt_id),
            # Vendure 3.7 calls these deprecated, and breaks without them after its payment handler has paid.
            "lines": [],
            "shipping": 0,
            "adjustment": 0,
        }
        answer = await self._client.ask(REFUND, {"input": asked}, timeout_seconds=self._rules.timeout_seconds)
        if isinstance(answer, Failed):  # it may have acted: only its records say
            found = await self._look_up(instruction)
            return found if found.kind is not RefundResultKind.UNKNOWN else _failed(answer)
        told = answer["refundOrder"]
        if told["__typename"] != "Refund":
            if told.get("errorCode") in _FINAL:
                return RefundResult(RefundResultKind.DECLINED, str(told.get("message", told["errorCode"])))
            return await self._look_up(instruction)
        refund = _read_refund(told)
        if refund is None:
            return _unknown("the refund was made, and could not be read", retry_after_seconds=1)
        return await self._settled(refund, order)

    async def _settled(self, refund: Refund, order: Order) -> RefundResult:
        """What became of our refund; where we settle, one that is pending is settled with its attempt as reference."""
        if refund.state != PENDING or not self._rules.settles:
            return _result_of(refund, order)
        reference = str(attempt_of(refund) or refund.id)
        answer = await self._client.ask(SETTLE, {"input": {"id": refund.id, "transactionId": reference}})
        if isinstance(answer, Failed):
            return _failed(answer)
        told = answer["settleRefund"]
        settled = _read_refund(told) if told["__typename"] == "Refund" else None
        return _result_of(settled, order) if settled is not None else _unknown(f"settling: {told.get('message', '')}")

    async def _read(self, instruction: RefundInstruction) -> _Found | RefundResult:
        wanted = {"take": 1, "filter": {"code": {"eq": instruction.order_id}}}
        found = await find_orders(self._client, wanted, notes=True)
        if isinstance(found, Failed):
            return _failed(found)
        for order in found:
            for payment in order.payments or ():
                if payment.id == instruction.payment_id:
                    return order, payment
        return _unknown(f"Vendure has no payment {instruction.payment_id} on order {instruction.order_id}")


# Reading an order ----------------------------------------------------------------------------------------------


def _ours(payment: Payment, instruction: RefundInstruction) -> Refund | None:
    return next((refund for refund in payment.refunds if attempt_of(refund) == instruction.attempt_id), None)


def _note_of(instruction: RefundInstruction) -> str:
    return f"Jitui asks for refund {instruction.attempt_id}"


def _notes(order: Order, instruction: RefundInstruction) -> list[str]:
    """Our notes about the attempt, without those whose writer has said since that it did not ask."""
    said = [note.data.note for note in order.history.items]
    return [note for note in said if note.startswith(_note_of(instruction)) and f"{_NOT_ASKED}{note}" not in said]


def _why_not(order: Order, payment: Payment, units: RefundedUnits) -> str:
    """Why nothing may be refunded any more; empty when it may."""
    fulfilled = fulfilled_units(order)
    for line in order.lines:
        placed = max(line.order_placed_quantity, line.quantity)
        if units.units.get(line.id, 0) and units.units[line.id] + fulfilled.get(line.id, 0) > placed:
            return SHIPPED
    elsewhere = sum(refund.total for refund in payment.refunds if refund.state != FAILED and attempt_of(refund) is None)
    return REFUNDED_THERE if elsewhere > units.elsewhere_minor.get(payment.id, 0) else ""


def _to_cancel(order: Order, units: RefundedUnits) -> dict[str, int]:
    """By line, the units to cancel beyond those that are cancelled."""
    missing = {}
    for line in order.lines:
        cancelled = max(line.order_placed_quantity, line.quantity) - line.quantity
        if (more := units.units.get(line.id, 0) - cancelled) > 0:
            missing[line.id] = more
    return missing


# Results -------------------------------------------------------------------------------------------------------


def _read_refund(told: dict[str, Any]) -> Refund | None:
    try:
        return msgspec.convert(told, Refund)
    except msgspec.ValidationError:
        return None


_KINDS = {
    SETTLED: RefundResultKind.SUCCEEDED,
    FAILED: RefundResultKind.DECLINED,
    PENDING: RefundResultKind.PENDING,
}


def _result_of(refund: Refund, order: Order) -> RefundResult:
    """A state that a shop has made up is UNKNOWN."""
    kind = _KINDS.get(refund.state, RefundResultKind.UNKNOWN)
    return RefundResult(
        kind,
        "" if kind is RefundResultKind.SUCCEEDED else f"Vendure says {refund.state}",
        provider_refund_id=refund.id,
        payment_ids=(refund.payment_id,) if refund.payment_id else (),
        amount_minor=refund.total,
        currency=order.currency_code,
        occurred_at=refund.updated_at,
    )


def _unknown(
    reason: str, *, retry_after_seconds: float | None = None, trouble: CallTrouble | None = None
) -> RefundResult:
    return RefundResult(RefundResultKind.UNKNOWN, reason, retry_after_seconds=retry_after_seconds, trouble=trouble)


def _failed(failed: Failed) -> RefundResult:
    return _unknown(failed.reason, trouble=failed.trouble)
