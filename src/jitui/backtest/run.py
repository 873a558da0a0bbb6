"""Runs a back-test: prepares the history, replays it, and computes the figures and comparisons."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

from jitui.backtest.engine import DEFAULT_MEMORY_MIB, Engine, EngineName, open_engine
from jitui.backtest.facts import Choice, Tables
from jitui.backtest.gaps import GAPS
from jitui.backtest.logged import Verification, verify_logged
from jitui.backtest.replay import Progress, ReplayChoice, Replayed, replay
from jitui.backtest.source import Prepared, prepare
from jitui.backtest.summary import Comparison, Summary, compare, summarise, write_really_decided
from jitui.errors import BadInput
from jitui.policy import Policy


@dataclass(frozen=True, slots=True)
class BacktestSpec:
    """What to do; `against` is a second policy, `decided` compares with the real decisions."""

    policy: Policy
    history: str
    time_zone: ZoneInfo
    against: Policy | None = None
    decided: bool = False
    engine: EngineName = EngineName.DUCKDB
    master: str = "local[2]"
    memory_mib: int = DEFAULT_MEMORY_MIB
    minutes_a_review: float = 4.0
    recompute_features: bool = False
    replay_caps: bool = True
    verify: int = 0
    encoding: str = "utf-8"


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


def run_backtest(spec: BacktestSpec, work: Path, progress: Progress = lambda _what, _done, _of: None) -> Backtest:
    """Run a back-test; `work` has `decisions.parquet`, `decisions_against.parquet` and the rows that were set aside."""
    started = perf_counter()
    progress("reading the history", 0, 0)
    facts = {**(spec.against.facts if spec.against else {}), **spec.policy.facts}
    prepared = prepare(spec.history, work, memory_mib=spec.memory_mib // 2, facts=facts, encoding=spec.encoding)
    if spec.decided and "decisions" not in prepared.paths:
        raise BadInput("This history has no decisions to compare with (docs/reference/history.md).", path="--against")
    with open_engine(spec.engine, work, memory_mib=spec.memory_mib, master=spec.master) as engine:
        tables = {name: engine.read(path) for name, path in prepared.paths.items()}
        as_if_whole = None
        if prepared.gaps is not None:
            as_if_whole = _replay(engine, tables, spec, spec.policy, work / "as_if_whole.parquet", progress)
            tables[GAPS] = engine.read(prepared.gaps)
        here = _replay(engine, tables, spec, spec.policy, work / "decisions.parquet", progress)
        there = None
        if spec.against is not None:
            there = _replay(engine, tables, spec, spec.against, work / "decisions_against.parquet", progress)
        verified = None
        if spec.verify:
            verified = verify_logged(engine, tables, spec.policy, spec.time_zone, spec.verify)
    progress("adding up", 0, 0)
    summaries = [_summarise(spec, one) for one in (here, there) if one is not None]
    return Backtest(
        summaries[0],
        summaries[1] if len(summaries) > 1 else None,
        _compare(spec, prepared, here, there, work),
        verified,
        prepared,
        spec.engine,
        round(perf_counter() - started, 3),
        peak_memory_mib(),
        spec.memory_mib,
        0 if as_if_whole is None else _moved_to_review(as_if_whole, here),
    )


def _moved_to_review(as_if_whole: Replayed, here: Replayed) -> int:
    cells = compare(as_if_whole.path, here.path, "as if whole", "here", here.policy.currency).cells
    return sum(cell.requests for cell in cells if (cell.here, cell.there) == ("instant", "review"))


def peak_memory_mib() -> int:
    """The most memory that this process, or a child that has ended, has used."""
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return int(peak // (1 << 20 if sys.platform == "darwin" else 1 << 10))


def _replay(
    engine: Engine, tables: Tables, spec: BacktestSpec, policy: Policy, out: Path, progress: Progress
) -> Replayed:
    choice = ReplayChoice(Choice(spec.time_zone, spec.recompute_features), spec.replay_caps)
    return replay(engine, tables, policy, out, choice, progress)


def _summarise(spec: BacktestSpec, replayed: Replayed) -> Summary:
    return summarise(replayed, minutes_a_review=spec.minutes_a_review, time_zone=spec.time_zone.key)


def _compare(
    spec: BacktestSpec, prepared: Prepared, here: Replayed, there: Replayed | None, work: Path
) -> Comparison | None:
    name = f"{spec.policy.id} {spec.policy.version}"
    if there is not None:
        other = f"{there.policy.id} {there.policy.version}"
        if other == name:
            name, other = f"{name} ({spec.policy.sha256[:8]})", f"{other} ({there.policy.sha256[:8]})"
        return compare(here.path, there.path, name, other, spec.policy.currency)
    if spec.decided:
        really = write_really_decided(prepared.paths["decisions"], work)
        return compare(here.path, really, name, "really decided", spec.policy.currency)
    return None
