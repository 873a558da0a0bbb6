"""Jitui beside a shop on Vendure."""

from __future__ import annotations

from functools import partial

from jitui.adapters.platforms.vendure.opening import open_vendure
from tests.platforms.market import LEASE, POLICY, ShopMarket
from tests.platforms.market import open_shop_market as open_market_of

__all__ = ["LEASE", "POLICY", "ShopMarket", "open_shop_market"]

open_shop_market = partial(open_market_of, open_vendure)
