"""Jitui beside a shop on Medusa."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.medusa.opening import open_medusa
from tests.platforms import market
from tests.platforms.market import ShopMarket


def open_shop_market(
    database_url: str, url: str, token: str, *, settles: bool = True, timeout_seconds: float = 20
) -> AbstractAsyncContextManager[ShopMarket]:
    """A market that reads what happens from now on at its one provider, the Medusa at this address.

    The tests of a session share the shop: its earlier orders are other tests'.
    """
    access = PlatformAccess(url, token, timeout_seconds)
    return market.open_shop_market(open_medusa, database_url, access, settles=settles, read_from=datetime.now(UTC))
