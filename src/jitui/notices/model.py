"""Notices, their states, and the ports of what keeps, addresses and sends them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class NoticeKind(StrEnum):
    """What a notice says."""

    REQUEST_RECEIVED = "request_received"
    REQUEST_APPROVED = "request_approved"
    REQUEST_REJECTED = "request_rejected"
    REFUNDED = "refunded"
    RESTRICTED = "restricted"
    APPEAL_ANSWERED = "appeal_answered"
    ARBITRATION_OPENED = "arbitration_opened"
    ARBITRATION_DECIDED = "arbitration_decided"
    REVIEW_ASKED = "review_asked"
    REVIEW_REMINDER = "review_reminder"
    STOP_SHIP = "stop_ship"
    EVIDENCE_ASKED = "evidence_asked"
    INCIDENT_OPENED = "incident_opened"
    INCIDENT_DECIDED = "incident_decided"
    COMPLAINT_ANSWERED = "complaint_answered"
    TASK_OPENED = "task_opened"


REQUIRED = frozenset(
    {
        NoticeKind.REQUEST_RECEIVED,
        NoticeKind.REQUEST_REJECTED,
        NoticeKind.RESTRICTED,
        NoticeKind.APPEAL_ANSWERED,
        NoticeKind.ARBITRATION_DECIDED,
        NoticeKind.EVIDENCE_ASKED,
        NoticeKind.INCIDENT_OPENED,
        NoticeKind.INCIDENT_DECIDED,
        NoticeKind.COMPLAINT_ANSWERED,
    }
)
"""What nobody can switch off: a receipt, a statement of reasons, evidence that is asked for, and answers."""


class RecipientKind(StrEnum):
    """Who gets a notice."""

    BUYER = "buyer"
    SHOP = "shop"
    OPERATOR = "operator"


SHARED_MAILBOX = "*"
"""The id of the recipient that is the operators' mailbox of the settings; no person has such a name."""

KINDS_OF = {
    RecipientKind.BUYER: (
        NoticeKind.REQUEST_RECEIVED,
        NoticeKind.REQUEST_APPROVED,
        NoticeKind.REQUEST_REJECTED,
        NoticeKind.REFUNDED,
        NoticeKind.RESTRICTED,
        NoticeKind.APPEAL_ANSWERED,
        NoticeKind.ARBITRATION_OPENED,
        NoticeKind.ARBITRATION_DECIDED,
    ),
    RecipientKind.SHOP: (
        NoticeKind.REVIEW_ASKED,
        NoticeKind.REVIEW_REMINDER,
        NoticeKind.STOP_SHIP,
        NoticeKind.EVIDENCE_ASKED,
        NoticeKind.ARBITRATION_DECIDED,
        NoticeKind.INCIDENT_OPENED,
        NoticeKind.INCIDENT_DECIDED,
        NoticeKind.COMPLAINT_ANSWERED,
    ),
    RecipientKind.OPERATOR: (NoticeKind.TASK_OPENED,),
}


LOST = "A worker ended after the mail server had been given the text: nobody knows whether it was sent."
"""Why a notice is unknown that a worker had handed over and never closed."""


class NoticeState(StrEnum):
    """What became of a notice.

    Skipped: there was nothing to say any more, or it was switched off. Dead: given up, with the reason. Unknown: the
    mail server had the text when the connection broke, so that nobody knows whether it goes on; it is never sent again
    by itself.
    """

    PENDING = "pending"
    SENT = "sent"
    SKIPPED = "skipped"
    DEAD = "dead"
    UNKNOWN = "unknown"


class MailLanguage(StrEnum):
    """The languages in which notices are written."""

    ZH = "zh"
    EN = "en"


