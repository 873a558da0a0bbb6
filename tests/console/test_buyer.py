"""The buyer's pages: what can be requested, the dry run, the ticket, and withdrawing."""

from __future__ import annotations

from uuid import UUID

from jitui.aftersales.model.order import ShipmentStatus
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import ApprovedBy, TicketState
from jitui.entrypoints.console.ticket.progress import StepState
from tests.console.conftest import Visit
from tests.console.marketplace import NEWCOMER, PREMIUM, Marketplace

GOODS = [("登山杖", 1, 12900), ("速干衣", 2, 9800)]


async def test_an_order_that_can_be_refunded_says_so(market: Marketplace, visit: Visit) -> None:
    await market.order(PREMIUM, "A-1", GOODS)
    gone = await market.order(PREMIUM, "A-2", GOODS)
    await market.parcel(gone, ShipmentStatus.SHIPPED)
    await market.order(PREMIUM, "A-3", GOODS, paid=False)
    page = await (await visit(PREMIUM)).see("/buyer/orders")
    links = [given["href"] for tag, given in page.tags if tag == "a"]
    assert [link for link in links if link.startswith("/buyer/ask")] == ["/buyer/ask?order=A-1"]
    assert "山野户外" in page.text
    assert "CN¥227.00" in page.text


async def test_without_orders_the_page_says_so(visit: Visit) -> None:
    assert "No orders yet" in (await (await visit(PREMIUM)).see("/buyer/orders")).text


async def test_older_orders_are_on_the_next_page(market: Marketplace, visit: Visit) -> None:
    for index in range(11):
        await market.order(PREMIUM, f"A-{index:02}", GOODS)
    visitor = await visit(PREMIUM)
    first = await visitor.see("/buyer/orders")
    older = next(given["href"] for tag, given in first.tags if given.get("href", "").startswith("/buyer/orders?after"))
    second = await visitor.see(older)
    shown = [page.text.count("Order A-") for page in (first, second)]
    assert shown == [10, 1]


async def test_the_dry_run_follows_what_is_chosen(market: Marketplace, visit: Visit) -> None:
    await market.order(PREMIUM, "A-1", GOODS, freight_minor=800)
    visitor = await visit(PREMIUM)
    assert "CN¥235.00" in (await visitor.see("/buyer/ask?order=A-1")).text
    part = await visitor.get("/buyer/ask/check?order=A-1&units.l1=&units.l2=1")
    assert "CN¥49.00" in part.text
    assert "approved at once" in part.text
    for nonsense in ("units.l2=3", "units.l2=-1", "units.l2=x", "units.l9=1", "units.l2=" + "9" * 40):
        refused = await visitor.get(f"/buyer/ask/check?order=A-1&{nonsense}")
        assert refused.status_code == 200
        assert 'role="alert"' in refused.text
        assert "disabled" in refused.text


async def test_asking_opens_a_ticket_that_is_approved_at_once(market: Marketplace, visit: Visit) -> None:
    await market.order(PREMIUM, "A-1", GOODS)
    visitor = await visit(PREMIUM)
    done = await visitor.send("/buyer/ask?order=A-1", "/buyer/ask", **{"units.l2": "1", "units.l1": None})
    assert done.status_code == 303
    ticket = (await _file(market, "A-1")).ticket(UUID(done.headers["location"].rpartition("/")[2]))
    assert (ticket.approved_by, ticket.amount_minor) == (ApprovedBy.INSTANT_REFUND, 4900)
    page = await visitor.see(done.headers["location"])
    assert "Your money is on its way" in page.text
    assert "The order's paid amount is under CN¥300.00" in page.text


async def test_a_form_sent_twice_asks_once(market: Marketplace, visit: Visit) -> None:
    await market.order(PREMIUM, "A-1", GOODS)
    visitor = await visit(PREMIUM)
    form = (await visitor.see("/buyer/ask?order=A-1")).form("/buyer/ask")
    first, second = [await visitor.post("/buyer/ask", form.fields) for _ in range(2)]
    assert first.headers["location"] == second.headers["location"]
    assert len((await _file(market, "A-1")).tickets) == 1


async def test_a_line_of_many_units_can_be_asked_for_whole(market: Marketplace, visit: Visit) -> None:
    await market.order(PREMIUM, "A-1", [("螺丝", 250, 5000)])
    await (await visit(PREMIUM)).send("/buyer/ask?order=A-1", "/buyer/ask")
    (ticket,) = (await _file(market, "A-1")).tickets
    assert ticket.amount_minor == 5000


async def test_nothing_chosen_is_not_everything(market: Marketplace, visit: Visit) -> None:
    await market.order(PREMIUM, "A-1", GOODS)
    visitor = await visit(PREMIUM)
    done = await visitor.send("/buyer/ask?order=A-1", "/buyer/ask", **{"units.l1": None, "units.l2": "0"})
    assert done.status_code == 409
    assert "Please choose what you want back." in done.text
    assert (await _file(market, "A-1")).tickets == ()


async def test_an_order_that_has_left_cannot_be_asked_for(market: Marketplace, visit: Visit) -> None:
    ref = await market.order(PREMIUM, "A-1", GOODS)
    visitor = await visit(PREMIUM)
    form = (await visitor.see("/buyer/ask?order=A-1")).form("/buyer/ask")
    await market.parcel(ref, ShipmentStatus.SHIPPED)
    done = await visitor.post("/buyer/ask", form.fields)
    assert done.status_code == 409
    assert "These goods have left" in done.text
    assert "Nothing to refund here" in (await visitor.see("/buyer/ask?order=A-1")).text


