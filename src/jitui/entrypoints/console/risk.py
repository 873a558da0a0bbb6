"""The pages of those who write and publish policies, which others of the platform read as their role allows."""

from __future__ import annotations

from litestar import Router

from jitui.entrypoints.console import policies, policy_proposal, policy_text
from jitui.entrypoints.console.access import STAFF, pages_of

ROUTER = Router(
    "/risk",
    route_handlers=[*policies.HANDLERS, *policy_text.HANDLERS, *policy_proposal.HANDLERS],
    guards=[pages_of(*STAFF)],
)
