"""A merchant's complaint about the coverage of its shop, or about an incident charged to it, with a deadline.

One about an incident is made and answered with the incident (`commands.incidents`), and listed with the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from jitui.aftersales.outcomes import Refusal, RefusalCode


class ComplaintState(StrEnum):
    """A complaint is open until it is answered."""

    OPEN = "open"
    ANSWERED = "answered"


class ContestOutcome(StrEnum):
    """Whether the platform agrees with who complains or appeals. What is upheld of a complaint is set by hand."""

    UPHELD = "upheld"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Complaint:
    """A complaint and its answer, in the words that the merchant and the platform gave."""

    complaint_id: UUID
    shop_id: str
    reason: str
    made_by: str
    made_at: datetime
    answer_by: datetime
    state: ComplaintState = ComplaintState.OPEN
    outcome: ContestOutcome | None = None
    answer: str | None = None
    answered_by: str | None = None
    answered_at: datetime | None = None
    incident_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ComplaintAnswer:
    """What the platform answers; the merchant reads the words."""

    outcome: ContestOutcome
    words: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ComplaintFilter:
    """A page, the earliest deadline first; `after` is the last row of the page before."""

    shop_id: str | None = None
    state: ComplaintState | None = None
    after: tuple[datetime, UUID] | None = None
    limit: int = 50


class Complaints(Protocol):
    """Keeps complaints; of a shop at most one is open."""

    async def make(self, complaint: Complaint) -> Complaint | Refusal:
        """The complaint as it stands. Saying the same again gives the one that is open."""
        ...

    async def answer(self, complaint_id: UUID, answer: ComplaintAnswer) -> Complaint | Refusal | None:
        """The answered complaint; None when there is none. Answering the same again changes nothing."""
        ...

    async def get(self, complaint_id: UUID) -> Complaint | None: ...

    async def list(self, wanted: ComplaintFilter) -> Sequence[Complaint]: ...


def complaint_open() -> Refusal:
    """The refusal of a second complaint while one waits."""
    return Refusal(
        RefusalCode.COMPLAINT_OPEN,
        "A complaint of this shop is open with other words: wait for its answer.",
        "reason",
    )


def about_incident() -> Refusal:
    """The refusal of an answer that would leave the incident's outcome out."""
    return Refusal(
        RefusalCode.INCIDENT_CONTESTED, "This complaint contests an incident: answer it there, with the outcome."
    )


def complaint_answered() -> Refusal:
    """The refusal of a second answer: the merchant has read the first."""
    return Refusal(RefusalCode.COMPLAINT_ANSWERED, "The complaint was answered otherwise already.")
