"""The descriptions of the fields of receipts and notices; see `descriptions.FIELDS`."""

from __future__ import annotations

NOTICE_FIELDS: dict[str, str] = {
    "format": "The form of the content; a later form has another number.",
    "time_zone": "The platform's time zone, in which the times of the receipt are.",
    "freight_minor": "Freight within the amount, in minor units.",
    "ReceiptContent.amount_minor": "What was asked for in all, freight included, in minor units.",
    "ReceiptContent.decision": "What was decided then, and why.",
    "ReceiptContent.lines": "The units that were asked for.",
    "ReceiptContent.requested_at": "Date and time of the request, with the offset of the platform's time zone.",
    "ReceiptDecision.answer_by": "By when the shop has to answer; null when nothing went to review.",
    "ReceiptDecision.notice": "The words in which an automatic approval is told, by language; null without one.",
    "ReceiptLine.amount_minor": "What was asked back for the units, in minor units.",
    "policy_version": "The version of the text that decided.",
    "reasons": "The conditions as the buyer may read them, and whether each held.",
    "ReceiptReason.text": "The condition in words, by language.",
    "on_timeout": "What becomes of the request when the shop does not answer; null when nothing went to review.",
    "StatementOfReasons.statement": "The statement in each language: why, and how to contest it.",
    "contest_by": "Until when the platform can be asked to decide; null where there is nothing to contest.",
    "off": "Kinds that are switched off.",
    "on": "Kinds that are sent, and could be switched off.",
    "required": "Kinds that have to be told, and cannot be switched off.",
    "language": "In which language notices are written; null: as the platform's address book says.",
    "ReceiptQuery.language": "The language of the page or the PDF.",
}
