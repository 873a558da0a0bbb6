"""WeChat Pay (API v3, domestic refunds) behind the port, through `wechatpayv3` in public-key mode.

The library blocks, so it runs in threads of our own. It verifies the signature of every successful response, but not of
errors; an error is therefore as trustworthy as TLS, as in the provider's own libraries.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from time import monotonic
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.utils import load_public_key, rsa_verify

from jitui.adapters.payments.calls import (
    THREADS,
    Closing,
    Threads,
    attempt_of,
    doubted,
    in_time,
    no_answer,
    trouble_of,
    unknown,
    unreadable,
)
from jitui.adapters.payments.wechat_pace import Pace
from jitui.aftersales.provider import (
    CallTrouble,
    Capabilities,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)
from jitui.errors import NotConfigured

NAME = "wechat_pay"
CURRENCY = "CNY"
NOTIFICATION_TOLERANCE = timedelta(minutes=5)
MOST_NONCES = 65_536
AGAIN_AFTER_SECONDS = 60.0
"""The wait after WeChat Pay reports too many requests; it names no time itself."""

_CAPABILITIES = Capabilities(keys=True, look_up=True, paid_within=timedelta(days=5))
"""To the balance within minutes, to a bank card within three working days."""

_REASON = "订单退款"  # the buyer reads it in WeChat
_TRANSACTION_ID_DIGITS = 28
_API_V3_KEY_BYTES = 32
_SIGNATURE_TYPE = "WECHATPAY2-SHA256-RSA2048"


class _Status(StrEnum):
    SUCCESS = "SUCCESS"
    PROCESSING = "PROCESSING"
    CLOSED = "CLOSED"
    ABNORMAL = "ABNORMAL"


_KINDS = {
    _Status.SUCCESS: RefundResultKind.SUCCEEDED,
    _Status.PROCESSING: RefundResultKind.PENDING,
    _Status.CLOSED: RefundResultKind.DECLINED,
    _Status.ABNORMAL: RefundResultKind.PENDING,
}
_REASONS = {
    _Status.CLOSED: "CLOSED: the balance was short for seven days; top it up, then retry",
    _Status.ABNORMAL: "ABNORMAL: the buyer's account or card does not take it; handle it in the merchant platform",
}
_EVENTS = {
    "REFUND.SUCCESS": _Status.SUCCESS,
    "REFUND.CLOSED": _Status.CLOSED,
    "REFUND.ABNORMAL": _Status.ABNORMAL,
}

_Moment = Annotated[datetime, Meta(tz=True)]


class _Amount(Struct, frozen=True):
    refund: int
    currency: str | None = None  # notifications do not have it


class _Refund(Struct, frozen=True):
    refund_id: str
    out_refund_no: str
    transaction_id: str
    out_trade_no: str
    status: _Status
    amount: _Amount
    success_time: _Moment | None = None


class _RefundNotice(Struct, frozen=True):
    mchid: str
    refund_id: str
    out_refund_no: str
    transaction_id: str
    out_trade_no: str
    refund_status: _Status
    amount: _Amount
    success_time: _Moment | None = None


class _Event(Struct, frozen=True):
    id: str
    event_type: str
    resource: dict[str, Any]


class _Error(Struct, frozen=True):
    code: str
    message: str = ""


_read_refund = msgspec.json.Decoder(_Refund).decode
_read_error = msgspec.json.Decoder(_Error).decode

_REFUSED_FOR_GOOD = frozenset(
    {
        (400, "PARAM_ERROR"),
        # everything is refunded, the amount exceeds the rest, over a year old, over 50 parts …
        (400, "INVALID_REQUEST"),
        (403, "USER_ACCOUNT_ABNORMAL"),
        (404, "RESOURCE_NOT_EXISTS"),  # for a refund request: there is no such payment
    }
)
"""Refused for good, when a look-up shows that there is no refund with this number either."""
_REFUSED_FOR_NOW = frozenset(
    {
        (401, "SIGN_ERROR"),
        (403, "NOT_ENOUGH"),
        (403, "NO_AUTH"),
        (403, "REQUEST_BLOCKED"),
        (404, "MCH_NOT_EXISTS"),
    }
)
"""Nothing was done, and the same number goes through once the balance or our settings are put right."""
_OURS_TO_MEND = frozenset({"SIGN_ERROR", "NO_AUTH", "REQUEST_BLOCKED", "MCH_NOT_EXISTS"})


class WeChatPayProvider(Closing):
    """WeChat Pay as a provider. One per event loop; a context manager that owns the threads for the library's calls."""

    def __init__(
        self,
        *,
        merchant_id: str,
        certificate_serial: str,
        private_key: str,
        api_v3_key: str,
        public_key: str,
        public_key_id: str,
        notify_url: str,
        api_base: str | None = None,
        timeout_seconds: float = 10.0,
        threads: int = THREADS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Raises NotConfigured for a key that cannot be used; opens no connection."""
        if len(api_v3_key.encode()) != _API_V3_KEY_BYTES:
            raise NotConfigured("The API v3 key of WeChat Pay has 32 characters.")
        if not (private_key and public_key):
            raise NotConfigured("WeChat Pay needs the merchant's private key and WeChat Pay's public key.")
        try:
            self._client = WeChatPay(
                wechatpay_type=WeChatPayType.NATIVE,
                mchid=merchant_id,
                private_key=private_key,
                cert_serial_no=certificate_serial,
                appid="",  # not needed for refunds
                apiv3_key=api_v3_key,
                notify_url=notify_url,
                timeout=timeout_seconds,
                public_key=public_key,
                public_key_id=public_key_id,
            )
            self._public_key = load_public_key(public_key)
        except Exception as error:  # the library raises plain exceptions
            raise NotConfigured(f"The keys of WeChat Pay cannot be used: {error} PEM (PKCS#8) is expected.") from None
        if api_base is not None:
            self._client._core._gate_way = api_base.rstrip("/")  # the library has no parameter for it
        self._merchant_id = merchant_id
        self._public_key_id = public_key_id
        self._timeout_seconds = timeout_seconds
        self._threads = Threads(NAME, threads)
        self._pace = Pace(clock)
        self._nonces: OrderedDict[str, datetime] = OrderedDict()

    @property
    def name(self) -> str:
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    async def close(self) -> None:
        """Start no more calls."""
        self._threads.close()

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """POST /v3/refund/domestic/refunds; the number is the attempt's, so a repetition pays nothing more.

        When the call would exceed WeChat Pay's documented rates, it is not made: declined, may be tried again.
        """
        if instruction.currency != CURRENCY:
            return RefundResult(RefundResultKind.DECLINED, f"WeChat Pay refunds {CURRENCY}, not {instruction.currency}")
        wait_seconds = self._pace.seconds_to_wait(instruction.payment_id, refund_number(instruction.attempt_id))
        if wait_seconds > 0:
            return _for_now("rate_limited", wait_seconds)
        return await in_time(self._send(instruction), self._timeout_seconds)

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """GET /v3/refund/domestic/refunds/{number}."""
        return await in_time(self._look_up(instruction), self._timeout_seconds)

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | NotificationIgnored | NotificationRefused:
        """Read a notification: signed with WeChat Pay's key, at most five minutes old or ahead, and not a repetition.

        The serial is checked here, because for another one the library would download certificates. Age and nonce are
        checked here, because the library accepts a message of any age. Notifications about payments, other merchants,
        and refunds that others made are ignored (T13).
        """
        signed = self._signed_body(headers, body, now)
        if isinstance(signed, NotificationRefused):
            return signed
        try:
            content = self._client.callback(signed, body)
            if not content:
                return NotificationRefused("it cannot be decrypted: is the API v3 key the right one?", signed=True)
            event = msgspec.convert(content, _Event)
            if event.event_type not in _EVENTS:
                return NotificationIgnored(f"{event.event_type} is not about a refund")
            refund = msgspec.convert(event.resource, _RefundNotice)
        except Exception as error:  # the library raises errors of any kind for an unexpected body
            return NotificationRefused(f"unreadable body: {error}", signed=True)
        return self._notification(event, refund)

    def _notification(
        self, event: _Event, refund: _RefundNotice
    ) -> Notification | NotificationIgnored | NotificationRefused:
        if refund.mchid != self._merchant_id:
            return NotificationIgnored(f"for merchant {refund.mchid}")
        if _EVENTS[event.event_type] is not refund.refund_status:
            reason = f"event type {event.event_type!r}, refund {refund.refund_status}"
            return NotificationRefused(reason, signed=True)
        attempt_id = attempt_of(refund.out_refund_no)
        if attempt_id is None:
            return NotificationIgnored(f"{refund.out_refund_no} was not made by us")
        return Notification(NAME, event.id, attempt_id, _result(refund, refund.refund_status))

    def _signed_body(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> dict[str, str] | NotificationRefused:
        """The headers for the library, after checking serial, age, signature and nonce."""
        found = {name.lower(): value for name, value in headers.items()}
        names = ("Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature", "Wechatpay-Serial")
        picked = {name: found.get(name.lower(), "") for name in names}
        if not all(picked.values()):
            return NotificationRefused(f"{next(name for name in names if not picked[name])} is missing")
        sent_at, nonce, signature, serial = picked.values()
        if serial != self._public_key_id:
            return NotificationRefused(f"signed with {serial!r}, ours is {self._public_key_id}")
        if not (sent_at.isascii() and sent_at.isdecimal() and len(sent_at) <= 11):
            return NotificationRefused("Wechatpay-Timestamp is not a time")
        sent = datetime.fromtimestamp(int(sent_at), UTC)
        if abs(now - sent) > NOTIFICATION_TOLERANCE:
            age_seconds = int((now - sent).total_seconds())
            return NotificationRefused(f"sent {age_seconds} seconds ago, five minutes are allowed")
        try:
            good = rsa_verify(sent_at, nonce, body.decode(), signature, self._public_key)
        except UnicodeDecodeError:
            good = False
        if not good:
            return NotificationRefused("the signature does not match")
        if not self._is_new(nonce, sent, now):
            return NotificationRefused("a replay: this nonce was seen before")
        return {**picked, "Wechatpay-Signature-Type": _SIGNATURE_TYPE}

    def _is_new(self, nonce: str, sent: datetime, now: datetime) -> bool:
        """Remember the nonce of a good signature until the message would be too old anyway; returns whether it is new.

        WeChat Pay signs each delivery anew, so a repeated nonce is a copy made by somebody else. The memory belongs to
        this process and is bounded: a copy that another process accepts changes nothing, because `confirm` is
        idempotent.
        """
        while self._nonces:
            oldest = next(iter(self._nonces.values()))
            if len(self._nonces) < MOST_NONCES and now - oldest <= NOTIFICATION_TOLERANCE:
                break
            self._nonces.popitem(last=False)
        if nonce in self._nonces:
            return False
        self._nonces[nonce] = sent
        return True

    # Calls ------------------------------------------------------------------------------------------------------

    async def _send(self, instruction: RefundInstruction) -> RefundResult:
        number = refund_number(instruction.attempt_id)
        amount = {"refund": instruction.amount_minor, "total": instruction.captured_minor, "currency": CURRENCY}
        payment = {_payment_field(instruction.payment_id): instruction.payment_id}
        reply = await self._call(lambda: self._client.refund(number, amount, reason=_REASON, **payment))
        if isinstance(reply, RefundResult):
            return reply
        status, content = reply
        if status == 200:
            return _result_about(instruction, content)
        self._pace.count_error()
        refused = _result_to_error(status, content)
        if refused.kind is not RefundResultKind.DECLINED or not refused.final:
            return refused
        found = await self._look_up(instruction)
        return refused if found.kind is RefundResultKind.NOT_FOUND else found

    async def _look_up(self, instruction: RefundInstruction) -> RefundResult:
        number = refund_number(instruction.attempt_id)
        reply = await self._call(lambda: self._client.query_refund(number))
        if isinstance(reply, RefundResult):
            return reply
        status, content = reply
        if status == 200:
            return _result_about(instruction, content)
        error = _error(content)
        if (status, error.code) == (404, "RESOURCE_NOT_EXISTS"):
            return RefundResult(RefundResultKind.NOT_FOUND, error.code)
        told = f"look-up answered {status} {error.code}".rstrip()
        return unknown(told, trouble=_trouble_of(status, error))

    async def _call(self, request: Callable[[], tuple[int, str | bytes]]) -> tuple[int, bytes] | RefundResult:
        """The status and body of a response; UNKNOWN when they cannot be read, or when the signature is wrong."""
        try:
            status, content = await self._threads.run(request)
        except OSError as error:  # all of requests
            return no_answer(error)
        except Exception as error:  # plain ones of the library say what they mean
            return unreadable(str(error) if type(error) is Exception else type(error).__name__)
        return status, content.encode() if isinstance(content, str) else content


# Translation -----------------------------------------------------------------------------------------------------


def refund_number(attempt_id: UUID) -> str:
    """The refund's number at WeChat Pay, `out_refund_no`: 32 of the 64 allowed characters."""
    return attempt_id.hex


def _payment_field(payment_id: str) -> str:
    """The parameter for the payment: WeChat Pay's ids have 28 digits; any other id is the merchant's order number."""
    is_theirs = payment_id.isascii() and payment_id.isdecimal() and len(payment_id) == _TRANSACTION_ID_DIGITS
    return "transaction_id" if is_theirs else "out_trade_no"


def _result_about(instruction: RefundInstruction, content: bytes) -> RefundResult:
    """The refund as a result; UNKNOWN unless it is about this attempt, payment, amount and currency."""
    try:
        refund = _read_refund(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return unknown(f"unreadable answer: {error}")
    asked = (
        ("number", refund_number(instruction.attempt_id), refund.out_refund_no),
        ("payment", instruction.payment_id, getattr(refund, _payment_field(instruction.payment_id))),
        ("amount", instruction.amount_minor, refund.amount.refund),
        ("currency", instruction.currency, refund.amount.currency or CURRENCY),
    )
    return doubted(_result(refund, refund.status), asked)


def _result(refund: _Refund | _RefundNotice, status: _Status) -> RefundResult:
    """The refund as a result. ABNORMAL means accepted but not final: somebody must act at WeChat Pay."""
    return RefundResult(
        _KINDS[status],
        _REASONS.get(status, ""),
        provider_refund_id=refund.refund_id,
        payment_ids=tuple(filter(None, (refund.transaction_id, refund.out_trade_no))),
        amount_minor=refund.amount.refund,
        currency=refund.amount.currency or CURRENCY,
        occurred_at=refund.success_time,
        stuck=status is _Status.ABNORMAL,
    )


def _result_to_error(status: int, content: bytes) -> RefundResult:
    """The result of an error.

    DECLINED only for WeChat Pay's own codes: a gateway's 404 says nothing about the money.
    """
    error = _error(content)
    reason = f"{error.code}: {error.message}".rstrip(": ")
    if status == 429 or (status == 400 and "频率" in error.message):  # some rate limits come as INVALID_REQUEST
        return _for_now(reason or "rate_limited", AGAIN_AFTER_SECONDS)
    if (status, error.code) in _REFUSED_FOR_NOW:
        return replace(_for_now(reason), trouble=_trouble_of(status, error))
    if (status, error.code) in _REFUSED_FOR_GOOD:
        return RefundResult(RefundResultKind.DECLINED, reason)
    return unknown(reason or f"WeChat Pay answered {status}", trouble=_trouble_of(status, error))


def _trouble_of(status: int, error: _Error) -> CallTrouble | None:
    """What a refusal says of our account at WeChat Pay, or of WeChat Pay, whichever refund it is about."""
    if error.code in _OURS_TO_MEND:
        return CallTrouble.UNAUTHORISED
    return trouble_of(status, error.code)


def _error(content: bytes) -> _Error:
    try:
        return _read_error(content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Error("")


def _for_now(reason: str, retry_after_seconds: float | None = None) -> RefundResult:
    return RefundResult(RefundResultKind.DECLINED, reason, final=False, retry_after_seconds=retry_after_seconds)
