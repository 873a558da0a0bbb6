"""Applies a policy to a whole history: facts, conditions, caps in order, and one row for each decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree
from time import perf_counter

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from jitui.backtest.cap_trials import NO_TRIALS, CapTrials, try_caps
from jitui.backtest.columns import Reading, condition_column, with_definitions
from jitui.backtest.engine import Engine, EngineName, parquet_files
from jitui.backtest.facts import ASSUMED, CURRENCY, IDENTITY, LEFT_UNRECORDED, Choice, Tables, request_facts
from jitui.backtest.gaps import GAPS, lost_usage
from jitui.backtest.in_order import AMOUNT, CLUSTER, Deciding, Plan
from jitui.backtest.schema import TABLES
from jitui.backtest.segments import KNOWN, SegmentSpec, with_segments
from jitui.policy import Policy
from jitui.policy.facts import LINES
from jitui.policy.program import Program

ROWS_A_BATCH = 50_000
Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how many requests of how many are finished; 0 of 0 when unknown."""


@dataclass(frozen=True, slots=True)
class ReplayChoice:
    """How to replay a history; `replay_caps` counts usage anew instead of using logged caps.

    `segments` are kept beside each decision; with `try_caps` the requests are decided by other caps too.
    """

    facts: Choice
    replay_caps: bool = True
    segments: tuple[SegmentSpec, ...] = ()
    try_caps: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """The decisions of a replay, one row per request in `path` (Parquet), and the seconds that its parts took.

    `assumed` are the facts that the conditions read and of which the history says nothing.
    """

    policy: Policy
    path: Path
    requests: int
    instant: int
    seconds: float
    bulk_seconds: float
    assumed: tuple[str, ...] = ()
    cap_trials: CapTrials = field(default=NO_TRIALS)


def tables_in(engine: Engine, folder: Path) -> Tables:
    """The tables of a prepared history."""
    found = {}
    for name in TABLES:
        for path in (folder / f"{name}.parquet", folder / name):
            if path.exists():
                found[name] = engine.read(path)
                break
    return found


def replay(
    engine: Engine,
    tables: Tables,
    policy: Policy,
    out: Path,
    choice: ReplayChoice,
    progress: Progress = lambda _what, _done, _of: None,
) -> Replayed:
    """Decide every request of a history by a policy; writes `out`, a Parquet file in the order of the decisions.

    Columns: the request's ids, `amount_minor` and its `currency`, `outcome` (instant or review), `first_obstacle` and
    `obstacles` (the first condition that was not true, and their number), `condition.<id>` (true, false or NULL for
    unknown), `restriction.<id>`, `caps.<scope>_ok` when caps were replayed, `held_out`, `left_unrecorded`,
    `known.<fact>` for each fact that the conditions read, and `segment.<name>`.
    """
    started = perf_counter()
    tables = _for_a_policy(tables)
    progress(f"features and conditions of {policy.id} {policy.version}", 0, 0)
    plan = _plan(policy, choice.replay_caps)
    rows = _decided_in_bulk(engine, tables, policy, plan, choice)
    bulk = out.with_suffix(".bulk") if plan.in_order or engine.name is EngineName.SPARK else out
    engine.write(rows, bulk)
    bulk_seconds = perf_counter() - started
    trials = NO_TRIALS
    if bulk != out:
        lost = lost_usage(engine, tables.get(GAPS))
        _in_order(policy, plan, lost, bulk, out, progress)
        if choice.try_caps and plan.in_order:
            progress(f"other caps of {policy.id} {policy.version}", 0, 0)
            trials = try_caps(policy, plan, lost, bulk)
        _remove(bulk)
    requests, instant = _counts(out)
    assumed = _assumed(tables, plan)
    return Replayed(policy, out, requests, instant, perf_counter() - started, bulk_seconds, assumed, trials)


def _for_a_policy(tables: Tables) -> Tables:
    """Without the withdrawals: they are the buyers' right, and no policy decides them. Their events stay."""
    requests = tables["requests"]
    if "basis" not in requests.columns:
        return tables
    return {**tables, "requests": requests.filter(requests.basis.fill_null("goodwill") != "withdrawal")}


def _assumed(tables: Tables, plan: Plan) -> tuple[str, ...]:
    logged = tables["facts"].columns if "facts" in tables else ()
    return tuple(name for name in plan.facts if name in ASSUMED and name not in logged)


def _plan(policy: Policy, replay_caps: bool) -> Plan:
    programs = policy.programs
    reads = dict.fromkeys((*programs.condition_reads.facts, *programs.restriction_reads.facts, AMOUNT))
    in_order = tuple(one for one in programs.conditions if replay_caps and _reads_caps(one))
    carried = dict.fromkeys(name for one in in_order for name in one.reads.facts if not name.startswith("caps."))
    carried |= {AMOUNT: None} if in_order else {}
    if in_order and policy.caps.per_category:
        carried[LINES] = reads[LINES] = None
    if in_order and policy.caps.per_cluster:
        carried[CLUSTER] = None
    facts = tuple(name for name in reads if not (replay_caps and name.startswith("caps.")))
    bulk = tuple(one for one in programs.conditions if one not in in_order)
    return Plan(bulk, in_order, facts, tuple(carried))


