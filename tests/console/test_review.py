"""The merchant's review: the list, many at once, assignment, offers, templates, arbitration; and the buyer's side."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from jitui.aftersales.commands.arbitration import ArbitrationDecision, decide_arbitration
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.model.review import ArbitrationState, AtFault, RejectionCode
from jitui.aftersales.model.ticket import Actor, ActorKind, ApprovedBy, Ticket, TicketState
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import TicketRef
from jitui.identity.access import Role
from jitui.identity.people import Person, enrol
from jitui.ids import lane_of_id
from tests.console.conftest import Visit
from tests.console.marketplace import NEWCOMER, OTHER_SHOP, PREMIUM, SHOP, Marketplace
from tests.console.pages import Page, Visitor

GOODS = [("水壶", 2, 8900)]
SAID = {"code": "other", "reason": "We have packed it.", "evidence": "A photo.", "address": "https://files.example/1"}
REVIEW = "/merchant/review"
COLLEAGUE = Person("he", Role.MERCHANT, SHOP.subject_id, "何", sample=True)


async def reviewed(market: Marketplace, order_id: str = "B-1", *, shop: Person = SHOP) -> UUID:
    await market.order(NEWCOMER, order_id, GOODS, shop=shop)
    return await market.ask(NEWCOMER, order_id)


async def ticket(market: Marketplace, ticket_id: UUID) -> Ticket:
    snapshot = await market.service.store.read_order(TicketRef(lane_of_id(ticket_id), ticket_id))
    assert snapshot is not None
    return snapshot.ticket(ticket_id)


async def ticked(visitor: Visitor, action: str, *tickets: UUID, **fields: str) -> tuple[int, Page]:
    """Send the list's form with these tickets ticked, as the page gave their versions."""
    page = await visitor.see(REVIEW)
    versions = {given["name"]: given["value"] for tag, given in page.tags if given.get("type") == "checkbox"}
    chosen = {f"ticket.{ticket_id}": versions.get(f"ticket.{ticket_id}", "1") for ticket_id in tickets}
    done = await visitor.post(REVIEW, {**page.form(REVIEW).fields, **chosen, "action": action, **fields})
    return done.status_code, Page(done.text)


# The list --------------------------------------------------------------------------------------------------------


async def test_what_waits_is_listed_with_its_deadline_in_words_and_the_facts(market: Marketplace, visit: Visit) -> None:
    await reviewed(market, "B-1")
    await market.order(PREMIUM, "A-1", GOODS)
    await market.ask(PREMIUM, "A-1")
    await reviewed(market, "C-1", shop=OTHER_SHOP)
    page = await (await visit(SHOP)).see(REVIEW)
    assert "B-1" in page.text and "水壶 × 2" in page.text and "No longer wanted" in page.text
    assert any(left in page.text for left in ("1 day 23 hr", "2 days")) and "then approved" in page.text
    assert "of CN¥89.00 paid" in page.text
    assert "A-1" not in page.text and "C-1" not in page.text


async def test_the_most_urgent_come_first_and_the_others_on_the_next_page(market: Marketplace, visit: Visit) -> None:
    for index in range(21):
        await reviewed(market, f"B-{index:02}")
    visitor = await visit(SHOP)
    first = await visitor.see(REVIEW)
    orders = [given["aria-label"][-4:] for tag, given in first.tags if given.get("type") == "checkbox"]
    assert orders == [f"B-{index:02}" for index in range(20)]
    link = next(given["href"] for tag, given in first.tags if "after=" in given.get("href", ""))
    assert "B-20" in (await visitor.see(link)).text
    assert (await visitor.get(f"{REVIEW}?after=x")).status_code == 400


async def test_with_nothing_to_review_it_says_so(visit: Visit) -> None:
    assert "Nothing waits for you" in (await (await visit(SHOP)).see(REVIEW)).text


# Many at once ----------------------------------------------------------------------------------------------------


async def test_many_are_approved_and_what_stood_against_one_is_said_of_it(market: Marketplace, visit: Visit) -> None:
    ids = [await reviewed(market, f"B-{index}") for index in range(3)]
    others = await reviewed(market, "C-1", shop=OTHER_SHOP)
    visitor, page = await visit(SHOP), await (await visit(SHOP)).see(REVIEW)
    fields = {**page.form(REVIEW).fields, **{f"ticket.{one}": "1" for one in (*ids, others)}, "action": "approve"}
    buyer = await visit(NEWCOMER)
    path = f"/buyer/tickets/{ids[1]}"
    assert (await buyer.send(path, f"{path}/withdraw")).status_code == 303
    fields["_csrf_token"] = (await visitor.see(REVIEW)).form(REVIEW).fields["_csrf_token"]
    done = Page((await visitor.post(REVIEW, fields)).text).text
    states = [(await ticket(market, one)).state for one in ids]
    assert states == [TicketState.REFUNDING, TicketState.WITHDRAWN, TicketState.REFUNDING]
    assert (await ticket(market, others)).state is TicketState.AWAITING_MERCHANT
    assert done.count("Done") == 2
    assert "This ticket was closed already." in done and "not yours to see" in done
    assert (await ticket(market, ids[0])).approved_by is ApprovedBy.MERCHANT


