"""The words of notices and receipts beside their templates, in each language."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.notices.model import MailLanguage

Words = Mapping[MailLanguage, str]
_ZH, _EN = MailLanguage.ZH, MailLanguage.EN


def _w(zh: str, en: str) -> Words:
    return {_ZH: zh, _EN: en}


LABELS: Mapping[str, Words] = {
    "receipt": _w("退款申请回执", "Receipt of a refund request"),
    "ticket": _w("售后单号", "Ticket"),
    "order": _w("订单号", "Order"),
    "shop": _w("店铺", "Shop"),
    "basis": _w("申请依据", "Basis"),
    "reason": _w("申请原因", "Reason given"),
    "requested_at": _w("申请时间", "Date and time"),
    "amount": _w("申请退款金额", "Amount asked for"),
    "freight": _w("其中运费", "Freight within it"),
    "refunded": _w("退款金额", "Amount"),
    "goods": _w("申请退款的商品", "What was asked for"),
    "item": _w("商品", "Item"),
    "quantity": _w("数量", "Quantity"),
    "outcome": _w("处理结果", "Decision"),
    "rule": _w("依据的规则", "Decided by"),
    "why": _w("处理理由", "Statement of reasons"),
    "answer_by": _w("商家答复期限", "Answer due by"),
    "sha256": _w("内容校验值（SHA-256）", "SHA-256 of the content"),
    "deadline": _w("处理期限", "Deadline"),
    "waybill": _w("运单号", "Tracking number"),
    "kept": _w("请保存本回执。", "Please keep this receipt."),
    "page": _w("查看售后单", "Open the ticket"),
}

BASES: Mapping[str, Words] = {
    "goodwill": _w("平台保障（极速退款）", "The platform's guarantee"),
    "withdrawal": _w("法定撤回权", "Right of withdrawal from the contract"),
}

REASONS: Mapping[str, Words] = {
    "no_longer_wanted": _w("不想要了", "No longer wanted"),
    "wrong_selection": _w("拍错、地址填错", "Wrong item or address chosen"),
    "not_shipped_in_time": _w("未按时发货", "Not shipped in time"),
    "found_cheaper": _w("其他地方更便宜", "Found cheaper elsewhere"),
    "out_of_stock": _w("商家缺货", "Out of stock at the shop"),
    "other": _w("其他", "Another reason"),
}

OUTCOMES: Mapping[str, Words] = {
    "instant": _w("已自动同意退款", "Approved automatically; the refund is on its way"),
    "review": _w("转由商家审核", "Goes to the shop for review"),
}

VERDICTS: Mapping[str, Words] = {
    "true": _w("满足", "holds"),
    "false": _w("不满足", "does not hold"),
    "unknown": _w("无法确认", "not known"),
}

REVIEW_REASONS: Mapping[str, Words] = {
    "partly_shipped": _w("订单部分商品已发出，由商家处理", "Some goods of the order have left, so the shop decides"),
}

SILENCE: Mapping[str, Words] = {
    "approve": _w("逾期未处理，系统将自动同意退款。", "Without an answer by then the refund is approved."),
    "reject": _w("逾期未处理，申请将被拒绝。", "Without an answer by then the request is rejected."),
}


def said(words: Mapping[str, Words], key: str, language: MailLanguage) -> str:
    """The words of a key; the key itself where a later version knows more of them."""
    return words[key][language] if key in words else key
