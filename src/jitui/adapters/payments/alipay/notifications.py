"""Alipay's notifications about trades: form parameters, signed with RSA2."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from jitui.adapters.payments.alipay.client import GatewayClient
from jitui.adapters.payments.alipay.fields import CURRENCY, minor_of, moment_of
from jitui.adapters.payments.calls import attempt_of
from jitui.aftersales.provider import (
    Notification,
    NotificationIgnored,
    NotificationRefused,
    RefundResult,
    RefundResultKind,
)

NAME = "alipay"
NOTIFICATION_MAX_AGE = timedelta(hours=26)
"""Alipay repeats a notification for 25 hours, and does not promise a new `notify_time` for a repetition."""
NOTIFICATION_MAX_AHEAD = timedelta(minutes=5)
ACKNOWLEDGED = "success"
"""The body that Alipay expects; after any other it sends the notification again."""

_CHARSETS = {"utf-8": "utf-8", "gbk": "gb18030", "gb2312": "gb18030"}


def read_notification(
    client: GatewayClient, app_id: str, body: bytes, now: datetime
) -> Notification | NotificationIgnored | NotificationRefused:
    """A notification for this app; see `AlipayProvider.read_notification`."""
    told = _signed_parameters(client, body)
    if isinstance(told, NotificationRefused):
        return told
    refused = _age_refused(told.get("notify_time", ""), now)
    if refused is not None:
        return refused
    if told.get("app_id") != app_id:
        return _not_ours(f"for app {told.get('app_id')}")
    return _notification(told)


def _signed_parameters(client: GatewayClient, body: bytes) -> dict[str, str] | NotificationRefused:
    """The form's parameters, after checking Alipay's signature over all others, sorted by name."""
    try:
        text = body.decode("ascii")
        charset = _CHARSETS[dict(parse_qsl(text)).get("charset", "utf-8").lower()]
        pairs = parse_qsl(text, keep_blank_values=True, encoding=charset, errors="strict")
    except (ValueError, KeyError):
        return NotificationRefused("the body is not a form of parameters")
    told = dict(pairs)
    if len(told) != len(pairs):
        return NotificationRefused("a parameter comes twice")
    signature, kind = told.pop("sign", ""), told.pop("sign_type", "")
    signed = "&".join(f"{name}={value}" for name, value in sorted(told.items())).encode(charset)
    if kind != "RSA2" or not client.is_signed(signed, signature):
        return NotificationRefused("the signature does not match")
    return told


def _age_refused(notify_time: str, now: datetime) -> NotificationRefused | None:
    sent_at = moment_of(notify_time)
    if sent_at is None:
        return NotificationRefused("notify_time is not a time")
    if -NOTIFICATION_MAX_AHEAD <= now - sent_at <= NOTIFICATION_MAX_AGE:
        return None
    return NotificationRefused(f"sent {int((now - sent_at).total_seconds())} seconds ago, 26 hours are allowed")


def _notification(told: Mapping[str, str]) -> Notification | NotificationIgnored | NotificationRefused:
    """A notification is about a refund when it has gmt_refund and out_biz_no, which is the refund's number."""
    if not told.get("gmt_refund") or not told.get("refund_fee"):
        return _not_ours("it is about no refund")
    attempt_id = attempt_of(told.get("out_biz_no", ""))
    if attempt_id is None:
        return _not_ours("the refund is not one of our attempts")
    if told.get("trade_status") not in ("TRADE_SUCCESS", "TRADE_CLOSED", "TRADE_FINISHED"):
        return NotificationRefused(f"a refund of a trade that is {told.get('trade_status')!r}", signed=True)
    if not minor_of(told["refund_fee"]) or moment_of(told["gmt_refund"]) is None or not told.get("notify_id"):
        return NotificationRefused("refund_fee, gmt_refund or notify_id cannot be read", signed=True)
    payment_ids = tuple(filter(None, (told.get("trade_no"), told.get("out_trade_no"))))
    if not payment_ids:
        return NotificationRefused("neither trade_no nor out_trade_no is told", signed=True)
    result = RefundResult(
        RefundResultKind.SUCCEEDED,
        provider_refund_id=told.get("trade_no") or None,
        payment_ids=payment_ids,
        currency=CURRENCY,
        refunds_in_all_minor=minor_of(told["refund_fee"]),
        occurred_at=moment_of(told["gmt_refund"]),
    )
    return Notification(NAME, told["notify_id"], attempt_id, result, acknowledgement=ACKNOWLEDGED)


def _not_ours(why: str) -> NotificationIgnored:
    """Ignore a signed notification that does not concern us; it is acknowledged, so that Alipay stops sending it."""
    return NotificationIgnored(why, acknowledgement=ACKNOWLEDGED)
