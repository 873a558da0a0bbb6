"""Back-tests of a text from its page: begun, followed, stopped, read; and every way in which one does not end well."""

from __future__ import annotations

import asyncio
import fcntl
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from jitui.aftersales.governance.proposals import PolicyWish, Proposal, propose
from jitui.aftersales.governance.publishing import Candidate
from jitui.backtest.words import WORDS
from jitui.entrypoints.console.risk import back_test_runs
from jitui.entrypoints.console.risk.back_test import path_of_run, step_of
from jitui.entrypoints.console.risk.back_test_list import END_WORDS, NOT_BEGUN_WORDS
from jitui.entrypoints.console.risk.back_test_runs import (
    KEPT_FOR,
    End,
    Ended,
    NotBegun,
    Run,
    find,
    folder_of,
    write,
)
from tests.console.conftest import Visit
from tests.console.marketplace import NEWCOMER, PREMIUM, Marketplace
from tests.console.operators import AUDITOR, staffed
from tests.console.pages import Page, Visitor
from tests.console.policies import ADA, LIVE, NEXT, back_tests_kept, enrolled, left_run
from tests.console.test_policies import EDITOR, TEXT, kept, proposed


@pytest.fixture(autouse=True)
async def _people(market: Marketplace) -> AsyncIterator[None]:
    await staffed(market)
    await enrolled(market)
    yield
    folder = folder_of(market.service.database_url)
    if folder is None:
        return
    for place in folder.iterdir():
        if place.is_dir():
            (place / "stop").touch()
    for _ in range(100):
        with (folder / "lock").open("ab") as lock:
            if back_test_runs._locked(lock.fileno(), fcntl.LOCK_EX):
                break
        await asyncio.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


async def begun(visitor: Visitor, **fields: str) -> str:
    done = await visitor.send(await kept(visitor), f"{TEXT}/back-test", **fields)
    assert done.status_code == 303, Page(done.text).text
    return str(done.headers["location"])


async def run_at(market: Marketplace, path: str) -> Run:
    folder = folder_of(market.service.database_url)
    assert folder is not None
    found = find(folder, UUID(path.rsplit("/", 1)[1]), market.service.clock())
    assert found is not None
    return found


async def over(market: Marketplace, path: str) -> Run:
    for _ in range(600):
        run = await run_at(market, path)
        if run.ended is not None:
            return run
        await asyncio.sleep(0.1)
    raise AssertionError(run)


async def asked(market: Marketplace) -> None:
    await market.order(PREMIUM, "A-1", [("水壶", 1, 8900)])
    await market.order(PREMIUM, "A-2", [("帐篷", 1, 25900)])
    await market.order(NEWCOMER, "B-1", [("睡垫", 1, 15900)])
    for person, order_id in ((PREMIUM, "A-1"), (PREMIUM, "A-2"), (NEWCOMER, "B-1")):
        await market.ask(person, order_id)


async def test_a_text_is_tested_over_the_services_own_history(market: Marketplace, visit: Visit) -> None:
    await asked(market)
    visitor = await visit(ADA)
    path = await begun(visitor, days="7", against="live")
    page = await visitor.see(path)
    assert "The last 7 days of this service's history" in page.text
    run = await over(market, path)
    assert run.ended == Ended(End.DONE), run
    page = await visitor.see(path)
    assert "compared with the live version 2" in page.text
    assert page.text.index(WORDS["en"]["gaps"]) < page.text.index(WORDS["en"]["answer"]) < page.text.index("Charts")
    figure = next(given for tag, given in page.tags if tag == "figure")
    assert figure["data-option"].startswith("{")
    assert "/ 3" in page.text, "three requests"
    assert not (run.folder / "work").exists(), "what has facts about buyers is removed"
    report = await visitor.get(f"{path}/report")
    assert report.headers["content-disposition"].startswith("attachment")
    assert "<html" in report.text and report.headers["content-type"] == "text/html; charset=utf-8"
    headings = re.findall("<figcaption>(.*?)</figcaption>", (await visitor.get(path)).text)
    assert len(headings) == len(set(headings)) > 4 and "Share refunded at once · By amount" in headings
    ended = await visitor.get(f"{path}/progress")
    assert (ended.headers["hx-refresh"], ended.text) == ("true", "")
    assert "Done" in (await visitor.see(TEXT)).text, "it is listed on the text's page"
    chinese = await visit(AUDITOR, "zh-CN")
    page = await chinese.see(path)
    assert "与生效版本 2 比较" in page.text, "who may read policies reads it too"
    assert not [form for form in page.forms if form.action.endswith("/stop")]


async def test_a_proposal_keeps_the_headline_of_the_back_test_of_its_text(market: Marketplace, visit: Visit) -> None:
    """Also when the back-test itself is not kept any more; one that found nothing, or did not end well, is none."""
    shapes, ada = back_tests_kept(market), await visit(ADA)
    path = await proposed(ada)
    page = await ada.see(path)
    assert "12.3 % → 14.5 %" in page.text and "123 → 145 / 1,000" in page.text
    assert "The last 30 days of this service's history" in page.text
    assert "compared with the live version 2" in page.text
    links = [given.get("href", "") for tag, given in page.tags if tag == "a"]
    assert [link for link in links if "/back-tests/" in link] == [shapes["done"]]
    chinese = await (await visit(AUDITOR, "zh-CN")).see(path)
    assert WORDS["zh"]["share_at_once"] in chinese.text and "与生效版本 2 比较" in chinese.text
    shutil.rmtree((await run_at(market, shapes["done"])).folder)
    page = await ada.see(path)
    assert "12.3 % → 14.5 %" in page.text and "Its page is not kept any more." in page.text


