"""The facts about caps: a request must fit into count and amount, and unknown usage does not fit (I5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.policy import FACTS, Cap, Caps, CapUsage, Usages, caps_facts, fits_cap

counts = st.integers(0, 10)
amounts = st.integers(0, 1000)
caps = st.builds(Cap, counts | st.none(), amounts | st.none(), st.just(3600))
usage = st.builds(CapUsage, counts, amounts)


@pytest.mark.parametrize(
    ("used", "amount_minor", "fits"),
    [
        (CapUsage(0, 0), 60_000, True),
        (CapUsage(2, 59_999), 1, True),
        (CapUsage(2, 60_000), 1, False),
        (CapUsage(3, 0), 1, False),
        (CapUsage(0, 0), 60_001, False),
        (CapUsage(0, 0), None, None),
        (CapUsage(3, 0), None, False),
        (None, 1, None),
    ],
)
def test_three_times_and_600_yuan(used: CapUsage | None, amount_minor: int | None, fits: bool | None) -> None:
    assert fits_cap(Cap(3, 60_000, 86_400), used, amount_minor) is fits


def test_facts_of_a_policy_without_caps_fit_even_when_usage_is_unknown() -> None:
    facts = caps_facts(Caps(), Usages(), 100)
    assert {name: value for name, value in facts.items() if value is not None} == {
        "caps.buyer_ok": True,
        "caps.shop_ok": True,
        "caps.platform_ok": True,
        "caps.category_ok": True,
        "caps.cluster_ok": True,
    }


def test_unknown_usage_is_an_unknown_fact_and_the_figures_stand_beside() -> None:
    facts = caps_facts(
        Caps(per_buyer=Cap(3, None, 60), per_shop=Cap(None, 10, 60)), Usages(CapUsage(1, 5), None, CapUsage(7, 9)), 10
    )
    assert facts == {
        "caps.buyer_ok": True,
        "caps.buyer_used_count": 1,
        "caps.buyer_used_minor": 5,
        "caps.shop_ok": None,
        "caps.shop_used_count": None,
        "caps.shop_used_minor": None,
        "caps.platform_ok": True,
        "caps.platform_used_count": 7,
        "caps.platform_used_minor": 9,
        "caps.category_ok": True,
        "caps.category_used_count": None,
        "caps.category_used_minor": None,
        "caps.cluster_ok": True,
        "caps.cluster_used_count": None,
        "caps.cluster_used_minor": None,
    }
    assert facts.keys() <= FACTS.keys()


@given(caps, usage, amounts, amounts)
def test_a_smaller_request_fits_wherever_a_larger_one_does(cap: Cap, used: CapUsage, one: int, other: int) -> None:
    if fits_cap(cap, used, max(one, other)):
        assert fits_cap(cap, used, min(one, other))


@given(caps, usage, amounts)
def test_what_fits_stays_within_the_cap_once_it_is_added(cap: Cap, used: CapUsage, amount_minor: int) -> None:
    fits = fits_cap(cap, used, amount_minor)
    within_count = cap.count is None or used.count + 1 <= cap.count
    within_amount = cap.amount_minor is None or used.amount_minor + amount_minor <= cap.amount_minor
    assert fits == (within_count and within_amount)
