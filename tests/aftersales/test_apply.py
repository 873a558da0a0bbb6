"""`apply` and PostgreSQL say the same of every change: after each commit the snapshot read again is the snapshot
applied.

Every test with a market in `tests/aftersales`, `tests/known_bugs` and `tests/race` checks that too (`watched.py`). Here
are sequences of all commands, and the proof that no kind of change was left out.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from jitui.aftersales.changes import (
    MoveRefund,
    PutDispute,
    PutShipment,
    SettleRefund,
)
from jitui.aftersales.model.order import (
    DisputeState,
    ShipmentStatus,
)
from jitui.aftersales.model.order import ShipmentSource as Source
from jitui.aftersales.model.refund import RefundState, Settlement
from tests.aftersales.market import Market
from tests.aftersales.stories import (
    A_MINUTE,
    ALL,
    DECLINED,
    KINDS,
    PAID,
    SCRIPTS,
    STEP,
    Step,
    begin,
    follow,
)
from tests.aftersales.watched import SEEN


async def test_every_kind_of_change_is_what_the_database_makes_of_it(market: Market) -> None:
    """A new kind must come into a script before it can come into the service."""
    SEEN.clear()
    for name, (premium, steps) in SCRIPTS.items():
        came = await follow(await begin(market, premium=premium), steps)
        assert set(came) <= {"Executed", "list"}, f"{name}: {came}"
    assert {kind.__name__ for kind in KINDS - SEEN} == set()
    assert await market.queries.unbalanced_orders(None, 10) == [], "the ledger says what the payments say"


async def test_changes_that_come_with_others_are_each_applied_as_they_are_written(market: Market) -> None:
    """What no plan shows alone: a settlement is kept once; a shipment keeps its number, a dispute its beginning."""
    story = await begin(market)
    shipment: Step = ("ship", Source.CARRIER, ShipmentStatus.LABEL_PRINTED, "A", ALL, "sf")
    disputed: Step = ("dispute", "d1", DisputeState.OPEN, 100)
    await follow(story, [PAID, ("ask", ALL), ("claim", False), DECLINED, shipment, disputed])
    snapshot = await story.snapshot()
    refund_id = snapshot.refunds[0].refund_id
    first, second = (SettleRefund(refund_id, Settlement(name, "by hand", "li.na", story.now)) for name in ("a", "b"))
    moved = MoveRefund(refund_id, RefundState.UNKNOWN, story.now, "put back", None, tries=7)
    numbered = PutShipment(replace(snapshot.shipments[0], tracking_no="another"), "another")
    later = PutDispute(replace(snapshot.disputes[0], opened_at=story.now + A_MINUTE, provider="another"))
    for change in (moved, first, second, numbered, later):
        async with story.store.transaction() as transaction:
            opened = await transaction.open(story.orders[0])
            assert opened.snapshot is not None
            await transaction.commit(opened.snapshot, (change,))


async def test_an_order_that_cost_nothing_is_applied_as_it_is_written(market: Market) -> None:
    story = await begin(market, premium=False, free=True)
    assert await follow(story, [("ask", ALL), ("review", "approve", 0)]) == ["Executed", "Executed"]
    assert (await story.snapshot()).tickets[0].closed_at is not None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=1, max_size=10), premium=st.booleans(), paid=st.integers(2, 9341))
async def test_whatever_is_done_the_file_read_again_is_the_file_applied(
    market: Market, steps: list[Step], premium: bool, paid: int
) -> None:
    story = await begin(market, premium=premium)
    first: list[Step] = [("pay_in", "t2", "r", paid, None, False), ("ask", [("l1", 1)])]
    for came in await follow(story, first + steps):
        event(came)
    assert await market.queries.unbalanced_orders(None, 10) == []
