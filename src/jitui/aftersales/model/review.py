"""The review of a ticket: why it is rejected, who works on it, what the shop offers, and an arbitration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from jitui.aftersales.model.order import LineUnits

REMIND_BEFORE = (timedelta(hours=24), timedelta(hours=2))
"""How long before its deadline a ticket in review is announced again."""

ARBITRATION_WINDOW = timedelta(days=7)
"""How long after a rejection the buyer can ask for arbitration."""

MOST_EVIDENCE = 10
"""The most pieces of evidence of a rejection, and of each party to an arbitration."""


class RejectionCode(StrEnum):
    """Why a shop rejects a request; the buyer reads it beside the shop's own words."""

    ALREADY_SHIPPED = "already_shipped"
    MADE_TO_ORDER = "made_to_order"
    AGREED_WITH_BUYER = "agreed_with_buyer"
    SUSPECTED_ABUSE = "suspected_abuse"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """A piece of evidence: what it shows, and where it can be seen; empty once the buyer is erased.

    `by`: the party of an arbitration that gave it.
    """

    text: str = ""
    url: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who works on a ticket, and until when. Meanwhile nobody else decides it, unless they take it over."""

    person: str
    kind: str
    until: datetime

    def is_by_another(self, person: str, now: datetime) -> bool:
        """Whether somebody else than `person` works on the ticket now."""
        return self.person != person and now < self.until


@dataclass(frozen=True, slots=True)
class Offer:
    """The units that the shop would refund; with the buyer's consent these are approved, and the rest is shipped."""

    lines: tuple[LineUnits, ...]
    reason: str
    offered_by: str
    offered_at: datetime


class ArbitrationState(StrEnum):
    """Open until it is decided or withdrawn. Approved: the ticket is refunded; denied: it is closed."""

    OPEN = "open"
    APPROVED = "approved"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"


class AtFault(StrEnum):
    """Who was at fault, as an arbitration finds."""

    BUYER = "buyer"
    MERCHANT = "merchant"
    PLATFORM = "platform"
    NOBODY = "nobody"


class RefundBorneBy(StrEnum):
    """Who bears a refund that an arbitration approves. The platform pays the shop what it lost by it."""

    MERCHANT = "merchant"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Arbitration:
    """The platform decides on a rejected request, because the buyer asked it to (平台介入). `note`: its reason."""

    state: ArbitrationState
    reason: str
    opened_by: str
    opened_at: datetime
    answer_by: datetime
    evidence: tuple[EvidenceItem, ...] = ()
    at_fault: AtFault | None = None
    borne_by: RefundBorneBy | None = None
    note: str = ""
    decided_by: str = ""
    decided_at: datetime | None = None


def next_reminder(expires_at: datetime, now: datetime, before: Sequence[timedelta] = REMIND_BEFORE) -> datetime | None:
    """The next moment at which a deadline is announced again; None when none is left."""
    return min((at for lead in before if (at := expires_at - lead) > now), default=None)
