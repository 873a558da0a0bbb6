"""The operators' pages, which others of the platform read as their role allows."""

from __future__ import annotations

from litestar import Router

from jitui.entrypoints.console.operations import live, refund, statement, tasks
from jitui.entrypoints.console.operations.audit import audit, audit_csv
from jitui.entrypoints.console.operations.reconciliation import reconciliation
from jitui.entrypoints.console.operations.refund_list import refunds, refunds_csv
from jitui.entrypoints.console.page.access import STAFF, pages_of

ROUTER = Router(
    "/operations",
    route_handlers=[
        refunds,
        refunds_csv,
        *refund.HANDLERS,
        *tasks.HANDLERS,
        reconciliation,
        *statement.HANDLERS,
        audit,
        audit_csv,
        *live.HANDLERS,
    ],
    guards=[pages_of(*STAFF)],
)
