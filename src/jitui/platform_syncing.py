"""Reads every connected commerce platform once: the worker's step, and what `jitui platform sync` runs."""

from __future__ import annotations

from dataclasses import replace

from jitui.aftersales.operations.platform_sync import Progress, Synced, sync_platform
from jitui.bootstrap import Service
from jitui.bootstrap_platforms import Connected
from jitui.errors import NotConfigured, Unavailable
from jitui.logs import get_logger

MOST_NAMED = 20

log = get_logger("jitui.platforms")


async def sync_platforms(service: Service) -> bool:
    """A platform that cannot be read is noted with the reason, and does not keep the others from being read."""
    for one in service.platforms.connected:
        try:
            done = await sync_one(service, one)
        except (NotConfigured, Unavailable) as error:
            log.warning("platform_unread", platform=one.source.name, reason=str(error))
            continue
        for order_id, reason in list(done.refused.items())[:MOST_NAMED]:
            log.warning("platform_order_refused", platform=one.source.name, order=order_id, reason=reason)
    return False


async def sync_one(
    service: Service, one: Connected, *, whole: bool = False, progress: Progress = lambda done, cursor: None
) -> Synced:
    """Read one platform. Raises Unavailable when it cannot be read, NotConfigured before the first policy."""
    states, name = service.platforms.states, one.source.name
    try:
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
    except (NotConfigured, Unavailable) as error:
        await states.note(name, replace(await states.state(name), problem=str(error)))
        raise
