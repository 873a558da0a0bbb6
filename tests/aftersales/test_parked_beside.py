"""A report about a dispute finds the tenders of its own payment, and is stored and deleted as itself alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from jitui.adapters.postgres.parked_disputes import PostgresParkedDisputes
from jitui.aftersales.commands.dispute import FoundTender, record_dispute
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.model.order import Dispute, DisputeState, Tender
from jitui.aftersales.ports import OrderRef
from jitui.aftersales.provider import ToldDispute
from tests.aftersales.market import NOW, Market, beside

TOLD = ToldDispute("simulator", "dp-1", ("pay-2", "pay-1"), DisputeState.OPEN, 4000, "CNY", NOW)


async def paid(market: Market, buyer: str, order_id: str, *tenders: tuple[str, str]) -> OrderRef:
    """An order of one line, paid in equal parts by way of these providers, under these names."""
    ref = await market.paid_order(buyer, order_id, amounts=(6000 * len(tenders),), tenders=())
    for index, (provider, payment_id) in enumerate(tenders, start=1):
        tender = Tender(f"t{index}", provider, payment_id, "CNY", 6000, NOW)
        assert isinstance(await capture_payment(market.store, ref, tender, market.decision_settings, now=NOW), Executed)
    return ref


async def test_the_tenders_of_a_dispute_are_its_payments_each_with_what_is_known_of_this_dispute(
    market: Market,
) -> None:
    """Beside them: a payment of that name at another provider, another dispute, the same one on another order."""
    buyer = await market.premium_buyer("b-1")
    second = await paid(market, buyer, "o-2", ("simulator", "pay-2"))
    first = await paid(market, buyer, "o-1", ("stripe", "pay-1"), ("simulator", "pay-1"))
    await paid(market, await market.premium_buyer("b-2"), "o-3", ("simulator", "pay-3"))
    for ref, tender_id, dispute_id in ((first, "t2", "dp-0"), (second, "t1", "dp-1"), (second, "t1", "dp-2")):
        dispute = Dispute(dispute_id, tender_id, "", DisputeState.OPEN, 3000, "CNY", NOW)
        assert isinstance(await record_dispute(market.store, ref, dispute, now=NOW), Executed)
    assert await PostgresParkedDisputes(market.pool).find_tenders(TOLD) == [
        FoundTender(first, "t2", 6000, 6000, None),
        FoundTender(second, "t1", 6000, 6000, (DisputeState.OPEN, 3000)),
    ]


async def test_parked_reports_are_listed_when_their_own_payment_is_known_the_oldest_first(market: Market) -> None:
    waiting = PostgresParkedDisputes(market.pool)
    elsewhere = replace(TOLD, provider="stripe")
    newer, older, unknown = TOLD, replace(TOLD, dispute_id="dp-9"), replace(TOLD, payment_ids=("pay-9",))
    for minutes, told in ((2, newer), (1, older), (0, elsewhere), (0, replace(unknown, dispute_id="dp-3"))):
        await waiting.park(told, NOW + timedelta(minutes=minutes))
    await waiting.park(newer, NOW - timedelta(minutes=1))
    assert await waiting.parked(9) == []
    buyer = await market.premium_buyer("b-1")
    await paid(market, buyer, "o-1", ("simulator", "pay-1"))
    await paid(market, await market.premium_buyer(beside(buyer)), "o-2", ("simulator", "pay-2"))
    assert await waiting.parked(9) == [older, newer]
    assert await waiting.parked(1) == [older]


async def test_what_was_recorded_is_deleted_and_no_report_beside_it(market: Market) -> None:
    waiting = PostgresParkedDisputes(market.pool)
    buyer = await market.premium_buyer("b-1")
    await paid(market, buyer, "o-1", ("simulator", "pay-1"))
    await paid(market, buyer, "o-2", ("stripe", "pay-1"))
    reports = [
        replace(TOLD, provider=provider, dispute_id=dispute_id)
        for provider in ("simulator", "stripe")
        for dispute_id in ("dp-1", "dp-2")
    ]
    for told in reports:
        await waiting.park(told, NOW)
    await waiting.unpark(reports[0])
    assert {(one.provider, one.dispute_id) for one in await waiting.parked(9)} == {
        ("simulator", "dp-2"),
        ("stripe", "dp-1"),
        ("stripe", "dp-2"),
    }
