"""One text of a policy: what it says in words, how its cases come out, what it changes; and the editor."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.governance.policies import PolicyText
from jitui.aftersales.governance.proposals import PolicyWish, propose
from jitui.aftersales.governance.publishing import (
    Blocked,
    Blocker,
    Candidate,
    NotAlone,
    check,
    keep_draft,
    load_candidate,
    publish_alone,
    standing_of,
)
from jitui.aftersales.governance.rollout import StepRefusal, retire, start_shadow
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.typed import one_line
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.risk.back_test_list import END_WORDS, PERIODS, back_tests_of, headline_of
from jitui.entrypoints.console.risk.back_test_runs import Against
from jitui.entrypoints.console.risk.policies import (
    LONGEST_REASON,
    PATH,
    REASON_NEEDED,
    Tried,
    path_of_proposal,
    path_of_text,
    read_log,
)
from jitui.entrypoints.console.risk.proposal import MOMENT_NEEDED, PERCENT_NEEDED, moment_in, percent_in
from jitui.identity.access import Permission
from jitui.policy import Policy
from jitui.policy.cap_difference import PolicyChange
from jitui.policy.cases import CaseResult
from jitui.policy.difference import differences

TextStep = Callable[..., Awaitable[object]]
"""A step with a text: done, or a StepRefusal."""


def _(message: str) -> str:
    return message


_NOT_KEPT = _("Nothing was kept: this stands against the text.")
_NOT_PUBLISHED = _("This stands against it; nothing was published.")
_BLOCKED = _("This stands against it; nothing was proposed.")


@dataclass(frozen=True, slots=True)
class TextChecked:
    """What a text says and what stands against it. `policy` None: it does not load, and `blockers` say where."""

    policy: Policy | None
    blockers: tuple[Blocker, ...]
    cases: tuple[CaseResult, ...] = ()
    changes: tuple[PolicyChange, ...] = ()
    live_version: str = ""

    @property
    def failed(self) -> int:
        """How many cases come out otherwise."""
        return sum(bool(one.mismatches) for one in self.cases)


async def check_text(visit: Visit, candidate: Candidate) -> TextChecked:
    """Check a text in a thread, because compiling takes a while, and the other requests of the process go on."""
    policy = await to_thread(load_candidate, candidate)
    if isinstance(policy, Blocked):
        return TextChecked(None, policy.blockers)
    service = visit.service
    standing = await standing_of(service.policies, policy, service.clock())
    checked = await to_thread(check, candidate, policy, standing)
    live = standing.in_force
    before = await service.policies.text(live.live.sha256) if live is not None else None
    changes: tuple[PolicyChange, ...] = ()
    if before is not None and before.sha256 != policy.sha256:
        changes = await to_thread(_changes, before.document, policy)
    return TextChecked(policy, checked.blockers, checked.cases, changes, before.version if before else "")


def _changes(before: str, policy: Policy) -> tuple[PolicyChange, ...]:
    loaded = load_candidate(Candidate(before, "live.yaml"))
    return () if isinstance(loaded, Blocked) else differences(loaded, policy)


# One text -------------------------------------------------------------------------------------------------------------


@get("/policies/texts/{policy_id:str}/{version:str}", opt=needs(Permission.POLICIES_READ))
async def policy_text(visit: Visiting, policy_id: FromPath[str], version: FromPath[str]) -> Page:
    """A text with its conditions in words, its cases, and what it changes of the live one."""
    return await text_page(visit, await text_of(visit, policy_id, version))


@post("/policies/texts/{policy_id:str}/{version:str}/propose", opt=needs(Permission.POLICIES_PROPOSE), status_code=303)
async def propose_text(visit: Visiting, policy_id: FromPath[str], version: FromPath[str], data: Form) -> Response[str]:
    """Propose a text to a second person."""
    text, service, reason = await text_of(visit, policy_id, version), visit.service, one_line(data.get("reason", ""))
    moment_text, percent_text = data.get("effective_at", ""), data.get("percent", "").strip() or "0"
    moment, percent = moment_in(visit, moment_text), percent_in(percent_text)
    problem = _problem(reason)
    if moment_text and (moment is None or moment <= service.clock()):
        problem = MOMENT_NEEDED
    elif percent is None:
        problem = PERCENT_NEEDED
    if problem or percent is None:
        return await _refused(visit, text, "propose", data, problem or PERCENT_NEEDED)
    back_test = await to_thread(headline_of, visit, text)
    wish = PolicyWish(candidate_of(text, moment), reason, percent, back_test)
    done = await propose(service.policies, service.proposals, wish, by=visit.reader.name, now=service.clock())
    if isinstance(done, Blocked):
        tried = Tried("propose", reason, visit.speech.say(_BLOCKED))
        return await text_page(visit, text, tried, data, done.blockers, status_code=409)
    return go_to(path_of_proposal(done.proposal_id))


@post("/policies/texts/{policy_id:str}/{version:str}/publish", opt=needs(Permission.POLICIES_PROPOSE), status_code=303)
async def publish_text(visit: Visiting, policy_id: FromPath[str], version: FromPath[str]) -> Response[str]:
    """Publish a text alone, in an installation for one person."""
    text, service = await text_of(visit, policy_id, version), visit.service
    done = await publish_alone(service.policies, candidate_of(text), by=visit.reader.name, now=service.clock())
    if isinstance(done, NotAlone):
        return await _refused(visit, text, "publish", {}, visit.speech.word(done), status_code=409)
    if isinstance(done, Blocked):
        tried = Tried("publish", "", visit.speech.say(_NOT_PUBLISHED))
        return await text_page(visit, text, tried, blockers=done.blockers, status_code=409)
    return go_to(PATH)


@post("/policies/texts/{policy_id:str}/{version:str}/shadow", opt=needs(Permission.POLICIES_PROPOSE), status_code=303)
async def shadow_text(visit: Visiting, policy_id: FromPath[str], version: FromPath[str], data: Form) -> Response[str]:
    """Let a text decide beside the live policy, without effect."""
    text = await text_of(visit, policy_id, version)
    return await _step(visit, text, "shadow", data, start_shadow, PATH)


@post("/policies/texts/{policy_id:str}/{version:str}/retire", opt=needs(Permission.POLICIES_PROPOSE), status_code=303)
async def retire_text(visit: Visiting, policy_id: FromPath[str], version: FromPath[str], data: Form) -> Response[str]:
    """End a text for good."""
    text = await text_of(visit, policy_id, version)
    return await _step(visit, text, "retire", data, retire, path_of_text(text))


async def _step(
    visit: Visit, text: PolicyText, name: str, data: dict[str, str], run: TextStep, after: str
) -> Response[str]:
    """Take a step with a text for the reason that was written, and go to the page after it."""
    service, reason = visit.service, one_line(data.get("reason", ""))
    if problem := _problem(reason):
        return await _refused(visit, text, name, data, problem)
    done = await run(service.policies, text, by=visit.reader.name, now=service.clock(), reason=reason)
    if isinstance(done, StepRefusal):
        return await _refused(visit, text, name, data, visit.speech.word(done), status_code=409)
    return go_to(after)


async def text_of(visit: Visit, policy_id: str, version: str) -> PolicyText:
    """The text with this name; raises NotFoundException."""
    found = None if "\x00" in policy_id + version else await visit.service.policies.find_text(policy_id, version)
    if found is None:
        raise NotFoundException
    return found


def candidate_of(text: PolicyText, effective_at: datetime | None = None) -> Candidate:
    """A text as it would be proposed."""
    return Candidate(text.document, f"{text.policy_id}.yaml", text.cases, effective_at=effective_at)


def _problem(reason: str) -> str:
    return "" if 0 < len(reason) <= LONGEST_REASON else REASON_NEEDED


async def _refused(
    visit: Visit, text: PolicyText, step: str, data: dict[str, str], problem: str, *, status_code: int = 422
) -> Page:
    tried = Tried(step, one_line(data.get("reason", "")), visit.speech.say(problem))
    return await text_page(visit, text, tried, data, status_code=status_code)


async def text_page(
    visit: Visit,
    text: PolicyText,
    tried: Tried | None = None,
    sent: dict[str, str] | None = None,
    blockers: tuple[Blocker, ...] = (),
    *,
    status_code: int = 200,
) -> Page:
    """A text's page, with the refusal of a step in words, and what stands against it."""
    log = await read_log(visit)
    return show(
        visit,
        "risk/text.html",
        status_code=status_code,
        text=text,
        checked=await check_text(visit, candidate_of(text)),
        state=log.state_of(text),
        live=log.standing.live if log.standing is not None else None,
        back_tests=await to_thread(back_tests_of, visit, text),
        periods=PERIODS,
        Against=Against,
        end_words=END_WORDS,
        path=path_of_text(text),
        tried=tried,
        sent=sent or {},
        blockers=blockers,
        may_write=may(visit, Permission.POLICIES_WRITE),
        may_propose=may(visit, Permission.POLICIES_PROPOSE),
        is_for_one=visit.service.policy_in_force.single_person,
        policies_path=PATH,
        now=visit.service.clock(),
    )


