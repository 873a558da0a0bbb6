"""Opens the connection to a shop on Vendure."""

from __future__ import annotations

from contextlib import AsyncExitStack

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.vendure.client import VendureClient
from jitui.adapters.platforms.vendure.orders import VendureOrders
from jitui.adapters.platforms.vendure.writer import VendureWriter


async def open_vendure(access: PlatformAccess, stack: AsyncExitStack) -> tuple[VendureOrders, VendureWriter]:
    """Reader and writer on one client; the secret is an API key. It calls nobody."""
    made = VendureClient(base_url=access.url, token=access.secret, timeout_seconds=access.timeout_seconds)
    client = await stack.enter_async_context(made)
    return VendureOrders(client), VendureWriter(client)
