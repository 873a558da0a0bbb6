"""One pass over a history: for each request, which settings would approve it at once and what that would lose.

The settings are bits. Of each group of parameters that some part of a condition reads together, a request has one bit
for each of their values; a setting approves it where the bits of all groups are set. So a grid costs as many
evaluations as its parameters have values, not as it has settings. Caps are left out: they depend on earlier approvals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

import ibis

from jitui.backtest.columns import Reading
from jitui.backtest.engine import Engine, parquet_files
from jitui.backtest.facts import CURRENCY, IDENTITY, LEFT_UNRECORDED, Choice, Tables, request_facts
from jitui.backtest.in_order import AMOUNT
from jitui.backtest.replay import carried_facts
from jitui.errors import BadInput
from jitui.policy import Policy
from jitui.policy.language.syntax import Node
from jitui.tuning.candidates import TRY, Grid
from jitui.tuning.conjuncts import CAPS, Conjuncts, with_values

BITS = 62  # of a column; the sign and one more stay free
MOST_EVALUATIONS = 1_200
DISPUTE_WITHIN = timedelta(days=90)
LEARN, JUDGE = "learn", "judge"
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class BitGroup:
    """Parameters that are read together: their own grid, and the columns with a bit for each of its settings."""

    grid: Grid
    columns: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters."""
        return tuple(self.grid.values)

    def bit(self, setting: Mapping[str, int]) -> tuple[str, int]:
        """The column and the bit of a setting, which may have other parameters too."""
        word, bit = divmod(self.grid.number(setting), BITS)
        return self.columns[word], bit


@dataclass(frozen=True, slots=True)
class Tried:
    """The requests with their bits, in a Parquet file (Spark: a folder of them).

    Columns: the request's ids, `half` (learn, judge or NULL), `bucket` (one of 4,096 groups of buyers), `amount_minor`
    in the policy's currency (0 where `has_amount` is false), `incident`, `loss_minor`, the bits, and the facts that
    conditions on caps read.
    """

    path: Path
    grid: Grid
    groups: tuple[BitGroup, ...]

    @property
    def source(self) -> str:
        """The files, as DuckDB reads them."""
        return parquet_files(self.path)


