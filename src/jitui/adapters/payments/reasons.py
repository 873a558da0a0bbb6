"""The providers' own words for why a refund is not paid, in our terms. It imports no provider's library."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.aftersales.model.failure_reason import FailureReason as Why

_CALLS: Mapping[str, Why] = {
    "no answer in time": Why.TIMED_OUT,
    "connection broken": Why.UNREACHABLE,
    "unreadable answer": Why.UNREADABLE,
    "the answer's": Why.ANSWER_DIFFERS,
}
"""What `calls` says for every provider."""

_SIMULATOR: Mapping[str, Why] = {
    "payment_method_closed": Why.ACCOUNT_CLOSED,
    "insufficient_balance": Why.BALANCE_SHORT,
    "amount_exceeds_refundable": Why.EXCEEDS_PAYMENT,
    "unknown_payment": Why.PAYMENT_UNKNOWN,
    "payment_differs": Why.PAYMENT_UNKNOWN,
    "currency_differs": Why.CURRENCY_DIFFERS,
    "amount_not_positive": Why.REQUEST_REFUSED,
    "malformed_request": Why.REQUEST_REFUSED,
    "idempotency_key_missing": Why.REQUEST_REFUSED,
    "too_large": Why.REQUEST_REFUSED,
    "unknown_route": Why.REQUEST_REFUSED,
    "idempotency_key_reused": Why.KEY_REUSED,
    "idempotency_key_in_use": Why.UNDER_WAY,
    "unauthorised": Why.UNAUTHORISED,
    "rate_limited": Why.RATE_LIMITED,
    "unknown_reference": Why.NOT_FOUND,
    "upstream_timeout": Why.TIMED_OUT,
    "internal_error": Why.PROVIDER_FAILING,
    "books_unavailable": Why.PROVIDER_FAILING,
    "the provider answered": Why.PROVIDER_FAILING,
    "look-up answered": Why.PROVIDER_FAILING,
    "the provider has": Why.ANSWER_DIFFERS,  # … 2 refunds of this attempt
}

_ALIPAY: Mapping[str, Why] = {
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": Why.BALANCE_SHORT,
    "ACQ.BUYER_ENABLE_STATUS_FORBID": Why.ACCOUNT_REFUSES,
    "ACQ.BUYER_ERROR": Why.ACCOUNT_REFUSES,
    "ACQ.BUYER_NOT_EXIST": Why.ACCOUNT_CLOSED,
    "ACQ.CUSTOMER_VALIDATE_ERROR": Why.ACCOUNT_REFUSES,
    "ACQ.REFUND_ACCOUNT_NOT_EXIST": Why.ACCOUNT_CLOSED,
    "ACQ.USER_NOT_MATCH_ERR": Why.ACCOUNT_REFUSES,
    "ACQ.REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST": Why.REQUEST_REFUSED,
    "ACQ.ALLOC_AMOUNT_VALIDATE_ERROR": Why.REQUEST_REFUSED,
    "ACQ.ENTERPRISE_PAY_BIZ_ERROR": Why.REFUSED,
    "ACQ.INVALID_PARAMETER": Why.REQUEST_REFUSED,
    "ACQ.OVERDRAFT_AGREEMENT_NOT_MATCH": Why.REQUEST_REFUSED,
    "ACQ.OVERDRAFT_ASSIGN_ACCOUNT_INVALID": Why.REQUEST_REFUSED,
    "ACQ.REFUNDALLOC_UNAUTH_LIMIT": Why.UNAUTHORISED,
    "ACQ.CURRENCY_NOT_SUPPORT": Why.CURRENCY_DIFFERS,
    "ACQ.NOT_ALLOW_PARTIAL_REFUND": Why.PARTIAL_NOT_ALLOWED,
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": Why.PARTIAL_NOT_ALLOWED,
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": Why.EXCEEDS_PAYMENT,
    "ACQ.REFUND_FEE_ERROR": Why.EXCEEDS_PAYMENT,
    "ACQ.TRADE_NOT_EXIST": Why.PAYMENT_UNKNOWN,
    "TRADE_NOT_EXIST": Why.PAYMENT_UNKNOWN,
    "ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND": Why.PAYMENT_NOT_REFUNDABLE,
    "ACQ.REASON_TRADE_BEEN_FREEZEN": Why.PAYMENT_NOT_REFUNDABLE,
    "ACQ.REASON_TRADE_STATUS_INVALID": Why.PAYMENT_NOT_REFUNDABLE,
    "ACQ.TRADE_HAS_CLOSE": Why.PAYMENT_NOT_REFUNDABLE,
    "ACQ.TRADE_HAS_FINISHED": Why.PAYMENT_NOT_REFUNDABLE,
    "ACQ.TRADE_NOT_ALLOW_REFUND": Why.PAYMENT_NOT_REFUNDABLE,
    "ACQ.TRADE_SETTLE_ERROR": Why.PAYMENT_NOT_REFUNDABLE,
    "ACQ.TRADE_STATUS_ERROR": Why.PAYMENT_NOT_REFUNDABLE,
    "ACQ.DISCORDANT_REPEAT_REQUEST": Why.KEY_REUSED,
    "ACQ.SYSTEM_ERROR": Why.PROVIDER_FAILING,
    "Alipay refunds CNY": Why.CURRENCY_DIFFERS,
    "amount_not_positive": Why.REQUEST_REFUSED,
    "no funds moved with this call": Why.UNDER_WAY,
    "no refund of this number": Why.NOT_FOUND,
    "refund_status is": Why.UNDER_WAY,
    "the trade's refunds are": Why.ANSWER_DIFFERS,
    "the answer's signature does not match": Why.UNREADABLE,
    "the gateway answered": Why.PROVIDER_FAILING,
    "isv": Why.UNAUTHORISED,  # of the gateway, about our app: isv.invalid-signature …
    "isp": Why.PROVIDER_FAILING,
    "aop": Why.PROVIDER_FAILING,
    "20000": Why.PROVIDER_FAILING,
    "20001": Why.UNAUTHORISED,
    "40001": Why.UNAUTHORISED,
    "40002": Why.UNAUTHORISED,
    "40003": Why.UNAUTHORISED,
    "40005": Why.RATE_LIMITED,
    "40006": Why.UNAUTHORISED,
}

_STRIPE: Mapping[str, Why] = {
    "lost_or_stolen_card": Why.CARD_UNUSABLE,
    "expired_or_canceled_card": Why.CARD_UNUSABLE,
    "declined": Why.ACCOUNT_REFUSES,
    "insufficient_funds": Why.BALANCE_SHORT,
    "balance_insufficient": Why.BALANCE_SHORT,
    "charge_for_pending_refund_disputed": Why.DISPUTED,
    "charge_disputed": Why.DISPUTED,
    "refund_disputed_payment": Why.DISPUTED,
    "charge_already_refunded": Why.REFUNDED_ALREADY,
    "amount_too_large": Why.EXCEEDS_PAYMENT,
    "amount_too_small": Why.REQUEST_REFUSED,
    "charge_not_refundable": Why.PAYMENT_NOT_REFUNDABLE,
    "resource_missing": Why.PAYMENT_UNKNOWN,
    "merchant_request": Why.CANCELLED,
    "canceled": Why.CANCELLED,
    "requires_action": Why.NEEDS_ACTION,
    "processing": Why.UNDER_WAY,
    "charge_pending": Why.UNDER_WAY,
    "idempotency_key_in_use": Why.UNDER_WAY,
    "idempotency_error": Why.KEY_REUSED,
    "rate_limit": Why.RATE_LIMITED,
    "lock_timeout": Why.RATE_LIMITED,
    "api_key_expired": Why.UNAUTHORISED,
    "platform_api_key_expired": Why.UNAUTHORISED,
    "secret_key_required": Why.UNAUTHORISED,
    "AuthenticationError": Why.UNAUTHORISED,
    "PermissionError": Why.UNAUTHORISED,
    "unknown": Why.REFUSED,
    "failed": Why.REFUSED,
    "refused with": Why.REFUSED,
    "Stripe cannot refund": Why.CURRENCY_DIFFERS,
    "Stripe does not say of which payment": Why.ANSWER_DIFFERS,
    "Stripe reports": Why.ANSWER_DIFFERS,
    "Stripe has": Why.ANSWER_DIFFERS,
    "Stripe answered": Why.PROVIDER_FAILING,
    "not among the payment's refunds": Why.NOT_FOUND,
    "no payment of Stripe": Why.PAYMENT_UNKNOWN,
    "the list of the payment's refunds breaks off": Why.UNREADABLE,
}

_WECHAT_PAY: Mapping[str, Why] = {
    "NOT_ENOUGH": Why.BALANCE_SHORT,
    "CLOSED": Why.BALANCE_SHORT,
    "ABNORMAL": Why.NEEDS_ACTION,
    "USER_ACCOUNT_ABNORMAL": Why.ACCOUNT_CLOSED,
    "RESOURCE_NOT_EXISTS": Why.PAYMENT_UNKNOWN,
    "PARAM_ERROR": Why.REQUEST_REFUSED,
    "INVALID_REQUEST": Why.PAYMENT_NOT_REFUNDABLE,
    "SIGN_ERROR": Why.UNAUTHORISED,
    "NO_AUTH": Why.UNAUTHORISED,
    "REQUEST_BLOCKED": Why.UNAUTHORISED,
    "MCH_NOT_EXISTS": Why.UNAUTHORISED,
    "FREQUENCY_LIMITED": Why.RATE_LIMITED,
    "rate_limited": Why.RATE_LIMITED,
    "SYSTEM_ERROR": Why.PROVIDER_FAILING,
    "WeChat Pay answered": Why.PROVIDER_FAILING,
    "WeChat Pay refunds CNY": Why.CURRENCY_DIFFERS,
}

REASONS: Mapping[str, Mapping[str, Why]] = {
    name: {**_CALLS, **words}
    for name, words in (
        ("simulator", _SIMULATOR),
        ("alipay", _ALIPAY),
        ("stripe", _STRIPE),
        ("wechat_pay", _WECHAT_PAY),
    )
}
"""By the provider's name on a payment: its texts, or how they begin."""
