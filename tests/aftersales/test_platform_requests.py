"""An order of a commerce platform is decided on only as it was read there a moment before."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jitui.aftersales.commands.execute import Executed, IdempotentReply
from jitui.aftersales.commands.platform_orders import PlatformReading
from jitui.aftersales.commands.request_refund import (
    DecisionSettings,
    Eligibility,
    RefundRequest,
    check_eligibility,
    request_refund,
)
from jitui.aftersales.deciding import Deciding
from jitui.aftersales.model.order import LineUnits, ShipmentStatus
from jitui.aftersales.model.platform_request import PlatformRequestRef
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.operations.platform_sync import take_order
from jitui.aftersales.operations.read_first import (
    PlatformShop,
    check_eligibility_read_first,
    request_refund_read_first,
)
from jitui.aftersales.outcomes import IdempotencyKey, Refusal, RefusalCode, StoredResponse
from jitui.aftersales.platform import PlatformOrder, PlatformShipment, UnreadableOrder
from tests.aftersales.market import NOW, Market, on_both_stores, ticket_of
from tests.aftersales.test_platform_orders import ORDER
from tests.platforms.fake import FakePlatform
from tests.platforms.market import POLICY as EVERYTHING_UNSHIPPED

SHOP = "shop-1"
REQUEST = RefundRequest("vendure-1", "V-1")
SHIPMENT = PlatformShipment("vendure-9", "SF1", "sf", ShipmentStatus.SHIPPED, NOW, (LineUnits("l1", 3),))
SHIPPED = replace(ORDER, shipments=(SHIPMENT,))


def settings_of(market: Market) -> DecisionSettings:
    zone = market.decision_settings.time_zone
    return DecisionSettings(
        Deciding(EVERYTHING_UNSHIPPED), zone, frozenset({"vendure", "simulator"}), platforms={"vendure": SHOP}
    )


async def ask(
    market: Market, platform: FakePlatform, request: RefundRequest = REQUEST, reply: IdempotentReply | None = None
) -> Executed | Refusal | StoredResponse:
    shops = {platform.name: PlatformShop(platform, SHOP)}
    return await request_refund_read_first(market.store, shops, settings_of(market), request, now=NOW, reply=reply)


async def take(market: Market, order: PlatformOrder = ORDER) -> None:
    assert await take_order(market.store, settings_of(market), "vendure", SHOP, order, now=NOW) == []


async def recorded(market: Market, order_id: str = "V-1") -> OrderSnapshot | None:
    ref = await market.store.find_order(order_id)
    return None if ref is None else await market.store.read_order(ref)


@pytest.fixture
def platform() -> FakePlatform:
    made = FakePlatform()
    made.orders["V-1"] = ORDER
    return made


@on_both_stores
async def test_an_order_that_is_not_recorded_is_taken_in_and_decided(market: Market, platform: FakePlatform) -> None:
    ticket = ticket_of(await ask(market, platform))
    assert (ticket.state, ticket.amount_minor) == (TicketState.REFUNDING, 3500)
    assert platform.reads == ["V-1"]


@on_both_stores
async def test_what_shipped_there_a_moment_ago_is_not_approved(market: Market, platform: FakePlatform) -> None:
    await take(market)
    platform.orders["V-1"] = SHIPPED
    refused = await ask(market, platform)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.ORDER_ALREADY_SHIPPED
    now = await recorded(market)
    assert now is not None
    assert not now.tickets
    assert [sent.degree for sent in now.shipments] == [ShipmentStatus.SHIPPED]


@on_both_stores
@pytest.mark.parametrize("known", [True, False])
async def test_nothing_is_written_while_the_platform_is_down(
    market: Market, platform: FakePlatform, known: bool
) -> None:
    if known:
        await take(market)
    before = await recorded(market)
    platform.down = True
    refused = await ask(market, platform)
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.retry_after_seconds) == (RefusalCode.PLATFORM_UNAVAILABLE, 30)
    assert await recorded(market) == before
    platform.down = False
    assert ticket_of(await ask(market, platform)).state is TicketState.REFUNDING


@on_both_stores
async def test_what_neither_has_is_not_found(market: Market, platform: FakePlatform) -> None:
    refused = await ask(market, platform, RefundRequest("vendure-1", "V-2"))
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NOT_FOUND
    assert platform.reads == ["V-2"]


@on_both_stores
async def test_another_buyers_order_is_not_read_there(market: Market, platform: FakePlatform) -> None:
    """Nor does it become known by trying: recorded or not, the answer is the same."""
    first = await ask(market, platform, RefundRequest("somebody", "V-1"))
    assert (await recorded(market)) is not None
    second = await ask(market, platform, RefundRequest("somebody", "V-1"))
    assert isinstance(first, Refusal)
    assert first.code is RefusalCode.NOT_FOUND
    assert first == second
    assert platform.reads == ["V-1"]


@on_both_stores
@pytest.mark.parametrize(
    "trouble", ["gone", "unreadable", "payment gone", "other buyer", "other amount", "other buyer, packed"]
)
async def test_what_is_told_otherwise_there_goes_to_the_shop(
    market: Market, platform: FakePlatform, trouble: str
) -> None:
    await take(market)
    (paid,) = ORDER.payments
    match trouble:
        case "gone":
            del platform.orders["V-1"]
        case "unreadable":
            platform.orders["V-1"] = UnreadableOrder("V-1", NOW, "It has no customer.")
        case "payment gone":
            platform.orders["V-1"] = replace(ORDER, payments=())
        case "other buyer, packed":  # the recorded order stays as it is, so nothing is refused while it is taken in
            packed = replace(ORDER, shipments=(replace(SHIPMENT, status=ShipmentStatus.LABEL_PRINTED),))
            await take(market, packed)
            platform.orders["V-1"] = replace(packed, buyer_id="vendure-2")
        case "other buyer":
            platform.orders["V-1"] = replace(ORDER, buyer_id="vendure-2")
        case _:
            platform.orders["V-1"] = replace(ORDER, payments=(replace(paid, amount_minor=3400),))
    ticket = ticket_of(await ask(market, platform))
    assert (ticket.state, ticket.review_reason) == (TicketState.AWAITING_MERCHANT, "platform_differs")


@on_both_stores
async def test_an_order_that_cannot_be_read_and_is_not_recorded(market: Market, platform: FakePlatform) -> None:
    platform.orders["V-1"] = UnreadableOrder("V-1", NOW, "It has no customer.")
    refused = await ask(market, platform)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NOT_FOUND


@on_both_stores
async def test_a_door_that_does_not_read_there_decides_nothing(market: Market) -> None:
    """Even one that calls the command itself."""
    await take(market)
    for done in (
        await request_refund(market.store, settings_of(market), REQUEST, now=NOW),
        await check_eligibility(market.store, settings_of(market), REQUEST, now=NOW),
    ):
        assert isinstance(done, Refusal)
        assert done.code is RefusalCode.PLATFORM_UNAVAILABLE


@on_both_stores
async def test_an_order_paid_elsewhere_is_not_read_there(market: Market, platform: FakePlatform) -> None:
    """Of a shop of its own, or of the platform's shop."""
    for order_id, shop_id in (("o-1", SHOP), ("o-2", "shop-2")):
        await market.paid_order("b-1", order_id, shop_id=shop_id)
        assert ticket_of(await ask(market, platform, RefundRequest("b-1", order_id))).state is TicketState.REFUNDING
    assert platform.reads == []


