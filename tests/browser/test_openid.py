"""Signing in by OpenID Connect in a real browser: to an issuer on another address, back, and out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.browser import ALL_RULES, NARROW, Window, chromium, window
from tests.browser.site import free_address, served
from tests.openid.issuer import TestIssuer, running_issuer
from tests.openid.site import SHAN, open_site

pytestmark = pytest.mark.xdist_group("browser")


async def looks_right(opened: Window, name: str) -> None:
    assert await opened.broken_rules("light", ALL_RULES) == []
    assert await opened.overflow(NARROW) <= 0
    await opened.keep(f"openid-{name}")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_there_and_back_again(tmp_path: Path, database_url: str, algorithm: str) -> None:
    listener, url = free_address()
    async with running_issuer() as issuer, open_site(database_url, tmp_path, issuer, public_url=url) as site:
        issuer.algorithm, issuer.shows_a_page = algorithm, True
        await site.link(SHAN)
        async with (
            served(site.console, listener),
            chromium() as browser,
            window(browser, url, "en") as opened,
        ):
            await there_and_back(opened, issuer, url)


async def there_and_back(opened: Window, issuer: TestIssuer, url: str) -> None:
    page = opened.page
    await opened.open("/merchant/coverage")
    assert page.url == f"{url}/?next=%2Fmerchant%2Fcoverage"
    await looks_right(opened, "start")
    await page.get_by_role("link", name="Single sign-on").click()
    assert page.url.startswith(f"{issuer.url}/authorize?")
    await page.locator("#in").click()
    await page.wait_for_url(f"{url}/merchant/coverage")
    assert await page.get_by_role("heading").first.is_visible()
    await opened.open("/account")
    await looks_right(opened, "account")
    await page.locator("summary", has_text="Shan").click()
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url(f"{url}/signed-out")
    await looks_right(opened, "signed-out")
    await page.get_by_role("link", name="Sign out there too").click()
    assert page.url.startswith(f"{issuer.url}/end?")
    await opened.open("/merchant/coverage")
    assert page.url.startswith(f"{url}/?next="), "signed out here for good"
