"""Announcements: what changes is told to everybody days before it takes effect, and opinions on it are kept (R16).

The notice period is the live text's `notice_period`. It binds whoever publishes the next text, alone or approved by a
second person. What stops or narrows payments is free of it: a roll-back, the end of a canary, a pause, a restriction.
The database holds both, and takes its own clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from jitui.policy import PublicPolicy

MOST_SHOWN = 20
"""So many announcements that are still to take effect, and so many opinions of each, are on the public page."""


class AnnouncementState(StrEnum):
    """What became of an announcement."""

    ANNOUNCED = "announced"
    SCHEDULED = "scheduled"
    TOOK_EFFECT = "took_effect"
    CALLED_OFF = "called_off"


STILL_TO_COME = (AnnouncementState.ANNOUNCED, AnnouncementState.SCHEDULED)


class OpinionOf(StrEnum):
    """Who said it, as a group: a name would be personal data."""

    BUYER = "buyer"
    MERCHANT = "merchant"
    ORGANISATION = "organisation"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Notice:
    """What binds a text that is to come into force: the period in days, and its announcement if it has one.

    `read_at`: by the database's clock, by which periods run.
    """

    days: int = 0
    announced_at: datetime | None = None
    takes_effect_at: datetime | None = None
    read_at: datetime | None = None

    @property
    def period(self) -> timedelta:
        """Days of 24 hours, whatever the clocks are set to in between."""
        return timedelta(hours=24 * self.days)

    def earliest(self, now: datetime) -> datetime:
        """From when on the text may decide; without an announcement: if it were announced now."""
        if self.announced_at is None or self.takes_effect_at is None:
            return now + self.period
        return max(self.takes_effect_at, self.announced_at + self.period)


@dataclass(frozen=True, slots=True)
class Announcement:
    """A text that was announced, as everybody reads it; `opinions` counts what was recorded on it.

    `publication`: the row of the log that it was for.
    """

    announcement_id: UUID
    sha256: str
    policy_id: str
    version: str
    state: AnnouncementState
    announced_by: str
    announced_at: datetime
    takes_effect_at: datetime
    opinions: int
    public_view: PublicPolicy | None
    publication: int | None = None
    withdrawn_at: datetime | None = None
    withdrawn_for: str | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What somebody said of an announced text, who recorded it, and the answer if there is one."""

    opinion_id: UUID
    announcement_id: UUID
    said_by: OpinionOf
    said: str
    recorded_by: str
    recorded_at: datetime
    reference: str | None = None
    answer: str | None = None
    answered_by: str | None = None
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TooEarly:
    """The notice period would not be over at that moment, or no period binds and no moment was named."""

    earliest: datetime


class AnnounceRefusal(StrEnum):
    """Why nothing was announced or recorded."""

    TEXT_NOT_APPROVED = "text_not_approved"
    TEXT_RETIRED = "text_retired"
    TEXT_IN_FORCE = "text_in_force"
    ANNOUNCED_OTHERWISE = "announced_otherwise"
    NOT_ANNOUNCED = "not_announced"
    NOT_TO_COME = "not_to_come"
    NO_OPINION = "no_opinion"
    ANSWERED_OTHERWISE = "answered_otherwise"


class Announcements(Protocol):
    """Keeps announcements and opinions. Every method writes whole or not at all."""

    async def notice(self, sha256: str) -> Notice:
        """What binds this text now."""
        ...

    async def announce(
        self, sha256: str, takes_effect_at: datetime | None, *, by: str, now: datetime
    ) -> Announcement | TooEarly | AnnounceRefusal:
        """Announce a text for a moment, without one for the earliest that is to come. Said again it is the same one."""
        ...

    async def withdraw_announcement(
        self, announcement_id: UUID, *, by: str, now: datetime, reason: str
    ) -> Announcement | AnnounceRefusal: ...

    async def announcements(
        self, *, limit: int, after: tuple[datetime, UUID] | None = None, to_come: bool = False
    ) -> Sequence[Announcement]:
        """The newest first. `to_come`: only what did not take effect yet and was not called off."""
        ...

    async def announcement_of(self, publication: int) -> Announcement | None:
        """The announcement of a row of the log."""
        ...

    async def record_opinion(self, opinion: Opinion) -> Opinion | AnnounceRefusal:
        """Recorded again under the same reference it stays what it was."""
        ...

    async def answer_opinion(
        self, opinion_id: UUID, answer: str, *, by: str, now: datetime
    ) -> Opinion | AnnounceRefusal: ...

    async def opinions(
        self, announcement_id: UUID, *, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> Sequence[Opinion]:
        """The newest first; `after` is the last row of the page before."""
        ...


MOST_LOOKED_AT = 200


async def announcement_of_text(announcements: Announcements, sha256: str) -> Announcement | None:
    """The newest announcement of a text; one that many others followed is not looked for any longer."""
    rows = await announcements.announcements(limit=MOST_LOOKED_AT)
    return next((row for row in rows if row.sha256 == sha256), None)
