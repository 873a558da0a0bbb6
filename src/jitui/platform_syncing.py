"""Reads connected commerce platforms: each of them to the end, or the one order that somebody asks about now."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.aftersales.commands.execute import Executed, IdempotentReply
from jitui.aftersales.commands.platform_orders import PlatformReading
from jitui.aftersales.commands.request_refund import DecisionSettings, Eligibility, RefundRequest
from jitui.aftersales.model.ticket import Actor
from jitui.aftersales.operations.platform_sync import Progress, Synced, sync_platform
from jitui.aftersales.operations.read_first import (
    PlatformShop,
    check_eligibility_read_first,
    read_order_now,
    request_refund_read_first,
)
from jitui.aftersales.operations.request_sync import sync_requests
from jitui.aftersales.outcomes import Refusal, StoredResponse
from jitui.aftersales.platform import OrderHint, Platform
from jitui.aftersales.provider import NotificationIgnored, NotificationRefused
from jitui.bootstrap import Service
from jitui.bootstrap_platforms import Connected, ConnectedRequests
from jitui.errors import NotConfigured, Unavailable
from jitui.logs import get_logger

MOST_NAMED = 20

log = get_logger("jitui.platforms")


async def sync_platforms(service: Service, told: dict[str, str] | None = None) -> bool:
    """A platform that cannot be read is noted with the reason, and does not keep the others from being read.

    `told`: by platform, the reason that the log has; it gets a line when trouble begins and one when it has ended.
    """
    told = {} if told is None else told
    for name, reason in service.platforms.unopened.items():
        await service.platforms.states.note_problem(name, reason)
    for one in service.platforms.opened:
        name = one.source.name
        try:
            done = await sync_one(service, one)
        except (NotConfigured, Unavailable) as error:
            if told.get(name) != str(error):
                told[name] = str(error)
                log.warning("platform_unread", platform=name, reason=told[name])
            continue
        if told.pop(name, None) is not None:
            log.info("platform_read_again", platform=name, note="it answers again, and was read to its end")
        for order_id, reason in list(done.refused.items())[:MOST_NAMED]:
            log.warning("platform_order_refused", platform=one.source.name, order=order_id, reason=reason)
    return False


async def sync_one(
    service: Service,
    one: Connected | ConnectedRequests,
    *,
    whole: bool = False,
    progress: Progress = lambda done, cursor: None,
) -> Synced:
    """Read one platform: its orders, or the requests of its buyers, which are answered.

    Raises Unavailable when it cannot be read, NotConfigured before the first policy.
    """
    states, name = service.platforms.states, one.source.name
    try:
        if isinstance(one, ConnectedRequests):
            taken = await sync_requests(one.parts, service.decision_settings, now=service.clock())
            return Synced(taken.ids | set(taken.left), dict(taken.left))
        return await sync_platform(
            service.store,
            states,
            one.source,
            service.decision_settings,
            one.shop_id,
            now=service.clock(),
            whole=whole,
            progress=progress,
        )
    except Unavailable as error:  # that no policy is published is no trouble of the platform
        await states.note_problem(name, str(error))
        raise


# One order, now --------------------------------------------------------------------------------------------------


async def request_refund_now(
    service: Service,
    decision_settings: DecisionSettings,
    request: RefundRequest,
    *,
    by: Actor | None = None,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Every door through which a refund is asked for: an order of a platform is read there first."""
    shops, now = shops_of(service), service.clock()
    return await request_refund_read_first(
        service.store, shops, decision_settings, request, now=now, by=by, reply=reply
    )


async def check_eligibility_now(service: Service, request: RefundRequest) -> Eligibility | Refusal:
    """What would be decided now, on the order as its platform has it."""
    decision_settings = await service.decision_settings()
    return await check_eligibility_read_first(
        service.store, shops_of(service), decision_settings, request, now=service.clock()
    )


async def take_in_now(service: Service, order_id: str) -> PlatformReading | Refusal:
    """Bring one order up to what its platform says, or take it in."""
    if not service.platforms.shops:
        return PlatformReading.NOT_READ
    decision_settings = await service.decision_settings()
    return await read_order_now(service.store, shops_of(service), decision_settings, order_id, now=service.clock())


async def take_hint(
    service: Service, source: Platform, headers: Mapping[str, str], body: bytes
) -> NotificationIgnored | NotificationRefused:
    """Have the order that a platform's webhook names read again by the worker; the webhook waits for no reading."""
    read = await source.read_hint(headers, body)
    if not isinstance(read, OrderHint):
        return read
    await service.platforms.states.note_hint(source.name, read.order_id, service.clock())
    return NotificationIgnored("The order is read again")


def shops_of(service: Service) -> Mapping[str, PlatformShop]:
    """The connected platforms, by name."""
    return {one.source.name: PlatformShop(one.source, one.shop_id) for one in service.platforms.connected}
