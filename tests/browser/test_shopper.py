"""A buyer without an account in a real browser: by code and by the button on the shop's own page, wide and narrow."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from litestar import Litestar, get
from litestar.response import Response
from playwright.async_api import expect

from jitui.identity.shopper import link_for, signer_of
from tests.browser.browser import NARROW, Window, chromium, window
from tests.browser.site import served
from tests.browser.test_every_page import faults_of
from tests.console.marketplace import open_marketplace, plain_settings
from tests.console.shoppers import ADDRESS, Shoppers, shoppers_of

pytestmark = pytest.mark.xdist_group("browser")
WORDS = {"en": ("Ask for the refund", "Open the order"), "zh-CN": ("申请退款", "打开订单")}


@pytest.fixture
async def shop(database_url: str, tmp_path: Path) -> AsyncIterator[Shoppers]:
    async with open_marketplace(plain_settings(tmp_path), database_url) as market:
        yield shoppers_of(market)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_by_code_to_the_ticket(shop: Shoppers, language: str) -> None:
    found: list[str] = []

    async def look(opened: Window, name: str) -> None:
        found.extend(await faults_of(opened, language, "light"))
        await opened.keep(f"shopper-{name}-{language}", NARROW)

    async with served(shop.app) as url, chromium() as browser, window(browser, url, language) as opened:
        page = opened.page
        await opened.open("/shop?order=V-1")
        await look(opened, "start")
        await page.fill("#address", ADDRESS)
        await page.click("form[action='/shop/code'] button")
        await expect(page.locator("#code")).to_be_visible()
        await look(opened, "code")
        for _ in range(100):
            if shop.mail.sent:
                break
            await page.wait_for_timeout(50)
        await page.fill("#code", shop.code())
        await page.get_by_role("button", name=WORDS[language][1]).click()
        await page.wait_for_url("**/shop/order")
        await look(opened, "order")
        await page.select_option("select[name='units.V-1-l1']", "1")  # the dry run follows
        await expect(page.locator("#check .amount")).to_have_text(re.compile(r"10\.00"))
        await page.locator("#check button").click()
        await page.wait_for_url("**/shop/tickets/*")
        await look(opened, "ticket")
        await opened.open("/shop/order")
        await look(opened, "order-asked")
    assert found == []


@asynccontextmanager
async def own_page(url: str, link: str) -> AsyncIterator[str]:
    """A page of the shop's own, on another origin, which lets nothing run but our script."""
    tag = f'<script src="{url}/shop/jitui-button.js" defer data-order="V-1" data-link="{link}"></script>'
    other = (
        f'<script src="{url}/shop/jitui-button.js" defer data-order="V-1" data-link="https://evil.example/x"></script>'
    )
    text = f'<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Shop</title><main>{tag}{other}</main>'
    policy = f"default-src 'none'; script-src {url}; img-src data:"

    @get("/")
    async def page() -> Response[str]:
        return Response(text, media_type="text/html", headers={"content-security-policy": policy})

    async with served(Litestar([page], openapi_config=None, logging_config=None)) as shop_url:
        yield shop_url


async def test_the_button_on_the_shops_page(shop: Shoppers) -> None:
    """Under the strictest policy of content; a link that leads elsewhere makes no button."""
    async with served(shop.app) as url, chromium() as browser:
        signer = await signer_of(shop.service.people)
        link = link_for(signer, url, "V-1", shop.clock().replace(year=shop.clock().year + 1))
        async with own_page(url, link.replace("&", "&amp;")) as shop_url, window(browser, shop_url, "en") as opened:
            await opened.open("/")
            button = opened.page.locator("a.jitui-button")
            await expect(button).to_have_count(1)
            await expect(button).to_have_text("Ask for a refund")
            await expect(button).to_have_attribute("aria-label", "Ask for a refund: V-1")
            await button.click()
            await opened.page.wait_for_url("**/shop/order")
            await expect(opened.page.locator("main")).to_contain_text("V-1")