async def test_a_reviewed_request_says_why_without_a_figure_and_can_be_taken_back(
    market: Marketplace, visit: Visit
) -> None:
    await market.order(NEWCOMER, "A-1", GOODS)
    visitor = await visit(NEWCOMER)
    done = await visitor.send("/buyer/ask?order=A-1", "/buyer/ask")
    path = done.headers["location"]
    page = await visitor.see(path)
    assert "Not every condition held when you asked" in page.text
    assert "account_age" not in page.html
    assert (await visitor.send(path, f"{path}/withdraw")).status_code == 303
    assert "You took the request back" in (await visitor.see(path)).text
    (ticket,) = (await _file(market, "A-1")).tickets
    assert ticket.state is TicketState.WITHDRAWN


async def test_taking_back_what_was_decided_meanwhile_shows_how_it_stands(market: Marketplace, visit: Visit) -> None:
    await market.order(NEWCOMER, "A-1", GOODS)
    ticket_id = await market.ask(NEWCOMER, "A-1")
    visitor = await visit(NEWCOMER)
    path = f"/buyer/tickets/{ticket_id}"
    form = (await visitor.see(path)).form(f"{path}/withdraw")
    assert (await visitor.post(f"{path}/withdraw", form.fields)).status_code == 303
    again = await visitor.post(f"{path}/withdraw", form.fields)
    assert again.status_code == 409
    assert "closed already" in again.text


async def test_the_page_looks_for_news_only_until_it_is_final(market: Marketplace, visit: Visit) -> None:
    await market.order(NEWCOMER, "A-1", GOODS)
    ticket_id = await market.ask(NEWCOMER, "A-1")
    visitor = await visit(NEWCOMER)
    path = f"/buyer/tickets/{ticket_id}"
    looks_at = next(given["hx-get"] for _, given in (await visitor.see(path)).tags if "hx-get" in given)
    assert (await visitor.get(looks_at)).status_code == 204
    await visitor.send(path, f"{path}/withdraw")
    news = await visitor.get(looks_at)
    assert news.status_code == 200
    assert "hx-get" not in news.text
    assert f"way-{StepState.STOPPED}" in news.text


async def _file(market: Marketplace, order_id: str) -> OrderSnapshot:
    ref = await market.service.store.find_order(order_id)
    assert ref is not None
    snapshot = await market.service.store.read_order(ref)
    assert snapshot is not None
    return snapshot


# Restrictions ----------------------------------------------------------------------------------------------------


async def test_the_buyer_reads_why_and_until_when_and_contests_it_once(market: Marketplace, visit: Visit) -> None:
    restriction_id = await market.restricted(PREMIUM)
    visitor = await visit(PREMIUM)
    assert "/buyer/restrictions" in [given.get("href") for _, given in (await visitor.see("/buyer/orders")).tags]
    page = await visitor.see("/buyer/restrictions")
    assert "一周内多次取消订单" in page.text and "You can contest it by an appeal" in page.text
    assert "li.na" not in page.text
    action = f"/buyer/restrictions/{restriction_id}/appeal"
    form = page.form(action)
    for blank in (" ", "\u200b", "\u3164\n"):
        assert (await visitor.post(action, {**form.fields, "text": blank})).status_code == 400, repr(blank)
    for _ in range(2):
        assert (await visitor.post(action, {**form.fields, "text": "It was the shop."})).status_code == 303
    shown = await visitor.see("/buyer/restrictions")
    assert "It was the shop." in shown.text and "Waiting for an answer" in shown.text
    assert [one.action for one in shown.forms if one.action == action] == []
    other = await visitor.post(action, {**form.fields, "text": "Other words."})
    assert (other.status_code, "that is answered first" in other.text) == (409, True)


async def test_the_buyer_reads_the_answer_without_the_name_of_who_gave_it(market: Marketplace, visit: Visit) -> None:
    await market.contested(PREMIUM, await market.restricted(PREMIUM), upheld=True)
    page = await (await visit(PREMIUM)).see("/buyer/restrictions")
    assert "经核实，情况属实" in page.text and "You are right" in page.text and "Lifted" in page.text
    assert "wu.lei" not in page.text


async def test_a_restriction_of_somebody_else_is_not_found(market: Marketplace, visit: Visit) -> None:
    restriction_id = await market.restricted(NEWCOMER)
    visitor = await visit(PREMIUM)
    assert "Nothing is restricted" in (await visitor.see("/buyer/restrictions")).text
    token = (await visitor.see("/policy")).form("/preferences").fields["_csrf_token"]
    sent = {"_csrf_token": token, "text": "Mine."}
    assert (await visitor.post(f"/buyer/restrictions/{restriction_id}/appeal", sent)).status_code == 404


async def test_a_buyer_does_not_read_the_providers_internal_name(market: Marketplace, visit: Visit) -> None:
    await market.order(PREMIUM, "A-9", [("水壶", 1, 8900)])
    page = await (await visit(PREMIUM)).see(f"/buyer/tickets/{await market.ask(PREMIUM, 'A-9')}")
    assert "simulator" not in page.text and "By the way in which you paid" in page.text
