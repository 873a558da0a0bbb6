"""The goods, payments and amounts of refunds sum up exactly.

- T31 nammayatri PR 15374: rules existed, none matched, and the request was approved.
- T32 magento2 #22006, #36783: what could be shipped counted refunded units, and one refunded line blocked the others.
- T42 gumroad PR 3749, woocommerce-payments #5215: amounts were a hundred times too large in currencies without parts.
- T43 laravel-sisp #282, magento2 #38556, #41277: thirds did not sum to the whole, and a remainder was -0.01.
- T44 adyen-magento #651, woocommerce-android #9484: a part named no payment, and more cash came back than was paid.
- T45 vendure #4013: a refund with nothing due was made, of nothing.
"""

from __future__ import annotations

import pytest

from jitui.adapters.payments.stripe.amounts import from_stripe_amount, to_stripe_amount
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve
from jitui.aftersales.model.order import Tender
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.outcomes import RefusalCode
from jitui.money import from_decimal_text, split_by_weight, to_decimal_text
from tests.aftersales.market import NOW, Market
from tests.known_bugs.steps import MERCHANT, claim, heard, later, refused, snapshot_of, where


async def paid_back(market: Market, buyer: str, units: int, number: int) -> int:
    """So many units of l1, asked for, approved (at once, or by the shop) and paid; how much came back."""
    now = await later(market, number)
    ticket = await market.asked(buyer, "o-1", lines=[("l1", units)], now=now)
    if ticket.state is TicketState.AWAITING_MERCHANT:
        await approve(market.store, where(ticket), Acting(MERCHANT, now))
    for claimed in await claim(market, now):
        await heard(market, claimed)
    return ticket.amount_minor


async def test_t31_rules_of_which_none_matches_approve_nothing(market: Market) -> None:
    """Of this buyer the rule's conditions hold for nothing: no history, not selected, nothing known."""
    ref = await market.paid_order("b-unknown", "o-1")
    ticket = await market.asked("b-unknown", "o-1")
    snapshot = await snapshot_of(market, ref)
    assert (ticket.state, ticket.approved_by, snapshot.refunds) == (TicketState.AWAITING_MERCHANT, None, ())


async def test_t32_what_can_be_shipped_is_ordered_less_refunded_less_shipped_line_by_line(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(3000, 2000, 1000), quantities=(3, 2, 1))
    await market.asked(buyer, "o-1", lines=[("l1", 1), ("l3", 1)])
    assert isinstance(await market.ship(ref, lines=[("l1", 1), ("l2", 1)]), Executed)
    free = {line.line_id: line.free_quantity for line in (await snapshot_of(market, ref)).lines}
    assert free == {"l1": 1, "l2": 1, "l3": 0}
    too_many = await market.ship(ref, tracking_no="SF2", lines=[("l1", 2)])
    assert refused(too_many) in (RefusalCode.UNITS_REFUNDED, RefusalCode.REFUND_IN_PROGRESS)
    rest = await market.ship(ref, tracking_no="SF3", lines=[("l1", 1), ("l2", 1)])
    assert isinstance(rest, Executed), "the refunded line holds up no other"


@pytest.mark.parametrize(
    ("code", "text", "minor", "at_stripe"),
    [("JPY", "500", 500, 500), ("RSD", "12.50", 1250, 1250), ("KWD", "5.120", 5120, 5120), ("ISK", "5", 5, 500)],
)
def test_t42_exponents_are_the_currencys_in_both_directions(code: str, text: str, minor: int, at_stripe: int) -> None:
    assert (from_decimal_text(text, code), to_decimal_text(minor, code)) == (minor, text)
    assert (to_stripe_amount(minor, code), from_stripe_amount(at_stripe, code)) == (at_stripe, minor)


async def test_t42_an_amount_in_another_currency_is_no_payment_of_the_order(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(10000,), tenders=(6000,))
    yen = Tender("t2", "simulator", "p", "JPY", 4000, NOW)
    done = await capture_payment(market.store, ref, yen, market.decision_settings, now=NOW)
    assert refused(done) is RefusalCode.CURRENCY_MISMATCH


async def test_t43_thirds_sum_to_the_whole_and_no_remainder_is_less_than_nothing(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000,), quantities=(3,))
    parts = [await paid_back(market, buyer, 1, number) for number in range(3)]
    assert parts == [3333, 3333, 3334]
    assert [tender.remaining_minor for tender in (await snapshot_of(market, ref)).tenders] == [0]


@pytest.mark.parametrize("amount_minor", [0, 1, 2, 100, 101, 10_000])
def test_t43_every_split_over_three_sums_to_its_amount(amount_minor: int) -> None:
    for weights in ([1, 1, 1], [1, 0, 2], [3333, 3333, 3334]):
        parts = split_by_weight(amount_minor, weights)
        assert sum(parts) == amount_minor and min(parts) >= 0


async def test_t44_each_part_names_its_payment_and_none_gives_more_than_it_took(market: Market) -> None:
    """Card 90, cash 10: whatever goes back in whatever steps, no more than 10 comes out of the till."""
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000,), quantities=(4,), tenders=(9000, 1000))
    for number, units in enumerate((1, 2, 1)):
        await paid_back(market, buyer, units, number)
        snapshot = await snapshot_of(market, ref)
        named = {tender.tender_id: tender.payment_id for tender in snapshot.tenders}
        assert all(refund.payment_id == named[refund.tender_id] for refund in snapshot.refunds)
        assert all(tender.remaining_minor >= 0 for tender in snapshot.tenders)
    assert [tender.refunded_minor for tender in snapshot.tenders] == [9000, 1000]


async def test_t45_a_refund_with_nothing_due_is_refused(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000, 0))
    assert refused(await market.ask(buyer, "o-1", lines=[("l2", 1)])) is RefusalCode.NOTHING_TO_REFUND
    await market.asked(buyer, "o-1")
    for claimed in await claim(market):
        await heard(market, claimed)
    assert refused(await market.ask(buyer, "o-1", now=await later(market))) is RefusalCode.NOTHING_TO_REFUND
    assert len((await snapshot_of(market, ref)).refunds) == 1
