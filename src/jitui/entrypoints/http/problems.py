"""The errors of the API as RFC 9457 problem details; each kind has a stable type and one status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from jitui.aftersales.commands import execute as command
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.entrypoints.http.fields import EARLIEST, LATEST

MEDIA_TYPE = "application/problem+json"
MOST_FAULTS = 100
"""The most faults of one request that are reported."""


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of error; `slug` ends its type, and `title` is the same for every problem of the kind."""

    slug: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """The stable identifier, which is also the address of its description."""
        return f"/problems/{self.slug}"


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with what was sent: `path` names the field, `detail` says what is expected."""

    path: str
    detail: str


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details; `path` names the field, `errors` lists all faults when there are several."""

    type: str
    title: str
    status: int
    detail: str
    path: str = ""
    errors: tuple[Fault, ...] = ()
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as the response of an operation."""

    kind: ProblemKind
    detail: str
    path: str = ""
    errors: tuple[Fault, ...] = ()
    retry_after_seconds: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    request_id: str = ""


REFUSALS: dict[RefusalCode, ProblemKind] = {
    code: ProblemKind(code.value, status, title)
    for code, status, title in (
        (RefusalCode.NOT_FOUND, 404, "Not found"),
        (RefusalCode.ORDER_NOT_REPLACEABLE, 409, "The order cannot be replaced any more"),
        (RefusalCode.ORDER_BELONGS_TO_ANOTHER, 409, "The order belongs to another buyer"),
        (RefusalCode.ORDER_NOT_PAID, 409, "The order is not paid"),
        (RefusalCode.ORDER_HELD, 409, "The order is held"),
        (RefusalCode.ORDER_ALREADY_SHIPPED, 409, "The goods have left"),
        (RefusalCode.REFUND_IN_PROGRESS, 409, "A refund ticket is open on these goods"),
        (RefusalCode.UNITS_REFUNDED, 409, "These units were refunded"),
        (RefusalCode.UNITS_NOT_AVAILABLE, 409, "Fewer units are left than were named"),
        (RefusalCode.WAYBILL_OF_ANOTHER_BUYER, 409, "The tracking number is on another buyer's order"),
        (RefusalCode.NO_STOP_SHIP, 409, "No goods of this ticket are to be stopped"),
        (RefusalCode.STOP_SHIP_ANSWERED, 409, "The goods were said to be gone"),
        (RefusalCode.NOTHING_TO_REFUND, 409, "Nothing is left to refund"),
        (RefusalCode.AMOUNT_EXCEEDS_REFUNDABLE, 409, "The amount is more than can be refunded"),
        (RefusalCode.TOO_MANY_REQUESTS, 429, "Too many refund requests on this order"),
        (RefusalCode.LINE_REQUEST_LIMIT, 409, "The line was asked for too often"),
        (RefusalCode.CURRENCY_MISMATCH, 422, "Another currency than the order's"),
        (RefusalCode.UNKNOWN_LINE, 422, "The order has no such line"),
        (RefusalCode.DUPLICATE_PAYMENT_DIFFERS, 409, "The payment is known with another amount"),
        (RefusalCode.PAYMENT_BELONGS_TO_ANOTHER, 409, "The payment belongs to another buyer"),
        (RefusalCode.PAYMENT_TOTAL_DIFFERS, 409, "The orders that share the payment say different totals"),
        (RefusalCode.PAYMENT_TOTAL_EXCEEDED, 409, "The parts are more than the payment"),
        (RefusalCode.PROVIDER_NOT_CONFIGURED, 422, "This installation cannot refund through that provider"),
        (RefusalCode.TICKET_STALE, 412, "The ticket has changed"),
        (RefusalCode.TICKET_ALREADY_APPROVED, 409, "The ticket was approved already"),
        (RefusalCode.TICKET_ALREADY_CLOSED, 409, "The ticket is closed"),
        (RefusalCode.WITHDRAWAL_NEEDS_GROUND, 409, "A withdrawal is not the shop's to refuse"),
        (RefusalCode.TICKET_NOT_EXPIRED, 409, "The ticket's deadline has not passed"),
        (RefusalCode.TICKET_ASSIGNED, 409, "Somebody else works on the ticket"),
        (RefusalCode.EVIDENCE_MISSING, 422, "The reason needs evidence"),
        (RefusalCode.OFFER_NOT_OPEN, 409, "The shop offers nothing on this ticket"),
        (RefusalCode.TICKET_NOT_REJECTED, 409, "The ticket was not rejected"),
        (RefusalCode.ARBITRATION_TOO_LATE, 409, "The time to ask for arbitration is over"),
        (RefusalCode.ARBITRATION_OPEN, 409, "An arbitration is open already"),
        (RefusalCode.ARBITRATION_DECIDED, 409, "The arbitration was decided already"),
        (RefusalCode.ARBITRATION_NOT_OPEN, 409, "No arbitration is open on this ticket"),
        (RefusalCode.TOO_MANY_REVIEW_TEMPLATES, 409, "There are too many templates"),
        (RefusalCode.REFUND_NOT_FAILED, 409, "Only a failed refund is retried or settled"),
        (RefusalCode.REFUND_STALE, 412, "The refund has changed"),
        (RefusalCode.SETTLEMENT_DIFFERS, 422, "The payment by hand is not the refund's amount"),
        (RefusalCode.SETTLEMENT_PROPOSED, 409, "A payment by hand waits for a second person"),
        (RefusalCode.SETTLEMENT_NOT_PROPOSED, 409, "No payment by hand waits for a second person"),
        (RefusalCode.SECOND_PERSON_NEEDED, 403, "Another person must confirm"),
        (RefusalCode.PROPOSAL_CHANGED, 412, "The proposal has changed"),
        (RefusalCode.PROPOSAL_CLOSED, 409, "The proposal was decided already"),
        (RefusalCode.STEP_NOT_POSSIBLE, 409, "This step cannot be taken now"),
        (RefusalCode.POLICY_BLOCKED, 422, "Something stands against this policy"),
        (RefusalCode.UNKNOWN_TENDER, 422, "The order has no such payment"),
        (RefusalCode.DISPUTE_DIFFERS, 409, "The dispute is known otherwise"),
        (RefusalCode.DISPUTE_OPEN, 409, "The buyer's bank is asked for the same money"),
        (RefusalCode.SHOP_CANNOT_OPT_OUT, 403, "A shop cannot switch the guarantee"),
        (RefusalCode.COMPLAINT_OPEN, 409, "A complaint of this shop is open"),
        (RefusalCode.COMPLAINT_ANSWERED, 409, "The complaint was answered"),
        (RefusalCode.WEBHOOK_ENDPOINT_EXISTS, 409, "There is a webhook endpoint for this address"),
        (RefusalCode.TOO_MANY_WEBHOOK_ENDPOINTS, 409, "There are too many webhook endpoints"),
        (RefusalCode.ENCRYPTION_NOT_CONFIGURED, 409, "Secrets cannot be stored here"),
        (RefusalCode.RESTRICTION_OVER, 409, "The restriction is over"),
        (RefusalCode.APPEAL_OPEN, 409, "An appeal is open already"),
        (RefusalCode.APPEAL_DECIDED, 409, "The appeal was decided already"),
        (RefusalCode.INCIDENT_STALE, 412, "The incident has changed"),
        (RefusalCode.INCIDENT_CONTESTED, 409, "The incident is contested"),
        (RefusalCode.INCIDENT_NOT_CONTESTED, 409, "No contest waits for an answer"),
        (RefusalCode.INCIDENT_NOT_CONTESTABLE, 409, "The incident cannot be contested"),
        (RefusalCode.INCIDENT_ANSWER_INCOMPLETE, 422, "The answer to the contest is not whole"),
        (RefusalCode.INCIDENT_REFERENCE_MISSING, 422, "The payment of the buyer is not named"),
        (RefusalCode.INCIDENT_FULL, 409, "The incident's log is full"),
        (RefusalCode.AMOUNT_EXCEEDS_INCIDENT, 422, "The amount does not fit the incident"),
        (RefusalCode.LOSS_TERMS_DIFFER, 422, "The policy charges the shop less"),
        (RefusalCode.NOTHING_TO_RECOVER, 409, "The shop owes nothing"),
        (RefusalCode.RECOVERY_EXCEEDS_RECEIVABLE, 422, "The shop owes less"),
        (RefusalCode.PERIOD_NOT_OVER, 409, "The period is not over"),
        (RefusalCode.PERIOD_CLOSED, 409, "The period is closed"),
        (RefusalCode.LEDGER_BUSY, 409, "The ledger is in use"),
        (RefusalCode.BUYER_ERASED, 409, "The order's buyer was erased"),
        (RefusalCode.ERASURE_PENDING, 409, "The buyer cannot be erased yet"),
        (RefusalCode.IDEMPOTENCY_KEY_REUSED, 422, "The Idempotency-Key was used for another request"),
        (RefusalCode.REQUEST_IN_FLIGHT, 409, "A request with this Idempotency-Key is in flight"),
        (RefusalCode.PLATFORM_UNAVAILABLE, 503, "The shop's system cannot be read"),
        (RefusalCode.ASKED_AT_PLATFORM, 409, "The refund is asked for where the order was paid"),
    )
}

INVALID_JSON = ProblemKind("invalid-json", 400, "The body is not JSON")
INVALID_REQUEST = ProblemKind("invalid-request", 400, "The request does not fit")
UNAUTHENTICATED = ProblemKind("unauthenticated", 401, "An API key is needed")
SIGNATURE_REFUSED = ProblemKind("signature-refused", 401, "The notification was refused")
SCOPE_NOT_ALLOWED = ProblemKind("scope-not-allowed", 403, "This key may not do that")
PERMISSION_MISSING = ProblemKind("permission-missing", 403, "This key lacks a permission")
NOT_FOUND = REFUSALS[RefusalCode.NOT_FOUND]
METHOD_NOT_ALLOWED = ProblemKind("method-not-allowed", 405, "The address does not take this method")
REQUEST_TIMEOUT = ProblemKind("request-timeout", 408, "The request came too slowly")
PDF_NOT_AVAILABLE = ProblemKind("pdf-not-available", 406, "There is no PDF here")
BODY_TOO_LARGE = ProblemKind("body-too-large", 413, "The body is too large")
UNSUPPORTED_MEDIA_TYPE = ProblemKind("unsupported-media-type", 415, "The body has another media type")
VERSION_REQUIRED = ProblemKind("version-required", 428, "The ticket's version is needed")
RATE_LIMITED = ProblemKind("rate-limited", 429, "Too many requests with this key")
HEADER_TOO_LARGE = ProblemKind("header-too-large", 431, "The header is too large")
INTERNAL_ERROR = ProblemKind("internal-error", 500, "Something broke here")
UNAVAILABLE = ProblemKind("unavailable", 503, "The service cannot answer now")

OF_THE_EDGE = (
    INVALID_JSON,
    INVALID_REQUEST,
    UNAUTHENTICATED,
    SIGNATURE_REFUSED,
    SCOPE_NOT_ALLOWED,
    PERMISSION_MISSING,
    METHOD_NOT_ALLOWED,
    REQUEST_TIMEOUT,
    BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    VERSION_REQUIRED,
    RATE_LIMITED,
    HEADER_TOO_LARGE,
    INTERNAL_ERROR,
    UNAVAILABLE,
)
KINDS: dict[str, ProblemKind] = {kind.slug: kind for kind in (*REFUSALS.values(), *OF_THE_EDGE)}

_encode = msgspec.json.Encoder().encode


class ProblemRaised(Exception):
    """Raised for a request that cannot be read or admitted, with the problem to answer; caught by the application."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def refuse(path: str, detail: str) -> ProblemRaised:
    """An exception with a single fault, to be raised."""
    return ProblemRaised(Problem(INVALID_REQUEST, detail, path))