@on_both_stores
async def test_an_order_that_was_paid_there_since_is_read(market: Market, platform: FakePlatform) -> None:
    await take(market, replace(ORDER, payments=()))
    assert ticket_of(await ask(market, platform)).state is TicketState.REFUNDING


@on_both_stores
async def test_a_repeated_key_is_answered_without_the_platform(market: Market, platform: FakePlatform) -> None:
    key = IdempotencyKey("k", "route", "once", b"body")
    reply = IdempotentReply(key, lambda done: StoredResponse(201, str(done.ticket_id).encode(), NOW))
    first = await ask(market, platform, reply=reply)
    assert isinstance(first, Executed)
    platform.down = True
    again = await ask(market, platform, reply=reply)
    assert isinstance(again, StoredResponse)
    assert again.body == str(first.ticket_id).encode()


@on_both_stores
async def test_asking_again_and_again_reads_there_once(market: Market, platform: FakePlatform) -> None:
    two = replace(ORDER, lines=(*ORDER.lines, replace(ORDER.lines[0], line_id="l2", paid_minor=0)))
    platform.orders["V-1"] = two
    ticket_of(await ask(market, platform, replace(REQUEST, lines=(LineUnits("l1", 1),))))
    for line, code in (("l1", RefusalCode.REFUND_IN_PROGRESS), ("l2", RefusalCode.TOO_MANY_REQUESTS)):
        refused = await ask(market, platform, replace(REQUEST, lines=(LineUnits(line, 1),)))
        assert isinstance(refused, Refusal)
        assert refused.code is code
    assert len(platform.reads) == 1


