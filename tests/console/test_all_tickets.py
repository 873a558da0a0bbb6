"""The list of all shops' tickets for the platform's people: filters, order, pages and the CSV file."""

from __future__ import annotations

import csv
import io

import pytest

from jitui.entrypoints.console.support import ticket_list
from tests.console.conftest import Visit
from tests.console.marketplace import NEWCOMER, OTHER_SHOP, PREMIUM, SHOP, SUPPORT, Marketplace
from tests.console.pages import Page

PAGE = "/support/tickets"


@pytest.fixture(autouse=True)
async def _tickets(market: Marketplace) -> None:
    """Three tickets: two of one shop, one of them approved at once, and one of another shop."""
    await market.order(PREMIUM, "A-1", [("登山杖", 1, 12900)])
    await market.order(PREMIUM, "B-1", [("灯", 1, 4900)], shop=OTHER_SHOP)
    await market.order(NEWCOMER, "A-2", [("睡垫", 1, 15900)])
    for person, order_id in ((PREMIUM, "A-1"), (PREMIUM, "B-1"), (NEWCOMER, "A-2")):
        await market.ask(person, order_id)


def orders(page: Page) -> list[str]:
    """The orders of the rows, in the order of the page."""
    order_ids = ("A-1", "A-2", "B-1")
    return [word.strip() for word in page.words if word.strip() in order_ids]


async def test_tickets_of_all_shops_by_filters_in_the_address(visit: Visit) -> None:
    visitor = await visit(SUPPORT)
    page = await visitor.see(PAGE)
    assert orders(page) == ["A-2", "B-1", "A-1"], "the newest first"
    assert "山野户外" in page.text and OTHER_SHOP.display_name in page.text, "shops by their names"
    assert PAGE in [given.get("href") for tag, given in page.tags if tag == "a"], "in the navigation"
    for query, found in (
        (f"shop={OTHER_SHOP.subject_id}", ["B-1"]),
        (f"shop={SHOP.subject_id}", ["A-2", "A-1"]),
        (f"buyer={PREMIUM.subject_id}", ["B-1", "A-1"]),
        (f"buyer={PREMIUM.subject_id}&shop={SHOP.subject_id}", ["A-1"]),
        ("order=B-1", ["B-1"]),
        ("state=awaiting_merchant", ["A-2", "B-1"]),
        ("sort=amount&direction=asc", ["B-1", "A-1", "A-2"]),
        ("sort=amount", ["A-2", "A-1", "B-1"]),
        ("direction=asc", ["A-1", "B-1", "A-2"]),
    ):
        assert orders(await visitor.see(f"{PAGE}?{query}")) == found, query
    assert "No tickets here" in (await visitor.see(f"{PAGE}?shop=nothing")).text
    for wrong in ("state=x", "sort=x", "direction=x", "after=x", "shop=%00", f"buyer={'9' * 300}"):
        assert (await visitor.get(f"{PAGE}?{wrong}")).status_code == 400, wrong


async def test_pages_follow_one_another_with_filters_and_order(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticket_list, "TICKETS_PER_PAGE", 2)
    visitor = await visit(SUPPORT)
    page = await visitor.see(f"{PAGE}?sort=amount&direction=asc")
    assert orders(page) == ["B-1", "A-1"]
    following = [given["href"] for tag, given in page.tags if tag == "a" and "after=" in given.get("href", "")]
    last = await visitor.see(following[0])
    assert orders(last) == ["A-2"]
    assert "Next page" not in last.text and "First page" in last.text


async def test_the_csv_file_has_the_filtered_list_with_shop_and_buyer(visit: Visit) -> None:
    visitor = await visit(SUPPORT)
    answer = await visitor.get(f"{PAGE}.csv?buyer={PREMIUM.subject_id}&sort=amount&direction=asc")
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert rows[0][:4] == ["Shop", "Buyer", "Ticket", "Order"]
    assert [(row[0], row[1], row[3]) for row in rows[1:]] == [
        (OTHER_SHOP.subject_id, PREMIUM.subject_id, "B-1"),
        (SHOP.subject_id, PREMIUM.subject_id, "A-1"),
    ]
