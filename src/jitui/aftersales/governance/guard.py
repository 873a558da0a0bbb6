"""Whether a canary does worse than the live policy, by a test that may be looked at all the time. Pure.

It is a test by betting: each canary request is compared with the live requests around it, and before each comparison a
share of the wealth is bet on the canary's value being the higher one. While the canary is no worse than its bound, the
wealth, which begins at 1, ever reaches w with a probability of at most 1/w (Ville's inequality; Waudby-Smith and
Ramdas, "Estimating means of bounded random variables by betting", 2024). No rate needs to be known, and a rate that
drifts in both arms alike changes nothing. docs/explanation/canary.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log, log1p

from jitui.policy import GuardBound, Guards

BETS = (0.4, 0.95)
"""Shares of the largest bet that cannot lose everything; half of the wealth begins with each."""


class GuardMetric(StrEnum):
    """What of a canary is compared with the live policy; `Guards` says what each one is."""

    INCIDENT_RATE = "incident_rate"
    REFUND_FAILURES = "refund_failures"
    MONEY_OUT = "money_out"
    SHARE_INSTANT = "share_instant"
    REPEAT_REQUESTS = "repeat_requests"


ENDING = {GuardMetric.INCIDENT_RATE: 0.6, GuardMetric.REFUND_FAILURES: 0.2, GuardMetric.MONEY_OUT: 0.2}
"""A canary that crosses one of these bounds ends by itself; the others keep its share from being raised.

The numbers are the shares of the false alarms that each may raise. Incidents are rare, so they have most.
"""


@dataclass(frozen=True, slots=True)
class Observation:
    """A request that counts: of which arm, and its value: 0 or 1, or an amount in minor units."""

    is_canary: bool
    value: int


@dataclass(frozen=True, slots=True)
class ArmSums:
    """How many requests of an arm counted, and the sum of their values."""

    requests: int = 0
    total: int = 0

    @property
    def mean(self) -> float:
        """The mean value, 0 without requests."""
        return self.total / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a guard has counted. `log_wealth`: of each of `BETS`, 0 at the start.

    `scale`: the largest value before the comparison under way; larger values count as this much, so that the bets are
    made before the values are known. `waiting_*`: the requests that were not compared yet. `peak_log`: the logarithm of
    the highest wealth that there ever was.
    """

    canary: ArmSums = ArmSums()
    live: ArmSums = ArmSums()
    log_wealth: tuple[float, ...] = (0.0,) * len(BETS)
    peak_log: float = 0.0
    scale: int = 0
    next_scale: int = 0
    waiting_canary: ArmSums = ArmSums()
    waiting_live: ArmSums = ArmSums()

    @property
    def wealth_log(self) -> float:
        """The logarithm of the wealth now: the mean over the bets."""
        return _log_of_mean(self.log_wealth)


def observe(evidence: Evidence, seen: Iterable[Observation], bound: GuardBound) -> Evidence:
    """The evidence after further requests, in the order in which they were made."""
    allowed = 1 + bound.above_live_percent / 100
    counts = {True: [*_pair(evidence.canary)], False: [*_pair(evidence.live)]}
    waiting = {True: [*_pair(evidence.waiting_canary)], False: [*_pair(evidence.waiting_live)]}
    wealth, peak = evidence.log_wealth, evidence.peak_log
    scale, next_scale = evidence.scale, evidence.next_scale
    for one in seen:
        value = one.value
        count, wait = counts[one.is_canary], waiting[one.is_canary]
        count[0] += 1
        count[1] += value
        wait[0] += 1
        wait[1] += min(value, scale)
        next_scale = max(next_scale, value)
        if not (waiting[True][0] and waiting[False][0]):
            continue
        if scale:
            difference = (_mean(waiting[True]) - allowed * _mean(waiting[False])) / scale
            wealth = _settle(wealth, difference, allowed)
            peak = max(peak, _log_of_mean(wealth))
        waiting, scale = {True: [0, 0], False: [0, 0]}, next_scale
    return Evidence(
        canary=ArmSums(*counts[True]),
        live=ArmSums(*counts[False]),
        log_wealth=wealth,
        peak_log=peak,
        scale=scale,
        next_scale=next_scale,
        waiting_canary=ArmSums(*waiting[True]),
        waiting_live=ArmSums(*waiting[False]),
    )


def _settle(wealth: tuple[float, ...], difference: float, allowed: float) -> tuple[float, ...]:
    """The wealth after a comparison.

    INVARIANT: a bet of less than 1 / allowed leaves something, because both means lie between 0 and the scale.
    """
    return tuple([has + log1p(bet / allowed * difference) for has, bet in zip(wealth, BETS, strict=True)])


def _log_of_mean(logs: tuple[float, ...]) -> float:
    most = max(logs)
    return most + log(sum([exp(one - most) for one in logs]) / len(logs))


def _pair(sums: ArmSums) -> tuple[int, int]:
    return sums.requests, sums.total


def _mean(waiting: list[int]) -> float:
    return waiting[1] / waiting[0]


def begin(metric: GuardMetric) -> Evidence:
    """No evidence. Values of yes or no are at most 1; of amounts the first ones say how large they are."""
    scale = 0 if metric is GuardMetric.MONEY_OUT else 1
    return Evidence(scale=scale, next_scale=scale)


def wealth_needed(metric: GuardMetric, guards: Guards) -> float:
    """From which wealth on a bound counts as crossed: the false alarms of the ending guards together are as stated."""
    return 100 / (guards.false_alarm_percent * ENDING.get(metric, 1))


def bound_of(metric: GuardMetric, guards: Guards) -> GuardBound:
    """The bound that the policy sets for a metric."""
    bounds = {
        GuardMetric.INCIDENT_RATE: guards.incident_rate,
        GuardMetric.REFUND_FAILURES: guards.refund_failures,
        GuardMetric.MONEY_OUT: guards.money_out,
        GuardMetric.SHARE_INSTANT: guards.share_instant,
        GuardMetric.REPEAT_REQUESTS: guards.repeat_requests,
    }
    return bounds[metric]


def is_crossed(metric: GuardMetric, evidence: Evidence, guards: Guards) -> bool:
    """Whether the evidence was ever enough to end the canary; of a signal, whether it is enough now."""
    found = evidence.peak_log if metric in ENDING else evidence.wealth_log
    return found >= log(wealth_needed(metric, guards))


def numbers_seen(metric: GuardMetric, evidence: Evidence, guards: Guards) -> str:
    """The numbers that a guard saw, in a sentence."""
    bound = bound_of(metric, guards)
    canary, live = (_said(metric, sums) for sums in (evidence.canary, evidence.live))
    return (
        f"{metric}: {canary} in the canary against {live} live; at most {bound.above_live_percent} % above live is "
        f"allowed, and the evidence is {exp(min(evidence.peak_log, 700)):.1f} to 1, with "
        f"{wealth_needed(metric, guards):.0f} to 1 as the limit"
    )


def _said(metric: GuardMetric, sums: ArmSums) -> str:
    if metric is GuardMetric.MONEY_OUT:
        return f"{sums.mean:.0f} minor units a request over {sums.requests} requests"
    return f"{sums.total} of {sums.requests} ({sums.mean:.2%})"
