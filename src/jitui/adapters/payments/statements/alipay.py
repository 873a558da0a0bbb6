"""Alipay's business bill (业务明细, bill type `trade`): GB18030, comments begin with #, amounts in yuan, Beijing time.

It comes as a zip with the details and a summary, or unpacked. Source: Alipay open platform documents,
*查询对账单下载地址* and *对账单字段说明*, as of November 2026.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from pathlib import Path

from jitui.adapters.payments.statements import tables
from jitui.adapters.payments.statements.tables import Cells
from jitui.aftersales.reconciliation.statement import AnyRow, OtherRow, RowKind, StatementRow, UnreadableRow
from jitui.errors import BadInput
from jitui.text import Sentence, sentence

CURRENCY = "CNY"
"""The bill has no currency column, because the domestic product has only yuan."""
_TRADE, _TYPE, _AMOUNT, _NUMBER = "支付宝交易号", "业务类型", "订单金额", "退款批次号/请求号"
_KINDS = {"交易": RowKind.PAYMENT, "退款": RowKind.REFUND}
_END = "列表结束"
_STATED = re.compile(r"交易合计：([0-9]+)笔")
_ENCODINGS = ("gb18030", "utf-8-sig")


class AlipayStatements:
    """A `jitui.aftersales.reconciliation.statement.StatementFormat` for Alipay."""

    whole_days_in: tzinfo | None = tables.BEIJING
    tells_its_end = True

    def read(self, path: Path) -> Iterable[AnyRow]:
        """The payments and refunds: each line that is not a comment is one."""
        with tables.opened(path, tables.encoding_of(path, _ENCODINGS, member=_details), member=_details) as text:
            yield from _rows(path, text)


def _details(name: str) -> bool:
    return "明细" in name and "汇总" not in name


def _rows(path: Path, text: Iterable[str]) -> Iterator[AnyRow]:
    names: list[str] = []
    paid = unreadable = 0
    ended = False
    for number, line, values in tables.joined(_after_comments(text), _values, _is_comment):
        if _is_comment(line):
            ended = ended or _END in line
            if ended and (stated := _STATED.search(line)) is not None:
                tables.check_count(
                    path, sentence("payments (%(name)s)", name="交易合计"), stated[1], paid, paid + unreadable
                )
            continue
        if ended:
            continue
        if not names:
            names = [value.partition("（")[0].partition("(")[0] for value in values]
            if not {_TRADE, _TYPE, _AMOUNT, _NUMBER} <= set(names):
                raise _no_bill(path, sentence("its table has no %(name)s", name=_NUMBER))
            continue
        cells = dict(zip(names, values, strict=False))
        short = len(values) != len(names)
        row = tables.read_row(number, line, lambda n=number, c=cells, s=short: _row(n, c, s))  # type: ignore[misc]
        paid += isinstance(row, StatementRow) and row.kind is RowKind.PAYMENT
        unreadable += isinstance(row, UnreadableRow)
        yield row
    if not names:
        raise _no_bill(path, sentence("it has no %(name)s", name=_TRADE))
    if not ended:
        raise tables.broken_off(path, sentence("the end of the list (#…%(name)s…) is missing", name=_END))


def _no_bill(path: Path, missing: Sentence) -> BadInput:
    return tables.not_this(path, sentence("a business bill of Alipay (%(name)s)", name="业务明细"), missing)


def _is_comment(line: str) -> bool:
    return line.lstrip('\ufeff"').startswith("#")


def _after_comments(text: Iterable[str]) -> Iterator[str]:
    """The lines with the comments before the header emptied, so that the header defines the number of values."""
    begun = False
    for line in text:
        begun = begun or not _is_comment(line)
        yield line if begun else ""


def _values(line: str) -> list[str]:
    return [value.strip() for value in next(csv.reader([" ".join(line.splitlines())]), []) or [""]]


def _row(line: int, cells: Cells, short: bool) -> AnyRow:
    if short:
        raise tables.CellFault(sentence("the line has not as many values as the header"))
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
            reference=tables.identifier(cells[_NUMBER]) if refunded else None,
            payment_ids=tables.identifiers(cells, _TRADE, "商户订单号"),
        )
    )
