"""A receipt in words: the same rows for the page, the mail and the PDF, made of the stored content alone."""

from __future__ import annotations

from dataclasses import dataclass

from babel import Locale

from jitui.aftersales.model.receipt import Receipt, ReceiptContent
from jitui.money import localised_amount
from jitui.notices import words
from jitui.notices.model import MailLanguage
from jitui.notices.words import said
from jitui.text import visible

LOCALES = {MailLanguage.ZH: Locale.parse("zh_CN"), MailLanguage.EN: Locale.parse("en")}
CODES = {MailLanguage.ZH: "zh-CN", MailLanguage.EN: "en"}


@dataclass(frozen=True, slots=True)
class ReceiptLineView:
    """A line's goods, units and money."""

    item: str
    quantity: str
    amount: str


@dataclass(frozen=True, slots=True)
class ReceiptView:
    """A receipt as it is read."""

    language: MailLanguage
    title: str
    rows: tuple[tuple[str, str], ...]
    lines: tuple[ReceiptLineView, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    sha256: str

    def label(self, name: str) -> str:
        """A word of the page."""
        return words.LABELS[name][self.language]


def view_receipt(receipt: Receipt, language: MailLanguage) -> ReceiptView:
    """The receipt in a language; nothing but the stored content decides what it says."""
    content = receipt.read
    return ReceiptView(
        language=language,
        title=words.LABELS["receipt"][language],
        rows=_rows(content, language),
        lines=tuple(
            ReceiptLineView(
                visible(" · ".join(part for part in (line.title, line.sku or line.line_id) if part)),
                str(line.quantity),
                localised_amount(line.amount_minor, content.currency, LOCALES[language]),
            )
            for line in content.lines
        ),
        reasons=_reasons(content, language),
        notes=_notes(content, language),
        sha256=receipt.sha256,
    )


def _rows(content: ReceiptContent, language: MailLanguage) -> tuple[tuple[str, str], ...]:
    def money(amount_minor: int) -> str:
        return f"{localised_amount(amount_minor, content.currency, LOCALES[language])} ({content.currency})"

    decided = content.decision
    rows = [
        ("ticket", content.ticket_id),
        ("order", visible(content.order_id)),
        ("shop", visible(content.shop_id)),
        ("basis", said(words.BASES, content.basis, language)),
        ("reason", said(words.REASONS, content.reason, language)),
        ("requested_at", f"{_moment(content.requested_at)} ({content.time_zone})"),
        ("amount", money(content.amount_minor)),
        *([("freight", money(content.freight_minor))] if content.freight_minor else []),
        ("outcome", said(words.OUTCOMES, decided.outcome, language)),
        ("rule", f"{decided.policy_id}, {decided.policy_version}"),
        *([("answer_by", f"{_moment(decided.answer_by)} ({content.time_zone})")] if decided.answer_by else []),
    ]
    return tuple((words.LABELS[name][language], value) for name, value in rows)


def _moment(stored: str) -> str:
    """`2026-11-28T12:00:00+08:00` as people read it, its offset included."""
    day, _, time = stored.partition("T")
    return f"{day} {time[:8]} UTC{time[8:]}"


def _reasons(content: ReceiptContent, language: MailLanguage) -> tuple[str, ...]:
    decided = content.decision
    reasons = [
        f"{visible(one.text[language.value])}: {said(words.VERDICTS, one.verdict, language)}"
        for one in decided.reasons
        if one.text.get(language.value)
    ]
    if decided.review_reason is not None:
        reasons.append(said(words.REVIEW_REASONS, decided.review_reason, language))
    return tuple(reasons)


def _notes(content: ReceiptContent, language: MailLanguage) -> tuple[str, ...]:
    decided = content.decision
    notes = [visible(decided.notice[language.value])] if decided.notice is not None else []
    if decided.on_timeout is not None:
        notes.append(said(words.SILENCE, decided.on_timeout, language))
    return (*notes, words.LABELS["kept"][language])
