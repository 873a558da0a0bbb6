"""Carries an approval out at a platform that owns the refund request: approve there what was decided here, once.

    lock the order > read the order > read the request > approve with the version that was decided on > unlock

The platform pays, and its own request is the record of it: what it says counts, whoever approved there. A request that
changed since it was decided is not approved; `operations.request_sync` decides it anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from jitui.aftersales.model.order import ShipmentStatus
from jitui.aftersales.model.platform_request import PlatformRequestRef, request_of
from jitui.aftersales.operations.platform_calls import CAPABILITIES, Clock, PlatformCalls, failed, under_lock, unknown
from jitui.aftersales.platform import CallFailed, PlatformOrder, UnreadableOrder
from jitui.aftersales.platform_requests import PlatformRequest, RequestSource, RequestState, UnreadableRequest
from jitui.aftersales.ports import Store, read_order_by_id
from jitui.aftersales.provider import (
    CallTrouble,
    Capabilities,
    NotificationIgnored,
    NotificationRefused,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)

CHANGED = "the request changed at the shop's platform after it was decided; it was not approved"
SHIPPED = "shipped at the shop's platform before the request was approved there; it was not approved"
ANOTHER_AMOUNT = (
    "the shop's platform would refund another amount than the ticket has; it was not approved: decide the request there"
)
NO_REQUEST = "the ticket stands for no request of the shop's platform"

ENDED = {
    RequestState.CLOSED: "the request was closed at the shop's platform; it was not approved",
    RequestState.REFUSED: "the shop refused the request at its platform; it was not approved",
    RequestState.DISPUTED: "the platform decides about the request; it was not approved",
    RequestState.RETURNING: "the request became one about a return of the goods; it was not approved",
}

_Answer = TypeVar("_Answer")
Asked = Callable[[str, UUID], Awaitable[PlatformRequestRef | None]]
"""The request that an attempt on an order carries out."""


async def read_asked(store: Store, order_id: str, attempt_id: UUID) -> PlatformRequestRef | None:
    """The request that an attempt carries out, as the store says now."""
    snapshot = await read_order_by_id(store, order_id)
    if snapshot is None:
        return None
    attempt = next((one for one in snapshot.attempts if one.attempt_id == attempt_id), None)
    if attempt is None:
        return None
    refund = next(one for one in snapshot.refunds if one.refund_id == attempt.refund_id)
    return request_of(snapshot, refund.ticket_id)


class ApprovalProvider:
    """A platform that owns refund requests, as a payment provider."""

    def __init__(
        self, source: RequestSource, asked: Asked, calls: PlatformCalls, timeout_seconds: float, clock: Clock
    ) -> None:
        self._source = source
        self._asked = asked
        self._calls = calls
        self._timeout_seconds = timeout_seconds
        self._clock = clock

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """Approve the request there, if it is the one that was decided on."""
        work = partial(self._send, instruction)
        return await under_lock(
            self._calls, self.name, instruction.order_id, self._clock(), self._timeout_seconds, work
        )

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """What became of the request; NOT_FOUND: it still waits for an answer."""
        asked = await self._asked(instruction.order_id, instruction.attempt_id)
        if asked is None:
            return RefundResult(RefundResultKind.NOT_FOUND, NO_REQUEST)
        return _known(instruction, await self._in_time(self._source.read_request(asked.request_id)))

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> NotificationIgnored | NotificationRefused:
        """A message says at most that something changed: the requests are read again, and its body is no proof."""
        return self._source.read_hint(headers, body, now)

    async def _send(self, instruction: RefundInstruction, until: datetime) -> RefundResult:
        asked = await self._asked(instruction.order_id, instruction.attempt_id)
        if asked is None:
            return RefundResult(RefundResultKind.DECLINED, NO_REQUEST)
        return await self._approve(instruction, asked)

    async def _approve(self, instruction: RefundInstruction, asked: PlatformRequestRef) -> RefundResult:
        order = await self._in_time(self._source.find_order(instruction.order_id))
        request = await self._in_time(self._source.read_request(asked.request_id))
        known = _known(instruction, request)
        if known.kind is not RefundResultKind.NOT_FOUND:
            return known
        assert isinstance(request, PlatformRequest)
        kept = _why_not(instruction, asked, request, order)
        if kept is not None:
            return kept
        done = await self._in_time(self._source.approve(request))
        if done is None:
            return _result(RefundResultKind.PENDING, instruction, request, "approved; the platform pays")
        if isinstance(done, CallFailed) and not done.reached:
            return failed(done)
        found = await self.look_up(instruction)  # it may have been approved all the same: only its records say
        if found.kind is not RefundResultKind.NOT_FOUND:
            return found
        return failed(done) if isinstance(done, CallFailed) else RefundResult(RefundResultKind.DECLINED, done.reason)

    async def _in_time(self, asking: Awaitable[_Answer]) -> _Answer | CallFailed:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asking
        except TimeoutError:
            return CallFailed("no answer in time", CallTrouble.TIMED_OUT)


def _known(
    instruction: RefundInstruction, request: PlatformRequest | UnreadableRequest | CallFailed | None
) -> RefundResult:
    """What the request's own state says of a refund."""
    if isinstance(request, CallFailed):
        return failed(request)
    if request is None or isinstance(request, UnreadableRequest):
        return unknown("the request is not at the shop's platform any more" if request is None else request.reason)
    match request.state:
        case RequestState.WAITING:
            return RefundResult(RefundResultKind.NOT_FOUND, "the request waits for an answer")
        case RequestState.APPROVED:
            return _result(RefundResultKind.PENDING, instruction, request, request.said)
        case RequestState.REFUNDED:
            return _result(RefundResultKind.SUCCEEDED, instruction, request, "")
        case RequestState.UNKNOWN:
            return unknown(f"the request is in a state that is not known here: {request.said}")
    return RefundResult(RefundResultKind.DECLINED, ENDED[request.state])


def _why_not(
    instruction: RefundInstruction,
    asked: PlatformRequestRef,
    request: PlatformRequest,
    order: PlatformOrder | UnreadableOrder | CallFailed | None,
) -> RefundResult | None:
    """Why a request that waits is not approved; None where nothing stands against it."""
    if request.version != asked.version or not request.refund_only:
        return RefundResult(RefundResultKind.DECLINED, CHANGED)
    if (request.amount_minor, request.currency) != (instruction.amount_minor, instruction.currency):
        return RefundResult(RefundResultKind.DECLINED, ANOTHER_AMOUNT)
    if isinstance(order, CallFailed):
        return failed(order)
    if order is None or isinstance(order, UnreadableOrder):
        return unknown("the order is not at the shop's platform any more" if order is None else order.reason)
    if any(sent.status is not ShipmentStatus.LABEL_PRINTED for sent in order.shipments):
        return RefundResult(RefundResultKind.DECLINED, SHIPPED)
    return None


def _result(
    kind: RefundResultKind, instruction: RefundInstruction, request: PlatformRequest, reason: str
) -> RefundResult:
    return RefundResult(
        kind,
        reason,
        provider_refund_id=request.request_id,
        payment_ids=(instruction.payment_id,),
        amount_minor=request.amount_minor,
        currency=request.currency,
        occurred_at=request.changed_at,
    )
