"""The descriptions of the fields of shipping risks, tracking numbers and refund links; see `descriptions.FIELDS`."""

from __future__ import annotations

SHIPPING_FIELDS: dict[str, str] = {
    "age_seconds": "How long ago that was; less than 0 for a `ship_by` that is still to come.",
    "ShippingRiskAnswer.amount": "What the buyer paid for the goods concerned, or what the ticket refunds.",
    "BulkShipmentResult.code": "The code of the refusal, as in a problem's type; empty unless it was refused.",
    "BulkShipmentResult.detail": "What is wrong with this row; empty unless it was refused.",
    "BulkShipmentsAnswer.done": "Rows that were recorded.",
    "StopShipSent.outcome": "What became of the goods at the warehouse.",
    "BulkShipmentResult.outcome": "Recorded, known already, or refused.",
    "BulkShipmentResult.path": "The field of the row that it is about.",
    "StopShipSent.person": "Who says it at the warehouse.",
    "BulkShipmentsAnswer.refused": "Rows that were refused; the others were recorded all the same.",
    "BulkShipmentsAnswer.results": "What became of each row, in the order in which they were sent.",
    "risk": "What threatens.",
    "risks": "The risks, oldest first.",
    "BulkShipmentsSent.rows": "The tracking numbers.",
    "ShippingRiskAnswer.since": "When it began to count: the label, the scan, the request, the approval, or `ship_by`.",
    "unchanged": "Rows that were known already.",
    "RefundLinkAnswer.expires_at": "From when on the link opens nothing any more.",
    "RefundLinkAnswer.url": "The address to give to the buyer, and to nobody else.",
    "valid_hours": "For how many hours the link opens the order.",
    "what_to_do": "What to do, in a sentence.",
}
