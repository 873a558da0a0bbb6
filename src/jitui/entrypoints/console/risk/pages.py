"""The pages of those who write and publish policies, which others of the platform read as their role allows."""

from __future__ import annotations

from litestar import Router

from jitui.entrypoints.console.page.access import STAFF, pages_of
from jitui.entrypoints.console.risk import announcement, back_test, policies, proposal, text

ROUTER = Router(
    "/risk",
    route_handlers=[
        *policies.HANDLERS,
        *text.HANDLERS,
        *back_test.HANDLERS,
        *announcement.HANDLERS,
        *proposal.HANDLERS,
    ],
    guards=[pages_of(*STAFF)],
)
