"""A row that could not be read, and how it is reported."""

from __future__ import annotations

from dataclasses import dataclass

from jitui.tabular.shown import shown

MOST_KEPT = 1_000
"""The most bad rows that are kept for the report; all are counted, by `kind`."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """Why a row was not taken.

    `field` is ours, empty when the reason is about the whole row; `column` is the file's. `row` counts from 1 after the
    header; `line` is None for a file without lines; `value` is the cell as it is in the file.
    """

    file: str
    row: int
    line: int | None
    field: str
    reason: str
    column: str = ""
    value: str | None = None

    @property
    def told(self) -> str:
        """The reason, with its field."""
        return self._about(self.reason)

    @property
    def kind(self) -> str:
        """The reason without the value of the cell; bad rows are counted by it."""
        begins_with_value = self.reason.startswith("'")
        return self._about(self.reason.rpartition("' ")[2] if begins_with_value else self.reason.partition(", not ")[0])

    def _about(self, text: str) -> str:
        return f"{self.field}: {text}" if self.field else text

    def __str__(self) -> str:
        """`orders.csv:4: row 3, quantity (column 'qty'): expected …`."""
        place = f"{self.file}:{self.line}: row {self.row}" if self.line else f"{self.file}: row {self.row}"
        if not self.field:
            return f"{place}: {self.reason}"
        named = self.field if self.column in ("", self.field) else f"{self.field} (column {shown(self.column)})"
        value = "" if self.value is None or self.value in self.reason else f" (it is {self.value})"
        return f"{place}, {named}: {self.reason}{value}"