async def test_many_are_rejected_for_one_reason_that_each_buyer_reads(market: Marketplace, visit: Visit) -> None:
    ids = [await reviewed(market, f"B-{index}") for index in range(2)]
    visitor = await visit(SHOP)
    status, page = await ticked(visitor, "reject", *ids, **{**SAID, "evidence": ""})
    assert status == 422
    assert page.form(REVIEW).fields["reason"] == SAID["reason"]
    assert {f"ticket.{one}" for one in ids} <= set(page.form(REVIEW).fields)  # still ticked
    assert (await ticket(market, ids[0])).state is TicketState.AWAITING_MERCHANT
    status, page = await ticked(visitor, "reject", *ids, **SAID)
    assert status == 200
    assert "Nothing waits for you" in page.text  # although the list, a copy, is a moment late
    assert {(await ticket(market, one)).state for one in ids} == {TicketState.REJECTED}
    read = (await (await visit(NEWCOMER)).see(f"/buyer/tickets/{ids[0]}")).text
    assert "Another reason" in read and "We have packed it." in read and "A photo. https://files.example/1" in read


async def test_a_stale_version_decides_nothing(market: Marketplace, visit: Visit) -> None:
    ticket_id = await reviewed(market)
    visitor = await visit(SHOP)
    path = f"/merchant/tickets/{ticket_id}"
    stale = (await visitor.see(REVIEW)).form(REVIEW).fields
    offered = await visitor.send(path, f"{path}/offer", **{"units.l1": "1", "reason": "One is made already."})
    assert offered.status_code == 303
    done = await visitor.post(REVIEW, {**stale, f"ticket.{ticket_id}": "1", "action": "approve"})
    assert "Somebody changed this ticket" in Page(done.text).text
    assert (await ticket(market, ticket_id)).state is TicketState.AWAITING_MERCHANT


@pytest.mark.parametrize(
    "fields",
    [{"action": "pay"}, {"action": "approve", "ticket.x": "1"}, {"action": "approve", f"ticket.{UUID(int=1)}": "x"}],
)
async def test_a_form_that_this_page_did_not_make_is_a_bad_request(
    market: Marketplace, visit: Visit, fields: dict[str, str]
) -> None:
    await reviewed(market)
    visitor = await visit(SHOP)
    token = (await visitor.see(REVIEW)).form(REVIEW).fields["_csrf_token"]
    assert (await visitor.post(REVIEW, {"_csrf_token": token, **fields})).status_code == 400


async def test_nothing_ticked_is_said(market: Marketplace, visit: Visit) -> None:
    await reviewed(market)
    status, page = await ticked(await visit(SHOP), "approve")
    assert status == 422 and "Please tick at least one ticket." in page.text


# Assignment ------------------------------------------------------------------------------------------------------


async def test_a_colleague_does_not_decide_what_somebody_works_on_unless_it_is_taken_over(
    market: Marketplace, visit: Visit
) -> None:
    await enrol(market.service.people, COLLEAGUE, None, now=market.service.clock())
    ticket_id = await reviewed(market)
    path = f"/merchant/tickets/{ticket_id}"
    first, second = await visit(SHOP), await visit(COLLEAGUE)
    assert (await ticked(first, "assign", ticket_id))[0] == 200
    assert "You work on this ticket until" in (await first.see(path)).text
    page = await second.see(path)
    assert f"{SHOP.name} works on this ticket until" in page.text
    refused = await second.send(path, f"{path}/approve")
    assert refused.status_code == 409 and "Somebody else works on this ticket now." in Page(refused.text).text
    assert (await second.send(path, f"{path}/assign")).status_code == 303
    assert (await first.see(path)).form(f"{path}/assign").fields["take_over"] == "yes"
    assert (await second.send(path, f"{path}/release")).status_code == 303
    assert "Nobody works on this ticket." in (await first.see(path)).text
    assert (await first.send(path, f"{path}/assign")).status_code == 303
    without = (await first.see(path)).form(f"{path}/release").fields["_csrf_token"]
    assert without  # the one who works on it gives it back
    fields = {"_csrf_token": (await second.see(path)).form(f"{path}/assign").fields["_csrf_token"]}
    assert (await second.post(f"{path}/assign", fields)).status_code == 409  # not said: take it over


