"""Refund requests on orders of commerce platforms: the order is read there first, and only then decided on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from jitui.aftersales.commands.execute import Executed, IdempotentReply, not_found
from jitui.aftersales.commands.platform_orders import PlatformReading, platform_of, platform_unavailable
from jitui.aftersales.commands.request_refund import (
    DecisionSettings,
    Eligibility,
    RefundRequest,
    check_eligibility,
    request_refund,
)
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor
from jitui.aftersales.operations.platform_sync import take_order
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.platform import CallFailed, Platform, PlatformOrder, UnreadableOrder
from jitui.aftersales.ports import Store, read_order_by_id


@dataclass(frozen=True, slots=True)
class PlatformShop:
    """A connected platform, and the shop whose orders it has."""

    source: Platform
    shop_id: str


async def request_refund_read_first(
    store: Store,
    shops: Mapping[str, PlatformShop],
    decision_settings: DecisionSettings,
    request: RefundRequest,
    *,
    now: datetime,
    by: Actor | None = None,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """As `request_refund`; an order of one of these platforms, recorded or not, is read there before it is decided on.

    Other orders, and a repeated Idempotency-Key, cost no round trip more.
    """
    done = await request_refund(store, decision_settings, request, now=now, by=by, reply=reply)
    if not isinstance(done, Refusal) or not await _is_for_platform(store, decision_settings, request.order_id, done):
        return done
    reading = await read_order_now(store, shops, decision_settings, request.order_id, now=now)
    if isinstance(reading, Refusal):
        return reading
    settled = replace(decision_settings, reading=reading)
    return await request_refund(store, settled, request, now=now, by=by, reply=reply)


async def check_eligibility_read_first(
    store: Store,
    shops: Mapping[str, PlatformShop],
    decision_settings: DecisionSettings,
    request: RefundRequest,
    *,
    now: datetime,
) -> Eligibility | Refusal:
    """As `check_eligibility`, on the order as its platform has it now."""
    done = await check_eligibility(store, decision_settings, request, now=now)
    if not isinstance(done, Refusal) or not await _is_for_platform(store, decision_settings, request.order_id, done):
        return done
    reading = await read_order_now(store, shops, decision_settings, request.order_id, now=now)
    if isinstance(reading, Refusal):
        return reading
    return await check_eligibility(store, replace(decision_settings, reading=reading), request, now=now)


async def _is_for_platform(store: Store, settings: DecisionSettings, order_id: str, refusal: Refusal) -> bool:
    """Whether a platform may say more. An order that is recorded, and somebody else's, is not asked for there."""
    if refusal.code is RefusalCode.PLATFORM_UNAVAILABLE:
        return True
    unknown = refusal.code is RefusalCode.NOT_FOUND and await store.find_order(order_id) is None
    return bool(settings.platforms) and unknown


async def read_order_now(
    store: Store,
    shops: Mapping[str, PlatformShop],
    decision_settings: DecisionSettings,
    order_id: str,
    *,
    now: datetime,
) -> PlatformReading | Refusal:
    """Read one order at its platform and take it in; one that is not recorded yet is looked for at each platform.

    `not-found` where neither we nor a platform has it, `platform-unavailable` where nobody can say: it does not answer,
    cannot be opened, or is not connected any more.
    """
    before = await read_order_by_id(store, order_id)
    name = None if before is None else platform_of(before, decision_settings.platforms)
    if before is not None and name is None:
        return PlatformReading.NOT_READ
    if name is not None and name not in shops:
        return platform_unavailable()
    for shop in shops.values() if name is None else (shops[name],):
        found = await shop.source.find_order(order_id)
        if isinstance(found, CallFailed):
            return platform_unavailable()
        if isinstance(found, PlatformOrder):
            problems = await take_order(store, decision_settings, shop.source.name, shop.shop_id, found, now=now)
            agrees = not problems and _says_the_same(await read_order_by_id(store, order_id), found, shop.source.name)
            return PlatformReading.AGREES if agrees else PlatformReading.DIFFERS
        if isinstance(found, UnreadableOrder):
            break
    if before is not None:
        return PlatformReading.DIFFERS
    unread = decision_settings.platforms.keys() - shops.keys()
    return platform_unavailable() if unread else not_found()


def _says_the_same(snapshot: OrderSnapshot | None, found: PlatformOrder, platform: str) -> bool:
    """Whether buyer and payments are those that are recorded; the rest is what taking it in has brought up."""
    if snapshot is None or snapshot.order.buyer_id != found.buyer_id:
        return False
    there = {(paid.payment_id, paid.amount_minor) for paid in found.payments}
    here = {(t.payment_id, t.captured_minor) for t in snapshot.tenders if t.provider == platform}
    return here == there
