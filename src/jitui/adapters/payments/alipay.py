"""Alipay behind the port, through `python-alipay-sdk` and its open gateway (RSA2, JSON, business code and sub code).

What its answers mean is from the provider's pages of `alipay.trade.refund`, `alipay.trade.fastpay.refund.query`, the
common error codes and the asynchronous notification. Three of them are easy to get wrong: code 10000 is no success,
`refund_fee` is all that the trade was ever refunded, and one `out_request_no` is paid once, however often it comes.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl
from urllib.request import urlopen
from zoneinfo import ZoneInfo

import msgspec
from alipay import AliPay
from Cryptodome.Hash import SHA256
from Cryptodome.PublicKey import RSA
from Cryptodome.Signature import PKCS1_v1_5
from msgspec import Struct

from jitui.adapters.payments.calls import THREADS, Closing, Threads, attempt_of, doubted, in_time, unknown
from jitui.aftersales.provider import (
    BOTH,
    Capabilities,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)
from jitui.errors import NotConfigured

NAME = "alipay"
GATEWAY = "https://openapi.alipay.com/gateway.do"
CURRENCY = "CNY"
BEIJING = ZoneInfo("Asia/Shanghai")
"""The gateway reads and writes times of day of this zone, without saying so."""

NOTIFICATION_MAX_AGE = timedelta(hours=26)
"""Alipay repeats a notification for 25 hours, and nothing promises that a repetition has a new `notify_time`."""
NOTIFICATION_MAX_AHEAD = timedelta(minutes=5)
ACKNOWLEDGED = "success"
"""What Alipay wants to read, and nothing else; after anything else it sends again."""

ASK_AGAIN_SECONDS = 10.0
"""A refund may be missing from the provider's look-up for so long after it was asked for."""
BALANCE_SECONDS = 600.0
"""How soon a refund is tried again for which the seller's balance is too short: somebody has to pay in first."""

MAX_ANSWER_BYTES = 1024 * 1024
_REASON_CHARACTERS = 256

_FINAL = frozenset(
    f"ACQ.{code}"
    for code in (
        "ALLOC_AMOUNT_VALIDATE_ERROR",
        "BUYER_ENABLE_STATUS_FORBID",
        "BUYER_ERROR",
        "BUYER_NOT_EXIST",
        "CURRENCY_NOT_SUPPORT",
        "CUSTOMER_VALIDATE_ERROR",
        "ENTERPRISE_PAY_BIZ_ERROR",
        "INVALID_PARAMETER",
        "NOT_ALLOW_PARTIAL_REFUND",
        "ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND",
        "OVERDRAFT_AGREEMENT_NOT_MATCH",
        "OVERDRAFT_ASSIGN_ACCOUNT_INVALID",
        "REASON_TRADE_BEEN_FREEZEN",
        "REFUNDALLOC_UNAUTH_LIMIT",
        "REFUND_ACCOUNT_NOT_EXIST",
        "REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST",
        "TRADE_NOT_EXIST",
        "TRADE_SETTLE_ERROR",
        "USER_NOT_MATCH_ERR",
    )
)
"""Signed words for "nothing was done", which waiting does not mend: somebody has to change something first."""

_FINAL_UNLESS_DONE = frozenset(
    f"ACQ.{code}"
    for code in (
        "REASON_TRADE_REFUND_FEE_ERR",
        "REASON_TRADE_STATUS_INVALID",
        "REFUND_AMT_NOT_EQUAL_TOTAL",
        "REFUND_FEE_ERROR",
        "TRADE_HAS_CLOSE",
        "TRADE_HAS_FINISHED",
        "TRADE_NOT_ALLOW_REFUND",
        "TRADE_STATUS_ERROR",
    )
)
"""The same about a trade's state or rest, which this very refund, already paid, may have brought about: look it up."""