# Offers ----------------------------------------------------------------------------------------------------------


async def test_a_part_is_offered_and_refunded_when_the_buyer_accepts(market: Marketplace, visit: Visit) -> None:
    ticket_id = await reviewed(market)
    shop, buyer = await visit(SHOP), await visit(NEWCOMER)
    path, theirs = f"/merchant/tickets/{ticket_id}", f"/buyer/tickets/{ticket_id}"
    for wrong in ({"units.l1": "0", "reason": "x"}, {"units.l1": "2", "reason": "x"}, {"units.l1": "1", "reason": " "}):
        refused = await shop.send(path, f"{path}/offer", **wrong)
        assert refused.status_code == 422
        assert Page(refused.text).form(f"{path}/offer").fields["units.l1"] == wrong["units.l1"]
    assert "offer/accept" not in (await buyer.get(theirs)).text
    said = {"units.l1": "1", "reason": "One is made already."}
    assert (await shop.send(path, f"{path}/offer", **said)).status_code == 303
    assert "the buyer has not answered" in (await shop.see(path)).text
    page = await buyer.see(theirs)
    assert "One is made already." in page.text and "× 1" in page.text
    stale = {**page.form(f"{theirs}/offer/accept").fields, "version": "1"}
    assert (await buyer.post(f"{theirs}/offer/accept", stale)).status_code == 409
    assert (await buyer.send(theirs, f"{theirs}/offer/accept")).status_code == 303
    decided = await ticket(market, ticket_id)
    assert (decided.state, decided.amount_minor) == (TicketState.REFUNDING, 4450)


async def test_a_declined_offer_leaves_the_whole_request_with_the_shop(market: Marketplace, visit: Visit) -> None:
    ticket_id = await reviewed(market)
    shop, buyer = await visit(SHOP), await visit(NEWCOMER)
    path, theirs = f"/merchant/tickets/{ticket_id}", f"/buyer/tickets/{ticket_id}"
    await shop.send(path, f"{path}/offer", **{"units.l1": "1", "reason": "One is made already."})
    assert (await buyer.send(theirs, f"{theirs}/offer/decline")).status_code == 303
    left = await ticket(market, ticket_id)
    assert (left.state, left.offer, left.amount_minor) == (TicketState.AWAITING_MERCHANT, None, 8900)


# Templates -------------------------------------------------------------------------------------------------------


async def test_a_template_fills_the_rejection_in_and_is_the_shops_own(market: Marketplace, visit: Visit) -> None:
    visitor = await visit(SHOP)
    home = "/merchant/templates"
    for wrong in ({"name": "a b"}, {"code": ""}, {"reason": " "}):
        said = {"name": "engraved", "code": "made_to_order", "reason": "It is engraved.", **wrong}
        assert (await visitor.send(home, home, **said)).status_code == 422
    made = {"name": "engraved", "code": "made_to_order", "reason": "It is engraved."}
    assert (await visitor.send(home, home, **made)).status_code == 303
    ticket_id = await reviewed(market)
    path = f"/merchant/tickets/{ticket_id}"
    form = (await visitor.see(f"{path}?template=engraved")).form(f"{path}/reject").fields
    assert (form["code"], form["reason"]) == (RejectionCode.MADE_TO_ORDER, "It is engraved.")
    assert (await visitor.see(f"{REVIEW}?template=engraved")).form(REVIEW).fields["reason"] == "It is engraved."
    other = await visit(OTHER_SHOP)
    assert "engraved" not in (await other.see(home)).text
    await other.send(home, home, **{**made, "reason": "Ours."})
    assert (await market.service.review_templates.list(SHOP.subject_id))[0].reason == "It is engraved."
    assert (await visitor.send(home, f"{home}/delete")).status_code == 200, "with the way back"
    assert await market.service.review_templates.list(SHOP.subject_id) == []
    assert len(await market.service.review_templates.list(OTHER_SHOP.subject_id)) == 1


# Arbitration -----------------------------------------------------------------------------------------------------