class FaultCollector:
    """Collects faults that a schema cannot express, so that all are reported together."""

    def __init__(self) -> None:
        self._found: list[Fault] = []

    def add(self, path: str, detail: str) -> None:
        """Add a fault."""
        if len(self._found) < MOST_FAULTS:
            self._found.append(Fault(path, detail))

    def time(self, path: str, value: datetime | None) -> None:
        """Check that a time is within the range that every part can store."""
        if value is not None and not EARLIEST <= value < LATEST:
            self.add(path, f"Expected a time from {EARLIEST.year} to {LATEST.year - 1}")

    def unique(self, path: str, name: str, values: Iterable[str]) -> None:
        """Check that no value occurs twice."""
        seen: set[str] = set()
        for index, value in enumerate(values):
            if value in seen:
                self.add(f"{path}[{index}].{name}", f"{value!r} is named twice")
            seen.add(value)

    def settle(self) -> None:
        """Raise a problem when there are faults."""
        if self._found:
            raise ProblemRaised(of_faults(self._found))


def of_refusal(refusal: Refusal) -> Problem:
    """The problem for a refusal of the core."""
    return Problem(
        REFUSALS[refusal.code], refusal.message, refusal.path, retry_after_seconds=refusal.retry_after_seconds
    )


def of_faults(faults: Sequence[Fault]) -> Problem:
    """The problem for faults: its detail is the first one, and `errors` lists all when there are several."""
    first = faults[0]
    return Problem(INVALID_REQUEST, first.detail, first.path, tuple(faults) if len(faults) > 1 else ())


def not_found() -> Problem:
    """The problem for what does not exist and what belongs to somebody else alike, byte for byte (I8)."""
    return of_refusal(command.not_found())


def body_of(problem: Problem) -> bytes:
    """The body of a problem, as JSON."""
    kind = problem.kind
    return _encode(
        ProblemBody(
            type=kind.type,
            title=kind.title,
            status=kind.status,
            detail=problem.detail,
            path=problem.path,
            errors=problem.errors,
            request_id=problem.request_id,
        )
    )
