"""Wires commerce platforms: each is a source of orders and a payment provider of the same name."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.postgres.platform_calls import PostgresPlatformCalls
from jitui.adapters.postgres.platform_states import PostgresPlatformStates
from jitui.adapters.postgres.pool import Pool
from jitui.aftersales.operations.platform_sync import PlatformStates
from jitui.aftersales.platform import Platform, PlatformWriter, read_refunded_units
from jitui.aftersales.platform_refunds import Clock, PlatformProvider, PlatformRules
from jitui.aftersales.ports import Store
from jitui.aftersales.provider import PaymentProvider
from jitui.settings import Settings, YesOrNo, read_secret_file


@dataclass(frozen=True, slots=True)
class Connected:
    """A shop's platform, read and refunded through one client; `shop_id`: which shop's orders they are here."""

    source: Platform
    provider: PaymentProvider
    shop_id: str


@dataclass(frozen=True, slots=True)
class Platforms:
    """What is connected, and how far each was read."""

    connected: tuple[Connected, ...]
    states: PlatformStates

    @property
    def providers(self) -> dict[str, PaymentProvider]:
        """The platforms as payment providers, by name."""
        return {one.provider.name: one.provider for one in self.connected}


async def open_platforms(
    settings: Settings, store: Store, pool: Pool, stack: AsyncExitStack, clock: Clock
) -> Platforms:
    """Every configured platform; each is closed with the service. It calls nobody."""
    calls, units = PostgresPlatformCalls(pool), partial(read_refunded_units, store)
    found = await vendure(settings, stack)
    if found is None:
        return Platforms((), PostgresPlatformStates(pool))
    source, writer = found
    rules = PlatformRules(
        settles=settings.vendure_settles is YesOrNo.YES, timeout_seconds=settings.provider_timeout_seconds
    )
    provider = PlatformProvider(source, writer, units, calls, rules, clock)
    return Platforms((Connected(source, provider, settings.vendure_shop),), PostgresPlatformStates(pool))


async def vendure(settings: Settings, stack: AsyncExitStack) -> tuple[Platform, PlatformWriter] | None:
    """Vendure, with the key that is in its file now; None where it is not configured."""
    if settings.vendure_url is None or settings.vendure_token_file is None:
        return None
    from jitui.adapters.platforms.vendure.opening import open_vendure

    secret = read_secret_file(settings.vendure_token_file)
    return await open_vendure(
        PlatformAccess(settings.vendure_url, secret, settings.provider_timeout_seconds / 2), stack
    )
