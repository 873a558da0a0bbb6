"""Money that is paid by hand: above a limit by two persons, and only where nobody else pays it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from jitui.adapters.postgres.store import PostgresStore, PostgresTransaction
from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.settle_refund import (
    ManualPaymentRules,
    ManualPayout,
    RefundSeen,
    confirm_settlement,
    reject_settlement,
    retry,
    settle,
    why_not_settled,
)
from jitui.aftersales.ledger import balances
from jitui.aftersales.memory_store import MemoryStore
from jitui.aftersales.model.refund import AttemptState, Refund, RefundState
from jitui.aftersales.model.task import OperatorTask, TaskFilter, TaskKind, TaskState
from jitui.aftersales.model.ticket import Actor, ActorKind, TicketState
from jitui.aftersales.operations.refunds import RefundAction, read_refund
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import OrderRef, RefundRef
from jitui.ids import lane_of
from tests.aftersales.market import NOW, PROVIDERS, RULES, TIME_ZONE, Market, on_both_stores
from tests.aftersales.test_failed_refunds import failures
from tests.aftersales.test_pay import DECLINED, PENDING, STUCK, SUCCEEDED, Paying, claim_all, start_paying
from tests.aftersales.test_settlement import PAID_BY_HAND, ref_of
from tests.known_bugs.steps import snapshot_of

TWO_PERSONS = ManualPaymentRules(PROVIDERS, {"CNY": 9_999})
LI, WANG, ZHAO = (Actor(ActorKind.OPERATOR, name) for name in ("li.na", "wang.wei", "zhao.min"))
LATER = NOW + timedelta(minutes=5)
REFERENCE = PAID_BY_HAND.reference


async def failed(market: Market) -> Paying:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    return paying


async def propose(paying: Paying, by: Actor = LI, payout: ManualPayout = PAID_BY_HAND) -> object:
    return await settle(paying.market.store, ref_of(paying), payout, TWO_PERSONS, by=by, now=LATER)


async def confirm(paying: Paying, by: Actor = WANG, reference: str = REFERENCE) -> object:
    return await confirm_settlement(paying.market.store, ref_of(paying), reference, TWO_PERSONS, by=by, now=LATER)


async def refund_of(paying: Paying) -> Refund:
    return (await paying.snapshot()).refunds[0]


def code(done: object) -> RefusalCode:
    assert isinstance(done, Refusal), done
    return done.code


# The limit ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "alone"),
    [({"CNY": 10_000}, True), ({"CNY": 9_999}, False), ({"USD": 10_000}, False), ({}, False)],
)
async def test_up_to_the_limit_of_its_currency_one_person_settles(
    market: Market, limits: dict[str, int], alone: bool
) -> None:
    paying = await failed(market)
    rules = ManualPaymentRules(PROVIDERS, limits)
    done = await settle(market.store, ref_of(paying), PAID_BY_HAND, rules, by=LI, now=LATER)
    assert isinstance(done, Executed)
    refund = await refund_of(paying)
    assert (refund.settlement is not None, refund.proposal is None) == (alone, alone)
    assert refund.state is (RefundState.SUCCEEDED if alone else RefundState.FAILED)


# Two persons -------------------------------------------------------------------------------------------------------


@on_both_stores
async def test_the_first_person_proposes_and_nothing_moves(market: Market) -> None:
    paying = await failed(market)
    before = await paying.snapshot()
    assert isinstance(await propose(paying), Executed)
    after = await paying.snapshot()
    proposal = after.refunds[0].proposal
    assert proposal is not None
    assert (proposal.reference, proposal.note, proposal.by, proposal.at) == (
        REFERENCE,
        PAID_BY_HAND.note,
        "li.na",
        LATER,
    )
    assert replace(after.refunds[0], proposal=None) == before.refunds[0]
    assert (after.tenders, after.tickets) == (before.tenders, before.tickets)
    told = after.timeline_of(paying.ticket_id)[-1]
    assert (told.why, told.actor_id, told.to_state) == ("settlement_proposed", "li.na", TicketState.REFUND_FAILED)
    assert "note" not in told.detail


@on_both_stores
async def test_another_person_confirms_and_both_are_on_record(market: Market) -> None:
    paying = await failed(market)
    await propose(paying)
    assert isinstance(await confirm(paying), Executed)
    after = await paying.snapshot()
    (refund,) = after.refunds
    assert (refund.state, refund.proposal, refund.due_at) == (RefundState.SUCCEEDED, None, None)
    assert refund.settlement is not None
    assert (refund.settlement.by, refund.settlement.confirmed_by) == ("li.na", "wang.wei")
    assert (refund.settlement.reference, refund.settlement.note) == (REFERENCE, PAID_BY_HAND.note)
    assert after.ticket(paying.ticket_id).state is TicketState.REFUNDED
    whys = [(event.why, event.actor_id) for event in after.timeline_of(paying.ticket_id)]
    assert whys[-2:] == [("settlement_proposed", "li.na"), ("settled_by_hand", "wang.wei")]
    assert (await held(paying))["manual_payout"] == -10_000
    assert {task.kind for task in await tasks_of(market)} == {TaskKind.REFUND_FAILED}, "it was paid once"


async def held(paying: Paying) -> dict[str, int]:
    found = balances(await paying.market.queries.ledger(paying.order))
    return {account: minor for (account, _), minor in found.items()}


@pytest.mark.parametrize("name", ["li.na", "LI.NA", " li.na ", "ｌｉ.ｎａ"])
@on_both_stores
async def test_who_proposed_does_not_confirm_however_the_name_is_written(market: Market, name: str) -> None:
    paying = await failed(market)
    await propose(paying)
    before = await paying.snapshot()
    refused = await confirm(paying, by=Actor(ActorKind.OPERATOR, name))
    assert code(refused) is RefusalCode.SECOND_PERSON_NEEDED
    assert await paying.snapshot() == before


@pytest.mark.parametrize("name", ["li.na", "Li.Na", " ＬＩ.na"])
async def test_the_database_refuses_one_person_twice(market: Market, name: str) -> None:
    paying = await failed(market)
    await propose(paying)
    await confirm(paying)
    with pytest.raises(psycopg.errors.CheckViolation, match="settled_by_two_persons"):
        async with market.pool.connection() as connection:
            await connection.execute(
                "UPDATE refund SET settlement = settlement || jsonb_build_object('confirmed_by', %s::text)", (name,)
            )


@on_both_stores
async def test_what_is_confirmed_is_what_was_read(market: Market) -> None:
    """Between reading and confirming the proposal may have become another."""
    paying = await failed(market)
    await propose(paying)
    refused = await confirm(paying, reference="BANK-8")
    assert code(refused) is RefusalCode.SETTLEMENT_DIFFERS
    assert isinstance(refused, Refusal) and (refused.path, REFERENCE in refused.message) == ("reference", True)
    assert (await refund_of(paying)).settlement is None


@on_both_stores
async def test_nobody_proposes_or_sends_again_what_waits_for_a_second_person(market: Market) -> None:
    """Whoever proposed may have paid already."""
    paying = await failed(market)
    await propose(paying)
    assert code(await propose(paying)) is RefusalCode.SECOND_PERSON_NEEDED
    assert code(await propose(paying, by=WANG)) is RefusalCode.SETTLEMENT_PROPOSED
    again = await retry(market.store, ref_of(paying), RULES, by=WANG, now=LATER)
    assert code(again) is RefusalCode.SETTLEMENT_PROPOSED
    assert (await refund_of(paying)).state is RefundState.FAILED


@pytest.mark.parametrize("by", [LI, WANG], ids=["taken back", "rejected"])
@on_both_stores
async def test_a_proposal_that_is_rejected_leaves_the_refund_as_it_was(market: Market, by: Actor) -> None:
    paying = await failed(market)
    before = await refund_of(paying)
    await propose(paying)
    done = await reject_settlement(market.store, ref_of(paying), "no such transfer", by=by, now=LATER)
    assert isinstance(done, Executed)
    assert await refund_of(paying) == before
    told = (await paying.snapshot()).timeline_of(paying.ticket_id)[-1]
    assert (told.why, told.actor_id, told.detail["note"]) == ("settlement_rejected", by.id, "no such transfer")
    assert code(await confirm(paying)) is RefusalCode.SETTLEMENT_NOT_PROPOSED
    assert isinstance(await retry(market.store, ref_of(paying), RULES, by=WANG, now=LATER), Executed)


@on_both_stores
async def test_without_a_proposal_there_is_nothing_to_confirm_or_reject(market: Market) -> None:
    paying = await failed(market)
    assert code(await confirm(paying)) is RefusalCode.SETTLEMENT_NOT_PROPOSED
    refused = await reject_settlement(market.store, ref_of(paying), "no", by=WANG, now=LATER)
    assert code(refused) is RefusalCode.SETTLEMENT_NOT_PROPOSED


async def test_of_two_confirmations_at_once_one_settles(market: Market) -> None:
    paying = await failed(market)
    await propose(paying)
    done = await asyncio.gather(*(confirm(paying, by=by) for by in (WANG, ZHAO, WANG, ZHAO)))
    assert [isinstance(one, Executed) for one in done].count(True) == 1
    assert {code(one) for one in done if not isinstance(one, Executed)} == {RefusalCode.REFUND_NOT_FAILED}
    assert (await held(paying)) == {
        "provider_clearing:simulator": 10_000,
        "escrow": 0,
        "buyer_payable": 0,
        "manual_payout": -10_000,
    }
    whys = [event.why for event in (await paying.snapshot()).timeline_of(paying.ticket_id)]
    assert whys.count("settled_by_hand") == 1


async def test_of_confirming_and_rejecting_at_once_one_wins(market: Market) -> None:
    paying = await failed(market)
    await propose(paying)
    done = await asyncio.gather(
        confirm(paying), reject_settlement(market.store, ref_of(paying), "no", by=ZHAO, now=LATER)
    )
    assert [isinstance(one, Executed) for one in done].count(True) == 1
    refund = await refund_of(paying)
    assert refund.proposal is None
    assert (refund.settlement is not None) == isinstance(done[0], Executed)


# The provider meanwhile --------------------------------------------------------------------------------------------


@on_both_stores
async def test_a_provider_that_pays_while_a_proposal_waits_is_a_task(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(STUCK)
    await propose(paying)
    await paying.hears(PENDING)
    assert (await refund_of(paying)).proposal is not None
    assert code(await confirm(paying)) is RefusalCode.REFUND_NOT_FAILED, "the provider may pay it now"
    found = await read_refund(market.store, ref_of(paying), TWO_PERSONS)
    assert found is not None and found.actions == (RefundAction.REJECT,)
    await paying.hears(SUCCEEDED)
    refund = await refund_of(paying)
    assert (refund.state, refund.proposal) == (RefundState.SUCCEEDED, None)
    assert code(await confirm(paying)) is RefusalCode.REFUND_NOT_FAILED
    (task,) = (task for task in await tasks_of(market) if task.kind is TaskKind.PAID_TWICE)
    assert task.state is TaskState.OPEN
    assert task.evidence["proposed_by_hand"] == {"reference": REFERENCE, "by": "li.na", "at": LATER.isoformat()}


async def tasks_of(market: Market) -> Sequence[OperatorTask]:
    if isinstance(market.store, MemoryStore):
        return await market.store.tasks(TaskFilter())
    return await PostgresTasks(market.pool).list(TaskFilter())


# A provider that is not configured ---------------------------------------------------------------------------------

ELSEWHERE = ManualPaymentRules(frozenset({"stripe"}), {"CNY": 100_000})


async def approved(market: Market) -> tuple[OrderRef, RefundRef]:
    """A refund that was approved and never sent."""
    buyer = await market.premium_buyer("b-1")
    order = await market.paid_order(buyer, "o-1", amounts=(10_000,))
    await market.asked(buyer, "o-1")
    (refund,) = (await snapshot_of(market, order)).refunds
    return order, RefundRef(order.lane, refund.refund_id)


@on_both_stores
async def test_a_refund_that_waits_for_a_provider_that_is_not_configured_is_settled_by_hand(market: Market) -> None:
    order, ref = await approved(market)
    waits = await settle(market.store, ref, PAID_BY_HAND, RULES, by=LI, now=LATER)
    assert code(waits) is RefusalCode.REFUND_NOT_FAILED, "a worker is going to send it"
    done = await settle(market.store, ref, PAID_BY_HAND, ELSEWHERE, by=LI, now=LATER)
    assert isinstance(done, Executed)
    snapshot = await snapshot_of(market, order)
    assert (snapshot.refunds[0].state, snapshot.refunds[0].due_at) == (RefundState.SUCCEEDED, None)
    assert (snapshot.refunds[0].attempt_no, snapshot.tickets[0].state) == (0, TicketState.REFUNDED)
    assert (snapshot.tenders[0].pending_minor, snapshot.tenders[0].refunded_minor) == (0, 10_000)
    assert await claim_all(market, after=timedelta(days=1)) == []


@on_both_stores
async def test_one_that_the_provider_may_have_paid_is_not(market: Market) -> None:
    """Sent before its provider was taken out of the settings: only its books say what became of it."""
    paying = await start_paying(market)
    for result in (None, PENDING):
        if result is not None:
            await paying.hears(result)
        refused = await settle(market.store, ref_of(paying), PAID_BY_HAND, ELSEWHERE, by=LI, now=LATER)
        assert code(refused) is RefusalCode.REFUND_NOT_FAILED


async def test_what_waits_is_settled_only_where_every_attempt_was_declined(market: Market) -> None:
    """No plan queues a refund beside an attempt that may still pay; should one ever do, nobody pays it by hand."""
    paying = await failed(market)
    snapshot = await paying.snapshot()
    waits = replace(snapshot.refunds[0], state=RefundState.QUEUED)
    assert why_not_settled(snapshot, waits, ELSEWHERE) is None
    open_again = replace(snapshot, attempts=(replace(snapshot.attempts[0], state=AttemptState.UNKNOWN),))
    assert code(why_not_settled(open_again, waits, ELSEWHERE)) is RefusalCode.REFUND_NOT_FAILED


@on_both_stores
async def test_a_retry_through_a_provider_that_is_not_configured_is_refused(market: Market) -> None:
    paying = await failed(market)
    refused = await retry(market.store, ref_of(paying), ELSEWHERE, by=LI, now=LATER)
    assert code(refused) is RefusalCode.PROVIDER_NOT_CONFIGURED
    assert isinstance(await settle(market.store, ref_of(paying), PAID_BY_HAND, ELSEWHERE, by=LI, now=LATER), Executed)


class ClaimsMeanwhile(PostgresStore):
    """A worker elsewhere, where the provider is configured, claims the refund between the read and the write."""

    begun = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        async with super().transaction() as transaction:
            first, opening = self.begun == 0, transaction.open
            self.begun += 1

            async def open_then_claim(*words: object, **named: object) -> object:
                opened = await opening(*words, **named)  # type: ignore[arg-type]
                if first:
                    assert len(await self.claim_refunds(now=LATER, lease_until=LATER, limit=9)) == 1
                return opened

            transaction.open = open_then_claim  # type: ignore[method-assign, assignment]
            yield transaction


async def test_a_worker_that_claims_it_at_that_moment_wins_and_nothing_is_paid_by_hand(market: Market) -> None:
    order, ref = await approved(market)
    store = ClaimsMeanwhile(market.pool, TIME_ZONE)
    refused = await settle(store, ref, PAID_BY_HAND, ELSEWHERE, by=LI, now=LATER)
    assert code(refused) is RefusalCode.REFUND_NOT_FAILED
    assert isinstance(refused, Refusal) and "sending" in refused.message
    assert store.begun == 2, "it was read again"
    snapshot = await snapshot_of(market, order)
    assert (snapshot.refunds[0].state, snapshot.refunds[0].settlement) == (RefundState.SENDING, None)
    assert "manual_payout" not in {account for account, _ in balances(await market.queries.ledger(order))}


async def test_what_somebody_saw_is_compared_again_after_a_worker_was_faster(market: Market) -> None:
    _, ref = await approved(market)
    store, seen = ClaimsMeanwhile(market.pool, TIME_ZONE), RefundSeen(RefundState.QUEUED, 0)
    stale = await settle(store, ref, PAID_BY_HAND, ELSEWHERE, by=LI, now=LATER, seen=seen)
    assert (code(stale), store.begun) == (RefusalCode.REFUND_STALE, 2)


# The others of the lane --------------------------------------------------------------------------------------------


@on_both_stores
async def test_a_step_of_one_refund_moves_no_other_refund_of_its_lane(market: Market) -> None:
    """A statement that forgot which refund it is about would still be right as long as there is only one."""
    lane = lane_of("b-1")
    other = next(str(number) for number in range(2, 10_000) if lane_of(f"b-{number}") == lane)
    bystander = await start_paying(market, other)
    await bystander.hears(DECLINED)
    before = await bystander.snapshot()

    paying = await start_paying(market)
    await paying.hears(DECLINED)
    assert isinstance(await propose(paying), Executed)
    assert isinstance(await reject_settlement(market.store, ref_of(paying), "no", by=WANG, now=LATER), Executed)
    assert isinstance(await propose(paying), Executed)
    assert isinstance(await confirm(paying), Executed)

    assert await bystander.snapshot() == before
    states = {task.order_id: task.state for task in await failures(market)}
    assert states == {"o-1": TaskState.RESOLVED, f"o-{other}": TaskState.OPEN}