@dataclass(frozen=True, slots=True)
class Recipient:
    """A buyer or a shop, by the platform's id; an operator, by name."""

    kind: RecipientKind
    id: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice's row: to whom, about what, and how it fares. It has no text and no address.

    `subject` is the id of the ticket, restriction, appeal, complaint, incident or task; of what can happen to it again,
    as an arbitration or the outcome of an incident can, `id@moment`. Of one subject somebody gets a kind once.
    `handed_over_at`: from here on the mail server may have it.
    """

    lane: int
    notice_id: UUID
    recipient: RecipientKind
    recipient_id: str
    kind: NoticeKind
    subject: str
    state: NoticeState
    tries: int
    queued_at: datetime
    due_at: datetime | None = None
    handed_over_at: datetime | None = None
    tried_at: datetime | None = None
    closed_at: datetime | None = None
    failure: str = ""

    @property
    def to(self) -> Recipient:
        """Who gets it."""
        return Recipient(self.recipient, self.recipient_id)

    @property
    def subject_id(self) -> UUID:
        """The id in the subject."""
        return UUID(self.subject.partition("@")[0])

    @property
    def subject_at(self) -> datetime | None:
        """The moment in the subject, if it has one."""
        moment = self.subject.partition("@")[2]
        return datetime.fromisoformat(moment) if moment else None


@dataclass(frozen=True, slots=True)
class ClaimedNotice:
    """A notice that this worker may send until its lease ends."""

    notice: Notice
    claim_id: UUID


@dataclass(frozen=True, slots=True)
class Closed:
    """What is written after an attempt; `due_at` only while it stays pending."""

    state: NoticeState
    at: datetime
    failure: str = ""
    due_at: datetime | None = None
    tried: bool = True


@dataclass(frozen=True, slots=True)
class NoticeFilter:
    """A page of notices, newest first; `after` is the last row of the page before.

    `ticket_id`: those about this ticket.
    """

    state: NoticeState | None = None
    recipient: Recipient | None = None
    limit: int = 50
    after: tuple[datetime, UUID] | None = None
    ticket_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class NoticeBacklog:
    """What waits, and what a person should look at."""

    pending: int
    dead: int
    unknown: int
    oldest_pending_at: datetime | None


class NoticeQueue(Protocol):
    """Notices that wait, in the database."""

    async def fan_out(self, now: datetime, limit: int = 5_000) -> int:
        """Queue what happened since the last time; how many positions of the feed on, 0 at the end.

        The first call begins with what is published after it.
        """
        ...

    async def claim(self, *, now: datetime, lease_until: datetime, limit: int) -> Sequence[ClaimedNotice]: ...

    async def hand_over(self, claimed: ClaimedNotice, *, now: datetime, lease_until: datetime) -> bool:
        """Note that the mail server gets the text now; False when another worker has the notice: send nothing."""
        ...

    async def close(self, claimed: ClaimedNotice, closed: Closed) -> None: ...

    async def lost(self, now: datetime) -> Sequence[Notice]:
        """Mark as unknown what a worker had handed over and never closed; those that are so now."""
        ...

    async def purge(self, before: datetime, limit: int = 10_000) -> int: ...

    async def list(self, wanted: NoticeFilter) -> Sequence[Notice]: ...

    async def get(self, notice_id: UUID) -> Notice | None: ...

    async def retry(self, notice_id: UUID, now: datetime) -> bool:
        """Send a dead or unknown notice again; whether it was one."""
        ...

    async def backlog(self) -> NoticeBacklog: ...


@dataclass(frozen=True, slots=True)
class Preferences:
    """What somebody wants to get: kinds that are `off`, and the language, None: as the platform says."""

    off: frozenset[NoticeKind] = frozenset()
    language: MailLanguage | None = None


class NoticePreferences(Protocol):
    """Keeps who wants which notices."""

    async def get(self, recipient: Recipient) -> Preferences: ...

    async def put(self, recipient: Recipient, preferences: Preferences, now: datetime) -> None: ...


# Addresses -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FoundAddress:
    """Where somebody reads mail. INVARIANT: it is in no table and no line of the log, so it is not shown either."""

    email: str = field(repr=False)
    language: MailLanguage | None = None


class NoAddress(StrEnum):
    """Why there is no address."""

    UNKNOWN = "The platform has no address for this recipient."
    NOT_VALID = "What is known is not a mail address that can be written to."
    NO_OPERATOR = "No operator of this name has an address here, or the shared mailbox is not set."


@dataclass(frozen=True, slots=True)
class AddressBookAway:
    """The platform did not answer; `failure` says how, in a sentence without an id or an address."""

    failure: str


class AddressBook(Protocol):
    """Asks the platform where somebody reads mail, each time that something is sent."""

    async def look_up(self, recipient: Recipient) -> FoundAddress | NoAddress | AddressBookAway: ...

    async def check(self) -> str | None:
        """What is wrong with it, as far as one sees without an address; None when it answers."""
        ...


# Mail ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mail:
    """A message as it is sent; `message_id` is made of the notice's row, the same each time."""

    to: str = field(repr=False)
    subject: str
    text: str
    html: str
    language: MailLanguage
    message_id: str


class MailPreview(Protocol):
    """What a notice would say, as a person reads it."""

    @property
    def subject(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def html(self) -> str: ...


class MailOutcome(StrEnum):
    """Refused: what the server said of this message or recipient is for good. Unknown: it had the text, and is gone."""

    TAKEN = "taken"
    LATER = "later"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class MailResult:
    """What came of sending; `failure` is our own sentence, since a server's text may repeat the address."""

    outcome: MailOutcome
    failure: str = ""


HandOver = Callable[[], Awaitable[bool]]
"""Called once the server is ready for the text, before the first byte of it; False: do not send it."""


class Mailer(Protocol):
    """What speaks to the mail server."""

    async def send(self, mail: Mail, hand_over: HandOver) -> MailResult: ...

    async def check(self) -> str | None:
        """What is wrong with the server, in a sentence; None when it would take mail."""
        ...
