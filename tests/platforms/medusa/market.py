"""Jitui beside a shop on Medusa."""

from __future__ import annotations

from functools import partial

from jitui.adapters.platforms.medusa.opening import open_medusa
from tests.platforms.market import open_shop_market as open_market_of

open_shop_market = partial(open_market_of, open_medusa)
