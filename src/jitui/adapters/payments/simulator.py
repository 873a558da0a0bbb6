"""The provider simulator behind the port, over HTTP like any other provider."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

import aiohttp
import msgspec
from msgspec import Meta, Struct

from jitui.adapters.payments.calls import Closing, doubted, no_answer, trouble_of, unknown, unreadable
from jitui.aftersales.provider import (
    BOTH,
    CallTrouble,
    Capabilities,
    Notification,
    NotificationRefused,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)
from jitui.aftersales.reconciliation.restore import ProviderRefund
from jitui.errors import NotConfigured, Unavailable

NAME = "simulator"
NOTIFICATION_TOLERANCE = timedelta(minutes=5)
MAX_ANSWER_BYTES = 1024 * 1024
_CONNECTIONS = 256


class _Status(StrEnum):
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_KINDS = {
    _Status.PENDING: RefundResultKind.PENDING,
    _Status.SUCCEEDED: RefundResultKind.SUCCEEDED,
    _Status.FAILED: RefundResultKind.DECLINED,
}


class _Refund(Struct, frozen=True):
    id: str
    reference: str
    payment_id: str
    amount_minor: int
    currency: str
    status: _Status
    updated_at: Annotated[datetime, Meta(tz=True)]
    failure_code: str = ""
    advanced: bool = False


class _Lookup(Struct, frozen=True):
    refunds: list[_Refund]


class _RefundPage(Struct, frozen=True):
    refunds: list[_Refund]
    has_more: bool


class _Error(Struct, frozen=True):
    code: str
    message: str = ""


class _ErrorBody(Struct, frozen=True):
    error: _Error


class _EventData(Struct, frozen=True):
    refund: _Refund


class _Event(Struct, frozen=True):
    type: str
    data: _EventData


_read_refund = msgspec.json.Decoder(_Refund).decode
_read_lookup = msgspec.json.Decoder(_Lookup).decode
_read_page = msgspec.json.Decoder(_RefundPage).decode
_read_error = msgspec.json.Decoder(_ErrorBody).decode
_read_event = msgspec.json.Decoder(_Event).decode
_encode = msgspec.json.Encoder().encode

_REFUSED_FOR_GOOD = frozenset(
    {
        "unknown_payment",
        "amount_not_positive",
        "currency_differs",
        "amount_exceeds_refundable",
        "malformed_request",
    }
)
"""Codes that mean that nothing was done and nothing will be; any other refusal is UNKNOWN."""


class SimulatorProvider(Closing):
    """The simulator as a provider. One per event loop; a context manager that closes the HTTP client it made."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        webhook_secret: str,
        timeout_seconds: float = 10.0,
        key_life: timedelta | None = None,
        client: aiohttp.ClientSession | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._authorization = f"Bearer {api_key}"
        self._webhook_keys = _webhook_keys(webhook_secret)
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._key_life = key_life
        self._client = client
        self._owns_client = client is None

    @property
    def name(self) -> str:
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        return BOTH

    async def close(self) -> None:
        """Close the HTTP client, unless the caller provided it."""
        if self._owns_client and self._client is not None:
            await self._client.close()
            self._client = None

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """POST /refunds with the attempt's id as idempotency key and reference."""
        asked = {
            "reference": str(instruction.attempt_id),
            "payment_id": instruction.payment_id,
            "amount_minor": instruction.amount_minor,
            "currency": instruction.currency,
        }
        body = _encode({**asked, "advance": True} if instruction.may_advance else asked)
        headers = {"idempotency-key": str(instruction.attempt_id), "content-type": "application/json"}
        reply = await self._call("POST", "/refunds", body, headers)
        if isinstance(reply, RefundResult):
            return reply
        status, retry_after, content = reply
        if status == 201:
            return _result_about(instruction, _decoded_refund(content))
        return _result_to_error(status, retry_after, content)

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """GET /refunds/{attempt}; UNKNOWN when there are two refunds of one attempt."""
        reply = await self._call("GET", f"/refunds/{instruction.attempt_id}", None, {})
        if isinstance(reply, RefundResult):
            return reply
        status, _, content = reply
        if status == 404 and _error_code(content) == "unknown_reference":
            return RefundResult(RefundResultKind.NOT_FOUND, "unknown_reference", key_life=self._key_life)
        if status != 200:
            code = _error_code(content)
            return unknown(f"look-up answered {status} {code or ''}".rstrip(), trouble=trouble_of(status, code))
        try:
            found = _read_lookup(content).refunds
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return unreadable(str(error))
        if len(found) != 1:
            return unknown(f"the provider has {len(found)} refunds of this attempt")
        return _result_about(instruction, found[0])

    async def refunds_since(self, since: datetime) -> list[ProviderRefund]:
        """GET /refunds?since=…, as `jitui.aftersales.reconciliation.restore.RefundListing` requires."""
        found: list[ProviderRefund] = []
        while True:
            page = await self._refund_page(since, len(found))
            found += [_listed(refund) for refund in page.refunds]
            if not page.has_more:
                return found

    async def _refund_page(self, since: datetime, offset: int) -> _RefundPage:
        query = urlencode({"since": since.isoformat(), "offset": offset})
        reply = await self._call("GET", f"/refunds?{query}", None, {})
        if isinstance(reply, RefundResult):
            raise Unavailable(f"The simulator did not list its refunds: {reply.reason}.")
        status, _, content = reply
        if status != 200:
            raise Unavailable(f"The simulator did not list its refunds: it answered {status}.")
        try:
            return _read_page(content)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unavailable(f"The simulator's list of refunds cannot be read: {error}.") from error

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | NotificationRefused:
        """Read a Standard Webhooks message, signed with our secret, at most five minutes old or ahead."""
        event_id = _signed_event_id(self._webhook_keys, headers, body, now)
        if isinstance(event_id, NotificationRefused):
            return event_id
        try:
            event = _read_event(body)
            attempt_id = UUID(event.data.refund.reference)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return NotificationRefused(f"unreadable body: {error}", signed=True)
        except ValueError:
            return NotificationRefused("the reference is not one of our attempts", signed=True)
        refund = event.data.refund
        if event.type != f"refund.{refund.status}":
            return NotificationRefused(f"event type {event.type!r}, refund {refund.status}", signed=True)
        return Notification(NAME, event_id, attempt_id, _result_from(refund))

    async def _call(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, str | None, bytes] | RefundResult:
        """The status, Retry-After and body of a response; UNKNOWN when one of them cannot be read."""
        try:
            async with self._session().request(
                method,
                self._base_url + path,
                data=body,
                headers={"authorization": self._authorization, **headers},
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                content = await response.content.read(MAX_ANSWER_BYTES + 1)
                while len(content) <= MAX_ANSWER_BYTES and (more := await response.content.readany()):
                    content += more
                if len(content) > MAX_ANSWER_BYTES:
                    return unreadable("it is too long")
                return response.status, response.headers.get("retry-after"), content
        except (aiohttp.ClientError, OSError) as error:  # a time-out is one
            return no_answer(error)

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS))
        return self._client


