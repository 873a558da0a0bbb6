"""Every page in a real browser: wide and narrow, light and dark, in both languages, with accessibility checks."""

from __future__ import annotations

import asyncio

import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.ship import ShipmentUpdate, record_shipment
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.task import NewTask, TaskKind
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.refund_list import RefundFilter
from jitui.entrypoints.console.catalogues import translations_in
from jitui.entrypoints.console.page.access import SESSION_COOKIE
from jitui.identity.links import make_link
from jitui.identity.people import Person, SignedIn, sign_in_sample
from jitui.identity.second_factor import begin
from jitui.settings import Language
from tests.browser.browser import ALL_RULES, COLOURS, NARROW, WIDE, Scheme, Window, chromium, window
from tests.browser.site import Site
from tests.console.marketplace import NEWCOMER, OPERATOR, OTHER_SHOP, PREMIUM, SHOP, SUPPORT, Marketplace, in_review
from tests.console.operators import AUDITOR, LI, advanced, refund_of, staffed
from tests.console.policies import ADA, BO, announced, back_tests_kept, policies_at_work
from tests.console.risk import risk_at_work

LONG = "防水加厚三季双层帐篷（含地垫、防风绳与收纳袋，适合海拔三千米以下露营使用）"

pytestmark = pytest.mark.xdist_group("browser")


@pytest.mark.parametrize(("language", "scheme"), [("zh-CN", "light"), ("en", "dark")])
async def test_every_page_fits_is_accessible_and_translated(site: Site, language: str, scheme: Scheme) -> None:
    pages, found = await prepare(site), list[str]()
    async with chromium() as browser, window(browser, site.url, language, scheme) as opened:
        for person, looks in pages:
            if person is not None:
                await sign_in_as(opened, site, person)
            for name, path, status in looks:
                await opened.open(path, status)
                found += await faults_of(opened, language, scheme)
                await opened.keep(f"page-{name}-{language}-{scheme}")
                if scheme == "light":
                    await opened.keep(f"page-{name}-{language}-narrow", NARROW)
    assert found == []


async def sign_in_as(opened: Window, site: Site, person: Person) -> None:
    """By the session's cookie: the start page has a button for buyers and merchants alone."""
    session = await sign_in_sample(site.market.service.people, person.name, now=site.market.service.clock())
    assert isinstance(session, SignedIn), session
    await opened.page.context.add_cookies([{"name": SESSION_COOKIE, "value": session.token, "url": site.url}])