# The editor -----------------------------------------------------------------------------------------------------------


@get("/policies/editor", opt=needs(Permission.POLICIES_WRITE))
async def editor(visit: Visiting, request: ConsoleRequest) -> Page:
    """A text to write on: the named one, else the live one."""
    named = request.query_params.get("policy"), request.query_params.get("version")
    if named[0] and named[1]:
        text: PolicyText | None = await text_of(visit, named[0], named[1])
    else:
        live = await visit.service.policies.publication(None)
        text = None if live is None else await visit.service.policies.text(live.sha256)
    kept_path = path_of_text(text) if text else ""
    return await _editor(visit, text.document if text else "", text.cases if text else "", kept_path=kept_path)


@post("/policies/editor", opt=needs(Permission.POLICIES_WRITE), status_code=200)
async def write_text(visit: Visiting, data: Form) -> Response[str]:
    """Check what was written, or keep it as a draft; what was written stays on the page."""
    document, cases = written_in(data)
    if data.get("do") != "keep":
        return await _editor(visit, document, cases)
    candidate, service = Candidate(document, "policy.yaml", cases), visit.service
    done = await keep_draft(service.policies, candidate, by=visit.reader.name, now=service.clock())
    if isinstance(done, Blocked):
        return await _editor(visit, document, cases, problem=_NOT_KEPT, blockers=done.blockers, status_code=422)
    return go_to(path_of_text(done))


