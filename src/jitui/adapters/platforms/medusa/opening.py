"""Opens the connection to a shop on Medusa."""

from __future__ import annotations

from contextlib import AsyncExitStack

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.medusa.client import MedusaClient
from jitui.adapters.platforms.medusa.orders import MedusaOrders
from jitui.adapters.platforms.medusa.writer import MedusaWriter


async def open_medusa(access: PlatformAccess, stack: AsyncExitStack) -> tuple[MedusaOrders, MedusaWriter]:
    """Reader and writer on one client; the secret is a secret API key. It calls nobody."""
    made = MedusaClient(base_url=access.url, token=access.secret, timeout_seconds=access.timeout_seconds)
    client = await stack.enter_async_context(made)
    return MedusaOrders(client), MedusaWriter(client)
