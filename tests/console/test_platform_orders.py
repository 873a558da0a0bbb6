"""The buyer's page for an order that lives on a commerce platform: sending the form reads it there."""

from __future__ import annotations

from dataclasses import replace

from jitui.aftersales.commands.platform_orders import PlatformReading
from jitui.aftersales.model.order import LineUnits, ShipmentStatus
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.platform import PlatformShipment
from jitui.entrypoints.console.mount import console_app
from jitui.platform_syncing import take_in_now
from tests.aftersales.market import NOW
from tests.aftersales.test_platform_orders import ORDER
from tests.console.marketplace import PREMIUM, SHOP, Marketplace
from tests.console.pages import visiting
from tests.platforms.fake import FakePlatform, with_platform

OURS = replace(ORDER, buyer_id=PREMIUM.subject_id)
SENT = PlatformShipment("vendure-9", "SF1", "sf", ShipmentStatus.SHIPPED, NOW, (LineUnits("l1", 3),))
PROMISE = "As things stand"
PAGE, FORM = "/buyer/ask?order=V-1", "/buyer/ask"


async def test_what_shipped_there_meanwhile_is_not_approved(market: Marketplace) -> None:
    platform = FakePlatform()
    platform.orders["V-1"] = OURS
    service = with_platform(market.service, platform, SHOP.subject_id)
    assert await take_in_now(service, "V-1") == "agrees"
    async with visiting(console_app(service, one_click=True), PREMIUM) as visitor:
        form = (await visitor.see(PAGE)).form(FORM)
        platform.down = True
        away = await visitor.post(FORM, form.fields)
        assert away.status_code == 503
        assert "does not answer, so nothing was decided" in away.text
        platform.down = False
        platform.orders["V-1"] = replace(OURS, shipments=(SENT,))
        gone = await visitor.post(FORM, form.fields)
        assert gone.status_code == 409
        assert 'role="alert"' in gone.text


async def test_while_it_is_down_the_page_promises_nothing(market: Marketplace) -> None:
    """Opened then, or sent then and shown again."""
    platform = FakePlatform()
    platform.orders["V-1"] = OURS
    service = with_platform(market.service, platform, SHOP.subject_id)
    assert await take_in_now(service, "V-1") == "agrees"
    async with visiting(console_app(service, one_click=True), PREMIUM) as visitor:
        page = await visitor.see(PAGE)
        assert PROMISE in page.text
        platform.down = True
        for shown in (await visitor.get(PAGE), await visitor.post(FORM, page.form(FORM).fields)):
            assert "does not answer, so nothing was decided" in shown.text
            assert PROMISE not in shown.text
            assert " disabled>" not in shown.text, "it can be sent again"
        platform.down = False
        platform.orders["V-1"] = replace(OURS, shipments=(SENT,))
        assert PROMISE not in (await visitor.see(PAGE)).text


async def test_a_platform_that_cannot_be_opened_is_not_an_order_that_is_not_there(market: Marketplace) -> None:
    """The guest's link is right; only nobody can read the order now."""
    platforms = replace(market.service.platforms, unopened={"vendure": "no key"}, unopened_shops={"vendure": "shop-1"})
    service = replace(market.service, platforms=platforms)
    taken = await take_in_now(service, "V-1")
    assert isinstance(taken, Refusal) and taken.code is RefusalCode.PLATFORM_UNAVAILABLE
    assert await take_in_now(market.service, "V-1") is PlatformReading.NOT_READ, "there is no platform"
