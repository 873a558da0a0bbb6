"""Applies a policy to a whole history: facts, conditions, caps in order, and one row for each decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from shutil import rmtree
from time import perf_counter
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from jitui.backtest.caps import Asked, CapsReplay, asked_by_category
from jitui.backtest.columns import Reading, condition_column, with_definitions
from jitui.backtest.engine import Engine, EngineName
from jitui.backtest.facts import CURRENCY, IDENTITY, LEFT_UNRECORDED, Choice, Tables, request_facts
from jitui.backtest.gaps import GAPS, lost_usage
from jitui.backtest.schema import TABLES
from jitui.policy import CAP_SCOPES, FactValue, Policy
from jitui.policy.facts import LINES
from jitui.policy.program import Program, evaluate, known_facts

ROWS_A_BATCH = 50_000
CAPS = tuple(f"caps.{scope}_ok" for scope in ("buyer", "shop", "platform", "category", "cluster"))
CLUSTER = "cluster_id"
AMOUNT = "request.amount_minor"
_NO_AMOUNT_USED = dict.fromkeys(f"caps.{scope}_used_minor" for scope in CAP_SCOPES.values())
Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how many requests of how many are finished; 0 of 0 when unknown."""


@dataclass(frozen=True, slots=True)
class ReplayChoice:
    """How to replay a history; `replay_caps` counts usage anew instead of using logged caps."""

    facts: Choice
    replay_caps: bool = True


@dataclass(frozen=True, slots=True)
class Replayed:
    """The decisions of a replay, one row per request in `path` (Parquet), and the seconds that its parts took."""

    policy: Policy
    path: Path
    requests: int
    instant: int
    seconds: float
    bulk_seconds: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which conditions are evaluated over columns, and which one by one because they read caps."""

    bulk: tuple[Program, ...]
    in_order: tuple[Program, ...]
    facts: tuple[str, ...]
    carried: tuple[str, ...]


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
    unknown), `restriction.<id>`, `caps.<scope>_ok` when caps were replayed, `held_out`, `left_unrecorded`.
    """
    started = perf_counter()
    progress(f"features and conditions of {policy.id} {policy.version}", 0, 0)
    plan = _plan(policy, choice.replay_caps)
    rows = _decided_in_bulk(engine, tables, policy, plan, choice)
    bulk = out.with_suffix(".bulk") if plan.in_order or engine.name is EngineName.SPARK else out
    engine.write(rows, bulk)
    bulk_seconds = perf_counter() - started
    if bulk != out:
        _in_order(policy, plan, lost_usage(engine, tables.get(GAPS)), bulk, out, progress)
        _remove(bulk)
    requests, instant = _counts(out)
    return Replayed(policy, out, requests, instant, perf_counter() - started, bulk_seconds)


def _plan(policy: Policy, replay_caps: bool) -> _Plan:
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
    return _Plan(bulk, in_order, facts, tuple(carried))


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


def _decided_in_bulk(engine: Engine, tables: Tables, policy: Policy, plan: _Plan, choice: ReplayChoice) -> ibis.Table:
    facts = request_facts(engine, tables, policy, plan.facts, choice.facts)
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
    decided = rows.select(
        *IDENTITY,
        "held_out",
        LEFT_UNRECORDED,
        amount_minor=amount,
        currency=rows[CURRENCY],
        **restrictions,
        **conditions,
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
    policy: Policy, plan: _Plan, lost: Mapping[str, frozenset[str]], bulk: Path, out: Path, progress: Progress
) -> None:
    """Add what depends on earlier approvals, one request after another."""
    source = str(bulk / "*.parquet") if bulk.is_dir() else str(bulk)
    with duckdb.connect(config={"temp_directory": str(out.parent / "spill"), "memory_limit": "2GiB"}) as connection:
        total = pq.read_metadata(bulk).num_rows if bulk.is_file() else 0
        query = "SELECT * FROM read_parquet($source) ORDER BY asked_at, request_id"
        reader: pa.RecordBatchReader = connection.sql(query, params={"source": source}).to_arrow_reader(ROWS_A_BATCH)
        deciding = _Deciding(policy, plan, lost)
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


