"""From the request to the refund in a real browser, in Chinese; then the merchant's pages, in English."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, expect

from tests.browser.browser import NARROW, Window, chromium, window
from tests.browser.site import Site
from tests.console.marketplace import NEWCOMER, PREMIUM, SHOP

NOTICE_ZH = "该用户为平台优质用户且订单满足极速退款条件，平台已自动审核通过卖家发货前仅退款申请"
NOTICE_EN = (
    "This buyer is a premium buyer of the platform and the order meets the conditions for an instant refund: the "
    "platform has automatically approved the refund-only request made before shipment"
)

pytestmark = pytest.mark.xdist_group("browser")


async def test_a_buyer_asks_and_is_refunded_and_the_shop_reads_why(site: Site) -> None:
    await site.market.order(
        PREMIUM, "KS20260601-0001", [("轻量登山杖 一对", 1, 12900), ("速干 T 恤", 2, 9800)], freight_minor=800
    )
    await site.market.order(NEWCOMER, "KS20260601-0002", [("充气睡垫", 1, 15900)])
    async with chromium() as browser:
        ticket_path = await ask_and_be_refunded(browser, site)
        await read_as_the_shop(browser, site, ticket_path)


async def test_ship_and_ask_at_once_and_one_of_them_wins_and_the_other_is_told(site: Site) -> None:
    ref = await site.market.order(PREMIUM, "KS20260601-0003", [("轻量登山杖 一对", 1, 12900)])
    async with (
        chromium() as browser,
        window(browser, site.url, "en") as buyer,
        window(browser, site.url, "en") as shop,
    ):
        for opened, person in ((buyer, PREMIUM), (shop, SHOP)):
            await opened.open("/")
            await opened.page.get_by_role("button", name=person.display_name).click()
        await buyer.open(f"/buyer/ask?order={ref.order_id}")
        await expect(buyer.page.get_by_text("As things stand, this is approved at once.")).to_be_visible()
        await shop.open("/merchant/shipping")
        await shop.page.get_by_label("Order", exact=True).fill(ref.order_id)
        await shop.page.get_by_label("Tracking number", exact=True).fill("SF7000000001")
        await asyncio.gather(
            buyer.page.get_by_role("button", name="Ask for the refund").click(),
            shop.page.get_by_role("button", name="Record as shipped").click(),
        )
        for opened in (buyer, shop):
            await opened.page.wait_for_load_state()
        snapshot = await site.market.service.store.read_order(ref)
        assert snapshot is not None
        asked, shipped = bool(snapshot.tickets), bool(snapshot.shipments)
        assert asked != shipped
        told = shop.page if asked else buyer.page
        said = "do not ship them" if asked else "These goods have left"
        await expect(told.get_by_role("alert")).to_contain_text(said)
        if asked:
            await expect(buyer.page.locator("#ticket")).to_have_attribute("data-state", "refunded")
        else:
            await expect(shop.page.get_by_text("KS20260601-0003 · SF7000000001")).to_be_visible()
        await shop.keep("race-shop-en")
        await buyer.keep("race-buyer-en")
        loser = shop if asked else buyer
        assert [fault for fault in loser.faults if "409" not in fault] == []
        loser.faults.clear()  # the refusal itself, which the browser reports


async def ask_and_be_refunded(browser: Browser, site: Site) -> str:
    """As the buyer, without a mouse where it matters; the ticket's address."""
    async with window(browser, site.url, "zh-CN") as buyer:
        page = buyer.page
        await buyer.open("/")
        await buyer.keep("start-zh")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.get_by_role("button", name=PREMIUM.display_name).press("Enter")
        await expect(page.get_by_role("heading", name="我的订单")).to_be_visible()
        await buyer.keep("buyer-orders-zh")
        await page.get_by_role("link", name="申请退款").press("Enter")
        await expect(page.locator("#check .amount")).to_have_text("¥235.00")
        await page.get_by_label("速干 T 恤").select_option("1")
        await expect(page.locator("#check .amount")).to_have_text("¥178.00")
        await expect(page.get_by_text("按当前情况，申请将立即通过。")).to_be_visible()
        await buyer.keep("buyer-ask-zh-narrow", NARROW)
        await buyer.keep("buyer-ask-zh")
        await page.get_by_role("button", name="提交退款申请").press("Enter")
        await page.wait_for_url("**/buyer/tickets/*")
        await expect(page.locator("#ticket")).to_have_attribute("data-state", "refunded")
        await expect(page.get_by_text("退款已到账。")).to_be_visible()
        await buyer.keep("buyer-refunded-zh")
        await buyer.keep("buyer-refunded-zh-narrow", NARROW)
        return page.url.removeprefix(site.url)


async def read_as_the_shop(browser: Browser, site: Site, ticket_path: str) -> None:
    reviewed = await site.market.ask(NEWCOMER, "KS20260601-0002")
    async with window(browser, site.url, "en") as shop:
        page = shop.page
        await shop.open("/")
        await page.get_by_role("button", name=SHOP.display_name).click()
        await page.get_by_role("navigation", name="Saved filters").get_by_text("Decided by the platform").click()
        await expect(page.get_by_role("row")).to_have_count(2)
        await shop.keep("merchant-tickets-en-narrow", NARROW)
        await shop.keep("merchant-tickets-en")
        await page.get_by_role("link", name="KS20260601-0001").click()
        assert page.url.endswith(ticket_path.replace("/buyer/", "/merchant/"))
        await expect(page.get_by_text(NOTICE_EN)).to_be_visible()
        await expect(page.get_by_text("Do not ship these goods.")).to_be_visible()
        await expect(page.get_by_text("The money has arrived")).to_be_visible()
        await expect(page.locator("table.why .verdict-true")).to_have_count(6)
        await shop.keep("merchant-ticket-en")
        await switch_to_chinese(shop)
        await expect(page.get_by_text(NOTICE_ZH)).to_be_visible()
        await shop.open(f"/merchant/tickets/{reviewed}")
        await expect(page.locator(".countdown").first).to_have_text("1天 23小时")
        await shop.keep("merchant-review-zh")
        await page.get_by_role("button", name="同意退款").click()
        await expect(page.get_by_text("请勿发货。")).to_be_visible()


async def switch_to_chinese(shop: Window) -> None:
    """By the menu; the page that was open is shown again."""
    before = shop.page.url
    await shop.page.locator("summary", has_text="Language and theme").click()
    await shop.page.get_by_role("button", name="中文").click()
    await expect(shop.page.locator("html")).to_have_attribute("lang", "zh-CN")
    assert shop.page.url == before
