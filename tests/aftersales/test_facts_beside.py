"""What a shadow decides the short way is what it would decide alone, for any two policies and any facts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from jitui.aftersales.commands.facts import decision_query, facts_beside, gather_facts, inputs_beside
from jitui.aftersales.model.cluster import ClusterSeen
from jitui.aftersales.model.order import LineUnits
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.usage import Usage, UsageBeside
from jitui.aftersales.ports import DecisionInputs, HistoryRecord, WindowValue
from jitui.policy import Policy, decide, outcome_of, verdicts_beside
from jitui.policy.beside import shared_conditions
from tests.aftersales.market import DEFAULT_POLICY, HISTORY_KINDS, NOW, TIME_ZONE, memory_market
from tests.aftersales.test_stages import edited

ZONE = ZoneInfo(TIME_ZONE)
EDITS = (
    ("limit_minor: 30000", "limit_minor: 10000"),
    ("buyer.account_age_days >= 90", "buyer.account_age_days >= 500"),
    ("refunds_before_shipment_90d * 5 <=", "refunds_before_shipment_90d * 2 <="),
    ("buyer.paid_orders_90d: {count: order_paid, over: 90d}", "buyer.paid_orders_90d: {count: order_paid, over: 30d}"),
    ("shop.shipped_30d: {count: shipped, over: 30d}", "shop.shipped_30d: {sum: order_paid, over: 30d}"),
    ("hold_out_percent: 2", "hold_out_percent: 60"),
    ("per_buyer: {count: 3, amount_minor: 60000, over: 30d}", "per_buyer: {count: 1, over: 1h}"),
    ("caps.shop_ok && caps.platform_ok", "caps.shop_ok && caps.category_ok && caps.platform_ok"),
    ("  per_buyer: {count", "  per_category: {count: 2, amount_minor: 500000, over: 24h}\n  per_buyer: {count"),
    ("id: covered", "id: is_covered"),
    ("currency: CNY", "currency: CNY\nattributes: {buyer.level: int}"),
    ("caps.buyer_ok && caps.shop_ok", "caps.buyer_ok && caps.cluster_ok && caps.shop_ok"),
    ("  platform: {amount", "  per_cluster: {count: 2, over: 3h}\n  platform: {amount"),
)


@cache
def version(edits: frozenset[int]) -> Policy:
    return edited(*(EDITS[number] for number in sorted(edits)))


@cache
def snapshot() -> OrderSnapshot:
    async def made() -> OrderSnapshot:
        market = await memory_market()
        buyer = await market.premium_buyer("b-1")
        ref = await market.paid_order(buyer, "o-1", amounts=(6000, 6900))
        found = await market.store.read_order(ref)
        assert found is not None
        return found

    return asyncio.run(made())


USAGES = st.builds(Usage, st.integers(0, 4), st.integers(0, 10**7))
OF_CATEGORIES = st.dictionaries(st.sampled_from(["c1", "c2"]), USAGES)
AMOUNTS = {"l1": 6450, "l2": 6450}


@st.composite
def read(draw: st.DrawFn, policy: Policy, beside: Policy) -> DecisionInputs:
    """What the statement could have read for both."""
    query = decision_query(policy, NOW, ZONE, beside=beside)
    number = st.integers(0, 12)
    windows = tuple(
        WindowValue(window.name, draw(number), draw(st.none() | number), draw(st.none() | st.just(NOW.date())))
        for window in query.windows
        if draw(st.integers(0, 9))
    )
    known = draw(st.sets(st.sampled_from(HISTORY_KINDS), min_size=4))
    return DecisionInputs(
        windows=windows,
        history=tuple(HistoryRecord(kind, NOW - timedelta(days=3650)) for kind in known),
        restricted=draw(st.sampled_from([False, True, None])),
        selection=draw(st.sampled_from([None, "allow", "deny"])),
        buyer_usage=draw(st.none() | USAGES),
        shop_usage=draw(USAGES),
        platform_usage=draw(USAGES),
        category_usage=draw(OF_CATEGORIES),
        cluster_usage=draw(st.none() | USAGES),
        cluster=draw(st.sampled_from([None, ClusterSeen(), ClusterSeen(2, False, NOW - timedelta(hours=1))])),
        usage_as_of=draw(st.sampled_from([NOW, NOW - timedelta(hours=1)])),
        shop_days_as_of=NOW,
        usage_beside=None
        if query.beside is None
        else draw(st.builds(UsageBeside, st.none() | USAGES, USAGES, USAGES, OF_CATEGORIES, st.none() | USAGES)),
    )


@given(st.frozensets(st.integers(0, len(EDITS) - 1)), st.frozensets(st.integers(0, len(EDITS) - 1)), st.data())
def test_the_short_way_leads_to_the_same_decision(
    ours: frozenset[int], theirs: frozenset[int], data: st.DataObject
) -> None:
    policy, beside = version(ours), version(theirs)
    inputs = data.draw(read(policy, beside))
    buyer = replace(snapshot().buyer, attributes={"level": data.draw(st.integers(0, 2))})
    order = replace(snapshot(), buyer=buyer)
    asked, whole = (LineUnits("l1", 1), LineUnits("l2", 1)), {"now": NOW, "time_zone": ZONE}
    facts = gather_facts(policy, order, inputs, asked=asked, amount_minor=12900, line_amounts=AMOUNTS, **whole)  # type: ignore[arg-type]
    alone = gather_facts(
        beside,
        order,
        inputs_beside(policy, beside, inputs, NOW, ZONE),
        asked=asked,
        amount_minor=12900,
        line_amounts=AMOUNTS,
        **whole,  # type: ignore[arg-type]
    )
    found, changed = facts_beside(
        policy,
        facts,
        beside,
        order,
        inputs,
        now=NOW,
        time_zone=ZONE,
        amount_minor=12900,
        line_amounts=AMOUNTS,
        usage_max_age=timedelta(seconds=10),
    )
    assert found == alone
    assert changed == {name for name in facts.keys() | alone.keys() if facts.get(name) != alone.get(name)}
    verdicts = verdicts_beside(policy, decide(policy, facts), beside, found, changed)
    expected = decide(beside, alone)
    assert verdicts == {one.id: one.verdict for one in expected.conditions}
    assert outcome_of(verdicts) is expected.outcome


def test_a_condition_is_shared_only_while_everything_that_it_reads_says_the_same() -> None:
    every = {condition.id for condition in DEFAULT_POLICY.conditions}
    for number, missing in (
        (0, {"paid_under_300"}),
        (1, {"premium_buyer"}),
        (3, {"premium_buyer"}),
        (5, set()),
        (7, {"within_caps"}),
        (9, {"covered"}),
    ):
        assert shared_conditions(DEFAULT_POLICY, version(frozenset({number}))) == every - missing, EDITS[number]
