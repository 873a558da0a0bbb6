"""A policy by two people in two browsers: written with completed facts, proposed, approved, published, rolled back."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from jitui.identity.people import Person
from tests.browser.browser import NARROW, Window, chromium, window
from tests.browser.site import Site
from tests.console.policies import ADA, BO, NEXT, enrolled

pytestmark = pytest.mark.xdist_group("browser")


async def test_a_policy_from_the_editor_to_live_by_two_people(site: Site) -> None:
    service = site.market.service
    await enrolled(site.market)
    assert await service.policies.end_single_person(by="tests", now=service.clock())
    async with chromium() as browser, window(browser, site.url, "en") as hers, window(browser, site.url, "en") as his:
        ada, bo = await signed_in(hers, ADA), await signed_in(his, BO)
        await write(hers, ada)
        await ada.get_by_label("Your reason").first.fill("The limit is lower.")
        await ada.get_by_role("button", name="Propose", exact=True).click()
        await expect(ada.get_by_text("You proposed this. Somebody else approves it.")).to_be_visible()
        await bo.reload()
        await bo.get_by_role("link", name="A policy: unshipped-instant-refund 3").click()
        await expect(bo.get_by_text("30000 → 20000")).to_be_visible()
        await his.keep("policy-proposal-en-narrow", NARROW)
        await bo.get_by_label("Note (optional)").fill("Agreed.")
        await bo.get_by_role("button", name="Approve what is shown here").press("Enter")
        await expect(bo.get_by_text("Approved by")).to_be_visible()
        await ada.reload()
        await ada.get_by_role("button", name="Publish it").press("Enter")
        await expect(ada.get_by_text("Done", exact=True)).to_be_visible()
        live = await service.policies.publication(None)
        assert live is not None and (live.version, live.approved_by) == ("3", "bo")
        await bo.get_by_role("link", name="Policies", exact=True).first.click()
        await bo.locator("summary", has_text="Roll back").press("Enter")
        await bo.get_by_label("Your reason").first.fill("Incidents.")
        await bo.get_by_role("button", name="Roll back version 3").press("Enter")
        await expect(bo.get_by_text("To be confirmed by a second person")).to_be_visible()
        await his.keep("policies-rolled-back-en")


async def signed_in(opened: Window, person: Person) -> Page:
    await opened.open("/")
    await opened.page.get_by_role("button", name=person.display_name, exact=False).click()
    await expect(opened.page.get_by_role("heading", name="Policies", exact=True)).to_be_visible()
    return opened.page


async def write(opened: Window, page: Page) -> None:
    """A mistake is told with its place while it is written; a fact is completed; the text is kept."""
    await page.get_by_role("link", name="Write a text").click()
    text = page.get_by_role("textbox", name="Text", exact=True)
    await text.fill(NEXT.replace("order.paid_minor < limit_minor", "order.paid_minorr < limit_minor"))
    await expect(page.get_by_text("The text has a mistake").first).to_be_visible()
    await text.fill("# order.paid_m")
    await expect(page.get_by_role("option", name="order.paid_minor")).to_be_visible()
    await text.press("ArrowDown")
    await text.press("Enter")
    await expect(text).to_have_value("# order.paid_minor")
    await text.fill(NEXT)
    await expect(page.get_by_text("Nothing stands against it.")).to_be_visible()
    await opened.keep("policy-editor-en")
    await page.get_by_role("button", name="Keep it as a draft").click()
    await expect(page.get_by_role("heading", name="unshipped-instant-refund 3")).to_be_visible()
