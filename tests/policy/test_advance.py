"""The section `advance`: what the platform's account may pay for a shop; it decides no request."""

from __future__ import annotations

import pytest

from jitui.policy import Policy, PolicyRefused, decide
from jitui.policy.difference import differences
from tests.policy.policy_samples import DEFAULT, GOOD_FACTS, default_policy

TEXT = DEFAULT.read_text(encoding="utf-8")


def advancing(at_most_minor: object) -> Policy:
    return Policy.from_text(f"{TEXT}\nadvance: {{at_most_minor: {at_most_minor}}}\n")


def test_it_is_read_and_decides_nothing() -> None:
    policy = advancing(30000)
    assert policy.advance is not None and policy.advance.at_most_minor == 30000
    assert default_policy().advance is None
    assert decide(policy, GOOD_FACTS).conditions == decide(default_policy(), GOOD_FACTS).conditions


@pytest.mark.parametrize("written", ["0", "-1", "1.5", "lots", "''"])
def test_an_amount_that_is_none_is_refused_with_its_place(written: str) -> None:
    with pytest.raises(PolicyRefused, match="at_most_minor"):
        advancing(written)


def test_a_section_without_the_amount_is_refused() -> None:
    with pytest.raises(PolicyRefused, match="at_most_minor"):
        Policy.from_text(f"{TEXT}\nadvance: {{}}\n")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (None, 30000, "added: the platform's account pays up to 30000"),
        (30000, None, "removed: a refund waits"),
        (30000, 20000, "30000 → 20000"),
    ],
)
def test_a_difference_is_told_and_decides_no_request(old: int | None, new: int | None, says: str) -> None:
    before, after = (default_policy() if one is None else advancing(one) for one in (old, new))
    (found,) = differences(before, after)
    assert (found.name, found.decides) == ("advance.at_most_minor", False)
    assert found.what.startswith(says)
    assert differences(after, after) == ()
