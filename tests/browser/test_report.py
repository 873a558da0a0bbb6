"""The back-test's report in a browser: drawn in both languages, narrow and wide, light and dark, and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from jitui.backtest.report_page import render_html
from jitui.backtest.run import BacktestSpec, run_backtest
from jitui.backtest.segments import SegmentSpec
from jitui.policy import Policy
from tests.backtest.histories import REQUESTS, request, small_history, write_csv
from tests.browser.browser import NARROW, WIDE, Scheme, Window, chromium, window
from tests.policy.policy_samples import DEFAULT

pytestmark = pytest.mark.xdist_group("browser")

HOSTILE = "</script><img src=x onerror=alert(1)>"
LONG = "防水加厚三季双层帐篷含地垫防风绳与收纳袋"
CHARTS = 10
SCHEMES: Sequence[Scheme] = ("light", "dark")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose segments have values that are long, and that try to end a script."""
    folder = tmp_path_factory.mktemp("report")
    history = small_history(folder / "h", requests=[])
    asked = [request(n, f"2025-06-{day:02}T12:00:00Z") for n, day in enumerate((1, 1, 2, 5, 9), 1)]
    rows = [f"{row},{label}" for row, label in zip(asked, (HOSTILE, LONG, LONG, "x", "y"), strict=True)]
    write_csv(history, "requests", f"{REQUESTS},label", rows)
    policy = Policy.from_text(DEFAULT.read_text(encoding="utf-8").replace("hold_out_percent: 2", "hold_out_percent: 0"))
    segments = (SegmentSpec("label", "label", is_fact=False),)
    spec = BacktestSpec(policy, str(history), ZoneInfo("Asia/Shanghai"), segments=segments, findings=True)
    path = folder / "report.html"
    path.write_text(render_html(run_backtest(spec, folder / "w"), "en"), encoding="utf-8")
    return path


async def test_the_report_is_drawn_fits_and_is_accessible(report: Path) -> None:
    found: list[str] = []
    async with chromium() as browser, window(browser, report.as_uri(), "en") as opened:
        await opened.page.goto(report.as_uri())
        for scheme in SCHEMES:
            for language in ("zh", "en"):
                await opened.page.locator(f"label[for={language}]").click()
                for width in (NARROW, WIDE):
                    if await opened.overflow(width) > 0:
                        found.append(f"{language} {width}: too wide")
                    found += [f"{language} {width}: {text}" for text in await undrawn_at_last(opened, language)]
                await opened.keep(f"report-{language}-{scheme}")
                found += await opened.broken_rules(scheme)
        assert HOSTILE in await opened.page.inner_text("main[lang=en]")
        assert await opened.page.locator("img").count() == 0
    assert found == []


async def undrawn_at_last(opened: Window, language: str) -> list[str]:
    """What is wrong once the page has drawn its charts anew, which it does a moment after it got another width."""
    for _ in range(40):
        faults = await undrawn(opened, language)
        if not faults:
            break
        await opened.page.wait_for_timeout(50)
    return faults


async def undrawn(opened: Window, language: str) -> list[str]:
    """What is wrong with the charts of the visible language: each has an axis, values and the width of the page."""
    charts = opened.page.locator(f"main[lang={language}] figure.chart")
    faults = [] if await charts.count() == CHARTS else [f"{await charts.count()} charts"]
    for chart in await charts.all():
        box = await chart.locator("svg").bounding_box()
        numbers = [text for text in await chart.locator("svg text").all_text_contents() if text.strip()]
        if box is None or box["width"] < 300 or len(numbers) < 4:
            faults.append(f"{await chart.get_attribute('id')}: {box}, {numbers}")
    return faults


async def test_on_paper_and_without_scripts_nothing_is_lost(report: Path) -> None:
    async with chromium() as browser, window(browser, report.as_uri(), "en", "dark") as opened:
        page = opened.page
        await page.goto(report.as_uri())
        await page.emulate_media(media="print", color_scheme="light")
        await page.evaluate("dispatchEvent(new Event('beforeprint'))")
        svg = page.locator("main[lang=en] figure.chart svg").first
        assert await svg.get_attribute("width") == "680"
        assert await opened.overflow(720) == 0
        header = page.locator("main[lang=en] .long th").last  # a table with many conditions is not cut off
        assert await header.evaluate("one => getComputedStyle(one).overflowWrap") == "anywhere"
        assert await page.locator(".languages").is_hidden()
        assert await page.locator(".long").first.evaluate("one => one.scrollHeight - one.clientHeight") <= 1
        assert (await page.pdf(format="A4")).startswith(b"%PDF")

        plain = await (await browser.new_context(java_script_enabled=False)).new_page()
        await plain.goto(report.as_uri())
        assert await plain.locator("figure.chart >> visible=true").count() == 0
        assert "2025-06-03 (no requests)" in await plain.inner_text("main[lang=en]")
        await plain.locator("label[for=zh]").click()
        assert "2025-06-03 (无申请)" in await plain.inner_text("main[lang=zh]")
