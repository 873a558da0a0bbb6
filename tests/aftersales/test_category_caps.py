"""The cap on a category: each category of a request's lines with its own amount, and unknown where one is not known."""

from __future__ import annotations

import pytest

from jitui.aftersales.commands.facts import decision_query
from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.model.order import OrderLine, Tender
from jitui.aftersales.model.ticket import ApprovedBy, Ticket
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import NewOrder, OrderRef
from jitui.ids import lane_of
from jitui.policy import Policy, PolicyRefused
from tests.aftersales.market import DEFAULT_POLICY, NOW, Market, on_both_stores

CAP = "per_category: {count: 3, amount_minor: 20000, over: 24h}"


def capped(cap: str = CAP) -> Policy:
    text = DEFAULT_POLICY.text.replace("caps.shop_ok &&", "caps.shop_ok && caps.category_ok &&", 1)
    text = text.replace('version: "2"', 'version: "capped"', 1)
    return Policy.from_text(text.replace("\ncaps:\n", f"\ncaps:\n  {cap}\n", 1))


async def asked(market: Market, name: str, *lines: tuple[str | None, int]) -> Ticket:
    """What becomes of a request for a whole order of lines with these categories and amounts; usage is then counted."""
    buyer_id = await market.premium_buyer(f"b-{name}")
    made = tuple(
        OrderLine(f"l{n}", f"sku-{n}", f"item-{n}", 1, amount, category, customised=False, virtual=False)
        for n, (category, amount) in enumerate(lines, start=1)
    )
    new = NewOrder(f"o-{name}", buyer_id, "shop-1", "CNY", NOW, made, (), 0)
    taken = await put_order(market.store, new, now=NOW)
    assert not isinstance(taken, Refusal)
    tender = Tender("t1", "simulator", f"pay-{name}", "CNY", sum(amount for _, amount in lines), NOW)
    paid = await capture_payment(market.store, taken.ref, tender, market.decision_settings, now=NOW)
    assert not isinstance(paid, Refusal)
    ticket = await market.asked(buyer_id, f"o-{name}")
    await market.feed.roll_up(NOW)
    return ticket


def instant(ticket: Ticket) -> bool:
    return ticket.approved_by is ApprovedBy.INSTANT_REFUND


@on_both_stores
async def test_each_category_counts_the_amount_of_its_own_lines(market: Market) -> None:
    market = market.deciding_by(capped())
    assert instant(await asked(market, "1", ("apparel", 12_000), ("toys", 8_000)))
    assert not instant(await asked(market, "2", ("apparel", 8_001))), "apparel has 80.00 left"
    assert instant(await asked(market, "3", ("apparel", 8_000))), "to the last fen"
    assert instant(await asked(market, "4", ("toys", 12_000))), "toys had used its own lines' 80.00 alone"
    assert not instant(await asked(market, "5", ("books", 100), ("toys", 1))), "one full category is enough"


@on_both_stores
async def test_a_request_counts_once_in_each_of_its_categories(market: Market) -> None:
    market = market.deciding_by(capped("per_category: {count: 2, over: 24h}"))
    assert instant(await asked(market, "1", ("apparel", 100), ("apparel", 100), ("toys", 100)))
    assert instant(await asked(market, "2", ("apparel", 100)))
    assert not instant(await asked(market, "3", ("apparel", 100)))
    assert instant(await asked(market, "4", ("toys", 100)))


@on_both_stores
async def test_a_line_without_a_category_makes_the_cap_unknown(market: Market) -> None:
    market = market.deciding_by(capped())
    assert not instant(await asked(market, "1", ("apparel", 100), (None, 100)))
    assert instant(await asked(market.deciding_by(DEFAULT_POLICY), "2", ("apparel", 100), (None, 100)))
    query = decision_query(capped(), NOW, market.decision_settings.time_zone)
    read = await market.store.read_inputs(OrderRef(lane_of("b-2"), "o-2"), query)
    assert read is not None
    assert read[1].category_usage["apparel"].approvals == 1, "what has a category is counted"


async def test_stale_usage_of_a_category_is_unknown(market: Market) -> None:
    market = market.deciding_by(capped())
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE roll_up SET as_of = as_of - interval '11 seconds' WHERE name = 'usage'")
    assert not instant(await asked(market, "1", ("apparel", 100)))


async def test_approvals_of_a_release_that_told_no_categories_are_counted_by_their_lines(market: Market) -> None:
    market = market.deciding_by(DEFAULT_POLICY)
    buyer = await market.premium_buyer("b-old")
    await market.paid_order(buyer, "o-old", amounts=(700, 300))
    await market.asked(buyer, "o-old")
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE change SET body = body - 'categories' WHERE kind = 'ticket.approved'")
    await market.feed.roll_up(NOW)
    async with market.pool.connection() as connection:
        found = await connection.execute(
            "SELECT DISTINCT ref, approvals, amount_minor FROM usage_bucket WHERE scope = 'category'"
        )
        assert await found.fetchall() == [("apparel", 1, 1000)]


def test_a_cap_that_no_condition_reads_is_advised_about() -> None:
    said = Policy.from_text(DEFAULT_POLICY.text.replace("\ncaps:\n", f"\ncaps:\n  {CAP}\n", 1)).advice
    assert "no condition reads caps.category_ok: the cap limits nothing" in [one.message for one in said]


@pytest.mark.parametrize("shares", ["[0]", "[101]", "80", "[x]"])
def test_shares_of_alerts_are_percents(shares: str) -> None:
    with pytest.raises(PolicyRefused):
        capped(f"alerts_at_percent: {shares}")


def test_a_policy_of_the_present_release_keeps_its_shares() -> None:
    assert DEFAULT_POLICY.caps.alerts_at_percent == (80, 100)
    assert capped("alerts_at_percent: []").caps.alerts_at_percent == ()
    assert capped("alerts_at_percent: [100, 50, 50]").caps.alerts_at_percent == (50, 100)
