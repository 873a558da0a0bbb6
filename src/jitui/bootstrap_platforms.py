"""Wires commerce platforms: each is a source of orders and a payment provider of the same name."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.postgres.platform_calls import PostgresPlatformCalls
from jitui.adapters.postgres.platform_connections import PostgresPlatformConnections
from jitui.adapters.postgres.platform_states import PostgresPlatformStates
from jitui.adapters.postgres.pool import Pool
from jitui.adapters.postgres.shopper_codes import PostgresShopperCodes
from jitui.aftersales.operations.platform_connections import LostCalls, PlatformConnection, PlatformConnections
from jitui.aftersales.operations.platform_refunds import Clock, PlatformProvider, PlatformRules
from jitui.aftersales.operations.platform_sync import PlatformStates
from jitui.aftersales.platform import PLATFORMS, Platform, PlatformWriter, read_refunded_units
from jitui.aftersales.ports import Store
from jitui.aftersales.provider import PaymentProvider
from jitui.bootstrap_mail import open_mailer
from jitui.errors import NotConfigured
from jitui.identity.shopper import ShopperCodes
from jitui.logs import get_logger
from jitui.notices.model import Mailer
from jitui.settings import Settings, read_secret_file

log = get_logger("jitui.platforms")


@dataclass(frozen=True, slots=True)
class Connected:
    """A shop's platform, read and refunded through one client; `shop_id`: which shop's orders they are here."""

    source: Platform
    provider: PaymentProvider
    shop_id: str


@dataclass(frozen=True, slots=True)
class Platforms:
    """What is connected, and how far each was read. `unopened`: by name, why a connection cannot be used.

    `calls`: what people say about lost calls. `codes`, `mailer`: how buyers without an account are sent codes, where
    mail is configured.
    """

    connected: tuple[Connected, ...]
    unopened: dict[str, str]
    connections: PlatformConnections
    states: PlatformStates
    calls: LostCalls
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
    settings: Settings, store: Store, pool: Pool, stack: AsyncExitStack, clock: Clock
) -> Platforms:
    """Every connection, opened; each is closed with the service. It calls nobody.

    One that cannot be opened is noted, and keeps nothing else from starting.
    """
    connections, calls = PostgresPlatformConnections(pool), PostgresPlatformCalls(pool)
    units, seconds = partial(read_refunded_units, store), settings.provider_timeout_seconds
    connected, unopened = [], {}
    for one in await connections.all():
        try:
            source, writer = await open_adapter(one.platform, access_of(one, settings), stack)
        except NotConfigured as error:
            log.error("platform_unopened", platform=one.platform, reason=str(error))
            unopened[one.platform] = str(error)
            continue
        rules = PlatformRules(settles=one.settles, timeout_seconds=seconds)
        connected.append(Connected(source, PlatformProvider(source, writer, units, calls, rules, clock), one.shop_id))
    return Platforms(
        tuple(connected),
        unopened,
        connections,
        PostgresPlatformStates(pool),
        calls,
        PostgresShopperCodes(pool),
        await open_mailer(settings, clock, stack),
    )


def access_of(connection: PlatformConnection, settings: Settings) -> PlatformAccess:
    """Where the platform is, with the key that its file holds now. Raises NotConfigured where it holds none."""
    secret = read_secret_file(Path(connection.secret_file))
    if not secret:
        raise NotConfigured(
            f"The file with the key of {connection.platform} cannot be read, or is empty: {connection.secret_file}."
        )
    return PlatformAccess(connection.url, secret, settings.provider_timeout_seconds / 2)


async def open_adapter(platform: str, access: PlatformAccess, stack: AsyncExitStack) -> tuple[Platform, PlatformWriter]:
    """Reader and writer of a platform. Raises NotConfigured for a platform without an adapter. It calls nobody."""
    match platform:
        case "vendure":
            from jitui.adapters.platforms.vendure.opening import open_vendure

            return await open_vendure(access, stack)
        case "woocommerce":
            from jitui.adapters.platforms.woocommerce.opening import open_woocommerce

            return await open_woocommerce(access, stack)
        case "shopify":
            from jitui.adapters.platforms.shopify.opening import open_shopify

            return await open_shopify(access, stack)
    known = ", ".join(one.name for one in PLATFORMS if one.adapter)
    raise NotConfigured(f"There is no adapter for {platform!r}; there is one for {known}.")
