"""Opens the connection to a shop on Shopify."""

from __future__ import annotations

from contextlib import AsyncExitStack

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.shopify.client import ShopifyClient
from jitui.adapters.platforms.shopify.orders import ShopifyOrders
from jitui.adapters.platforms.shopify.writer import ShopifyWriter


async def open_shopify(access: PlatformAccess, stack: AsyncExitStack) -> tuple[ShopifyOrders, ShopifyWriter]:
    """Reader and writer on one client; the secret is a token or `client_id:client_secret`. It calls nobody."""
    made = ShopifyClient(base_url=access.url, secret=access.secret, timeout_seconds=access.timeout_seconds)
    client = await stack.enter_async_context(made)
    return ShopifyOrders(client, made.webhook_secret), ShopifyWriter(client)
