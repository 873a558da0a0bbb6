"""Every page: nothing inline, nothing from other hosts, both languages complete, and accessible names."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jitui.adapters.postgres.pool import Pool
from jitui.adapters.postgres.store import PostgresStore
from jitui.entrypoints.console import catalogues
from jitui.entrypoints.console.catalogues import texts_used, translations_in
from jitui.entrypoints.console.page.language import choose
from jitui.entrypoints.console.page.visit import PAGE_HEADERS, STATIC
from jitui.entrypoints.console.words.codes import WHY, WORDS
from jitui.identity.people import Person
from jitui.settings import Language
from tests.console.conftest import Visit
from tests.console.marketplace import NEWCOMER, OPERATOR, OTHER_SHOP, PREMIUM, SHOP, SUPPORT, Marketplace, in_review
from tests.console.operators import AUDITOR, LI, advanced, failed, refund_of, staffed
from tests.console.pages import Page, Visitor
from tests.console.policies import ADA, BO, announced, back_tests_kept, policies_at_work
from tests.console.risk import risk_at_work

AFTERSALES = Path(catalogues.__file__).parents[2] / "aftersales"
PLACEHOLDER = re.compile(r"%\(\w+\)s")


RISK_PAGES = [
    "/risk/buyers",
    "/risk/buyers?show=all",
    "/risk/buyers?show=restricted",
    "/risk/buyers?buyer=nobody",
    f"/risk/buyers/{NEWCOMER.subject_id}",
    f"/risk/buyers/{PREMIUM.subject_id}",
    "/risk/shops",
    "/risk/shops?show=all",
    "/risk/shops?show=places",
    "/risk/shops?shop=nobody",
    f"/risk/shops/{SHOP.subject_id}",
    f"/risk/shops/{OTHER_SHOP.subject_id}",
]


async def all_pages(market: Marketplace, visit: Visit, language: str) -> AsyncIterator[tuple[Visitor, str]]:
    """Every page in every shape, each with a visitor who may see it."""
    await market.order(PREMIUM, "A-1", [("登山杖", 1, 12900), ("速干衣", 3, 9800)], freight_minor=600)
    paid = await market.order(PREMIUM, "A-2", [("水壶", 1, 8900)])
    await market.order(NEWCOMER, "B-1", [("睡垫", 1, 15900)])
    instant, reviewed = await market.ask(PREMIUM, "A-2"), await market.ask(NEWCOMER, "B-1")
    rejected, escalated, offered = await in_review(market)
    incident = await market.incident()
    await market.restricted(NEWCOMER)
    await market.contested(NEWCOMER, await market.restricted(NEWCOMER))
    await staffed(market)
    declined, sent = await failed(market, "A-3"), await refund_of(market, paid)
    advance = await advanced(market, "V-1")
    texts = await policies_at_work(market)
    await risk_at_work(market)
    pages: list[tuple[Person | None, list[str]]] = [
        (None, ["/", "/?next=%2Fbuyer%2Forders", "/policy", "/nothing", "/welcome/nothing"]),
        (None, ["/shop", "/shop/link", "/shop/order", "/shop/nothing"]),
        (PREMIUM, ["/", "/buyer/orders", "/buyer/ask?order=A-1", "/buyer/ask?order=A-2", f"/buyer/tickets/{instant}"]),
        (PREMIUM, ["/buyer/restrictions"]),
        (NEWCOMER, [f"/buyer/tickets/{rejected}", f"/buyer/tickets/{escalated}", f"/buyer/tickets/{offered}"]),
        (NEWCOMER, [f"/buyer/tickets/{reviewed}", "/merchant/tickets", "/buyer/restrictions", "/buyer/orders"]),
        (
            SHOP,
            [
                "/merchant/tickets",
                "/merchant/tickets?state=closed",
                "/merchant/tickets?state=x",
                f"/merchant/tickets/{instant}",
                f"/merchant/tickets/{reviewed}",
                "/merchant/review",
                "/merchant/templates",
                f"/merchant/tickets/{rejected}",
                f"/merchant/tickets/{offered}",
                "/merchant/shipping",
                "/merchant/incidents",
                "/merchant/incidents?state=settled",
                f"/merchant/incidents/{incident}",
                f"/merchant/incidents/{advance}",
                "/merchant/coverage",
                "/merchant/benefit",
                "/merchant/benefit?days=7",
                "/policy?publication=1",
                "/account",
                "/account/nothing",
            ],
        ),
        (
            LI,
            [
                "/operations/refunds",
                "/operations/refunds?state=succeeded",
                f"/operations/refunds/{declined}",
                f"/operations/refunds/{sent}",
                "/operations/tasks",
                "/operations/tasks?state=resolved",
                "/operations/reconciliation",
                "/operations/live",
            ],
        ),
        (AUDITOR, ["/operations/audit", "/operations/audit?subject=nobody"]),
        (ADA, ["/risk/policies", "/risk/policies/editor", *texts, *back_tests_kept(market).values()]),
        (ADA, [f"{texts[0]}/announcement", f"{texts[1]}/announcement", await announced(market)]),
        (BO, [*texts, *RISK_PAGES]),
        (AUDITOR, RISK_PAGES),
        (OPERATOR, [f"/support/incidents/{incident}", f"/support/incidents/{advance}"]),
        (
            SUPPORT,
            [
                "/search",
                "/search?q=A-2",
                f"/search?q={PREMIUM.subject_id}",
                "/search?q=nothing",
                "/support/incidents",
                "/support/tickets",
                "/support/tickets?state=closed",
                "/support/tickets?state=x",
                f"/support/tickets/{instant}",
                f"/support/tickets/{reviewed}",
                f"/support/tickets/{reviewed}/why",
            ],
        ),
    ]
    for person, paths in pages:
        visitor = await visit(person, language)
        for path in paths:
            yield visitor, path


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_nothing_is_inline_and_nothing_comes_from_elsewhere(
    market: Marketplace, visit: Visit, language: str
) -> None:
    async for visitor, path in all_pages(market, visit, language):
        response = await visitor.get(path)
        page = Page(response.text)
        assert {name: response.headers[name] for name in PAGE_HEADERS} == PAGE_HEADERS, path
        assert "unsafe" not in response.headers["content-security-policy"]
        for tag, given in page.tags:
            assert tag != "style", path
            assert not (tag == "script" and "src" not in given), path
            assert not [name for name in given if name == "style" or name.startswith(("on", "hx-on"))], (path, given)
            for name in ("src", "href", "action", "hx-get"):
                link = given.get(name, "/")
                assert link.startswith(("/", "#")) or (tag == "a" and link.startswith("https://")), (path, link)
        assert page.tags[0] == ("html", {"lang": language, "data-theme-choice": "system"}), path


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_every_field_has_a_label_and_every_page_one_heading(
    market: Marketplace, visit: Visit, language: str
) -> None:
    async for visitor, path in all_pages(market, visit, language):
        page = Page((await visitor.get(path)).text)
        labelled = {given["for"] for tag, given in page.tags if tag == "label" and "for" in given}
        for tag, given in page.tags:
            if tag in ("input", "select", "textarea") and given.get("type") not in ("hidden", "checkbox"):
                assert given["id"] in labelled, (path, given)
        assert [tag for tag, _ in page.tags].count("h1") == 1, path
        assert [tag for tag, _ in page.tags].count("main") == 1, path


async def test_what_pages_load_is_there_and_may_be_kept(visit: Visit) -> None:
    visitor = await visit()
    page = await visitor.see("/")
    loaded = [given.get("src") or given["href"] for tag, given in page.tags if tag in ("script", "link")]
    assert len(loaded) == 6
    for address in loaded:
        response = await visitor.get(address)
        assert response.status_code == 200, address
        assert "immutable" in response.headers["cache-control"]
    assert (await visitor.get("/static/../visit.py")).status_code == 404
    assert (await visitor.get("/static/%2e%2e/visit.py")).status_code == 404


def test_own_scripts_and_styles_ask_nobody_else() -> None:
    for path in (*STATIC.glob("*.js"), *STATIC.glob("*.css")):
        assert not re.search(r"https?://|@import|\beval\b|innerHTML", path.read_text(encoding="utf-8")), path.name


# Languages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", list(Language))
def test_every_text_is_in_both_catalogues_and_no_other(language: Language) -> None:
    translations = translations_in(language)
    assert sorted(translations) == texts_used(), "run: python -m jitui.entrypoints.console.catalogues"
    assert [text for text, said in translations.items() if not said] == []
    for text, said in translations.items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(said)), text


def test_chinese_is_chinese_and_english_is_english() -> None:
    chinese = re.compile(r"[\u4e00-\u9fff]")
    untranslated = {text for text, said in translations_in(Language.ZH_CN).items() if not chinese.search(said)}
    assert untranslated <= {"English", "%(count)s of %(left)s"}
    assert [said for said in translations_in(Language.EN).values() if chinese.search(said)] == []


def test_every_code_of_the_core_has_a_word() -> None:
    for codes, words in WORDS.items():
        assert set(words) == {code.value for code in codes}, codes


def test_every_why_of_a_timeline_has_a_sentence() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in AFTERSALES.rglob("*.py"))
    for writes in (
        r'\bwhy="(\w+)"',
        r'\bplan_closing\(\s*snapshot,\s*ticket,\s*TicketState\.\w+,\s*"(\w+)"',
        r'(?:by|by_provider\(refund\)),\s*"(\w+)",\s*now',
    ):
        named = re.findall(writes, sources)
        assert len(named) > 2, writes
        assert set(named) <= set(WHY)


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        (None, "", Language.ZH_CN),
        (None, "en-GB,en;q=0.9,zh;q=0.8", Language.EN),
        (None, "fr,zh-TW;q=0.5,en;q=0.4", Language.ZH_CN),
        (None, "en;q=0,zh", Language.ZH_CN),
        (None, "fr;q=x, ;;,en;q=0.1", Language.EN),
        ("en", "zh-CN", Language.EN),
        ("fr", "en", Language.EN),
    ],
)
def test_the_language_is_the_readers_choice_else_the_browsers(
    chosen: str | None, accepted: str, language: Language
) -> None:
    assert choose(chosen, accepted, Language.ZH_CN) is language


async def test_language_and_theme_are_remembered_and_lead_back(visit: Visit) -> None:
    visitor = await visit()
    done = await visitor.send("/policy?publication=1", "/preferences", language="zh-CN")
    assert done.headers["location"] == "/policy?publication=1"
    await visitor.send("/policy", "/preferences", theme="dark")
    page = await visitor.see("/policy")
    assert page.tags[0] == ("html", {"lang": "zh-CN", "data-theme-choice": "dark", "data-bs-theme": "dark"})
    away = await visitor.send("/policy", "/preferences", theme="light", back="//evil.test")
    assert away.headers["location"] == "/"


# Errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "title"), [("zh-CN", "页面不存在"), ("en", "Nothing here")])
async def test_error_pages_speak_the_readers_language(visit: Visit, language: str, title: str) -> None:
    response = await (await visit(None, language)).get("/nothing")
    assert title in response.text


def _pool(market: Marketplace) -> Pool:
    assert isinstance(market.service.store, PostgresStore)
    return market.service.store._pool


async def test_a_fault_shows_nothing_of_the_inside(market: Marketplace, visit: Visit) -> None:
    visitor = await visit(SHOP)
    pool = _pool(market)
    async with pool.connection() as connection:
        await connection.execute("ALTER TABLE ticket_list RENAME TO elsewhere")
        await connection.execute("CREATE VIEW ticket_list AS SELECT * FROM elsewhere WHERE 1 / 0 = 1")
    response = await visitor.get("/merchant/tickets")
    assert response.status_code == 500
    assert "Something went wrong" in response.text
    assert "division" not in response.text


async def test_tables_of_another_version_are_a_service_that_is_away(market: Marketplace, visit: Visit) -> None:
    visitor = await visit(SHOP)
    async with _pool(market).connection() as connection:
        await connection.execute("ALTER TABLE ticket_list RENAME TO elsewhere")
    response = await visitor.get("/merchant/tickets")
    assert response.status_code == 503
    assert "elsewhere" not in response.text and "migrate" not in response.text


async def test_a_database_that_does_not_answer_is_said_to_be_away(market: Marketplace, visit: Visit) -> None:
    visitor = await visit(SHOP)
    await _pool(market).close()
    response = await visitor.get("/merchant/tickets")
    assert response.status_code == 503
    assert "does not answer" in response.text
