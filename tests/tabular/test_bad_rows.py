"""Bad rows are counted by their reason, not by the values of their cells."""

from __future__ import annotations

import pytest

from jitui.tabular.bad_rows import BadRow


@pytest.mark.parametrize(
    ("field", "reason", "kind"),
    [
        ("paid", "expected a whole number in digits, not 'x1'", "paid: expected a whole number in digits"),
        (
            "order_id",
            "'6.9E+18' is a number that a spreadsheet rounded",
            "order_id: is a number that a spreadsheet rounded",
        ),
        ("order_id", "'it\\'s 1.0' is an id that became a number", "order_id: is an id that became a number"),
        ("", "the row has 4 cells, the header 5", "the row has 4 cells, the header 5"),
    ],
)
def test_the_kind_of_a_reason_leaves_out_its_value(field: str, reason: str, kind: str) -> None:
    assert BadRow("a.csv", 1, 2, field, reason).kind == kind


def test_a_bad_row_is_told_with_its_place_its_column_and_its_value() -> None:
    row = BadRow("a.csv", 3, 4, "quantity", "expected a whole number in digits", "qty", "'two'")
    assert str(row) == "a.csv:4: row 3, quantity (column 'qty'): expected a whole number in digits (it is 'two')"
    assert str(BadRow("a.parquet", 3, None, "", "belongs elsewhere")) == "a.parquet: row 3: belongs elsewhere"
