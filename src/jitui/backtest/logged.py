"""Logged decisions replayed (I4): the stored facts give the stored decision, the history gives the stored facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from jitui.backtest.engine import Engine
from jitui.backtest.facts import Choice, Tables, request_facts
from jitui.errors import BadInput
from jitui.policy import Policy, decide

EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One logged decision that did not come out again; `what` is `outcome` or the name of a feature."""

    request_id: str
    what: str
    logged: object
    replayed: object


@dataclass(frozen=True, slots=True)
class Verification:
    """How many logged decisions of this policy text were replayed, and the first of those that differ."""

    decisions: int
    other_policies: int
    features_compared: int
    outcomes_differ: int
    features_differ: int
    examples: tuple[Mismatch, ...]

    @property
    def holds(self) -> bool:
        """Whether every decision and every feature came out as it was logged."""
        return self.outcomes_differ == 0 and self.features_differ == 0


def verify_logged(engine: Engine, tables: Tables, policy: Policy, time_zone: ZoneInfo, limit: int) -> Verification:
    """Replay up to `limit` logged decisions of this very policy text; raises BadInput where none were logged."""
    if "facts" not in tables or "decisions" not in tables:
        raise BadInput("This history has no logged facts and decisions to verify.", path="--verify")
    decisions = tables["decisions"]
    ours = decisions.filter(decisions.policy_sha256 == policy.sha256).order_by("request_id").limit(limit)
    others = int(engine.connection.to_pyarrow(decisions.count().as_table()).to_pylist()[0].popitem()[1])
    ours = ours.select("request_id", "outcome").cache() if hasattr(ours, "cache") else ours
    logged = tables["facts"].inner_join(ours, "request_id")
    rows = engine.connection.to_pyarrow(logged).to_pylist()
    mismatches = list(_outcomes(policy, rows))
    outcomes_differ = len(mismatches)
    asked = dict(tables) | {"requests": tables["requests"].semi_join(ours, "request_id")}
    names = [feature.name for feature in policy.features if rows and feature.name in rows[0]]
    if names:
        again = request_facts(engine, asked, policy, names, Choice(time_zone, recompute_features=True))
        recomputed = {row["request_id"]: row for row in engine.connection.to_pyarrow(again).to_pylist()}
        mismatches += _features(names, rows, recomputed)
    return Verification(
        len(rows),
        others - len(rows),
        len(rows) * len(names),
        outcomes_differ,
        len(mismatches) - outcomes_differ,
        tuple(mismatches[:EXAMPLES]),
    )


def _outcomes(policy: Policy, rows: list[dict[str, Any]]) -> Iterator[Mismatch]:
    for row in rows:
        outcome = decide(policy, {name: row[name] for name in row if name in policy.facts}).outcome.value
        if outcome != row["outcome"]:
            yield Mismatch(row["request_id"], "outcome", row["outcome"], outcome)


def _features(
    names: list[str], rows: list[dict[str, Any]], recomputed: Mapping[str, Mapping[str, Any]]
) -> Iterator[Mismatch]:
    for row in rows:
        for name in names:
            value = recomputed[row["request_id"]].get(name)
            if value != row[name]:
                yield Mismatch(row["request_id"], name, row[name], value)
