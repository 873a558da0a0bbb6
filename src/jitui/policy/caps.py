"""The facts about caps: whether a request fits, and how much was used before it."""

from __future__ import annotations

from dataclasses import dataclass

from jitui.policy.facts import FactValue
from jitui.policy.sections import Cap, Caps


@dataclass(frozen=True, slots=True)
class CapUsage:
    """Instant approvals within a cap's window: `count` in all currencies, `amount_minor` in the policy's currency."""

    count: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Usages:
    """The usage before this request, per scope; None is unknown."""

    buyer: CapUsage | None = None
    shop: CapUsage | None = None
    platform: CapUsage | None = None


def caps_facts(caps: Caps, usage: Usages, amount_minor: int | None) -> dict[str, FactValue | None]:
    """The facts `caps.*` for a request of `amount_minor`; unknown usage makes `caps.*_ok` unknown (I5)."""
    facts: dict[str, FactValue | None] = {}
    scopes = (
        ("buyer", caps.per_buyer, usage.buyer),
        ("shop", caps.per_shop, usage.shop),
        ("platform", caps.platform, usage.platform),
    )
    for scope, cap, used in scopes:
        facts[f"caps.{scope}_ok"] = fits_cap(cap, used, amount_minor)
        facts[f"caps.{scope}_used_count"] = used.count if used else None
        facts[f"caps.{scope}_used_minor"] = used.amount_minor if used else None
    return facts


def fits_cap(cap: Cap | None, used: CapUsage | None, amount_minor: int | None) -> bool | None:
    """Whether one more approval of `amount_minor` stays within the cap; None when that cannot be known."""
    if cap is None:
        return True
    if used is None:
        return None
    if cap.count is not None and used.count + 1 > cap.count:
        return False
    if cap.amount_minor is None:
        return True
    return None if amount_minor is None else used.amount_minor + amount_minor <= cap.amount_minor