def bit_groups(grid: Grid, parts: Conjuncts) -> tuple[BitGroup, ...]:
    """The groups of parameters that the conditions read together.

    Raises BadInput for a parameter that no condition reads, and for too many values that are read together.
    """
    read = {name for names in parts.by_parameters for name in names}
    idle = [name for name in grid.values if name not in read]
    if idle:
        raise BadInput(
            f"{', '.join(idle)} decides nothing here: no condition reads it, except through a cap. Limits and "
            "restrictions are compared by `jitui backtest --against`.",
            path=TRY,
        )
    groups = []
    for place, names in enumerate(parts.by_parameters):
        own = Grid({name: grid.values[name] for name in names})
        if own.size > MOST_EVALUATIONS:
            raise BadInput(
                f"{' and '.join(names)} stand in one comparison, which has {own.size:,} combinations of their values"
                f" to try; {MOST_EVALUATIONS:,} is the most. Try fewer values of each.",
                path=TRY,
            )
        columns = tuple(f"bits_{place}_{word}" for word in range(-(-own.size // BITS)))
        groups.append(BitGroup(own, columns))
    return tuple(groups)


def scan(
    engine: Engine,
    tables: Tables,
    policy: Policy,
    grid: Grid,
    parts: Conjuncts,
    choice: Choice,
    learn_before: datetime,
    out: Path,
) -> Tried:
    """Write every request with its bits to `out`.

    Early requests of one half of the buyers are learnt from, late ones of the other half judge: neither a day nor a
    buyer is in both.
    """
    groups = bit_groups(grid, parts)
    read = (*policy.programs.condition_reads.facts, *carried_facts(policy), AMOUNT)
    facts = [name for name in read if name in policy.facts and not name.startswith(CAPS)]
    rows = request_facts(engine, tables, policy, facts, choice)
    rows = _with_disputes(engine, tables, rows) if policy.loss.lost_dispute_cost_minor else rows
    reading = Reading(engine, rows, policy.facts)
    bits: dict[str, Any] = {}
    for group, trees in zip(groups, parts.by_parameters.values(), strict=True):
        bits |= _bits(reading, group, trees, _all_true(reading, parts.untouched))
    carried = {name: rows[name] for name in carried_facts(policy) if name in rows.columns}
    engine.write(rows.select(*IDENTITY, **_measured(engine, policy, rows, learn_before), **bits, **carried), out)
    return Tried(out, grid, groups)


def _measured(engine: Engine, policy: Policy, rows: ibis.Table, learn_before: datetime) -> dict[str, Any]:
    digest = (ibis.literal("tune:") + rows.buyer_id).hexdigest("sha256")
    first_half = digest.substr(3, 1) < "8"
    early = engine.epoch_us(rows.asked_at) < round(learn_before.timestamp() * 1_000_000)
    amount = rows[AMOUNT].fill_null(0)
    incident = rows[LEFT_UNRECORDED].fill_null(False)
    loss = incident.cast("int64") * engine.divide(
        amount * policy.loss.incident_cost_percent, ibis.literal(100, "int64")
    )
    if "disputed" in rows.columns:
        loss += rows.disputed.cast("int64") * policy.loss.lost_dispute_cost_minor
    return {
        "half": ibis.cases((early & first_half, LEARN), (~early & ~first_half, JUDGE), else_=ibis.null("string")),
        "bucket": digest.substr(0, 3),
        "amount_minor": amount,
        "has_amount": rows[AMOUNT].notnull(),
        "currency": rows[CURRENCY],
        "incident": incident,
        "loss_minor": loss,
    }


def _with_disputes(engine: Engine, tables: Tables, rows: ibis.Table) -> ibis.Table:
    """Add whether the buyer lost a dispute within ninety days after the request, and nobody took that back."""
    if "events" not in tables:
        return rows.mutate(disputed=ibis.literal(False))
    events = tables["events"].filter(ibis._.subject == "buyer")
    lost = events.filter(events.kind == "dispute_lost", events.retracts.isnull())
    lost = lost.select("subject_id", "event_id", lost_us=engine.epoch_us(lost.at))
    back = events.filter(events.retracts.notnull()).select("subject_id", event_id=ibis._.retracts).distinct()
    lost = lost.anti_join(back, ["subject_id", "event_id"])
    asked = rows.select("request_id", "buyer_id", asked_us=engine.epoch_us(rows.asked_at))
    pairs = asked.inner_join(lost, asked.buyer_id == lost.subject_id)
    waited = pairs.lost_us - pairs.asked_us
    within = pairs.filter(waited > 0, waited <= DISPUTE_WITHIN.days * _DAY_US)
    met = within.select("request_id").distinct().mutate(disputed=True)
    return rows.left_join(met, "request_id").drop("request_id_right").mutate(disputed=ibis._.disputed.notnull())


def _bits(reading: Reading, group: BitGroup, trees: Sequence[Node], untouched: Any) -> dict[str, Any]:
    """The columns of a group; no bit is set where a part that reads no tried parameter is not true."""
    settings = [group.grid.setting(number) for number in range(group.grid.size)]
    columns = {}
    for word, column in enumerate(group.columns):
        own = settings[word * BITS : (word + 1) * BITS]
        tests = [_all_true(reading, [with_values(tree, setting) for tree in trees]) for setting in own]
        number = sum((test.cast("int64") * (1 << bit) for bit, test in enumerate(tests)), ibis.literal(0, "int64"))
        columns[column] = ibis.cases((untouched, number), else_=ibis.literal(0, "int64"))
    return columns


def _all_true(reading: Reading, trees: Sequence[Node]) -> Any:
    # INVARIANT: only true approves; false and NULL both send the request to review (I5).
    return reduce(and_, (reading.value(tree).fill_null(False) for tree in trees), ibis.literal(True))
