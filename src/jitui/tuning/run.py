"""Runs a tuning: from a policy and a history to a front of settings, judged, and one that may be proposed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

import duckdb

from jitui.backtest.engine import DEFAULT_MEMORY_MIB, Engine, EngineName, open_engine
from jitui.backtest.facts import Choice, Tables
from jitui.backtest.found import quoted
from jitui.backtest.gaps import GAPS, lost_usage
from jitui.backtest.replay import carried_facts, replay_caps
from jitui.backtest.run import peak_memory_mib
from jitui.backtest.source import RowsSetAside, prepare
from jitui.errors import BadInput
from jitui.policy import Policy
from jitui.tuning.candidates import Grid, read_grid
from jitui.tuning.conjuncts import Conjuncts, conjuncts
from jitui.tuning.front import GridSums, front, grid_sums
from jitui.tuning.judge import Bounds, Judged, approving, judge, passed, statistics, surest_first
from jitui.tuning.scan import JUDGE, LEARN, Tried, bit_groups, scan

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much is finished; 0 of 0 when unknown."""
LEARN_UNTIL = "--learn-until"


@dataclass(frozen=True, slots=True)
class TuneSpec:
    """What to tune. `learn_before`: requests before it are learnt from, later ones judge; None: half of them each."""

    policy: Policy
    history: str
    tried: tuple[str, ...]
    time_zone: ZoneInfo
    bounds: Bounds = field(default_factory=Bounds)
    learn_before: datetime | None = None
    caps: bool = True
    engine: EngineName = EngineName.DUCKDB
    master: str = "local[2]"
    memory_mib: int = DEFAULT_MEMORY_MIB
    review_minutes: float = 4.0
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class WithCaps:
    """What a setting does to the whole history when its caps are replayed in order; amounts in minor units."""

    requests: int
    instant: int
    money_minor: int
    loss_minor: int


@dataclass(frozen=True, slots=True)
class TunedSetting:
    """One setting: the share refunded at once of what is learnt from, and how it is judged.

    `passes`: it keeps to the bounds, tested in turn with the others. `saved_minor`: what the reviews would have cost
    that it makes unnecessary, of all requests that judge.
    """

    values: Mapping[str, int]
    learnt_share: float
    judged: Judged
    saved_minor: int
    passes: bool
    with_caps: WithCaps | None = None


@dataclass(frozen=True, slots=True)
class TuneSeconds:
    """How long the parts took: reading and bits, the grid's sums, judging with its bootstrap, caps in order."""

    scan: float
    grid: float
    judging: float
    caps: float


@dataclass(frozen=True, slots=True)
class TuneReport:
    """The result. `front` goes from strict to loose; `recommended` is the values of the loosest that passes.

    `without_losses`: the history tells of none, so nothing is recommended. `without_effect`: parameters of which no
    value changes any decision that is learnt from.
    """

    policy: str
    version: str
    currency: str
    settings: int
    tried: Mapping[str, tuple[int, ...]]
    learn_before: datetime
    learnt: int
    judged: int
    bounds: Bounds
    without_losses: bool
    without_effect: tuple[str, ...]
    own: TunedSetting
    front: tuple[TunedSetting, ...]
    recommended: Mapping[str, int] | None
    set_aside: tuple[RowsSetAside, ...]
    seconds: TuneSeconds
    peak_memory_mib: int
    without_amount: int = 0
    """Requests of both sides whose amount in the policy's currency is unknown: money and loss are without them."""


def tune(
    spec: TuneSpec,
    work: Path,
    progress: Progress = lambda _what, _done, _of: None,
    tell: Callable[[str], None] = lambda _sentence: None,
) -> TuneReport:
    """Tune a policy on a history; `tell` gets what must be known before the work begins.

    Raises BadInput for a grid that cannot be tried and for a history without requests on one side, NotConfigured
    without SciPy.
    """
    grid, parts = check_spec(spec)
    started = perf_counter()
    scanned = _scanned(spec, grid, parts, work, progress, tell)
    tried = scanned.tried
    at_scanned = perf_counter()
    with duckdb.connect(config={"memory_limit": f"{spec.memory_mib}MiB", "temp_directory": str(work / "spill")}) as db:
        progress("adding up the grid", 0, 0)
        without_amount = _check_halves(db, tried, scanned.learn_before)
        sums = grid_sums(db, tried)
        own = grid.number({one.name: one.value for one in spec.policy.parameters if one.name in grid.values})
        chosen = front(sums, own)
        at_added = perf_counter()
        progress("judging", 0, 0)
        found = _judged(db, tried, spec, sums, own, chosen)
        at_judged = perf_counter()
        if spec.caps and carried_facts(spec.policy):
            found = _with_caps(db, scanned, spec, found, work, progress)
    ends = (started, at_scanned, at_added, at_judged, perf_counter())
    seconds = TuneSeconds(*(round(end - begin, 3) for begin, end in pairwise(ends)))
    report = _report(spec, scanned, sums, found[own], [found[number] for number in chosen], seconds)
    return replace(report, without_amount=without_amount)


