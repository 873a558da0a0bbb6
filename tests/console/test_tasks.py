"""The operators' tasks: listed by kind and age with what to do, and ended with a reason, once."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from uuid import uuid4

import pytest

from jitui.aftersales.model.task import NewTask, OperatorTask, TaskFilter, TaskKind, TaskState
from jitui.entrypoints.console.operations.tasks import TASKS_PER_PAGE
from jitui.entrypoints.console.words.tasks import KIND_WORDS, STATE_WORDS, WHAT_TO_DO
from jitui.identity.people import Person
from tests.console.conftest import Visit
from tests.console.marketplace import Marketplace
from tests.console.operators import AUDITOR, LI, SUPPORT, WANG, failed, staffed
from tests.console.pages import Page

TWICE = "6921734958201736459"


@pytest.fixture(autouse=True)
async def _staff(market: Marketplace) -> None:
    await staffed(market)


async def opened(market: Marketplace, name: str, kind: TaskKind = TaskKind.PAID_TWICE, order: str = TWICE) -> NewTask:
    evidence = {"refund_id": None, "attempts": [1, 2], "reason": "=1+1"}
    at = market.service.clock() - timedelta(hours=3)
    task = NewTask(name, kind, "simulator", evidence, at, order, 12900, "CNY")
    await market.service.tasks.open([task])
    return task


async def read(market: Marketplace, task: NewTask) -> OperatorTask:
    return next(one for one in await market.service.tasks.list(TaskFilter()) if one.task_id == task.task_id)


def path_of(task: NewTask) -> str:
    return f"/operations/tasks/{task.task_id}/resolve"


def test_every_kind_has_a_word_and_says_what_to_do() -> None:
    assert set(KIND_WORDS) == set(WHAT_TO_DO) == {kind.value for kind in TaskKind}
    assert set(STATE_WORDS) == {state.value for state in TaskState}


async def test_tasks_are_found_by_kind_and_say_what_to_do(market: Marketplace, visit: Visit) -> None:
    twice = await opened(market, "twice")
    await opened(market, "silent", TaskKind.WORKER_SILENT, "A-2")
    refund_id = await failed(market, "A-1")
    visitor = await visit(LI)
    page = await visitor.see("/operations/tasks")
    for said in ("Paid twice", "A worker is silent", "A refund failed", "Open for 3 hr", "Get one of the two payments"):
        assert said in page.text, said
    links = [given["href"] for tag, given in page.tags if tag == "a" and "href" in given]
    assert f"/operations/refunds/{refund_id}" in links
    assert "/operations/tasks?kind=paid_twice" in links
    page = await visitor.see("/operations/tasks?kind=paid_twice&provider=simulator")
    assert [form.action for form in page.forms if form.action.endswith("/resolve")] == [path_of(twice)]
    for empty in ("state=resolved", "kind=no_worker", "provider=stripe"):
        assert "No tasks here" in (await visitor.see(f"/operations/tasks?{empty}")).text
    for wrong in ("state=x", "kind=x", "provider=a%20b", "after=x"):
        assert (await visitor.get(f"/operations/tasks?{wrong}")).status_code == 400, wrong
    rows = list(csv.reader(io.StringIO((await visitor.get("/operations/tasks.csv?kind=paid_twice")).text)))
    assert len(rows) == 2
    assert rows[1][1:7] == ["Paid twice", "Open", "simulator", f"'{TWICE}", "129.00", "CNY"]


async def test_a_task_is_ended_once_with_a_reason(market: Marketplace, visit: Visit) -> None:
    task = await opened(market, "twice")
    slow, quick = await visit(LI), await visit(WANG)
    on = "/operations/tasks?kind=paid_twice"
    refused = Page((await slow.send(on, path_of(task), note="x" * 501)).text)
    assert "Please write what became of it" in refused.text
    assert refused.form(path_of(task)).fields["note"] == "x" * 501
    assert (await slow.send(on, path_of(task), note=" \n ")).status_code == 422
    form = (await slow.see(on)).form(path_of(task)).fields
    done = await quick.send(on, path_of(task), note="The buyer sent it back.")
    assert (done.status_code, done.headers["location"]) == (303, on)
    late = await slow.post(path_of(task), {**form, "note": "Written off."})
    assert late.status_code == 409
    assert "ended already, by wang.wei: The buyer sent it back." in Page(late.text).text
    assert "Written off." in Page(late.text).text, "what was typed is kept"
    same = await slow.post(path_of(task), {**form, "note": "The buyer sent it back."})
    assert same.status_code == 409, "another person's reason, in the same words"
    ended = await read(market, task)
    assert (ended.state, ended.resolved_by, ended.note) == (TaskState.RESOLVED, "wang.wei", "The buyer sent it back.")
    page = await slow.see("/operations/tasks?state=resolved")
    assert "The buyer sent it back." in page.text and "wang.wei" in page.text
    missing = await slow.post(f"/operations/tasks/{uuid4()}/resolve", {**form, "note": "x"})
    assert missing.status_code == 404


async def test_a_long_list_is_paged_and_an_auditor_only_reads(market: Marketplace, visit: Visit) -> None:
    for number in range(TASKS_PER_PAGE + 1):
        await opened(market, f"twice {number}", order=f"A-{number}")
    visitor = await visit(AUDITOR)
    page = await visitor.see("/operations/tasks")
    assert not [form for form in page.forms if form.action.endswith("/resolve")]
    older = next(given["href"] for tag, given in page.tags if tag == "a" and "after=" in given.get("href", ""))
    both = [word for one in (page, await visitor.see(older)) for word in one.words if word.startswith("A-")]
    assert len(both) == len(set(both)) == TASKS_PER_PAGE + 1


@pytest.mark.parametrize(
    ("person", "home", "links"),
    [
        (LI, "/operations/tasks", ["live", "tasks", "refunds", "reconciliation"]),
        (AUDITOR, "/operations/tasks", ["live", "tasks", "refunds", "reconciliation", "audit"]),
        (SUPPORT, "/search", ["refunds"]),
    ],
)
async def test_everybody_of_the_platform_comes_to_pages_of_their_own(
    visit: Visit, person: Person, home: str, links: list[str]
) -> None:
    visitor = await visit()
    start = await visitor.see("/")
    assert person.display_name in start.text
    done = await visitor.send("/", "/sign-in/sample", name=person.name, next="")
    assert done.headers["location"] == home
    page = await visitor.see("/policy")
    shown = [given["href"] for tag, given in page.tags if tag == "a" and given["href"].startswith("/operations/")]
    assert shown == [f"/operations/{link}" for link in links]
