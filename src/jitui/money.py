"""Exact money: integers of minor units, ISO 4217 codes, and splits whose parts always sum to the whole."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel import Locale

MAX_AMOUNT_MINOR = 10**15
"""The largest amount: far above any order, and sums over thousands of rows still fit into 64 bits."""


_WITHDRAWN = {"ANG": 2, "BGN": 2, "CUC": 2, "HRK": 2, "SLL": 2, "ZWL": 2}
"""Minor units of currencies that ISO 4217 withdrew since 2022, because older orders in them can still be refunded."""


@cache
def currency_exponent(currency: str) -> int:
    """The number of decimals of a currency in ISO 4217 (CNY 2, JPY 0, BHD 3).

    CLDR's numbers are for display and differ: 0 for currencies whose coins are out of use, such as RSD and ALL. They
    are used only for a code without minor units (such as XAU), which old rows may have and new orders may not.
    """
    listed = _listed_exponent(currency)
    if listed is not None:
        return listed
    from babel.numbers import get_currency_precision

    return get_currency_precision(currency)


@cache
def is_currency(currency: str) -> bool:
    """Whether amounts can be in this currency: an ISO 4217 code in capitals, with minor units (not XXX, XTS, XAU)."""
    return _listed_exponent(currency) is not None


@cache
def currencies() -> tuple[str, ...]:
    """Every code for which `is_currency` is true, sorted."""
    from iso4217 import Currency

    return tuple(sorted(code for code in {*(one.code for one in Currency), *_WITHDRAWN} if is_currency(code)))


@cache
def _listed_exponent(currency: str) -> int | None:
    from iso4217 import Currency

    try:
        return Currency(currency).exponent
    except ValueError:
        return _WITHDRAWN.get(currency)


def to_decimal_text(amount_minor: int, currency: str) -> str:
    """12900 in CNY as `"129.00"`, for files and providers that write amounts in major units."""
    exponent = currency_exponent(currency)
    sign = "-" if amount_minor < 0 else ""
    digits = str(abs(amount_minor)).rjust(exponent + 1, "0")
    return sign + (digits if exponent == 0 else f"{digits[:-exponent]}.{digits[-exponent:]}")


def localised_amount(amount_minor: int, currency: str, locale: Locale) -> str:
    """12900 in CNY as `¥129.00` in the locale zh_CN and as `CN¥129.00` in en, with the decimals of ISO 4217."""
    pattern = copy(locale.currency_formats["standard"])
    digits = currency_exponent(currency)
    pattern.frac_prec = (digits, digits)  # CLDR would drop decimals of some currencies, such as RSD
    amount = Decimal(to_decimal_text(amount_minor, currency))
    return str(pattern.apply(amount, locale, currency=currency, currency_digits=False))


def from_decimal_text(text: str, currency: str) -> int | None:
    """`"129.00"` in CNY as 12900; None for a text that is not an exact amount of the currency."""
    try:
        scaled = Decimal(text).scaleb(currency_exponent(currency))
        return int(scaled) if scaled == scaled.to_integral_value() else None
    except (ArithmeticError, ValueError):  # also decimal's own: the exponent may overflow
        return None


def split_by_weight(amount_minor: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split an amount in proportion to weights; the parts sum to the amount exactly.

    Every share is rounded to the nearest unit; a missing or surplus unit goes to the weight that it changes least, the
    earlier one of equals (Sainte-Laguë's divisor rule). A larger amount never makes a part smaller, and no part exceeds
    its weight when the amount does not exceed their sum. Raises ValueError for a negative amount or weight, and for a
    positive amount over weights that are all zero.
    """
    if amount_minor < 0 or any(weight < 0 for weight in weights):
        raise ValueError("amounts and weights are not negative")
    total = sum(weights)
    if total == 0:
        if amount_minor:
            raise ValueError("nothing to split the amount over")
        return tuple(0 for _ in weights)
    parts = [(2 * amount_minor * weight + total) // (2 * total) for weight in weights]
    while (missing := amount_minor - sum(parts)) != 0:
        if missing > 0:
            index = max(range(len(parts)), key=lambda i: (Fraction(weights[i], 2 * parts[i] + 1), -i))
        else:
            taken = (i for i in range(len(parts)) if parts[i])
            index = min(taken, key=lambda i: (Fraction(weights[i], 2 * parts[i] - 1), -i))
        parts[index] += 1 if missing > 0 else -1
    return tuple(parts)


def split_further(amount_minor: int, weights: Sequence[int], taken_minor: Sequence[int]) -> tuple[int, ...]:
    """Split a further amount, so that each total (`taken_minor` plus the new part) is as `split_by_weight` gives it.

    The totals depend on the sum of all splits, not on their sequence. A weight that has already given more than its
    total gives nothing, and the others share the amount. Raises ValueError like `split_by_weight`.
    """
    giving = list(range(len(weights)))
    while True:
        whole = amount_minor + sum(taken_minor[i] for i in giving)
        goal = dict(zip(giving, split_by_weight(whole, [weights[i] for i in giving]), strict=True))
        behind = [i for i in giving if goal[i] >= taken_minor[i]]
        if behind == giving:
            return tuple(goal[i] - taken_minor[i] if i in goal else 0 for i in range(len(weights)))
        giving = behind


def share_of_units(paid_minor: int, quantity: int, units_before: int, units: int) -> int:
    """The value of `units` of a line, in minor units, when `units_before` of them were refunded earlier.

    Cumulative flooring: the shares of all units, in any sequence of parts, sum to `paid_minor` (T26, T22). Raises
    ValueError for more units than the line has.
    """
    if not 0 <= units_before <= units_before + units <= quantity:
        raise ValueError("more units than the line has")
    return paid_minor * (units_before + units) // quantity - paid_minor * units_before // quantity
