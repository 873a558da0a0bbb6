"""Receipts on PostgreSQL, in the rows of the decisions; the port is `jitui.aftersales.queries.Receipts`."""

from __future__ import annotations

from typing import LiteralString

from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.aftersales.model.receipt import Receipt
from jitui.aftersales.ports import TicketRef

_RECEIPT: LiteralString = """
SELECT json_build_object('content', d.receipt, 'sha256', d.receipt_sha256)::text
FROM decision d WHERE d.lane = %(lane)s AND d.ticket_id = %(id)s AND d.receipt IS NOT NULL
"""


class PostgresReceipts:
    """Reads the text as it was stored."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def receipt(self, ref: TicketRef) -> Receipt | None:
        """The receipt of a ticket, if its decision has one."""
        found = await read_rows(self._pool, _RECEIPT, {"lane": ref.lane, "id": ref.ticket_id}, Receipt)
        return found[0] if found else None
