"""What changed between two published versions, in words, and nothing of what is private."""

from __future__ import annotations

import pytest

from jitui.policy import Policy, PublicChangeKind, public_changes, public_view
from tests.aftersales.market import DEFAULT_POLICY

BASE = DEFAULT_POLICY.text


def changes(old: str, new: str) -> list[tuple[PublicChangeKind, str]]:
    found = public_changes(public_view(Policy.from_text(old)), public_view(Policy.from_text(new)))
    assert all(set(one.text) == {"zh", "en"} and all(one.text.values()) for one in found)
    return [(one.kind, one.condition) for one in found]


def test_the_same_version_changed_nothing() -> None:
    assert changes(BASE, BASE) == []


@pytest.mark.parametrize(
    ("old", "new", "kind", "condition"),
    [
        ("deadline: 48h", "deadline: 72h", PublicChangeKind.DEADLINE, ""),
        ("on_timeout: approve", "on_timeout: reject", PublicChangeKind.ON_TIMEOUT, ""),
        ("\nreview:", "\nloss: {borne_by: merchant}\nreview:", PublicChangeKind.LOSS_BORNE_BY, ""),
        ("\nreview:", "\nloss: {borne_by: split, shop_percent: 9}\nreview:", PublicChangeKind.LOSS_BORNE_BY, ""),
        ("\nreview:", "\nadvance: {at_most_minor: 30000}\nreview:", PublicChangeKind.ADVANCE, ""),
        ("id: unshipped #", "id: not_shipped #", PublicChangeKind.CONDITION_REMOVED, "unshipped"),
    ],
)
def test_a_public_difference_is_told(old: str, new: str, kind: PublicChangeKind, condition: str) -> None:
    assert old in BASE
    assert (kind, condition) in changes(BASE, BASE.replace(old, new))


def test_who_bears_a_loss_is_public_and_what_it_costs_is_not() -> None:
    split = BASE.replace("\nreview:", "\nloss: {borne_by: split, shop_percent: 9}\nreview:")
    other = split.replace("shop_percent: 9", "shop_percent: 10")
    (change,) = public_changes(public_view(Policy.from_text(split)), public_view(Policy.from_text(other)))
    assert "10%" in change.text["zh"] and "10 percent" in change.text["en"]
    assert changes(split, split.replace("{borne_by", "{incident_cost_percent: 60, borne_by")) == []
    unused = BASE.replace("\nreview:", "\nloss: {shop_percent: 9}\nreview:")
    assert changes(BASE, unused) == []


def test_what_the_platform_may_pay_for_a_shop_is_public() -> None:
    up_to = [BASE.replace("\nreview:", f"\nadvance: {{at_most_minor: {minor}}}\nreview:") for minor in (30000, 5)]
    views = [public_view(Policy.from_text(text)) for text in (*up_to, BASE)]
    (raised,), (ended,) = public_changes(views[1], views[0]), public_changes(views[0], views[2])
    assert "300.00 CNY" in raised.text["zh"] and "at most 300.00 CNY, and the shop owes them" in raised.text["en"]
    assert "wait until there is enough" in ended.text["en"]


def test_a_private_bound_is_nobodys_business() -> None:
    private = BASE.replace("over: 30d", "over: 31d")
    assert private != BASE
    assert changes(BASE, private) == []
