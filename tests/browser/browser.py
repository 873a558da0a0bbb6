"""Chromium for the tests: where it is, pages that fail on any error, and the checks made on each page."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, ConsoleMessage, Error, Page, Request, Response, async_playwright

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "artifacts"
AXE = ROOT / ".venv" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
ALL_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
COLOURS = ("color-contrast",)

Scheme = Literal["light", "dark"]
NARROW, WIDE = 360, 1440


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The machine's own browser; without one the test fails and says what to do."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail("These tests need Chromium; `make test` installs it, or: apt-get install chromium fonts-noto-cjk")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Window:
    """One browser window; `faults` collects what a person would find in the developer tools."""

    page: Page
    site_url: str
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", self._error)
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    async def open(self, path: str, status: int = 200) -> None:
        """A page of the site with the status that it should have."""
        response = await self.page.goto(self.site_url + path)
        assert response is not None
        assert response.status == status, (path, response.status)
        if status >= 400:  # the browser reports it as an error; here it is what we wanted
            self.faults = [fault for fault in self.faults if str(status) not in fault]

    async def overflow(self, width: int) -> int:
        """How many pixels the page is wider than a window of that width."""
        await self.page.set_viewport_size({"width": width, "height": 800})
        return int(await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))

    async def broken_rules(self, scheme: Scheme, rules: Sequence[str] = ALL_RULES) -> list[str]:
        """What axe-core finds, in light or dark, by its names of rules or of sets of rules."""
        await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await self.page.evaluate(_axe())
        found = await self.page.evaluate(
            "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']}).then(done => "
            "done.violations.map(broken => broken.id + ': ' + broken.nodes.map(node => node.html).join(' | ')))",
            list(rules),
        )
        return [str(rule) for rule in found]

    async def texts(self) -> set[str]:
        """Every text that a person can read, and every name that a screen reader says."""
        found = await self.page.evaluate("""() => {
            const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT), texts = [];
            while (walker.nextNode()) texts.push(walker.currentNode.textContent.trim());
            for (const named of document.querySelectorAll('[aria-label]')) texts.push(named.getAttribute('aria-label'));
            return texts.filter(Boolean);
        }""")
        return {str(text) for text in found}

    async def keep(self, name: str, width: int = WIDE) -> None:
        """A picture for people in artifacts/, where JITUI_TEST_PICTURES asks for it."""
        if not os.environ.get("JITUI_TEST_PICTURES"):
            return
        ARTIFACTS.mkdir(exist_ok=True)
        await self.page.set_viewport_size({"width": width, "height": 800})
        await self.page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")

    def _error(self, error: Error) -> None:
        self.faults.append(f"exception: {error}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a page that was left took its own request back
            self.faults.append(f"request failed: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.faults.append(f"status {response.status}: {response.url}")


@asynccontextmanager
async def window(browser: Browser, site_url: str, language: str, scheme: Scheme = "light") -> AsyncIterator[Window]:
    """A window with cookies of its own; any fault that it noticed fails the test at the end."""
    context = await browser.new_context(
        locale=language, color_scheme=scheme, viewport={"width": WIDE, "height": 800}, timezone_id="Europe/Berlin"
    )
    context.set_default_timeout(20_000)
    try:
        opened = Window(await context.new_page(), site_url)
        yield opened
        assert opened.faults == []
    finally:
        await context.close()


def _axe() -> str:
    if not AXE.is_file():
        pytest.fail("axe-core is missing; `make setup` brings it from npm")
    return AXE.read_text(encoding="utf-8")
