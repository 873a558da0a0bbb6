"""The audit log: who did what, one row after another, each with the hash of the one before.

A row is written in the transaction of what it tells. Nothing is changed or removed afterwards; whoever does so all the
same with the database's own means is found, because the hashes no longer follow from one another.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec

from jitui.errors import BadInput

FIRST_HASH = hashlib.sha256(b"jitui audit log").digest()
MOST_FAULTS = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTED = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


class AuditAction(StrEnum):
    """What is written down."""

    KEY_ISSUED = "key.issued"
    KEY_ROLLED = "key.rolled"
    KEY_REVOKED = "key.revoked"
    PERSON_ADDED = "person.added"
    PERSON_DISABLED = "person.disabled"
    PERSON_ENABLED = "person.enabled"
    ROLE_CHANGED = "person.role_changed"
    PASSWORD_CHANGED = "person.password_changed"
    PASSWORD_REMOVED = "person.password_removed"
    LINK_MADE = "person.link_made"
    LINK_USED = "person.link_used"
    SESSIONS_ENDED = "person.sessions_ended"
    SIGNED_IN = "person.signed_in"
    TOKEN_ISSUED = "person.token_issued"
    EMAIL_SET = "person.email_set"
    OPENID_LINKED = "person.openid_linked"
    OPENID_UNLINKED = "person.openid_unlinked"
    SECOND_FACTOR_SET_UP = "person.second_factor_set_up"
    SECOND_FACTOR_REMOVED = "person.second_factor_removed"
    RECOVERY_CODES_RENEWED = "person.recovery_codes_renewed"
    RECOVERY_CODE_USED = "person.recovery_code_used"
    POLICY_PUSHED = "policy.pushed"
    POLICY_PUBLISHED = "policy.published"
    POLICY_RETIRED = "policy.retired"
    POLICY_ANNOUNCED = "policy.announced"
    ANNOUNCEMENT_WITHDRAWN = "announcement.withdrawn"
    OPINION_RECORDED = "opinion.recorded"
    OPINION_ANSWERED = "opinion.answered"
    PROPOSAL_MADE = "proposal.made"
    PROPOSAL_CHANGED = "proposal.changed"
    PROPOSAL_APPROVED = "proposal.approved"
    PROPOSAL_REJECTED = "proposal.rejected"
    PROPOSAL_WITHDRAWN = "proposal.withdrawn"
    CHANGE_CONFIRMED = "change.confirmed"
    SINGLE_PERSON_ENDED = "single_person.ended"
    PAUSE_SET = "pause.set"
    PAUSE_LIFTED = "pause.lifted"
    COVERAGE_SET = "coverage.set"
    COVERAGE_UNSET = "coverage.unset"
    COVERAGE_RECOMPUTED = "coverage.recomputed"
    COMPLAINT_MADE = "complaint.made"
    COMPLAINT_ANSWERED = "complaint.answered"
    RESTRICTION_SET = "restriction.set"
    RESTRICTION_LIFTED = "restriction.lifted"
    APPEAL_OPENED = "appeal.opened"
    APPEAL_DECIDED = "appeal.decided"
    INCIDENT_EVIDENCE = "incident.evidence"
    INCIDENT_CONTACT = "incident.contact"
    INCIDENT_OUTCOME = "incident.outcome"
    INCIDENT_RECOVERY = "incident.recovery"
    INCIDENT_WRITTEN_OFF = "incident.written_off"
    INCIDENT_CONTEST = "incident.contest"
    INCIDENT_ANSWER = "incident.answer"
    PERIOD_CLOSED = "period.closed"
    BUYER_EXPORTED = "buyer.exported"
    BUYER_ERASED = "buyer.erased"
    SELECTION_SET = "selection.set"
    PLATFORM_CONNECTED = "platform.connected"
    PLATFORM_DISCONNECTED = "platform.disconnected"
    PLATFORM_CALL_RESOLVED = "platform.call_resolved"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """A row of the log; `detail` is JSON as it was written.

    `redacted_in`: the row of the erasure that took a buyer out of this one, and says what is left of it.
    """

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: str
    previous_hash: bytes
    hash: bytes
    redacted_in: int | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """Where the log ends: the number and hash of its last row, 0 and a fixed hash for an empty one."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"


class AuditFaultKind(StrEnum):
    """What became of a row."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"


@dataclass(frozen=True, slots=True)
class AuditFault:
    """A row, or several up to `last`, that are not as they were written."""

    kind: AuditFaultKind
    number: int
    last: int
    sentence: str


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What a verification found; `head` is to be noted elsewhere, for the next time.

    `redacted`: rows of which an erasure left a part. That they stand in their place is verified, and that they are what
    the erasure left of them; what they said before cannot be checked any more.
    """

    rows: int
    head: Head
    faults: Sequence[AuditFault]
    redacted: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class AuditReading:
    """The log at one moment: where it says that it ends, and its rows in order of their numbers."""

    head: Head
    events: AsyncIterator[AuditEvent]


