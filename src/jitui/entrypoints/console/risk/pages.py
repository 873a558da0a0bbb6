"""The pages of those who write and publish policies, which others of the platform read as their role allows."""

from __future__ import annotations

from litestar import Router

from jitui.entrypoints.console.page.access import STAFF, pages_of
from jitui.entrypoints.console.risk import policies, proposal, text

ROUTER = Router(
    "/risk",
    route_handlers=[*policies.HANDLERS, *text.HANDLERS, *proposal.HANDLERS],
    guards=[pages_of(*STAFF)],
)
