"""Outcomes that a caller expects: refusals with a stable code, and what was found for an Idempotency-Key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RefusalCode(StrEnum):
    """Stable codes of refusals; the HTTP API shows them as problem types, the CLI and the console as they are."""

    NOT_FOUND = "not-found"
    ORDER_NOT_REPLACEABLE = "order-not-replaceable"
    ORDER_BELONGS_TO_ANOTHER = "order-belongs-to-another"
    ORDER_NOT_PAID = "order-not-paid"
    ORDER_HELD = "order-held"
    ORDER_ALREADY_SHIPPED = "order-already-shipped"
    REFUND_IN_PROGRESS = "refund-in-progress"
    UNITS_REFUNDED = "units-refunded"
    UNITS_NOT_AVAILABLE = "units-not-available"
    WAYBILL_OF_ANOTHER_BUYER = "waybill-of-another-buyer"
    NO_STOP_SHIP = "no-stop-ship"
    STOP_SHIP_ANSWERED = "stop-ship-answered"
    NOTHING_TO_REFUND = "nothing-to-refund"
    AMOUNT_EXCEEDS_REFUNDABLE = "amount-exceeds-refundable"
    TOO_MANY_REQUESTS = "too-many-requests"
    LINE_REQUEST_LIMIT = "line-request-limit"
    CURRENCY_MISMATCH = "currency-mismatch"
    UNKNOWN_LINE = "unknown-line"
    DUPLICATE_PAYMENT_DIFFERS = "duplicate-payment-differs"
    PAYMENT_BELONGS_TO_ANOTHER = "payment-belongs-to-another"
    PAYMENT_TOTAL_DIFFERS = "payment-total-differs"
    PAYMENT_TOTAL_EXCEEDED = "payment-total-exceeded"
    PROVIDER_NOT_CONFIGURED = "provider-not-configured"
    TICKET_STALE = "ticket-stale"
    TICKET_ALREADY_APPROVED = "ticket-already-approved"
    TICKET_ALREADY_CLOSED = "ticket-already-closed"
    WITHDRAWAL_NEEDS_GROUND = "withdrawal-needs-ground"
    TICKET_NOT_EXPIRED = "ticket-not-expired"
    TICKET_ASSIGNED = "ticket-assigned"
    EVIDENCE_MISSING = "evidence-missing"
    OFFER_NOT_OPEN = "offer-not-open"
    TICKET_NOT_REJECTED = "ticket-not-rejected"
    ARBITRATION_TOO_LATE = "arbitration-too-late"
    ARBITRATION_OPEN = "arbitration-open"
    ARBITRATION_DECIDED = "arbitration-decided"
    ARBITRATION_NOT_OPEN = "arbitration-not-open"
    TOO_MANY_REVIEW_TEMPLATES = "too-many-review-templates"
    REFUND_NOT_FAILED = "refund-not-failed"
    REFUND_STALE = "refund-stale"
    SETTLEMENT_DIFFERS = "settlement-differs"
    SETTLEMENT_PROPOSED = "settlement-proposed"
    SETTLEMENT_NOT_PROPOSED = "settlement-not-proposed"
    SECOND_PERSON_NEEDED = "second-person-needed"
    PROPOSAL_CHANGED = "proposal-changed"
    PROPOSAL_CLOSED = "proposal-closed"
    STEP_NOT_POSSIBLE = "step-not-possible"
    POLICY_BLOCKED = "policy-blocked"
    UNKNOWN_TENDER = "unknown-tender"
    DISPUTE_DIFFERS = "dispute-differs"
    DISPUTE_OPEN = "dispute-open"
    SHOP_CANNOT_OPT_OUT = "shop-cannot-opt-out"
    COMPLAINT_OPEN = "complaint-open"
    COMPLAINT_ANSWERED = "complaint-answered"
    WEBHOOK_ENDPOINT_EXISTS = "webhook-endpoint-exists"
    TOO_MANY_WEBHOOK_ENDPOINTS = "too-many-webhook-endpoints"
    ENCRYPTION_NOT_CONFIGURED = "encryption-not-configured"
    RESTRICTION_OVER = "restriction-over"
    APPEAL_OPEN = "appeal-open"
    APPEAL_DECIDED = "appeal-decided"
    INCIDENT_STALE = "incident-stale"
    INCIDENT_CONTESTED = "incident-contested"
    INCIDENT_NOT_CONTESTED = "incident-not-contested"
    INCIDENT_NOT_CONTESTABLE = "incident-not-contestable"
    INCIDENT_ANSWER_INCOMPLETE = "incident-answer-incomplete"
    INCIDENT_REFERENCE_MISSING = "incident-reference-missing"
    INCIDENT_FULL = "incident-full"
    AMOUNT_EXCEEDS_INCIDENT = "amount-exceeds-incident"
    LOSS_TERMS_DIFFER = "loss-terms-differ"
    NOTHING_TO_RECOVER = "nothing-to-recover"
    RECOVERY_EXCEEDS_RECEIVABLE = "recovery-exceeds-receivable"
    PERIOD_NOT_OVER = "period-not-over"
    PERIOD_CLOSED = "period-closed"
    LEDGER_BUSY = "ledger-busy"
    BUYER_ERASED = "buyer-erased"
    ERASURE_PENDING = "erasure-pending"
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    REQUEST_IN_FLIGHT = "request-in-flight"
    PLATFORM_UNAVAILABLE = "platform-unavailable"
    ASKED_AT_PLATFORM = "asked-at-platform"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal: nothing was written. `message` says what to do; `path` names the field, if there is one."""

    code: RefusalCode
    message: str
    path: str = ""
    retry_after_seconds: int | None = None


def buyer_erased() -> Refusal:
    """The refusal of what a platform still tells about an erased buyer's order under the buyer's id."""
    return Refusal(
        RefusalCode.BUYER_ERASED,
        "The buyer of this order was erased; nothing more is taken in about it under the buyer's id.",
        "buyer_id",
    )


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """An Idempotency-Key, which is unique within an API key, a route, and the buyer of the command.

    `body_hash` covers everything that determines the effect.
    """

    key_id: str
    route: str
    key: str
    body_hash: bytes


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The first response to an Idempotency-Key, repeated byte for byte."""

    status: int
    body: bytes
    answered_at: datetime
