"""What is unknown does not approve (I5), and contradictory data is unknown: the facts of a decision, online."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.request_refund import RefundRequest, check_eligibility
from jitui.aftersales.commands.review import approve, expire
from jitui.aftersales.commands.ship import complete_order
from jitui.aftersales.governance.registry import Category, Coverage, Pause, Scope
from jitui.aftersales.model.order import Buyer, OrderLine, ShipmentStatus, Tender
from jitui.aftersales.model.ticket import Actor, ActorKind, ApprovedBy, Ticket, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import HistoryRecord, NewOrder, OrderRef, TicketRef
from jitui.ids import lane_of
from jitui.policy import Policy
from tests.aftersales.market import DEFAULT_POLICY, NOW, Market, on_both_stores

FIVE_MINUTES = timedelta(minutes=5)
TOO_FAR = FIVE_MINUTES + timedelta(microseconds=1)
LINE = OrderLine("l1", "sku", "item", 1, 100, "apparel", customised=False, virtual=False)


def policy(when: str, *, currency: str = "CNY", features: str = "", caps: str = "") -> Policy:
    """A policy with this one condition: nothing else stands in the way."""
    return Policy.from_text(
        f"""
policy: one-condition
version: "1"
effective_from: 2025-01-26T00:00:00+08:00
currency: {currency}
title: {{zh: 题, en: Title}}
{features}
conditions:
  - {{id: it, when: "{when}", public: true, text: {{zh: 甲, en: A}}}}
{caps}
review: {{deadline: 48h, on_timeout: approve}}
notice: {{zh: 知, en: N}}
"""
    )


async def paid(
    market: Market,
    order_id: str,
    *lines: OrderLine,
    buyer_id: str = "b",
    currency: str = "CNY",
    placed_at: datetime = NOW - timedelta(hours=1),
    captured_at: datetime = NOW,
    freight_minor: int = 0,
) -> OrderRef:
    bought = lines or (LINE,)
    new = NewOrder(order_id, buyer_id, "shop-1", currency, placed_at, bought, (), freight_minor)
    taken = await put_order(market.store, new, now=NOW)
    assert not isinstance(taken, Refusal), taken
    amount = sum(line.paid_minor for line in bought) + freight_minor
    tender = Tender("t", "simulator", f"pay-{order_id}", currency, amount, captured_at)
    assert isinstance(
        await capture_payment(market.store, taken.ref, tender, market.decision_settings, now=NOW), Executed
    )
    return taken.ref


async def facts_of(market: Market, ticket: Ticket) -> dict[str, Any]:
    stored = await market.queries.decision(TicketRef(ticket.lane, ticket.ticket_id))
    assert stored is not None
    return dict(stored.facts)


def is_instant(ticket: Ticket) -> bool:
    return ticket.approved_by is ApprovedBy.INSTANT_REFUND


# Amounts and their currency --------------------------------------------------------------------------------------

SUM = "features: {buyer.spent_90d: {sum: order_paid, over: 90d}, shop.sold_30d: {sum: order_paid, over: 30d}}"


@pytest.mark.parametrize("currency", ["JPY", "USD", "KWD"])
@pytest.mark.parametrize(
    "when",
    [
        "request.amount_minor < 30000",
        "order.paid_minor < 30000",
        "order.freight_minor < 30000",
        "order.lines.all(l, l.paid_minor < 30000)",
        "caps.buyer_used_minor < 30000",
        "caps.buyer_ok",
        "buyer.spent_90d >= 0",
        "shop.sold_30d >= 0",
    ],
)
@on_both_stores
async def test_no_amount_of_an_order_in_another_currency_approves(market: Market, when: str, currency: str) -> None:
    caps = "caps: {per_buyer: {amount_minor: 30000, over: 30d}}"
    market = market.deciding_by(policy(when, features=SUM, caps=caps))
    await market.registry.put_buyer(Buyer(lane_of("b"), "b"), NOW)
    await paid(market, "ours", freight_minor=5)
    await paid(market, "theirs", currency=currency, freight_minor=5)
    assert is_instant(await market.asked("b", "ours"))
    ticket = await market.asked("b", "theirs", now=NOW + timedelta(minutes=2))
    assert not is_instant(ticket)
    known = await facts_of(market, ticket)
    assert [name for name in known if name.endswith("_minor") or name in ("buyer.spent_90d", "shop.sold_30d")] == []
    assert all(line["paid_minor"] is None for line in known["order.lines"])
    assert (known["order.currency"], known.get("caps.buyer_used_count", 1)) == (
        currency,
        1,
    )


@on_both_stores
async def test_an_approval_in_another_currency_counts_in_a_cap_and_its_money_does_not(market: Market) -> None:
    caps = "caps: {" + ", ".join(f"{scope}: {{amount_minor: 500, over: 1h}}" for scope in SCOPES) + "}"
    yen, yuan = policy("order.lines.all(l, l.quantity == 1)", currency="JPY"), policy("caps.buyer_ok", caps=caps)
    for index in range(3):
        await paid(market, f"yen-{index}", replace(LINE, paid_minor=90_000), currency="JPY")
        await paid(market, f"yuan-{index}", replace(LINE, paid_minor=200))
    for index in range(3):
        assert is_instant(await market.deciding_by(yen).asked("b", f"yen-{index}"))
    await market.feed.roll_up(NOW)
    used = []
    for index in range(3):
        ticket = await market.deciding_by(yuan).asked("b", f"yuan-{index}")
        known = await facts_of(market, ticket)
        used.append([(known[f"caps.{one}_used_count"], known[f"caps.{one}_used_minor"]) for one in ("buyer", "shop")])
        assert known["caps.platform_used_minor"] == known["caps.shop_used_minor"]
        assert is_instant(ticket) == (index < 2)
        await market.feed.roll_up(NOW)
    assert used == [[(3, 0)] * 2, [(4, 200)] * 2, [(5, 400)] * 2]


SCOPES = ("per_buyer", "per_shop", "platform")


@pytest.mark.parametrize(
    ("currencies", "spent"),
    [(("CNY", "CNY"), 200), (("CNY", "JPY"), 100), (("JPY",), 0), (("CNY", None), None), ((None,), None)],
)
@on_both_stores
async def test_a_sum_adds_the_policys_currency_and_is_unknown_where_an_amount_has_none(
    market: Market, currencies: tuple[str | None, ...], spent: int | None
) -> None:
    market = market.deciding_by(policy("buyer.cost_90d >= 0", features=COST))
    await market.registry.record_history([HistoryRecord("refund_after_shipment", NOW - timedelta(days=999))])
    await market.registry.record_buyer_events([event(f"e{n}", currency=word) for n, word in enumerate(currencies)])
    await paid(market, "o")
    known = await facts_of(market, await market.asked("b", "o"))
    assert known.get("buyer.cost_90d") == spent


COST = "features: {buyer.cost_90d: {sum: refund_after_shipment, over: 90d}}"


def event(
    event_id: str,
    *,
    kind: str = "refund_after_shipment",
    at: datetime = NOW - timedelta(days=5),
    order_id: str | None = None,
    currency: str | None = None,
    retracts: str | None = None,
    amount_minor: int = 100,
) -> RecordBuyerEvent:
    return RecordBuyerEvent("b", event_id, kind, at, NOW, order_id, amount_minor, retracts, currency)


@on_both_stores
async def test_an_amount_without_currency_is_in_that_of_the_order_it_names(market: Market) -> None:
    market = market.deciding_by(policy("buyer.cost_90d >= 0", features=COST))
    await market.registry.record_history([HistoryRecord("refund_after_shipment", NOW - timedelta(days=999))])
    await paid(market, "yen", currency="JPY")
    await paid(market, "yuan")
    known = [event("1", order_id="yen", amount_minor=7), event("2", order_id="yuan", amount_minor=30)]
    await market.registry.record_buyer_events([*known, event("3", order_id="elsewhere", amount_minor=0)])
    assert (await facts_of(market, await market.asked("b", "yuan")))["buyer.cost_90d"] == 30
    await market.registry.record_buyer_events([event("4", order_id="elsewhere")])
    await paid(market, "o")
    assert "buyer.cost_90d" not in await facts_of(market, await market.asked("b", "o"))
    await market.registry.record_buyer_events([event("5", retracts="4")])
    await paid(market, "o2")
    assert (await facts_of(market, await market.asked("b", "o2")))["buyer.cost_90d"] == 30


# Completed orders ------------------------------------------------------------------------------------------------


async def completed(market: Market, ref: OrderRef, how: str, at: datetime = NOW) -> None:
    if how == "call":
        assert isinstance(await complete_order(market.store, ref, now=NOW, completed_at=at), Executed)
    else:
        told = event("done", kind="order_completed", at=at, order_id=ref.order_id)
        await market.registry.record_buyer_events([told])


@pytest.mark.parametrize("at", [NOW, NOW - timedelta(days=3), NOW + timedelta(days=60_000)])
@pytest.mark.parametrize("how", ["call", "event"])
@on_both_stores
async def test_a_completed_order_has_gone_whatever_was_told_of_its_shipments(
    market: Market, how: str, at: datetime
) -> None:
    market = market.deciding_by(policy("order.shipment == 'unshipped'"))
    ref = await paid(market, "o", LINE, replace(LINE, line_id="l2"))
    await completed(market, ref, how, at)
    for lines in ((), (("l1", 1),)):
        refused = await market.ask("b", "o", lines=lines)
        assert isinstance(refused, Refusal) and refused.code is RefusalCode.ORDER_ALREADY_SHIPPED
    checked = await check_eligibility(market.store, market.decision_settings, RefundRequest("b", "o"), now=NOW)
    assert isinstance(checked, Refusal) and checked.code is RefusalCode.ORDER_ALREADY_SHIPPED


@on_both_stores
async def test_a_label_or_part_of_the_goods_do_not_make_a_completed_order_less_gone(market: Market) -> None:
    for index, status in enumerate((ShipmentStatus.LABEL_PRINTED, ShipmentStatus.PICKED_UP, ShipmentStatus.SHIPPED)):
        ref = await paid(market, f"o{index}", LINE, replace(LINE, line_id="l2"))
        await market.ship(ref, status=status, lines=[("l1", 1)], tracking_no=f"SF{index}")
        await completed(market, ref, "call")
        refused = await market.ask("b", f"o{index}")
        assert isinstance(refused, Refusal) and refused.code is RefusalCode.ORDER_ALREADY_SHIPPED


@on_both_stores
async def test_a_completion_that_was_taken_back_or_is_of_another_order_leaves_the_goods_here(market: Market) -> None:
    market = market.deciding_by(policy("order.shipment == 'unshipped'"))
    await paid(market, "o")
    other = await paid(market, "other")
    await completed(market, other, "event")
    assert is_instant(await market.asked("b", "o"))
    await market.registry.record_buyer_events([event("back", kind="order_completed", retracts="done")])
    assert is_instant(await market.asked("b", "other"))


@on_both_stores
@pytest.mark.parametrize("how", ["call", "event"])
async def test_a_request_in_review_is_not_approved_once_its_order_is_completed(market: Market, how: str) -> None:
    market = market.deciding_by(policy("order.paid_minor < 1"))
    ref = await paid(market, "o")
    ticket = await market.asked("b", "o")
    await completed(market, ref, how)
    at = TicketRef(ticket.lane, ticket.ticket_id)
    by = Actor(ActorKind.MERCHANT, "m")
    refused = await approve(market.store, at, Acting(by, NOW))
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.ORDER_ALREADY_SHIPPED
    late = await expire(market.store, at, now=NOW + timedelta(hours=49))
    assert isinstance(late, Executed) and late.snapshot.ticket(ticket.ticket_id).state is TicketState.CLOSED


async def test_a_completion_by_call_stands_whatever_becomes_of_its_event(market: Market) -> None:
    """The history counts it no more; that the goods are back is another matter, and nobody has said so."""
    market = market.deciding_by(policy("order.shipment == 'unshipped'"))
    ref = await paid(market, "o")
    await completed(market, ref, "call")
    await market.registry.record_buyer_events([event("back", retracts="completed:o")])
    refused = await market.ask("b", "o")
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.ORDER_ALREADY_SHIPPED


@pytest.mark.parametrize("how", ["call", "event"])
async def test_an_order_is_not_replaced_once_it_is_completed(market: Market, how: str) -> None:
    ref = await paid(market, "o")
    await completed(market, ref, how)
    cheaper = NewOrder("o", "b", "shop-1", "CNY", NOW - timedelta(hours=1), (replace(LINE, paid_minor=1),))
    refused = await put_order(market.store, cheaper, now=NOW)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.ORDER_NOT_REPLACEABLE
    assert "cannot change after the completion" in refused.message


# Regions and categories that are not known -------------------------------------------------------------------------


async def pause(market: Market, scope: Scope, ref: str) -> None:
    await market.registry.set_pause(Pause(scope, ref, "", "t", NOW))


@pytest.mark.parametrize(
    ("region", "category", "paused", "wanted"),
    [
        (None, "apparel", (Scope.REGION, "north"), None),
        ("", "apparel", (Scope.REGION, "north"), None),
        ("south", "apparel", (Scope.REGION, "north"), False),
        ("north", "apparel", (Scope.REGION, "north"), True),
        ("south", None, (Scope.CATEGORY, "mugs"), None),
        ("south", "apparel", (Scope.CATEGORY, "mugs"), False),
        (None, None, (Scope.ITEM, "elsewhere"), False),
        (None, None, (Scope.SHOP, "elsewhere"), False),
        (None, None, (Scope.SHOP, "shop-1"), True),
    ],
)
@on_both_stores
async def test_a_place_not_known_may_be_the_one_that_is_paused(
    market: Market, region: str | None, category: str | None, paused: tuple[Scope, str], wanted: bool | None
) -> None:
    for number, one in enumerate((policy("!service.paused"), policy("order.paid_minor > 0"))):
        market = market.deciding_by(one)
        await market.registry.put_buyer(Buyer(lane_of("b"), "b", None, region), NOW)
        await paid(market, f"o{number}", LINE, replace(LINE, line_id="l2", category_id=category))
        await pause(market, *paused)
        ticket = await market.asked("b", f"o{number}")
        assert (await facts_of(market, ticket)).get("service.paused") is wanted
        # The guard holds under a policy that asks nothing about pauses too.
        assert is_instant(ticket) == (wanted is False)
        reasons = {None: "pause_unknown", True: "service_paused", False: None}
        assert ticket.review_reason == reasons[wanted]


@pytest.mark.parametrize(
    ("paused", "wanted"),
    [
        ((Scope.REGION, "cn-65"), None),
        ((Scope.REGION, "\uff23\uff2e-65"), None),
        ((Scope.REGION, "CN-65"), True),
        ((Scope.REGION, "CN-66"), False),
        ((Scope.CATEGORY, "APPAREL"), None),
        ((Scope.ITEM, "Item"), None),
        ((Scope.SHOP, "SHOP-1"), None),
    ],
)
@on_both_stores
async def test_a_paused_place_of_another_spelling_may_be_the_orders(
    market: Market, paused: tuple[Scope, str], wanted: bool | None
) -> None:
    for number, one in enumerate((policy("!service.paused"), policy("order.paid_minor > 0"))):
        market = market.deciding_by(one)
        await market.registry.put_buyer(Buyer(lane_of("b"), "b", None, "CN-65"), NOW)
        await paid(market, f"o{number}")
        await pause(market, *paused)
        ticket = await market.asked("b", f"o{number}")
        assert (await facts_of(market, ticket)).get("service.paused") is wanted
        assert is_instant(ticket) == (wanted is False)


@pytest.mark.parametrize(
    ("uncovered", "covered", "wanted"),
    [
        ([(Scope.CATEGORY, "Apparel")], [], None),
        ([(Scope.ITEM, "ITEM")], [], None),
        ([(Scope.CATEGORY, "Apparel")], [(Scope.CATEGORY, "apparel")], True),
        ([(Scope.CATEGORY, "Apparel")], [(Scope.ITEM, "item")], True),
        ([(Scope.ITEM, "ITEM")], [(Scope.CATEGORY, "apparel")], None),
        ([(Scope.CATEGORY, "apparel")], [(Scope.ITEM, "ITEM")], False),
        ([(Scope.CATEGORY, "apparels")], [], True),
    ],
)
@on_both_stores
async def test_a_place_not_covered_of_another_spelling_may_be_the_lines(
    market: Market, uncovered: list[tuple[Scope, str]], covered: list[tuple[Scope, str]], wanted: bool | None
) -> None:
    market = market.deciding_by(policy("order.lines.all(l, l.covered)"))
    await paid(market, "o")
    for places, stands in ((uncovered, False), (covered, True)):
        for scope, ref in places:
            await market.registry.set_coverage(Coverage(scope, ref, stands, "", "t", NOW))
    ticket = await market.asked("b", "o")
    assert (await facts_of(market, ticket))["order.lines"][0].get("covered") is wanted
    assert is_instant(ticket) == (wanted is True)


@on_both_stores
async def test_a_shop_not_covered_of_another_spelling_may_be_the_orders(market: Market) -> None:
    market = market.deciding_by(policy("shop.covered"))
    await paid(market, "o")
    await market.registry.set_coverage(Coverage(Scope.SHOP, "SHOP-1", False, "", "t", NOW))
    ticket = await market.asked("b", "o")
    assert "shop.covered" not in await facts_of(market, ticket)
    assert not is_instant(ticket)


@on_both_stores
async def test_a_pause_that_is_lifted_stops_nothing_any_more(market: Market) -> None:
    market = market.deciding_by(policy("!service.paused"))
    await market.registry.put_buyer(Buyer(lane_of("b"), "b", None, "north"), NOW)
    for number, scope in enumerate(Scope):
        ref = {Scope.PLATFORM: "", Scope.SHOP: "shop-1", Scope.CATEGORY: "apparel", Scope.ITEM: "item"}.get(
            scope, "north"
        )
        await paid(market, f"o{number}")
        await paid(market, f"p{number}")
        await pause(market, scope, ref)
        assert not is_instant(await market.asked("b", f"o{number}")), scope
        assert await market.registry.lift_pause(scope, ref, by="t", now=NOW)
        assert is_instant(await market.asked("b", f"p{number}")), scope


@pytest.mark.parametrize(
    ("category", "rows", "wanted"),
    [
        (None, [(Scope.CATEGORY, "mugs", False)], None),
        (None, [(Scope.CATEGORY, "mugs", True)], True),
        (None, [(Scope.ITEM, "elsewhere", False)], True),
        (None, [(Scope.CATEGORY, "mugs", False), (Scope.ITEM, "item", True)], True),
        (None, [(Scope.ITEM, "item", False)], False),
        ("apparel", [(Scope.CATEGORY, "mugs", False)], True),
        ("mugs", [(Scope.CATEGORY, "mugs", False)], False),
        ("mugs", [(Scope.CATEGORY, "mugs", False), (Scope.ITEM, "item", True)], True),
    ],
)
@on_both_stores
async def test_a_category_not_known_may_be_the_one_that_is_not_covered(
    market: Market, category: str | None, rows: list[tuple[Scope, str, bool]], wanted: bool | None
) -> None:
    market = market.deciding_by(policy("shop.covered && order.lines.all(l, l.covered)"))
    for scope, ref, covered in rows:
        await market.registry.set_coverage(Coverage(scope, ref, covered, "", "t", NOW))
    await paid(market, "o", replace(LINE, category_id=category))
    ticket = await market.asked("b", "o")
    assert [line["covered"] for line in (await facts_of(market, ticket))["order.lines"]] == [wanted]
    assert is_instant(ticket) == (wanted is True)


@on_both_stores
async def test_goods_that_left_in_part_stop_an_approval_under_a_policy_that_does_not_ask(market: Market) -> None:
    market = market.deciding_by(policy("order.paid_minor > 0"))
    ref = await paid(market, "o", LINE, replace(LINE, line_id="l2"))
    await market.ship(ref, lines=[("l1", 1)])
    ticket = await market.asked("b", "o")
    assert (is_instant(ticket), ticket.review_reason) == (False, "partly_shipped")


# Times to come -----------------------------------------------------------------------------------------------------

AGES = {
    "buyer.account_age_days": "account",
    "order.age_seconds": "placed",
    "order.paid_age_seconds": "captured",
}


@pytest.mark.parametrize("name", AGES)
@pytest.mark.parametrize(
    ("ahead", "wanted"),
    [(timedelta(0), 0), (FIVE_MINUTES, 0), (TOO_FAR, None), (timedelta(days=63_000), None), (timedelta(days=-2), 2)],
)
@on_both_stores
async def test_an_age_is_unknown_once_its_beginning_is_more_than_five_minutes_ahead(
    market: Market, name: str, ahead: timedelta, wanted: int | None
) -> None:
    market = market.deciding_by(policy(f"{name} <= 0"))
    at = {part: NOW + ahead if part == AGES[name] else NOW for part in AGES.values()}
    await market.registry.put_buyer(Buyer(lane_of("b"), "b", at["account"]), NOW)
    await paid(market, "o", placed_at=at["placed"], captured_at=at["captured"])
    ticket = await market.asked("b", "o")
    unit = 1 if name.endswith("days") else 86_400
    assert (await facts_of(market, ticket)).get(name) == (None if wanted is None else wanted * unit)
    assert is_instant(ticket) == (wanted == 0)


@pytest.mark.parametrize(("ahead", "known"), [(FIVE_MINUTES, True), (TOO_FAR, False), (timedelta(days=63_000), False)])
@on_both_stores
async def test_an_account_from_the_future_does_not_make_an_unknown_window_a_known_zero(
    market: Market, ahead: timedelta, known: bool
) -> None:
    market = market.deciding_by(policy("buyer.lost_365d == 0", features=LOST))
    await market.registry.record_history([HistoryRecord("dispute_lost", NOW - timedelta(days=30))])
    await market.registry.put_buyer(Buyer(lane_of("b"), "b", NOW + ahead), NOW)
    await paid(market, "o")
    assert is_instant(await market.asked("b", "o")) is known


LOST = "features: {buyer.lost_365d: {count: dispute_lost, over: 365d}}"


@pytest.mark.parametrize(
    ("ahead", "lost"), [(FIVE_MINUTES, 1), (TOO_FAR, None), (timedelta(hours=30), None), (timedelta(days=63_000), None)]
)
@on_both_stores
async def test_an_event_further_ahead_than_five_minutes_makes_its_kind_unknown_until_it_is_taken_back(
    market: Market, ahead: timedelta, lost: int | None
) -> None:
    market = market.deciding_by(policy("buyer.lost_365d == 0", features=LOST))
    await paid(market, "o")
    await paid(market, "p")
    await market.registry.record_buyer_events([event("ahead", kind="dispute_lost", at=NOW + ahead)])
    ticket = await market.asked("b", "o")
    assert ((await facts_of(market, ticket)).get("buyer.lost_365d"), is_instant(ticket)) == (lost, False)
    await market.registry.record_buyer_events([event("back", kind="dispute_lost", retracts="ahead")])
    assert is_instant(await market.asked("b", "p"))


# Customised and virtual --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line_says", [True, False, None])
@pytest.mark.parametrize("category_says", [True, False, None])
@on_both_stores
async def test_who_says_customised_wins_whenever_it_is_said(
    market: Market, line_says: bool | None, category_says: bool | None
) -> None:
    """By the category table as it stands when it is asked, not as it stood when the order came."""
    market = market.deciding_by(policy("order.lines.all(l, !l.customised && !l.virtual)"))
    if category_says is not None:
        before = Category("mugs", customised=not category_says, virtual=not category_says)
        await market.registry.put_category(before, NOW)
    await paid(market, "o", replace(LINE, category_id="mugs", customised=line_says, virtual=line_says))
    if category_says is not None:
        now_says = Category("mugs", customised=category_says, virtual=category_says)
        await market.registry.put_category(now_says, NOW)
    ticket = await market.asked("b", "o")
    said = {line_says, category_says} - {None}
    wanted = True if True in said else False if said else None
    [line] = (await facts_of(market, ticket))["order.lines"]
    assert (line["customised"], line["virtual"]) == (wanted, wanted)
    assert is_instant(ticket) == (wanted is False)


@on_both_stores
async def test_the_whole_order_is_every_unit_of_every_line_not_what_is_left_of_it(market: Market) -> None:
    market = market.deciding_by(policy("request.whole_order"))
    lines = (replace(LINE, quantity=2), replace(LINE, line_id="l2"))
    await paid(market, "whole", *lines)
    await paid(market, "part", *lines)
    assert is_instant(await market.asked("b", "whole"))
    assert not is_instant(await market.asked("b", "part", lines=[("l1", 1)]))
    market = market.deciding_by(policy("order.paid_minor > 0"))
    await paid(market, "rest", *lines)
    assert is_instant(await market.asked("b", "rest", lines=[("l1", 2)]))
    market = market.deciding_by(policy("request.whole_order"))
    assert not is_instant(await market.asked("b", "rest", now=NOW + timedelta(minutes=2))), "what is left is not all"


def test_the_default_policy_reads_these_facts() -> None:
    assert DEFAULT_POLICY.facts["order.freight_minor"].is_money
    assert not DEFAULT_POLICY.facts["caps.buyer_used_count"].is_money
