"""The descriptions of the fields of sorted lists; see `descriptions.FIELDS`."""

from __future__ import annotations

LIST_FIELDS: dict[str, str] = {
    "order": "The direction: `asc` or `desc`. One is exactly the other read from its end.",
    "sort": "What the list is sorted by. Equal ones are in order of their ids.",
    "lag_ms": "How many milliseconds ago `as_of` was; 0 for a list that is exact.",
    "TicketPage.as_of": "Up to when the list is complete.",
    "RefundPage.as_of": "Up to when the list is complete.",
    "queued_from": "Only refunds that were queued at this time or later.",
    "queued_before": "Only refunds that were queued before this time.",
    "RefundQuery.approved_by": "Only refunds of tickets with this approval.",
    "RefundRow.approved_by": "Which automation or person approved the ticket.",
    "TicketQuery.approved_by": "Only tickets with this approval.",
    "RefundPage.refunds": "The refunds, in the order that was asked for.",
    "due_at": "The next reminder or deadline; null where nothing is waited for.",
    "TaskAnswer.shop_id": "The shop of the order that the task is about; null where it is about none.",
}
