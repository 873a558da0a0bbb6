"""What adapters of platforms share when they read an order: exact amounts, guests, and refunds counted once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from jitui.aftersales.platform import PlatformRefund
from jitui.aftersales.provider import RefundResultKind
from jitui.money import from_decimal_text, split_by_weight

_AMOUNT = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,10})?")
"""Sums of these are exact in `Decimal`."""


class Unfit(ValueError):
    """An order that cannot be an order here, and why."""


def minor_of(texts: Iterable[str], currency: str) -> int:
    """The sum of decimal texts in minor units, exactly; raises Unfit for what the currency cannot hold."""
    said = [text or "0" for text in texts]
    plain = all(_AMOUNT.fullmatch(text) for text in said)
    amount = from_decimal_text(str(sum(map(Decimal, said))), currency) if plain else None
    if amount is None:
        raise Unfit(f"{' + '.join(said)[:60]} is no amount of {currency}.")
    return amount


def paid_for_lines(paid_minor: Sequence[int], total_minor: int) -> tuple[list[int], int]:
    """What was paid for each line, and beside them, of an order's total.

    A total below the sum of the lines (a gift card, a discount on the whole, what rounding has added) is split over
    them in proportion. Raises Unfit for amounts below zero.
    """
    if total_minor < 0 or any(amount < 0 for amount in paid_minor):
        raise Unfit("The order's total, or a line of it, is below zero.")
    beside_minor = total_minor - sum(paid_minor)
    if beside_minor >= 0:
        return list(paid_minor), beside_minor
    return list(split_by_weight(total_minor, paid_minor)), 0


def buyer_of(platform: str, customer: str | None, email: str | None, order: str) -> str:
    """A guest is known by the e-mail address alone, of which only a hash is kept; without one, by the order."""
    if customer:
        return f"{platform}-{customer}"
    address = (email or "").strip().lower()
    if not address:
        return f"{platform}-order-{order}"
    return f"{platform}-guest-{hashlib.sha256(address.encode()).hexdigest()[:24]}"


def once_each(made: Sequence[PlatformRefund]) -> tuple[PlatformRefund, ...]:
    """A second refund with the reference of one attempt is no refund of that attempt: it counts as made elsewhere."""
    order = (RefundResultKind.SUCCEEDED, RefundResultKind.PENDING, RefundResultKind.UNKNOWN, RefundResultKind.DECLINED)
    first: dict[object, PlatformRefund] = {}
    for refund in sorted(made, key=lambda one: order.index(one.state)):
        first.setdefault(refund.attempt_id, refund)
    return tuple(
        refund if refund.attempt_id is None or first[refund.attempt_id] is refund else replace(refund, attempt_id=None)
        for refund in made
    )
