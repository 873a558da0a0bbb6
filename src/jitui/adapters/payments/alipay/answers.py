"""Translates responses to a refund and to its look-up, by business code and sub code."""

from __future__ import annotations

from dataclasses import replace

from jitui.adapters.payments.alipay.client import Node, Reply
from jitui.adapters.payments.alipay.fields import CURRENCY, minor_of, moment_of, trade_parameter
from jitui.adapters.payments.calls import doubted, unknown
from jitui.aftersales.provider import CallTrouble, RefundInstruction, RefundResult, RefundResultKind
from jitui.money import to_decimal_text

ASK_AGAIN_SECONDS = 10.0
"""How long a refund may be missing from Alipay's look-up after it was requested."""
BALANCE_SECONDS = 600.0
"""When to retry a refund for which the seller's balance is too low: somebody has to pay in first."""

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
"""Signed codes that mean that nothing was done and that a retry will not help."""

FINAL_UNLESS_DONE = frozenset(
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
"""Codes about the trade's state or remaining amount, which this refund itself may have caused: look it up first."""

_BALANCE = "ACQ.SELLER_BALANCE_NOT_ENOUGH"
_NO_TRADE = frozenset({"ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST"})
_OURS_TO_MEND = frozenset({"20001", "40001", "40002", "40003", "40006"})
"""Refused by the gateway: our key, permission or request is wrong.

Nothing was done; once corrected, it can be retried.
"""
_RATE_LIMITED = "40005"


def result_to_refund(instruction: RefundInstruction, reply: Reply) -> RefundResult:
    """The result of a response with code 10000. Money moved only with fund_change=Y; otherwise the look-up tells."""
    node = reply.node
    if not reply.signed:
        return _not_signed()
    if node.fund_change != "Y":
        return RefundResult(
            RefundResultKind.UNKNOWN, "no funds moved with this call", retry_after_seconds=ASK_AGAIN_SECONDS
        )
    refunded = minor_of(node.refund_fee)  # of the whole trade, so at least our amount
    result = _succeeded(node, refunds_in_all_minor=refunded)
    if refunded is None or refunded < instruction.amount_minor:
        told = node.refund_fee or "not told"
        reason = f"the trade's refunds are {told}, asked was {to_decimal_text(instruction.amount_minor, CURRENCY)}"
        return replace(result, kind=RefundResultKind.UNKNOWN, reason=reason)
    return doubted(result, [_payment_told(instruction, node)])


def result_to_query(instruction: RefundInstruction, reply: Reply) -> RefundResult:
    """The result of a look-up: NOT_FOUND or SUCCEEDED only for a signed response about this refund."""
    node = reply.node
    if node.code == "10000" and not reply.signed:
        return _not_signed()
    if reply.signed and node.code == "40004" and node.sub_code in _NO_TRADE:
        return RefundResult(RefundResultKind.NOT_FOUND, node.sub_code)
    if node.code != "10000":
        return unknown(_gateway_words(node), trouble=_trouble_of(node))
    if not node.refund_status and not node.refund_amount:
        return RefundResult(RefundResultKind.NOT_FOUND, "no refund of this number")
    if node.refund_status != "REFUND_SUCCESS":
        return unknown(f"refund_status is {node.refund_status or 'not told'}")
    amount_minor = minor_of(node.refund_amount)
    asked = (
        _payment_told(instruction, node),
        ("out_request_no", instruction.attempt_id.hex, node.out_request_no),
        (
            "amount",
            to_decimal_text(instruction.amount_minor, CURRENCY),
            node.refund_amount if amount_minor is None else to_decimal_text(amount_minor, CURRENCY),
        ),
    )
    return doubted(_succeeded(node, amount_minor=amount_minor), asked)


def _succeeded(node: Node, *, amount_minor: int | None = None, refunds_in_all_minor: int | None = None) -> RefundResult:
    """A refund that succeeded; Alipay gives it no number of its own, so the trade's number is used."""
    return RefundResult(
        RefundResultKind.SUCCEEDED,
        provider_refund_id=node.trade_no or None,
        payment_ids=tuple(filter(None, (node.trade_no, node.out_trade_no))),
        amount_minor=amount_minor,
        currency=CURRENCY,
        refunds_in_all_minor=refunds_in_all_minor,
        occurred_at=moment_of(node.gmt_refund_pay),
    )


def result_to_error(reply: Reply) -> RefundResult:
    """The result of an error code. DECLINED for good requires a signed, documented code.

    Refusals by the gateway itself are not signed.
    """
    node = reply.node
    words = _gateway_words(node)
    trouble = _trouble_of(node)
    if trouble is CallTrouble.FAILING:
        return unknown(words, trouble=trouble)
    if node.code == _RATE_LIMITED or node.code in _OURS_TO_MEND:
        return RefundResult(RefundResultKind.DECLINED, words, final=False, trouble=trouble)
    if node.code != "40004" or not reply.signed:
        return unknown(words)
    if node.sub_code == _BALANCE:
        return RefundResult(RefundResultKind.DECLINED, words, final=False, retry_after_seconds=BALANCE_SECONDS)
    if node.sub_code in _FINAL or node.sub_code in FINAL_UNLESS_DONE:
        return RefundResult(RefundResultKind.DECLINED, words)
    return unknown(words)  # also ACQ.DISCORDANT_REPEAT_REQUEST: another refund was paid under this number (T28)


def _trouble_of(node: Node) -> CallTrouble | None:
    """What a refusal says of the gateway, or of our app at the gateway, whichever refund it is about."""
    if "SYSTEM_ERROR" in node.sub_code or "unknow-error" in node.sub_code:
        return CallTrouble.FAILING
    return CallTrouble.UNAUTHORISED if node.code in _OURS_TO_MEND else None


def _not_signed() -> RefundResult:
    return unknown("the answer's signature does not match", trouble=CallTrouble.UNREADABLE)


def _payment_told(instruction: RefundInstruction, node: Node) -> tuple[str, str, str]:
    """The name of the payment's number, as it was requested, and as it is in the response."""
    ((name, asked),) = trade_parameter(instruction.payment_id).items()
    return name, asked, getattr(node, name)


def _gateway_words(node: Node) -> str:
    return node.sub_code or f"{node.code} {node.msg}".rstrip()
