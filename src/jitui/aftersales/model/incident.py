"""An incident: a refund that somebody has to make good, and what became of the loss (R9).

Either goods left although their refund was approved at once, or the platform's account paid a refund because the shop's
balance at the provider was short. Every outcome divides the incident's amount into four shares: the goods came back,
the buyer paid again, the platform bears it, the shop bears it. What the shop bears is a receivable, until it is
recovered or written off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

REMIND_UNDECIDED = timedelta(days=7)
"""How often an incident without an outcome is told again."""
REMIND_UNDECIDED_FOR = timedelta(days=90)
"""How long that goes on."""
REMIND_BEFORE = timedelta(days=3)
"""How long before a deadline it is told."""
MOST_ENTRIES = 500
"""Evidence and contacts of one incident; what follows from deadlines and money is always recorded."""
LONGEST_TEXT = 2_000
LONGEST_REFERENCE = 500
MOST_REFERENCES = 10


class IncidentKind(StrEnum):
    """What has to be made good: goods that had left, or a refund that the platform's account paid for the shop."""

    GOODS_LEFT = "goods_left_after_refund"
    PLATFORM_ADVANCE = "platform_advance"


class IncidentState(StrEnum):
    """How far it is: without outcome, contested, the shop still owes, the shop may still contest, nothing is left."""

    OPEN = "open"
    CONTESTED = "contested"
    RECOVERING = "recovering"
    DECIDED = "decided"
    SETTLED = "settled"


class IncidentOutcome(StrEnum):
    """What became of the loss."""

    RETURNED = "returned"
    REPAID = "repaid"
    BORNE_BY_PLATFORM = "borne_by_platform"
    BORNE_BY_SHOP = "borne_by_shop"
    BORNE_BY_BOTH = "borne_by_both"


OUTCOMES: Mapping[IncidentKind, tuple[IncidentOutcome, ...]] = {
    IncidentKind.GOODS_LEFT: tuple(IncidentOutcome),
    IncidentKind.PLATFORM_ADVANCE: (IncidentOutcome.BORNE_BY_SHOP, IncidentOutcome.BORNE_BY_PLATFORM),
}
"""What people may decide; that an advance came back, the provider alone says."""


class ContactChannel(StrEnum):
    """Through what the buyer was spoken to."""

    PLATFORM_CHAT = "platform_chat"
    PHONE = "phone"
    SMS = "sms"
    EMAIL = "email"
    OTHER = "other"


class EntryKind(StrEnum):
    """What an entry of an incident's log tells."""

    EVIDENCE = "evidence"
    CONTACT = "contact"
    OUTCOME = "outcome"
    RECOVERY = "recovery"
    WRITTEN_OFF = "written_off"
    CONTEST = "contest"
    ANSWER = "answer"
    REMINDER = "reminder"
    CLOSED = "closed"


class IncidentDeadline(StrEnum):
    """What a worker does at an incident's next moment."""

    CHARGE = "charge_due"
    REMIND_OUTCOME = "outcome_due"
    REMIND_CONTEST = "contest_ends"
    REMIND_ANSWER = "answer_due"
    REMIND_RECOVERY = "recovery_ends"
    CLOSE_CONTEST = "contest_ended"
    WRITE_OFF = "recovery_ended"


