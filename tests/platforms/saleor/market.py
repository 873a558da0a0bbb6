"""Jitui beside a shop on Saleor."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.saleor.opening import open_saleor
from tests.platforms import market
from tests.platforms.market import ShopMarket
from tests.platforms.saleor.server import TOKEN, SaleorServer


def open_saleor_market(
    database_url: str, there: SaleorServer, *, timeout_seconds: float = 5
) -> AbstractAsyncContextManager[ShopMarket]:
    """A market whose one provider is the shop's Saleor."""
    access = PlatformAccess(there.url, TOKEN, timeout_seconds)
    return market.open_shop_market(open_saleor, database_url, access, settles=True)