async def test_two_at_once_make_one_ticket(market: Market, platform: FakePlatform) -> None:
    both = asyncio.Barrier(2)

    async def meet() -> None:
        await both.wait()

    platform.before_reading = meet
    done = await asyncio.gather(*(ask(market, platform) for _ in range(2)))
    assert sorted(type(one).__name__ for one in done) == ["Executed", "Refusal"]
    now = await recorded(market)
    assert now is not None
    assert (len(now.tickets), now.tenders[0].captured_minor, now.tenders[0].pending_minor) == (1, 3500, 3500)


@on_both_stores
async def test_the_dry_run_reads_there_too(market: Market, platform: FakePlatform) -> None:
    shops = {platform.name: PlatformShop(platform, SHOP)}

    async def check() -> Eligibility | Refusal:
        return await check_eligibility_read_first(market.store, shops, settings_of(market), REQUEST, now=NOW)

    found = await check()
    assert isinstance(found, Eligibility)
    assert (found.amount_minor, found.review_reason) == (3500, None)
    platform.orders["V-1"] = SHIPPED
    shipped = await check()
    assert isinstance(shipped, Refusal)
    assert shipped.code is RefusalCode.ORDER_ALREADY_SHIPPED
    platform.down = True
    down = await check()
    assert isinstance(down, Refusal)
    assert down.code is RefusalCode.PLATFORM_UNAVAILABLE


def test_what_was_not_read_is_the_default() -> None:
    assert DecisionSettings.__dataclass_fields__["reading"].default is PlatformReading.NOT_READ


@on_both_stores
async def test_what_a_platform_pays_on_its_own_requests_is_asked_for_there(market: Market) -> None:
    """It pays no refund that was approved for a request of ours; a stranger learns nothing of the order."""
    deciding = replace(settings_of(market), platforms={}, providers=frozenset({"kuaishou"}))
    assert await take_order(market.store, deciding, "kuaishou", SHOP, ORDER, now=NOW) == []
    refused = await request_refund(market.store, deciding, REQUEST, now=NOW)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.ASKED_AT_PLATFORM
    seen = await check_eligibility(market.store, deciding, REQUEST, now=NOW)
    assert isinstance(seen, Refusal) and seen.code is RefusalCode.ASKED_AT_PLATFORM
    stranger = await request_refund(market.store, deciding, RefundRequest("somebody", "V-1"), now=NOW)
    assert isinstance(stranger, Refusal) and stranger.code is RefusalCode.NOT_FOUND
    there = replace(REQUEST, there=PlatformRequestRef("kuaishou", "9", "1", 3500))
    assert ticket_of(await request_refund(market.store, deciding, there, now=NOW)).state is TicketState.REFUNDING


@on_both_stores
@pytest.mark.parametrize("connected", [True, False], ids=["cannot be opened", "is not connected any more"])
async def test_nothing_is_decided_where_the_platform_cannot_be_asked_at_all(market: Market, connected: bool) -> None:
    """Its key is gone, or it was disconnected: what is recorded may be over, and nobody can say."""
    await take(market)
    before = await recorded(market)
    settled = replace(settings_of(market), platforms={"vendure": SHOP} if connected else {})
    for done in (
        await request_refund_read_first(market.store, {}, settled, REQUEST, now=NOW),
        await check_eligibility_read_first(market.store, {}, settled, REQUEST, now=NOW),
        await request_refund(market.store, settled, REQUEST, now=NOW),
    ):
        assert isinstance(done, Refusal) and done.code is RefusalCode.PLATFORM_UNAVAILABLE
    assert await recorded(market) == before
    other = RefundRequest("vendure-1", "V-2")
    unknown = await request_refund_read_first(market.store, {}, settled, other, now=NOW)
    assert isinstance(unknown, Refusal)
    assert unknown.code is (RefusalCode.PLATFORM_UNAVAILABLE if connected else RefusalCode.NOT_FOUND)


@on_both_stores
async def test_what_one_platform_does_not_have_another_that_cannot_be_asked_may_have(
    market: Market, platform: FakePlatform
) -> None:
    shops = {platform.name: PlatformShop(platform, SHOP)}
    settled = replace(settings_of(market), platforms={"vendure": SHOP, "woocommerce": "shop-2"})
    unknown = await request_refund_read_first(market.store, shops, settled, RefundRequest("b", "V-2"), now=NOW)
    assert isinstance(unknown, Refusal) and unknown.code is RefusalCode.PLATFORM_UNAVAILABLE
    known = await request_refund_read_first(market.store, shops, settled, REQUEST, now=NOW)
    assert ticket_of(known).state is TicketState.REFUNDING
