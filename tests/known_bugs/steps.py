"""Steps that the tests of several threads need: the order snapshot, what is claimed, and the provider's report."""

from __future__ import annotations

from datetime import datetime, timedelta

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, ActorKind, Ticket
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import AttemptRef, ClaimedRefund, Ref, TicketRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from tests.aftersales.market import NOW, Market

MERCHANT = Actor(ActorKind.MERCHANT, "shop-1")
SUCCEEDED = RefundResult(RefundResultKind.SUCCEEDED)
A_MINUTE = timedelta(seconds=61)


def refused(done: object) -> RefusalCode:
    """The code of a refusal; fails the test on anything else."""
    assert isinstance(done, Refusal), done
    return done.code


def where(ticket: Ticket) -> TicketRef:
    return TicketRef(ticket.lane, ticket.ticket_id)


async def snapshot_of(market: Market, ref: Ref) -> OrderSnapshot:
    found = await market.store.read_order(ref)
    assert found is not None
    return found


async def claim(market: Market, now: datetime = NOW) -> list[ClaimedRefund]:
    """Everything that is due, with its attempt committed, as a worker takes it."""
    return await market.store.claim_refunds(now=now, lease_until=now + timedelta(seconds=60), limit=100)


async def heard(
    market: Market, claimed: ClaimedRefund, result: RefundResult = SUCCEEDED, *, looked_up: bool = False
) -> None:
    """The provider's word on a claimed refund."""
    ref = AttemptRef(claimed.lane, claimed.attempt.attempt_id)
    assert isinstance(await confirm(market.store, ref, RefundUpdate(result, looked_up), now=NOW), Executed)


async def later(market: Market, minutes: int = 1) -> datetime:
    """A moment at which the next request of an order is allowed, with the roll-ups of that moment."""
    now = NOW + minutes * A_MINUTE
    await market.feed.roll_up(now)
    return now


async def postings(market: Market, order_id: str) -> list[str]:
    """What the ledger has of an order, by the kind of cause."""
    async with market.pool.connection() as connection:
        rows = await connection.execute("SELECT posting FROM ledger WHERE order_id = %s ORDER BY 1", (order_id,))
        return [str(name).partition(":")[0] for (name,) in await rows.fetchall()]
