"""Each map that comes with Jitui reads a generated file of its form, and takes no payment from an order export."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from jitui.backtest.history.import_mapped import MappedImport, MappedImportSpec, import_mapped
from jitui.backtest.history.mapped_fields import OF_TABLES, SHARED, check_fields, with_full_names
from jitui.errors import BadInput
from jitui.tabular.mapping import ORDER_EXPORT, PAYMENT_BILL, read_map, ready_maps
from tests.backtest import exports
from tests.backtest.exports import write

SHOP = {"shop_id": "shop-1"}


def utc(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[arg-type,misc]


def imported(
    folder: Path, files: Sequence[Path], maps: Sequence[str], format_name: str = "csv", **more: Any
) -> MappedImport:
    spec = MappedImportSpec(
        format_name, files, [read_map(name) for name in maps], constants={**SHOP, **more.pop("set", {})}, **more
    )
    return import_mapped(spec, folder / "history")


def rows(folder: Path, table: str, columns: str) -> list[Any]:
    with duckdb.connect() as connection:
        path = folder / "history" / f"{table}.parquet"
        return connection.execute(f"SELECT {columns} FROM '{path}' ORDER BY ALL").fetchall()


def test_every_ready_map_names_fields_of_ours_and_no_order_export_proves_money() -> None:
    for name in ready_maps():
        found = read_map(name)
        assert found.about and found.is_what in (ORDER_EXPORT, PAYMENT_BILL) and found.needs, name
        check_fields(with_full_names(found))


def test_the_page_of_map_files_lists_every_field_and_every_map() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "map-files.md").read_text(encoding="utf-8")
    for table, fields in {"of every row": SHARED, **OF_TABLES}.items():
        (listed,) = re.findall(rf"^\| `?{table}`? \| (.*) \|$", page, flags=re.M)
        assert set(fields) <= set(re.findall(r"`(\w+)`", listed)), table
    assert set(ready_maps()) <= set(re.findall(r"`([\w-]+)`", page))


def test_shopify_rows_begin_with_a_hash_and_tell_of_their_order_once(tmp_path: Path) -> None:
    first = {
        "Name": "#90001", "Email": "a@example.com", "Financial Status": "paid", "Fulfillment Status": "unfulfilled",
        "Currency": "EUR", "Total": "45.00", "Created at": "2026-03-02 10:15:01 +0100", "Lineitem quantity": "2",
        "Lineitem name": "Mug, blue", "Lineitem sku": "MUG-X", "Lineitem requires shipping": "true",
        "Billing Zip": "'00100", "Payment Reference": "rEXAMPLE0001", "Id": "9900000000001",
    }  # fmt: skip
    second = {
        "Name": "#90001", "Email": "a@example.com", "Created at": "2026-03-02 10:15:01 +0100",
        "Lineitem quantity": "1",
        "Lineitem sku": "VOUCHER", "Lineitem requires shipping": "false",
    }  # fmt: skip
    sent = {**first, "Name": "#90002", "Fulfillment Status": "fulfilled", "Fulfilled at": "2026-03-03 09:00:00 +0100"}
    untimed = {**first, "Name": "#90003", "Fulfillment Status": "partial"}
    file = write(tmp_path / "orders_export.csv", exports.SHOPIFY, [first, second, sent, untimed])
    done = imported(tmp_path, [file], ["shopify"])
    assert done.holds and not done.bad_rows
    assert rows(tmp_path, "orders", "order_id, currency, placed_at, buyer_id, shop_id, paid_minor, paid_at") == [
        (f"#9000{n}", "EUR", utc(2026, 3, 2, 9, 15, 1), "a@example.com", "shop-1", None, None) for n in (1, 2, 3)
    ]
    assert rows(tmp_path, "order_lines", "order_id, line_id, sku, quantity, virtual, customised, paid_minor")[:2] == [
        ("#90001", "1", "MUG-X", 2, False, None, None),
        ("#90001", "2", "VOUCHER", 1, True, None, None),
    ]
    assert rows(tmp_path, "shipments", 'order_id, degree, "at"') == [
        ("#90002", "shipped", utc(2026, 3, 3, 8)),
        ("#90003", "partly_shipped", None),  # not said when: a back-test takes it for unknown
    ]


def test_woocommerce_analytics_has_refunds_as_rows_that_are_no_orders(tmp_path: Path) -> None:
    order = {
        "Date": "2026-03-02 10:15:01",
        "Order #": "5001",
        "Status": "processing",
        "Items sold": "3",
        "Net Sales": "40",
    }
    refund = {**order, "Date": "2026-03-04 08:00:00", "Status": "refunded", "Net Sales": "'-12.50"}
    file = write(tmp_path / "wc.csv", exports.WOOCOMMERCE_ANALYTICS, [order, refund], "utf-8-sig")
    done = imported(tmp_path, [file], ["woocommerce-analytics"], set={"currency": "USD"}, time_zone="America/New_York")
    assert done.holds and done.files[0].left_out == 1
    assert rows(tmp_path, "orders", "order_id, placed_at, state") == [("5001", utc(2026, 3, 2, 15, 15, 1), "unshipped")]


def test_webtoffee_writes_american_days_and_guests_have_no_buyer(tmp_path: Path) -> None:
    order = {
        "order_id": "5001", "order_date": "3/2/2026 10:15:01", "status": "processing", "order_currency": "USD",
        "customer_user": "0", "transaction_id": "ch_1", "line_item_1": "name:Mug|quantity:2",
    }  # fmt: skip
    named = {**order, "order_id": "5002", "customer_user": "7", "status": "cancelled", "transaction_id": "ch_2"}
    file = write(tmp_path / "orders.csv", exports.WOOCOMMERCE_WEBTOFFEE, [order, named])
    bill = tmp_path / "balance.csv"
    bill.write_text(
        "balance_transaction_id,created_utc,currency,gross,reporting_category,source_id,charge_id\n"
        "txn_1,2026-03-02 15:15:20,usd,45.00,charge,ch_1,ch_1\n"
        "txn_2,2026-03-02 16:00:00,usd,-45.00,refund,re_1,ch_1\n"
    )
    maps = ["woocommerce-webtoffee", "stripe-balance"]
    nowhere = imported(tmp_path, [file], ["woocommerce-webtoffee"])
    assert nowhere.bad_rows == 2 and "say --time-zone" in nowhere.files[0].bad[0].reason
    shutil.rmtree(tmp_path / "history")
    imported(tmp_path, [file, bill], maps, time_zone="America/New_York")
    assert rows(tmp_path, "orders", "order_id, buyer_id, placed_at, state, paid_minor") == [
        ("5001", None, utc(2026, 3, 2, 15, 15, 1), "unshipped", 4500),
        ("5002", "7", utc(2026, 3, 2, 15, 15, 1), "closed", None),  # not in the bill: unknown, not zero
    ]


TAOBAO = {
    "买家会员名": "示例**", "订单状态": "买家已付款,等待卖家发货", "联系手机": "'13800000000",
    "订单创建时间": "2026-03-02 10:15:01",
    "宝贝标题 ": "杯子，袋子", "买家实际支付金额": "89.00", "打款商家金额": "0.00元",
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8-sig"])
def test_taobao_ids_are_formulas_and_statuses_hold_commas(tmp_path: Path, encoding: str) -> None:
    ids = [f"33990000000000000{n:02}" for n in range(1, 6)]
    orders = [
        {**TAOBAO, "订单编号": f'="{ids[0]}"', "支付单号": "2026030200001100000000000001"},
        {
            **TAOBAO,
            "订单编号": f'="{ids[1]}"',
            "订单状态": "卖家已发货,等待买家确认",
            "发货时间": "2026-03-03 09:00:00",
        },
        {**TAOBAO, "订单编号": f'="{ids[2]}"', "订单状态": "卖家已发货，等待买家确认"},
        {**TAOBAO, "订单编号": f'="{ids[3]}"', "订单状态": "交易关闭", "买家会员名": "张三"},
        {**TAOBAO, "订单编号": f'="{ids[4]}"', "订单状态": "新状态"},
    ]
    lines = [
        {
            "子订单编号": "1",
            "主订单编号": ids[0],
            "商品标题": "杯子",
            "购买数量": "1",
            "商家编码": "MUG",
            "退款金额": "无退款申请",
        },
        {
            "子订单编号": "2",
            "主订单编号": ids[0],
            "商品标题": "袋子",
            "购买数量": "2",
            "商家编码": "BAG",
            "退款金额": "40.00",
        },
    ]
    files = [
        write(tmp_path / "ExportOrderList.csv", exports.TAOBAO_ORDERS, orders, encoding),
        write(tmp_path / "ExportOrderDetailList.csv", exports.TAOBAO_LINES, lines, encoding),
    ]
    done = imported(tmp_path, files, ["taobao-orders", "taobao-lines"])
    assert not done.holds, "a status that the map does not know is held for a person"
    (bad,) = [bad for one in done.files for bad in one.bad]
    assert (bad.row, bad.field, bad.column, bad.value) == (5, "orders.state", "订单状态", "'新状态'")
    assert "[words.orders.state]" in bad.reason
    assert rows(tmp_path, "orders", "order_id, placed_at, buyer_id, paid_minor") == [
        (ids[0], utc(2026, 3, 2, 2, 15, 1), None, None),
        (ids[1], utc(2026, 3, 2, 2, 15, 1), None, None),
        (ids[2], utc(2026, 3, 2, 2, 15, 1), None, None),
        (ids[3], utc(2026, 3, 2, 2, 15, 1), "张三", None),
        (ids[4], None, None, None),  # set aside by the back-test: nothing of it is known
    ]
    assert rows(tmp_path, "shipments", 'order_id, "at"') == [
        (ids[1], utc(2026, 3, 3, 1)),
        (ids[2], None),
        (ids[4], None),
    ]
    assert rows(tmp_path, "order_lines", "order_id, line_id, sku, quantity")[:2] == [
        (ids[0], "1", "MUG", 1),
        (ids[0], "2", "BAG", 2),
    ]
    (join,) = [join for join in done.joins if join.table == "order_lines"]
    assert (join.keys, join.of_keys, join.found) == (1, 5, 1)


def test_a_kuaishou_workbook_is_read_from_every_sheet_without_damage_to_ids(tmp_path: Path) -> None:
    order = {
        "订单创建时间": "2026/03/02 10:15:01", "订单状态": "待发货", "实付款": "¥1,299.90",
        "成交数量": 1, "SKU编码": "BOX-Q",
        "商品ID": 99000000002, "商品单价": 59.9, "售后状态": "-",
    }  # fmt: skip
    file = exports.workbook(
        tmp_path / "orders.xlsx",
        exports.KUAISHOU,
        [
            [{**order, "订单号": "2606000000000000001"}],
            [{**order, "订单号": 2606000000000002, "订单状态": "已发货", "发货时间": utc(2026, 3, 2, 18)},
             {**order, "订单号": "2606000000000000003", "订单状态": "交易关闭"}],
        ],
    )  # fmt: skip
    done = imported(tmp_path, [file], ["kuaishou"], "xlsx")
    (bad,) = done.files[0].bad
    assert (bad.row, bad.field) == (2, "order_id"), "a number of 16 digits may have been rounded by the spreadsheet"
    assert rows(tmp_path, "order_lines", "order_id, item_id, sku, quantity")[:2] == [
        ("2606000000000000001", "99000000002", "BOX-Q", 1),
        ("2606000000000000003", "99000000002", "BOX-Q", 1),
    ]


def test_douyin_ids_begin_with_a_tab_and_requests_come_from_the_other_export(tmp_path: Path) -> None:
    order = {
        "主订单编号": "\t6900000000000000001", "选购商品": "\t杯子", "商品ID": "\t3500000000000000001",
        "商家编码": "\tMUG-X",
        "商品数量": "1", "订单提交时间": "2026-03-02 10:15:01", "订单完成时间": "-", "订单状态": "待发货",
        "售后状态": "-",
    }  # fmt: skip
    orders = [
        {**order, "子订单编号": "\t6900000000000000001"},
        {**order, "子订单编号": "\t6900000000000000002", "商家编码": "\tBAG-Y", "商品数量": "2"},
    ]
    refund = {
        "售后单号": "\t70001", "订单号": "\t6900000000000000001", "售后类型": "未发货仅退款",
        "售后申请时间": "2026-03-02 11:00:00",
    }  # fmt: skip
    files = [
        write(tmp_path / "1740000000_orders.csv", exports.DOUYIN, orders, "utf-8-sig"),
        write(
            tmp_path / "after_sales.csv",
            exports.DOUYIN_REFUNDS,
            [refund, {**refund, "售后类型": "退货退款"}],
            "gb18030",
        ),
    ]
    done = imported(tmp_path, files, ["douyin", "douyin-refunds"])
    assert done.holds
    assert rows(tmp_path, "order_lines", "order_id, line_id, item_id, sku, quantity") == [
        ("6900000000000000001", "6900000000000000001", "3500000000000000001", "MUG-X", 1),
        ("6900000000000000001", "6900000000000000002", "3500000000000000001", "BAG-Y", 2),
    ]
    assert rows(tmp_path, "requests", "request_id, order_id, shop_id, asked_at, amount_minor") == [
        ("70001", "6900000000000000001", "shop-1", utc(2026, 3, 2, 3), None)
    ]


def test_pinduoduo_statuses_hold_full_width_commas_and_paid_by_the_buyer_is_not_believed(tmp_path: Path) -> None:
    order = {
        "订单号": "260302-000000000000001", "订单状态": "已发货，待收货", "用户实付金额(元)": "16.8",
        "商品数量(件)": "1",
        "发货时间": "2026-03-02 18:00:00", "商品id": "750000000001", "商家编码-规格维度": "MUG-X",
        "订单成交时间": "2026-03-02 10:00:00",
    }  # fmt: skip
    file = write(tmp_path / "orders.csv", exports.PINDUODUO, [order])
    assert imported(tmp_path, [file], ["pinduoduo"]).holds
    assert rows(tmp_path, "orders", "order_id, state, paid_minor") == [("260302-000000000000001", "shipped", None)]
    assert rows(tmp_path, "shipments", 'degree, "at"') == [("shipped", utc(2026, 3, 2, 10))]


# Money comes from the bill ----------------------------------------------------------------------------------------


def test_what_was_paid_and_refunded_is_what_the_payment_bill_says(tmp_path: Path) -> None:
    orders = [
        {**TAOBAO, "订单编号": f'="{n}"', "买家会员名": "李四", "买家实际支付金额": "1.00",
         "订单状态": "卖家已发货,等待买家确认" if n == "2" else "买家已付款,等待卖家发货",
         "发货时间": "2026-03-02 11:00:00" if n == "2" else ""}
        for n in ("1", "2", "3")
    ]  # fmt: skip
    paid = {"支付宝交易号": "A1\t", "商户订单号": "T200P1\t", "业务类型": "交易", "完成时间": "2026-03-02 10:15:20"}
    bill = [
        {**paid, "订单金额（元）": "89.00"},
        {**paid, "支付宝交易号": "A2\t", "商户订单号": "T200P2\t", "订单金额（元）": "35.50"},
        {**paid, "业务类型": "退款", "完成时间": "2026-03-02 12:00:00", "订单金额（元）": "-89.00",
        "退款批次号/请求号": "R1\t"},
        {**paid, "支付宝交易号": "A2\t", "商户订单号": "T200P2\t", "业务类型": "退款",
        "完成时间": "2026-03-02 12:00:00",
         "订单金额（元）": "35.50", "退款批次号/请求号": "R2\t"},
    ]  # fmt: skip
    head = "#支付宝业务明细查询\n#账号：[20880000000000000156]\n#-----业务明细列表-----\n"
    files = [
        write(tmp_path / "ExportOrderList.csv", exports.TAOBAO_ORDERS, orders, "gb18030"),
        write(tmp_path / "bill.csv", exports.ALIPAY_BILL, bill, "gb18030", head),
    ]
    with files[1].open("ab") as opened:
        opened.write("#-----业务明细列表结束-----\n#交易合计：2笔\n".encode("gb18030"))
    done = imported(tmp_path, files, ["taobao-orders", "alipay-bill"], complete_from="2026-01-01T00:00:00Z")
    assert done.holds
    assert rows(tmp_path, "orders", "order_id, paid_minor, paid_at") == [
        ("1", 8900, utc(2026, 3, 2, 2, 15, 20)),
        ("2", 3550, utc(2026, 3, 2, 2, 15, 20)),
        ("3", None, None),
    ]
    refunds = rows(tmp_path, "events", "subject, kind, order_id, amount_minor")
    assert [one for one in refunds if "refund" in one[1]] == [
        ("buyer", "refund_after_shipment", "2", 3550),
        ("buyer", "refund_before_shipment", "1", 8900),
        ("shop", "refund_before_shipment", "1", 8900),
    ]
    assert {"order_paid", "refund_before_shipment", "refund_after_shipment"} <= set(done.complete_kinds)


def test_a_wechat_bill_ends_at_its_totals_and_a_failed_refund_is_none(tmp_path: Path) -> None:
    tick = dict.fromkeys(exports.WECHAT_BILL, "`")
    paid = {
        **tick, "交易时间": "`2026-03-02 10:15:20", "微信订单号": "`42001", "商户订单号": "`2606000000000000001",
        "交易状态": "`SUCCESS", "货币种类": "`CNY", "订单金额": "`59.90", "微信退款单号": "`0",
    }  # fmt: skip
    refund = {
        **paid, "交易时间": "`2026-03-02 12:00:00", "交易状态": "`REFUND", "微信退款单号": "`50301",
        "申请退款金额": "`59.90",
        "订单金额": "`0.00",
    }  # fmt: skip
    rows_of_bill = [paid, {**refund, "退款状态": "`FAIL"}, {**refund, "微信退款单号": "`50302", "退款状态": "`SUCCESS"}]
    bill = write(tmp_path / "bill.csv", exports.WECHAT_BILL, rows_of_bill)
    with bill.open("a") as opened:
        opened.write("总交易单数,应结订单总金额\n`3,`59.90\n")
    order = {
        "订单号": "2606000000000000001",
        "订单创建时间": "2026-03-02 10:15:01",
        "订单状态": "待发货",
        "成交数量": "1",
    }
    orders = write(tmp_path / "orders.csv", exports.KUAISHOU, [order])
    done = imported(tmp_path, [orders, bill], ["kuaishou", "wechat-pay-bill"])
    assert done.holds and [one.left_out for one in done.files] == [0, 1]
    assert rows(tmp_path, "orders", "order_id, paid_minor") == [("2606000000000000001", 5990)]
    assert any("refunds of orders that no file lists, or that name no buyer" in str(one) for one in done.found)


def test_an_order_export_is_refused_as_a_proof_of_money(tmp_path: Path) -> None:
    file = write(tmp_path / "orders.csv", exports.SHOPIFY, [{"Name": "#1", "Currency": "EUR", "Total": "45.00"}])
    with pytest.raises(BadInput, match=r"orders\.paid is not taken from an order export.*payment bill"):
        imported(tmp_path, [file], ["shopify"], columns={"orders.paid": "Total"})