def _reads_caps(program: Program) -> bool:
    return any(name.startswith("caps.") for name in program.reads.facts)


def carried_facts(policy: Policy) -> tuple[str, ...]:
    """What `replay_caps` needs of each request besides its ids, its `amount_minor` and its `currency`."""
    return _plan(policy, replay_caps=True).carried


def replay_caps(policy: Policy, lost: Mapping[str, frozenset[str]], rows: Path, out: Path) -> None:
    """Decide in order the requests that every condition without caps approves: `rows`, a Parquet file.

    Writes `out` with all columns of `rows` but the carried facts, `outcome`, and what the conditions on caps said.
    """
    plan = replace(_plan(policy, replay_caps=True), bulk=())
    _in_order(policy, plan, lost, rows, out, lambda _what, _done, _of: None)


# Over columns ----------------------------------------------------------------------------------------------------


def _decided_in_bulk(engine: Engine, tables: Tables, policy: Policy, plan: Plan, choice: ReplayChoice) -> ibis.Table:
    of_segments = [one.source for one in choice.segments if one.is_fact]
    facts = request_facts(engine, tables, policy, (*plan.facts, *of_segments), choice.facts)
    facts = with_segments(facts, tables["requests"], choice.segments)
    programs = policy.programs
    rules = (*plan.bulk, *programs.restrictions)
    used = {name for one in rules for name in one.reads.definitions}
    needed = [one for one in (*programs.condition_definitions, *programs.restriction_definitions) if one.id in used]
    rows = with_definitions(engine, policy, facts, {one.id: one for one in needed}.values())
    reading = Reading(engine, rows, policy.facts)
    trees = {condition.id: condition.tree for condition in policy.conditions}
    conditions = {condition_column(one.id): reading.value(trees[one.id]) for one in plan.bulk}
    restrictions = {f"restriction.{rule.id}": reading.value(rule.tree) for rule in policy.restrictions}
    # in the order's own currency, for reports; the fact is known only in the policy's currency
    amount = ibis.coalesce(rows[AMOUNT], rows.asked_minor)
    carried = {name: rows[name] for name in plan.carried if name in rows.columns}
    known = {
        f"{KNOWN}{name}": rows[name].notnull() if name in rows.columns else ibis.literal(False) for name in plan.facts
    }
    segments = [one.column for one in choice.segments]
    decided = rows.select(
        *IDENTITY,
        "held_out",
        LEFT_UNRECORDED,
        *segments,
        amount_minor=amount,
        currency=rows[CURRENCY],
        **restrictions,
        **conditions,
        **known,
        **carried,
    )
    return decided if plan.in_order else _with_outcome(decided, [one.id for one in programs.conditions])


def _with_outcome(decided: ibis.Table, ids: Sequence[str]) -> ibis.Table:
    # INVARIANT: only true approves; false and NULL both send the request to review (I5).
    failed = {name: decided[condition_column(name)].fill_null(False) == False for name in ids}  # noqa: E712
    obstacles = sum((test.cast("int64") for test in failed.values()), ibis.literal(0, "int64"))
    first = ibis.cases(*((test, name) for name, test in failed.items()), else_=ibis.null("string"))
    counted = decided.mutate(obstacles=obstacles, first_obstacle=first)
    outcome = ibis.cases((counted.obstacles == 0, "instant"), else_="review")
    return counted.mutate(outcome=outcome)


# In order --------------------------------------------------------------------------------------------------------


def _in_order(
    policy: Policy, plan: Plan, lost: Mapping[str, frozenset[str]], bulk: Path, out: Path, progress: Progress
) -> None:
    """Add what depends on earlier approvals, one request after another."""
    source = parquet_files(bulk)
    with duckdb.connect(config={"temp_directory": str(out.parent / "spill"), "memory_limit": "2GiB"}) as connection:
        total = pq.read_metadata(bulk).num_rows if bulk.is_file() else 0
        query = "SELECT * FROM read_parquet($source) ORDER BY asked_at, request_id"
        reader: pa.RecordBatchReader = connection.sql(query, params={"source": source}).to_arrow_reader(ROWS_A_BATCH)
        deciding = Deciding(policy, plan, lost)
        done = 0
        writer: pq.ParquetWriter | None = None
        for batch in reader:
            decided = deciding.batch(batch)
            writer = writer or pq.ParquetWriter(out, decided.schema, compression="zstd")
            writer.write_table(decided)
            done += batch.num_rows
            progress(f"caps of {policy.id} {policy.version}", done, total)
        if writer is None:
            pq.write_table(deciding.batch(pa.RecordBatch.from_pylist([], schema=reader.schema)), out)
        else:
            writer.close()


# -----------------------------------------------------------------------------------------------------------------


def _counts(path: Path) -> tuple[int, int]:
    with duckdb.connect() as connection:
        row = connection.execute(
            "SELECT count(*), count(*) FILTER (outcome = 'instant') FROM read_parquet(?)", [str(path)]
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _remove(path: Path) -> None:
    if path.is_dir():
        rmtree(path)
    else:
        path.unlink()