async def test_the_buyer_asks_the_platform_and_both_add_evidence_until_it_decides(
    market: Marketplace, visit: Visit
) -> None:
    ticket_id = await reviewed(market)
    shop, buyer = await visit(SHOP), await visit(NEWCOMER)
    path, theirs = f"/merchant/tickets/{ticket_id}", f"/buyer/tickets/{ticket_id}"
    assert f"{theirs}/arbitration" not in {form.action for form in (await buyer.see(theirs)).forms}
    assert (await shop.send(path, f"{path}/reject", **SAID)).status_code == 303
    assert "The buyer can ask the platform to decide until" in (await shop.see(path)).text
    typed = {"reason": "They lie.", "evidence": "The chat.", "address": "chat of Monday"}
    refused = await buyer.send(theirs, f"{theirs}/arbitration", **typed)
    assert refused.status_code == 422
    kept = Page(refused.text).form(f"{theirs}/arbitration").fields
    assert {name: kept[name] for name in typed} == typed
    assert (await buyer.send(theirs, f"{theirs}/arbitration", **{**typed, "reason": " "})).status_code == 422
    assert (await buyer.send(theirs, f"{theirs}/arbitration", **{**typed, "address": ""})).status_code == 303
    for visitor, page, text in ((shop, path, "The label."), (buyer, theirs, "Another chat.")):
        action = f"{page}/arbitration/evidence"
        assert (await visitor.send(page, action, evidence="")).status_code == 422
        assert (await visitor.send(page, action, evidence=text)).status_code == 303
    read = (await shop.see(path)).text
    assert "They lie." in read and "The chat." in read and "The label." in read and "Another chat." in read
    decision = ArbitrationDecision(AtFault.MERCHANT, None, "It was packed.")
    acting = Acting(Actor(ActorKind.OPERATOR, "li.na"), market.service.clock())
    done = await decide_arbitration(market.service.store, TicketRef(lane_of_id(ticket_id), ticket_id), decision, acting)
    assert not isinstance(done, Refusal)
    for visitor, page in ((shop, path), (buyer, theirs)):
        text = (await visitor.see(page)).text
        assert "Decided for the shop" in text and "It was packed." in text and "li.na" not in text


async def test_the_buyer_stops_asking_and_may_ask_again_within_seven_days(market: Marketplace, visit: Visit) -> None:
    ticket_id = await reviewed(market)
    shop, buyer = await visit(SHOP), await visit(NEWCOMER)
    path, theirs = f"/merchant/tickets/{ticket_id}", f"/buyer/tickets/{ticket_id}"
    await shop.send(path, f"{path}/reject", **SAID)
    for _ in range(2):
        assert (await buyer.send(theirs, f"{theirs}/arbitration", reason="They lie.")).status_code == 303
        assert (await buyer.send(theirs, f"{theirs}/arbitration/withdraw")).status_code == 303
    arbitration = (await ticket(market, ticket_id)).arbitration
    assert arbitration is not None and arbitration.state is ArbitrationState.WITHDRAWN


@pytest.mark.parametrize(("passed", "is_shown"), [(timedelta(days=7), True), (timedelta(days=7, seconds=5), False)])
async def test_the_platform_is_asked_within_seven_days_after_the_rejection(
    market: Marketplace, visit: Visit, passed: timedelta, is_shown: bool
) -> None:
    ticket_id = await reviewed(market)
    shop = await visit(SHOP)
    path, theirs = f"/merchant/tickets/{ticket_id}", f"/buyer/tickets/{ticket_id}"
    await shop.send(path, f"{path}/reject", **SAID)
    rejected_at = (await ticket(market, ticket_id)).closed_at
    assert rejected_at is not None
    then = rejected_at + passed
    object.__setattr__(market.service, "clock", lambda: then)
    buyer = await visit(NEWCOMER)
    page = await buyer.see(theirs)
    assert (f"{theirs}/arbitration" in {form.action for form in page.forms}) is is_shown
    fields = {"_csrf_token": page.forms[0].fields["_csrf_token"], "reason": "They lie."}
    assert (await buyer.post(f"{theirs}/arbitration", fields)).status_code == (303 if is_shown else 409)


async def test_a_template_that_was_deleted_or_replaced_comes_back_by_one_click(
    market: Marketplace, visit: Visit
) -> None:
    home, visitor = "/merchant/templates", await visit(SHOP)
    kept = {"name": "engraved", "code": "made_to_order", "reason": "It is engraved."}
    assert (await visitor.send(home, home, **kept)).status_code == 303
    assert (await visitor.send(home, home, **kept)).status_code == 303, "the same again replaces nothing"

    async def undone(answer: str) -> None:
        page = Page(answer)
        form = next(one for one in page.forms if one.fields.get("reason") == "It is engraved." and one.action == home)
        assert (await visitor.post(home, form.fields)).status_code in (200, 303)
        (back,) = await market.service.review_templates.list(SHOP.subject_id)
        assert (back.name, back.reason_code.value, back.reason) == tuple(kept.values())

    replaced = await visitor.send(home, home, **{**kept, "reason": "Made to order."})
    assert replaced.status_code == 200 and "engraved was replaced." in Page(replaced.text).text
    await undone(replaced.text)
    deleted = await visitor.send(home, f"{home}/delete", name="engraved")
    assert deleted.status_code == 200 and "engraved was deleted." in Page(deleted.text).text
    assert await market.service.review_templates.list(SHOP.subject_id) == []
    await undone(deleted.text)
