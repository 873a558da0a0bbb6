"""I2: a refund that one worker claims is claimed by no other, and no worker waits for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from jitui.adapters.postgres import queue
from jitui.adapters.postgres.batch import BEGIN, Value, run_batch
from jitui.ids import new_id
from tests.aftersales.market import NOW, Market, open_market
from tests.race.locks import impatient

LEASE = timedelta(seconds=60)
LEASE_UNTIL = NOW + LEASE


async def two_due_refunds_of_one_lane(market: Market) -> int:
    buyer = await market.premium_buyer("b-1")
    for name in ("o-1", "o-2"):
        ref = await market.paid_order(buyer, name)
        await market.asked(buyer, name)
    return ref.lane


async def test_a_claim_passes_over_what_another_worker_is_claiming(market: Market, database_url: str) -> None:
    """Without a lock both would send it; with a lock that waits, a slow worker would hold up all the others."""
    lane = await two_due_refunds_of_one_lane(market)
    claim: dict[str, Value] = {"lane": lane, "limit": 1, "now": NOW, "lease_until": LEASE_UNTIL, "provider": None}
    new_ids = msgspec.json.encode([new_id(lane)]).decode()
    async with market.pool.connection() as slow, open_market(impatient(database_url)) as others:
        _, mine = await run_batch(slow, [(BEGIN, {}), (queue.CLAIM, {**claim, "new_ids": new_ids})])
        theirs = await others.store.claim_refunds(now=NOW, lease_until=LEASE_UNTIL, limit=10)
        await slow.commit()
        left = await others.store.claim_refunds(now=NOW, lease_until=LEASE_UNTIL, limit=10)
    assert len(mine) == 1
    assert len(theirs) == 1, "the one that is being claimed is passed over"
    assert left == []
    claimed = msgspec.json.decode(mine[0][1] or b"", type=dict[str, object])
    assert str(theirs[0].refund.refund_id) != claimed["refund_id"]


async def test_a_claim_passes_over_a_refund_whose_row_is_locked_for_news(market: Market, database_url: str) -> None:
    lane = await two_due_refunds_of_one_lane(market)
    async with market.pool.connection() as news, open_market(impatient(database_url)) as others:
        await news.execute("SELECT 1 FROM refund WHERE lane = %s AND order_id = 'o-1' FOR UPDATE", (lane,))
        claimed = await others.store.claim_refunds(now=NOW, lease_until=LEASE_UNTIL, limit=10)
        await news.rollback()
    assert [claim.refund.order_id for claim in claimed] == ["o-2"]


async def test_what_is_claimed_again_comes_with_its_own_newest_attempt(market: Market) -> None:
    """The attempt's id is the key at the provider: another refund's, or an older one, would pay something else."""
    lane = await two_due_refunds_of_one_lane(market)
    first = await market.store.claim_refunds(now=NOW, lease_until=LEASE_UNTIL, limit=10)
    declined = first[0].refund.refund_id
    async with market.pool.connection() as connection:
        for statement in (
            "UPDATE refund_attempt SET state = 'declined' WHERE lane = %s AND refund_id = %s",
            "UPDATE refund SET state = 'queued', due_at = now(), leased_until = NULL"
            " WHERE lane = %s AND refund_id = %s",
        ):
            await connection.execute(statement, (lane, declined))
    later = datetime.now(UTC) + timedelta(seconds=1)
    (second,) = [
        claim
        for claim in await market.store.claim_refunds(now=later, lease_until=later + LEASE, limit=10)
        if claim.refund.refund_id == declined
    ]
    assert second.attempt.attempt_no == 2
    again = await market.store.claim_refunds(now=later + LEASE, lease_until=later + 2 * LEASE, limit=10)
    assert {claim.refund.refund_id: claim.attempt.attempt_id for claim in again} == {
        declined: second.attempt.attempt_id,
        first[1].refund.refund_id: first[1].attempt.attempt_id,
    }
    assert len(again) == 2
