"""Shops for risk: coverage by places and gates, taking out and putting back, complaints and their answers."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest

from jitui.adapters.postgres.complaints import PostgresComplaints
from jitui.aftersales.governance.complaint import ComplaintState
from jitui.aftersales.governance.proposals import NOT_CLOSED
from jitui.aftersales.governance.registry import Coverage, CoverageFilter, Scope
from jitui.entrypoints.console.risk import shops as shops_page
from jitui.identity.audit import AuditAction
from tests.console.conftest import Visit
from tests.console.marketplace import NEWCOMER, OPERATOR, OTHER_SHOP, SHOP, SUPPORT, Marketplace
from tests.console.operators import AUDITOR, staffed
from tests.console.pages import Form, Page, Visitor
from tests.console.policies import ADA, BO, enrolled
from tests.console.risk import complained, gated

OWN, OTHER = SHOP.subject_id, OTHER_SHOP.subject_id
ON = f"/risk/shops/{OWN}"
SET, PROPOSE = f"{ON}/coverage", f"{ON}/coverage/propose"


@pytest.fixture(autouse=True)
async def _people(market: Marketplace) -> None:
    await staffed(market)
    await enrolled(market)


def form_of(page: Page, step: str, ref: str = OWN) -> Form:
    return next(form for form in page.forms if (form.fields.get("step"), form.fields.get("ref")) == (step, ref))


def steps(page: Page) -> list[str]:
    return [form.fields["step"] for form in page.forms if form.fields.get("step") and "form" not in form.fields]


async def sent(visitor: Visitor, form: Form, reason: str, **changed: str) -> tuple[int, str]:
    done = await visitor.post(form.action, {**form.fields, "reason": reason, **changed})
    return done.status_code, done.headers.get("location", "") or done.text


async def test_a_shop_is_taken_out_and_put_back_and_stale_forms_do_nothing(market: Marketplace, visit: Visit) -> None:
    ada, bo = await visit(ADA), await visit(BO)
    registry = market.service.registry
    page = await ada.see(ON)
    assert "The shop is covered" in page.text and steps(page) == ["out"]
    out, late = form_of(page, "out"), form_of(await bo.see(ON), "out")
    for wrong in (" ", "x" * 501):
        status, text = await sent(ada, out, wrong)
        assert status == 422 and form_of(Page(text), "out").fields["reason"] == wrong.strip()
    assert await registry.find_coverage(Scope.SHOP, OWN) is None
    assert await sent(ada, out, "Ships too late.") == (303, ON)
    status, text = await sent(bo, late, "Late parcels.")
    page = Page(text)
    assert status == 409 and "has set this place since" in page.text and "Ships too late." in page.text
    assert "Late parcels." in page.text, "the form is not there any more, and what was typed is"
    page = await bo.see(ON)
    assert "The shop is not covered" in page.text and "Ships too late." in page.text
    assert steps(page) == ["cover", "unset"]
    assert (await sent(bo, form_of(page, "cover"), "Mended."))[0] == 303
    row = await registry.find_coverage(Scope.SHOP, OWN)
    assert row is not None and (row.covered, row.set_by, row.reason) == (True, "bo", "Mended.")
    page = await bo.see(ON)
    assert steps(page) == ["out", "unset"]
    assert (await sent(bo, form_of(page, "unset"), "The gates do."))[0] == 303
    assert await registry.find_coverage(Scope.SHOP, OWN) is None
    events = await market.service.audit_log.events(
        actor=None, action=AuditAction.COVERAGE_SET, subject=f"shop {OWN}", before=None, limit=9
    )
    assert [event.actor for event in events] == ["bo", "ada"]


async def test_gates_are_shown_with_their_figures_also_private_ones(market: Marketplace, visit: Visit) -> None:
    await gated(market, SHOP, experience_score=40, secret_score=950)
    visitor = await visit(SUPPORT)
    page = await visitor.see(ON)
    for said in ("shop.experience_score = 40", "shop.secret_score = 950", "Notice given", "not public", "Gate hidden"):
        assert said in page.text, said
    assert "The shop is not covered" in page.text and "A secret" in page.text
    page = await (await visit(ADA)).see(ON)
    assert steps(page) == ["cover"], "a gate has taken it out, and no person has set it"


async def test_where_two_people_approve_covering_is_proposed_also_by_an_operator(
    market: Marketplace, visit: Visit
) -> None:
    assert await market.service.policies.end_single_person(by="tests", now=market.service.clock())
    ada, wei = await visit(ADA), await visit(OPERATOR)
    assert (await sent(ada, form_of(await ada.see(ON), "out"), "Ships too late."))[0] == 303
    page = await ada.see(ON)
    assert "You did this. Somebody else confirms it." in page.text
    cover = form_of(page, "cover")
    assert cover.action == PROPOSE
    status, text = await sent(ada, Form(SET, cover.fields), "At once.")
    assert status == 409 and "second person approves" in Page(text).text
    assert form_of(Page(text), "cover").fields["reason"] == "At once."
    assert (await sent(ada, Form(PROPOSE, cover.fields), "x", step="out"))[0] == 400
    theirs = await wei.see(ON)
    assert [form_of(theirs, step).action for step in steps(theirs)] == [PROPOSE, PROPOSE]
    confirm = next(form for form in theirs.forms if "/confirmations/" in form.action)
    done = await wei.post(confirm.action, confirm.fields)
    assert (done.status_code, done.headers["location"]) == (303, ON)
    status, where = await sent(wei, form_of(theirs, "cover"), "Mended.")
    (waiting,) = await market.service.proposals.list(states=NOT_CLOSED, limit=9)
    assert (status, where) == (303, f"/risk/policies/proposals/{waiting.proposal_id}")
    assert "waits for a second person" in (await ada.see(ON)).text
    approve = (await ada.see(where)).form(f"{where}/approve")
    assert (await ada.post(approve.action, approve.fields)).status_code == 303
    row = await market.service.registry.find_coverage(Scope.SHOP, OWN)
    assert row is not None and row.covered


async def test_a_category_or_item_is_taken_out_but_not_over_what_somebody_set(
    market: Marketplace, visit: Visit
) -> None:
    await market.order(NEWCOMER, "A-1", [("水壶", 1, 8900)])
    visitor, registry = await visit(ADA), market.service.registry
    another = next(form for form in (await visitor.see(ON)).forms if form.fields.get("ref") == "")
    assert (await sent(visitor, another, "Under review.", ref="a b"))[0] == 422
    assert (await sent(visitor, another, "Under review.", scope="platform"))[0] == 400
    for scope, ref, said in (("category", "cars", "No category has this id."), ("item", "item-9", "has sold no item")):
        status, text = await sent(visitor, another, "Under review.", scope=scope, ref=ref)
        page = Page(text)
        assert (status, said in page.text) == (422, True), scope
        kept = next(form.fields for form in page.forms if form.fields.get("form") == "another")
        assert {"scope": scope, "ref": ref, "reason": "Under review."}.items() <= kept.items(), "it can be corrected"
        assert steps(page) == ["out"], "an unknown place is none of the shop's"
    assert {row.scope for row in await registry.coverage_rows(CoverageFilter())} == {Scope.SHOP}
    anyway = await sent(visitor, another, "Recalled.", scope="item", ref="item-9", anyway="yes")
    assert anyway[0] == 303 and await registry.find_coverage(Scope.ITEM, "item-9") is not None
    assert (await sent(visitor, another, "Recalled.", scope="item", ref="item-1"))[0] == 303
    assert (await sent(visitor, another, "Under review.", scope="category", ref="outdoor"))[0] == 303
    page = await visitor.see(ON)
    assert "Category outdoor" in page.text and "Under review." in page.text and "The shop is covered" in page.text
    status, text = await sent(visitor, another, "Something else.", scope="category", ref="outdoor")
    assert status == 409 and "Something else." in Page(text).text
    row = await registry.find_coverage(Scope.CATEGORY, "outdoor")
    assert row is not None and row.reason == "Under review."
    assert (await sent(visitor, form_of(page, "cover", "outdoor"), "Reviewed."))[0] == 303
    row = await registry.find_coverage(Scope.CATEGORY, "outdoor")
    assert row is not None and row.covered


async def test_a_shop_without_a_row_goes_by_the_platforms(market: Marketplace, visit: Visit) -> None:
    service = market.service
    out = Coverage(Scope.PLATFORM, "", False, "A drill.", "ada", service.clock())
    await service.registry.set_coverage(out)
    visitor = await visit(ADA)
    page = await visitor.see(ON)
    assert "The shop is not covered" in page.text and "A drill." in page.text and steps(page) == ["cover"]
    assert (await sent(visitor, form_of(page, "cover"), "A pilot."))[0] == 303
    assert "The shop is covered" in (await visitor.see(ON)).text


async def test_a_complaint_is_answered_once_in_words(market: Marketplace, visit: Visit) -> None:
    complaint = await complained(market)
    path = f"{ON}/complaints/{complaint}/answer"
    ada, wei = await visit(ADA), await visit(OPERATOR)
    listed = await wei.see("/risk/shops")
    assert SHOP.display_name in listed.text and "left" in listed.text and "罢工不应计入" in listed.text
    form = (await wei.see(ON)).form(path).fields
    early = (await ada.see(ON)).form(path).fields
    told = {"outcome": "upheld", "answer": "It is left out.\nSorry."}
    for wrong in ({"outcome": ""}, {"answer": " "}, {"answer": "x" * 2001}):
        unsent = await wei.post(path, {**form, **told, **wrong})
        assert unsent.status_code == 422, wrong
        assert Page(unsent.text).form(path).fields["outcome"] == {**told, **wrong}["outcome"]
    assert (await wei.post(f"/risk/shops/{OTHER}/complaints/{complaint}/answer", {**form, **told})).status_code == 404
    assert (await wei.post(path, {**form, **told})).status_code == 303
    late = await ada.post(path, {**early, "outcome": "rejected", "answer": "It was not."})
    page = Page(late.text)
    assert late.status_code == 409 and "answered this complaint already" in page.text and "It was not." in page.text
    known = await market.service.complaints.get(complaint)
    assert known is not None and (known.state, known.answered_by, known.answer) == (
        ComplaintState.ANSWERED,
        "wei",
        "It is left out.\nSorry.",
    )
    assert "No complaint waits for an answer" in (await wei.see("/risk/shops")).text


async def test_a_complaint_about_an_incident_is_answered_with_the_incident(market: Marketplace, visit: Visit) -> None:
    complaint, incident = await complained(market), await market.incident()
    complaints = market.service.complaints
    assert isinstance(complaints, PostgresComplaints)
    async with complaints._pool.connection() as connection:
        await connection.execute("UPDATE complaint SET incident_id = %s, decided_by = 'wei'", (incident,))
    visitor = await visit(ADA)
    page = await visitor.see(ON)
    assert f"/support/incidents/{incident}" in [given.get("href") for tag, given in page.tags if tag == "a"]
    path = f"{ON}/complaints/{complaint}/answer"
    assert path not in [form.action for form in page.forms]
    fields = {**form_of(page, "out").fields, "outcome": "upheld", "answer": "Yes."}
    refused = await visitor.post(path, fields)
    assert refused.status_code == 409 and "on the incident's page" in Page(refused.text).text


async def test_others_of_the_platform_read_and_are_shown_no_form(market: Marketplace, visit: Visit) -> None:
    await complained(market)
    for person in (SUPPORT, AUDITOR):
        visitor = await visit(person)
        for path in (ON, f"/risk/shops/{OTHER}", "/risk/shops?show=places"):
            page = await visitor.see(path)
            posts = [form.action for form in page.forms if form.action.startswith(("/risk/shops/", "/risk/policies"))]
            assert posts == [], path
    assert (await visitor.get("/risk/shops/nobody")).status_code == 404
    opened = await visitor.get(f"/risk/shops?shop={OWN}")
    assert (opened.status_code, opened.headers["location"]) == (303, ON)
    assert (await visitor.get("/risk/shops?shop=nobody")).status_code == 404
    for wrong in ("show=x", "after=x", "show=places&after=x"):
        assert (await visitor.get(f"/risk/shops?{wrong}")).status_code == 400, wrong
    page = await visitor.see(f"/search?q={OWN}")
    assert ON in [given.get("href") for tag, given in page.tags if tag == "a"]
    assert "Nothing has this id" in (await (await visit(SHOP)).see(f"/search?q={OWN}")).text


async def test_lists_have_pages_and_files(market: Marketplace, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shops_page, "ROWS", 1)
    now = market.service.clock()
    await complained(market)
    await complained(market, OTHER, "Another.")
    gate = Coverage(Scope.CATEGORY, "outdoor", False, "Under review.", "ada", now - timedelta(days=1))
    await market.service.registry.set_coverage(gate)
    visitor = await visit(AUDITOR)
    for show in ("open", "all", "places"):
        first = await visitor.see(f"/risk/shops?show={show}")
        following = next(given["href"] for tag, given in first.tags if tag == "a" and "after=" in given.get("href", ""))
        rest = await visitor.see(following)
        assert first.text != rest.text
        assert "after=" not in "".join(given.get("href", "") for tag, given in rest.tags if tag == "a"), show
        rows = list(csv.reader(io.StringIO((await visitor.get(f"/risk/shops.csv?show={show}")).text)))
        assert len(rows) == 3, show
    assert rows[1][:4] == ["Category", "outdoor", "Not covered", "ada"]
    found = await market.service.registry.coverage_rows(CoverageFilter())
    assert [(row.scope, row.ref) for row in found] == [(Scope.CATEGORY, "outdoor"), (Scope.SHOP, OTHER)]
