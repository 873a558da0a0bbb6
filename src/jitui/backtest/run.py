"""Runs a back-test: prepares the history, replays it, and computes the figures and comparisons."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

from jitui.backtest.engine import DEFAULT_MEMORY_MIB, Engine, EngineName, open_engine
from jitui.backtest.facts import Choice, Tables
from jitui.backtest.findings import Findings, find
from jitui.backtest.gaps import GAPS
from jitui.backtest.incident_cost import CostRates, check_rates
from jitui.backtest.logged import Verification, verify_logged
from jitui.backtest.period import requests_since
from jitui.backtest.replay import Progress, ReplayChoice, Replayed, replay
from jitui.backtest.segments import SegmentSpec
from jitui.backtest.source import Prepared, prepare
from jitui.backtest.summary import Comparison, Summary, compare, summarise, write_really_decided
from jitui.errors import BadInput
from jitui.policy import Policy

REALLY_DECIDED = "really decided"
"""The name of the real decisions in a comparison."""


@dataclass(frozen=True, slots=True)
class BacktestSpec:
    """What to do; `against` is a second policy, `decided` compares with the real decisions.

    `findings`: also find what the report for people says, by `segments` and with `rates`. `since`: leave out the
    requests before that moment.
    """

    policy: Policy
    history: str
    time_zone: ZoneInfo
    against: Policy | None = None
    decided: bool = False
    engine: EngineName = EngineName.DUCKDB
    master: str = "local[2]"
    memory_mib: int = DEFAULT_MEMORY_MIB
    rates: CostRates = field(default_factory=CostRates)
    segments: tuple[SegmentSpec, ...] = ()
    findings: bool = False
    recompute_features: bool = False
    replay_caps: bool = True
    verify: int = 0
    encoding: str = "utf-8"
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Backtest:
    """The result; seconds and memory are of the whole run."""

    summary: Summary
    against: Summary | None
    comparison: Comparison | None
    verification: Verification | None
    prepared: Prepared
    engine: EngineName
    seconds: float
    peak_memory_mib: int
    memory_cap_mib: int
    moved_to_review: int = 0
    """Requests that would be instant without the facts that rows set aside made unknown."""
    findings: Findings | None = None


def run_backtest(spec: BacktestSpec, work: Path, progress: Progress = lambda _what, _done, _of: None) -> Backtest:
    """Run a back-test; `work` has `decisions.parquet`, `decisions_against.parquet` and the rows that were set aside."""
    started = perf_counter()
    (work / "decisions_against.parquet").unlink(missing_ok=True)  # of an earlier run in this folder
    check_rates(spec.rates)
    progress("reading the history", 0, 0)
    prepared = _prepared(spec, work)
    if spec.decided and "decisions" not in prepared.paths:
        raise BadInput("This history has no decisions to compare with (docs/reference/history.md).", path="--against")
    with open_engine(spec.engine, work, memory_mib=spec.memory_mib, master=spec.master) as engine:
        tables = {name: engine.read(path) for name, path in prepared.paths.items()}
        as_if_whole = None
        if prepared.gaps is not None:
            as_if_whole = _replay(engine, tables, spec, spec.policy, work / "as_if_whole.parquet", progress)
            tables[GAPS] = engine.read(prepared.gaps)
        here = _replay(engine, tables, spec, spec.policy, work / "decisions.parquet", progress, full=spec.findings)
        there = None
        if spec.against is not None:
            there = _replay(engine, tables, spec, spec.against, work / "decisions_against.parquet", progress)
        verified = None
        if spec.verify:
            verified = verify_logged(engine, tables, spec.policy, spec.time_zone, spec.verify)
    progress("adding up", 0, 0)
    comparison, other = _compare(spec, prepared, here, there, work)
    found = None
    if spec.findings:
        compared_with = None if comparison is None else comparison.there
        found = find(here, other, compared_with, spec.segments, spec.rates, spec.time_zone.key)
    summaries = [_summarise(spec, one) for one in (here, there) if one is not None]
    return Backtest(
        summaries[0],
        summaries[1] if len(summaries) > 1 else None,
        comparison,
        verified,
        prepared,
        spec.engine,
        round(perf_counter() - started, 3),
        peak_memory_mib(),
        spec.memory_mib,
        0 if as_if_whole is None else _moved_to_review(as_if_whole, here),
        found,
    )


def _prepared(spec: BacktestSpec, work: Path) -> Prepared:
    prepared = prepare(
        spec.history,
        work,
        memory_mib=spec.memory_mib // 2,
        facts={**(spec.against.facts if spec.against else {}), **spec.policy.facts},
        encoding=spec.encoding,
        segments=spec.segments,
    )
    return prepared if spec.since is None else requests_since(prepared, spec.since, work)


def _moved_to_review(as_if_whole: Replayed, here: Replayed) -> int:
    cells = compare(as_if_whole.path, here.path, "as if whole", "here", here.policy.currency).cells
    return sum(cell.requests for cell in cells if (cell.here, cell.there) == ("instant", "review"))


def peak_memory_mib() -> int:
    """The most memory that this process, or a child that has ended, has used."""
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return int(peak // (1 << 20 if sys.platform == "darwin" else 1 << 10))


def _replay(
    engine: Engine,
    tables: Tables,
    spec: BacktestSpec,
    policy: Policy,
    out: Path,
    progress: Progress,
    *,
    full: bool = False,
) -> Replayed:
    """`full`: with what the report needs beside each decision."""
    facts = Choice(spec.time_zone, spec.recompute_features)
    choice = ReplayChoice(facts, spec.replay_caps, spec.segments if full else (), full)
    return replay(engine, tables, policy, out, choice, progress)


def _summarise(spec: BacktestSpec, replayed: Replayed) -> Summary:
    return summarise(replayed, minutes_a_review=spec.rates.review_minutes, time_zone=spec.time_zone.key)


def _compare(
    spec: BacktestSpec, prepared: Prepared, here: Replayed, there: Replayed | None, work: Path
) -> tuple[Comparison | None, Path | None]:
    """The comparison that was asked for, and the decisions of the other side."""
    name = f"{spec.policy.id} {spec.policy.version}"
    if there is not None:
        other = f"{there.policy.id} {there.policy.version}"
        if other == name:
            name, other = f"{name} ({spec.policy.sha256[:8]})", f"{other} ({there.policy.sha256[:8]})"
        return compare(here.path, there.path, name, other, spec.policy.currency), there.path
    if spec.decided:
        really = write_really_decided(prepared.paths["decisions"], work)
        return compare(here.path, really, name, REALLY_DECIDED, spec.policy.currency), really
    return None, None
