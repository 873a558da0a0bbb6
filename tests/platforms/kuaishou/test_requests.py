"""A request on Kuaishou is decided here and answered there, once; Kuaishou's own request is what counts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from jitui.adapters.platforms.kuaishou.requests import NAME
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.pay import pay_claimed
from jitui.aftersales.commands.review import approve, reject
from jitui.aftersales.commands.settle_refund import ManualPaymentRules, retry
from jitui.aftersales.model.refund import AttemptState, RefundState
from jitui.aftersales.model.ticket import Actor, ActorKind, ApprovedBy, TicketState
from jitui.aftersales.operations.request_sync import take_request
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import RefundRef, TicketRef
from jitui.policy import Policy
from tests.aftersales.market import rejection
from tests.platforms.kuaishou.market import PROVIDERS, KuaishouMarket, open_kuaishou_market
from tests.platforms.kuaishou.server import (
    APPROVE,
    DETAIL,
    LIST,
    ORDER,
    REASONS,
    REFUSE,
    Fault,
    KuaishouServer,
    Refused,
)
from tests.platforms.market import POLICY

A_LITTLE = timedelta(seconds=90)
MERCHANT = Actor(ActorKind.MERCHANT, "mei")


async def test_a_request_is_approved_at_once_and_paid_there(market: KuaishouMarket, there: KuaishouServer) -> None:
    oid = there.place(freight=600)
    refund_id = there.ask(oid)
    done = await market.sync()
    assert (done.taken, done.left) == (1, {})
    ticket = await market.ticket(oid)
    assert (ticket.state, ticket.approved_by) == (TicketState.REFUNDING, ApprovedBy.INSTANT_REFUND)
    assert ticket.amount_minor == 13_500
    assert there.approvals == [], "nothing is approved there before the money queue comes to it"

    assert await market.pay() == 1
    assert there.approvals == [refund_id]
    (told,) = there.calls(APPROVE)
    assert told == {
        "refundId": refund_id,
        "refundAmount": 13_500,
        "status": 10,
        "negotiateStatus": 1,
        "refundHandingWay": 10,
    }
    here = await market.order(oid)
    assert (here.refunds[0].state, here.tickets[0].state) == (RefundState.PENDING, TicketState.REFUNDING)

    await _reads_the_list_alone(market, there)

    there.pay(refund_id)
    await _reads_the_list_alone(market, there)
    await market.after(timedelta(minutes=1)).pay()
    here = await market.order(oid)
    assert here.tickets[0].state is TicketState.REFUNDED
    await _reads_the_list_alone(market, there)
    assert here.attempts[0].provider_refund_id == str(refund_id)
    assert here.tenders[0].refunded_minor == 13_500
    assert await market.balanced()
    assert there.approvals == [refund_id]


async def test_a_second_reading_changes_nothing(market: KuaishouMarket, there: KuaishouServer) -> None:
    oid = there.place()
    there.ask(oid)
    await market.sync()
    here, calls = await market.order(oid), len(there.seen)
    done = await market.sync()
    assert (done.taken, done.left) == (0, {})
    assert await market.order(oid) == here
    new = [method for method, _ in there.seen[calls:]]
    assert set(new) == {"open.seller.order.refund.pcursor.list"}, "what is known is not read again"


async def test_silence_here_decides_nothing(market: KuaishouMarket, there: KuaishouServer) -> None:
    oid = there.place(fen=12_900)
    there.ask(oid, fen=12_000)
    await market.sync()
    ticket = await market.ticket(oid)
    assert ticket.state is TicketState.AWAITING_MERCHANT
    assert (ticket.expires_at, ticket.remind_at) == (None, None)


async def test_another_amount_there_is_for_the_merchant(market: KuaishouMarket, there: KuaishouServer) -> None:
    for fen in (12_899, 12_901):
        oid = there.place()
        there.ask(oid, fen=fen)
        await market.sync()
        ticket = await market.ticket(oid)
        assert (ticket.state, ticket.review_reason) == (TicketState.AWAITING_MERCHANT, "platform_amount_differs")
    await market.pay()
    assert there.approvals == []


@pytest.mark.parametrize(("way", "special"), [(1, 0), (3, 0), (10, 1)])
async def test_what_is_no_refund_of_unshipped_goods_is_left_alone(
    market: KuaishouMarket, there: KuaishouServer, way: int, special: int
) -> None:
    """Returns, exchanges, and price protection, which is a refund alone for goods that are delivered."""
    oid = there.place()
    there.ask(oid, way=way, specialRefundType=special)
    assert (await market.sync()).taken == 0
    assert await market.jitui.store.find_order(str(oid)) is None


async def test_the_merchant_approves_here(market: KuaishouMarket, there: KuaishouServer) -> None:
    oid = there.place()
    refund_id = there.ask(oid)
    await _reviewing(market).sync()
    ticket = await market.ticket(oid)
    assert ticket.state is TicketState.AWAITING_MERCHANT
    await approve(market.jitui.store, TicketRef(ticket.lane, ticket.ticket_id), Acting(MERCHANT, market.clock()))
    await market.pay()
    assert there.approvals == [refund_id]


@pytest.mark.parametrize("fen", [12_899, 12_901])
async def test_the_merchant_cannot_approve_another_amount_here(
    market: KuaishouMarket, there: KuaishouServer, fen: int
) -> None:
    oid = there.place()
    there.ask(oid, fen=fen)
    await market.sync()
    ticket = await market.ticket(oid)
    await approve(market.jitui.store, TicketRef(ticket.lane, ticket.ticket_id), Acting(MERCHANT, market.clock()))
    await market.pay()
    assert there.calls(APPROVE) == []
    assert "another amount" in (await market.order(oid)).refunds[0].reason


async def test_a_request_that_turned_into_a_return_is_not_approved(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    oid = there.place()
    refund_id = there.ask(oid)
    await market.sync()
    there.requests[refund_id]["handlingWay"] = 1
    await market.pay()
    assert there.calls(APPROVE) == []
    await market.sync()
    assert (await market.ticket(oid)).state is TicketState.CLOSED


async def test_the_merchant_rejects_here_and_kuaishou_is_told_once(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    oid = there.place()
    refund_id = there.ask(oid, fen=100)
    await market.sync()
    version = there.requests[refund_id]["updateTime"]
    await _reject(market, oid)
    for _ in range(2):
        await market.sync()
    (told,) = there.calls(REFUSE)
    assert told == {"refundId": refund_id, "reasonCode": 7, "rejectDesc": "sold out", "refundVersion": version}
    assert there.requests[refund_id]["status"] == 12
    assert (await market.why(oid))[-2:] == ["rejected", "told_platform"]


async def test_a_rejection_of_what_changed_there_is_not_told(market: KuaishouMarket, there: KuaishouServer) -> None:
    oid = there.place()
    refund_id = there.ask(oid, fen=100)
    await market.sync()
    await _reject(market, oid)
    there.change(refund_id, refundFee=200)
    later = market.after(A_LITTLE)
    await later.sync()
    assert there.calls(REFUSE) == []
    here = await market.order(oid)
    assert [ticket.state for ticket in here.tickets] == [TicketState.REJECTED, TicketState.AWAITING_MERCHANT]


async def test_a_rejection_that_kuaishou_does_not_take_is_said_and_not_repeated(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    there.reasons = [{"reasonCode": 7, "requiredRejectDesc": True, "requiredRejectImage": True}]
    oid = there.place()
    refund_id = there.ask(oid, fen=100)
    await market.sync()
    await _reject(market, oid)
    assert "picture" in (await market.sync()).left[str(refund_id)]
    assert (await market.why(oid))[-1] == "platform_refused_answer"
    calls = len(there.seen)
    await market.sync()
    assert len(there.seen) == calls + 1, "the list alone"
    await take_request(market.parts, market.deciding, str(refund_id), now=market.clock())
    assert len(there.calls(REASONS)) == 1, "it is not told again"


# Shipped -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [40, 50, 70, 30, 99])
async def test_what_has_left_is_not_approved(market: KuaishouMarket, there: KuaishouServer, status: int) -> None:
    """With a tracking number on a paid order, and in a state that nobody knows, the goods count as picked up."""
    oid = there.place()
    there.ask(oid)
    there.ship(oid, status=status)
    await market.sync()
    await market.pay()
    assert there.approvals == []
    here = await market.order(oid)
    assert [ticket.state for ticket in here.tickets] in ([], [TicketState.AWAITING_MERCHANT])


async def test_what_ships_there_meanwhile_is_not_approved(market: KuaishouMarket, there: KuaishouServer) -> None:
    oid = there.place()
    there.ask(oid)
    await market.sync()
    there.ship(oid)
    await market.pay()
    assert there.approvals == []
    assert (await market.ticket(oid)).state is TicketState.REFUND_FAILED
    done = await market.sync()
    assert done.taken == 1
    here = await market.order(oid)
    assert (here.tickets[0].state, here.tickets[0].approved_by) == (TicketState.CLOSED, None)
    assert (await market.why(oid))[-1] == "goods_left"
    assert len(here.shipments) == 1
    assert (here.lines[0].claimed_quantity, here.tenders[0].pending_minor) == (0, 0)
    assert await market.balanced()
    again = await market.sync()
    assert (again.taken, again.left) == (0, {})


async def test_goods_that_ship_between_the_list_and_the_order_are_not_approved(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    oid = there.place()
    there.ask(oid)
    there.before[ORDER] = [lambda: there.ship(oid)]
    done = await market.sync()
    assert list(done.left.values()) == ["All goods have left; ask for a refund after shipment instead."]


# Changed, withdrawn, refused there -----------------------------------------------------------------------------------


async def test_a_request_that_changed_is_not_approved_but_decided_anew(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    oid = there.place()
    refund_id = there.ask(oid)
    await market.sync()
    there.change(refund_id, refundFee=5_000)
    await market.pay()
    assert there.approvals == []
    here = await market.order(oid)
    assert (here.refunds[0].state, here.attempts[0].state) == (RefundState.FAILED, AttemptState.DECLINED)

    later = market.after(A_LITTLE)
    await later.sync()
    here = await market.order(oid)
    first, second = here.tickets
    assert (first.state, first.approved_by) == (TicketState.CLOSED, None)
    assert here.timeline_of(first.ticket_id)[-1].why == "changed_at_platform"
    assert (second.state, second.review_reason) == (TicketState.AWAITING_MERCHANT, "platform_amount_differs")
    assert await market.balanced()
    assert await later.pay() == 0


async def test_a_change_of_words_alone_is_decided_anew_and_approved(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    oid = there.place()
    refund_id = there.ask(oid)
    await market.sync()
    there.change(refund_id, refundReasonDesc="another one")
    await market.pay()
    assert there.approvals == [], "the version that was decided on is another one"
    later = market.after(A_LITTLE)
    await later.sync()
    await later.pay()
    assert there.approvals == [refund_id]
    there.pay(refund_id)
    await later.after(timedelta(minutes=1)).pay()
    here = await market.order(oid)
    assert [ticket.state for ticket in here.tickets] == [TicketState.CLOSED, TicketState.REFUNDED]
    assert here.tenders[0].refunded_minor == 12_900
    assert await market.balanced()


async def test_a_change_within_a_minute_is_read_again_until_it_can_be_decided(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    oid = there.place()
    refund_id = there.ask(oid)
    await market.sync()
    there.change(refund_id)
    await market.pay()
    done = await market.sync()
    assert "minute" in done.left[str(refund_id)]
    cursor = (await market.parts.states.state(NAME)).cursor
    assert cursor is not None
    assert cursor.timestamp() * 1000 <= there.requests[refund_id]["updateTime"], "the cursor waits for it"
    await market.after(timedelta(hours=2)).sync()
    assert len((await market.order(oid)).tickets) == 2


async def test_a_change_between_reading_and_approving_is_refused_by_kuaishou(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    """The approval has no version there; the amount and the states that were read guard it."""
    oid = there.place()
    refund_id = there.ask(oid)
    await market.sync()
    there.before[APPROVE] = [lambda: there.change(refund_id, refundFee=100)]
    await market.pay()
    assert there.approvals == []
    assert (await market.order(oid)).refunds[0].state is RefundState.FAILED


@pytest.mark.parametrize("when", ["in review", "approved"])
async def test_the_buyer_withdraws_there(market: KuaishouMarket, there: KuaishouServer, when: str) -> None:
    oid = there.place()
    refund_id = there.ask(oid, fen=12_900 if when == "approved" else 1)
    await market.sync()
    there.withdraw(refund_id)
    await market.pay()
    await market.sync()
    here = await market.order(oid)
    assert here.tickets[0].state is TicketState.WITHDRAWN
    assert (here.lines[0].claimed_quantity, here.tenders[0].pending_minor) == (0, 0)
    assert here.lines[0].free_quantity == 1
    assert there.approvals == []
    assert await market.balanced()


async def test_what_was_taken_back_is_owed_to_nobody(market: KuaishouMarket, there: KuaishouServer) -> None:
    oid = there.place()
    refund_id = there.ask(oid)
    await market.sync()
    there.withdraw(refund_id)
    await market.pay()
    await market.sync()
    refund = (await market.order(oid)).refunds[0]
    assert refund.closed_at is not None
    ref = RefundRef((await market.ticket(oid)).lane, refund.refund_id)
    rules = ManualPaymentRules(PROVIDERS, {"CNY": 10**9})
    refused = await retry(market.jitui.store, ref, rules, by=MERCHANT, now=market.clock())
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.TICKET_ALREADY_CLOSED
    assert await market.after(timedelta(days=1)).pay() == 0


@pytest.mark.parametrize("when", ["in review", "approved"])
@pytest.mark.parametrize(("status", "why"), [(12, "refused_at_platform"), (20, "disputed_at_platform")])
async def test_the_merchant_refuses_there(
    market: KuaishouMarket, there: KuaishouServer, when: str, status: int, why: str
) -> None:
    oid = there.place()
    refund_id = there.ask(oid, fen=12_900 if when == "approved" else 1)
    await market.sync()
    there.change(refund_id, status=status)
    await market.pay()
    await market.sync()
    assert (await market.ticket(oid)).state is TicketState.REJECTED
    assert (await market.why(oid))[-1] == why
    assert there.calls(REFUSE) == [], "it is refused there already"
    assert await market.balanced()


async def test_a_refusal_by_negotiation_is_one(market: KuaishouMarket, there: KuaishouServer) -> None:
    """Two fields tell the state together: still 10, and the merchant has refused."""
    oid = there.place()
    refund_id = there.ask(oid)
    there.change(refund_id, negotiateStatus=3)
    assert (await market.sync()).taken == 0
    there.change(refund_id, negotiateStatus=1)
    await market.sync()
    there.change(refund_id, negotiateStatus=3)
    await market.pay()
    await market.sync()
    assert (await market.ticket(oid)).state is TicketState.REJECTED
    assert there.approvals == []


@pytest.mark.parametrize(("status", "negotiation"), [(11, 1), (10, 0), (10, 2)])
async def test_a_state_that_is_not_known_never_approves(
    market: KuaishouMarket, there: KuaishouServer, status: int, negotiation: int
) -> None:
    oid = there.place()
    refund_id = there.ask(oid)
    there.change(refund_id, status=status, negotiateStatus=negotiation)
    assert (await market.sync()).taken == 0
    there.change(refund_id, status=10, negotiateStatus=1)
    await market.sync()
    there.change(refund_id, status=status, negotiateStatus=negotiation)
    await market.pay()
    assert there.approvals == []
    assert (await market.order(oid)).refunds[0].state is RefundState.UNKNOWN


@pytest.mark.parametrize("when", ["in review", "approved"])
async def test_the_merchant_approves_there(market: KuaishouMarket, there: KuaishouServer, when: str) -> None:
    oid = there.place()
    refund_id = there.ask(oid)
    reading = _reviewing(market) if when == "in review" else market
    await reading.sync()
    there.approve_by_hand(refund_id)
    await reading.sync()
    await market.pay()
    there.pay(refund_id)
    await market.after(timedelta(minutes=1)).pay()
    here = await market.order(oid)
    by = ApprovedBy.MERCHANT if when == "in review" else ApprovedBy.INSTANT_REFUND
    assert (here.tickets[0].state, here.tickets[0].approved_by) == (TicketState.REFUNDED, by)
    assert there.approvals == [], "it was approved there, and by nobody twice"
    assert here.tenders[0].refunded_minor == 12_900
    assert await market.balanced()


async def test_another_amount_that_the_merchant_approves_there_is_counted_once(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    oid = there.place()
    refund_id = there.ask(oid, fen=5_000)
    await market.sync()
    there.approve_by_hand(refund_id)
    await market.sync()
    assert (await market.ticket(oid)).state is TicketState.AWAITING_MERCHANT, "it is not paid yet"
    there.pay(refund_id)
    for _ in range(2):
        await market.sync()
        here = await market.order(oid)
        assert (here.tickets[0].state, here.tenders[0].refunded_minor) == (TicketState.CLOSED, 5_000)
    assert await market.balanced()


async def test_an_approval_there_after_a_change_is_paid_by_it(market: KuaishouMarket, there: KuaishouServer) -> None:
    """It changed, so we did not approve; then the merchant approved it there, for the same amount."""
    oid = there.place()
    refund_id = there.ask(oid)
    await market.sync()
    there.change(refund_id)
    await market.pay()
    there.approve_by_hand(refund_id)
    there.pay(refund_id)
    await market.sync()
    await market.pay()
    here = await market.order(oid)
    assert here.tickets[0].state is TicketState.REFUNDED
    assert there.approvals == []
    assert await market.balanced()


# Answers that are lost, and two workers -------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.DROPPED_AFTER, Fault.HANG, Fault.BROKEN, Fault.LONG])
async def test_an_approval_whose_answer_is_lost_is_looked_up(
    database_url: str, there: KuaishouServer, fault: Fault
) -> None:
    async with open_kuaishou_market(database_url, there, timeout_seconds=0.5) as market:
        oid = there.place()
        refund_id = there.ask(oid)
        await market.sync()
        there.faults[APPROVE] = [fault]
        await market.pay()
        assert there.approvals == [refund_id]
        assert (await market.order(oid)).refunds[0].state is RefundState.PENDING
        there.pay(refund_id)
        await market.after(timedelta(minutes=1)).pay()
        assert (await market.ticket(oid)).state is TicketState.REFUNDED
        assert there.approvals == [refund_id]


async def test_a_lost_answer_and_a_lost_look_up_are_unknown_and_asked_again(
    market: KuaishouMarket, there: KuaishouServer
) -> None:
    oid = there.place()
    refund_id = there.ask(oid)
    await market.sync()
    there.faults = {APPROVE: [Fault.DROPPED_AFTER]}
    there.before[APPROVE] = [lambda: there.faults.update({DETAIL: [Fault.PAGE]})]
    await market.pay()
    assert (await market.order(oid)).refunds[0].state is RefundState.UNKNOWN
    await market.after(timedelta(minutes=1)).pay()
    assert (await market.order(oid)).refunds[0].state is RefundState.PENDING
    assert there.approvals == [refund_id]


async def test_an_approval_that_never_arrived_is_sent_again(market: KuaishouMarket, there: KuaishouServer) -> None:
    oid = there.place()
    refund_id = there.ask(oid)
    await market.sync()
    there.faults[APPROVE] = [Fault.DROPPED_BEFORE, Refused(1016, "too many calls"), Fault.PAGE]
    clock = market
    for _ in range(3):
        await clock.pay()
        assert there.approvals == []
        assert (await market.order(oid)).refunds[0].state is RefundState.UNKNOWN
        clock = clock.after(timedelta(minutes=1))
    await clock.pay()
    assert there.approvals == [refund_id]
    assert len((await market.order(oid)).attempts) == 1


async def test_a_refusal_by_kuaishou_is_final_and_says_so(market: KuaishouMarket, there: KuaishouServer) -> None:
    oid = there.place()
    there.ask(oid)
    await market.sync()
    there.faults[APPROVE] = [Refused(100, "the shop's balance is short")]
    await market.pay()
    here = await market.order(oid)
    assert (here.refunds[0].state, here.tickets[0].state) == (RefundState.FAILED, TicketState.REFUND_FAILED)
    assert "balance is short" in here.refunds[0].reason
    await market.sync()
    assert (await market.ticket(oid)).state is TicketState.REFUND_FAILED, "the request still waits: a person acts"


async def test_two_workers_approve_once(market: KuaishouMarket, there: KuaishouServer) -> None:
    oid = there.place()
    refund_id = there.ask(oid)
    await market.sync()
    (claimed,) = await market.claim()
    providers = {NAME: market.provider}
    there.slow[DETAIL] = 0.2  # each of them reads it before any other has approved it
    await asyncio.gather(*(pay_claimed(market.jitui.store, providers, claimed, clock=market.clock) for _ in range(4)))
    assert there.approvals == [refund_id]
    assert len(there.calls(APPROVE)) == 1
    await market.after(timedelta(minutes=2)).pay()
    assert (await market.order(oid)).refunds[0].state is RefundState.PENDING


async def test_two_workers_that_read_make_one_ticket(market: KuaishouMarket, there: KuaishouServer) -> None:
    orders = [there.place(buyer=f"buyer-{number}") for number in range(3)]
    for oid in orders:
        there.ask(oid)
    await asyncio.gather(*(market.sync() for _ in range(3)))
    for oid in orders:
        assert len((await market.order(oid)).tickets) == 1


# Helpers --------------------------------------------------------------------------------------------------------------


def _reviewing(market: KuaishouMarket) -> KuaishouMarket:
    """The market under a policy that approves nothing at once."""
    text = POLICY.text.replace("order.shipment in ['unshipped', 'label_printed']", "order.shipment == 'delivered'")
    return replace(market, jitui=market.jitui.deciding_by(Policy.from_text(text)))


async def _reads_the_list_alone(market: KuaishouMarket, there: KuaishouServer) -> None:
    """What the ticket follows already costs no call of its own, although its request's version is another by now."""
    calls = len(there.seen)
    assert (await market.sync()).taken == 0
    assert [method for method, _ in there.seen[calls:]] == [LIST]


async def _reject(market: KuaishouMarket, oid: int) -> None:
    ticket = await market.ticket(oid)
    done = await reject(
        market.jitui.store,
        TicketRef(ticket.lane, ticket.ticket_id),
        rejection("sold out"),
        Acting(MERCHANT, market.clock()),
    )
    assert not isinstance(done, Refusal), done
