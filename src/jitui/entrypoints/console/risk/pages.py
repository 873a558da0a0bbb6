"""The pages of risk: policies, buyers and shops; others of the platform read them as their role allows."""

from __future__ import annotations

from litestar import Router

from jitui.entrypoints.console.page.access import STAFF, pages_of
from jitui.entrypoints.console.risk import (
    announcement,
    back_test,
    buyer,
    buyers,
    policies,
    proposal,
    shop,
    shops,
    text,
)

ROUTER = Router(
    "/risk",
    route_handlers=[
        *policies.HANDLERS,
        *text.HANDLERS,
        *back_test.HANDLERS,
        *announcement.HANDLERS,
        *proposal.HANDLERS,
        *buyers.HANDLERS,
        *buyer.HANDLERS,
        *shops.HANDLERS,
        *shop.HANDLERS,
    ],
    guards=[pages_of(*STAFF)],
)
