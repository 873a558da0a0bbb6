"""Makes the receipt of a request from what the same transaction writes. Pure."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from jitui.aftersales.model.receipt import (
    Receipt,
    ReceiptContent,
    ReceiptDecision,
    ReceiptLine,
    ReceiptReason,
    sealed,
)
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Ticket, TicketLine
from jitui.policy import ConditionResult, Decision, Outcome, Verdict, explain

FORMAT = 1
_PUBLIC_REVIEW_REASONS = frozenset({"partly_shipped"})
_GUARD = ConditionResult("guard", Verdict.FALSE, public=False, detail_public=False, facts={}, text={"zh": "", "en": ""})
"""Stands for what stopped an approval beside the conditions: the buyer reads it as other factors (R16)."""


def receipt_of(
    snapshot: OrderSnapshot, ticket: Ticket, lines: tuple[TicketLine, ...], decision: Decision, time_zone: ZoneInfo
) -> Receipt:
    """The receipt of a new ticket, with the decision as the buyer may read it."""
    requested_at = ticket.requested_at.astimezone(time_zone)
    answer_by = None if ticket.expires_at is None else ticket.expires_at.astimezone(time_zone)
    instant = ticket.approved_by is not None
    return sealed(
        ReceiptContent(
            format=FORMAT,
            ticket_id=str(ticket.ticket_id),
            order_id=ticket.order_id,
            shop_id=ticket.shop_id,
            basis=ticket.basis.value,
            reason=ticket.reason.value,
            requested_at=requested_at.isoformat(timespec="seconds"),
            time_zone=time_zone.key,
            currency=ticket.currency,
            amount_minor=ticket.amount_minor,
            freight_minor=ticket.freight_minor,
            lines=tuple(_line(snapshot, line) for line in lines),
            decision=ReceiptDecision(
                outcome=(Outcome.INSTANT if instant else Outcome.REVIEW).value,
                policy_id=decision.policy_id,
                policy_version=decision.policy_version,
                reasons=_reasons(decision, ticket.review_reason),
                notice=ticket.notice,
                review_reason=ticket.review_reason if ticket.review_reason in _PUBLIC_REVIEW_REASONS else None,
                answer_by=None if answer_by is None else answer_by.isoformat(timespec="seconds"),
                on_timeout=None if instant else ticket.on_timeout,
            ),
        )
    )


def _line(snapshot: OrderSnapshot, line: TicketLine) -> ReceiptLine:
    goods = snapshot.line(line.line_id)
    return ReceiptLine(line.line_id, goods.sku, goods.title, line.quantity, line.amount_minor)


def _reasons(decision: Decision, review_reason: str | None) -> tuple[ReceiptReason, ...]:
    """The conditions that the buyer may read, in both languages."""
    known = review_reason is None or review_reason in _PUBLIC_REVIEW_REASONS
    shown = decision if known else replace(decision, conditions=(*decision.conditions, _GUARD))
    chinese, english = (explain(shown, "zh", "buyer").rows, explain(shown, "en", "buyer").rows)
    return tuple(
        ReceiptReason(zh.id, zh.verdict.value, {"zh": zh.sentence, "en": en.sentence})
        for zh, en in zip(chinese, english, strict=True)
    )
