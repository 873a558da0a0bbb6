"""The pages of benefits: the figures of the API, in words, of one shop or of all together."""

from __future__ import annotations

from jitui.aftersales.queries import Benefit, TimeInterval
from jitui.entrypoints.console.benefit import times_of
from jitui.identity.access import Role
from jitui.identity.people import Person, enrol
from tests.console.conftest import Visit
from tests.console.marketplace import OTHER_SHOP, PREMIUM, SHOP, Marketplace
from tests.console.test_merchant import GOODS, instant, reviewed


async def test_the_page_of_benefits_says_what_the_api_says_of_the_shop_alone(market: Marketplace, visit: Visit) -> None:
    await instant(market)
    await reviewed(market)
    browser = await visit(SHOP)
    text = (await browser.see("/merchant/benefit")).text
    assert "Handled without touch 1 50%" in text
    assert f"Minutes saved {market.service.settings.review_minutes} " in text
    assert f"× {market.service.settings.review_minutes} minutes" in text, "the formula states the parameter"
    assert "Nothing was refunded in this period." in text
    assert "Disputes before shipment per 1,000 orders 0 0 of 2 orders" in text
    assert "jitui experiment report" not in text, "a merchant has no command line here"
    assert "无需人工处理 1" in (await (await visit(SHOP, "zh-CN")).see("/merchant/benefit")).text
    empty = (await (await visit(OTHER_SHOP)).see("/merchant/benefit")).text
    assert "No requests in this period" in empty and "How these figures are made" in empty
    assert "Handled without touch 1" not in empty


async def test_the_period_of_the_benefit_is_in_the_address(market: Marketplace, visit: Visit) -> None:
    await instant(market)
    browser = await visit(SHOP)

    async def chosen(address: str) -> set[str | None]:
        page = await browser.see(address)
        return {
            given.get("href") for _, given in page.tags if "aria-current" in given and "days" in given.get("href", "")
        }

    assert await chosen("/merchant/benefit?days=365") == {"/merchant/benefit?days=365"}
    for other in ("", "?days=31", "?days=-7", "?days=x"):
        assert await chosen(f"/merchant/benefit{other}") == {"/merchant/benefit?days=30"}


def test_the_shares_of_the_times_are_of_their_own_kind() -> None:
    times = (TimeInterval(10, 3, 0), TimeInterval(60, 1, 1), TimeInterval(None, 0, 1))
    rows = times_of(Benefit(9, 4, 6, 0, 1.0, 2.0, 3.0, 4.0, times))
    assert [(row.from_seconds, row.below_seconds) for row in rows] == [(0, 10), (10, 60), (60, None)]
    assert [(row.instant_percent, row.reviewed_percent) for row in rows] == [(75.0, 0.0), (25.0, 50.0), (0.0, 50.0)]
    assert times_of(Benefit(1, 0, 0, 1, None, None, None, None, (TimeInterval(None, 0, 0),))) == ()


async def test_the_platform_sees_all_shops_together(market: Marketplace, visit: Visit) -> None:
    await instant(market)
    await market.order(PREMIUM, "C-1", GOODS, shop=OTHER_SHOP)
    await market.ask(PREMIUM, "C-1")
    risk = Person("zhou.yi", Role.RISK, "", "Zhou Yi", sample=True)
    await enrol(market.service.people, risk, None, now=market.service.clock())
    page = await (await visit(risk)).see("/platform/benefit")
    orders = (await market.service.queries.dispute_rate(shop_id=None, since=None)).orders
    assert orders > (await market.service.queries.dispute_rate(shop_id=SHOP.subject_id, since=None)).orders
    assert f"0 0 of {orders} orders" in page.text and "jitui experiment report" in page.text
    assert "/platform/benefit" in {given.get("href") for _, given in page.tags}, "the way there is in the navigation"
