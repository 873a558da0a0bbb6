"""Generated files in the forms that shop back ends export, with their irregularities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

Row = Mapping[str, str]

SHOPIFY = [
    "Name",
    "Email",
    "Financial Status",
    "Paid at",
    "Fulfillment Status",
    "Fulfilled at",
    "Accepts Marketing",
    "Currency",
    "Subtotal",
    "Shipping",
    "Taxes",
    "Total",
    "Discount Code",
    "Discount Amount",
    "Shipping Method",
    "Created at",
    "Lineitem quantity",
    "Lineitem name",
    "Lineitem price",
    "Lineitem compare at price",
    "Lineitem sku",
    "Lineitem requires shipping",
    "Lineitem taxable",
    "Lineitem fulfillment status",
    "Billing Zip",
    "Cancelled at",
    "Payment Method",
    "Payment Reference",
    "Refunded Amount",
    "Id",
]
WOOCOMMERCE_ANALYTICS = [
    "Date",
    "Order #",
    "N. Revenue (formatted)",
    "Status",
    "Customer",
    "Customer type",
    "Product(s)",
    "Items sold",
    "Coupon(s)",
    "Net Sales",
    "Attribution",
]
WOOCOMMERCE_WEBTOFFEE = [
    "order_id",
    "order_number",
    "order_date",
    "paid_date",
    "status",
    "order_total",
    "order_currency",
    "payment_method",
    "transaction_id",
    "customer_id",
    "customer_user",
    "line_item_1",
]
TAOBAO_ORDERS = [
    "订单编号",
    "买家会员名",
    "支付单号",
    "买家应付货款",
    "买家实际支付金额",
    "订单状态",
    "收货地址 ",
    "联系手机",
    "订单创建时间",
    "订单付款时间 ",
    "宝贝标题 ",
    "店铺名称",
    "退款金额",
    "确认收货时间",
    "打款商家金额",
    "发货时间",
    "主订单编号",
]
TAOBAO_LINES = [
    "子订单编号",
    "主订单编号",
    "商品标题",
    "购买数量",
    "商家编码",
    "订单状态",
    "退款状态",
    "退款金额",
    "订单创建时间",
]
KUAISHOU = [
    "订单号",
    "订单创建时间",
    "订单支付时间",
    "订单状态",
    "实付款",
    "成交数量",
    "售后状态",
    "商品名称",
    "商品ID",
    "SKU编码",
    "商品单价",
    "发货时间",
    "快递单号",
]
DOUYIN = [
    "主订单编号",
    "子订单编号",
    "支付方式",
    "选购商品",
    "商品ID",
    "商家编码",
    "商品数量",
    "商品金额",
    "订单提交时间",
    "支付完成时间",
    "订单完成时间",
    "订单状态",
    "取消原因",
    "售后状态",
    "发货时间",
    "订单应付金额",
]
DOUYIN_REFUNDS = [
    "售后单号",
    "订单号",
    "商品单号",
    "应付金额（元）",
    "商品发货状态",
    "售后类型",
    "售后状态",
    "售后申请时间",
    "售后关闭时间",
]
PINDUODUO = [
    "商品",
    "订单号",
    "订单状态",
    "用户实付金额(元)",
    "商家实收金额(元)",
    "商品数量(件)",
    "发货时间",
    "确认收货时间",
    "商品id",
    "商家编码-规格维度",
    "售后状态",
    "订单成交时间",
    " 用户购买手机号",
]
WECHAT_BILL = [
    "交易时间",
    "公众账号ID",
    "微信订单号",
    "商户订单号",
    "交易状态",
    "货币种类",
    "应结订单金额",
    "微信退款单号",
    "商户退款单号",
    "退款金额",
    "退款状态",
    "商品名称",
    "手续费",
    "订单金额",
    "申请退款金额",
]
ALIPAY_BILL = [
    "支付宝交易号",
    "商户订单号",
    "业务类型",
    "商品名称",
    "创建时间",
    "完成时间",
    "订单金额（元）",
    "商家实收（元）",
    "退款批次号/请求号",
    "服务费（元）",
]


def line(columns: Sequence[str], row: Row, delimiter: str = ",") -> str:
    """A row with the named cells filled; a cell that holds the delimiter is quoted."""
    unknown = set(row) - set(columns)
    assert not unknown, unknown
    cells = [row.get(name, "") for name in columns]
    return delimiter.join(f'"{cell}"' if delimiter in cell or "\n" in cell else cell for cell in cells)


def write(path: Path, columns: Sequence[str], rows: Sequence[Row], encoding: str = "utf-8", header: str = "") -> Path:
    """A CSV file, and the text before its header."""
    text = header + "\n".join(
        [line(columns, dict(zip(columns, columns, strict=True))), *(line(columns, row) for row in rows)]
    )
    path.write_bytes((text + "\n").encode(encoding))
    return path


def workbook(path: Path, columns: Sequence[str], sheets: Sequence[Sequence[Mapping[str, object]]]) -> Path:
    """An .xlsx file, each sheet with the header."""
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)  # type: ignore[arg-type]
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"订单{number}")
        sheet.append(list(columns))
        for row in rows:
            sheet.append([row.get(name) for name in columns])
    book.save(path)
    return path
