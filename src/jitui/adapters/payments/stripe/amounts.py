"""Converts amounts to Stripe's minor units, which are not always those of ISO 4217."""

from __future__ import annotations

from jitui.money import currency_exponent

_NO_DECIMALS = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
_THREE_DECIMALS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])
_TWO_DECIMALS_WITHOUT_PARTS = frozenset(["ISK", "UGX"])
"""Stripe writes 5 ISK as 500, although these currencies have no decimals in ISO 4217."""


def _stripe_exponent(currency: str) -> int | None:
    """Stripe's number of decimals; None when its documents do not mention the currency and ISO 4217 has not two."""
    if currency in _NO_DECIMALS:
        return 0
    if currency in _THREE_DECIMALS:
        return 3
    return 2 if currency in _TWO_DECIMALS_WITHOUT_PARTS or currency_exponent(currency) == 2 else None


def to_stripe_amount(amount_minor: int, currency: str) -> int | None:
    """The amount in Stripe's minor units; None when Stripe cannot express it, or when it is not positive."""
    digits = _stripe_exponent(currency)
    amount = None if digits is None else _rescaled(amount_minor, digits - currency_exponent(currency))
    if amount is None or amount <= 0 or (currency in _THREE_DECIMALS and amount % 10):
        return None
    return amount


def from_stripe_amount(amount: int, currency: str) -> int | None:
    """The amount in our minor units; None when they cannot express it."""
    digits = _stripe_exponent(currency)
    return None if digits is None else _rescaled(amount, currency_exponent(currency) - digits)


def _rescaled(amount: int, digits: int) -> int | None:
    """The amount with this many more (or fewer) decimals; None when a digit that is not zero would be lost."""
    scale: int = 10 ** abs(digits)
    if digits >= 0:
        return amount * scale
    return None if amount % scale else amount // scale
