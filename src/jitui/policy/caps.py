"""The facts about caps: whether a request fits, and how much was used before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jitui.policy.facts import FactValue
from jitui.policy.sections import Cap, Caps

CAP_SCOPES: Mapping[str, str] = {
    "per_buyer": "buyer",
    "per_shop": "shop",
    "per_category": "category",
    "per_cluster": "cluster",
    "platform": "platform",
}
"""The caps of a policy by their keys in the file, and the word for each in the names of its facts."""


@dataclass(frozen=True, slots=True)
class CapUsage:
    """Instant approvals within a cap's window: `count` in all currencies, `amount_minor` in the policy's currency."""

    count: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class CategoryAmounts:
    """What a request asks back in each category: the amounts of its lines, freight not included.

    An amount is None when it is not in the policy's currency, or not known. `complete`: the category of every line is
    known.
    """

    amounts: Mapping[str, int | None]
    complete: bool = True


CATEGORIES_UNKNOWN = CategoryAmounts({}, complete=False)


def category_amounts(lines: Iterable[tuple[str | None, int | None]]) -> CategoryAmounts:
    """The sums of these lines, each with its category and its amount, by category."""
    sums: dict[str, int | None] = {}
    complete = True
    for category_id, amount_minor in lines:
        if not category_id:
            complete = False
            continue
        before = sums.get(category_id, 0)
        sums[category_id] = None if before is None or amount_minor is None else before + amount_minor
    return CategoryAmounts(sums, complete)


@dataclass(frozen=True, slots=True)
class Usages:
    """The usage before this request, per scope; None is unknown. A category that is missing has used nothing."""

    buyer: CapUsage | None = None
    shop: CapUsage | None = None
    platform: CapUsage | None = None
    categories: Mapping[str, CapUsage] | None = None
    cluster: CapUsage | None = None


def caps_facts(
    caps: Caps, usage: Usages, amount_minor: int | None, categories: CategoryAmounts = CATEGORIES_UNKNOWN
) -> dict[str, FactValue | None]:
    """The facts `caps.*` for a request of `amount_minor`; unknown usage makes `caps.*_ok` unknown (I5)."""
    facts: dict[str, FactValue | None] = {}
    scopes = (
        ("buyer", caps.per_buyer, usage.buyer),
        ("shop", caps.per_shop, usage.shop),
        ("platform", caps.platform, usage.platform),
        ("cluster", caps.per_cluster, usage.cluster),
    )
    for scope, cap, used in scopes:
        facts |= _scope_facts(scope, fits_cap(cap, used, amount_minor), used)
    return facts | _category_facts(caps.per_category, usage.categories, categories)


def _category_facts(
    cap: Cap | None, used: Mapping[str, CapUsage] | None, asked: CategoryAmounts
) -> dict[str, FactValue | None]:
    """A request fits when it fits the cap in each of its categories; the usage shown is the largest of them."""
    if cap is None:
        return _scope_facts("category", True, None)
    if used is None:
        return _scope_facts("category", None, None)
    found = {one: used.get(one, _NOTHING) for one in asked.amounts}
    fits = [fits_cap(cap, found[one], amount_minor) for one, amount_minor in asked.amounts.items()]
    if False in fits:
        ok: bool | None = False
    else:
        ok = None if None in fits or not asked.complete else True
    largest = CapUsage(
        max((one.count for one in found.values()), default=0),
        max((one.amount_minor for one in found.values()), default=0),
    )
    return _scope_facts("category", ok, largest if asked.complete else None)


_NOTHING = CapUsage(0, 0)


def _scope_facts(scope: str, ok: bool | None, used: CapUsage | None) -> dict[str, FactValue | None]:
    return {
        f"caps.{scope}_ok": ok,
        f"caps.{scope}_used_count": used.count if used else None,
        f"caps.{scope}_used_minor": used.amount_minor if used else None,
    }


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