class AuditLog(Protocol):
    """What reads the log."""

    def reading(self) -> AbstractAsyncContextManager[AuditReading]: ...

    async def events(
        self, *, actor: str | None, action: str | None, subject: str | None, before: int | None, limit: int
    ) -> Sequence[AuditEvent]: ...


def hash_of(event: AuditEvent) -> bytes:
    """The hash that follows from a row: SHA-256 over its fields, each behind its length in bytes."""
    microseconds = (event.at - _EPOCH) // timedelta(microseconds=1)
    fields = (
        str(event.number),
        str(microseconds),
        event.actor,
        event.action,
        event.subject,
        event.detail,
        event.previous_hash.hex(),
    )
    return hashlib.sha256("".join(f"{len(field.encode())}:{field}" for field in fields).encode()).digest()


def read_noted(text: str) -> Head:
    """A head that somebody noted earlier. Raises BadInput."""
    parts = _NOTED.fullmatch(text.strip())
    if parts is None:
        raise BadInput("--noted takes a head as `jitui audit verify` prints it, NUMBER:HASH.", path="--noted")
    return Head(int(parts[1]), bytes.fromhex(parts[2]))


async def verify(log: AuditLog, *, noted: Sequence[Head] = ()) -> AuditVerdict:
    """Read the whole log and say which rows were changed, removed or inserted.

    Whoever can write every row can compute every hash anew; such a log differs from a head that was `noted` earlier.
    """
    last, rows, faults = Head(0, FIRST_HASH), 0, list[AuditFault]()
    to_meet = {head.number: head for head in noted if head.number}
    redacted, vouched = dict[int, AuditEvent](), dict[tuple[int, int], str]()
    async with log.reading() as reading:
        async for event in reading.events:
            rows += 1
            if len(faults) < MOST_FAULTS:
                faults += _faults_of(event, last)
            if event.redacted_in is not None:
                redacted[event.number] = event
            if event.action == AuditAction.BUYER_ERASED:
                vouched |= {(event.number, number): digest for number, digest in _vouched(event).items()}
            if event.number in to_meet and to_meet.pop(event.number).hash != event.hash:
                faults.append(_changed(event.number, "has another hash than the one that was noted"))
            last = Head(event.number, event.hash)
        faults += _faults_at_the_end(last, reading.head)
    faults += [_removed(head.number, head.number, "was noted, and is gone") for head in to_meet.values()]
    faults += [
        _changed(event.number, "is not what an erasure left of it")
        for event in redacted.values()
        if vouched.get((event.redacted_in or 0, event.number)) != hash_of(event).hex()
    ]
    return AuditVerdict(rows, last, tuple(faults), tuple(redacted))


def _vouched(event: AuditEvent) -> dict[int, str]:
    """What an erasure's row says of the rows that it redacted: their numbers, and hashes of what is left of them."""
    try:
        return msgspec.json.decode(event.detail, type=_Erasure).redacted
    except msgspec.DecodeError:  # a row that was tampered with, which its own hash tells
        return {}


class _Erasure(msgspec.Struct):
    redacted: dict[int, str] = {}


def _faults_of(event: AuditEvent, before: Head) -> list[AuditFault]:
    found = []
    if event.number <= 0:
        return [_inserted(event.number, "stands before the first row")]
    if event.number > before.number + 1:
        first, last = before.number + 1, event.number - 1
        found.append(_removed(first, last, "is gone" if first == last else f"to {last} are gone"))
    elif event.previous_hash != before.hash:
        found.append(_inserted(event.number, "does not follow from the row before it"))
    if event.redacted_in is None and hash_of(event) != event.hash:
        found.append(_changed(event.number, "is not what its hash was made of"))
    return found


def _faults_at_the_end(last: Head, stated: Head) -> list[AuditFault]:
    if last.number < stated.number:
        first = last.number + 1
        return [_removed(first, stated.number, "is gone" if first == stated.number else f"to {stated.number} are gone")]
    if last.number > stated.number:
        return [_inserted(stated.number + 1, "was not written by the log")]
    return [] if last.hash == stated.hash else [_changed(last.number, "has another hash than the end of the log")]


def _changed(number: int, what: str) -> AuditFault:
    return AuditFault(AuditFaultKind.CHANGED, number, number, f"Row {number} was changed: it {what}.")


def _inserted(number: int, what: str) -> AuditFault:
    return AuditFault(AuditFaultKind.INSERTED, number, number, f"Row {number} was inserted or replaced: it {what}.")


def _removed(first: int, last: int, what: str) -> AuditFault:
    return AuditFault(AuditFaultKind.REMOVED, first, last, f"{'Row' if first == last else 'Rows'} {first} {what}.")
