"""The audit log in the console: filtered by who, what and whom, paged, and as CSV; nothing in it can be changed."""

from __future__ import annotations

import csv
import io

import pytest

from jitui.entrypoints.console.operations.audit import EVENTS_PER_PAGE
from jitui.entrypoints.console.words.audit import ACTION_WORDS
from jitui.identity.audit import AuditAction
from jitui.identity.people import Person
from tests.console.conftest import Visit
from tests.console.marketplace import SHOP, Marketplace
from tests.console.operators import AUDITOR, LI, staffed
from tests.console.pages import Page


@pytest.fixture(autouse=True)
async def _staff(market: Marketplace) -> None:
    await staffed(market)


def rows_of(page: Page) -> list[str]:
    """The numbers of the rows, newest first."""
    return [text for tag, given, text in cells(page) if given.get("data-name") == "Row"]


def cells(page: Page) -> list[tuple[str, dict[str, str], str]]:
    pieces = page.html.split("<td")[1:]
    texts = [Page("<td" + piece.partition("</td>")[0]) for piece in pieces]
    return [(one.tags[0][0], one.tags[0][1], one.text) for one in texts]


async def changed(market: Marketplace, person: Person, by: str) -> None:
    now = market.service.clock()
    for disabled in (True, False):
        await market.service.people.set_disabled(person.name, disabled, by=by, now=now)


def test_every_action_has_a_word() -> None:
    assert set(ACTION_WORDS) == {action.value for action in AuditAction}


async def test_who_did_what_to_whom(market: Marketplace, visit: Visit) -> None:
    await changed(market, SHOP, "=cmd()")
    await changed(market, LI, "6921734958201736459")
    visitor = await visit(AUDITOR)
    page = await visitor.see("/operations/audit?actor=%3Dcmd()")
    assert len(rows_of(page)) == 2
    assert "Person disabled" in page.text and "Person enabled" in page.text
    page = await visitor.see("/operations/audit?action=person.disabled&subject=li.na")
    assert len(rows_of(page)) == 1 and "6921734958201736459" in page.text
    assert "Nothing was written down" in (await visitor.see("/operations/audit?subject=nobody")).text
    for wrong in ("action=x", "after=x", "after=-1", f"actor={'x' * 201}", "subject=a%00b"):
        assert (await visitor.get(f"/operations/audit?{wrong}")).status_code == 400, wrong

    text = (await visitor.get("/operations/audit.csv?action=person.disabled")).text.removeprefix("\ufeff")
    rows = list(csv.reader(io.StringIO(text)))
    assert [row[2:5] for row in rows[1:]] == [
        ["'6921734958201736459", "person.disabled", "li.na"],
        ["'=cmd()", "person.disabled", "shan"],
    ]
    assert all(len(row[6].removeprefix("'")) == 64 for row in rows[1:])


async def test_the_log_is_paged_and_loses_nothing(market: Marketplace, visit: Visit) -> None:
    for _ in range(EVENTS_PER_PAGE // 2):
        await changed(market, SHOP, "ops")
    await market.service.people.set_disabled(SHOP.name, True, by="ops", now=market.service.clock())
    visitor = await visit(AUDITOR)
    page = await visitor.see("/operations/audit?actor=ops")
    older = next(given["href"] for tag, given in page.tags if tag == "a" and "after=" in given.get("href", ""))
    assert "actor=ops" in older
    first, second = rows_of(page), rows_of(await visitor.see(older))
    assert (len(first), len(second)) == (EVENTS_PER_PAGE, 1)
    assert sorted({*first, *second}, key=int, reverse=True) == first + second