_BALANCE = "ACQ.SELLER_BALANCE_NOT_ENOUGH"
_NO_TRADE = frozenset({"ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST"})
_OURS_TO_MEND = frozenset({"20001", "40001", "40002", "40003", "40006"})
"""Refused at the gateway's door: key, permission or form of our request. Nothing was done; mended, it goes through."""
_RATE_LIMITED = "40005"


class _Node(Struct, frozen=True):
    """What an answer of either call may say; absent and empty are the same."""

    code: str
    msg: str = ""
    sub_code: str = ""
    trade_no: str = ""
    out_trade_no: str = ""
    out_request_no: str = ""
    fund_change: str = ""
    refund_fee: str = ""
    refund_status: str = ""
    refund_amount: str = ""
    gmt_refund_pay: str = ""


class _Reply(Struct, frozen=True):
    node: _Node
    signed: bool


_JSON = json.JSONDecoder()
_read_node = msgspec.json.Decoder(_Node).decode


class AlipayProvider(Closing):
    """One per event loop; a context manager that owns the threads in which the library waits."""

    def __init__(
        self,
        *,
        app_id: str,
        private_key: str,
        public_key: str,
        gateway: str | None = None,
        timeout_seconds: float = 10.0,
        threads: int = THREADS,
    ) -> None:
        """Raises NotConfigured for a key that cannot be used; opens no connection."""
        self._app_id = app_id
        self._client = _Client(app_id, *_keys(private_key, public_key), gateway or GATEWAY, timeout_seconds)
        self._timeout_seconds = timeout_seconds
        self._threads = Threads(NAME, threads)

    @property
    def name(self) -> str:
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        return BOTH

    async def close(self) -> None:
        """Begin no more calls."""
        self._threads.close()

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """alipay.trade.refund with the attempt's id as out_request_no: asked again, it pays nothing more."""
        if instruction.currency != CURRENCY:
            return RefundResult(RefundResultKind.DECLINED, f"Alipay refunds {CURRENCY}, not {instruction.currency}")
        if instruction.amount_minor <= 0:
            return RefundResult(RefundResultKind.DECLINED, "amount_not_positive")
        return await in_time(self._send(instruction), self._timeout_seconds)

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """alipay.trade.fastpay.refund.query; NOT_FOUND also for one not there yet, as sending again is safe."""
        return await in_time(self._look_up(instruction), self._timeout_seconds)

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | NotificationIgnored | NotificationRefused:
        """A form of parameters, signed with RSA2 by Alipay, at most 26 hours old.

        News of payments, of other apps and of refunds that others made is ignored (T13). It proves that this attempt
        was refunded, not how much: its `refund_fee` is the trade's sum of all refunds.
        """
        told = _signed_parameters(self._client, body)
        if isinstance(told, NotificationRefused):
            return told
        refused = _age_refused(told.get("notify_time", ""), now)
        if refused is not None:
            return refused
        if told.get("app_id") != self._app_id:
            return _not_ours(f"for app {told.get('app_id')}")
        return _notification(told)

    async def _send(self, instruction: RefundInstruction) -> RefundResult:
        content = {
            **_trade(instruction.payment_id),
            "refund_amount": _yuan(instruction.amount_minor),
            "refund_reason": f"订单 {instruction.order_id} 退款"[:_REASON_CHARACTERS],
            "out_request_no": instruction.attempt_id.hex,
        }
        reply = await self._call("alipay.trade.refund", content)
        if isinstance(reply, RefundResult):
            return reply
        if reply.node.code == "10000":
            return _result_to_refund(instruction, reply)
        result = _result_to_error(reply)
        if result.kind is RefundResultKind.DECLINED and reply.node.sub_code in _FINAL_UNLESS_DONE:
            found = await self._look_up(instruction)
            return result if found.kind is RefundResultKind.NOT_FOUND else found
        return result

    async def _look_up(self, instruction: RefundInstruction) -> RefundResult:
        content = {
            **_trade(instruction.payment_id),
            "out_request_no": instruction.attempt_id.hex,
            "query_options": ["gmt_refund_pay"],
        }
        reply = await self._call("alipay.trade.fastpay.refund.query", content)
        return reply if isinstance(reply, RefundResult) else _result_to_query(instruction, reply)

    async def _call(self, method: str, content: dict[str, Any]) -> _Reply | RefundResult:
        """The gateway's word, signed or not; whatever keeps us from reading it is UNKNOWN."""
        try:
            reply: _Reply = await self._threads.run(self._client.server_api, method, content)
            return reply
        except TimeoutError:
            return unknown("no answer in time")
        except OSError as error:
            return unknown(f"connection broken: {type(error).__name__}")
        except Exception as error:  # the library and http.client raise what they like, and none of it is knowledge
            return unknown(f"unreadable answer: {type(error).__name__}")