@post("/policies/editor/check", opt=needs(Permission.POLICIES_WRITE), status_code=200)
async def check_written(visit: Visiting, data: Form) -> Page:
    """What stands against the text as it is now, while somebody writes."""
    document, cases = written_in(data)
    return show(visit, "risk/_check.html", checked=await check_text(visit, Candidate(document, "policy.yaml", cases)))


def written_in(data: dict[str, str]) -> tuple[str, str]:
    """The text and the cases of the form, with the line ends that files have."""
    document, cases = (data.get(name, "").replace("\r\n", "\n").replace("\x00", "") for name in ("document", "cases"))
    return document, cases


async def _editor(
    visit: Visit,
    document: str,
    cases: str,
    *,
    problem: str = "",
    blockers: tuple[Blocker, ...] = (),
    kept_path: str = "",
    status_code: int = 200,
) -> Page:
    checked = await check_text(visit, Candidate(document, "policy.yaml", cases))
    facts = checked.policy.facts if checked.policy is not None else {}
    return show(
        visit,
        "risk/editor.html",
        status_code=status_code,
        document=document,
        cases=cases,
        problem=visit.speech.say(problem) if problem else "",
        checked=TextChecked(checked.policy, blockers, checked.cases, checked.changes) if blockers else checked,
        kept_path=kept_path,
        facts=sorted(facts.values(), key=lambda fact: fact.name),
        policies_path=PATH,
    )


HANDLERS = (policy_text, propose_text, publish_text, shadow_text, retire_text, editor, write_text, check_written)
