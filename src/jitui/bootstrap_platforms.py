"""Wires commerce platforms: each is a source of orders and a payment provider of the same name."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.postgres.platform_calls import PostgresPlatformCalls
from jitui.adapters.postgres.platform_connections import PostgresPlatformConnections
from jitui.adapters.postgres.platform_requests import PostgresKnownRequests
from jitui.adapters.postgres.platform_states import PostgresPlatformStates
from jitui.adapters.postgres.pool import Pool
from jitui.adapters.postgres.shopper_codes import PostgresShopperCodes
from jitui.aftersales.operations.platform_approvals import ApprovalProvider, read_asked
from jitui.aftersales.operations.platform_calls import Clock
from jitui.aftersales.operations.platform_connections import LostCalls, PlatformConnection, PlatformConnections
from jitui.aftersales.operations.platform_refunds import PlatformProvider, PlatformRules
from jitui.aftersales.operations.platform_sync import PlatformStates
from jitui.aftersales.operations.request_sync import RequestParts
from jitui.aftersales.platform import ASKED_HERE, PLATFORMS, Platform, PlatformWriter, read_refunded_units
from jitui.aftersales.platform_requests import RequestSource
from jitui.aftersales.ports import Store
from jitui.aftersales.provider import PaymentProvider
from jitui.bootstrap_mail import open_mailer
from jitui.errors import NotConfigured
from jitui.identity.shopper import ShopperCodes
from jitui.logs import get_logger
from jitui.notices.model import Mailer
from jitui.settings import Settings, read_secret_file, why_no_secret

log = get_logger("jitui.platforms")


@dataclass(frozen=True, slots=True)
class Connected:
    """A shop's platform, read and refunded through one client; `shop_id`: which shop's orders they are here."""

    source: Platform
    provider: PaymentProvider
    shop_id: str


@dataclass(frozen=True, slots=True)
class ConnectedRequests:
    """A shop's platform whose buyers ask there; its approvals go through the provider."""

    parts: RequestParts
    provider: PaymentProvider

    @property
    def source(self) -> RequestSource:
        """Where requests are read and answered."""
        return self.parts.source


@dataclass(frozen=True, slots=True)
class Platforms:
    """What is connected, and how far each was read.

    `unopened`: by name, why a connection cannot be used. `unopened_shops`: whose orders those have that are asked back
    here.

    `calls`: what people say about lost calls. `codes`, `mailer`: how buyers without an account are sent codes, where
    mail is configured.
    """

    connected: tuple[Connected, ...]
    asked_there: tuple[ConnectedRequests, ...]
    unopened: dict[str, str]
    unopened_shops: dict[str, str]
    connections: PlatformConnections
    states: PlatformStates
    calls: LostCalls
    codes: ShopperCodes
    mailer: Mailer | None

    @property
    def opened(self) -> tuple[Connected | ConnectedRequests, ...]:
        """Those of either kind."""
        return (*self.connected, *self.asked_there)

    @property
    def providers(self) -> dict[str, PaymentProvider]:
        """The platforms as payment providers, by name."""
        return {one.provider.name: one.provider for one in self.opened}

    def source(self, platform: str) -> Platform | None:
        """The connected platform of this name whose orders are read; None for any other provider."""
        return next((one.source for one in self.connected if one.source.name == platform), None)

    @property
    def shops(self) -> dict[str, str]:
        """Whose orders the connections have, opened or not, by name: none of them is decided on without reading it."""
        return {**self.unopened_shops, **{one.source.name: one.shop_id for one in self.connected}}


async def open_platforms(
    settings: Settings, store: Store, pool: Pool, stack: AsyncExitStack, clock: Clock
) -> Platforms:
    """Every connection, opened; each is closed with the service. It calls nobody.

    One that cannot be opened is noted, and keeps nothing else from starting.
    """
    connections, states = PostgresPlatformConnections(pool), PostgresPlatformStates(pool)
    calls, units = PostgresPlatformCalls(pool), partial(read_refunded_units, store)
    seconds, asked = settings.provider_timeout_seconds, partial(read_asked, store)
    connected, asked_there = list[Connected](), list[ConnectedRequests]()
    unopened, unopened_shops = dict[str, str](), dict[str, str]()
    for one in await connections.all():
        try:
            opened = await open_adapter(one.platform, access_of(one, settings), stack)
        except NotConfigured as error:
            log.error("platform_unopened", platform=one.platform, reason=str(error))
            unopened[one.platform] = str(error)
            if one.platform in ASKED_HERE:
                unopened_shops[one.platform] = one.shop_id
            continue
        if isinstance(opened, tuple):
            rules = _rules(one, seconds)
            provider = PlatformProvider(*opened, units, calls, rules, clock)
            connected.append(Connected(opened[0], provider, one.shop_id))
        else:
            parts = RequestParts(store, states, PostgresKnownRequests(pool), opened, one.shop_id)
            approving = ApprovalProvider(opened, asked, calls, seconds / 2, clock)
            asked_there.append(ConnectedRequests(parts, approving))
    return Platforms(
        tuple(connected),
        tuple(asked_there),
        unopened,
        unopened_shops,
        connections,
        states,
        calls,
        PostgresShopperCodes(pool),
        await open_mailer(settings, clock, stack),
    )


