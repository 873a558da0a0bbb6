"""Opens the connection to a shop on WooCommerce."""

from __future__ import annotations

from contextlib import AsyncExitStack

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.woocommerce.client import WooCommerceClient
from jitui.adapters.platforms.woocommerce.orders import WooCommerceOrders
from jitui.adapters.platforms.woocommerce.writer import WooCommerceWriter


async def open_woocommerce(
    access: PlatformAccess, stack: AsyncExitStack
) -> tuple[WooCommerceOrders, WooCommerceWriter]:
    """Reader and writer on one client; the secret is `ck_…:cs_…`. It calls nobody.

    Webhooks are signed with `cs_…`, which WooCommerce takes for those that are given no secret of their own.
    """
    key, _, secret = access.secret.strip().partition(":")
    made = WooCommerceClient(base_url=access.url, key=key, secret=secret, timeout_seconds=access.timeout_seconds)
    client = await stack.enter_async_context(made)
    return WooCommerceOrders(client, secret), WooCommerceWriter(client)
