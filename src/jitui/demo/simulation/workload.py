"""The workload of a seed: orders, and what buyers, merchants and carriers will try with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from random import Random
from typing import TypeVar

from jitui.aftersales.model.order import Funder, Funding, Hold

STARTS_AT = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
BUYERS = tuple(f"buyer-{number}" for number in range(6))
"""Premium buyers on the allow list, except the last, whose requests go to review."""
REVIEWED_BUYER = BUYERS[-1]
TRIES = 4
_Drawn = TypeVar("_Drawn")


@dataclass(frozen=True, slots=True)
class Deal:
    """A paid order."""

    order_id: str
    buyer_id: str
    lines: tuple[tuple[str, int, int], ...]  # line, units, amount paid for all of them
    freight_minor: int
    tenders_minor: tuple[int, ...]
    funding: tuple[Funding, ...]
    hold: Hold = Hold.NONE

    @property
    def paid_minor(self) -> int:
        """What the buyer's payments captured."""
        return sum(self.tenders_minor)


@dataclass(slots=True)
class WorkloadStep:
    """A step that somebody will try, up to `tries` more times when it cannot be done yet or gets no response."""

    kind: str
    deal: Deal
    units: str = ""
    key: str = ""
    waybill: str = ""
    degree: str = "shipped"
    source: str = "merchant"
    tries: int = TRIES


@dataclass(frozen=True, slots=True)
class Workload:
    """The orders and steps of one seed."""

    seed: int
    deals: tuple[Deal, ...]
    steps: list[WorkloadStep] = field(default_factory=list)  # taken from the end, or at random
    rushed: bool = False


def drawn(rng: Random, weighted: Sequence[tuple[_Drawn, int]]) -> _Drawn:
    """A random choice by weights."""
    return rng.choices([one for one, _ in weighted], [weight for _, weight in weighted])[0]


def draw_workload(seed: int) -> Workload:
    """The workload of a seed; equal seeds give equal workloads."""
    rng = Random(f"script/{seed}")
    greedy = rng.choice(BUYERS[:-1])
    greed = rng.choice((0.3, 0.6, 1.0))
    count = rng.randint(3, 8)
    deals = tuple(_deal(rng, number, greedy if rng.random() < greed else rng.choice(BUYERS)) for number in range(count))
    steps = [step for deal in deals for step in _steps(rng, deal)]
    rng.shuffle(steps)
    if greed == 1.0:  # all at once at the beginning, so that they compete for the quota
        steps.sort(key=lambda step: step.kind == "ask")
    return Workload(seed, deals, steps, rushed=greed == 1.0)


def _deal(rng: Random, number: int, buyer_id: str) -> Deal:
    total_minor = rng.choice((rng.randint(100, 5_000), rng.randint(5_000, 29_999), rng.randint(20_000, 29_000), 30_000))
    freight_minor = rng.choice((0, 0, 600, 7)) if total_minor > 1_000 else 0
    count = rng.choices((1, 2, 3), (5, 3, 2))[0]
    cuts = sorted(rng.randint(0, total_minor - freight_minor) for _ in range(count - 1))
    bounds = [0, *cuts, total_minor - freight_minor]
    lines = tuple(
        (f"l{index}", rng.choice((1, 1, 2, 3)), upper - lower)
        for index, (lower, upper) in enumerate(pairwise(bounds), start=1)
    )
    paid_minor = sum(paid for _, _, paid in lines) + freight_minor
    return Deal(
        f"o-{number}",
        buyer_id,
        lines,
        freight_minor,
        _tenders(rng, paid_minor),
        (Funding(rng.choice(tuple(Funder)), rng.randint(1, 999)),) if rng.random() < 0.3 else (),
        Hold.PRESALE if rng.random() < 0.06 else Hold.NONE,
    )


def _tenders(rng: Random, total_minor: int) -> tuple[int, ...]:
    count = rng.choices((1, 2, 3), (6, 3, 1))[0]
    cuts = sorted(rng.sample(range(1, total_minor), min(count, total_minor) - 1)) if total_minor > 1 else []
    bounds = [0, *cuts, total_minor]
    return tuple(upper - lower for lower, upper in pairwise(bounds))


def _steps(rng: Random, deal: Deal) -> list[WorkloadStep]:
    """The steps of an order, requests first; later the steps of all orders are shuffled."""
    steps: list[WorkloadStep] = []
    asks = rng.choices((0, 1, 2, 3), (1, 10, 6, 3))[0]
    for number in range(asks):
        ask = WorkloadStep("ask", deal, units=_units(rng, deal), key=f"{deal.order_id}/ask/{number}")
        steps.append(ask)
        if rng.random() < 0.3:  # a double click: the same Idempotency-Key again
            steps.append(WorkloadStep("ask", deal, units=ask.units, key=ask.key))
    for kind, chance in (("approve", 0.45), ("reject", 0.2), ("withdraw", 0.15), ("approve", 0.2)):
        if rng.random() < chance:
            steps.append(WorkloadStep(kind, deal, waybill="W-9" if kind == "reject" and rng.random() < 0.5 else ""))
    for degree, source, chance in (
        ("label_printed", "merchant", 0.3),
        ("shipped", "merchant", 0.4),
        ("shipped", "merchant", 0.2),
        ("picked_up", "carrier", 0.1),
        ("shipped", "carrier", 0.12),
    ):
        if rng.random() < chance:
            waybill = f"W-{rng.randint(1, 2)}"
            steps.append(
                WorkloadStep("ship", deal, units=_units(rng, deal), waybill=waybill, degree=degree, source=source)
            )
    return steps


def _units(rng: Random, deal: Deal) -> str:
    """The requested units as text; empty means all."""
    if rng.random() < 0.55:
        return ""
    chosen = rng.sample(deal.lines, rng.randint(1, len(deal.lines)))
    return ",".join(f"{line_id}:{rng.randint(1, units)}" for line_id, units, _ in chosen)
