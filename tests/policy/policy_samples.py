"""Policies and facts for the tests of this folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jitui.policy import FactValue, Line, Policy

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "policies" / "unshipped-instant-refund.yaml"
RETAIL = ROOT / "examples" / "policies" / "online-retail.yaml"

SMALL = """\
policy: small
version: "1"
effective_from: 2025-01-26T00:00:00+08:00
currency: CNY
title: {zh: 题, en: Title}
features:
  buyer.orders: {count: order_paid, over: 90d}
attributes: {buyer.level: int, buyer.tier: {enum: [gold, silver]}}
definitions:
  good: buyer.orders > 3
conditions:
  - {id: a, when: good, public: true, text: {zh: 甲, en: A}}
review: {deadline: 48h, on_timeout: approve}
notice: {zh: 知, en: N}
"""

PLAIN_LINE = Line(line_id="1", quantity=1, paid_minor=29_999, customised=False, virtual=False, covered=True)

GOOD_FACTS: dict[str, FactValue] = {
    "buyer.account_age_days": 400,
    "buyer.completed_orders_365d": 9,
    "buyer.disputes_lost_365d": 0,
    "buyer.refunds_before_shipment_90d": 1,
    "buyer.paid_orders_90d": 5,
    "buyer.selected": True,
    "buyer.restricted": False,
    "order.paid_minor": 29_999,
    "order.shipment": "unshipped",
    "order.lines": [PLAIN_LINE],
    "shop.covered": True,
    "service.paused": False,
    "caps.buyer_ok": True,
    "caps.shop_ok": True,
    "caps.platform_ok": True,
}


@cache
def default_policy() -> Policy:
    """The policy that the package ships."""
    return Policy.from_file(DEFAULT)


def small_text(when: str) -> str:
    """The small policy with another condition, double-quoted on its one line; it starts in column 20 of line 12."""
    return SMALL.replace("when: good", f'when: "{when}"')


@cache
def small_policy(when: str) -> Policy:
    """A policy of one condition."""
    return Policy.from_text(small_text(when))