class _Deciding:
    """Evaluates the conditions that read caps in order, with the run time that decides online."""

    def __init__(self, policy: Policy, plan: _Plan, lost: Mapping[str, frozenset[str]]) -> None:
        self.policy = policy
        self.plan = plan
        self.lost_buyers = lost["buyer"] if policy.caps.per_buyer else frozenset()
        self.lost_shops = lost["shop"] if policy.caps.per_shop else frozenset()
        self.lost_of_clusters = lost["buyer"] if policy.caps.per_cluster else frozenset()
        self.caps = CapsReplay(policy.caps)
        self.by_category = policy.caps.per_category is not None
        self.ids = [one.id for one in policy.programs.conditions if one in (*plan.bulk, *plan.in_order)]
        self.in_order = [one.id for one in plan.in_order]
        self.reads = dict.fromkeys(name for one in plan.in_order for name in one.reads.facts)
        self.truths = lru_cache(maxsize=65_536)(self._truths)

    def batch(self, batch: pa.RecordBatch) -> pa.Table:
        """The rows of a batch, with their results for caps and their outcome."""
        table = pa.Table.from_batches([batch])
        bulk_ids = [one.id for one in self.plan.bulk]
        passed = [table[condition_column(name)].to_pylist() for name in bulk_ids]
        verdicts: list[list[bool | None]] = [[] for _ in self.in_order]
        fits: list[list[FactValue | None]] = [[] for _ in CAPS]
        outcomes: list[str] = []
        currencies = table["currency"].to_pylist()
        for place, (now_us, asked, amount, facts) in enumerate(self._rows(table)):
            ours = currencies[place] == self.policy.currency
            lines = facts[LINES][place] if self.by_category else None
            categories = asked_by_category(lines, in_currency=ours)
            caps = self.caps.facts(asked, now_us, amount, categories)
            if not ours:
                caps |= _NO_AMOUNT_USED
            caps |= self._lost(caps, asked)
            known = tuple(caps[name] if name in caps else facts[name][place] for name in self.reads)
            truths = self._cached(known)
            for column, truth in zip(verdicts, truths, strict=True):
                column.append(truth)
            for fit, name in zip(fits, CAPS, strict=True):
                fit.append(caps[name])
            instant = all(column[place] is True for column in passed) and all(truth is True for truth in truths)
            outcomes.append("instant" if instant else "review")
            if instant:
                self.caps.approve(asked, now_us, amount, categories)
        for name, fit in zip(CAPS, fits, strict=True):
            table = table.append_column(name, pa.array(fit, pa.bool_()))
        return self._finished(table, verdicts, outcomes)

    def _lost(self, caps: Mapping[str, FactValue | None], asked: Asked) -> dict[str, FactValue | None]:
        """Make usage unknown where a request that was set aside may be part of it."""
        of_buyer, of_shop = asked.buyer_id in self.lost_buyers, asked.shop_id in self.lost_shops
        of_cluster = self.caps.is_of_cluster(asked, self.lost_of_clusters)
        found = (("caps.buyer_", of_buyer), ("caps.shop_", of_shop), ("caps.cluster_", of_cluster))
        scopes = tuple(scope for scope, lost in found if lost)
        return dict.fromkeys(name for name in caps if name.startswith(scopes)) if scopes else {}

    def _rows(self, table: pa.Table) -> Iterator[tuple[int, Asked, int | None, dict[str, list[Any]]]]:
        moments = table["asked_at"].cast(pa.timestamp("us")).cast(pa.int64()).to_pylist()
        facts = {name: table[name].to_pylist() for name in self.plan.carried if name in table.column_names}
        facts |= {name: [None] * len(moments) for name in self.plan.carried if name not in facts}
        columns = [table["buyer_id"].to_pylist(), table["shop_id"].to_pylist(), facts[AMOUNT]]
        columns.append(facts.get(CLUSTER, [None] * len(moments)))
        for now_us, buyer, shop, amount, cluster in zip(moments, *columns, strict=True):
            yield now_us, Asked(buyer, shop, cluster or None), amount, facts

    def _cached(self, known: tuple[FactValue | None, ...]) -> tuple[bool | None, ...]:
        hashable = not any(isinstance(value, list) for value in known)
        return self.truths(known) if hashable else self._truths(known)

    def _truths(self, known: tuple[FactValue | None, ...]) -> tuple[bool | None, ...]:
        programs = self.policy.programs
        facts = dict(zip(self.reads, known, strict=True))
        reads = replace(programs.condition_reads, facts=tuple(self.reads))
        named = {name for one in self.plan.in_order for name in one.reads.definitions}
        definitions = tuple(one for one in programs.condition_definitions if one.id in named)
        return evaluate(programs, known_facts(programs.specs, reads, facts), definitions, self.plan.in_order)

    def _finished(self, table: pa.Table, verdicts: list[list[bool | None]], outcomes: list[str]) -> pa.Table:
        for name, column in zip(self.in_order, verdicts, strict=True):
            table = table.append_column(condition_column(name), pa.array(column, pa.bool_()))
        failed = [(name, table[condition_column(name)].to_pylist()) for name in self.ids]
        obstacles = [sum(column[place] is not True for _, column in failed) for place in range(table.num_rows)]
        first = [next((name for name, column in failed if column[n] is not True), None) for n in range(table.num_rows)]
        table = table.append_column("obstacles", pa.array(obstacles, pa.int64()))
        table = table.append_column("first_obstacle", pa.array(first, pa.string()))
        table = table.append_column("outcome", pa.array(outcomes, pa.string()))
        carried = [name for name in self.plan.carried if name in table.column_names]
        return table.drop_columns(carried) if carried else table


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