async def prepare(site: Site) -> list[tuple[Person | None, list[tuple[str, str, int]]]]:
    """Pages in their different shapes, by who sees them: name, path and status."""
    market, now = site.market, site.market.service.clock()
    await market.order(PREMIUM, "KS-0001", [(LONG, 1, 12900), ("速干 T 恤", 12, 9800)], freight_minor=800)
    await market.order(NEWCOMER, "KS-0002-" + "8" * 40, [("保温水壶", 1, 8900)])
    labelled = await market.order(PREMIUM, "KS-0003", [("帐篷地钉", 1, 4500)])
    await market.parcel(labelled, ShipmentStatus.LABEL_PRINTED)
    await market.order(NEWCOMER, "KS-0004", [(LONG, 1, 59900)], shop=OTHER_SHOP)
    await market.order(NEWCOMER, "KS-0005", [("头灯", 1, 6900)])
    instant = await market.ask(PREMIUM, "KS-0003")
    await market.ask(NEWCOMER, "KS-0002-" + "8" * 40)
    reviewed = await market.ask(NEWCOMER, "KS-0005")
    rejected, escalated, offered = await in_review(market)
    incident = await market.incident("KS-0009")
    advance = await advanced(market, "KS-0020")
    for number, order_id in enumerate(("KS-0010", "KS-0011")):
        scanned = await market.order(NEWCOMER, order_id, [(LONG, 1, 12900)])
        update = ShipmentUpdate(ShipmentStatus.PICKED_UP, "顺丰", f"SF77{number}", ShipmentSource.CARRIER, now)
        by = Actor(ActorKind.CARRIER, "顺丰")
        assert isinstance(await record_shipment(market.service.store, scanned, update, by=by, now=now), Executed)
    service = market.service
    await begin(service.second_factors, service.encryption, OTHER_SHOP.name)
    link = await make_link(service.links, SHOP.name, by="ops", now=now)
    return [
        (None, [("start", "/", 200), ("policy", "/policy", 200), ("nothing", "/nothing", 404)]),
        (None, [("link", link.path, 200), ("link-over", "/welcome/over", 410)]),
        (None, [("shop-without-mail", "/shop", 200), ("shop-link-over", "/shop/link?order=A-1&exp=1&sig=x", 403)]),
        (
            PREMIUM,
            [
                ("orders", "/buyer/orders", 200),
                ("ask", "/buyer/ask?order=KS-0001", 200),
                ("ticket-refunded", f"/buyer/tickets/{instant}", 200),
            ],
        ),
        (
            NEWCOMER,
            [
                ("ask-reviewed", "/buyer/ask?order=KS-0004", 200),
                ("ask-nothing", "/buyer/ask?order=KS-0005", 200),
                ("ticket-waiting", f"/buyer/tickets/{reviewed}", 200),
                ("ticket-rejected", f"/buyer/tickets/{rejected}", 200),
                ("ticket-escalated", f"/buyer/tickets/{escalated}", 200),
                ("ticket-offered", f"/buyer/tickets/{offered}", 200),
            ],
        ),
        (
            SHOP,
            [
                ("tickets", "/merchant/tickets", 200),
                ("tickets-none", "/merchant/tickets?state=closed", 200),
                ("tickets-columns", "/merchant/tickets?columns=state,deadline,buyer,ticket&sort=amount", 200),
                ("decided", f"/merchant/tickets/{instant}", 200),
                ("to-review", f"/merchant/tickets/{reviewed}", 200),
                ("to-review-list", "/merchant/review", 200),
                ("offered", f"/merchant/tickets/{offered}", 200),
                ("arbitration", f"/merchant/tickets/{escalated}", 200),
                ("templates", "/merchant/templates", 200),
                ("shipping", "/merchant/shipping", 200),
                ("incidents", "/merchant/incidents", 200),
                ("incident", f"/merchant/incidents/{incident}", 200),
                ("incident-advance", f"/merchant/incidents/{advance}", 200),
                ("coverage", "/merchant/coverage", 200),
                ("benefit", "/merchant/benefit", 200),
            ],
        ),
        (OPERATOR, [("incident-decide", f"/support/incidents/{incident}", 200)]),
        (
            SUPPORT,
            [
                ("search-start", "/search", 200),
                ("search-buyer", f"/search?q={PREMIUM.subject_id}", 200),
                ("search-nothing", "/search?q=KS-404-" + "4" * 40, 200),
                ("case-refunded", f"/support/tickets/{instant}", 200),
                ("case-waiting", f"/support/tickets/{reviewed}", 200),
                ("why-refunded", f"/support/tickets/{instant}/why", 200),
                ("why-waiting", f"/support/tickets/{reviewed}/why", 200),
            ],
        ),
        (
            OTHER_SHOP,
            [
                ("not-covered", "/merchant/coverage", 200),
                ("account", "/account", 200),
                ("second-factor", "/account/second-factor", 200),
            ],
        ),
        *await operations(market),
        *await policies(market),
        *await risk(market),
    ]


