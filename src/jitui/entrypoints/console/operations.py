"""The operators' pages, which others of the platform read as their role allows."""

from __future__ import annotations

from litestar import Router

from jitui.entrypoints.console import live, refund_page, tasks
from jitui.entrypoints.console.access import STAFF, pages_of
from jitui.entrypoints.console.audit import audit, audit_csv
from jitui.entrypoints.console.reconciliation import reconciliation
from jitui.entrypoints.console.refund_list import refunds, refunds_csv

ROUTER = Router(
    "/operations",
    route_handlers=[
        refunds,
        refunds_csv,
        *refund_page.HANDLERS,
        *tasks.HANDLERS,
        reconciliation,
        audit,
        audit_csv,
        *live.HANDLERS,
    ],
    guards=[pages_of(*STAFF)],
)
