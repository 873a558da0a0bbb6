"""The announcement of a text: what everybody is told, from when on it can be in force, opinions on it, and answers."""

from __future__ import annotations

from asyncio import to_thread
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.governance.announcing import (
    Announcement,
    AnnouncementState,
    AnnounceRefusal,
    Notice,
    Opinion,
    OpinionOf,
    announcement_of_text,
)
from jitui.aftersales.governance.policies import PolicyText, with_public_view
from jitui.aftersales.governance.publishing import Blocked, Blocker, load_candidate
from jitui.aftersales.governance.rollout import announce
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.cursor import read_place
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.typed import one_line, several_lines
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.risk.policies import LONGEST_REASON, PATH, REASON_NEEDED, Tried, path_of_text
from jitui.entrypoints.console.risk.proposal import MOMENT_NEEDED, moment_in
from jitui.entrypoints.console.risk.text import candidate_of, text_of
from jitui.entrypoints.cursor import to_cursor
from jitui.identity.access import Permission
from jitui.ids import new_id
from jitui.policy import PublicChange, public_changes, public_view
from jitui.text import why_no_id

ROWS = 20
LONGEST_WORDS = 4000


def _(message: str) -> str:
    return message


_BLOCKED = _("This stands against it; nothing was announced.")
_PERIOD_CHANGED = _("The notice period has changed since you read it. This is how it stands now.")
_OTHER_ANNOUNCEMENT = _("This announcement has changed since you read it. This is how it stands now.")
_WORDS_NEEDED = _("Please write something, in up to 4000 characters. Everybody reads it.")
_REFERENCE_NEEDED = _("The reference is an id without spaces, or empty.")


@dataclass(frozen=True, slots=True)
class AnnouncementShown:
    """What the page is about: the newest announcement of the text if there is one, and what everybody is told."""

    announcement: Announcement | None
    notice: Notice
    changes: tuple[PublicChange, ...]
    earliest: datetime

    @property
    def stands(self) -> bool:
        """Whether the text is announced now."""
        return self.announcement is not None and self.announcement.state is not AnnouncementState.CALLED_OFF


@get("/policies/texts/{policy_id:str}/{version:str}/announcement", opt=needs(Permission.POLICIES_READ))
async def announcement(
    visit: Visiting, request: ConsoleRequest, policy_id: FromPath[str], version: FromPath[str]
) -> Page:
    """What is announced of a text, and what was said of it."""
    return await _page(visit, await text_of(visit, policy_id, version), after=request.query_params.get("after", ""))


@post(
    "/policies/texts/{policy_id:str}/{version:str}/announcement",
    opt=needs(Permission.POLICIES_PROPOSE),
    status_code=303,
)
async def announce_text(visit: Visiting, policy_id: FromPath[str], version: FromPath[str], data: Form) -> Response[str]:
    """Tell everybody that the text takes effect; the form has the notice period that its reader saw."""
    text, service = await text_of(visit, policy_id, version), visit.service
    wanted, now = data.get("effective_at", ""), service.clock()
    moment = moment_in(visit, wanted)
    if wanted and moment is None:
        return await _refused(visit, text, "announce", data, visit.speech.say(MOMENT_NEEDED))
    if data.get("days") != str((await service.policies.notice(text.sha256)).days):
        return await _refused(visit, text, "announce", data, visit.speech.say(_PERIOD_CHANGED), status_code=409)
    loaded = await to_thread(load_candidate, candidate_of(text))
    if isinstance(loaded, Blocked):
        return await _blocked(visit, text, data, loaded)
    done = await announce(service.policies, service.proposals, text, moment, by=visit.reader.name, now=now)
    if isinstance(done, Blocked):
        return await _blocked(visit, text, data, done)
    return await _after(visit, text, "announce", data, done)


@post(
    "/policies/texts/{policy_id:str}/{version:str}/announcement/withdraw",
    opt=needs(Permission.POLICIES_STOP),
    status_code=303,
)
async def withdraw_announcement(
    visit: Visiting, policy_id: FromPath[str], version: FromPath[str], data: Form
) -> Response[str]:
    """Withdraw the announcement that was seen."""
    text, service, reason = await text_of(visit, policy_id, version), visit.service, one_line(data.get("reason", ""))
    seen = await _seen(visit, text, data)
    if not 0 < len(reason) <= LONGEST_REASON:
        return await _refused(visit, text, "withdraw", data, visit.speech.say(REASON_NEEDED))
    if seen is None:
        return await _refused(visit, text, "withdraw", data, visit.speech.say(_OTHER_ANNOUNCEMENT), status_code=409)
    done = await service.policies.withdraw_announcement(
        seen.announcement_id, by=visit.reader.name, now=service.clock(), reason=reason
    )
    return await _after(visit, text, "withdraw", data, done)


@post(
    "/policies/texts/{policy_id:str}/{version:str}/announcement/opinions",
    opt=needs(Permission.COMPLAINTS_ANSWER),
    status_code=303,
)
async def record_opinion(
    visit: Visiting, policy_id: FromPath[str], version: FromPath[str], data: Form
) -> Response[str]:
    """Record what somebody said of the announced text."""
    text, service, said = await text_of(visit, policy_id, version), visit.service, _words(data, "said")
    group, reference, seen = _group(data), data.get("reference", "").strip(), await _seen(visit, text, data)
    if not 0 < len(said) <= LONGEST_WORDS:
        return await _refused(visit, text, "opinion", data, visit.speech.say(_WORDS_NEEDED))
    if reference and why_no_id(reference) is not None:
        return await _refused(visit, text, "opinion", data, visit.speech.say(_REFERENCE_NEEDED))
    if seen is None:
        return await _refused(visit, text, "opinion", data, visit.speech.say(_OTHER_ANNOUNCEMENT), status_code=409)
    row = Opinion(
        new_id(0), seen.announcement_id, group, said, visit.reader.name, service.clock(), reference=reference or None
    )
    return await _after(visit, text, "opinion", data, await service.policies.record_opinion(row))


