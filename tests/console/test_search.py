"""The search field: exact ids of six kinds, all shops for the platform's people, the own shop for a merchant (I8)."""

from __future__ import annotations

from uuid import UUID

import pytest

from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.ports import TicketRef
from jitui.entrypoints.console.page.visit import HOMES
from jitui.identity.access import Role
from jitui.ids import lane_of_id
from tests.console.conftest import Visit
from tests.console.marketplace import NEWCOMER, OTHER_SHOP, PREMIUM, SHOP, SUPPORT, Marketplace
from tests.console.pages import Page, Visitor

GOODS = [("水壶", 1, 8900)]
NOTHING = "Nothing has this id"


async def found(visitor: Visitor, text: str) -> str:
    response = await visitor.http.get("/search", params={"q": text})
    assert response.status_code == 200, text
    return Page(response.text).text


async def ids(market: Marketplace) -> dict[str, str]:
    """An order that was refunded at once and left all the same, and every id that it is known by."""
    ref = await market.order(PREMIUM, "A-1", GOODS)
    await market.parcel(ref, ShipmentStatus.LABEL_PRINTED)
    ticket_id = await market.ask(PREMIUM, "A-1")
    await market.parcel(ref, ShipmentStatus.PICKED_UP, ShipmentSource.CARRIER)
    snapshot = await market.service.store.read_order(TicketRef(lane_of_id(ticket_id), ticket_id))
    assert snapshot is not None
    (incident,) = await market.service.queries.incidents(IncidentFilter(shop_id=SHOP.subject_id))
    return {
        "An order": "A-1",
        "A refund ticket": str(ticket_id),
        "A refund": str(snapshot.refunds[0].refund_id),
        "An incident": str(incident.incident_id),
        "A tracking number": "sf1020304050",  # as a person types it: letter case and width do not count in waybills
        "A buyer": PREMIUM.subject_id,
    }


async def test_everything_is_found_by_its_id_and_by_nothing_like_it(market: Marketplace, visit: Visit) -> None:
    visitor = await visit(SUPPORT)
    for kind, text in (await ids(market)).items():
        page = await found(visitor, f" {text} ")
        assert kind in page and "A-1" in page and SHOP.display_name in page, kind
        assert NOTHING in await found(visitor, text[:-1])
    assert NOTHING in await found(visitor, "a-1")


async def test_a_tracking_number_finds_the_orders_in_its_parcel_alone(market: Marketplace, visit: Visit) -> None:
    named = await ids(market)
    await market.order(PREMIUM, "A-2", GOODS)
    page = await found(await visit(SUPPORT), named["A tracking number"])
    assert "A-1" in page and "A-2" not in page


async def test_a_merchant_finds_what_is_on_the_own_shops_orders_and_nothing_else(
    market: Marketplace, visit: Visit
) -> None:
    own, other = await visit(SHOP), await visit(OTHER_SHOP)
    for kind, text in (await ids(market)).items():
        assert kind in await found(own, text), kind
        assert NOTHING in await found(other, text), kind
    await market.order(PREMIUM, "C-1", [("台灯", 1, 4500)], shop=OTHER_SHOP)
    assert "A-1" in (of_buyer := await found(own, PREMIUM.subject_id)) and "C-1" not in of_buyer
    assert "C-1" in (of_buyer := await found(other, PREMIUM.subject_id)) and "A-1" not in of_buyer
    everything = await found(await visit(SUPPORT), PREMIUM.subject_id)
    assert "A-1" in everything and "C-1" in everything


async def test_a_buyer_without_orders_is_known_to_the_platform_alone(market: Marketplace, visit: Visit) -> None:
    assert "known and has no orders" in await found(await visit(SUPPORT), NEWCOMER.subject_id)
    assert NOTHING in await found(await visit(SHOP), NEWCOMER.subject_id)
    assert NOTHING in await found(await visit(SUPPORT), "buyer-nobody")


async def test_the_newest_orders_of_a_buyer_with_many(market: Marketplace, visit: Visit) -> None:
    for index in range(10):
        await market.order(PREMIUM, f"M-{index:02}", GOODS)
    visitor = await visit(SUPPORT)
    assert "there are more" not in await found(visitor, PREMIUM.subject_id)
    await market.order(PREMIUM, "M-10", GOODS)
    page = await found(visitor, PREMIUM.subject_id)
    assert page.count("No refund was asked for.") == 10
    assert "there are more" in page
    assert "there are more" not in await found(visitor, "M-00")


async def test_what_was_looked_for_is_said_and_stays_in_the_field(market: Marketplace, visit: Visit) -> None:
    visitor = await visit(SUPPORT)
    page = Page((await visitor.http.get("/search", params={"q": "KS-<b>404"})).text)
    assert "KS-<b>404" in page.text and "All shops were searched." in page.text
    assert page.form("/search").fields == {"q": "KS-<b>404"}
    assert "All shops were searched." not in await found(await visit(SHOP), "KS-404")
    assert "What do you have in hand?" in await found(visitor, " ")


@pytest.mark.parametrize("text", ["\x00", "a\nb", "x" * 201])
async def test_what_cannot_be_an_id_is_a_bad_request(visit: Visit, text: str) -> None:
    assert (await (await visit(SUPPORT)).http.get("/search", params={"q": text})).status_code == 400


@pytest.mark.parametrize("text", ["a b", "a/b", "\u202e", "1" * 19, "0" * 32])
async def test_what_nobody_has_finds_nothing(visit: Visit, text: str) -> None:
    if text.isprintable():
        assert NOTHING in await found(await visit(SUPPORT), text)


async def test_support_comes_to_the_search_at_sign_in_and_buyers_have_none(market: Marketplace, visit: Visit) -> None:
    assert HOMES[Role.SUPPORT] == "/search"
    assert "/search" not in {form.action for form in (await (await visit(PREMIUM)).see("/buyer/orders")).forms}
    assert (await (await visit(PREMIUM)).get("/search?q=A-1")).status_code == 403


async def test_a_ticket_is_opened_where_the_reader_reads_tickets(market: Marketplace, visit: Visit) -> None:
    await market.order(PREMIUM, "A-1", GOODS)
    ticket_id: UUID = await market.ask(PREMIUM, "A-1")
    for person, home in ((SHOP, "/merchant/tickets/"), (SUPPORT, "/support/tickets/")):
        visitor = await visit(person)
        page = Page((await visitor.get("/search?q=A-1")).text)
        assert f"{home}{ticket_id}" in {given.get("href") for tag, given in page.tags if tag == "a"}
        assert (await visitor.get(f"{home}{ticket_id}")).status_code == 200
