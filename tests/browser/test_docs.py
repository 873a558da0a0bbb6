"""The API's description in a browser: drawn by Redoc, under a content security policy without other hosts."""

from __future__ import annotations

import pytest
from litestar import Litestar

from jitui.entrypoints.http.openapi import document
from jitui.entrypoints.http.pages import pages
from tests.browser.browser import chromium
from tests.browser.site import served

pytestmark = pytest.mark.xdist_group("browser")


async def test_the_description_is_drawn_and_nothing_comes_from_elsewhere() -> None:
    answered: list[str] = []
    async with served(Litestar(pages(), openapi_config=None)) as url, chromium() as browser:
        page = await browser.new_page()
        page.on("response", lambda response: answered.append(response.url))
        await page.goto(f"{url}/docs")
        await page.locator("h1", has_text="Jitui").wait_for()
        text = await page.inner_text("body")
    for methods in document()["paths"].values():
        for operation in methods.values():
            assert operation["summary"] in text
    # Redoc asks for a picture of its maker's too; the policy stops that before it leaves.
    own = [one for one in answered if not one.startswith("blob:")]
    assert own == [f"{url}/docs", f"{url}/docs/redoc.standalone.js", f"{url}/openapi.json"]
