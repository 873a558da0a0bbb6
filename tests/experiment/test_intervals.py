"""The intervals of an effect."""

from __future__ import annotations

from math import isclose, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.experiment.intervals import (
    Interval,
    around,
    sequential_steps,
    smallest_effect,
    units_until,
    usual_steps,
)

UNITS = st.integers(2, 10**9)
SHARES = st.sampled_from([0.005, 0.02, 0.1, 0.5])


def test_the_sequential_interval_is_half_as_wide_again_where_it_is_narrowest() -> None:
    """At 1,000 held-out units: the paper's figure for its tuned sequence at 5 %."""
    planned = [sequential_steps(round(1_000 / share), share) for share in (0.005, 0.02, 0.5)]
    assert all(isclose(steps, 3.035, abs_tol=0.001) for steps in planned)
    assert isclose(planned[0] / usual_steps(), 1.55, abs_tol=0.005)


@given(units=UNITS, share=SHARES)
def test_the_sequential_interval_is_equation_9(units: int, share: float) -> None:
    rho_squared = (-2 * log(0.05) + log(-2 * log(0.05) + 1)) / (1_000 / share)
    mean_half_width = sqrt(
        2 * (units * rho_squared + 1) / (units**2 * rho_squared) * log(sqrt(units * rho_squared + 1) / 0.05)
    )
    assert isclose(sequential_steps(units, share), mean_half_width * sqrt(units))


@given(units=UNITS, share=SHARES)
def test_looking_daily_never_narrows_the_interval(units: int, share: float) -> None:
    assert sequential_steps(units, share) > usual_steps()
    assert sequential_steps(units, share, false_alarm=0.05 / 20) > sequential_steps(units, share)


@given(units=st.integers(100, 10**6), share=SHARES, error=st.floats(1e-4, 1), effect=st.floats(1e-3, 10))
def test_with_as_many_units_as_are_needed_the_effect_is_the_smallest_that_shows(
    units: int, share: float, error: float, effect: float
) -> None:
    needed = units_until(effect, error, units, share)
    assert needed is not None
    then, one_fewer = (smallest_effect(error * sqrt(units / n), n, share) for n in (needed, max(1, needed - 1)))
    assert then <= effect
    assert needed == 1 or one_fewer > effect


def test_no_effect_needs_no_end_of_units() -> None:
    assert units_until(0.0, 0.1, 100, 0.02) is None


@pytest.mark.parametrize(
    ("lower", "upper", "excludes"), [(-1, 1, False), (0, 1, False), (0.1, 1, True), (-1, -0.1, True)]
)
def test_an_interval_that_touches_zero_includes_it(lower: float, upper: float, excludes: bool) -> None:
    assert Interval(lower, upper).excludes_zero is excludes
    assert around(1.0, 2.0, 0.25) == Interval(0.5, 1.5)
