"""The demo's tour in a real browser, step by step as the start page writes it; and no list of the demo is empty."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.browser import Window, chromium, window
from tests.browser.demo_site import DemoSite, running_demo_site

TOLD_MS = 20_000
"""The page asks every five seconds how its ticket stands."""

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture
async def demo(tmp_path: Path, empty_database_url: str) -> AsyncIterator[DemoSite]:
    async with running_demo_site(tmp_path, empty_database_url) as running:
        yield running
    name = empty_database_url.rpartition("/")[2].partition("?")[0] + "_demo"
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


class Visitors:
    """A window for each person, as the tour says: a private window is somebody else at the same time."""

    def __init__(self, browser: Browser, stack: AsyncExitStack, demo: DemoSite) -> None:
        self._browser, self._stack, self._demo = browser, stack, demo

    async def start(self) -> Window:
        """The start page, with nobody signed in."""
        opened = await self._stack.enter_async_context(window(self._browser, self._demo.url, "en"))
        await opened.open("/")
        return opened

    async def signed_in(self, name: str) -> Window:
        opened = await self.start()
        await opened.page.get_by_role("button", name=name).click()
        await opened.page.wait_for_url(re.compile(r"/(buyer|merchant|search|risk|operations)"))
        return opened


async def test_the_tour_as_it_is_written(demo: DemoSite) -> None:
    async with chromium() as browser, AsyncExitStack() as stack:
        visitors = Visitors(browser, stack, demo)
        first, second = demo.of("buyer")[:2]
        buyer = await visitors.signed_in(first)
        order_id = await ask(buyer.page, "As things stand, this is approved at once.")
        await expect(buyer.page.locator("#ticket")).to_have_attribute("data-state", "refunded", timeout=TOLD_MS)
        await the_shop_reads_why(visitors, demo, order_id)
        await the_shop_decides(visitors, demo, second)
        await support_reads_why(visitors, demo, order_id)
        await an_operator_reads_an_incident(visitors, demo)
        await payments_fail_and_are_mended(visitors, demo, buyer)


async def ask(page: Page, promised: str) -> str:
    """Ask for the refund of the first order of which the page promises this; the order."""
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="My orders").click()
    await page.wait_for_url("**/buyer/orders")
    links = await page.get_by_role("link", name="Ask for a refund").evaluate_all("all => all.map(a => a.href)")
    told: list[str] = []
    for address in links:
        await page.goto(address)
        await expect(page.locator("#check h2")).to_be_visible()
        told.append(await page.locator("#check").inner_text())
        if promised in told[-1]:
            await page.get_by_role("button", name="Ask for the refund").click()
            await page.wait_for_url("**/buyer/tickets/*")
            return str(address.partition("order=")[2])
    raise AssertionError(f"No order of {len(links)} says: {promised} They say: {told}")


async def shop_of(visitors: Visitors, demo: DemoSite, order_id: str) -> Window:
    """The ticket of an order, opened by its shop, which is one of the sample shops."""
    for name in demo.of("merchant"):
        opened = await visitors.signed_in(name)
        await opened.open(f"/merchant/tickets?order={order_id}")
        link = opened.page.get_by_role("link", name=order_id)
        if await link.count():
            await link.click()
            return opened
    raise AssertionError(f"No sample shop has the order {order_id} that the tour asks for.")


async def the_shop_reads_why(visitors: Visitors, demo: DemoSite, order_id: str) -> None:
    shop = await shop_of(visitors, demo, order_id)
    await expect(shop.page.get_by_text("Do not ship these goods.")).to_be_visible()
    await expect(shop.page.get_by_text("automatically approved")).to_be_visible()


async def the_shop_decides(visitors: Visitors, demo: DemoSite, second: str) -> None:
    """The second buyer's request waits for the shop, which approves it."""
    buyer = await visitors.signed_in(second)
    order_id = await ask(buyer.page, "As things stand, the shop decides")
    await expect(buyer.page.locator("#ticket")).to_have_attribute("data-state", "awaiting_merchant")
    shop = await shop_of(visitors, demo, order_id)
    address = shop.page.url
    await shop.page.get_by_role("link", name="To review").click()
    await shop.page.get_by_role("link", name=order_id).click()
    assert shop.page.url == address
    await shop.page.get_by_role("button", name="Approve the refund").click()
    await expect(buyer.page.locator("#ticket")).to_have_attribute("data-state", "refunded", timeout=TOLD_MS)


async def support_reads_why(visitors: Visitors, demo: DemoSite, order_id: str) -> None:
    support = await visitors.signed_in(demo.of("support")[0])
    await support.page.get_by_role("searchbox").first.fill(order_id)
    await support.page.get_by_role("searchbox").first.press("Enter")
    await support.page.locator("main a[href^='/support/tickets/']").first.click()
    await support.page.locator("a[href$='/why']").first.click()
    await expect(support.page.get_by_text("Values at that time").first).to_be_visible()


async def an_operator_reads_an_incident(visitors: Visitors, demo: DemoSite) -> None:
    operator = await visitors.signed_in(demo.of("operator")[0])
    await operator.page.get_by_role("link", name="Incidents", exact=True).click()
    await operator.page.locator("main a[href^='/support/incidents/']").first.click()
    await expect(operator.page.locator("form[action$='/outcome']")).to_be_visible()


async def payments_fail_and_are_mended(visitors: Visitors, demo: DemoSite, buyer: Window) -> None:
    start = await visitors.start()
    await start.page.get_by_role("button", name="Let payments fail").click()
    await expect(start.page.get_by_text("Payments fail:")).to_be_visible()
    await start.keep("demo-payments-fail-en")
    await start.keep("demo-payments-fail-en-narrow", 360)
    order_id = await ask(buyer.page, "As things stand, this is approved at once.")
    operator = await visitors.signed_in(demo.of("operator")[0])
    failed = operator.page.get_by_role("heading", name="A refund failed")
    for _ in range(100):
        await operator.open("/operations/tasks")
        if await failed.count():
            break
        await operator.page.wait_for_timeout(100)
    await expect(failed).to_be_visible()
    await operator.open("/operations/live")
    await expect(operator.page.get_by_text("Open tasks: 2")).to_be_visible()
    await start.page.get_by_role("button", name="Mend payments").click()
    await expect(start.page.get_by_text("Payments work.")).to_be_visible()
    await operator.open("/operations/refunds?state=failed")
    await operator.page.get_by_role("link", name=order_id).click()
    await operator.page.get_by_label("The reason is mended").check()
    await operator.page.get_by_role("button", name="Send it again").click()
    await expect(buyer.page.locator("#ticket")).to_have_attribute("data-state", "refunded", timeout=TOLD_MS)


LISTS = re.compile(r"/(buyer|merchant|support|operations|risk|platform)/[a-z]+")


async def test_no_list_of_the_demo_is_empty(demo: DemoSite) -> None:
    async with chromium() as browser, AsyncExitStack() as stack:
        visitors, empty, seen = Visitors(browser, stack, demo), [], 0
        for person in demo.people:
            opened = await visitors.start()
            await opened.page.get_by_role("button", name=person["display_name"]).click()
            await opened.page.wait_for_load_state()
            links = await opened.page.locator("nav a, main a").evaluate_all("all => all.map(a => a.pathname)")
            for path in dict.fromkeys(link for link in links if LISTS.fullmatch(link) and link != "/buyer/ask"):
                await opened.open(path)
                seen += 1
                empty += [
                    (person["name"], path, what) for what in await opened.page.locator(".nothing").all_inner_texts()
                ]
            await opened.page.context.close()
        assert (empty, seen > 40) == ([], True)
