"""Decides requests one after another, because their conditions read caps that earlier approvals have used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import pyarrow as pa

from jitui.backtest.caps import Asked, CapsReplay, asked_by_category
from jitui.backtest.columns import condition_column
from jitui.policy import CAP_SCOPES, Caps, FactValue, Policy
from jitui.policy.facts import LINES
from jitui.policy.program import Program, evaluate, known_facts

CAPS = tuple(f"caps.{scope}_ok" for scope in ("buyer", "shop", "platform", "category", "cluster"))
CLUSTER = "cluster_id"
AMOUNT = "request.amount_minor"
_NO_AMOUNT_USED = dict.fromkeys(f"caps.{scope}_used_minor" for scope in CAP_SCOPES.values())


@dataclass(frozen=True, slots=True)
class Plan:
    """Which conditions are evaluated over columns, and which one by one because they read caps."""

    bulk: tuple[Program, ...]
    in_order: tuple[Program, ...]
    facts: tuple[str, ...]
    carried: tuple[str, ...]


class Deciding:
    """Evaluates the conditions that read caps in order, with the run time that decides online."""

    def __init__(
        self, policy: Policy, plan: Plan, lost: Mapping[str, frozenset[str]], caps: Caps | None = None
    ) -> None:
        """`caps` in place of the policy's own."""
        caps = policy.caps if caps is None else caps
        self.policy = policy
        self.plan = plan
        self.lost_buyers = lost["buyer"] if caps.per_buyer else frozenset()
        self.lost_shops = lost["shop"] if caps.per_shop else frozenset()
        self.lost_of_clusters = lost["buyer"] if caps.per_cluster else frozenset()
        self.caps = CapsReplay(caps)
        self.by_category = caps.per_category is not None
        self.ids = [one.id for one in policy.programs.conditions if one in (*plan.bulk, *plan.in_order)]
        self.in_order = [one.id for one in plan.in_order]
        self.reads = dict.fromkeys(name for one in plan.in_order for name in one.reads.facts)
        self.truths = lru_cache(maxsize=65_536)(self._truths)

    def batch(self, batch: pa.RecordBatch) -> pa.Table:
        """The rows of a batch, with their results for caps and their outcome."""
        table = pa.Table.from_batches([batch])
        verdicts, fits, outcomes = self._decided(table)
        for name, fit in zip(CAPS, fits, strict=True):
            table = table.append_column(name, pa.array(fit, pa.bool_()))
        return self._finished(table, verdicts, outcomes)

    def instant(self, batch: pa.RecordBatch) -> tuple[int, int]:
        """The number of a batch's requests that are instant, and their amounts in the policy's currency, together."""
        table = pa.Table.from_batches([batch])
        _, _, outcomes = self._decided(table)
        columns = (outcomes, table["amount_minor"].to_pylist(), table["currency"].to_pylist())
        amounts = [
            amount if currency == self.policy.currency and amount is not None else 0
            for outcome, amount, currency in zip(*columns, strict=True)
            if outcome == "instant"
        ]
        return len(amounts), sum(amounts)

    def _decided(self, table: pa.Table) -> tuple[list[list[bool | None]], list[list[FactValue | None]], list[str]]:
        """The values of the conditions that read caps, the caps that each request fits, and the outcomes."""
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
        return verdicts, fits, outcomes

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
        amounts = facts.get(AMOUNT, [None] * len(moments))  # not carried where no condition reads a cap
        columns = [table["buyer_id"].to_pylist(), table["shop_id"].to_pylist(), amounts]
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
