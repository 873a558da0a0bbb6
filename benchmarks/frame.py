"""The targets, what a measurement says, and running those that can be run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from jitui.errors import BadInput

DEFAULT_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Target:
    """A line of the table of targets; the file `pN_….py` beside this one measures it."""

    id: str
    work: str
    floor: str
    target: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run found; `ratio` is ours against the floor of the same run, `holds` whether the target is met.

    `floor` and `ratio` are None for a target that is its own measure.
    """

    id: str
    work: str
    ours: float
    floor: float | None
    unit: str
    ratio: float | None
    target: str
    holds: bool
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """How long a measured window lasts, what was measured earlier in this run, and where to say what goes on."""

    seconds: float = DEFAULT_SECONDS
    earlier: Mapping[str, Measured] = field(default_factory=dict)
    say: Callable[[str], None] = lambda _: None


Measure = Callable[[Run], Measured]

TARGETS = (
    Target("P1", "one decision with its explanation", "zen-engine, cel-python", "<= 2x zen, >= 50x cel-python"),
    Target("P2", "ask to committed over HTTP", "pgbench, same statements", ">= 50 %, p99 < 25 ms at half load"),
    Target("P3", "refunds sent, confirmed, posted", "psycopg, same two commits", ">= 80 %"),
    Target("P4", "back-test of 10 M requests", "hand-written DuckDB SQL", "<= 1.3x its time"),
    Target("P5", "features of 10 M to 100 M events", "itself", "<= 11x for 10x, under 4 GiB"),
    Target("P6", "the same on Spark", "DuckDB", "correct to the row"),
    Target("P7", "events and orders by batch", "bare COPY", ">= 30 %"),
    Target("P8", "one decision as history grows", "itself", "<= 1.3x"),
    Target("P9", "a second API process", "one", "never falls"),
    Target("P10", "jitui --help; jitui demo", "", "<= 0.3 s; <= 10 s"),
    Target("P11", "ask to refunded over HTTP", "Vendure, Medusa", ">= 10x Vendure"),
    Target("P12", "what one ask costs PostgreSQL", "pgbench -N", "<= 4x its time; <= 6 KB of WAL"),
    Target("P13", "a list of 1 M tickets or refunds, any filter", "", "< 50 ms"),
)
BY_ID = {target.id: target for target in TARGETS}


def choose(ids: Sequence[str]) -> list[Target]:
    """The targets named, in the table's order; all when none is. Raises BadInput for a name that is none."""
    wanted = {name.upper() for name in ids}
    unknown = sorted(wanted - set(BY_ID))
    if unknown:
        raise BadInput(f"There is no target {', '.join(unknown)}; there are {', '.join(BY_ID)}.", path="ids")
    return [target for target in TARGETS if not wanted or target.id in wanted]


def measure_of(target: Target) -> Measure | None:
    """The function `measure` of the target's file; None while there is no such file."""
    here = Path(__file__).parent
    pattern = re.compile(rf"{target.id.lower()}_\w+\.py")
    found = next((path for path in sorted(here.iterdir()) if pattern.fullmatch(path.name)), None)
    if found is None:
        return None
    measure: Measure = import_module(f"{__package__}.{found.stem}").measure
    return measure


def result(
    target_id: str,
    *,
    ours: float,
    floor: float | None,
    unit: str,
    holds: bool,
    ratio: float | None = None,
    detail: Mapping[str, object] | None = None,
) -> Measured:
    """A measurement of one of the targets; the ratio is ours to the floor unless it is given."""
    target = BY_ID[target_id]
    if ratio is None and floor:
        ratio = ours / floor
    return Measured(target_id, target.work, ours, floor, unit, ratio, target.target, holds, detail or {})


def run_all(targets: Sequence[Target], *, seconds: float, say: Callable[[str], None]) -> list[Measured]:
    """Measure one after the other, never two at once."""
    done: dict[str, Measured] = {}
    for target in targets:
        measure = measure_of(target)
        if measure is not None:
            say(f"{target.id}: {target.work} …")
            done[target.id] = measure(Run(seconds, done, say))
    return list(done.values())
