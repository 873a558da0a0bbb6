"""I8 on pages: buyers see only their own things, shops only their own, and nobody learns what else exists."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest

from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.ports import TicketRef
from jitui.identity.people import Person
from jitui.ids import lane_of_id
from tests.console.conftest import Visit
from tests.console.marketplace import NEWCOMER, OTHER_SHOP, PREMIUM, SHOP, Marketplace

GOODS = [("水壶", 1, 8900)]
VISITORS = {"nobody": None, "owner": NEWCOMER, "other buyer": PREMIUM, "own shop": SHOP, "other shop": OTHER_SHOP}
BUYER_PAGES = {"nobody": 303, "owner": 200, "other buyer": 404, "own shop": 403, "other shop": 403}
SHOP_PAGES = {"nobody": 303, "owner": 403, "other buyer": 403, "own shop": 200, "other shop": 404}


@pytest.mark.parametrize("who", VISITORS)
async def test_who_sees_a_ticket_and_an_order(market: Marketplace, visit: Visit, who: str) -> None:
    await market.order(NEWCOMER, "A-1", GOODS)
    ticket_id = await market.ask(NEWCOMER, "A-1")
    visitor = await visit(VISITORS[who])
    pages = {
        "/buyer/ask?order=A-1": BUYER_PAGES,
        f"/buyer/tickets/{ticket_id}": BUYER_PAGES,
        f"/buyer/tickets/{ticket_id}/news": {**BUYER_PAGES, "nobody": 303},
        f"/merchant/tickets/{ticket_id}": SHOP_PAGES,
    }
    for path, expected in pages.items():
        assert (await visitor.get(path)).status_code == expected[who], path


@pytest.mark.parametrize("who", ["nobody", "owner", "other buyer", "other shop"])
@pytest.mark.parametrize("action", ["approve", "reject"])
async def test_only_its_own_shop_decides_a_ticket(market: Marketplace, visit: Visit, who: str, action: str) -> None:
    await market.order(NEWCOMER, "A-1", GOODS)
    ticket_id = await market.ask(NEWCOMER, "A-1")
    visitor = await visit(VISITORS[who])
    token = (await visitor.see("/policy")).form("/preferences").fields["_csrf_token"]
    fields = {"_csrf_token": token, "version": "1", "reason": "no"}
    done = await visitor.post(f"/merchant/tickets/{ticket_id}/{action}", fields)
    assert done.status_code == SHOP_PAGES[who]
    snapshot = await market.service.store.read_order(TicketRef(lane_of_id(ticket_id), ticket_id))
    assert snapshot is not None
    assert snapshot.ticket(ticket_id).state is TicketState.AWAITING_MERCHANT


@pytest.mark.parametrize("who", ["nobody", "other buyer", "own shop"])
async def test_only_the_buyer_takes_a_request_back_or_asks(market: Marketplace, visit: Visit, who: str) -> None:
    await market.order(NEWCOMER, "A-1", GOODS)
    await market.order(NEWCOMER, "A-2", GOODS)
    ticket_id = await market.ask(NEWCOMER, "A-1")
    visitor = await visit(VISITORS[who])
    token = (await visitor.see("/policy")).form("/preferences").fields["_csrf_token"]
    for action, fields in (
        (f"/buyer/tickets/{ticket_id}/withdraw", {}),
        ("/buyer/ask", {"order": "A-2", "units.l1": "1"}),
    ):
        done = await visitor.post(action, {"_csrf_token": token, "version": "1", **fields})
        assert done.status_code == BUYER_PAGES[who], action
    for order_id in ("A-1", "A-2"):
        ref = await market.service.store.find_order(order_id)
        assert ref is not None
        snapshot = await market.service.store.read_order(ref)
        assert snapshot is not None
        assert [ticket.state for ticket in snapshot.tickets if ticket.ticket_id != ticket_id] == []


async def test_what_belongs_to_another_looks_like_what_is_not_there(market: Marketplace, visit: Visit) -> None:
    await market.order(NEWCOMER, "A-1", GOODS)
    ticket_id = await market.ask(NEWCOMER, "A-1")
    for person, path in ((PREMIUM, "/buyer/tickets/{}"), (OTHER_SHOP, "/merchant/tickets/{}")):
        visitor = await visit(person)
        theirs = await visitor.get(path.format(ticket_id))
        nobodys = await visitor.get(path.format(uuid4()))
        assert theirs.status_code == nobodys.status_code == 404
        assert _without_token(theirs.text) == _without_token(nobodys.text).replace(nobodys.url.path, theirs.url.path)


@pytest.mark.parametrize(
    ("person", "path"),
    [
        (PREMIUM, "/buyer/ask?order=%00"),
        (PREMIUM, "/buyer/ask?order=" + "x" * 3000),
        (PREMIUM, "/buyer/ask"),
        (PREMIUM, "/buyer/tickets/not-an-id"),
        (PREMIUM, "/buyer/nothing/here"),
        (SHOP, "/merchant/tickets/1"),
        (SHOP, "/merchant/nothing"),
        (None, "/nothing"),
        (None, "/policy?publication=99"),
    ],
)
async def test_what_cannot_be_there_is_not_there(visit: Visit, person: Person | None, path: str) -> None:
    visitor = await visit(person)
    response = await visitor.get(path)
    assert response.status_code == 404
    assert "Nothing here" in response.text


async def test_lists_hold_only_ones_own(market: Marketplace, visit: Visit) -> None:
    for person, shop, order_id in ((NEWCOMER, SHOP, "A-1"), (PREMIUM, OTHER_SHOP, "B-1")):
        await market.order(person, order_id, GOODS, shop=shop)
        await market.ask(person, order_id)
    for person, path in ((NEWCOMER, "/buyer/orders"), (SHOP, "/merchant/tickets"), (SHOP, "/merchant/tickets.csv")):
        text = (await (await visit(person)).get(path)).text
        assert "A-1" in text
        assert "B-1" not in text


def _without_token(html: str) -> str:
    return re.sub(r'name="_csrf_token" value="\w+"', "", html)
