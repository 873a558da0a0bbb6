"""The provider simulator's `statement.csv`: one UTC day of money that moved (docs/reference/provider-simulator.md)."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import UTC, tzinfo
from pathlib import Path

from jitui.adapters.payments.statements import tables
from jitui.adapters.payments.statements.tables import Cells
from jitui.aftersales.reconciliation.statement import AnyRow, RowKind, StatementRow
from jitui.text import sentence

_COLUMNS = {"time", "kind", "provider_id", "payment_id", "reference", "order_id", "amount", "currency"}
_KINDS = {"capture": RowKind.PAYMENT, "refund": RowKind.REFUND, "refund_returned": RowKind.REFUND_RETURNED}


class SimulatorStatements:
    """A `jitui.aftersales.reconciliation.statement.StatementFormat` for the simulator."""

    whole_days_in: tzinfo | None = UTC
    tells_its_end = False

    def read(self, path: Path) -> Iterable[AnyRow]:
        """The movements, one per line."""
        with tables.opened(path, "utf-8-sig") as text:
            lines = csv.DictReader(text)
            missing = _COLUMNS - set(lines.fieldnames or ())
            if missing:
                raise tables.not_this(
                    path,
                    sentence("a statement of the simulator"),
                    sentence("no column %(name)s", name=repr(sorted(missing)[0])),
                )
            for cells in lines:
                if not any(cells.values()):
                    continue
                known = {name: value or "" for name, value in cells.items() if name is not None}
                number = lines.line_num
                yield tables.read_row(number, ",".join(known.values()), lambda c=known, n=number: _row(n, c))  # type: ignore[misc]


def _row(line: int, cells: Cells) -> StatementRow:
    kind = _KINDS.get(cells["kind"])
    if kind is None:
        raise tables.CellFault(sentence("%(cell)s is no kind of movement", cell=repr(cells["kind"])))
    currency = tables.currency(cells["currency"])
    return tables.checked(
        StatementRow(
            line=line,
            kind=kind,
            at=tables.moment(cells["time"], UTC),
            amount_minor=tables.amount(cells["amount"], currency),
            currency=currency,
            reference=tables.identifier(cells["reference"]),
            provider_refund_id=None if kind is RowKind.PAYMENT else tables.cell(cells, "provider_id"),
            payment_ids=(tables.cell(cells, "payment_id"),),
        )
    )
