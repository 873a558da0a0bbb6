"""Sends the notices that wait, each at most once.

SMTP has no idempotency key. So the row says, before the first byte of the text goes out, that the server gets it now;
what then ends without an answer is `unknown` and stays so until a person decides. Everything before that moment can be
tried again without a second copy.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from jitui.aftersales.model.task import NewTask, TaskKind, Tasks
from jitui.logs import get_logger, tell_failure
from jitui.notices.contents import Sources, content_of
from jitui.notices.model import (
    REQUIRED,
    AddressBook,
    AddressBookAway,
    ClaimedNotice,
    Closed,
    FoundAddress,
    Mail,
    Mailer,
    MailLanguage,
    MailOutcome,
    MailResult,
    NoAddress,
    Notice,
    NoticePreferences,
    NoticeQueue,
    NoticeState,
    Preferences,
    RecipientKind,
)
from jitui.notices.render import mail_of

PLACES = 8
"""Notices on their way at once, of this worker."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=4)
OFF, NOTHING_LEFT = "It is switched off.", "There is nothing to say any more."
PROVIDER = "notices"
"""Where tasks name a payment provider."""

log = get_logger("jitui.notices")


@dataclass(frozen=True, slots=True)
class NoticeRules:
    """For how long a notice is tried, kept and leased, and the language without another."""

    dead_after: timedelta
    keep: timedelta
    lease: timedelta
    language: MailLanguage
    domain: str


@dataclass(frozen=True, slots=True)
class Notices:
    """What is kept of notices."""

    queue: NoticeQueue
    preferences: NoticePreferences


