"""Reports about disputes whose payment is not known yet, on PostgreSQL; and the tenders of a payment."""

from __future__ import annotations

from datetime import datetime

import msgspec

from jitui.adapters.postgres.pool import Pool
from jitui.aftersales.commands.dispute import FoundTender
from jitui.aftersales.model.order import DisputeState
from jitui.aftersales.ports import OrderRef
from jitui.aftersales.provider import ToldDispute

# A provider does not know the lane, so all lanes are searched by index. It is rare, and no decision waits for it.
_FIND = """
SELECT t.lane, t.order_id, t.tender_id, t.captured_minor,
    t.captured_minor - t.pending_minor - t.refunded_minor - t.lost_minor, d.state, d.amount_minor
FROM generate_series(0, 255) AS l (lane) CROSS JOIN LATERAL (
    SELECT * FROM tender WHERE lane = l.lane AND provider = %(provider)s AND payment_id = ANY (%(payment_ids)s)) t
LEFT JOIN dispute d ON d.lane = t.lane AND d.order_id = t.order_id AND d.dispute_id = %(dispute_id)s
ORDER BY t.order_id, t.tender_id
"""
_PARK = """
INSERT INTO parked_news (provider, news_id, payment_ids, body, received_at)
VALUES (%(provider)s, %(news_id)s, %(payment_ids)s, %(body)s, %(now)s) ON CONFLICT DO NOTHING
"""
_PARKED = """
SELECT p.body::text FROM parked_news p WHERE EXISTS (
    SELECT 1 FROM generate_series(0, 255) AS l (lane)
    JOIN tender t ON t.lane = l.lane AND t.provider = p.provider AND t.payment_id = ANY (p.payment_ids))
ORDER BY p.received_at, p.news_id LIMIT %(limit)s
"""
_UNPARK = "DELETE FROM parked_news WHERE provider = %(provider)s AND news_id = %(news_id)s"

_decode = msgspec.json.Decoder(ToldDispute).decode
_encode = msgspec.json.Encoder().encode


class PostgresParkedDisputes:
    """Implements `jitui.aftersales.commands.dispute.ParkedDisputes`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find_tenders(self, told: ToldDispute) -> list[FoundTender]:
        """The tenders of the payment, by order and tender."""
        named = {"provider": told.provider, "payment_ids": list(told.payment_ids), "dispute_id": told.dispute_id}
        async with self._pool.connection() as connection:
            found = await connection.execute(_FIND, named)
            rows = await found.fetchall()
        return [
            FoundTender(
                ref=OrderRef(int(str(lane)), str(order)),
                tender_id=str(tender),
                captured_minor=int(str(captured)),
                remaining_minor=int(str(remaining)),
                known=None if state is None else (DisputeState(str(state)), int(str(amount))),
            )
            for lane, order, tender, captured, remaining, state, amount in rows
        ]

    async def park(self, told: ToldDispute, now: datetime) -> None:
        """Store a report; an equal one is stored once."""
        body = {"payment_ids": list(told.payment_ids), "body": _encode(told).decode(), "now": now}
        async with self._pool.connection() as connection:
            await connection.execute(_PARK, {**_name(told), **body})

    async def parked(self, limit: int) -> list[ToldDispute]:
        """The reports whose payment is known by now."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_PARKED, {"limit": limit})).fetchall()
        return [_decode(str(text)) for (text,) in rows]

    async def unpark(self, told: ToldDispute) -> None:
        """Delete a report after it was recorded."""
        async with self._pool.connection() as connection:
            await connection.execute(_UNPARK, _name(told))


def _name(told: ToldDispute) -> dict[str, object]:
    return {"provider": told.provider, "news_id": f"dispute:{told.dispute_id}:{told.state}:{told.amount_minor}"}
