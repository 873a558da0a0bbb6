"""A failed refund from the alarm to paid, in a real browser: live page, task, refund, and live page again."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.browser import NARROW, Window, chromium, window
from tests.browser.site import Site
from tests.console.marketplace import PREMIUM, Marketplace
from tests.console.operators import LI, staffed

pytestmark = pytest.mark.xdist_group("browser")


async def test_a_failed_refund_from_alarm_to_paid(site: Site) -> None:
    await staffed(site.market)
    async with chromium() as browser, window(browser, site.url, "en") as opened:
        page = opened.page
        await opened.open("/")
        await page.get_by_role("button", name=LI.display_name).click()
        await page.get_by_role("link", name="Live", exact=True).click()
        await expect(page.get_by_text("They follow the service by themselves.")).to_be_visible()
        await expect(page.get_by_text("Open tasks: 0")).to_be_visible()
        await it_fails(site)
        await expect(page.get_by_text("Open tasks: 1")).to_be_visible()  # without loading the page again
        await opened.keep("operations-live-en-narrow", NARROW)
        await opened.keep("operations-live-en")
        await mend(site, opened)


async def it_fails(site: Site) -> None:
    """The provider does not know the payment, and refuses to pay it back."""
    await Marketplace(site.market.service).order(PREMIUM, "KS20260601-0009", [("帐篷地钉", 1, 4500)])
    await site.market.ask(PREMIUM, "KS20260601-0009")


async def mend(site: Site, opened: Window) -> None:
    page = opened.page
    await page.get_by_role("link", name="Tasks", exact=True).press("Enter")
    await expect(page.get_by_role("heading", name="A refund failed")).to_be_visible()
    await opened.keep("operations-tasks-en-narrow", NARROW)
    await page.get_by_role("link", name="Open the refund").press("Enter")
    await expect(page.get_by_text("The provider has refused it for good.")).to_be_visible()
    await expect(page.locator(".quote").first).to_have_text("The provider does not know this payment. unknown_payment")
    await opened.keep("operations-refund-en-narrow", NARROW)
    await opened.keep("operations-refund-en")
    assert site.market.pay is not None
    await site.market.pay("pay-KS20260601-0009", 4500)
    await page.get_by_label("The reason is mended").press("Space")
    await page.get_by_role("button", name="Send it again").press("Enter")
    paid = page.get_by_text("It is paid. There is nothing to do.")
    for _ in range(100):  # the page says how it stands when it is loaded
        await page.reload()
        if await paid.is_visible():
            break
        await page.wait_for_timeout(100)
    await expect(paid).to_be_visible()
    await expect(page.get_by_text("The platform tries the payment again")).to_be_visible()
    await opened.keep("operations-refund-paid-en")
    await page.get_by_role("link", name="Tasks", exact=True).click()
    await expect(page.get_by_role("heading", name="No tasks here")).to_be_visible()
