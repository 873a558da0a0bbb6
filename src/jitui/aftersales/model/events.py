"""The kinds of events: those that are told to others, and those of a buyer's history that are recorded here."""

from __future__ import annotations

from enum import StrEnum


class BuyerEventKind(StrEnum):
    """The kinds of buyer events that this service records itself."""

    ORDER_PAID = "order_paid"
    ORDER_COMPLETED = "order_completed"
    REFUND_REQUESTED = "refund_requested"
    REFUND_BEFORE_SHIPMENT = "refund_before_shipment"


class OutgoingEventKind(StrEnum):
    """The kinds of events on the feed; warehouses act on `stop_ship`."""

    ORDER_PAID = "order.paid"
    SHIPMENT_RECORDED = "shipment.recorded"
    ORDER_COMPLETED = "order.completed"
    TICKET_REQUESTED = "ticket.requested"
    TICKET_APPROVED = "ticket.approved"
    TICKET_AMOUNT_RAISED = "ticket.amount_raised"
    STOP_SHIP = "stop_ship"
    TICKET_ASSIGNED = "ticket.assigned"
    TICKET_RELEASED = "ticket.released"
    TICKET_REVIEW_DUE = "ticket.review_due"
    TICKET_OFFERED = "ticket.offered"
    TICKET_OFFER_DECLINED = "ticket.offer_declined"
    TICKET_REJECTED = "ticket.rejected"
    ARBITRATION_OPENED = "arbitration.opened"
    ARBITRATION_EVIDENCE_ADDED = "arbitration.evidence_added"
    ARBITRATION_WITHDRAWN = "arbitration.withdrawn"
    ARBITRATION_DECIDED = "arbitration.decided"
    TICKET_WITHDRAWN = "ticket.withdrawn"
    TICKET_REFUNDED = "ticket.refunded"
    TICKET_REFUND_FAILED = "ticket.refund_failed"
    TICKET_REOPENED = "ticket.reopened"
    ADVANCE_PAID = "advance.paid"
    INCIDENT_OPENED = "incident.opened"
    INCIDENT_NOTED = "incident.noted"
    INCIDENT_DECIDED = "incident.decided"
    INCIDENT_CONTESTED = "incident.contested"
    INCIDENT_ANSWERED = "incident.answered"
    INCIDENT_RECOVERED = "incident.recovered"
    INCIDENT_SETTLED = "incident.settled"
    INCIDENT_REMINDER = "incident.reminder"
    DISPUTE_RECORDED = "dispute.recorded"
    CAP_SHARE_PASSED = "cap.share_passed"
    STOP_SHIP_REQUESTED = "stop_ship.requested"
    STOP_SHIP_ACKNOWLEDGED = "stop_ship.acknowledged"
    SHIPPING_AT_RISK = "shipping.at_risk"
