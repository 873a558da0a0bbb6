"""Alipay's business bill (业务明细, bill type `trade`): GB18030, comments begin with #, amounts in yuan, Beijing time.

It comes as a zip with the details and a summary, or unpacked. Source: Alipay open platform documents,
*查询对账单下载地址* and *对账单字段说明*, as of November 2026.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from pathlib import Path

from jitui.adapters.payments.statements import tables
from jitui.adapters.payments.statements.tables import Cells
from jitui.aftersales.reconcile import AnyRow, OtherRow, RowKind, StatementRow

CURRENCY = "CNY"
"""The bill has no column for it: the domestic product knows yuan alone."""
_TRADE, _TYPE, _AMOUNT, _NUMBER = "支付宝交易号", "业务类型", "订单金额", "退款批次号/请求号"
_KINDS = {"交易": RowKind.PAYMENT, "退款": RowKind.REFUND}
_END = "列表结束"


class AlipayStatements:
    """See `jitui.aftersales.reconcile.StatementFormat`."""

    whole_days_in: tzinfo | None = tables.BEIJING

    def read(self, path: Path) -> Iterable[AnyRow]:
        """Each line between the comments is a payment or a refund."""
        with tables.opened(path, "gb18030", member=lambda name: "明细" in name and "汇总" not in name) as text:
            yield from _rows(path, text)


def _rows(path: Path, text: Iterable[str]) -> Iterator[AnyRow]:
    names: list[str] = []
    lines = enumerate((line.strip() for line in text), start=1)
    for number, line in lines:
        if line.startswith("#") or not line:
            if _END in line:
                return
            continue
        values = [value.strip() for value in next(csv.reader([line]))]
        if not names:
            names = [value.partition("（")[0].partition("(")[0] for value in values]
            if not {_TRADE, _TYPE, _AMOUNT, _NUMBER} <= set(names):
                raise tables.not_this(path, "a business bill of Alipay (业务明细)", f"its table has no {_NUMBER}")
            continue
        cells = dict(zip(names, values, strict=False))
        short = len(values) < len(names)
        yield tables.read_row(number, line, lambda n=number, c=cells, s=short: _row(n, c, s))  # type: ignore[misc]
    if not names:
        raise tables.not_this(path, "a business bill of Alipay (业务明细)", f"it has no {_TRADE}")
    raise tables.broken_off(path, f"the end of the list (#…{_END}…) is missing")


def _row(line: int, cells: Cells, short: bool) -> AnyRow:
    if short:
        raise tables.CellFault("the line has fewer values than the header")
    kind = _KINDS.get(cells[_TYPE])
    if kind is None:
        return OtherRow(line)
    refunded = kind is RowKind.REFUND
    return tables.checked(
        StatementRow(
            line=line,
            kind=kind,
            at=tables.moment(cells.get("完成时间") or tables.cell(cells, "创建时间"), tables.BEIJING),
            amount_minor=tables.amount(tables.cell(cells, _AMOUNT), CURRENCY),
            currency=CURRENCY,
            reference=tables.optional(cells[_NUMBER]) if refunded else None,
            payment_ids=tuple(filter(None, (cells[_TRADE], cells.get("商户订单号")))),
        )
    )
