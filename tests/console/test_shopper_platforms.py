"""Codes where several platforms are connected, one of them is down, or a number is typed in another way."""

from __future__ import annotations

import logging
from dataclasses import replace
from uuid import UUID

import pytest

from jitui.aftersales.commands.platform_orders import platform_of
from jitui.aftersales.governance.registry import Shop
from jitui.entrypoints.console.mount import console_app
from tests.console.marketplace import PREMIUM, SHOP, Marketplace
from tests.console.pages import visiting
from tests.console.shoppers import ADDRESS, OTHERS, Shoppers, ask_for_code, shoppers_of, type_code
from tests.platforms.fake import FakePlatform

ORDER = "/shop/order"


@pytest.fixture
def first(market: Marketplace) -> Shoppers:
    return shoppers_of(market)


@pytest.fixture
def second() -> FakePlatform:
    return FakePlatform("medusa")


@pytest.fixture
def both(first: Shoppers, second: FakePlatform) -> Shoppers:
    shop = first.beside(second)
    second.orders["M-1"], second.addresses["M-1"] = shop.order("M-1", "medusa-1"), ADDRESS
    return shop


async def owner(shop: Shoppers, order_id: str) -> str | None:
    ref = await shop.service.store.find_order(order_id)
    snapshot = None if ref is None else await shop.service.store.read_order(ref)
    return None if snapshot is None else platform_of(snapshot, shop.service.platforms.shops)