def _listed(refund: _Refund) -> ProviderRefund:
    return ProviderRefund(
        provider=NAME,
        provider_refund_id=refund.id,
        payment_ids=(refund.payment_id,),
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        at=refund.updated_at,
        kind=_KINDS[refund.status],
        reference=refund.reference,
        advanced=refund.advanced,
    )


def _decoded_refund(content: bytes) -> _Refund | RefundResult:
    try:
        return _read_refund(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return unreadable(str(error))


def _result_about(instruction: RefundInstruction, refund: _Refund | RefundResult) -> RefundResult:
    """Believed only where it speaks of this attempt, this payment and this amount."""
    if isinstance(refund, RefundResult):
        return refund
    asked = (
        ("reference", str(instruction.attempt_id), refund.reference),
        ("payment", instruction.payment_id, refund.payment_id),
        ("amount", instruction.amount_minor, refund.amount_minor),
        ("currency", instruction.currency, refund.currency.upper()),
    )
    return doubted(_result_from(refund), asked)


def _result_from(refund: _Refund) -> RefundResult:
    return RefundResult(
        _KINDS[refund.status],
        refund.failure_code,
        provider_refund_id=refund.id,
        payment_ids=(refund.payment_id,),
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        occurred_at=refund.updated_at,
        advanced=refund.advanced,
    )


def _result_to_error(status: int, retry_after: str | None, content: bytes) -> RefundResult:
    """The result of an error.

    DECLINED only for the provider's own codes: a proxy's 404 says nothing about the money.
    """
    code = _error_code(content)
    if status == 429:
        return RefundResult(
            RefundResultKind.DECLINED, "rate_limited", final=False, retry_after_seconds=_seconds(retry_after)
        )
    if status == 401 and code == "unauthorised":
        return RefundResult(RefundResultKind.DECLINED, code, final=False, trouble=CallTrouble.UNAUTHORISED)
    if status == 422 and code == "insufficient_balance":
        return RefundResult(RefundResultKind.DECLINED, code, final=False)
    if 400 <= status < 500 and code in _REFUSED_FOR_GOOD:
        return RefundResult(RefundResultKind.DECLINED, code)
    return unknown(code or f"the provider answered {status}", trouble=trouble_of(status, code))


def _error_code(content: bytes) -> str | None:
    try:
        return _read_error(content).error.code
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None


# --- Standard Webhooks 1.0, symmetric signatures -----------------------------------------------------------


def _webhook_keys(secrets: str) -> tuple[bytes, ...]:
    """The keys of one or several secrets, separated by spaces; while a secret changes, both are accepted."""
    return tuple(_webhook_key(secret) for secret in secrets.split() or [""])


def _webhook_key(secret: str) -> bytes:
    try:
        if not secret.startswith("whsec_"):
            raise ValueError
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not key:
        raise NotConfigured("the simulator's webhook secret is 'whsec_' and base64")
    return key


def _signed_event_id(
    keys: tuple[bytes, ...], headers: Mapping[str, str], body: bytes, now: datetime
) -> str | NotificationRefused:
    """The event's id, after checking signature and age."""
    found = {name.lower(): value for name, value in headers.items()}
    event_id = found.get("webhook-id")
    sent_at = found.get("webhook-timestamp")
    signatures = found.get("webhook-signature")
    if not event_id or not sent_at or not signatures:
        return NotificationRefused("webhook-id, webhook-timestamp or webhook-signature is missing")
    if not (sent_at.isascii() and sent_at.isdecimal() and len(sent_at) <= 11):
        return NotificationRefused("webhook-timestamp is not a time")
    signed = f"{event_id}.{sent_at}.".encode() + body
    if not any(_signature_is_good(key, signed, signatures) for key in keys):
        return NotificationRefused("the signature does not match")
    age = now - datetime.fromtimestamp(int(sent_at), UTC)
    if abs(age) > NOTIFICATION_TOLERANCE:
        return NotificationRefused(f"sent {int(age.total_seconds())} seconds ago, five minutes are allowed")
    return event_id


def _signature_is_good(key: bytes, signed: bytes, signatures: str) -> bool:
    """Whether one of the space-separated v1 signatures is ours; while a secret changes there are two."""
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    good = False
    for signature in signatures.split():
        version, _, value = signature.partition(",")
        good |= version == "v1" and hmac.compare_digest(value.encode(), expected)
    return good
