"""Intervals of an effect: the usual one, and one that holds however often it is looked at. Pure.

An interval of 95 % that is looked at every day for two months excludes zero in one of seven experiments in which
nothing differs (`benchmarks/experiment_verdicts.py`). The sequential interval is the asymptotic confidence sequence of
Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (arXiv 2103.06476, equation 9): all its looks together are wrong in at
most 5 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist

FALSE_ALARM = 0.05
"""The largest probability that an interval ever excludes zero when nothing differs."""

POWER = 0.8
TIGHTEST_AT_HELD_OUT = 1_000
"""The sequential interval is narrowest, against the usual one, when so many units are held out."""

_POWER_STEPS = NormalDist().inv_cdf(POWER)


@dataclass(frozen=True, slots=True)
class Interval:
    """From `lower` to `upper`, in the unit of the effect."""

    lower: float
    upper: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the effect has a sign."""
        return self.lower > 0 or self.upper < 0


def around(effect: float, steps: float, error: float) -> Interval:
    """So many standard errors to both sides."""
    return Interval(effect - steps * error, effect + steps * error)


def usual_steps(false_alarm: float = FALSE_ALARM) -> float:
    """The half width of the usual interval, in standard errors: 1.96 for 5 %."""
    return NormalDist().inv_cdf(1 - false_alarm / 2)


def sequential_steps(units: int, held_out_share: float, false_alarm: float = FALSE_ALARM) -> float:
    """The half width of the sequential interval, in standard errors, after so many units of both arms.

    It depends on the share that is held out, which is known before, and on nothing that is seen. About 3.04, or 1.55
    times the usual one, where it is narrowest.
    """
    planned = TIGHTEST_AT_HELD_OUT / held_out_share
    rho_squared = (-2 * log(false_alarm) + log(1 - 2 * log(false_alarm))) / planned
    grown = units * rho_squared
    return sqrt(2 * (grown + 1) / grown * log(sqrt(grown + 1) / false_alarm))


def smallest_effect(error: float, units: int, held_out_share: float, false_alarm: float = FALSE_ALARM) -> float:
    """The effect that the sequential interval would show in four of five experiments with this standard error."""
    return (sequential_steps(units, held_out_share, false_alarm) + _POWER_STEPS) * error


def units_until(
    effect: float, error: float, units: int, held_out_share: float, false_alarm: float = FALSE_ALARM
) -> int | None:
    """How many units of both arms are needed until an effect of this size is the smallest that shows.

    The standard error shrinks with the square root of the units. None for an effect of zero.
    """
    if effect == 0:
        return None

    def shows(number: int) -> bool:
        return smallest_effect(error * sqrt(units / number), number, held_out_share, false_alarm) <= abs(effect)

    enough = 1
    while not shows(enough):
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (middle, too_few) if shows(middle) else (enough, middle)
    return enough
