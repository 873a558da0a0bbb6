"""What a command reads of an order and beside it does not change by what stands beside: in the lane, shop or moment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.governance.registry import new_selection
from jitui.aftersales.model.order import Buyer, Tender
from jitui.aftersales.model.ticket import ApprovedBy
from jitui.aftersales.model.usage import Usage
from jitui.aftersales.outcomes import IdempotencyKey, StoredResponse
from jitui.aftersales.ports import (
    AttemptRef,
    DecisionInputs,
    DecisionQuery,
    IncidentRef,
    OrderRef,
    PaymentName,
    Ref,
    RefundRef,
    TicketRef,
)
from jitui.ids import lane_of, new_id
from tests.aftersales.incidents import an_incident
from tests.aftersales.market import NOW, Market, beside
from tests.race.locks import wait_for_a_lock

MOMENT = timedelta(microseconds=1)
A_DAY = timedelta(days=1)
MINE = "b-1"
NEIGHBOUR = beside(MINE)
LANE = lane_of(MINE)
ORDER = OrderRef(LANE, "o-1")
SINCE = NOW - A_DAY
QUERY = DecisionQuery(
    (), NOW, NOW, "CNY", SINCE, SINCE, 60, SINCE, 60, SINCE, 60, SINCE, 60, payment=PaymentName("simulator", "shared")
)


async def execute(market: Market, sql: str, **values: object) -> list[tuple[object, ...]]:
    async with market.pool.connection() as connection:
        cursor = await connection.execute(sql.encode(), {"lane": LANE, "mine": MINE, "other": NEIGHBOUR} | values)
        return list(await cursor.fetchall()) if cursor.description else []


async def put(market: Market, table: str, **values: object) -> None:
    columns = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    await execute(market, f"INSERT INTO {table} ({columns}) VALUES ({places})", **values)


# The order ---------------------------------------------------------------------------------------------------------


async def life(market: Market, buyer: str, order_id: str) -> list[Ref]:
    """An order with a ticket, a refund that was sent, a dispute, an incident and an advance; every way to name it."""
    ref, incident = await an_incident(market, order_id, amounts=(700, 300), buyer_id=buyer)
    (claimed,) = await market.store.claim_refunds(now=NOW, lease_until=NOW + A_DAY, limit=9)
    await put(
        market, "dispute", lane=ref.lane, order_id=order_id, dispute_id=f"dp-{order_id}", tender_id="t1", state="open",
        provider="simulator", amount_minor=1, lost_minor=0, currency="CNY", opened_at=NOW, reason="",
    )  # fmt: skip
    await put(
        market, "incident", lane=ref.lane, incident_id=new_id(ref.lane), order_id=order_id,
        ticket_id=claimed.refund.ticket_id, shop_id="shop-1", kind="platform_advance", state="open", amount_minor=1,
        currency="CNY", evidence="[]", opened_at=NOW, refund_id=claimed.refund.refund_id,
    )  # fmt: skip
    return [
        ref,
        TicketRef(ref.lane, claimed.refund.ticket_id),
        RefundRef(ref.lane, claimed.refund.refund_id),
        AttemptRef(ref.lane, claimed.attempt.attempt_id),
        incident,
    ]


async def contest(market: Market, incident: UUID, reason: str, at: datetime) -> None:
    await put(
        market, "complaint", complaint_id=new_id(0), shop_id="shop-1", reason=reason, made_by="m", made_at=at,
        answer_by=at + A_DAY, incident_id=incident, decided_by="d", state="answered", outcome="rejected", answer="no",
        answered_by="a", answered_at=at,
    )  # fmt: skip


async def test_an_order_is_read_whole_by_every_name_and_without_the_one_beside_it(market: Market) -> None:
    mine = await life(market, MINE, "o-1")
    before = [await market.store.read_order(ref) for ref in mine]
    snapshot = before[0]
    assert snapshot is not None and len(snapshot.lines) == 2
    rows = (snapshot.tenders, snapshot.shipments, snapshot.tickets, snapshot.refunds, snapshot.attempts)
    assert [len(one) for one in (*rows, snapshot.disputes)] == [1] * 6
    for one in before[1:]:
        assert one is not None and replace(one, incident=None) == snapshot
    other = await life(market, NEIGHBOUR, "o-2")
    assert other[0].lane == LANE
    assert [await market.store.read_order(ref) for ref in mine] == before
    for ref in other:
        found = await market.store.read_order(ref)
        assert found is not None and found.order.order_id == "o-2" and found.buyer.buyer_id == NEIGHBOUR


async def test_an_incident_is_read_with_the_latest_contest_of_its_own(market: Market) -> None:
    *_, attempt, incident = await life(market, MINE, "o-1")
    *_, beside_it = await life(market, NEIGHBOUR, "o-2")
    assert isinstance(incident, IncidentRef) and isinstance(beside_it, IncidentRef)
    advance = await market.store.read_order(attempt)
    assert advance is not None and advance.incident is not None
    for one, at in ((incident.incident_id, 1), (advance.incident.incident_id, 2), (beside_it.incident_id, 9)):
        for reason, minutes in (("the latest", 3), ("an earlier one", 1)):
            await contest(market, one, f"{reason} of {one}", NOW + timedelta(minutes=at + minutes))
    for ref in (incident, attempt):
        found = await market.store.read_order(ref)
        assert found is not None and found.incident is not None and found.incident.contest is not None
        assert found.incident.contest.reason == f"the latest of {found.incident.incident_id}"
    assert advance.incident.incident_id != incident.incident_id


async def test_rows_are_read_in_the_order_of_the_core_wherever_they_lie(market: Market) -> None:
    await market.premium_buyer(MINE)
    ref = await market.paid_order(MINE, "o-1", amounts=(100, 200, 300), tenders=(400, 200))
    for minutes, line in enumerate(("l1", "l2")):
        await market.asked(MINE, "o-1", lines=[(line, 1)], now=NOW + timedelta(minutes=minutes))
    before = await market.store.read_order(ref)
    await execute(market, "UPDATE order_line SET position = 9 WHERE line_id = 'l1'")
    moved = await market.store.read_order(ref)
    assert moved is not None and [line.line_id for line in moved.lines] == ["l2", "l3", "l1"]
    await execute(market, "UPDATE order_line SET position = 1 WHERE line_id = 'l1'")
    await execute(market, "UPDATE tender SET currency = currency WHERE tender_id = 't1'")
    for table in ("ticket", "refund"):
        order = "requested_at, ticket_id" if table == "ticket" else "queued_at, refund_id"
        await execute(
            market,
            f"UPDATE {table} SET order_id = order_id WHERE {table}_id IN"
            f" (SELECT {table}_id FROM {table} ORDER BY {order} LIMIT 1)",
        )
    assert await market.store.read_order(ref) == before


async def test_a_line_is_customised_or_virtual_when_it_or_its_own_category_says_so(market: Market) -> None:
    await market.premium_buyer(MINE)
    ref = await market.paid_order(MINE, "o-1", amounts=(100, 200, 300))
    for name, customised, virtual in (("apparel", False, False), ("prints", True, False), ("codes", False, True)):
        await put(market, "category", category_id=name, customised=customised, virtual=virtual, updated_at=NOW)
    for line, category in (("l2", "prints"), ("l3", "codes")):
        await execute(
            market, "UPDATE order_line SET category_id = %(category)s WHERE line_id = %(line)s",
            category=category, line=line,
        )  # fmt: skip
    found = await market.store.read_order(ref)
    assert found is not None
    assert [(line.customised, line.virtual) for line in found.lines] == [(False, False), (True, False), (False, True)]


async def test_an_order_is_completed_by_an_event_of_its_buyer_about_it_that_was_not_taken_back(market: Market) -> None:
    for buyer in (MINE, NEIGHBOUR):
        await market.premium_buyer(buyer)
    early = RecordBuyerEvent(NEIGHBOUR, "e-1", "order_completed", NOW, NOW, order_id="o-1")
    assert await market.registry.record_buyer_events([early]) == 1, "told before anybody had an order of that name"
    for buyer, order_id in ((MINE, "o-1"), (NEIGHBOUR, "o-2")):
        await market.paid_order(buyer, order_id)

    async def completed() -> bool | None:
        found = await market.store.read_order(ORDER)
        assert found is not None
        return found.completed_by_event

    async def say(buyer: str, event: str, kind: str, order_id: str, retracts: str | None = None) -> None:
        row = RecordBuyerEvent(buyer, event, kind, NOW, NOW, order_id=order_id, retracts=retracts)
        await market.registry.record_buyer_events([row])

    await say(MINE, "e-2", "order_completed", "o-3")
    await say(MINE, "e-3", "order_paid", "o-1")
    await say(MINE, "e-4", "order_completed", "o-1", retracts="e-2")
    assert not await completed()
    await say(MINE, "e-5", "order_completed", "o-1")
    await say(NEIGHBOUR, "e-6", "order_completed", "o-2")
    await say(NEIGHBOUR, "e-7", "order_completed", "o-2", retracts="e-5")
    assert await completed()
    await say(MINE, "e-8", "order_completed", "o-1", retracts="e-5")
    assert not await completed()


# Beside the order --------------------------------------------------------------------------------------------------


async def two_orders(market: Market) -> None:
    """Of two buyers in one lane, in two shops, regions and categories."""
    for buyer, order_id, shop in ((MINE, "o-1", "shop-1"), (NEIGHBOUR, "o-2", "shop-2")):
        await market.premium_buyer(buyer)
        await market.registry.put_buyer(Buyer(LANE, buyer, NOW - 400 * A_DAY, region=f"region-{order_id}"), NOW)
        await market.paid_order(buyer, order_id, shop_id=shop)
        await execute(
            market,
            "UPDATE order_line SET category_id = 'category-' || order_id, item_id = 'item-' || order_id"
            " WHERE order_id = %(order_id)s",
            order_id=order_id,
        )


async def inputs(market: Market, query: DecisionQuery = QUERY, ref: OrderRef = ORDER) -> DecisionInputs:
    async with market.store.transaction() as transaction:
        found = await transaction.open(ref, query=query)
    assert found.inputs is not None
    return replace(found.inputs, usage_as_of=None)


async def test_what_is_said_of_other_places_buyers_and_payments_changes_no_decision(market: Market) -> None:
    await two_orders(market)
    before = await inputs(market)
    assert before.selection == "allow" and before.restricted is False
    assert (await market.asked(NEIGHBOUR, "o-2")).approved_by is ApprovedBy.INSTANT_REFUND
    for scope in ("shop", "item", "category"):
        ref = "shop-2" if scope == "shop" else f"{scope}-o-2"
        ends_at = NOW if scope == "category" else None
        for table, more in (("coverage", {"covered": True}), ("pause", {"ends_at": ends_at})):
            await put(market, table, scope=scope, ref=ref, set_by="r", set_at=NOW - A_DAY, **more)
        await use(market, scope if scope != "item" else "platform", ref if scope != "item" else "x", 5)
    await put(market, "pause", scope="region", ref="region-o-2", set_by="r", set_at=NOW - A_DAY, ends_at=NOW)
    await use(market, "category", "shop-1", 3)
    await use(market, "shop", "category-o-1", 3)
    await market.registry.select(new_selection(NEIGHBOUR, "deny", "", "test", NOW))
    await put(
        market, "restriction", lane=LANE, restriction_id=new_id(LANE), buyer_id=NEIGHBOUR, reason="r",
        starts_at=NOW - A_DAY, set_by="r",
    )  # fmt: skip
    cluster = new_id(0)
    await put(market, "cluster_state", lane=LANE, buyer_id=NEIGHBOUR, cluster_id=cluster, size=4, other_restricted=True)
    await use(market, "cluster", str(cluster), 5)
    await put(
        market, "identity_link", lane=LANE, buyer_id=NEIGHBOUR, kind="device", hash="x" * 40, seen_at=NOW,
        recorded_at=NOW,
    )  # fmt: skip
    await execute(market, "UPDATE buyer SET history_from = %(now)s WHERE buyer_id = %(other)s", now=NOW)
    await put(
        market, "tender", lane=LANE, order_id="o-2", tender_id="t9", provider="stripe", payment_id="shared",
        currency="CNY", captured_minor=5, captured_at=NOW,
    )  # fmt: skip
    assert await inputs(market) == before
    await execute(market, "UPDATE pause SET ends_at = NULL WHERE scope = 'region'")
    assert await inputs(market) == replace(before, paused_scopes=("region",)), "it may be where no region is known"
    others = await inputs(market, ref=OrderRef(LANE, "o-2"))
    assert (others.selection, others.restricted) == ("deny", True)
    assert {one.scope for one in others.pauses} == {"shop", "item", "region"}


async def test_what_stands_for_every_place_and_scope_is_read(market: Market) -> None:
    await two_orders(market)
    places = {
        "platform": "",
        "shop": "shop-1",
        "item": "item-o-1",
        "category": "CATEGORY-O-1",
        "region": "Region-o-1",
    }
    for scope, ref in places.items():
        await put(market, "pause", scope=scope, ref=ref, set_by="r", set_at=NOW - A_DAY, ends_at=NOW + MOMENT)
        if scope != "region":
            await put(market, "coverage", scope=scope, ref=ref, set_by="r", set_at=NOW, covered=False)
    found = await inputs(market)
    assert {one.scope: one.ref for one in found.pauses} == places
    assert {one.scope for one in found.coverage} == places.keys() - {"region"}
    assert (set(found.paused_scopes), found.uncovered_scopes) == ({"region", "category"}, ("category",))
    await execute(market, "UPDATE pause SET ends_at = NULL")
    assert await inputs(market) == found
    await execute(market, "DELETE FROM pause WHERE scope = 'region'")
    await execute(market, "UPDATE coverage SET covered = true WHERE scope = 'category'")
    found = await inputs(market)
    assert (found.paused_scopes, found.uncovered_scopes) == (("category",), ())
    await execute(market, "UPDATE pause SET ends_at = %(now)s", now=NOW)
    found = await inputs(market)
    assert (found.pauses, found.paused_scopes) == ((), ())


@pytest.mark.parametrize(
    ("starts", "ends", "lifted", "restricted"),
    [
        (NOW, None, None, True),
        (NOW, NOW + MOMENT, None, True),
        (NOW - A_DAY, NOW, None, False),
        (NOW + MOMENT, None, None, False),
        (NOW - A_DAY, None, NOW, False),
    ],
)
async def test_a_restriction_stands_from_its_moment_until_its_end_or_lift(
    market: Market, starts: datetime, ends: datetime | None, lifted: datetime | None, restricted: bool
) -> None:
    await two_orders(market)
    await put(
        market, "restriction", lane=LANE, restriction_id=new_id(LANE), buyer_id=MINE, reason="r", starts_at=starts,
        ends_at=ends, lifted_at=lifted, lifted_by=lifted and "r", set_by="r",
    )  # fmt: skip
    assert (await inputs(market)).restricted is restricted


async def test_what_an_erasure_took_is_unknown_for_a_year(market: Market) -> None:
    await two_orders(market)
    for age, known in ((365 * A_DAY, True), (365 * A_DAY - MOMENT, False)):
        await execute(market, "UPDATE buyer SET history_from = %(at)s WHERE buyer_id = %(mine)s", at=NOW - age)
        found = await inputs(market)
        read = (found.restricted, found.buyer_usage, found.cluster_usage)
        assert read == ((False, Usage(), Usage()) if known else (None, None, None))


async def test_a_buyers_usage_is_what_was_approved_at_once_within_the_window(market: Market) -> None:
    await two_orders(market)
    await market.paid_order(MINE, "o-3", amounts=(100,))
    await market.asked(MINE, "o-3")
    cases: list[tuple[Mapping[str, object], Usage]] = [
        ({"approved_at": SINCE + MOMENT}, Usage(1, 100)),
        ({"currency": "USD"}, Usage(1, 0)),
        ({"currency": "CNY", "approved_at": SINCE}, Usage()),
        ({"approved_at": NOW, "approved_by": "merchant"}, Usage()),
    ]
    for changed, usage in cases:
        for name, value in changed.items():
            await execute(market, f"UPDATE ticket SET {name} = %(value)s WHERE order_id = 'o-3'", value=value)
        found = await inputs(market)
        assert (found.buyer_usage, found.cluster_usage) == (usage, usage), changed


async def use(
    market: Market,
    scope: str,
    ref: str,
    approvals: int,
    *,
    at: datetime = NOW,
    seconds: int = 60,
    currency: str = "CNY",
) -> None:
    await put(
        market, "usage_bucket", scope=scope, ref=ref, bucket_seconds=seconds, bucket=at, currency=currency,
        approvals=approvals, amount_minor=10 * approvals,
    )  # fmt: skip


async def test_usage_of_each_cap_is_of_its_scope_window_buckets_and_currency(market: Market) -> None:
    await two_orders(market)
    cluster = UUID(int=7)
    await put(market, "cluster_state", lane=LANE, buyer_id=MINE, cluster_id=cluster, size=2, other_restricted=False)
    names = {"shop": "shop-1", "platform": "", "category": "category-o-1", "cluster": str(cluster)}
    for scope, ref in names.items():
        await use(market, scope, ref, 1, at=SINCE - timedelta(seconds=60) + MOMENT)
        await use(market, scope, ref, 2, currency="USD")
        await use(market, scope, ref, 4, at=SINCE - timedelta(seconds=60))
        await use(market, scope, ref, 8, seconds=3600)
    expected = Usage(3, 10)
    beside_it = replace(QUERY, category_cap_from=NOW - 2 * A_DAY, shop_cap_bucket_seconds=3600)
    found = await inputs(market, replace(QUERY, beside=beside_it))
    read = (found.shop_usage, found.platform_usage, found.category_usage, found.cluster_usage)
    assert read == (expected, expected, {"category-o-1": expected}, expected)
    assert found.usage_beside is not None
    assert (found.usage_beside.shop, found.usage_beside.categories["category-o-1"]) == (Usage(8, 80), Usage(7, 50))
    assert found.usage_beside.platform == expected


async def test_categories_with_an_approval_or_an_amount_are_told_and_others_are_not(market: Market) -> None:
    await two_orders(market)
    for ref, approvals, amount in (("category-o-1", 0, 5), ("category-o-1b", 3, 0), ("category-o-1c", 0, 0)):
        await put(
            market, "usage_bucket", scope="category", ref=ref, bucket_seconds=60, bucket=NOW, currency="CNY",
            approvals=approvals, amount_minor=amount,
        )  # fmt: skip
    await market.paid_order(MINE, "o-3", amounts=(1, 1, 1))
    await execute(
        market,
        "UPDATE order_line SET category_id = 'category-o-1' || CASE line_id WHEN 'l1' THEN '' WHEN 'l2' THEN 'b'"
        " ELSE 'c' END WHERE order_id = 'o-3'",
    )
    found = await market.store.read_inputs(OrderRef(LANE, "o-3"), QUERY)
    assert found is not None
    assert found[1].category_usage == {"category-o-1": Usage(0, 5), "category-o-1b": Usage(3, 0)}


async def test_a_payment_is_known_by_its_provider_and_name_on_other_orders(market: Market) -> None:
    await two_orders(market)
    for buyer, order_id in ((MINE, "o-3"), (NEIGHBOUR, "o-4")):
        await market.paid_order(buyer, order_id, amounts=(500,), tenders=())
    for order_id, provider, payment_id, amount in (
        ("o-4", "stripe", "shared", 100),
        ("o-3", "simulator", "another", 110),
        ("o-3", "simulator", "shared", 120),
    ):
        tender = Tender(f"t-{amount}", provider, payment_id, "CNY", amount, NOW, payment_total_minor=900)
        done = await capture_payment(market.store, OrderRef(LANE, order_id), tender, market.decision_settings, now=NOW)
        assert isinstance(done, Executed), done
    payment = (await inputs(market)).payment
    assert (payment.buyer_id, payment.parts, payment.parts_minor, payment.total_minor) == (MINE, 1, 120, 900)
    async with market.store.transaction() as transaction:
        found = await transaction.open(OrderRef(LANE, "o-3"), query=QUERY)
    assert found.inputs is not None and found.inputs.payment.parts == 0


# Keys and locks ----------------------------------------------------------------------------------------------------

KEY = IdempotencyKey("key-1", "/v1/x", "k-1", b"h" * 32)


async def test_a_stored_response_is_of_its_own_key_route_and_buyer(market: Market) -> None:
    await two_orders(market)
    for number, other in enumerate(
        ({"key_id": "key-2"}, {"route": "/v1/y"}, {"key": "k-2"}, {"buyer_id": NEIGHBOUR}), start=1
    ):
        row = {"key_id": KEY.key_id, "route": KEY.route, "key": KEY.key, "buyer_id": MINE} | other
        await put(
            market, "idempotency", lane=LANE, body_hash=KEY.body_hash, status=200 + number, answer=b"x",
            answered_at=NOW, **row,
        )  # fmt: skip

    async def stored() -> StoredResponse | None:
        async with market.store.transaction() as transaction:
            return (await transaction.open(ORDER, idempotency_key=KEY)).stored

    assert await stored() is None
    await put(
        market, "idempotency", lane=LANE, body_hash=KEY.body_hash, status=200, answer=b"x", answered_at=NOW,
        key_id=KEY.key_id, route=KEY.route, key=KEY.key, buyer_id=MINE,
    )  # fmt: skip
    assert await stored() == StoredResponse(200, b"x", NOW)


async def opened(market: Market, ref: Ref, key: IdempotencyKey | None = None) -> bool:
    """Whether the key was in flight."""
    async with market.store.transaction() as transaction:
        return (await transaction.open(ref, idempotency_key=key)).in_flight


async def test_a_command_locks_its_buyer_and_its_order_and_nobody_beside_them(
    market: Market, database_url: str
) -> None:
    await two_orders(market)
    await market.paid_order(MINE, "o-3")
    for own, other in (
        ("buyer WHERE buyer_id = %(mine)s", "buyer WHERE buyer_id = %(other)s"),
        ("orders WHERE order_id = 'o-1'", "orders WHERE order_id <> 'o-1'"),
    ):
        named = {"mine": MINE, "other": NEIGHBOUR}
        async with market.pool.connection() as holding:
            await holding.execute(f"SELECT 1 FROM {other} FOR UPDATE".encode(), named)
            async with asyncio.timeout(20):
                assert not await opened(market, ORDER)
        async with market.pool.connection() as holding:
            await holding.execute(f"SELECT 1 FROM {own} FOR UPDATE".encode(), named)
            opening = asyncio.create_task(opened(market, ORDER))
            assert await wait_for_a_lock(database_url, opening)
        assert not await opening


@pytest.mark.parametrize("table", ["buyer", "orders"])
async def test_a_request_whose_key_is_in_use_waits_for_neither_lock(
    market: Market, database_url: str, table: str
) -> None:
    await two_orders(market)
    async with market.store.transaction() as first:
        await first.open(ORDER, idempotency_key=KEY)
        async with asyncio.timeout(20):
            assert await opened(market, ORDER, KEY)
    async with market.pool.connection() as holding:
        await holding.execute(f"SELECT 1 FROM {table} FOR UPDATE".encode())
        waiting = asyncio.create_task(opened(market, ORDER, KEY))
        assert await wait_for_a_lock(database_url, waiting)
        async with asyncio.timeout(20):
            assert await opened(market, ORDER, KEY)
    assert not await waiting