class _Client(AliPay):  # type: ignore[misc]  # the library has no types
    """The library with the gateway's zone, a limit on time and size, and a signature that is never passed over.

    As it comes, it stamps requests with the machine's own time of day, raises on every unsigned error without saying
    which, and returns another parse of the answer than the one whose signature it checked.
    """

    def __init__(self, app_id: str, private: Any, public: Any, gateway: str, timeout_seconds: float) -> None:
        self._keys = private, public
        super().__init__(app_id, sign_type="RSA2")
        self._gateway = gateway
        self._timeout_seconds = timeout_seconds

    def _load_key(self) -> None:
        self._app_private_key, self._alipay_public_key = self._keys

    def build_body(self, method: str, biz_content: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        now = datetime.now(BEIJING).strftime(_TIME)
        body: dict[str, Any] = super().build_body(method, biz_content, timestamp=now, **more)
        return body

    def verified_sync_response(self, data: dict[str, Any], response_type: str) -> _Reply:
        deadline = monotonic() + self._timeout_seconds
        content = b""
        with urlopen(f"{self._gateway}?{self.sign_data(data)}", timeout=self._timeout_seconds) as answer:
            while chunk := answer.read1(65_536):
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise ValueError("the answer is too long")
                if monotonic() > deadline:
                    raise TimeoutError
        text = content.decode()
        told = json.loads(text)
        name = response_type if response_type in told else "error_response"
        start = text.index("{", text.index(f'"{name}"'))
        raw = text[start : _JSON.raw_decode(text, start)[1]]  # the signed text itself; the library counts braces
        return _Reply(_read_node(raw), signed=self.is_signed(raw.encode(), told.get("sign")))

    def is_signed(self, content: bytes, signature: object) -> bool:
        """Whether this is Alipay's signature of exactly these bytes; the library's own check knows UTF-8 alone."""
        if not isinstance(signature, str) or not signature:
            return False
        try:
            return bool(PKCS1_v1_5.new(self.alipay_public_key).verify(SHA256.new(content), base64.b64decode(signature)))
        except ValueError:
            return False


# What answers mean ---------------------------------------------------------------------------------------------


def _result_to_refund(instruction: RefundInstruction, reply: _Reply) -> RefundResult:
    """Code 10000: the call was taken. Money moved only with fund_change=Y; all else is for the look-up to say."""
    node = reply.node
    if not reply.signed:
        return unknown("the answer's signature does not match")
    if node.fund_change != "Y":
        return RefundResult(
            RefundResultKind.UNKNOWN, "no funds moved with this call", retry_after_seconds=ASK_AGAIN_SECONDS
        )
    refunded = _minor(node.refund_fee)  # of the whole trade, so no less than ours
    result = _succeeded(node, refunds_in_all_minor=refunded)
    if refunded is None or refunded < instruction.amount_minor:
        told = node.refund_fee or "not told"
        reason = f"the trade's refunds are {told}, asked was {_yuan(instruction.amount_minor)}"
        return replace(result, kind=RefundResultKind.UNKNOWN, reason=reason)
    return doubted(result, [_payment_told(instruction, node)])


def _result_to_query(instruction: RefundInstruction, reply: _Reply) -> RefundResult:
    node = reply.node
    if not reply.signed:
        return unknown(_gateway_words(node) if node.code != "10000" else "the answer's signature does not match")
    if node.code == "40004" and node.sub_code in _NO_TRADE:
        return RefundResult(RefundResultKind.NOT_FOUND, node.sub_code)
    if node.code != "10000":
        return unknown(_gateway_words(node))
    if not node.refund_status and not node.refund_amount:
        return RefundResult(RefundResultKind.NOT_FOUND, "no refund of this number")
    if node.refund_status != "REFUND_SUCCESS":
        return unknown(f"refund_status is {node.refund_status or 'not told'}")
    amount_minor = _minor(node.refund_amount)
    asked = (
        _payment_told(instruction, node),
        ("out_request_no", instruction.attempt_id.hex, node.out_request_no),
        (
            "amount",
            _yuan(instruction.amount_minor),
            node.refund_amount if amount_minor is None else _yuan(amount_minor),
        ),
    )
    return doubted(_succeeded(node, amount_minor=amount_minor), asked)


def _succeeded(
    node: _Node, *, amount_minor: int | None = None, refunds_in_all_minor: int | None = None
) -> RefundResult:
    """Alipay gives a refund no number of its own; the trade's stands for it."""
    return RefundResult(
        RefundResultKind.SUCCEEDED,
        provider_refund_id=node.trade_no or None,
        payment_ids=tuple(filter(None, (node.trade_no, node.out_trade_no))),
        amount_minor=amount_minor,
        currency=CURRENCY,
        refunds_in_all_minor=refunds_in_all_minor,
        occurred_at=_time(node.gmt_refund_pay),
    )


def _result_to_error(reply: _Reply) -> RefundResult:
    """DECLINED for good only by a signed and documented word; refusals at the gateway's door come without signature."""
    node = reply.node
    words = _gateway_words(node)
    if "SYSTEM_ERROR" in node.sub_code or "unknow-error" in node.sub_code:
        return unknown(words)
    if node.code == _RATE_LIMITED or node.code in _OURS_TO_MEND:
        return RefundResult(RefundResultKind.DECLINED, words, final=False)
    if node.code != "40004" or not reply.signed:
        return unknown(words)
    if node.sub_code == _BALANCE:
        return RefundResult(RefundResultKind.DECLINED, words, final=False, retry_after_seconds=BALANCE_SECONDS)
    if node.sub_code in _FINAL or node.sub_code in _FINAL_UNLESS_DONE:
        return RefundResult(RefundResultKind.DECLINED, words)
    return unknown(words)  # also ACQ.DISCORDANT_REPEAT_REQUEST: something was paid under this number (T28)


def _payment_told(instruction: RefundInstruction, node: _Node) -> tuple[str, str, str]:
    """The payment's number as it was asked for, and as the answer has it."""
    ((name, asked),) = _trade(instruction.payment_id).items()
    return name, asked, getattr(node, name)


def _gateway_words(node: _Node) -> str:
    return node.sub_code or f"{node.code} {node.msg}".rstrip()


# Forms ---------------------------------------------------------------------------------------------------------

_TIME = "%Y-%m-%d %H:%M:%S"
_TRADE_NO = re.compile(r"20\d{26}")
_YUAN = re.compile(r"(\d{1,13})(?:\.(\d{1,2}))?")


def _trade(payment_id: str) -> dict[str, str]:
    """A trade number of Alipay's has 28 digits and begins with its day; all else is the merchant's own number."""
    return {"trade_no" if _TRADE_NO.fullmatch(payment_id) else "out_trade_no": payment_id}


def _yuan(amount_minor: int) -> str:
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"


def _minor(yuan: str) -> int | None:
    found = _YUAN.fullmatch(yuan) if yuan.isascii() else None
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else None


def _time(text: str) -> datetime | None:
    """A time of day in Beijing, at times with a fraction of a second."""
    try:
        return datetime.strptime(text.partition(".")[0], _TIME).replace(tzinfo=BEIJING).astimezone(UTC)
    except ValueError:
        return None


# Keys ----------------------------------------------------------------------------------------------------------


def _keys(private_key: str, public_key: str) -> tuple[Any, Any]:
    private = _key(private_key, "the app's private key")
    public = _key(public_key, "Alipay's public key")
    if not private.has_private():
        raise NotConfigured("Alipay: the app's private key is a public one; give the private key of the app.")
    if public.has_private() or public.n == private.n:
        raise NotConfigured(
            "Alipay: the public key is the app's own; give Alipay's public key, which the open platform shows."
        )
    return private, public


def _key(text: str, what: str) -> Any:
    """PEM, or the bare base64 that Alipay's own key tool writes."""
    try:
        if text.lstrip().startswith("-----BEGIN"):
            return RSA.import_key(text.strip())
        return RSA.import_key(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, IndexError, TypeError, binascii.Error):
        raise NotConfigured(f"Alipay: {what} cannot be read; it is an RSA key as PEM or as base64.") from None


# Notifications -------------------------------------------------------------------------------------------------

_CHARSETS = {"utf-8": "utf-8", "gbk": "gb18030", "gb2312": "gb18030"}


def _signed_parameters(client: _Client, body: bytes) -> dict[str, str] | NotificationRefused:
    """The form's parameters once Alipay's signature over all others, sorted by name, is good."""
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
    sent_at = _time(notify_time)
    if sent_at is None:
        return NotificationRefused("notify_time is not a time")
    if -NOTIFICATION_MAX_AHEAD <= now - sent_at <= NOTIFICATION_MAX_AGE:
        return None
    return NotificationRefused(f"sent {int((now - sent_at).total_seconds())} seconds ago, 26 hours are allowed")


def _notification(told: Mapping[str, str]) -> Notification | NotificationIgnored | NotificationRefused:
    """A trade's news is about a refund where it has gmt_refund and, as out_biz_no, the number of the refund."""
    if not told.get("gmt_refund") or not told.get("refund_fee"):
        return _not_ours("it is about no refund")
    attempt_id = attempt_of(told.get("out_biz_no", ""))
    if attempt_id is None:
        return _not_ours("the refund is not one of our attempts")
    if told.get("trade_status") not in ("TRADE_SUCCESS", "TRADE_CLOSED", "TRADE_FINISHED"):
        return NotificationRefused(f"a refund of a trade that is {told.get('trade_status')!r}", signed=True)
    if not _minor(told["refund_fee"]) or _time(told["gmt_refund"]) is None or not told.get("notify_id"):
        return NotificationRefused("refund_fee, gmt_refund or notify_id cannot be read", signed=True)
    payment_ids = tuple(filter(None, (told.get("trade_no"), told.get("out_trade_no"))))
    if not payment_ids:
        return NotificationRefused("neither trade_no nor out_trade_no is told", signed=True)
    result = RefundResult(
        RefundResultKind.SUCCEEDED,
        provider_refund_id=told.get("trade_no") or None,
        payment_ids=payment_ids,
        currency=CURRENCY,
        refunds_in_all_minor=_minor(told["refund_fee"]),
        occurred_at=_time(told["gmt_refund"]),
    )
    return Notification(NAME, told["notify_id"], attempt_id, result, acknowledgement=ACKNOWLEDGED)


def _not_ours(why: str) -> NotificationIgnored:
    """Signed by Alipay and no business of ours: taken, so that Alipay stops sending it."""
    return NotificationIgnored(why, acknowledgement=ACKNOWLEDGED)
