"""Buyers for risk: what decisions read, restricting, lifting, appeals; who reads what, and stale forms."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID

import pytest

from jitui.aftersales.governance.appeals import AppealState
from jitui.aftersales.governance.proposals import NOT_CLOSED
from jitui.aftersales.governance.registry import RestrictionFilter
from jitui.aftersales.model.order import Buyer
from jitui.entrypoints.console.risk import buyers as buyers_page
from jitui.identity.audit import AuditAction
from jitui.ids import lane_of
from tests.console.conftest import Visit
from tests.console.marketplace import NEWCOMER, OPERATOR, PREMIUM, SUPPORT, Marketplace
from tests.console.operators import AUDITOR, staffed
from tests.console.pages import Form, Page
from tests.console.policies import ADA, BO, enrolled
from tests.console.risk import linked

BUYER = NEWCOMER.subject_id
ON = f"/risk/buyers/{BUYER}"
RESTRICT = f"{ON}/restrictions"


@pytest.fixture(autouse=True)
async def _people(market: Marketplace) -> None:
    await staffed(market)
    await enrolled(market)


def actions(page: Page) -> list[str]:
    return [form.action for form in page.forms if form.action.startswith("/risk/")]


async def test_the_page_says_what_decisions_read_and_how_much_of_the_cap_is_left(
    market: Marketplace, visit: Visit
) -> None:
    buyer = PREMIUM.subject_id
    await market.order(PREMIUM, "A-1", [("水壶", 1, 8900)])
    await market.service.feed.roll_up(market.service.clock())
    ticket = await market.ask(PREMIUM, "A-1")
    visitor = await visit(ADA)
    page = await visitor.see(f"/risk/buyers/{buyer}")
    caps = (await market.service.policy_in_force.current()).caps.per_buyer
    assert caps is not None and caps.count is not None and caps.amount_minor is not None
    assert f"1 of {caps.count} used, {caps.count - 1} left" in page.text
    assert f"{(caps.amount_minor - 8900) / 100:,.2f} left" in page.text
    assert "On the allow list" in page.text
    assert "buyer.completed_orders_365d" in page.text
    # twelve events were recorded, and the decision read as many
    row = page.text[page.text.index("buyer.completed_orders_365d") :].split()
    assert row[1:3] == ["12", "12"]
    links = [given["href"] for tag, given in page.tags if tag == "a"]
    assert f"/support/tickets/{ticket}" in links and f"/support/tickets/{ticket}/why" in links
    assert f"/operations/refunds?buyer={buyer}" in links
    nothing = (await visitor.see(ON)).text
    assert "has asked for no refund" in nothing and "never restricted" in nothing and "no order" in nothing


async def test_an_unknown_buyer_is_not_found_and_the_field_opens_a_known_one(visit: Visit) -> None:
    visitor = await visit(ADA)
    assert (await visitor.get("/risk/buyers/nobody")).status_code == 404
    opened = await visitor.get(f"/risk/buyers?buyer=%20{BUYER}%20")
    assert (opened.status_code, opened.headers["location"]) == (303, ON)
    for typed in ("nobody", "a b", "<b>"):
        missing = await visitor.http.get("/risk/buyers", params={"buyer": typed})
        assert missing.status_code == 404
        assert f"No buyer has the id {typed}." in Page(missing.text).text.replace("\u2068", "").replace("\u2069", "")
    for wrong in ("show=x", "after=x", "show=restricted&after=WyJ4Il0"):
        assert (await visitor.get(f"/risk/buyers?{wrong}")).status_code == 400, wrong


async def test_a_buyer_is_restricted_once_and_a_stale_form_keeps_what_was_typed(
    market: Marketplace, visit: Visit
) -> None:
    await market.order(PREMIUM, "A-1", [("水壶", 1, 8900)])
    await market.order(NEWCOMER, "A-2", [("水壶", 1, 8900)])
    ada, bo = await visit(ADA), await visit(BO)
    registry = market.service.registry
    early = (await bo.see(ON)).form(RESTRICT).fields
    form = {
        **(await ada.see(ON)).form(RESTRICT).fields,
        "reason": "In series.",
        "orders": "A-1\nA-2",
        "note": "Eleven.",
    }
    for wrong in ({"reason": " "}, {"reason": "x" * 501}, {"ends_at": "2020-01-01T00:00"}, {"orders": "a b"}):
        refused = await ada.post(RESTRICT, {**form, **wrong})
        assert refused.status_code == 422, wrong
        assert Page(refused.text).form(RESTRICT).fields["note"] == "Eleven."
    unknown = await ada.post(RESTRICT, {**form, "orders": "A-1\nA-3\nA-4"})
    assert unknown.status_code == 422
    assert "No order has this id: A-3, A-4." in Page(unknown.text).text
    assert Page(unknown.text).form(RESTRICT).fields["orders"] == "A-1\nA-3\nA-4", "what was typed is kept"
    assert await registry.restrictions_of(BUYER) == []
    for _ in range(2):  # sent twice it is one restriction
        done = await ada.post(RESTRICT, form)
        assert (done.status_code, done.headers["location"]) == (303, ON)
    (row,) = await registry.restrictions_of(BUYER)
    assert (row.reason, row.set_by, row.evidence.order_ids, row.evidence.note) == (
        "In series.",
        "ada",
        ("A-1", "A-2"),
        "Eleven.",
    )
    assert row.ends_at is not None
    assert timedelta(days=89) < row.ends_at - row.starts_at <= timedelta(days=90)
    late = await bo.post(RESTRICT, {**early, "reason": "Cancels often."})
    assert late.status_code == 409
    page = Page(late.text)
    assert "set or lifted since you opened this page" in page.text and "In series." in page.text
    assert page.form(RESTRICT).fields["reason"] == "Cancels often."
    assert len(await registry.restrictions_of(BUYER)) == 1
    again = await bo.post(RESTRICT, {**page.form(RESTRICT).fields, "ends_at": ""})
    assert again.status_code == 303
    assert [one.ends_at for one in await registry.restrictions_of(BUYER)].count(None) == 1
    events = await market.service.audit_log.events(
        actor="ada", action=AuditAction.RESTRICTION_SET, subject=None, before=None, limit=9
    )
    assert [event.subject for event in events] == [str(row.restriction_id)]


async def test_one_person_lifts_where_one_is_enough_and_only_what_stands(market: Marketplace, visit: Visit) -> None:
    restriction = await market.restricted(NEWCOMER)
    path = f"{RESTRICT}/{restriction}/lift"
    ada, bo = await visit(ADA), await visit(BO)
    form = (await bo.see(ON)).form(path).fields
    assert (await ada.send(ON, path, reason=" ")).status_code == 422
    assert (await ada.send(ON, path, reason="The warehouse's fault.")).status_code == 303
    late = await bo.post(path, {**form, "reason": "It is over."})
    assert late.status_code == 409
    page = Page(late.text)
    assert "does not stand any more" in page.text and "It is over." in page.text and path not in actions(page)
    (row,) = await market.service.registry.restrictions_of(BUYER)
    assert (row.lifted_by, row.lift_reason) == ("ada", "The warehouse's fault.")
    other = f"/risk/buyers/{PREMIUM.subject_id}/restrictions/{restriction}/lift"
    assert (await bo.post(other, {**form, "reason": "x"})).status_code == 404


async def test_where_two_people_approve_the_end_is_proposed_and_what_was_done_is_confirmed(
    market: Marketplace, visit: Visit
) -> None:
    assert await market.service.policies.end_single_person(by="tests", now=market.service.clock())
    restriction = await market.restricted(NEWCOMER, by="ada")
    ada, bo = await visit(ADA), await visit(BO)
    path = f"{RESTRICT}/{restriction}/propose-lift"
    page = await ada.see(ON)
    assert "You did this. Somebody else confirms it." in page.text
    alone = {**page.form(path).fields, "reason": "Not so bad."}
    refused = await ada.post(f"{RESTRICT}/{restriction}/lift", alone)
    assert refused.status_code == 409 and "second person approves" in Page(refused.text).text
    assert Page(refused.text).form(path).fields["reason"] == "Not so bad."
    listed = await bo.see("/risk/buyers")
    confirm = next(form for form in listed.forms if "/confirmations/" in form.action)
    assert confirm.fields["back"] == "/risk/buyers"
    done = await bo.post(confirm.action, confirm.fields)
    assert (done.status_code, done.headers["location"]) == (303, "/risk/buyers")
    assert await market.service.confirmations.open(limit=9) == []
    done = await ada.post(path, alone)
    (waiting,) = await market.service.proposals.list(states=NOT_CLOSED, limit=9)
    assert (done.status_code, done.headers["location"]) == (303, f"/risk/policies/proposals/{waiting.proposal_id}")
    page = await bo.see(ON)
    assert "waits for a second person" in page.text and path not in actions(page)
    approve: Form = (await bo.see(done.headers["location"])).form(f"{done.headers['location']}/approve")
    assert (await bo.post(approve.action, approve.fields)).status_code == 303
    (row,) = await market.service.registry.restrictions_of(BUYER)
    assert row.lifted_at is not None


async def test_an_appeal_is_decided_by_another_person_once(market: Marketplace, visit: Visit) -> None:
    restriction = await market.restricted(NEWCOMER, by="ada")
    appeal = await market.contested(NEWCOMER, restriction)
    path = f"{ON}/appeals/{appeal}/decide"
    ada, bo = await visit(ADA), await visit(BO)
    form = (await bo.see(ON)).form(path).fields
    own = await ada.see(ON)
    assert path not in actions(own) and "Another person decides" in own.text
    told = {"verdict": "upheld", "answer": "The shop asked for it."}
    refused = await ada.post(path, {**own.form(RESTRICT).fields, **told})
    assert refused.status_code == 409 and "The shop asked for it." in Page(refused.text).text
    for wrong in ({"verdict": ""}, {"answer": " "}, {"answer": "x" * 501}):
        unsent = await bo.post(path, {**form, **told, **wrong})
        assert unsent.status_code == 422, wrong
        assert Page(unsent.text).form(path).fields["verdict"] == {**told, **wrong}["verdict"]
    assert (await bo.post(f"/risk/buyers/{PREMIUM.subject_id}/appeals/{appeal}/decide", form)).status_code == 404
    assert (await bo.post(path, {**form, **told})).status_code == 303
    late = await bo.post(path, {**form, "verdict": "rejected", "answer": "No."})
    assert late.status_code == 409 and "decided this appeal already" in Page(late.text).text
    assert "No." in Page(late.text).text
    decided = await market.service.appeals.get(appeal)
    assert decided is not None and (decided.state, decided.decided_by) == (AppealState.UPHELD, "bo")
    (row,) = await market.service.registry.restrictions_of(BUYER)
    assert row.lifted_by == "bo"


async def test_support_opens_an_appeal_for_a_buyer_and_decides_nothing(market: Marketplace, visit: Visit) -> None:
    restriction = await market.restricted(NEWCOMER)
    await linked(market, BUYER, PREMIUM.subject_id)
    visitor = await visit(SUPPORT)
    path = f"{RESTRICT}/{restriction}/appeal"
    page = await visitor.see(ON)
    assert actions(page) == [path]
    assert "Linked accounts" not in page.text
    form = page.form(path).fields
    assert (await visitor.post(path, {**form, "text": "\n"})).status_code == 422
    assert (await visitor.post(path, {**form, "text": "By phone:\nit was the shop."})).status_code == 303
    late = await visitor.post(path, {**form, "text": "Something else."})
    assert late.status_code == 409 and "open already" in Page(late.text).text and "Something else." in late.text
    page = await visitor.see(ON)
    assert actions(page) == [] and "somebody of risk decides" in page.text
    listed = await visitor.see("/risk/buyers")
    assert BUYER in listed.text and "left" in listed.text and "it was the shop" in listed.text


async def test_who_may_not_act_sees_no_form_and_the_auditor_sees_linked_accounts(
    market: Marketplace, visit: Visit
) -> None:
    await market.contested(NEWCOMER, await market.restricted(NEWCOMER))
    await linked(market, BUYER, PREMIUM.subject_id)
    page = await (await visit(AUDITOR)).see(ON)
    assert actions(page) == [] and "Linked accounts" in page.text
    assert f"/risk/buyers/{PREMIUM.subject_id}" in [given["href"] for tag, given in page.tags if tag == "a"]
    assert "a" * 40 not in page.html
    assert actions(await (await visit(OPERATOR)).see(ON)) == []


async def test_lists_have_pages_and_files(market: Marketplace, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buyers_page, "ROWS", 2)
    ids = [await market.restricted(NEWCOMER) for _ in range(3)]
    for one in ids:
        await market.contested(NEWCOMER, one)
    await market.service.registry.lift_restriction(ids[0], market.service.clock(), by="bo", reason="x")
    ids.append(await market.restricted(PREMIUM))
    visitor = await visit(AUDITOR)
    for show, count in (("restricted", 3), ("open", 3), ("all", 3)):
        first = await visitor.see(f"/risk/buyers?show={show}")
        following = next(given["href"] for tag, given in first.tags if tag == "a" and "after=" in given.get("href", ""))
        rest = await visitor.see(following)
        both = [
            given["href"].partition("#")[2] or given["href"]
            for page in (first, rest)
            for tag, given in page.tags
            if tag == "a" and given.get("href", "").startswith("/risk/buyers/")
        ]
        assert len(both) == count, show
        rows = list(csv.reader(io.StringIO((await visitor.get(f"/risk/buyers.csv?show={show}")).text)))
        assert len(rows) == count + 1, show
    standing = await market.service.registry.standing_restrictions(RestrictionFilter(market.service.clock()))
    assert [one.restriction_id for one in standing] == list(reversed(ids[1:]))
    assert UUID(rows[1][1]) in ids
    last = max(one.ends_at for one in standing if one.ends_at is not None)
    for at, count in ((last - timedelta(microseconds=1), 1), (last, 0)):
        assert len(await market.service.registry.standing_restrictions(RestrictionFilter(at))) == count


async def test_an_id_of_any_signs_has_a_page_and_forms_that_work(market: Marketplace, visit: Visit) -> None:
    odd = "b?x=1&y#2%2F<i>é" + "8" * 100
    service, path = market.service, f"/risk/buyers/{quote(odd, safe='')}"
    await service.registry.put_buyer(Buyer(lane_of(odd), odd), service.clock())
    visitor = await visit(ADA)
    assert (await visitor.http.get("/risk/buyers", params={"buyer": odd})).headers["location"] == path
    done = await visitor.send(path, f"{path}/restrictions", reason="In series.")
    assert (done.status_code, done.headers["location"]) == (303, path)
    assert len(await service.registry.restrictions_of(odd)) == 1
    listed = await visitor.see("/risk/buyers?show=restricted")
    assert path in [given.get("href") for tag, given in listed.tags if tag == "a"]
    assert "<i>" not in listed.html


async def test_the_search_leads_to_the_buyer(visit: Visit) -> None:
    page = await (await visit(SUPPORT)).see(f"/search?q={BUYER}")
    assert ON in [given.get("href") for tag, given in page.tags if tag == "a"]
