"""What other caps would have done: each cap halved, doubled and left out, by deciding the requests again.

Only requests that pass every condition without caps are decided again. No other request is ever approved, so none of
them uses anything of a cap. (A cluster that two accounts join between two of these requests is joined at the second.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import duckdb
import pyarrow as pa

from jitui.backtest.columns import condition_column
from jitui.backtest.engine import parquet_files
from jitui.backtest.found import quoted
from jitui.backtest.in_order import Deciding, Plan
from jitui.policy import CAP_SCOPES, Cap, Caps, Policy

MOST_REQUESTS = 100_000
"""With more requests that pass everything but the caps, nothing is decided again: it would take minutes."""
_ROWS_A_BATCH = 50_000


class CapChange(StrEnum):
    """What a trial does to one cap."""

    HALF = "half"
    DOUBLE = "double"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CapTrial:
    """The instant refunds with one cap changed, all else equal; `scope` as in the policy file, such as `per_buyer`."""

    scope: str
    change: CapChange
    cap: Cap | None
    instant: int
    instant_minor: int


@dataclass(frozen=True, slots=True)
class CapTrials:
    """`passing` requests meet every condition that reads no cap; None when caps were not replayed.

    Without trials there is no cap, or `passing` is above MOST_REQUESTS.
    """

    passing: int | None
    trials: tuple[CapTrial, ...] = ()

    @property
    def too_many(self) -> bool:
        """Whether there were too many requests to try other caps."""
        return self.passing is not None and self.passing > MOST_REQUESTS


NO_TRIALS = CapTrials(None)


def try_caps(policy: Policy, plan: Plan, lost: Mapping[str, frozenset[str]], bulk: Path) -> CapTrials:
    """Decide the requests in `bulk`, the rows before caps were replayed, with each cap changed in each way."""
    with duckdb.connect(config={"temp_directory": str(bulk.parent / "spill"), "memory_limit": "1GiB"}) as connection:
        tests = " AND ".join(f'"{condition_column(one.id)}"' for one in plan.bulk) or "true"
        passing = f"SELECT * FROM read_parquet('{quoted(parquet_files(bulk))}') WHERE {tests}"
        (number,) = connection.execute(f"SELECT count(*) FROM ({passing})").fetchone() or (0,)
        if number > MOST_REQUESTS:
            return CapTrials(number)
        connection.execute(f"CREATE TEMP TABLE passing AS {passing}")
        return CapTrials(number, tuple(_trials(connection, policy, plan, lost)))


def _trials(
    connection: duckdb.DuckDBPyConnection, policy: Policy, plan: Plan, lost: Mapping[str, frozenset[str]]
) -> Iterator[CapTrial]:
    for scope in CAP_SCOPES:
        cap: Cap | None = getattr(policy.caps, scope)
        for change in CapChange if cap is not None else ():
            assert cap is not None
            changed = changed_cap(cap, change)
            deciding = Deciding(policy, plan, lost, _with_cap(policy.caps, scope, changed))
            instant = instant_minor = 0
            rows = connection.sql("SELECT * FROM passing ORDER BY asked_at, request_id")
            reader: pa.RecordBatchReader = rows.to_arrow_reader(_ROWS_A_BATCH)
            for batch in reader:
                number, amount_minor = deciding.instant(batch)
                instant, instant_minor = instant + number, instant_minor + amount_minor
            yield CapTrial(scope, change, changed, instant, instant_minor)


def changed_cap(cap: Cap, change: CapChange) -> Cap | None:
    """The cap halved (an odd limit is rounded up), doubled, or None."""
    if change is CapChange.NONE:
        return None
    count, amount_minor = cap.count, cap.amount_minor
    if change is CapChange.DOUBLE:
        return replace(
            cap,
            count=None if count is None else count * 2,
            amount_minor=None if amount_minor is None else amount_minor * 2,
        )
    return replace(
        cap,
        count=None if count is None else (count + 1) // 2,
        amount_minor=None if amount_minor is None else (amount_minor + 1) // 2,
    )


def _with_cap(caps: Caps, scope: str, cap: Cap | None) -> Caps:
    return replace(caps, **{scope: cap})  # type: ignore[arg-type]
