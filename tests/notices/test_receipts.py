"""A receipt in words: as a page and as a PDF, from the stored content alone."""

from __future__ import annotations

import re

import pytest
from fpdf import __version__ as _library  # the extra is part of the tests' tools

from jitui.aftersales.model.receipt import ReceiptContent, ReceiptDecision, ReceiptLine, ReceiptReason, sealed
from jitui.errors import NotConfigured
from jitui.notices.model import MailLanguage
from jitui.notices.pages import receipt_html
from jitui.notices.receipt_pdf import receipt_pdf, system_font
from jitui.notices.receipt_view import view_receipt

assert _library

CONTENT = ReceiptContent(
    format=1,
    ticket_id="018f0000-0000-7000-8000-000000000001",
    order_id="o-1001",
    shop_id="s-1",
    basis="withdrawal",
    reason="no_longer_wanted",
    requested_at="2026-06-01T20:00:05+08:00",
    time_zone="Asia/Shanghai",
    currency="EUR",
    amount_minor=13700,
    freight_minor=800,
    lines=(ReceiptLine("l1", "sku-1", "<b>纯棉衬衫</b>", 1, 12900),),
    decision=ReceiptDecision(
        outcome="review",
        policy_id="statutory-withdrawal",
        policy_version="1",
        reasons=(ReceiptReason("unshipped", "unknown", {"zh": "订单未发货", "en": "The order is unshipped"}),),
        answer_by="2026-06-03T20:00:05+08:00",
        on_timeout="approve",
    ),
)


def test_the_page_has_the_content_the_date_and_time_and_the_reasons_in_both_languages() -> None:
    receipt = sealed(CONTENT)
    english = receipt_html(view_receipt(receipt, MailLanguage.EN)).decode()
    for told in (
        "o-1001",
        "Right of withdrawal from the contract",
        "2026-06-01 20:00:05 UTC+08:00 (Asia/Shanghai)",
        "€137.00 (EUR)",
        "€129.00",
        "The order is unshipped: not known",
        "Without an answer by then the refund is approved.",
        receipt.sha256,
    ):
        assert told in english, told
    assert "<b>纯" not in english and "&lt;b&gt;纯棉衬衫" in english
    chinese = receipt_html(view_receipt(receipt, MailLanguage.ZH)).decode()
    assert "法定撤回权" in chinese and "订单未发货: 无法确认" in chinese
    assert not re.search(r"(src|href)=", english), "it stands alone"


def test_the_same_receipt_gives_the_same_bytes() -> None:
    receipt, again = sealed(CONTENT), sealed(CONTENT)
    assert receipt == again and receipt.is_whole
    view = view_receipt(receipt, MailLanguage.ZH)
    assert receipt_html(view) == receipt_html(view_receipt(again, MailLanguage.ZH))
    try:
        system_font()
    except NotConfigured:
        pytest.skip("no font with Chinese characters is installed")
    document = receipt_pdf(view, CONTENT.requested_at)
    assert document == receipt_pdf(view, CONTENT.requested_at)
    assert document.startswith(b"%PDF-") and len(document) < 100_000, "only the characters that it uses"


def test_a_content_that_was_changed_is_not_whole() -> None:
    receipt = sealed(CONTENT)
    assert not type(receipt)(receipt.content.replace("o-1001", "o-1002"), receipt.sha256).is_whole
