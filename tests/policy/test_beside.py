"""What two policies share: a condition with the same words means another thing with another parameter."""

from __future__ import annotations

import pytest

from jitui.policy import Policy
from jitui.policy.beside import shared_conditions
from tests.aftersales.market import DEFAULT_POLICY

TEXT = DEFAULT_POLICY.text


def test_every_condition_of_the_same_text_is_shared() -> None:
    same = Policy.from_text(TEXT + "# the same\n")
    assert shared_conditions(DEFAULT_POLICY, same) == {one.id for one in DEFAULT_POLICY.conditions}


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ("limit_minor: 30000", "limit_minor: 20000", {"paid_under_300"}),
        ("buyer.account_age_days >= 90", "buyer.account_age_days >= 91", {"premium_buyer"}),
        ("id: covered ", "id: is_covered ", {"is_covered"}),
    ],
)
def test_a_condition_is_shared_only_when_all_that_it_reads_is_the_same(old: str, new: str, differs: set[str]) -> None:
    assert old in TEXT
    other = Policy.from_text(TEXT.replace(old, new))
    assert {one.id for one in other.conditions} - shared_conditions(DEFAULT_POLICY, other) == differs
