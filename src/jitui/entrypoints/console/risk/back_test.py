"""The back-test of a text over the service's own history: begun, followed, stopped and read."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException, PermissionDeniedException, ValidationException
from litestar.params import FromPath
from litestar.response import Response
from msgspec import json

from jitui.aftersales.governance.policies import PolicyText
from jitui.aftersales.governance.publishing import Blocked, load_candidate
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.visit import PAGE_HEADERS, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.risk.back_test_list import END_WORDS, NOT_BEGUN_WORDS, PERIODS, parts_of
from jitui.entrypoints.console.risk.back_test_runs import (
    KEPT_FOR,
    Against,
    End,
    NotBegun,
    Run,
    Wish,
    begin,
    find,
    folder_of,
    stop,
)
from jitui.entrypoints.console.risk.policies import PATH, Tried
from jitui.entrypoints.console.risk.text import candidate_of, text_of, text_page
from jitui.identity.access import Permission

BACK_TESTS = f"{PATH}/back-tests"


def _(message: str) -> str:
    return message


_BLOCKED = _("This stands against it; no back-test was begun.")
_STEPS = (
    ("exporting", _("Copying the history")),
    ("reading", _("Reading the history")),
    ("features", _("Working out facts and conditions")),
    ("caps", _("Deciding in order, with caps")),
    ("other caps", _("Trying other caps")),
    ("adding", _("Adding up")),
)


@post("/policies/texts/{policy_id:str}/{version:str}/back-test", opt=needs(Permission.POLICIES_WRITE), status_code=303)
async def begin_back_test(
    visit: Visiting, policy_id: FromPath[str], version: FromPath[str], data: Form
) -> Response[str]:
    """Decide the service's own requests once more, by this text; nothing is changed by it."""
    text = await text_of(visit, policy_id, version)
    against, days = _against(data), _days(data)
    loaded = await to_thread(load_candidate, candidate_of(text))
    if isinstance(loaded, Blocked):
        tried = Tried("back-test", "", visit.speech.say(_BLOCKED))
        return await text_page(visit, text, tried, data, loaded.blockers, status_code=422)
    wish = await _wish(visit, text, against, days, data.get("live", ""))
    done = wish if isinstance(wish, NotBegun) else await to_thread(_begin, visit, wish)
    if isinstance(done, NotBegun):
        tried = Tried("back-test", "", visit.speech.say(NOT_BEGUN_WORDS[done]))
        return await text_page(visit, text, tried, data, status_code=409)
    return go_to(path_of_run(done))


@get("/policies/back-tests/{run_id:uuid}", opt=needs(Permission.POLICIES_READ))
async def back_test(visit: Visiting, run_id: FromPath[UUID]) -> Page:
    """How far a back-test is, or what it found."""
    run = await _found(visit, run_id)
    if run is None:
        return show(visit, "risk/back_test_gone.html", status_code=404, policies_path=PATH, kept_for=KEPT_FOR)
    return _show(visit, "risk/back_test.html", run)


@get("/policies/back-tests/{run_id:uuid}/progress", opt=needs(Permission.POLICIES_READ))
async def back_test_progress(visit: Visiting, run_id: FromPath[UUID]) -> Page:
    """The part of the page that changes; when it has ended, the browser is asked to load the page again."""
    run = await _found(visit, run_id)
    if run is None or run.ended is not None:
        return Response("", headers={**PAGE_HEADERS, "hx-refresh": "true"})
    return _show(visit, "risk/_back_test.html", run)


@post("/policies/back-tests/{run_id:uuid}/stop", opt=needs(Permission.POLICIES_WRITE), status_code=303)
async def stop_back_test(visit: Visiting, run_id: FromPath[UUID]) -> Response[str]:
    """Stop a back-test; one that has ended stays as it ended."""
    run = await _found(visit, run_id)
    if run is None:
        raise NotFoundException
    if run.ended is None:
        await to_thread(stop, run)
    return go_to(path_of_run(run_id))


@get("/policies/back-tests/{run_id:uuid}/report", opt=needs(Permission.TICKETS_READ))
async def back_test_report(visit: Visiting, run_id: FromPath[UUID]) -> Response[bytes]:
    """The report as a file, which names requests as examples: who reads it may read policies and tickets."""
    if not may(visit, Permission.POLICIES_READ):
        raise PermissionDeniedException
    run = await _found(visit, run_id)
    if run is None or run.ended is None or run.ended.end is not End.DONE:
        raise NotFoundException
    content = await to_thread((run.folder / "report.html").read_bytes)
    headers = {**PAGE_HEADERS, "content-disposition": 'attachment; filename="back-test.html"'}
    return Response(content, media_type="text/html", headers=headers)


def path_of_run(run_id: UUID) -> str:
    """The address of a back-test's page."""
    return f"{BACK_TESTS}/{run_id}"


def step_of(what: str) -> str:
    """What is being done, in words of the page."""
    return next((said for begins, said in _STEPS if what.startswith(begins)), _("It begins"))


async def _wish(visit: Visit, text: PolicyText, against: Against, days: int, seen: str) -> Wish | NotBegun:
    service, now = visit.service, visit.service.clock()
    live = await service.policies.publication(None)
    before = await service.policies.text(live.sha256) if live is not None else None
    if against is Against.LIVE and (before is None or before.sha256 != seen):
        return NotBegun.LIVE_CHANGED
    return Wish(
        text.policy_id,
        text.version,
        text.sha256,
        text.document,
        before.document if before is not None else "",
        before.version if before is not None else "",
        against,
        days,
        now - timedelta(days=days) if days else None,
        visit.speech.zone.key,
        visit.reader.name,
        now,
    )


def _begin(visit: Visit, wish: Wish) -> UUID | NotBegun:
    folder = folder_of(visit.service.database_url, make=True)
    return NotBegun.NO_FOLDER if folder is None else begin(folder, wish, visit.service.database_url)


async def _found(visit: Visit, run_id: UUID) -> Run | None:
    folder = await to_thread(folder_of, visit.service.database_url)
    return None if folder is None else await to_thread(find, folder, run_id, visit.service.clock())


def _show(visit: Visit, template: str, run: Run) -> Page:
    return show(
        visit,
        template,
        run=run,
        wish=run.wish,
        parts=(parts_of(run) or {}).get(visit.speech.texts),
        step=step_of(run.progress.what),
        path=path_of_run(run.run_id),
        policies_path=PATH,
        End=End,
        end_words=END_WORDS,
        Against=Against,
        kept_until=run.wish.begun_at + KEPT_FOR,
        may_stop=may(visit, Permission.POLICIES_WRITE),
        may_read_tickets=may(visit, Permission.TICKETS_READ),
        as_json=lambda value: json.encode(value).decode(),
    )


def _against(data: Mapping[str, str]) -> Against:
    try:
        return Against(data.get("against", ""))
    except ValueError as error:
        raise ValidationException from error


def _days(data: Mapping[str, str]) -> int:
    found = {str(days): days for days in PERIODS}.get(data.get("days", ""))
    if found is None:
        raise ValidationException
    return found


HANDLERS = (begin_back_test, back_test, back_test_progress, stop_back_test, back_test_report)