async def test_a_back_test_of_another_text_is_attached_to_no_proposal(market: Marketplace, visit: Visit) -> None:
    shapes, ada = back_tests_kept(market), await visit(ADA)
    run = await run_at(market, shapes["done"])
    write(run.folder / "wish.json", replace(run.wish, sha256="0" * 64))
    assert "No back-test is attached." in (await ada.see(await proposed(ada))).text


@pytest.mark.parametrize("report", [{"said": {}}, {"said": {"en": {}}, "run_id": "x"}, {"share": 0.5}], ids=str)
async def test_a_report_that_came_otherwise_is_said_to_be_attached(
    market: Marketplace, visit: Visit, report: dict[str, object]
) -> None:
    service = market.service
    wish = PolicyWish(Candidate(NEXT, "p.yaml"), "Lower.", 0, report)
    done = await propose(service.policies, service.proposals, wish, by=ADA.name, now=service.clock())
    assert isinstance(done, Proposal), done
    page = await (await visit(ADA)).see(f"/risk/policies/proposals/{done.proposal_id}")
    assert "A back-test's report is attached" in page.text


async def test_without_requests_it_says_so_and_the_days_are_kept_to(market: Marketplace, visit: Visit) -> None:
    visitor = await visit(ADA)
    path = await begun(visitor, days="0", against="live")
    run = await over(market, path)
    assert run.ended is not None
    page = await visitor.see(path)
    assert run.ended.end is End.DONE, run.ended
    assert "This service decided no request in this period." in page.text


async def test_one_runs_at_a_time_and_somebody_stops_it(market: Marketplace, visit: Visit) -> None:
    await asked(market)
    visitor = await visit(ADA)
    path = await begun(visitor, days="30", against="decided")
    second = await visitor.send(TEXT, f"{TEXT}/back-test", days="90", against="decided")
    assert second.status_code == 409
    page = Page(second.text)
    assert "Another back-test runs." in page.text
    assert page.form(f"{TEXT}/back-test").fields["days"] == "90", "what was chosen is kept"
    page = await visitor.see(path)
    part = await visitor.get(f"{path}/progress")
    assert 'id="back-test-progress"' in part.text and "<html" not in part.text
    assert (await visitor.send(path, f"{path}/stop")).headers["location"] == path
    run = await over(market, path)
    assert run.ended == Ended(End.STOPPED)
    assert "Somebody stopped it." in (await visitor.see(path)).text
    assert (await visitor.get(f"{path}/report")).status_code == 404
    assert (await visitor.send(TEXT, f"{TEXT}/back-test", days="90", against="decided")).status_code == 303


async def test_what_was_read_is_what_is_compared_with(visit: Visit) -> None:
    visitor = await visit(ADA)
    await kept(visitor)
    stale = await visitor.send(TEXT, f"{TEXT}/back-test", days="7", against="live", live="0" * 64)
    assert stale.status_code == 409
    assert "Another version is live by now." in Page(stale.text).text
    wrong = await visitor.send(TEXT, f"{TEXT}/back-test", days="8", against="live")
    assert wrong.status_code == 400


@pytest.mark.parametrize("end", [end for end in End if end is not End.DONE])
async def test_every_other_end_is_told_in_words(market: Marketplace, visit: Visit, end: End) -> None:
    run_id = left_run(market, None if end is End.CUT_OFF else Ended(end, "why"))
    page = await (await visit(ADA)).see(path_of_run(run_id))
    assert END_WORDS[end] in page.text
    assert "Nothing was changed." in page.text
    assert ("why" in page.text.split(END_WORDS[end])[1].split()) == (end is not End.CUT_OFF)


async def test_what_is_over_or_unknown_says_that_it_is_not_kept(market: Marketplace, visit: Visit) -> None:
    visitor = await visit(ADA)
    unknown = f"/risk/policies/back-tests/{uuid4()}"
    gone = await visitor.get(unknown)
    assert gone.status_code == 404 and "is not kept any longer" in Page(gone.text).text
    assert (await visitor.get(f"{unknown}/progress")).headers["hx-refresh"] == "true"
    run = await run_at(market, path_of_run(left_run(market, Ended(End.STOPPED))))
    old = run.wish.begun_at + KEPT_FOR + timedelta(seconds=1)
    assert find(run.folder.parent, run.run_id, old) is None
    assert find(run.folder.parent, run.run_id, old - timedelta(seconds=1)) is not None
    back_test_runs.tidy(run.folder.parent, old)
    assert not run.folder.exists()


async def test_the_editor_leads_to_it(visit: Visit) -> None:
    visitor = await visit(ADA)
    await kept(visitor)
    page = await visitor.get(f"{EDITOR}?policy={LIVE.id}&version=3")
    assert f'href="{TEXT}#back-test"' in page.text


def test_every_code_and_step_has_words() -> None:
    assert set(END_WORDS) == set(End) and set(NOT_BEGUN_WORDS) == set(NotBegun)
    assert step_of("caps of x 1") == "Deciding in order, with caps"
    assert step_of("") == "It begins"


async def test_how_far_it_is_is_shown_and_a_script_is_not_needed(market: Marketplace, visit: Visit) -> None:
    visitor, paths = await visit(ADA), back_tests_kept(market)
    page = await visitor.see(paths["runs"])
    assert "Deciding in order, with caps: 12,345 of 100,000 requests" in page.text
    assert "Without scripts, load it again." in page.text
    listed = (await visitor.see(await kept(visitor))).text.split("Begin the back-test")[1]
    assert [word in listed for word in ("Done", "It runs", "It was cut off")] == [True] * 3
