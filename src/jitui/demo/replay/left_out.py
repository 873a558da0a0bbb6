"""Rows and cancelled units that a replay leaves out: all are counted, the first ones are kept for the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jitui.backtest.history import SetAside, SetAsideReason, Unmatched


@dataclass(slots=True)
class Units:
    """A number of rows, their units, and the credit that the file gives for them."""

    rows: int = 0
    units: int = 0
    credited_minor: int = 0

    def add(self, unmatched: Unmatched) -> None:
        """Count a row."""
        self.rows += 1
        self.units += unmatched.quantity
        self.credited_minor += unmatched.credited_minor


@dataclass(slots=True)
class LeftOutRows:
    """The left-out rows. The first `keep` of each kind are listed; `on_unmatched` is called for every unmatched one."""

    keep: int
    on_unmatched: Callable[[Unmatched], None]
    rows_by_reason: dict[str, int] = field(default_factory=dict)
    first_broken: list[SetAside] = field(default_factory=list)
    unmatched_by_reason: dict[str, Units] = field(default_factory=dict)
    first_unmatched: list[Unmatched] = field(default_factory=list)

    def add_row(self, row: SetAside) -> None:
        """Count a row that belongs to no order and no cancellation."""
        self.rows_by_reason[row.reason] = self.rows_by_reason.get(row.reason, 0) + 1
        if row.reason is SetAsideReason.BROKEN and len(self.first_broken) < self.keep:
            self.first_broken.append(row)

    def add_unmatched(self, unmatched: Unmatched) -> None:
        """Count cancelled units without an order."""
        self.unmatched_by_reason.setdefault(unmatched.reason, Units()).add(unmatched)
        if len(self.first_unmatched) < self.keep:
            self.first_unmatched.append(unmatched)
        self.on_unmatched(unmatched)
