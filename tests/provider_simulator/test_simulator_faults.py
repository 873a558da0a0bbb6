"""Faults are chosen by amount or by seed, and are the same on every run."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.errors import BadInput
from jitui.provider_simulator.faults import (
    AMOUNT_TRIGGERS,
    SMOOTH,
    OutcomeFault,
    WebhookFault,
    parse_faults,
    plan_for,
)


@pytest.mark.parametrize("text", ["", "off"])
def test_without_faults_everything_goes_well(text: str) -> None:
    assert all(plan_for(parse_faults(text), "r", amount) == SMOOTH for amount in range(1, 200))


@pytest.mark.parametrize(
    "text",
    [
        "on",
        "seed",
        "seed:x:declined=0.1",
        "seed:1:",
        "seed:1:declines=0.1",
        "seed:1:declined=much",
        "seed:1:declined=1.1",
        "seed:1:declined=-0.1",
        "seed:1:declined=nan",
        "seed:1:declined=0.6,paid_then_500=0.6",
    ],
)
def test_faults_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_faults(text)


def test_each_trigger_amount_meets_its_fault_and_no_other_amount_does() -> None:
    faults = parse_faults("amounts")
    for amount_minor in range(100, 1_000):
        plan = plan_for(faults, "r", amount_minor)
        assert AMOUNT_TRIGGERS.get(amount_minor % 100) in ({plan.outcome, plan.webhook} - {None} or {None})
    assert set(AMOUNT_TRIGGERS.values()) == {*OutcomeFault, *WebhookFault}


@given(st.integers(0, 2**32), st.text(), st.integers(1, 10**9))
def test_a_plan_depends_on_seed_and_reference_alone(seed: int, reference: str, amount_minor: int) -> None:
    faults = parse_faults(f"seed:{seed}:declined=0.3,paid_then_closed=0.3,webhook_late=0.5")
    assert plan_for(faults, reference, amount_minor) == plan_for(faults, reference, amount_minor + 1)


def test_rates_are_shares_and_kinds_are_drawn_apart() -> None:
    faults = parse_faults("seed:42:declined=0.1,pending_then_failed=0.2,webhook_duplicate=0.5")
    plans = Counter(plan_for(faults, f"r{number}", 100) for number in range(20_000))
    outcomes: Counter[OutcomeFault | None] = Counter()
    webhooks: Counter[WebhookFault | None] = Counter()
    for plan, count in plans.items():
        outcomes[plan.outcome] += count
        webhooks[plan.webhook] += count
    assert outcomes[OutcomeFault.DECLINED] == pytest.approx(2_000, rel=0.1)
    assert outcomes[OutcomeFault.PENDING_THEN_FAILED] == pytest.approx(4_000, rel=0.1)
    assert webhooks[WebhookFault.DUPLICATE] == pytest.approx(10_000, rel=0.1)
    both = sum(
        count for plan, count in plans.items() if plan.outcome is OutcomeFault.DECLINED and plan.webhook is not None
    )
    assert both == pytest.approx(1_000, rel=0.15)


def test_news_out_of_order_needs_two_pieces_of_news() -> None:
    plan = plan_for(parse_faults("seed:1:webhook_out_of_order=1"), "r", 100)
    assert plan.outcome is OutcomeFault.PENDING_THEN_SUCCEEDED
