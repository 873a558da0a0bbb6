"""The merchant's pages: the notice, the list with its filters, decisions with the version seen, and the coverage."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from jitui.aftersales import shipping_risks
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve
from jitui.aftersales.governance.complaint import ComplaintAnswer, ComplaintFilter, ContestOutcome
from jitui.aftersales.governance.gates import GateRules, Recomputing, recompute_places
from jitui.aftersales.governance.registry import Coverage, Scope, Shop
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import Actor, ActorKind, ApprovedBy, Ticket, TicketState
from jitui.aftersales.ports import TicketRef
from jitui.entrypoints.console.merchant.shipping import WHAT_TO_DO
from jitui.ids import lane_of_id
from tests.aftersales.gating import gated_policy
from tests.console.conftest import Visit
from tests.console.marketplace import NEWCOMER, OTHER_SHOP, PREMIUM, SHOP, Marketplace
from tests.console.pages import Page, Visitor

NOTICE_ZH = "该用户为平台优质用户且订单满足极速退款条件，平台已自动审核通过卖家发货前仅退款申请"
GOODS = [("水壶", 1, 8900)]


async def instant(market: Marketplace, order_id: str = "A-1") -> UUID:
    await market.order(PREMIUM, order_id, GOODS)
    return await market.ask(PREMIUM, order_id)


SAID = {"code": "other", "reason": "no", "evidence": "a message"}


async def reviewed(market: Marketplace, order_id: str = "B-1") -> UUID:
    await market.order(NEWCOMER, order_id, GOODS)
    return await market.ask(NEWCOMER, order_id)


async def ticket(market: Marketplace, ticket_id: UUID) -> Ticket:
    snapshot = await market.service.store.read_order(TicketRef(lane_of_id(ticket_id), ticket_id))
    assert snapshot is not None
    return snapshot.ticket(ticket_id)


async def test_a_ticket_decided_by_the_service_says_so_in_the_readers_language(
    market: Marketplace, visit: Visit
) -> None:
    path = f"/merchant/tickets/{await instant(market)}"
    assert NOTICE_ZH in (await (await visit(SHOP, "zh-CN")).see(path)).text
    english = (await (await visit(SHOP, "en")).see(path)).text
    assert "automatically approved the refund-only request made before shipment" in english
    assert NOTICE_ZH not in english


async def test_a_reviewed_ticket_has_no_notice(market: Marketplace, visit: Visit) -> None:
    page = await (await visit(SHOP, "zh-CN")).see(f"/merchant/tickets/{await reviewed(market)}")
    assert NOTICE_ZH not in page.text


async def test_why_shows_the_public_conditions_and_no_figure_of_the_buyer(market: Marketplace, visit: Visit) -> None:
    page = await (await visit(SHOP)).see(f"/merchant/tickets/{await reviewed(market)}")
    assert "The buyer is a premium buyer of the platform" in page.text
    assert "Does not hold" in page.text
    assert "selected the buyer" not in page.text
    assert "caps" not in page.text


async def test_refunded_goods_must_not_be_shipped(market: Marketplace, visit: Visit) -> None:
    ref = await market.order(PREMIUM, "A-1", GOODS)
    await market.parcel(ref, ShipmentStatus.LABEL_PRINTED)
    ticket_id = await market.ask(PREMIUM, "A-1")
    visitor = await visit(SHOP)
    page = await visitor.see(f"/merchant/tickets/{ticket_id}")
    assert "Do not ship these goods." in page.text
    assert "SF1020304050" in page.text
    await market.parcel(ref, ShipmentStatus.PICKED_UP, ShipmentSource.CARRIER)
    assert "with the carrier although they were refunded" in (await visitor.see(f"/merchant/tickets/{ticket_id}")).text


async def test_the_saved_filter_shows_what_the_platform_decided(market: Marketplace, visit: Visit) -> None:
    await instant(market)
    await reviewed(market)
    visitor = await visit(SHOP)
    links = {given["href"] for tag, given in (await visitor.see("/merchant/tickets")).tags if tag == "a"}
    assert {"/merchant/tickets?approved_by=instant_refund", "/merchant/tickets?state=awaiting_merchant"} <= links
    assert orders_on(await visitor.get("/merchant/tickets")) == {"A-1", "B-1"}
    assert orders_on(await visitor.get("/merchant/tickets?approved_by=instant_refund")) == {"A-1"}
    assert orders_on(await visitor.get("/merchant/tickets?state=awaiting_merchant")) == {"B-1"}
    assert orders_on(await visitor.get("/merchant/tickets?order=B-1&since=&until=&state=&approved_by=")) == {"B-1"}


async def test_days_are_those_of_the_platforms_zone(market: Marketplace, visit: Visit) -> None:
    await instant(market)
    today = market.service.clock().astimezone(market.service.settings.time_zone).date()
    yesterday, visitor = today - timedelta(days=1), await visit(SHOP)
    assert orders_on(await visitor.get(f"/merchant/tickets?since={today}&until={today}")) == {"A-1"}
    assert orders_on(await visitor.get(f"/merchant/tickets?until={yesterday}")) == set()


@pytest.mark.parametrize(
    "query",
    [
        "state=gone",
        "approved_by=me",
        "since=today",
        "after=x",
        "after=bnVsbA",
        "order=%00",
        "until=9999-12-31",
        "columns=x",
    ],
)
async def test_a_damaged_link_is_a_bad_request(visit: Visit, query: str) -> None:
    visitor = await visit(SHOP)
    assert (await visitor.get(f"/merchant/tickets?{query}")).status_code == 400
    if not query.startswith("after"):  # the file is the whole list
        assert (await visitor.get(f"/merchant/tickets.csv?{query}")).status_code == 400


async def test_older_tickets_are_on_the_next_page(market: Marketplace, visit: Visit) -> None:
    for index in range(27):
        await reviewed(market, f"B-{index:02}")
    visitor = await visit(SHOP)
    first = await visitor.see("/merchant/tickets?state=awaiting_merchant")
    older = next(given["href"] for tag, given in first.tags if "after=" in given.get("href", ""))
    assert "state=awaiting_merchant" in older
    seen = orders_on(await visitor.get("/merchant/tickets?state=awaiting_merchant")) | orders_on(
        await visitor.get(older)
    )
    assert seen == {f"B-{index:02}" for index in range(27)}


async def test_the_file_holds_the_filtered_list_and_no_formula(market: Marketplace, visit: Visit) -> None:
    await instant(market, "=1+1")
    await reviewed(market)
    response = await (await visit(SHOP)).get("/merchant/tickets.csv?approved_by=instant_refund")
    assert response.headers["content-type"].startswith("text/csv")
    headings, *rows = csv.reader(io.StringIO(response.text.removeprefix("\ufeff")))
    assert headings[:3] == ["Ticket", "Order", "State"]
    ((_, order_id, state, approved_by, _, amount, currency, requested, *_),) = rows
    assert (order_id, state, approved_by) == ("'=1+1", "Refund on its way", "Platform guarantee")
    assert (amount, currency) == ("89.00", "CNY")
    assert requested.endswith("+08:00")


async def test_a_long_number_stays_text_in_the_file(market: Marketplace, visit: Visit) -> None:
    await instant(market, "1234567890123456789")
    text = (await (await visit(SHOP)).get("/merchant/tickets.csv")).text
    assert ",'1234567890123456789," in text


async def test_columns_are_chosen_and_stay_in_the_address(market: Marketplace, visit: Visit) -> None:
    await reviewed(market)
    visitor = await visit(SHOP)
    form = next(one for one in (await visitor.see("/merchant/tickets")).forms if "choose" in one.fields)
    ticked = {name for name in form.fields if name.startswith("column.")}
    assert ticked == {f"column.{name}" for name in ("state", "approved_by", "reason", "amount", "time")}
    chosen = Page((await visitor.http.get("/merchant/tickets", params={"choose": "1", "column.buyer": "1"})).text)
    heads = {given["data-name"] for tag, given in chosen.tags if tag == "td"}
    assert heads == {"Requested", "Order", "Buyer"} and NEWCOMER.subject_id in chosen.text
    links = {given["href"] for tag, given in chosen.tags if given.get("class") == "sort"}
    assert links == {"/merchant/tickets?direction=asc&columns=buyer"}
    none = Page((await visitor.http.get("/merchant/tickets", params={"choose": "1"})).text)
    assert {given["data-name"] for tag, given in none.tags if tag == "td"} == {"Requested", "Order"}
    again = await visitor.see(next(given["href"] for tag, given in none.tags if given.get("class") == "sort"))
    assert {given["data-name"] for tag, given in again.tags if tag == "td"} == {"Requested", "Order"}


async def test_a_heading_sorts_and_sorts_the_other_way_round(market: Marketplace, visit: Visit) -> None:
    for order_id, amount_minor in (("B-1", 8900), ("B-2", 4500), ("B-3", 9900)):
        await market.order(NEWCOMER, order_id, [("水壶", 1, amount_minor)])
        await market.ask(NEWCOMER, order_id)
    visitor = await visit(SHOP)

    def sorting(page: Page) -> list[dict[str, str]]:
        return [given for tag, given in page.tags if given.get("class") == "sort"]

    async def sorted_by_amount(page: Page) -> tuple[list[str], Page]:
        link = next(given["href"] for given in sorting(page) if "sort=amount" in given["href"])
        found = await visitor.see(link)
        return re.findall(r"B-\d", " ".join(found.words)), found

    most_first, page = await sorted_by_amount(await visitor.see("/merchant/tickets"))
    assert most_first == ["B-3", "B-1", "B-2"]
    assert [given["aria-sort"] for tag, given in page.tags if given.get("aria-sort", "none") != "none"] == [
        "descending"
    ]
    least_first, page = await sorted_by_amount(page)
    assert least_first == ["B-2", "B-1", "B-3"]
    assert "ascending" in {given.get("aria-sort") for tag, given in page.tags}


async def test_approving_pays(market: Marketplace, visit: Visit) -> None:
    ticket_id = await reviewed(market)
    path = f"/merchant/tickets/{ticket_id}"
    assert (await (await visit(SHOP)).send(path, f"{path}/approve")).status_code == 303
    decided = await ticket(market, ticket_id)
    assert (decided.state, decided.approved_by) == (TicketState.REFUNDING, ApprovedBy.MERCHANT)


async def test_rejecting_needs_a_reason_and_tells_the_buyer(market: Marketplace, visit: Visit) -> None:
    ticket_id = await reviewed(market)
    path = f"/merchant/tickets/{ticket_id}"
    visitor: Visitor = await visit(SHOP)
    for wrong in (
        {"reason": "已打包", "evidence": "聊天记录"},
        {"code": "gone", "reason": "已打包", "evidence": "聊天记录"},
        {"code": "other", "reason": " ", "evidence": "聊天记录"},
        {"code": "other", "reason": "已打包"},
        {"code": "already_shipped", "reason": "已发出", "evidence": "聊天记录"},
        {"code": "other", "reason": "x" * 501, "evidence": "聊天记录"},
        {"code": "other", "reason": "已打包", "tracking_no": "SF1"},
    ):
        refused = await visitor.send(path, f"{path}/reject", **wrong)
        assert refused.status_code == 422
        assert 'role="alert"' in refused.text
    assert "SF1" in refused.text
    complete = {"code": "other", "reason": "已打包\n待揽收", "evidence": "聊天记录"}
    assert (await visitor.send(path, f"{path}/reject", **complete)).status_code == 303
    assert "已打包 待揽收" in (await (await visit(NEWCOMER)).see(f"/buyer/tickets/{ticket_id}")).text


async def test_rejecting_with_a_tracking_number_ships(market: Marketplace, visit: Visit) -> None:
    ticket_id = await reviewed(market)
    path = f"/merchant/tickets/{ticket_id}"
    shipped = {"code": "already_shipped", "reason": "已发出", "carrier": "SF", "tracking_no": "SF1"}
    done = await (await visit(SHOP)).send(path, f"{path}/reject", **shipped)
    assert done.status_code == 303
    snapshot = await market.service.store.read_order(TicketRef(lane_of_id(ticket_id), ticket_id))
    assert snapshot is not None
    assert snapshot.ticket(ticket_id).state is TicketState.REJECTED
    assert [(shipment.tracking_no, shipment.degree) for shipment in snapshot.shipments] == [
        ("SF1", ShipmentStatus.SHIPPED)
    ]


@pytest.mark.parametrize("action", ["approve", "reject"])
async def test_a_decision_on_what_has_changed_is_refused_and_shows_how_it_stands(
    market: Marketplace, visit: Visit, action: str
) -> None:
    ticket_id = await reviewed(market)
    path = f"/merchant/tickets/{ticket_id}"
    visitor = await visit(SHOP)
    form = (await visitor.see(path)).form(f"{path}/{action}")
    stale = await visitor.post(f"{path}/{action}", {**form.fields, "version": "7", **SAID})
    assert stale.status_code == 409
    assert "Somebody changed this ticket since you opened it" in stale.text
    ref = TicketRef(lane_of_id(ticket_id), ticket_id)
    await approve(market.service.store, ref, Acting(Actor(ActorKind.MERCHANT, "colleague"), market.service.clock(), 1))
    late = await visitor.post(f"{path}/{action}", {**form.fields, **SAID})
    assert late.status_code == 409
    assert "approved already" in late.text
    assert "Refund on its way" in late.text
    assert (await visitor.post(f"{path}/{action}", {**form.fields, "version": "x", **SAID})).status_code == 400


async def test_the_benefit_is_the_shops_own(market: Marketplace, visit: Visit) -> None:
    await instant(market)
    await reviewed(market)
    await market.order(PREMIUM, "C-1", GOODS, shop=OTHER_SHOP)
    await market.ask(PREMIUM, "C-1")
    text = (await (await visit(SHOP)).see("/merchant/tickets")).text
    assert "Requests in 30 days 2" in text
    assert "Decided by the platform guarantee 1 50%" in text


async def test_the_page_of_shipping_risks_says_what_to_do_and_is_the_shops_own(
    market: Marketplace, visit: Visit
) -> None:
    assert WHAT_TO_DO == shipping_risks.WHAT_TO_DO, "the page and the API say the same"
    assert "Nothing is at risk" in (await (await visit(SHOP)).see("/merchant/shipping")).text
    ticket = await reviewed(market)
    await market.service.feed.roll_up(market.service.clock())
    page = await (await visit(SHOP)).see("/merchant/shipping")
    assert "Refund asked for: do not ship" in page.text and "Do not ship: decide the ticket" in page.text
    assert f"/merchant/tickets/{ticket}" in {given.get("href") for _, given in page.tags}
    assert "Nothing is at risk" in (await (await visit(OTHER_SHOP)).see("/merchant/shipping")).text
    bad = await (await visit(SHOP)).get("/merchant/shipping?after=WyIyMDI2LTA2LTAxVDEyOjAwOjAwWiIsIm8tMTAwMSJd")
    assert bad.status_code == 400


async def test_the_pages_of_shipping_risks_have_each_once(market: Marketplace, visit: Visit) -> None:
    for number in range(27):
        await market.order(NEWCOMER, f"B-{number:02}", GOODS)
        await market.ask(NEWCOMER, f"B-{number:02}")
    await market.service.feed.roll_up(market.service.clock())
    browser = await visit(SHOP)
    first = await browser.see("/merchant/shipping")
    (link,) = {
        given["href"] for _, given in first.tags if given.get("href", "").startswith("/merchant/shipping?after=")
    }
    second = await browser.see(link)
    orders = [set(re.findall(r"B-\d\d", page.text)) for page in (first, second)]
    assert (len(orders[0]), len(orders[1]), orders[0] & orders[1]) == (25, 2, set())


async def test_coverage_says_whether_and_why_and_has_no_switch(market: Marketplace, visit: Visit) -> None:
    await market.order(PREMIUM, "A-1", GOODS)
    row = Coverage(Scope.CATEGORY, "outdoor", False, "试运行阶段", "platform", market.service.clock())
    await market.service.registry.set_coverage(row)
    page = await (await visit(SHOP)).see("/merchant/coverage")
    assert "Your shop is covered" in page.text
    assert "试运行阶段" in page.text
    # It can complain, and it can switch nothing.
    assert {form.action for form in page.forms} == {
        "/preferences",
        "/search",
        "/sign-out",
        "/merchant/coverage/complaints",
    }
    other = await (await visit(OTHER_SHOP)).see("/merchant/coverage")
    assert "Your shop is not covered" in other.text
    assert "近 30 天发货及时率低于 80%" in other.text


async def test_a_merchant_complains_and_reads_the_answer(market: Marketplace, visit: Visit) -> None:
    service, browser = market.service, await visit(OTHER_SHOP)
    action = "/merchant/coverage/complaints"
    empty = await browser.send("/merchant/coverage", action, reason=" ")
    assert empty.status_code == 422
    assert "Please write why" in empty.text
    fields = dict((await browser.see("/merchant/coverage")).form(action).fields)
    assert (await browser.post(action, fields | {"reason": "The strike."})).status_code == 303
    page = await browser.see("/merchant/coverage")
    assert "The strike." in page.text and "The platform answers by" in page.text
    assert action not in {form.action for form in page.forms}
    assert (await browser.post(action, fields | {"reason": "Another."})).status_code == 409
    (complaint,) = await service.complaints.list(ComplaintFilter(OTHER_SHOP.subject_id))
    assert complaint.answer_by - complaint.made_at == timedelta(days=15)
    answer = ComplaintAnswer(ContestOutcome.UPHELD, "You are right.", "li.na", service.clock())
    await service.complaints.answer(complaint.complaint_id, answer)
    page = await browser.see("/merchant/coverage")
    assert "The platform agrees" in page.text and "You are right." in page.text
    assert "li.na" not in page.text
    assert "The strike." not in (await (await visit(SHOP)).see("/merchant/coverage")).text


async def test_coverage_says_by_which_gate_since_when_and_what_brings_the_shop_back(
    market: Marketplace, visit: Visit
) -> None:
    service, shop_id = market.service, SHOP.subject_id
    await service.registry.put_shop(Shop(shop_id, "", {"experience_score": 59, "secret_score": 901}), service.clock())
    today = service.clock().astimezone(service.settings.time_zone).date()
    rules = GateRules(gated_policy("leave_after: 2d", "leave_after: 1d"), 99, service.settings.time_zone)
    await recompute_places(service.gates, rules, [shop_id], Recomputing(service.clock(), "li.na"))
    page = await (await visit(SHOP)).see("/merchant/coverage")
    assert "Your shop is not covered" in page.text
    assert "Other factors that the platform considers" in page.text
    assert f"Not covered from {today + timedelta(days=4)} on" in page.text
    assert "The experience score is below 60" in page.text and "An experience score of at least 70" in page.text
    assert "shop.experience_score: 59" in page.text
    for secret in ("secret", "901", "li.na", "hidden"):
        assert secret not in page.text.lower(), secret


def orders_on(response: httpx.Response) -> set[str]:
    return {word.strip() for word in Page(response.text).words if word.strip()[:2] in ("A-", "B-")}
