"""WeChat Pay's trade bill (交易账单, types ALL, SUCCESS and REFUND): one day, Beijing time, amounts in yuan.

Each value begins with a grave accent, so that spreadsheets do not change numbers; a header and one row of totals end
the file. Source: WeChat Pay merchant documents, *申请交易账单*, as of November 2026.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from pathlib import Path

from jitui.adapters.payments.statements import tables
from jitui.adapters.payments.statements.tables import Cells
from jitui.aftersales.reconciliation.statement import AnyRow, OtherRow, RowKind, StatementRow
from jitui.text import sentence

_TIME, _STATE = "交易时间", "交易状态"
_TOTALS = "总交易单数"
_KINDS = {"SUCCESS": RowKind.PAYMENT, "REFUND": RowKind.REFUND, "REVOKED": RowKind.REFUND}
_PAID = ("订单金额", "总金额", "应结订单金额")
_REFUNDED = ("申请退款金额", "退款金额")
"""The first of these columns that the bill has. 申请退款金额 includes coupons, as the refund that we requested does."""
_NOT_PAID = {"FAIL", "CLOSED"}
_UNDER_WAY = {"PROCESSING", "CHANGE", "ABNORMAL"}


class WeChatPayStatements:
    """A `jitui.aftersales.reconciliation.statement.StatementFormat` for WeChat Pay."""

    whole_days_in: tzinfo | None = tables.BEIJING
    tells_its_end = True

    def read(self, path: Path) -> Iterable[AnyRow]:
        """The payments and refunds: each line up to the totals is one."""
        encoding = tables.encoding_of(path, ("utf-8-sig", "gb18030"))
        with tables.opened(path, encoding) as text:
            yield from _rows(path, text)


def _rows(path: Path, text: Iterable[str]) -> Iterator[AnyRow]:
    lines = tables.joined(text, _values, lambda line: line.startswith(("`", '"`', _TOTALS)))
    _, _, names = next(lines, (0, "", [""]))
    if not {_TIME, _STATE} <= set(names):
        raise tables.not_this(
            path,
            sentence("a trade bill of WeChat Pay (%(name)s)", name="交易账单"),
            sentence("its first line has no %(name)s", name=_TIME),
        )
    for count, (number, line, values) in enumerate(lines):
        if values[0] == _TOTALS:
            totals = next(lines, None)
            if totals is None:
                raise tables.broken_off(path, sentence("the totals (%(name)s) are missing", name=_TOTALS))
            tables.check_count(path, sentence("trades (%(name)s)", name=_TOTALS), totals[2][0], count, count)
            yield OtherRow(totals[0])
            return
        cells = dict(zip(names, values, strict=False))
        short = len(values) != len(names)
        yield tables.read_row(number, line, lambda n=number, c=cells, s=short: _row(n, c, s))  # type: ignore[misc]
    raise tables.broken_off(path, sentence("the totals (%(name)s) are missing", name=_TOTALS))


def _values(line: str) -> list[str]:
    """The values of a line. They may have commas: after a grave accent only a comma before the next accent separates.

    A bill that was saved by a spreadsheet has such values in quotes, with the accents inside, or has no accents.
    """
    if line.startswith("`") and ',"`' not in line:
        *parts, last = line[1:].split(",`")
        value = last.rstrip(",")
        parts += [value, *[""] * (len(last) - len(value))]  # cells that a spreadsheet added after the last one
    else:
        parts = next(csv.reader([" ".join(line.splitlines())]), []) or [""]
    return [part.strip().removeprefix("`").strip() for part in parts]


def _row(line: int, cells: Cells, short: bool) -> AnyRow:
    if short:
        raise tables.CellFault(sentence("the line has not as many values as the header"))
    kind = _KINDS.get(cells[_STATE])
    if kind is None:
        raise tables.CellFault(sentence("%(cell)s is no state of a trade", cell=repr(cells[_STATE])))
    refunded = kind is RowKind.REFUND
    status = cells.get("退款状态", "") if refunded else ""
    if status in _NOT_PAID:
        return OtherRow(line)
    if refunded and status != "SUCCESS" and status not in _UNDER_WAY:
        raise tables.CellFault(sentence("%(cell)s is no state of a refund", cell=repr(status)))
    currency = tables.currency(tables.cell(cells, "货币种类"))
    money = next((name for name in (_REFUNDED if refunded else _PAID) if name in cells), "订单金额")
    when = cells.get("退款成功时间") if refunded else None
    return tables.checked(
        StatementRow(
            line=line,
            kind=kind,
            at=tables.moment(when or tables.cell(cells, _TIME), tables.BEIJING),
            amount_minor=tables.amount(tables.cell(cells, money), currency),
            currency=currency,
            reference=tables.identifier(cells.get("商户退款单号")) if refunded else None,
            provider_refund_id=tables.identifier(cells.get("微信退款单号")) if refunded else None,
            payment_ids=tables.identifiers(cells, "微信订单号", "商户订单号"),
            final=not refunded or status == "SUCCESS",
        )
    )
