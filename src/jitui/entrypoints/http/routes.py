"""The table of operations: what is served, guarded, documented and tested."""

from __future__ import annotations

from jitui.entrypoints.http import aftersales, books, governance, orders, refunds, service, subjects
from jitui.entrypoints.http.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *aftersales.OPERATIONS,
    *orders.OPERATIONS,
    *subjects.OPERATIONS,
    *refunds.OPERATIONS,
    *books.OPERATIONS,
    *governance.OPERATIONS,
    *service.OPERATIONS,
)
