"""The words of notices and receipts beside their templates, in each language."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.notices.model import MailLanguage

Words = Mapping[MailLanguage, str]
_ZH, _EN = MailLanguage.ZH, MailLanguage.EN


def both(zh: str, en: str) -> Words:
    return {_ZH: zh, _EN: en}


LABELS: Mapping[str, Words] = {
    "receipt": both("退款申请回执", "Receipt of a refund request"),
    "ticket": both("售后单号", "Ticket"),
    "order": both("订单号", "Order"),
    "shop": both("店铺", "Shop"),
    "basis": both("申请依据", "Basis"),
    "reason": both("申请原因", "Reason given"),
    "requested_at": both("申请时间", "Date and time"),
    "amount": both("申请退款金额", "Amount asked for"),
    "freight": both("其中运费", "Freight within it"),
    "refunded": both("退款金额", "Amount"),
    "goods": both("申请退款的商品", "What was asked for"),
    "item": both("商品", "Item"),
    "quantity": both("数量", "Quantity"),
    "outcome": both("处理结果", "Decision"),
    "rule": both("依据的规则", "Decided by"),
    "why": both("处理理由", "Statement of reasons"),
    "answer_by": both("商家答复期限", "Answer due by"),
    "sha256": both("内容校验值（SHA-256）", "SHA-256 of the content"),
    "kept": both("请保存本回执。", "Please keep this receipt."),
}

BASES: Mapping[str, Words] = {
    "goodwill": both("平台保障（极速退款）", "The platform's guarantee"),
    "withdrawal": both("法定撤回权", "Right of withdrawal from the contract"),
}

REASONS: Mapping[str, Words] = {
    "no_longer_wanted": both("不想要了", "No longer wanted"),
    "wrong_selection": both("拍错、地址填错", "Wrong item or address chosen"),
    "not_shipped_in_time": both("未按时发货", "Not shipped in time"),
    "found_cheaper": both("其他地方更便宜", "Found cheaper elsewhere"),
    "out_of_stock": both("商家缺货", "Out of stock at the shop"),
    "other": both("其他", "Another reason"),
}

OUTCOMES: Mapping[str, Words] = {
    "instant": both("已自动同意退款", "Approved automatically; the refund is on its way"),
    "review": both("转由商家审核", "Goes to the shop for review"),
}

VERDICTS: Mapping[str, Words] = {
    "true": both("满足", "holds"),
    "false": both("不满足", "does not hold"),
    "unknown": both("无法确认", "not known"),
}

REVIEW_REASONS: Mapping[str, Words] = {
    "partly_shipped": both("订单部分商品已发出，由商家处理", "Some goods of the order have left, so the shop decides"),
}

SILENCE: Mapping[str, Words] = {
    "approve": both("逾期未处理，系统将自动同意退款。", "Without an answer by then the refund is approved."),
    "reject": both("逾期未处理，申请将被拒绝。", "Without an answer by then the request is rejected."),
}


AT_FAULT: Mapping[str, Words] = {
    "buyer": both("买家", "the buyer"),
    "merchant": both("商家", "the shop"),
    "platform": both("平台", "the platform"),
    "nobody": both("无责任方", "nobody"),
}

BORNE_BY: Mapping[str, Words] = {
    "merchant": both("商家", "the shop"),
    "platform": both("平台", "the platform"),
}

INCIDENT_OUTCOMES: Mapping[str, Words] = {
    "returned": both("商品已退回", "the goods came back"),
    "repaid": both("买家已重新付款", "the buyer paid again"),
    "borne_by_platform": both("由平台承担", "the platform bears the loss"),
    "borne_by_shop": both("由店铺承担", "the shop bears the loss"),
    "borne_by_both": both("由平台与店铺分担", "the platform and the shop share the loss"),
}


def said(words: Mapping[str, Words], key: str, language: MailLanguage) -> str:
    """The words of a key; the key itself where a later version knows more of them."""
    return words[key][language] if key in words else key