async def operations(market: Marketplace) -> list[tuple[Person | None, list[tuple[str, str, int]]]]:
    """The operators' pages: a refund that failed, one that is paid, a difference and its task."""
    await staffed(market)
    unpaid = Marketplace(market.service)  # the provider does not know its payment, and refuses
    long_id = "69217349582017364" * 3
    ref = await unpaid.order(PREMIUM, long_id, [(LONG, 1, 6900)])
    await market.ask(PREMIUM, long_id)
    refund_id = await refund_of(market, ref)
    now = market.service.clock()
    sides = {"at": now.isoformat(), "amount_minor": 12900, "currency": "CNY", "provider_refund_id": "rf_" + "8" * 40}
    evidence = {"movement": "refund", "ours": None, "theirs": sides, "refund_id": None}
    await market.service.tasks.open(
        [NewTask("difference", TaskKind.THEIRS_ONLY, "simulator", evidence, now, long_id, 12900, "CNY")]
    )
    for _ in range(400):  # until the worker has sent it
        if (await market.service.queries.refunds(RefundFilter(RefundState.FAILED))).refunds:
            break
        await asyncio.sleep(0.05)
    return [
        (
            LI,
            [
                ("live", "/operations/live", 200),
                ("op-tasks", "/operations/tasks", 200),
                ("op-refunds", "/operations/refunds", 200),
                ("op-refunds-none", "/operations/refunds?provider=stripe", 200),
                ("op-refund-failed", f"/operations/refunds/{refund_id}", 200),
                ("op-reconciliation", "/operations/reconciliation", 200),
                ("all-tickets", "/support/tickets", 200),
                ("all-tickets-none", "/support/tickets?state=closed", 200),
            ],
        ),
        (AUDITOR, [("op-audit", "/operations/audit", 200), ("op-audit-none", "/operations/audit?actor=nobody", 200)]),
    ]


async def policies(market: Marketplace) -> list[tuple[Person | None, list[tuple[str, str, int]]]]:
    """The pages of risk: policies at every step, and an editor."""
    live, canary, proposal = await policies_at_work(market)
    looks = [("policies", "/risk/policies", 200), ("policy-text", live, 200), ("policy-canary", canary, 200)]
    tests = [
        (f"back-test-{name}", path, 404 if name == "gone" else 200) for name, path in back_tests_kept(market).items()
    ]
    opined = [("announcement", f"{live}/announcement", 200), ("announcement-said", await announced(market), 200)]
    return [
        (ADA, [*looks, ("policy-editor", "/risk/policies/editor", 200), *tests, *opined]),
        (BO, [("proposal", proposal, 200)]),
    ]


async def risk(market: Marketplace) -> list[tuple[Person | None, list[tuple[str, str, int]]]]:
    """Buyers and shops: restricted, with appeals, linked; with complaints and places set apart, and gates."""
    await risk_at_work(market)
    looks = [
        ("risk-buyers", "/risk/buyers", 200),
        ("risk-buyers-restricted", "/risk/buyers?show=restricted", 200),
        ("risk-buyers-unknown", "/risk/buyers?buyer=nobody", 404),
        ("risk-buyer", f"/risk/buyers/{NEWCOMER.subject_id}", 200),
        ("risk-buyer-premium", f"/risk/buyers/{PREMIUM.subject_id}", 200),
        ("risk-shops", "/risk/shops", 200),
        ("risk-shops-places", "/risk/shops?show=places", 200),
        ("risk-shop", f"/risk/shops/{SHOP.subject_id}", 200),
        ("risk-shop-out", f"/risk/shops/{OTHER_SHOP.subject_id}", 200),
    ]
    return [(BO, looks), (AUDITOR, [("risk-buyer-read", f"/risk/buyers/{NEWCOMER.subject_id}", 200)])]


async def faults_of(opened: Window, language: str, scheme: Scheme) -> list[str]:
    path = opened.page.url.removeprefix(opened.site_url)
    found = [f"{width} pixels: too wide" for width in (NARROW, WIDE) if await opened.overflow(width) > 0]
    found += await opened.broken_rules(scheme, ALL_RULES if scheme == "light" else COLOURS)
    if language == Language.ZH_CN:
        untranslated = {text for text, said in translations_in(Language.ZH_CN).items() if text != said}
        found += sorted(await opened.texts() & untranslated)
    return [f"{path}: {fault}" for fault in found]