@dataclass(frozen=True, slots=True)
class Contest:
    """A merchant's complaint about what its shop is charged; it is kept with the other complaints of the shop.

    `decided_by` decided what is contested, and does not answer.
    """

    complaint_id: UUID
    shop_id: str
    reason: str
    made_by: str
    made_at: datetime
    answer_by: datetime
    decided_by: str
    state: str = "open"
    outcome: str | None = None
    answer: str | None = None
    answered_by: str | None = None
    answered_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it waits for its answer."""
        return self.state == "open"


@dataclass(frozen=True, slots=True)
class IncidentEntry:
    """One entry of an incident's log, which is only appended to; `by` is empty for what a deadline did."""

    seq: int
    kind: EntryKind
    at: datetime
    by: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Incident:
    """The row of an incident, and its latest contest.

    `outcome_no` counts outcomes, of which the last one holds; the four shares sum to the amount that was decided on.
    `contest_until` is None where nothing can be contested, or a contest was answered. `due_at`: when a worker looks.
    """

    incident_id: UUID
    order_id: str
    ticket_id: UUID
    shop_id: str
    kind: IncidentKind
    state: IncidentState
    amount_minor: int
    currency: str
    evidence: Sequence[Mapping[str, object]]
    opened_at: datetime
    version: int = 1
    outcome: IncidentOutcome | None = None
    outcome_no: int = 0
    returned_minor: int = 0
    repaid_minor: int = 0
    platform_minor: int = 0
    shop_minor: int = 0
    recovered_minor: int = 0
    written_off_minor: int = 0
    attempts: int = 0
    reference: str = ""
    reason: str = ""
    decided_by: str | None = None
    decided_at: datetime | None = None
    contest_until: datetime | None = None
    recover_until: datetime | None = None
    reminded_at: datetime | None = None
    due_at: datetime | None = None
    entries: int = 0
    contest: Contest | None = None
    refund_id: UUID | None = None  # of a platform advance: the refund that was paid

    @property
    def decided_minor(self) -> int:
        """What the outcome is about; less than the amount when more goods were found to have left afterwards."""
        return self.returned_minor + self.repaid_minor + self.platform_minor + self.shop_minor

    @property
    def receivable_minor(self) -> int:
        """What the shop still owes; never negative."""
        return max(0, self.shop_minor - self.recovered_minor - self.written_off_minor)

    @property
    def owed_back_minor(self) -> int:
        """What the shop has paid beyond what it bears, after a correction in its favour."""
        return max(0, self.recovered_minor - self.shop_minor)

    @property
    def is_contested(self) -> bool:
        """Whether a contest waits for its answer."""
        return self.contest is not None and self.contest.is_open


def standing(incident: Incident) -> Incident:
    """The incident with the state and the next moment that follow from the rest of it."""
    placed = replace(incident, state=_state(incident))
    following = next_deadline(placed)
    return replace(placed, due_at=following[0] if following is not None else None)


def _state(incident: Incident) -> IncidentState:
    if incident.is_contested:
        return IncidentState.CONTESTED
    if incident.outcome is None or incident.decided_minor < incident.amount_minor:
        return IncidentState.OPEN
    if incident.receivable_minor:
        return IncidentState.RECOVERING
    return IncidentState.DECIDED if incident.contest_until is not None else IncidentState.SETTLED


def next_deadline(incident: Incident) -> tuple[datetime, IncidentDeadline] | None:
    """The incident's next moment, and what a worker does then; None when there is nothing to wait for."""
    due = sorted(_deadlines(incident), key=lambda one: one[0])
    return due[0] if due else None


def _deadlines(incident: Incident) -> list[tuple[datetime, IncidentDeadline]]:
    kinds = IncidentDeadline
    if incident.is_contested:
        assert incident.contest is not None
        return _reminder(incident, incident.contest.answer_by, kinds.REMIND_ANSWER)
    found = []
    if incident.state is IncidentState.OPEN and incident.kind is IncidentKind.PLATFORM_ADVANCE:
        found.append((incident.opened_at, kinds.CHARGE))
    elif incident.state is IncidentState.OPEN:
        at = max(incident.opened_at, incident.reminded_at or incident.opened_at) + REMIND_UNDECIDED
        if at <= incident.opened_at + REMIND_UNDECIDED_FOR:
            found.append((at, kinds.REMIND_OUTCOME))
    if incident.receivable_minor and incident.recover_until is not None:
        found += _reminder(incident, incident.recover_until, kinds.REMIND_RECOVERY)
        found.append((incident.recover_until, kinds.WRITE_OFF))
    if incident.contest_until is not None:
        found += _reminder(incident, incident.contest_until, kinds.REMIND_CONTEST)
        found.append((incident.contest_until, kinds.CLOSE_CONTEST))
    return found


def _reminder(
    incident: Incident, deadline: datetime, kind: IncidentDeadline
) -> list[tuple[datetime, IncidentDeadline]]:
    """The reminder of a deadline, while it was not given."""
    at = deadline - REMIND_BEFORE
    given = incident.reminded_at is not None and incident.reminded_at >= at
    return [] if given else [(at, kind)]


def is_reference(text: str) -> bool:
    """Whether a text can be a reference: a number, or an address on the web, without a program in it."""
    scheme, sign, _ = text.partition("://")
    has_program = text.split(":")[0].lower() in ("javascript", "data")
    return not has_program and (not sign or scheme.lower() in ("http", "https"))
