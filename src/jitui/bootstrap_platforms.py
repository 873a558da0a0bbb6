"""Wires commerce platforms: each is a source of orders and a payment provider of the same name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from jitui.adapters.postgres.platform_states import PostgresPlatformStates
from jitui.adapters.postgres.pool import Pool
from jitui.adapters.postgres.shopper_codes import PostgresShopperCodes
from jitui.aftersales.operations.platform_sync import PlatformStates
from jitui.aftersales.platform import Platform, RefundedUnits, read_refunded_units
from jitui.aftersales.ports import Store
from jitui.aftersales.provider import PaymentProvider
from jitui.bootstrap_mail import open_mailer
from jitui.identity.shopper import ShopperCodes
from jitui.notices.model import Mailer
from jitui.settings import Settings, YesOrNo, read_secret_file


@dataclass(frozen=True, slots=True)
class Connected:
    """A shop's platform, read and refunded through one client; `shop_id`: which shop's orders they are here."""

    source: Platform
    provider: PaymentProvider
    shop_id: str


@dataclass(frozen=True, slots=True)
class Platforms:
    """What is connected, and how far each was read; and how their buyers are sent codes, where mail is configured."""

    connected: tuple[Connected, ...]
    states: PlatformStates
    codes: ShopperCodes
    mailer: Mailer | None

    @property
    def providers(self) -> dict[str, PaymentProvider]:
        """The platforms as payment providers, by name."""
        return {one.provider.name: one.provider for one in self.connected}

    @property
    def shops(self) -> dict[str, str]:
        """Whose orders they have, by name."""
        return {one.source.name: one.shop_id for one in self.connected}


async def open_platforms(
    settings: Settings, store: Store, pool: Pool, stack: AsyncExitStack, clock: Callable[[], datetime]
) -> Platforms:
    """Every configured platform; each is closed with the service. It calls nobody."""
    found = await vendure(settings, store, stack)
    return Platforms(
        connected=() if found is None else (found,),
        states=PostgresPlatformStates(pool),
        codes=PostgresShopperCodes(pool),
        mailer=await open_mailer(settings, clock, stack),
    )


async def vendure(settings: Settings, store: Store | None, stack: AsyncExitStack) -> Connected | None:
    """Vendure, with the key that is in its file now; None where it is not configured."""
    if settings.vendure_url is None or settings.vendure_token_file is None:
        return None
    from jitui.adapters.platforms.vendure.client import VendureClient
    from jitui.adapters.platforms.vendure.orders import VendureOrders
    from jitui.adapters.platforms.vendure.provider import VendureProvider, VendureRules

    timeout_seconds = settings.provider_timeout_seconds
    token = read_secret_file(settings.vendure_token_file)
    made = VendureClient(base_url=settings.vendure_url, token=token, timeout_seconds=timeout_seconds / 2)
    client = await stack.enter_async_context(made)
    rules = VendureRules(settles=settings.vendure_settles is YesOrNo.YES, timeout_seconds=timeout_seconds)
    units = _nothing if store is None else partial(read_refunded_units, store)
    return Connected(VendureOrders(client), VendureProvider(client, units, rules), settings.vendure_shop)


async def _nothing(_: str) -> RefundedUnits:
    return RefundedUnits()
