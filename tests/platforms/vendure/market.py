"""Jitui beside a shop on Vendure."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.vendure.opening import open_vendure
from jitui.aftersales.platform import PLATFORMS
from tests.platforms import market
from tests.platforms.market import ShopMarket

PAUSE_SECONDS = next(one.pause_seconds for one in PLATFORMS if one.name == "vendure")


def open_shop_market(
    database_url: str, url: str, token: str, *, settles: bool = True, timeout_seconds: float = 20
) -> AbstractAsyncContextManager[ShopMarket]:
    """A market that reads what happens from now on at its one provider, the Vendure at this address.

    The tests of a session share the shop: its earlier orders are other tests'.
    """
    access = PlatformAccess(url, token, timeout_seconds)
    return market.open_shop_market(
        open_vendure,
        database_url,
        access,
        settles=settles,
        read_from=datetime.now(UTC),
        pause_seconds=PAUSE_SECONDS,
    )