def _rules(connection: PlatformConnection, seconds: float) -> PlatformRules:
    capabilities = next(one for one in PLATFORMS if one.name == connection.platform)
    settles = connection.settles or connection.platform in _SETTLED_BY_US
    return PlatformRules(settles, seconds, capabilities.pause_seconds)


def access_of(connection: PlatformConnection, settings: Settings) -> PlatformAccess:
    """Where the platform is, with the key that its file holds now. Raises NotConfigured where it holds none."""
    path = Path(connection.secret_file)
    secret = read_secret_file(path)
    if not secret:
        raise NotConfigured(f"The file with the key of {connection.platform} {why_no_secret(path)}: {path}.")
    return PlatformAccess(connection.url, secret, settings.provider_timeout_seconds / 2)


def changed_at(connection: PlatformConnection) -> datetime:
    """When the connection, or the file with its key, was changed last."""
    try:
        of_key = datetime.fromtimestamp(Path(connection.secret_file).stat().st_mtime, UTC)
    except OSError:
        return connection.connected_at
    return max(connection.connected_at, of_key)


async def check_access(platform: str, access: PlatformAccess) -> str | None:
    """Why a platform cannot be worked with, and what to do; None when it can. Raises NotConfigured."""
    async with AsyncExitStack() as stack:
        opened = await open_adapter(platform, access, stack)
        return await (opened[0] if isinstance(opened, tuple) else opened).check()


def normal_address(platform: str, url: str) -> str:
    """The one way to write a shop's address, whatever of the platform's own path was typed with it."""
    match platform:
        case "vendure":
            from jitui.adapters.platforms.vendure.client import vendure_root as root
        case "medusa":
            from jitui.adapters.platforms.medusa.client import medusa_root as root
        case "woocommerce":
            from jitui.adapters.platforms.woocommerce.client import woocommerce_root as root
        case "saleor":
            from jitui.adapters.platforms.saleor.client import saleor_root as root
        case "shopify":
            from jitui.adapters.platforms.shopify.client import shopify_root as root
        case _:
            from jitui.adapters.platforms.shop_client import root_of as root
    return root(url)


async def open_adapter(
    platform: str, access: PlatformAccess, stack: AsyncExitStack
) -> tuple[Platform, PlatformWriter] | RequestSource:
    """Reader and writer of a platform, or its requests where buyers ask there. It calls nobody.

    Raises NotConfigured for a platform without an adapter, or a secret that lacks something.
    """
    match platform:
        case "vendure":
            from jitui.adapters.platforms.vendure.opening import open_vendure

            return await open_vendure(access, stack)
        case "medusa":
            from jitui.adapters.platforms.medusa.opening import open_medusa

            return await open_medusa(access, stack)
        case "woocommerce":
            from jitui.adapters.platforms.woocommerce.opening import open_woocommerce

            return await open_woocommerce(access, stack)
        case "saleor":
            from jitui.adapters.platforms.saleor.opening import open_saleor

            return await open_saleor(access, stack)
        case "shopify":
            from jitui.adapters.platforms.shopify.opening import open_shopify

            return await open_shopify(access, stack)
        case "kuaishou":
            from jitui.adapters.platforms.kuaishou.opening import open_kuaishou

            return await open_kuaishou(access, stack)
    known = ", ".join(one.name for one in PLATFORMS if one.adapter)
    raise NotConfigured(f"There is no adapter for {platform!r}; there is one for {known}.")


_SETTLED_BY_US = frozenset({"saleor"})
"""To settle is to request a grant there whose request was lost: no person has a part in it."""
