"""Opens the connection to a shop on Saleor."""

from __future__ import annotations

from contextlib import AsyncExitStack

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.saleor.client import SaleorClient
from jitui.adapters.platforms.saleor.orders import SaleorOrders
from jitui.adapters.platforms.saleor.writer import SaleorWriter


async def open_saleor(access: PlatformAccess, stack: AsyncExitStack) -> tuple[SaleorOrders, SaleorWriter]:
    """Reader and writer on one client; the secret is an app's token. It calls nobody.

    Its rules must settle: to settle is to request a grant whose request was lost.
    """
    made = SaleorClient(base_url=access.url, token=access.secret.strip(), timeout_seconds=access.timeout_seconds)
    client = await stack.enter_async_context(made)
    return SaleorOrders(client), SaleorWriter(client)