@pytest.mark.parametrize("failing", ["down", "broken"])
async def test_a_platform_that_is_down_keeps_no_code_of_another_back(
    both: Shoppers, failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    both.platform.down = failing == "down"
    if failing == "broken":

        async def broken(order_id: str) -> str | None:
            raise ValueError(ADDRESS)

        both.platform.contact_address = broken  # type: ignore[method-assign]  # our own fake, of this test alone
    with caplog.at_level(logging.DEBUG):
        async with both.browser() as buyer, both.browser() as other:
            good = await ask_for_code(buyer, "M-1")
            assert (await type_code(buyer, both.code())).status_code == 303
            assert "Order M-1" in (await buyer.see(ORDER)).text, "and it opens while the first is still down"
            for order_id, address in (("V-1", ADDRESS), ("M-1", OTHERS), ("M-9", ADDRESS)):
                caplog.clear()
                answer = await ask_for_code(other, order_id, address)
                assert (answer.status_code, answer.content) == (good.status_code, good.content)
                assert ("shopper_code_not_sent" in caplog.text) == (order_id != "M-1"), order_id
                assert ADDRESS.casefold() not in caplog.text.casefold()
    assert len(both.mail.sent) == 1
    assert await owner(both, "M-1") == "medusa"


async def test_a_code_opens_the_order_of_the_platform_that_knew_the_address(
    both: Shoppers, second: FakePlatform
) -> None:
    """Both have a number 7: that of the first cannot be seen with the address of the second, now or later."""
    both.platform.orders["7"], both.platform.addresses["7"] = both.order("7"), OTHERS
    theirs = replace(both.order("7", "medusa-7"), freight_minor=501)
    second.orders["7"], second.addresses["7"] = theirs, ADDRESS
    both.platform.down = True
    async with both.browser() as buyer:
        await ask_for_code(buyer, "7")
        both.platform.down = False
        assert (await type_code(buyer, both.code())).status_code == 303
        assert "Order 7" in (await buyer.see(ORDER)).text
    assert await owner(both, "7") == "medusa"
    async with both.browser() as late:
        await ask_for_code(late, "7", OTHERS)
    assert len(both.mail.sent) == 1, "the recorded order is the other one"


async def test_the_recorded_order_alone_is_meant(both: Shoppers, second: FakePlatform) -> None:
    async with both.browser() as buyer:
        await ask_for_code(buyer)
        await type_code(buyer, both.code())
    assert await owner(both, "V-1") == "vendure"
    second.orders["V-1"], second.addresses["V-1"] = both.order("V-1", "medusa-1"), OTHERS
    async with both.browser() as other:
        await ask_for_code(other, "V-1", OTHERS)
    assert len(both.mail.sent) == 1


async def test_an_order_that_no_platform_took_the_money_of_gets_no_code(market: Marketplace, first: Shoppers) -> None:
    """It was put in over the API; a platform has another order of the same number."""
    await market.order(PREMIUM, "A-1", [("登山杖", 1, 12900)])
    first.platform.orders["A-1"], first.platform.addresses["A-1"] = first.order("A-1", "vendure-9"), ADDRESS
    async with first.browser() as other:
        await ask_for_code(other, "A-1")
    assert first.mail.sent == []


async def test_an_order_that_cannot_be_taken_in_gets_no_code(first: Shoppers, caplog: pytest.LogCaptureFixture) -> None:
    del first.platform.orders["V-1"]
    with caplog.at_level(logging.DEBUG):
        async with first.browser() as buyer:
            await ask_for_code(buyer)
    assert first.mail.sent == []
    assert "shopper_code_not_sent" in caplog.text


# Numbers ---------------------------------------------------------------------------------------------------------


async def test_a_number_in_small_letters(first: Shoppers) -> None:
    async with first.browser() as buyer, first.browser() as other:
        good = await ask_for_code(buyer, "v-1")
        assert (await type_code(buyer, first.code())).status_code == 303
        assert "Order V-1" in (await buyer.see(ORDER)).text
        bad = await ask_for_code(other, "v-1", OTHERS)
        assert (good.status_code, good.content) == (bad.status_code, bad.content)
    assert len(first.mail.sent) == 1


async def test_a_number_is_tried_as_it_was_typed_first(first: Shoppers) -> None:
    """A platform may tell small letters from capitals."""
    first.platform.orders["v-1"], first.platform.addresses["v-1"] = first.order("v-1"), ADDRESS
    async with first.browser() as buyer:
        await ask_for_code(buyer, "v-1")
        await type_code(buyer, first.code())
        assert "Order v-1" in (await buyer.see(ORDER)).text


async def test_a_number_that_the_platform_writes_in_another_way(first: Shoppers) -> None:
    """Shopify finds `#1001`, and its order is 1001."""
    first.platform.orders["#V-1"], first.platform.addresses["#V-1"] = first.platform.orders["V-1"], ADDRESS
    async with first.browser() as buyer:
        for _ in range(2):
            await ask_for_code(buyer, "#V-1")
            await type_code(buyer, first.code())
            assert "Order V-1" in (await buyer.see(ORDER)).text


# The pages ---------------------------------------------------------------------------------------------------------


async def test_who_asks_for_another_code_need_not_type_the_number_again(first: Shoppers) -> None:
    async with first.browser() as buyer:
        asked = await ask_for_code(buyer, 'v-1&"')
        page = await buyer.see(asked.headers["location"])
        field = next(given for tag, given in page.tags if tag == "input" and given.get("name") == "code")
        assert "autofocus" in field
        refused = await buyer.post("/shop/open", {**page.form("/shop/open").fields, "code": "AAAAAAAA"})
        for text in (page.html, refused.text):
            assert 'href="/shop?order=v-1%26%22"' in text
        again = await buyer.see("/shop?order=v-1%26%22")
        assert again.form("/shop/code").fields["order"] == 'v-1&"'


async def test_an_id_is_no_name_of_a_shop(first: Shoppers) -> None:
    async with first.browser() as buyer:
        await buyer.get(await first.link())
        done = await buyer.send(ORDER, ORDER)
        pages = (ORDER, done.headers["location"])
        await first.service.registry.put_shop(Shop(SHOP.subject_id), first.clock())
        for page in pages:
            assert SHOP.subject_id not in (await buyer.see(page)).text
        await first.service.registry.put_shop(Shop(SHOP.subject_id, "Tea & Cups"), first.clock())
        for page in pages:
            assert "Tea & Cups" in (await buyer.see(page)).text


async def test_after_a_form_from_another_tab_two_cards_do_not_touch(first: Shoppers) -> None:
    async with first.browser() as buyer:
        await buyer.get(await first.link())
        one, other = [(await buyer.see(ORDER)).form(ORDER).fields for _ in range(2)]
        assert 'class="nothing card' not in (await buyer.get(ORDER)).text
        assert (await buyer.post(ORDER, one)).status_code == 303
        late = await buyer.post(ORDER, other)
        assert (late.status_code, "Leave this order" in late.text) == (409, True)
        assert 'class="nothing card after"' in late.text


async def test_the_start_page_leads_buyers_without_an_account_to_their_page(
    first: Shoppers, market: Marketplace
) -> None:
    async with first.browser() as buyer, visiting(console_app(market.service)) as other:
        assert 'href="/shop"' in (await buyer.see("/")).html
        assert 'href="/shop"' not in (await other.see("/")).html, "no platform is connected here"


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/sign-in", "/"),
        ("/sign-out", "/"),
        ("/preferences", "/"),
        ("/shop/open", "/shop/code"),
        ("/shop/leave", "/shop"),
        (f"/shop/tickets/{UUID(int=1)}/withdraw", f"/shop/tickets/{UUID(int=1)}"),
        (f"/shop/tickets/{UUID(int=1)}/offer/accept", f"/shop/tickets/{UUID(int=1)}"),
    ],
)
async def test_the_address_of_a_form_leads_back_to_its_page(first: Shoppers, path: str, leads_to: str) -> None:
    async with first.browser() as buyer:
        got = await buyer.get(path)
        assert (got.status_code, got.headers["location"]) == (303, leads_to)
