"""The hold-out is a fixed share of buyers (R7)."""

from __future__ import annotations

from hashlib import sha256

import pytest

from jitui.policy import Policy, PolicyRefused, held_out
from jitui.policy.difference import differences
from jitui.policy.selection import held_out_below
from tests.policy.policy_samples import SMALL, default_policy

HELD_OUT_AT_10_PERCENT = [24, 28, 32, 38, 43, 48, 52, 58]


def holding_out(percent: int, policy_id: str = "small") -> Policy:
    text = SMALL.replace("policy: small", f"policy: {policy_id}")
    return Policy.from_text(text.replace("review:", f"selection: {{hold_out_percent: {percent}}}\nreview:"))


def share(policy: Policy, buyers: int = 20_000) -> float:
    return sum(held_out(policy, f"buyer-{number}") for number in range(buyers)) / buyers


def test_the_share_is_about_what_the_policy_says() -> None:
    assert share(holding_out(0)) == 0
    assert 0.017 < share(default_policy()) < 0.023
    assert 0.48 < share(holding_out(50)) < 0.52
    assert share(holding_out(100)) == 1


def test_the_same_buyers_on_every_machine_and_in_every_version() -> None:
    # Fixed by the SHA-256 of "policy id:buyer id"; a change here would reshuffle running comparisons.
    policy = holding_out(10)
    assert [number for number in range(60) if held_out(policy, f"b{number}")] == HELD_OUT_AT_10_PERCENT
    newer = Policy.from_text(policy.text.replace('version: "1"', 'version: "2"'))
    assert all(held_out(newer, f"b{n}") == held_out(policy, f"b{n}") for n in range(500))


def test_a_seed_draws_the_experiment_whatever_the_policy_is_called() -> None:
    """The policy's name is the first seed: who writes it down changes nobody's arm."""
    plain = holding_out(20)

    def seeded(seed: str, policy_id: str = "small") -> Policy:
        return Policy.from_text(holding_out(20, policy_id).text.replace("20}", f"20, seed: {seed}}}"))

    buyers = [f"b{number}" for number in range(2000)]
    drawn = [held_out(plain, buyer) for buyer in buyers]
    for same in (seeded("small"), seeded("small", "other")):
        assert [held_out(same, buyer) for buyer in buyers] == drawn
    other = seeded("summer-2027")
    both = sum(was and held_out(other, buyer) for was, buyer in zip(drawn, buyers, strict=True))
    assert 0.02 < both / 2000 < 0.06, "another seed draws independently"


def test_the_diff_says_when_another_experiment_begins() -> None:
    plain = holding_out(20)
    other = Policy.from_text(plain.text.replace("20}", "20, seed: summer-2027}"))
    (change,) = differences(plain, other)
    assert (change.name, change.decides) == ("selection.seed", True)
    assert "small → summer-2027" in change.what
    assert list(differences(plain, Policy.from_text(plain.text.replace("20}", "20, seed: small}")))) == []


@pytest.mark.parametrize("seed", ["Summer", "''", "a b", "[a]"])
def test_a_seed_is_a_name(seed: str) -> None:
    with pytest.raises(PolicyRefused, match="seed"):
        Policy.from_text(holding_out(20).text.replace("20}", f"20, seed: {seed}}}"))


def test_a_larger_share_keeps_those_who_were_held_out() -> None:
    small, large = holding_out(5), holding_out(20)
    assert all(held_out(large, f"b{n}") for n in range(2000) if held_out(small, f"b{n}"))


def test_another_policy_holds_out_others() -> None:
    one, other = holding_out(20), holding_out(20, "other")
    both = sum(held_out(one, f"b{n}") and held_out(other, f"b{n}") for n in range(10_000)) / 10_000
    assert 0.03 < both < 0.05


@pytest.mark.parametrize("percent", [0, 1, 2, 3, 33, 50, 99, 100])
def test_a_query_holds_out_the_same_buyers(percent: int) -> None:
    policy = holding_out(percent)
    below = held_out_below(policy)
    for number in range(2000):
        digits = sha256(f"small:b{number}".encode()).hexdigest()[:16]
        assert (below is None or digits < below) == held_out(policy, f"b{number}")


def test_at_no_percent_nobody_and_at_a_hundred_everybody_is_held_out_by_a_query() -> None:
    assert held_out_below(holding_out(0)) == "0" * 16
    assert held_out_below(holding_out(100)) is None
    assert held_out_below(holding_out(50)) == "8" + "0" * 15
