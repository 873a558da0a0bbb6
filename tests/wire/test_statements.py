"""Statements in each provider's format: what becomes a row, what is left out, and what is not a statement."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from jitui.aftersales.reconciliation.statement import AnyRow, OtherRow, RowKind, StatementRow, UnreadableRow
from jitui.bootstrap_providers import statement_formats
from jitui.errors import BadInput

STATEMENTS = statement_formats()
ATTEMPT = UUID("0197312a-6c40-7a13-8e22-5f60718293a4")
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
"""Noon in Beijing."""


def read(provider: str, path: Path) -> list[AnyRow]:
    return list(STATEMENTS[provider].read(path))


def written(folder: Path, text: str, encoding: str = "utf-8", name: str = "bill.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


# WeChat Pay --------------------------------------------------------------------------------------------------------

WECHAT_COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
WECHAT_TOTALS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"


def wechat_line(**changed: str) -> str:
    values = dict.fromkeys(WECHAT_COLUMNS.split(","), "0") | {
        "交易时间": "2026-11-23 12:00:00",
        "微信订单号": "4200001",
        "商户订单号": "o-1",
        "交易状态": "SUCCESS",
        "货币种类": "CNY",
        "应结订单金额": "120.00",
        "商品名称": "Shirt, white",
        "订单金额": "129.00",
    }
    return ",".join(f"`{value}" for value in (values | changed).values())


def wechat_refund(**changed: str) -> str:
    refund = {
        "交易状态": "REFUND",
        "微信退款单号": "5030001",
        "商户退款单号": ATTEMPT.hex,
        "退款金额": "50.00",
        "退款状态": "SUCCESS",
        "订单金额": "0.00",
        "申请退款金额": "59.00",
    }
    return wechat_line(**(refund | changed))


def wechat_bill(*lines: str, end: str | None = None, stated: int | None = None) -> str:
    count = len(lines) if stated is None else stated
    totals = f"{WECHAT_TOTALS}\n`{count},`1,`1,`0,`0,`1,`1\n" if end is None else end
    return "\r\n".join(("\ufeff" + WECHAT_COLUMNS, *lines, totals))


def test_a_wechat_bill(tmp_path: Path) -> None:
    path = written(tmp_path, wechat_bill(wechat_line(), wechat_refund()))
    paid, refunded, *rest = read("wechat_pay", path)
    assert paid == StatementRow(2, RowKind.PAYMENT, NOON, 12900, "CNY", payment_ids=("4200001", "o-1"))
    assert refunded == StatementRow(
        3, RowKind.REFUND, NOON, 5900, "CNY", ATTEMPT.hex, "5030001", payment_ids=("4200001", "o-1")
    )
    assert [type(row) for row in rest] == [OtherRow]


@pytest.mark.parametrize(("state", "final"), [("SUCCESS", True), ("PROCESSING", False), ("CHANGE", False)])
def test_a_wechat_refund_that_is_under_way_is_not_final(tmp_path: Path, state: str, final: bool) -> None:
    row = read("wechat_pay", written(tmp_path, wechat_bill(wechat_refund(退款状态=state))))[0]
    assert isinstance(row, StatementRow) and row.final is final


def test_a_wechat_refund_that_failed_is_none(tmp_path: Path) -> None:
    assert isinstance(read("wechat_pay", written(tmp_path, wechat_bill(wechat_refund(退款状态="FAIL"))))[0], OtherRow)


@pytest.mark.parametrize(
    "line",
    [
        wechat_refund(申请退款金额="59.001"),
        wechat_refund(申请退款金额="0.00"),
        wechat_refund(申请退款金额="NaN"),
        wechat_refund(申请退款金额=""),
        wechat_refund(货币种类="fen"),
        wechat_refund(退款状态="PERHAPS"),
        wechat_line(交易时间="yesterday"),
        wechat_line(交易状态="ELSE"),
        "`2026-11-23 12:00:00,`wx",
    ],
)
def test_a_wechat_line_that_cannot_be_read_is_kept_with_its_text(tmp_path: Path, line: str) -> None:
    bad, good = read("wechat_pay", written(tmp_path, wechat_bill(line, wechat_line())))[:2]
    assert isinstance(bad, UnreadableRow) and bad.line == 2 and bad.text == line[:500] and bad.reason
    assert isinstance(good, StatementRow)


def test_a_wechat_bill_that_breaks_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="breaks off"):
        read("wechat_pay", written(tmp_path, wechat_bill(wechat_line(), end="")))


def test_a_wechat_bill_may_be_packed(tmp_path: Path) -> None:
    path = tmp_path / "bill.gz"
    path.write_bytes(gzip.compress(wechat_bill(wechat_line()).encode()))
    assert len(read("wechat_pay", path)) == 2
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadInput, match="breaks off"):
        read("wechat_pay", path)


# Alipay ------------------------------------------------------------------------------------------------------------

ALIPAY_COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
ALIPAY_HEAD = "#支付宝业务明细查询\n#账号：[2088]\n#起始日期：[2026年11月23日 00:00:00]\n#----业务明细列表----\n"
ALIPAY_END = "#----业务明细列表结束----\n#交易合计：1笔，商家实收共129.00元\n#导出时间：[2026年11月24日]\n"


def alipay_line(kind: str = "交易", amount: str = "129.00", number: str = "", done: str = "2026-11-23 12:00:00") -> str:
    values = dict.fromkeys(ALIPAY_COLUMNS.split(","), "")
    values |= {"支付宝交易号": "2026112322001", "商户订单号": "o-1", "业务类型": kind, "商品名称": "Shirt"}
    values |= {"完成时间": done, "订单金额（元）": amount, "退款批次号/请求号": number}
    return ",".join(f"{value}\t" for value in values.values())


def alipay_bill(*lines: str, end: str = ALIPAY_END) -> str:
    return ALIPAY_HEAD + "\n".join((ALIPAY_COLUMNS, *lines, end))


ALIPAY_BILL = alipay_bill(alipay_line(), alipay_line("退款", "-59.00", ATTEMPT.hex), alipay_line("其它"))


def check_alipay(rows: list[AnyRow]) -> None:
    paid, refunded, other = rows
    assert paid == StatementRow(6, RowKind.PAYMENT, NOON, 12900, "CNY", payment_ids=("2026112322001", "o-1"))
    assert refunded == StatementRow(
        7, RowKind.REFUND, NOON, 5900, "CNY", ATTEMPT.hex, payment_ids=("2026112322001", "o-1")
    )
    assert isinstance(other, OtherRow)


def test_an_alipay_bill_in_gb18030(tmp_path: Path) -> None:
    check_alipay(read("alipay", written(tmp_path, ALIPAY_BILL, "gb18030")))


def test_an_alipay_bill_in_its_zip(tmp_path: Path) -> None:
    path = tmp_path / "bill.zip"
    names = {"2088_业务明细(汇总).csv": "#", "2088_业务明细.csv": ALIPAY_BILL}
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in names.items():
            packed.writestr("x" * len(name.encode("gb18030")), text.encode("gb18030"))
    for name in names:  # written as Alipay writes them: not in UTF-8, and without a flag that says so
        raw = name.encode("gb18030")
        path.write_bytes(path.read_bytes().replace(b"x" * len(raw), raw))
    check_alipay(read("alipay", path))
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("readme.txt", "nothing")
    with pytest.raises(BadInput, match="no statement"):
        read("alipay", path)


@pytest.mark.parametrize(
    "line", [alipay_line(amount="free"), alipay_line(done="", amount="1.00"), alipay_line("退款", "0.00"), "1,2,退款"]
)
def test_an_alipay_line_that_cannot_be_read_is_kept(tmp_path: Path, line: str) -> None:
    (bad,) = read("alipay", written(tmp_path, alipay_bill(line), "gb18030"))
    assert isinstance(bad, UnreadableRow) and bad.line == 6


def test_an_alipay_bill_that_breaks_off_or_is_something_else_is_refused(tmp_path: Path) -> None:
    for text, why in (
        (alipay_bill(alipay_line(), end=""), "breaks off"),
        ("#支付宝账务明细查询\n账务流水号,业务流水号\n", "is not a business bill"),
        ("", "is not a business bill"),
    ):
        with pytest.raises(BadInput, match=why):
            read("alipay", written(tmp_path, text, "gb18030"))
    with pytest.raises(BadInput, match="is not text in GB18030"):
        read("alipay", written(tmp_path, "\xff\xff\xff", "latin-1"))


# Bills as they come ------------------------------------------------------------------------------------------------


def resaved(bill: str) -> str:
    """As a spreadsheet saves it again: quotes where there are commas, rows padded to the widest, other times."""
    rows = [line[1:].split(",`") if line.startswith("`") else line.split(",") for line in bill.splitlines()]
    width = max(map(len, rows))
    text = io.StringIO()
    for row in rows:
        accent = "`" if row[0][:4] == "2026" else ""
        csv.writer(text).writerow([f"{accent}{cell}" if cell else cell for cell in row] + [""] * (width - len(row)))
    return text.getvalue().replace("2026-11-23 12:00:00", "2026/11/23 12:00") + ("," * width + "\r\n") * 2


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_wechat_bill_that_a_spreadsheet_saved_again(tmp_path: Path, encoding: str) -> None:
    bill = wechat_bill(wechat_line(), wechat_refund()).removeprefix("\ufeff")
    paid, refunded, totals = read("wechat_pay", written(tmp_path, resaved(bill), encoding))
    assert paid == StatementRow(2, RowKind.PAYMENT, NOON, 12900, "CNY", payment_ids=("4200001", "o-1"))
    assert isinstance(refunded, StatementRow) and refunded.amount_minor == 5900
    assert isinstance(totals, OtherRow)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_an_alipay_bill_that_a_spreadsheet_saved_again(tmp_path: Path, encoding: str) -> None:
    rows = [next(csv.reader([line])) for line in ALIPAY_BILL.splitlines()]
    width = max(map(len, rows))
    text = io.StringIO()
    csv.writer(text).writerows([cell.strip("\t") for cell in row] + [""] * (width - len(row)) for row in rows)
    bill = text.getvalue().replace("2026-11-23 12:00:00", "2026/11/23 12:00") + ("," * width + "\r\n") * 2
    check_alipay(read("alipay", written(tmp_path, bill, encoding)))


def test_an_amount_with_separators_that_a_spreadsheet_added_is_told_and_not_matched(tmp_path: Path) -> None:
    bill = resaved(wechat_bill(wechat_line(订单金额="1290.00"), wechat_refund()).removeprefix("\ufeff"))
    bad, good = read("wechat_pay", written(tmp_path, bill.replace("`1290.00", '"`1,290.00"'), "utf-8-sig"))[:2]
    assert isinstance(bad, UnreadableRow) and "without separators" in bad.reason
    assert isinstance(good, StatementRow)
    bad = read("alipay", written(tmp_path, alipay_bill(alipay_line(amount='"1,290.00"')), "gb18030"))[0]
    assert isinstance(bad, UnreadableRow)


def test_a_line_break_inside_a_name_keeps_its_row_together(tmp_path: Path) -> None:
    bill = wechat_bill(wechat_line(商品名称="Shirt,\nwhite"), wechat_line(商品名称='12" mug'), wechat_refund())
    assert [type(row) for row in read("wechat_pay", written(tmp_path, bill))] == [StatementRow] * 3 + [OtherRow]
    named = alipay_line().replace("Shirt", 'Shirt"x')
    broken = alipay_line().replace("Shirt", "Shirt\nwhite")
    bill = alipay_bill(broken, alipay_line("退款", "-5.00", ATTEMPT.hex), end=ALIPAY_END)
    first, second = read("alipay", written(tmp_path, bill, "gb18030"))
    assert isinstance(first, StatementRow) and isinstance(second, StatementRow) and second.line == 8
    bad, good = read("alipay", written(tmp_path, alipay_bill('1,2,"x', alipay_line()), "gb18030"))
    assert isinstance(bad, UnreadableRow) and isinstance(good, StatementRow)
    assert len(read("alipay", written(tmp_path, alipay_bill(named), "gb18030"))) == 1


@pytest.mark.parametrize("stated", [0, 1, 3])
def test_a_bill_that_states_another_count_than_it_has_is_refused(tmp_path: Path, stated: int) -> None:
    with pytest.raises(BadInput, match="rows are missing or twice"):
        read("wechat_pay", written(tmp_path, wechat_bill(wechat_line(), wechat_refund(), stated=stated)))
    end = ALIPAY_END.replace("1笔", f"{stated}笔")
    with pytest.raises(BadInput, match="rows are missing or twice"):
        read("alipay", written(tmp_path, alipay_bill(alipay_line(), alipay_line(), end=end), "gb18030"))


def test_empty_last_lines_are_no_rows(tmp_path: Path) -> None:
    assert len(read("stripe", written(tmp_path, STRIPE_REPORT + "\n" + "," * 11 + "\n"))) == 6
    assert len(read("wechat_pay", written(tmp_path, wechat_bill(wechat_line()) + "\n\n,,,\n"))) == 2
    assert len(read("alipay", written(tmp_path, ALIPAY_BILL + "\n,,,\n", "gb18030"))) == 3


def test_a_rounded_id_in_a_bill_is_not_matched(tmp_path: Path) -> None:
    (bad, *_) = read("wechat_pay", written(tmp_path, wechat_bill(wechat_refund(微信订单号="4.2E+27"))))
    assert isinstance(bad, UnreadableRow) and "as text" in bad.reason


# Stripe ------------------------------------------------------------------------------------------------------------

STRIPE_COLUMNS = (
    "balance_transaction_id,created_utc,currency,gross,reporting_category,source_id,charge_id,payment_intent_id,"
    "customer_facing_amount,customer_facing_currency,refund_metadata[jitui_attempt],description"
)
STRIPE_REPORT = f"""{STRIPE_COLUMNS}
txn_1,2026-11-23 04:00:00,usd,129.00,charge,ch_1,ch_1,pi_1,129.00,usd,,
txn_2,2026-11-23 04:00:00,usd,-59.00,refund,re_1,ch_1,pi_1,-59.00,usd,{ATTEMPT},"a, b"
txn_3,2026-11-23 04:00:00,usd,59.00,refund_failure,re_1,ch_1,pi_1,,,{ATTEMPT},
txn_4,2026-11-23 04:00:00,usd,-8.00,refund,re_2,ch_2,pi_2,-1200,jpy,,
txn_5,2026-11-23 04:00:00,usd,-500.00,payout,po_1,,,,,,
txn_6,2026-11-23 04:00:00,usd,,refund,re_3,,,,,,
"""


def test_stripes_itemised_report(tmp_path: Path) -> None:
    paid, refunded, returned, converted, other, bad = read("stripe", written(tmp_path, STRIPE_REPORT))
    assert paid == StatementRow(2, RowKind.PAYMENT, NOON, 12900, "USD", payment_ids=("pi_1", "ch_1"))
    assert refunded == StatementRow(
        3, RowKind.REFUND, NOON, 5900, "USD", str(ATTEMPT), "re_1", payment_ids=("pi_1", "ch_1")
    )
    assert isinstance(returned, StatementRow) and returned.kind is RowKind.REFUND_RETURNED
    assert isinstance(converted, StatementRow) and (converted.amount_minor, converted.currency) == (1200, "JPY")
    assert isinstance(other, OtherRow) and isinstance(bad, UnreadableRow)


def transaction(**changed: object) -> dict[str, object]:
    base = {"id": "txn_1", "object": "balance_transaction", "type": "refund", "amount": -5900, "currency": "usd"}
    return {**base, "created": int(NOON.timestamp()), "source": "re_1", "exchange_rate": None, **changed}


EXPANDED = {
    "id": "re_1",
    "object": "refund",
    "amount": 1200,
    "currency": "jpy",
    "charge": "ch_1",
    "payment_intent": "pi_1",
    "metadata": {"jitui_attempt": str(ATTEMPT)},
}
TRANSACTIONS = [
    transaction(),
    transaction(source=EXPANDED, amount=-800, exchange_rate=0.0066),
    transaction(type="charge", amount=12900, source="ch_1"),
    transaction(type="stripe_fee", source=None),
    transaction(exchange_rate=0.9),
    transaction(amount="59"),
]


@pytest.mark.parametrize("form", ["list", "object", "lines"])
def test_stripes_objects(tmp_path: Path, form: str) -> None:
    forms = {
        "list": json.dumps(TRANSACTIONS, indent=1),
        "object": json.dumps({"object": "list", "data": TRANSACTIONS, "has_more": False}),
        "lines": "".join(json.dumps(row) + "\n" for row in TRANSACTIONS),
    }
    plain, expanded, paid, other, converted, bad = read("stripe", written(tmp_path, forms[form]))
    assert plain == StatementRow(1, RowKind.REFUND, NOON, 5900, "USD", provider_refund_id="re_1")
    assert expanded == StatementRow(
        2, RowKind.REFUND, NOON, 1200, "JPY", str(ATTEMPT), "re_1", payment_ids=("pi_1", "ch_1")
    )
    assert paid == StatementRow(3, RowKind.PAYMENT, NOON, 12900, "USD", payment_ids=("ch_1",))
    assert isinstance(other, OtherRow)
    assert isinstance(converted, UnreadableRow) and "expand" in converted.reason
    assert isinstance(bad, UnreadableRow)


# All ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", STATEMENTS)
@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "[1", '{"data": 3}', "\x00\x00", "PK\x03\x04", "\x1f\x8b"])
def test_another_file_is_refused_in_a_sentence(tmp_path: Path, provider: str, text: str) -> None:
    path = written(tmp_path, text, "latin-1")
    with pytest.raises(BadInput) as refused:
        read(provider, path)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


@pytest.mark.parametrize("provider", STATEMENTS)
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, provider: str) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read(provider, tmp_path / "none.csv")
