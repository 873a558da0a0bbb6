"""What adapters of commerce platforms write as the reason of a refund, in our terms. It imports no adapter."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.aftersales.model.failure_reason import FailureReason as Why

REASONS: Mapping[str, Why] = {
    "Medusa says requires_action": Why.NEEDS_ACTION,
    "Saleor says DRAFT": Why.UNDER_WAY,
    "Saleor says FAILURE": Why.REFUSED,
    "Saleor says PENDING": Why.UNDER_WAY,
    "Shopify cannot pay back by": Why.PAYMENT_NOT_REFUNDABLE,
    "Shopify has no payment": Why.PAYMENT_UNKNOWN,
    "Shopify says FAILURE": Why.REFUSED,
    "Shopify says PENDING": Why.UNDER_WAY,
    "Vendure says Failed": Why.REFUSED,
    "Vendure says Pending": Why.NEEDS_ACTION,
    "WooCommerce cannot pay back by": Why.PAYMENT_NOT_REFUNDABLE,
    "WooCommerce has the refund, and does not say": Why.ANSWER_DIFFERS,
    "answered": Why.PROVIDER_FAILING,
    "connection broken": Why.UNREACHABLE,
    "no answer in time": Why.TIMED_OUT,
    "no connection": Why.UNREACHABLE,
    "unreadable answer": Why.UNREADABLE,
}
"""Their texts, or how they begin; what a platform says in its own words is shown as it is."""
