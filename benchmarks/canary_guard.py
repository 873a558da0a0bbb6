"""How often the guards end a canary that is worse, how soon, and how often one that is not.

`python -m benchmarks.canary_guard` simulates requests in the order of time, of which a share is the canary's. Some are
approved at once; of these a small share become incidents after a delay. The guards see them as in the service: a
request counts once it is as old as the default policy says, and the canary ends when a bound is crossed. What its
buyers asked until then counts, also what is too young to be judged.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median

from jitui.aftersales.governance.guard import (
    ENDING,
    GuardMetric,
    Observation,
    begin,
    bound_of,
    is_crossed,
    observe,
)
from jitui.policy import Guards

HOUR_SECONDS = 3600
REQUESTS_A_STEP = 50


@dataclass(frozen=True, slots=True)
class World:
    """What is simulated; rates are of the requests that are approved at once."""

    requests_a_day: int = 4000
    canary_percent: int = 5
    instant: float = 0.8
    incidents: float = 0.01
    incidents_in_canary: float = 0.01
    scan_after_hours: float = 16.0
    refund_failures: float = 0.005
    median_amount_minor: int = 6000


@dataclass(frozen=True, slots=True)
class Request:
    """A request: when it was made, and what became of it."""

    at_seconds: float
    is_canary: bool
    is_instant: bool
    amount_minor: int
    incident_after_seconds: float | None
    fails: bool


def requests(world: World, random: Random, canary_requests: int) -> Iterator[Request]:
    """Requests until the canary has had so many."""
    at_seconds, made = 0.0, 0
    while made < canary_requests:
        at_seconds += random.expovariate(world.requests_a_day / (24 * HOUR_SECONDS))
        is_canary = random.random() * 100 < world.canary_percent
        made += is_canary
        is_instant = random.random() < world.instant
        rate = world.incidents_in_canary if is_canary else world.incidents
        becomes = random.random() < rate
        after = random.expovariate(1 / (world.scan_after_hours * HOUR_SECONDS)) if becomes else None
        amount = min(29_999, round(world.median_amount_minor * random.lognormvariate(0, 0.8)))
        yield Request(at_seconds, is_canary, is_instant, amount, after, random.random() < world.refund_failures)


def observation(metric: GuardMetric, request: Request, counts_after_seconds: int) -> Observation | None:
    """The request as a guard counts it; None when it does not."""
    match metric:
        case GuardMetric.MONEY_OUT:
            return Observation(request.is_canary, request.amount_minor if request.is_instant else 0)
        case _ if not request.is_instant:
            return None
        case GuardMetric.INCIDENT_RATE:
            after = request.incident_after_seconds
            return Observation(request.is_canary, int(after is not None and after <= counts_after_seconds))
        case _:
            return Observation(request.is_canary, int(request.fails))


def ended_after(world: World, seed: int, guards: Guards, most: int) -> int | None:
    """After how many canary requests a guard ends the canary; None: not within `most`."""
    made = list(requests(world, Random(seed), most))
    ends = [
        at for metric in ENDING if (at := _crossed_at(metric, made, guards)) is not None and at <= made[-1].at_seconds
    ]
    if not ends:
        return None
    return sum(one.is_canary for one in made if one.at_seconds <= min(ends))


def _crossed_at(metric: GuardMetric, made: Sequence[Request], guards: Guards) -> float | None:
    """When the step of the worker comes that sees the bound crossed."""
    bound, evidence = bound_of(metric, guards), begin(metric)
    for step in batched(made, REQUESTS_A_STEP):
        seen = (observation(metric, request, bound.counts_after_seconds) for request in step)
        evidence = observe(evidence, (one for one in seen if one is not None), bound)
        if is_crossed(metric, evidence, guards):
            return step[-1].at_seconds + bound.counts_after_seconds
    return None


def batched(made: Sequence[Request], size: int) -> Iterator[Sequence[Request]]:
    """The requests in groups."""
    return (made[start : start + size] for start in range(0, len(made), size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--most", type=int, default=2000, help="canary requests within which it is to end")
    parser.add_argument("--planted", type=float, default=0.03, help="the share of incidents that is planted")
    options = parser.parse_args()
    guards = Guards()
    for name, world in (
        (f"planted {options.planted:.1%}", World(incidents_in_canary=options.planted)),
        ("no worse", World()),
    ):
        ends = [ended_after(world, seed, guards, options.most) for seed in range(options.seeds)]
        ended = sorted(one for one in ends if one is not None)
        said = f"after {median(ended):.0f} canary requests in the median, {ended[-1]} at most" if ended else ""
        print(f"{name}: ended within {options.most} canary requests in {len(ended)} of {options.seeds} seeds {said}")


if __name__ == "__main__":
    main()