def _report(
    spec: TuneSpec,
    scanned: _Scanned,
    sums: GridSums,
    own: TunedSetting,
    chosen: Sequence[TunedSetting],
    seconds: TuneSeconds,
) -> TuneReport:
    without_losses = not (sums.loss_minor.any() or sums.incidents.any())
    passing = [one for one in (own, *chosen) if one.passes and not without_losses]
    best = max(passing, key=lambda one: one.judged.instant, default=None)
    return TuneReport(
        policy=spec.policy.id,
        version=spec.policy.version,
        currency=spec.policy.currency,
        settings=scanned.tried.grid.size,
        tried=scanned.tried.grid.values,
        learn_before=scanned.learn_before,
        learnt=sums.requests,
        judged=own.judged.requests,
        bounds=spec.bounds,
        without_losses=without_losses,
        without_effect=_without_effect(scanned.tried.grid, sums),
        own=own,
        front=tuple(chosen),
        recommended=None if best is None else best.values,
        set_aside=scanned.set_aside,
        seconds=seconds,
        peak_memory_mib=peak_memory_mib(),
    )


@dataclass(frozen=True, slots=True)
class _Scanned:
    """The history with its bits; `lost`: whose usage of caps is unknown because rows were set aside."""

    tried: Tried
    learn_before: datetime
    lost: Mapping[str, frozenset[str]]
    set_aside: tuple[RowsSetAside, ...]


