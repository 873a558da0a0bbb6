"""Verifies logged decisions (I4): the stored facts give the stored decision, and the history gives the stored facts.

Each decision is replayed by the text that made it: the given policy, or one of the history's `policies`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import msgspec

from jitui.backtest.engine import Engine
from jitui.backtest.facts import Choice, Tables, request_facts
from jitui.errors import BadInput
from jitui.policy import Decision, Policy, PolicyRefused, decide, decision_to_json, held_out

EXAMPLES = 10
_DESCRIBES_THE_RUN_TIME = ("engine",)
"""Parts of a stored decision that an upgrade may change and that decide nothing."""


@dataclass(frozen=True, slots=True)
class LoggedMismatch:
    """One difference between a logged decision and its replay.

    `what` is `outcome`, `arm`, `unknown`, `condition.<id>`, another field of the stored decision, or a feature's name.
    """

    request_id: str
    what: str
    logged: object
    replayed: object


@dataclass(frozen=True, slots=True)
class Verification:
    """How many logged decisions were replayed, and the first differences.

    `outcomes_differ` counts decisions with any difference; `other_policies` those whose text is missing, or is one that
    this version no longer accepts. An erasure leaves less to verify: of `erased` decisions the features and the arm
    cannot be computed again, and `undecidable` ones among them lack a text that the buyer's platform had sent.
    """

    decisions: int
    other_policies: int
    features_compared: int
    outcomes_differ: int
    features_differ: int
    examples: tuple[LoggedMismatch, ...]
    erased: int = 0
    undecidable: int = 0

    @property
    def holds(self) -> bool:
        """Whether every decision and every feature is as it was logged."""
        return self.outcomes_differ == 0 and self.features_differ == 0


def verify_logged(engine: Engine, tables: Tables, policy: Policy, time_zone: ZoneInfo, limit: int) -> Verification:
    """Replay up to `limit` logged decisions, by request_id; raises BadInput when none were logged."""
    if "facts" not in tables or "decisions" not in tables:
        raise BadInput("This history has no logged facts and decisions to verify.", path="--verify")
    left, decided, compared, outcomes_differ, features_differ = limit, 0, 0, 0, 0
    erased, undecidable = 0, 0
    examples: list[LoggedMismatch] = []
    for text in _texts(engine, tables, policy):
        rows = _logged(engine, tables, text, left)
        left, decided = left - len(rows), decided + len(rows)
        whole = [row for row in rows if not row["erased"]]
        wrong = list(_decisions(text, [row for row in rows if not _lacks_texts(row)]))
        again = list(_features(engine, tables, text, whole, time_zone))
        compared += len(whole) * len(_counted(text, whole))
        erased += len(rows) - len(whole)
        undecidable += sum(_lacks_texts(row) for row in rows)
        outcomes_differ += len({one.request_id for one in wrong})
        features_differ += len(again)
        examples = [*examples, *wrong, *again][:EXAMPLES]
    return Verification(
        decided,
        _without_text(engine, tables, policy),
        compared,
        outcomes_differ,
        features_differ,
        tuple(examples),
        erased,
        undecidable,
    )


# Which decisions -------------------------------------------------------------------------------------------------


def _texts(engine: Engine, tables: Tables, policy: Policy) -> Iterator[Policy]:
    yield policy
    if "policies" not in tables:
        return
    for row in engine.connection.to_pyarrow(tables["policies"].order_by("policy_sha256")).to_pylist():
        if row["policy_sha256"] == policy.sha256:
            continue
        try:
            text = Policy.from_text(row["document"], f"{row['policy_sha256']}.yaml")
        except PolicyRefused:
            continue
        if text.sha256 == row["policy_sha256"]:
            yield text


def _without_text(engine: Engine, tables: Tables, policy: Policy) -> int:
    known = [text.sha256 for text in _texts(engine, tables, policy)]
    others = tables["decisions"].filter(~ibis._.policy_sha256.isin(known) | ibis._.policy_sha256.isnull())
    return int(engine.connection.to_pyarrow(others.agg(n=others.count())).to_pylist()[0]["n"])


def _logged(engine: Engine, tables: Tables, policy: Policy, limit: int) -> list[dict[str, Any]]:
    """The facts and the decision of each request as rows, read once, so that every step uses the same requests."""
    decisions = tables["decisions"]
    ours = decisions.filter(decisions.policy_sha256 == policy.sha256).order_by("request_id").limit(limit)
    kept = {f"logged {name}": ours[name] for name in ("outcome", "arm", "decision") if name in ours.columns}
    logged = tables["facts"].inner_join(ours.select("request_id", **kept), "request_id")
    requests = tables["requests"]
    was_erased = requests.erased.fill_null(False) if "erased" in requests.columns else ibis.literal(False)
    buyers = requests.select("request_id", "buyer_id", erased=was_erased)
    rows: list[dict[str, Any]] = engine.connection.to_pyarrow(logged.inner_join(buyers, "request_id")).to_pylist()
    return rows


def _lacks_texts(row: Mapping[str, Any]) -> bool:
    """Whether an erasure took facts from the decision."""
    return bool(row["erased"]) and bool(msgspec.json.decode(row.get("logged decision") or "{}").get("erased"))


# The stored facts give the stored decision -----------------------------------------------------------------------


def _decisions(policy: Policy, rows: Sequence[dict[str, Any]]) -> Iterator[LoggedMismatch]:
    for row in rows:
        facts = {name: row[name] for name in row if name in policy.facts}
        decision = decide(policy, facts)
        request_id, outcome = row["request_id"], decision.outcome.value
        if outcome != row["logged outcome"]:
            yield LoggedMismatch(request_id, "outcome", row["logged outcome"], outcome)
        if row.get("logged decision"):
            yield from _parts(request_id, msgspec.json.decode(row["logged decision"]), decision)
        if row["erased"]:
            continue  # the arm follows from the id that the buyer had
        if row.get("logged arm") == "hold_out" and not (
            held_out(policy, row["buyer_id"]) and facts.get("buyer.selected") is not True
        ):
            yield LoggedMismatch(request_id, "arm", "hold_out", "live")


def _parts(request_id: str, stored: Mapping[str, Any], decision: Decision) -> Iterator[LoggedMismatch]:
    """The differences between a stored decision and its replay."""
    again = msgspec.json.decode(msgspec.json.encode(decision_to_json(decision)))
    for name in sorted({*stored, *again} - {"conditions", "outcome", *_DESCRIBES_THE_RUN_TIME}):
        if stored.get(name) != again.get(name):
            yield LoggedMismatch(request_id, name, stored.get(name), again.get(name))
    then = {one["id"]: one for one in stored.get("conditions", ())}
    now = {one["id"]: one for one in again["conditions"]}
    for name in dict.fromkeys((*then, *now)):
        if then.get(name) != now.get(name):
            yield LoggedMismatch(request_id, f"condition.{name}", _said(then.get(name)), _said(now.get(name)))


def _said(condition: Mapping[str, Any] | None) -> object:
    return condition and {"verdict": condition["verdict"], "facts": condition["facts"]}


# The history gives the stored facts ------------------------------------------------------------------------------


def _counted(policy: Policy, rows: Sequence[dict[str, Any]]) -> list[str]:
    """The features to compare. One that no decision knew has no logged column, and must be unknown again."""
    return [feature.name for feature in policy.deciding_features] if rows else []


def _features(
    engine: Engine, tables: Tables, policy: Policy, rows: Sequence[dict[str, Any]], time_zone: ZoneInfo
) -> Iterator[LoggedMismatch]:
    names = _counted(policy, rows)
    if not names:
        return
    wanted = ibis.memtable({"request_id": [row["request_id"] for row in rows]})
    asked = dict(tables) | {"requests": tables["requests"].semi_join(wanted, "request_id")}
    again = request_facts(engine, asked, policy, names, Choice(time_zone, recompute_features=True))
    recomputed = {row["request_id"]: row for row in engine.connection.to_pyarrow(again).to_pylist()}
    for row in rows:
        for name in names:
            value = recomputed[row["request_id"]].get(name)
            if value != row.get(name):
                yield LoggedMismatch(row["request_id"], name, row.get(name), value)
