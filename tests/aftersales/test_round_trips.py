"""A deciding transaction waits for the database twice: once for what it reads, once for what it writes."""

from __future__ import annotations

import tempfile

from jitui.aftersales.commands.execute import Executed, IdempotentReply
from jitui.aftersales.commands.request_refund import RefundRequest, request_refund
from jitui.aftersales.model.ticket import ApprovedBy
from jitui.aftersales.outcomes import IdempotencyKey, Refusal, StoredResponse
from tests.aftersales.market import NOW, Market, open_market


async def asked(market: Market, order_id: str) -> Executed | Refusal | StoredResponse:
    reply = IdempotentReply(
        IdempotencyKey("key", "route", order_id, b"body"), lambda _: StoredResponse(201, b'{"state": "refunding"}', NOW)
    )
    return await request_refund(
        market.store, market.decision_settings, RefundRequest("b-1", order_id), now=NOW, reply=reply
    )


async def test_a_decision_takes_two_round_trips_answer_and_commit_included(database_url: str) -> None:
    async with open_market(database_url, pool_size=1) as market:
        buyer_id = await market.premium_buyer("b-1")
        for order_id in ("o-1", "o-2"):
            await market.paid_order(buyer_id, order_id)
        await asked(market, "o-2")  # the first answer by a policy makes the dictionary for those that follow
        with tempfile.TemporaryFile() as trace:
            async with market.pool.connection() as connection:
                connection.pgconn.trace(trace.fileno())
            done = await asked(market, "o-1")
            async with market.pool.connection() as connection:
                connection.pgconn.untrace()
            trace.seek(0)
            messages = [line.split() for line in trace.read().decode().splitlines()]
    assert isinstance(done, Executed) and done.ticket.approved_by is ApprovedBy.INSTANT_REFUND
    sent = [message for line in messages if "F" in line for message in line[line.index("F") + 2 :][:1]]
    assert sent.count("Sync") == 2
    assert "Query" not in sent, "nor anything beside the two"