class NoticeDispatcher:
    """What one worker does for notices."""

    def __init__(
        self,
        notices: Notices,
        sources: Sources,
        addresses: AddressBook,
        mailer: Mailer,
        tasks: Tasks,
        *,
        clock: Callable[[], datetime],
        rules: NoticeRules,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._queue, self._preferences = notices.queue, notices.preferences
        self._sources = sources
        self._addresses = addresses
        self._mailer = mailer
        self._tasks = tasks
        self._clock = clock
        self._rules = rules
        self._spread = spread

    async def fan_out(self) -> bool:
        """Queue what happened since the last time; whether there may be more."""
        return await self._queue.fan_out(self._clock()) > 0

    async def send_due(self) -> bool:
        """Send what is due, and wait for it; whether there was any."""
        now = self._clock()
        claimed = await self._queue.claim(now=now, lease_until=now + self._rules.lease, limit=PLACES)
        await asyncio.gather(*(self._send(one) for one in claimed))
        return bool(claimed)

    async def look_after(self) -> bool:
        """Find what a worker had handed over and never closed: a person decides."""
        for notice in await self._queue.lost(self._clock()):
            await self._tell_unknown(notice, notice.failure)
        return False

    async def purge(self) -> bool:
        """Forget what was closed long ago; whether there may be more."""
        return await self._queue.purge(self._clock() - self._rules.keep) > 0

    # One notice ------------------------------------------------------------------------------------------------------

    async def _send(self, claimed: ClaimedNotice) -> None:
        """A fault of one notice leaves its lease to run out; the others go on."""
        try:
            closed = await self._attempt(claimed)
            if closed.state is NoticeState.DEAD:
                # Told before it is written: a worker that dies in between tells it again, and the task is the same.
                await self._tell_dead(claimed.notice, closed)
            elif closed.state is NoticeState.UNKNOWN:
                await self._tell_unknown(claimed.notice, closed.failure)
            await self._queue.close(claimed, closed)
        except Exception as error:
            tell_failure(log, "notice_not_recorded", error, notice=str(claimed.notice.notice_id))

    async def _attempt(self, claimed: ClaimedNotice) -> Closed:
        notice = claimed.notice
        wanted = await self._preferences.get(notice.to)
        if notice.kind in wanted.off and notice.kind not in REQUIRED:
            return self._skipped(OFF)
        says = await content_of(self._sources, notice)
        if says is None:
            return self._skipped(NOTHING_LEFT)
        found = await self._addresses.look_up(notice.to)
        match found:
            case AddressBookAway(failure):
                return self._later(notice, failure)
            case NoAddress():
                return self._without_address(notice, found)
            case FoundAddress():
                language = self._language(wanted, found)
                content = says(language)
                domain = self._rules.domain
                mail = mail_of(notice.kind, notice.notice_id, content, language, to=found.email, domain=domain)
                return await self._mail(claimed, mail)

    async def _mail(self, claimed: ClaimedNotice, mail: Mail) -> Closed:
        async def hand_over() -> bool:
            now = self._clock()
            return await self._queue.hand_over(claimed, now=now, lease_until=now + self._rules.lease)

        result = await self._mailer.send(mail, hand_over)
        return self._after(claimed.notice, result)

    def _after(self, notice: Notice, result: MailResult) -> Closed:
        now = self._clock()
        match result.outcome:
            case MailOutcome.TAKEN:
                return Closed(NoticeState.SENT, now)
            case MailOutcome.REFUSED:
                return Closed(NoticeState.DEAD, now, result.failure)
            case MailOutcome.UNKNOWN:
                return Closed(NoticeState.UNKNOWN, now, result.failure)
            case MailOutcome.LATER:
                return self._later(notice, result.failure)

    def _later(self, notice: Notice, failure: str) -> Closed:
        """Again after a pause that doubles, with a quarter more or less of it; dead after all the time it has."""
        now = self._clock()
        pause = min(FIRST_PAUSE * 2 ** min(notice.tries, 10), LONGEST_PAUSE) * (0.75 + 0.5 * self._spread())
        if now + pause > notice.queued_at + self._rules.dead_after:
            return Closed(NoticeState.DEAD, now, failure)
        return Closed(NoticeState.PENDING, now, failure, due_at=now + pause)

    def _without_address(self, notice: Notice, why: NoAddress) -> Closed:
        """What nobody can be told by mail is a person's to tell where it has to be told, and otherwise nothing lost."""
        state = NoticeState.DEAD if notice.kind in REQUIRED else NoticeState.SKIPPED
        return Closed(state, self._clock(), why.value)

    def _skipped(self, why: str) -> Closed:
        return Closed(NoticeState.SKIPPED, self._clock(), why, tried=False)

    def _language(self, wanted: Preferences, found: FoundAddress) -> MailLanguage:
        return wanted.language or found.language or self._rules.language

    # Tasks -----------------------------------------------------------------------------------------------------------

    # Of a notice to an operator there is none: the task that it is about is open, and a task about a lost mail would be
    # told by mail again.

    async def _tell_dead(self, notice: Notice, closed: Closed) -> None:
        if notice.recipient is not RecipientKind.OPERATOR:
            await self._tasks.open([_task(TaskKind.NOTICE_DEAD, notice, closed.failure, closed.at)])
        log.error("notice_given_up", **_about(notice), reason=closed.failure)

    async def _tell_unknown(self, notice: Notice, failure: str) -> None:
        if notice.recipient is not RecipientKind.OPERATOR:
            await self._tasks.open([_task(TaskKind.NOTICE_UNKNOWN, notice, failure, self._clock())])
        log.error("notice_unknown", **_about(notice))


def _about(notice: Notice) -> dict[str, str]:
    """As the log names it: no recipient, whose id may lead to a person."""
    return {"notice": str(notice.notice_id), "notice_kind": notice.kind.value}


def _task(kind: TaskKind, notice: Notice, failure: str, at: datetime) -> NewTask:
    """One for each day of given-up notices, whose evidence is the first; one for each notice nobody knows of."""
    which = f"{at:%Y-%m-%d}" if kind is TaskKind.NOTICE_DEAD else str(notice.notice_id)
    return NewTask(
        name=f"{kind.value} {which}",
        kind=kind,
        provider=PROVIDER,
        evidence={**_about(notice), "subject": notice.subject, "failure": failure},
        opened_at=at,
    )
