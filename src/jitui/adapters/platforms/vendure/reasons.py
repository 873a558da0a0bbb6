"""What this adapter and Vendure write as the reason of a refund, in our terms."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.adapters.platforms.vendure.orders import NAME as NAME
from jitui.adapters.platforms.vendure.provider import ASKED_BEFORE, REFUNDED_THERE, SHIPPED
from jitui.aftersales.model.failure_reason import FailureReason as Why

REASONS: Mapping[str, Why] = {
    SHIPPED: Why.SHIPPED_ELSEWHERE,
    REFUNDED_THERE: Why.REFUNDED_ELSEWHERE,
    ASKED_BEFORE: Why.ASKED_WITHOUT_ANSWER,
    "Vendure has no payment": Why.PAYMENT_UNKNOWN,
    "Vendure says Pending": Why.NEEDS_ACTION,
    "Vendure says Failed": Why.REFUSED,
    "no refund with our reason, and no note": Why.NOT_FOUND,
    "another worker asks for the refund": Why.UNDER_WAY,
    "the refund was made, and could not be read": Why.UNREADABLE,
    "cancelling": Why.REFUSED,
    "settling": Why.NEEDS_ACTION,
    "no answer in time": Why.TIMED_OUT,
    "no connection": Why.UNREACHABLE,
    "connection broken": Why.UNREACHABLE,
    "unreadable answer": Why.UNREADABLE,
    "answered": Why.PROVIDER_FAILING,
}
"""Its texts, or how they begin; a text of Vendure's own is shown as it is."""