@post(
    "/policies/texts/{policy_id:str}/{version:str}/announcement/opinions/{opinion_id:uuid}/answer",
    opt=needs(Permission.COMPLAINTS_ANSWER),
    status_code=303,
)
async def answer_opinion(
    visit: Visiting, policy_id: FromPath[str], version: FromPath[str], opinion_id: FromPath[UUID], data: Form
) -> Response[str]:
    """Answer an opinion for everybody, once."""
    text, service, said = await text_of(visit, policy_id, version), visit.service, _words(data, "answer")
    step = f"answer-{opinion_id}"
    if not 0 < len(said) <= LONGEST_WORDS:
        return await _refused(visit, text, step, data, visit.speech.say(_WORDS_NEEDED))
    done = await service.policies.answer_opinion(opinion_id, said, by=visit.reader.name, now=service.clock())
    if done is AnnounceRefusal.NO_OPINION:
        raise NotFoundException
    return await _after(visit, text, step, data, done)


async def _seen(visit: Visit, text: PolicyText, data: dict[str, str]) -> Announcement | None:
    """The announcement of the text, if it is the one that the form was about."""
    found = await announcement_of_text(visit.service.policies, text.sha256)
    return found if found is not None and str(found.announcement_id) == data.get("announcement") else None


async def _after(visit: Visit, text: PolicyText, step: str, data: dict[str, str], done: object) -> Response[str]:
    if isinstance(done, StrEnum):
        return await _refused(visit, text, step, data, visit.speech.word(done), status_code=409)
    return go_to(path_of_announcement(text))


async def _blocked(visit: Visit, text: PolicyText, data: dict[str, str], done: Blocked) -> Page:
    tried = Tried("announce", "", visit.speech.say(_BLOCKED))
    return await _page(visit, text, tried, data, done.blockers, status_code=409)


async def _refused(
    visit: Visit, text: PolicyText, step: str, data: dict[str, str], problem: str, *, status_code: int = 422
) -> Page:
    return await _page(
        visit, text, Tried(step, one_line(data.get("reason", "")), problem), data, status_code=status_code
    )


async def _look(visit: Visit, text: PolicyText) -> AnnouncementShown:
    policies = visit.service.policies
    found, notice = await announcement_of_text(policies, text.sha256), await policies.notice(text.sha256)
    loaded = await to_thread(load_candidate, candidate_of(text))
    live = await policies.publication(None)
    before = (await with_public_view(policies, live)).public_view if live is not None else None
    changes: tuple[PublicChange, ...] = ()
    if before is not None and not isinstance(loaded, Blocked):
        changes = public_changes(before, public_view(loaded))
    return AnnouncementShown(found, notice, changes, notice.earliest(notice.read_at or visit.service.clock()))


async def _page(
    visit: Visit,
    text: PolicyText,
    tried: Tried | None = None,
    sent: dict[str, str] | None = None,
    blockers: tuple[Blocker, ...] = (),
    *,
    after: str = "",
    status_code: int = 200,
) -> Page:
    seen = await _look(visit, text)
    opinions: list[Opinion] = []
    if seen.announcement is not None:
        place = _place(after)
        opinions += await visit.service.policies.opinions(
            seen.announcement.announcement_id, limit=ROWS + 1, after=place
        )
    last = opinions[ROWS - 1] if len(opinions) > ROWS else None
    return show(
        visit,
        "risk/announcement.html",
        status_code=status_code,
        text=text,
        seen=seen,
        opinions=opinions[:ROWS],
        next_page=to_cursor(last.recorded_at, str(last.opinion_id)) if last else None,
        path=path_of_announcement(text),
        text_path=path_of_text(text),
        policies_path=PATH,
        tried=tried,
        sent=sent or {},
        blockers=blockers,
        is_for_one=visit.service.policy_in_force.single_person,
        groups=tuple(OpinionOf),
        AnnouncementState=AnnouncementState,
        may_propose=may(visit, Permission.POLICIES_PROPOSE),
        may_stop=may(visit, Permission.POLICIES_STOP),
        may_answer=may(visit, Permission.COMPLAINTS_ANSWER),
    )


def path_of_announcement(text: PolicyText) -> str:
    """The address of the page about a text's announcement."""
    return f"{path_of_text(text)}/announcement"


def _place(after: str) -> tuple[datetime, UUID] | None:
    if not after:
        return None
    at, row_id = read_place(after)
    try:
        return at, UUID(row_id)
    except ValueError as error:
        raise ValidationException from error


def _words(data: dict[str, str], name: str) -> str:
    return several_lines(data.get(name, "").replace("\r\n", "\n"))


def _group(data: dict[str, str]) -> OpinionOf:
    try:
        return OpinionOf(data.get("said_by", ""))
    except ValueError as error:
        raise ValidationException from error


HANDLERS = (announcement, announce_text, withdraw_announcement, record_opinion, answer_opinion)
