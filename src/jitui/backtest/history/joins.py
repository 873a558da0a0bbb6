"""Checks that the keys of one table exist in another: ids that are written differently do not match."""

from __future__ import annotations

from dataclasses import dataclass

from jitui.backtest.history.staged_tables import Work
from jitui.errors import BadInput
from jitui.tabular.shown import shown

MOST_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Join:
    """The keys of a table, the other table in which they should exist, and how many do."""

    table: str
    key: str
    keys: int
    of: str
    of_keys: int
    found: int
    missing: tuple[str, ...]

    def __str__(self) -> str:
        end = f" Not there are {', '.join(map(shown, self.missing))} …" if self.missing else ""
        return f"{self.found:,} of the {self.keys:,} values of {self.key} in {self.table} are in {self.of}.{end}"


def check_joins(work: Work) -> list[Join]:
    """Count the keys that match. Raises BadInput when two tables from different files have no key in common."""
    joins = [_join(work, table) for table in ("order_lines", "shipments", "requests", "payments", "refunds")]
    found = [join for join in joins if join is not None]
    for join in found:
        if join.found == 0:
            there = work.fetch(f"SELECT order_id FROM o ORDER BY 1 LIMIT {MOST_EXAMPLES}")
            raise BadInput(
                f"None of the {join.keys:,} values of {join.key} in {join.table} is among the {join.of_keys:,} of"
                f" {join.of}: {join.table} has {', '.join(map(shown, join.missing))}; {join.of} has"
                f" {', '.join(shown(one) for (one,) in there)}. The ids are written differently: mend one of the"
                " columns, or map another.",
                path=join.table,
            )
    return found


def _join(work: Work, table: str) -> Join | None:
    rows, orders = work.of(table), work.of("orders")
    if not rows.files or not orders.files or rows.sources <= orders.sources:
        return None
    relation = {"payments": "paid_rows", "refunds": "rf"}.get(table, rows.relation)
    key = "order_id" if table in ("payments", "refunds") else rows.column("order_id")
    keys = f"(SELECT DISTINCT {key} AS order_id FROM {relation} WHERE {key} IS NOT NULL)"
    count, of, there = work.fetch(f"""SELECT (SELECT count(*) FROM {keys}), (SELECT count(*) FROM o),
        (SELECT count(*) FROM {keys} k SEMI JOIN o USING (order_id))""")[0]
    if not count or not of:
        return None
    missing = work.fetch(f"SELECT order_id FROM {keys} k ANTI JOIN o USING (order_id) ORDER BY 1 LIMIT {MOST_EXAMPLES}")
    return Join(table, "order_id", count, "orders", of, there, tuple(one for (one,) in missing))