def _scanned(
    spec: TuneSpec, grid: Grid, parts: Conjuncts, work: Path, progress: Progress, tell: Callable[[str], None]
) -> _Scanned:
    policy = spec.policy
    progress("reading the history", 0, 0)
    prepared = prepare(spec.history, work, memory_mib=spec.memory_mib // 2, facts=policy.facts, encoding=spec.encoding)
    with open_engine(spec.engine, work, memory_mib=spec.memory_mib, master=spec.master) as engine:
        tables = {name: engine.read(path) for name, path in prepared.paths.items()}
        if prepared.gaps is not None:
            tables[GAPS] = engine.read(prepared.gaps)
        learn_before = spec.learn_before or _middle(engine, tables, spec.time_zone)
        if not _tells_of_losses(engine, tables, policy):
            tell(WITHOUT_LOSSES)
        progress(f"features and {grid.size:,} settings of {policy.id} {policy.version}", 0, 0)
        choice, out = Choice(spec.time_zone), work / "tried.parquet"
        tried = scan(engine, tables, policy, grid, parts, choice, learn_before, out)
        return _Scanned(tried, learn_before, lost_usage(engine, tables.get(GAPS)), prepared.set_aside)


def check_spec(spec: TuneSpec) -> tuple[Grid, Conjuncts]:
    """The grid, and the conditions in parts; raises BadInput and NotConfigured for what cannot be tuned."""
    statistics()
    grid = read_grid(spec.policy, spec.tried)
    parts = conjuncts(spec.policy, grid.values)
    bit_groups(grid, parts)
    return grid, parts


WITHOUT_LOSSES = (
    "This history tells of no losses: no parcel in it left before its refund was asked for and was recorded after. "
    "Every looser setting looks better then, so nothing is recommended. What would help: the table shipments with at "
    "and recorded_at, or events dispute_lost and lost_dispute_cost_minor in the policy's section loss."
)


def _tells_of_losses(engine: Engine, tables: Tables, policy: Policy) -> bool:
    found = []
    if "shipments" in tables:
        gone = tables["shipments"]
        found.append(gone.filter(gone.degree != "label_printed", gone.recorded_at > gone.at).select("order_id"))
    if "events" in tables and policy.loss.lost_dispute_cost_minor:
        events = tables["events"]
        found.append(events.filter(events.kind == "dispute_lost").select("subject_id"))
    return any(engine.connection.to_pyarrow(rows.limit(1)).num_rows for rows in found)


def _middle(engine: Engine, tables: Tables, zone: ZoneInfo) -> datetime:
    """The beginning of the day before which half of the requests were made."""
    requests = tables["requests"]
    ordered = requests.order_by(requests.asked_at, requests.request_id).select("asked_at")
    count = int(engine.connection.to_pyarrow(requests.agg(n=requests.count())).to_pylist()[0]["n"])
    if not count:
        raise BadInput(
            "This history has no requests, so there is nothing to learn from. Name another one with --history.",
            path="--history",
        )
    middle: datetime = engine.connection.to_pyarrow(ordered.limit(1, offset=count // 2)).to_pylist()[0]["asked_at"]
    aware = middle.replace(tzinfo=UTC) if middle.tzinfo is None else middle
    return aware.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


def _check_halves(db: duckdb.DuckDBPyConnection, tried: Tried, learn_before: datetime) -> int:
    """The number of requests without an amount; raises BadInput where a half has no requests."""
    rows = db.execute(
        "SELECT half, count(*), count(*) FILTER (NOT has_amount) FROM read_parquet(?)"
        " WHERE half IS NOT NULL GROUP BY half",
        [tried.source],
    ).fetchall()
    counts = {half: count for half, count, _ in rows}
    for half, which, other in ((LEARN, "before", "a later"), (JUDGE, "from", "an earlier")):
        if not counts.get(half):
            raise BadInput(
                f"No requests {which} {learn_before:%Y-%m-%d} on: take {other} day with {LEARN_UNTIL}, or a longer "
                "history. Half of the buyers is learnt from before that day, the other half judges after it.",
                path=LEARN_UNTIL,
            )
    return sum(without for _, _, without in rows)


def _judged(
    db: duckdb.DuckDBPyConnection, tried: Tried, spec: TuneSpec, sums: GridSums, own: int, chosen: Sequence[int]
) -> dict[int, TunedSetting]:
    numbers = list(dict.fromkeys((own, *chosen)))
    results = dict(zip(numbers, judge(db, tried, numbers, spec.bounds), strict=True))
    order = surest_first(db, tried, numbers, spec.bounds)
    through = set(passed(order, lambda number: results[number].holds))
    minute = spec.policy.loss.review_minute_cost_minor
    return {
        number: TunedSetting(
            values=tried.grid.setting(number),
            learnt_share=float(sums.instant[number]) / sums.requests,
            judged=one,
            saved_minor=round(one.instant * spec.review_minutes * minute),
            passes=number in through,
        )
        for number, one in results.items()
    }


def _with_caps(
    db: duckdb.DuckDBPyConnection,
    scanned: _Scanned,
    spec: TuneSpec,
    found: Mapping[int, TunedSetting],
    work: Path,
    progress: Progress,
) -> dict[int, TunedSetting]:
    """The settings with what is left of them when caps are replayed in order, over the whole history."""
    tried, rows, decided = scanned.tried, work / "passing.parquet", work / "with_caps.parquet"
    total = db.execute("SELECT count(*) FROM read_parquet(?)", [tried.source]).fetchone()
    done = {}
    for place, (number, one) in enumerate(found.items()):
        progress("caps in order", place, len(found))
        passing = f"SELECT * FROM read_parquet('{quoted(tried.source)}') WHERE {approving(tried, number)}"
        db.execute(f"COPY ({passing}) TO '{quoted(str(rows))}' (COMPRESSION zstd)")
        replay_caps(spec.policy.with_parameters(one.values), scanned.lost, rows, decided)
        sums = db.execute(
            "SELECT count(*), coalesce(sum(amount_minor), 0)::BIGINT, coalesce(sum(loss_minor), 0)::BIGINT "
            "FROM read_parquet(?) WHERE outcome = 'instant'",
            [str(decided)],
        ).fetchone()
        assert total is not None
        assert sums is not None
        done[number] = replace(one, with_caps=WithCaps(int(total[0]), *sums))
    rows.unlink()
    decided.unlink()
    return done


def _without_effect(grid: Grid, sums: GridSums) -> tuple[str, ...]:
    """The parameters along which no sum of the grid changes."""
    idle = []
    for axis, name in enumerate(grid.values):
        changing = (sums.instant, sums.money_minor, sums.loss_minor)
        if all((one.reshape(grid.shape).min(axis) == one.reshape(grid.shape).max(axis)).all() for one in changing):
            idle.append(name)
    return tuple(idle)
