"""Requesting, deciding, reviewing and explaining over HTTP."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import product

import pytest

from jitui.aftersales.governance.registry import Pause, Scope
from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.ticket_list import TicketSort
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from tests.http.api import BUYER, NO, SHOP, Api, shipment

NOTICE_ZH = "该用户为平台优质用户且订单满足极速退款条件，平台已自动审核通过卖家发货前仅退款申请"


async def test_a_premium_buyer_is_refunded_at_once_and_told_why(api: Api) -> None:
    await api.paid_order("o-1")
    got = await api.post("/v1/after-sales", {"order_id": "o-1", "buyer_id": BUYER})
    assert got.status_code == 201
    ticket, decision = got.json()["ticket"], got.json()["decision"]
    assert (ticket["state"], ticket["approved_by"]) == ("refunding", "instant_refund")
    assert ticket["amount"] == {"amount_minor": 12900, "currency": "CNY"}
    assert ticket["notice"]["zh"] == NOTICE_ZH
    assert got.headers["etag"] == f'"{ticket["version"]}"'
    assert got.headers["location"] == f"/v1/after-sales/{ticket['ticket_id']}"
    assert decision["outcome"] == "instant"
    paid = next(row for row in decision["conditions"] if row["id"] == "paid_under_300")
    assert paid["facts"] == {"order.paid_minor": 12900}
    assert decision["facts"]["order.paid_minor"] == 12900


async def test_a_buyer_key_need_not_name_its_buyer(api: Api) -> None:
    await api.paid_order("o-1")
    got = await api.post("/v1/after-sales", {"order_id": "o-1"}, key=api.buyer)
    assert got.status_code == 201
    assert got.json()["ticket"]["buyer_id"] == BUYER


async def test_what_misses_a_condition_waits_for_the_merchant(api: Api) -> None:
    await api.paid_order("o-1", paid=30000)
    answer = await api.ask("o-1")
    assert answer["ticket"]["state"] == "awaiting_merchant"
    assert answer["ticket"]["expires_at"] == "2026-06-03T12:00:00Z"
    assert answer["decision"]["outcome"] == "review"
    verdicts = {row["id"]: row["verdict"] for row in answer["decision"]["conditions"]}
    assert verdicts["paid_under_300"] == "false"


async def test_only_the_platform_reads_figures_and_private_conditions(api: Api) -> None:
    """R16: merchant and buyer get the public conditions, verdict and sentence."""
    await api.paid_order("o-1")
    ticket_id = (await api.ask("o-1"))["ticket"]["ticket_id"]
    whole = (await api.get(f"/v1/after-sales/{ticket_id}/decision")).json()
    assert {"selected", "within_caps", "not_paused"} <= {row["id"] for row in whole["conditions"]}
    for key in (api.shop, api.buyer):
        shown = (await api.get(f"/v1/after-sales/{ticket_id}/decision", key=key)).json()
        assert {row["id"] for row in shown["conditions"]} == {
            "premium_buyer",
            "paid_under_300",
            "goods_supported",
            "unshipped",
            "covered",
            "not_restricted",
        }
        assert all(set(row) == {"id", "verdict", "sentence"} for row in shown["conditions"])
        assert set(shown) == {"outcome", "policy", "decided_at", "conditions"}


async def test_others_than_the_platform_read_a_guard_as_other_factors(api: Api) -> None:
    await api.service.registry.set_pause(Pause(Scope.SHOP, SHOP, "moving", "test", api.now()))
    await api.paid_order("o-1")
    got = (await api.post("/v1/after-sales", {"order_id": "o-1"}, key=api.buyer)).json()
    assert got["decision"]["outcome"] == "review"
    assert got["ticket"]["review_reason"] is None
    assert [row["id"] for row in got["decision"]["conditions"]][-1] == "other_factors"
    whole = (await api.get(f"/v1/after-sales/{got['ticket']['ticket_id']}")).json()
    assert whole["review_reason"] == "service_paused"


async def test_a_dry_run_decides_alike_and_writes_nothing(api: Api) -> None:
    await api.paid_order("o-1")
    got = await api.post("/v1/eligibility", {"order_id": "o-1"}, key=api.buyer)
    assert got.status_code == 200
    assert got.json()["outcome"] == "instant"
    assert got.json()["amount"] == {"amount_minor": 12900, "currency": "CNY"}
    assert await api.count("ticket") == 0


@pytest.mark.parametrize(
    "extra", [{"amount": {"amount_minor": 1, "currency": "CNY"}}, {"approved": True}, {"amount": 1}]
)
async def test_the_caller_cannot_set_the_amount_or_the_approval(api: Api, extra: dict[str, object]) -> None:
    """T30."""
    await api.paid_order("o-1")
    got = await api.post("/v1/after-sales", {"order_id": "o-1", "buyer_id": BUYER, **extra})
    assert got.status_code == 400
    assert got.json()["type"] == "/problems/invalid-request"
    assert got.json()["path"] == next(iter(extra))
    assert await api.count("ticket") == 0


async def test_one_open_ticket_and_one_request_a_minute(api: Api) -> None:
    await api.reviewed("o-1")
    api.now.later(seconds=30)
    body = {"order_id": "o-1", "buyer_id": "buyer-plain"}
    again = await api.post("/v1/after-sales", body)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/refund-in-progress")
    ticket = (await api.get("/v1/after-sales", params={"order_id": "o-1"})).json()["tickets"][0]
    await api.post(f"/v1/after-sales/{ticket['ticket_id']}/withdraw")
    soon = await api.post("/v1/after-sales", body)
    assert (soon.status_code, soon.json()["type"]) == (429, "/problems/too-many-requests")
    assert soon.headers["retry-after"] == "30"


async def test_shipped_goods_are_another_process(api: Api) -> None:
    await api.paid_order("o-1")
    assert (await api.post("/v1/orders/o-1/shipments", shipment())).status_code == 201
    got = await api.post("/v1/after-sales", {"order_id": "o-1", "buyer_id": BUYER})
    assert (got.status_code, got.json()["type"]) == (409, "/problems/order-already-shipped")
    assert got.headers["content-type"] == "application/problem+json"


# Deadline --------------------------------------------------------------------------------------------------------


async def test_past_its_deadline_a_request_stands_and_nothing_is_approved(api: Api) -> None:
    await api.paid_order("o-1")
    got = await api.post("/v1/after-sales", {"order_id": "o-1", "buyer_id": BUYER}, headers={"jitui-deadline-ms": "0"})
    assert got.status_code == 201
    assert got.json()["ticket"]["state"] == "awaiting_merchant"
    assert got.json()["ticket"]["review_reason"] == "deadline_passed"
    assert got.json()["decision"]["outcome"] == "review"
    assert await api.count("refund") == 0


async def test_within_its_deadline_a_request_is_approved(api: Api) -> None:
    await api.paid_order("o-1")
    answer = await api.ask("o-1", headers={"jitui-deadline-ms": "600000"})
    assert answer["ticket"]["state"] == "refunding"


async def test_a_request_that_waits_too_long_for_a_lock_is_given_up_with_nothing_written(api: Api) -> None:
    await api.paid_order("o-1")
    async with api.market.pool.connection() as holder:
        await holder.execute("SELECT 1 FROM buyer WHERE buyer_id = %s FOR UPDATE", (BUYER,))
        got = await api.post(
            "/v1/after-sales", {"order_id": "o-1", "buyer_id": BUYER}, headers={"jitui-deadline-ms": "0"}
        )
        assert (got.status_code, got.json()["type"]) == (503, "/problems/unavailable")
        assert await api.count("ticket") == 0
    assert (await api.ask("o-1"))["ticket"]["state"] == "refunding"


# Review ----------------------------------------------------------------------------------------------------------


async def test_the_merchant_approves_on_the_version_that_was_read(api: Api) -> None:
    ticket = await api.reviewed("o-1")
    path = f"/v1/after-sales/{ticket['ticket_id']}/approve"
    assert (await api.post(path, key=api.shop)).json()["type"] == "/problems/version-required"
    stale = await api.post(path, key=api.shop, headers={"if-match": '"7"'})
    assert (stale.status_code, stale.json()["type"]) == (412, "/problems/ticket-stale")
    got = await api.post(path, key=api.shop, headers={"if-match": '"1"'})
    assert got.status_code == 200
    assert (got.json()["state"], got.json()["approved_by"]) == ("refunding", "merchant")
    assert got.headers["etag"] == '"2"'
    assert got.json()["notice"] is None
    late = await api.post(path, key=api.shop, headers={"if-match": '"2"'})
    assert (late.status_code, late.json()["type"]) == (409, "/problems/ticket-already-approved")


async def test_a_missing_version_is_428_and_a_malformed_one_400(api: Api) -> None:
    ticket = await api.reviewed("o-1")
    for verb, body in (("approve", None), ("reject", NO)):
        path = f"/v1/after-sales/{ticket['ticket_id']}/{verb}"
        assert (await api.post(path, body)).status_code == 428
        for malformed in ("1", 'W/"1"', '"one"', "*", '"1", "2"', '"-1"'):
            got = await api.post(path, body, headers={"if-match": malformed})
            assert (got.status_code, got.json()["path"]) == (400, "If-Match"), malformed
    assert (await api.get(f"/v1/after-sales/{ticket['ticket_id']}")).json()["state"] == "awaiting_merchant"


async def test_two_decisions_on_one_version_have_one_winner(api: Api) -> None:
    ticket = await api.reviewed("o-1")
    path = f"/v1/after-sales/{ticket['ticket_id']}"
    got = await asyncio.gather(
        api.post(f"{path}/approve", headers={"if-match": '"1"'}),
        api.post(f"{path}/reject", NO, headers={"if-match": '"1"'}),
        api.post(f"{path}/withdraw"),
    )
    assert sorted(answer.status_code for answer in got) == [200, 409, 409]


async def test_the_merchant_rejects_with_the_parcel_as_evidence(api: Api) -> None:
    ticket = await api.reviewed("o-1")
    evidence = {"tracking_no": "SF9", "carrier": "sf", "happened_at": "2026-06-01T12:00:00Z"}
    got = await api.post(
        f"/v1/after-sales/{ticket['ticket_id']}/reject",
        {"reason": "On its way.", "shipment": evidence},
        key=api.shop,
        headers={"if-match": '"1"'},
    )
    assert (got.status_code, got.json()["state"]) == (200, "rejected")
    order = (await api.get("/v1/orders/o-1")).json()
    assert order["shipment"] == "shipped"
    assert order["shipments"][0]["tracking_no"] == "SF9"


async def test_the_buyer_withdraws_without_a_version(api: Api) -> None:
    await api.paid_order("o-1", paid=30000)
    ticket = (await api.ask("o-1"))["ticket"]
    got = await api.post(f"/v1/after-sales/{ticket['ticket_id']}/withdraw", key=api.buyer)
    assert (got.status_code, got.json()["state"]) == (200, "withdrawn")


# Lists -----------------------------------------------------------------------------------------------------------


async def test_tickets_are_listed_newest_first_by_cursor_and_filters(api: Api) -> None:
    for number in range(5):
        await api.paid_order(f"o-{number}", paid=30000)
        await api.ask(f"o-{number}")
        api.now.later(minutes=1)
    await api.service.ticket_list.fill()
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await api.get("/v1/after-sales", params=params)).json()
        seen += [row["order_id"] for row in page["tickets"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"o-{number}" for number in range(4, -1, -1)]
    one = await api.get("/v1/after-sales", params={"requested_from": "2026-06-01T12:01:00Z", "order_id": "o-1"})
    assert [row["order_id"] for row in one.json()["tickets"]] == ["o-1"]
    none = await api.get("/v1/after-sales", params={"state": "refunded"})
    found = none.json()
    assert (found["tickets"], found["next"]) == ([], None)


async def test_tickets_are_listed_in_every_order_by_cursors_of_that_order(api: Api) -> None:
    for number, paid in enumerate((30000, 50000, 40000)):
        await api.paid_order(f"o-{number}", paid=paid)
        await api.ask(f"o-{number}")
    await api.reviewed("o-other", shop_id="shop-2")
    await api.service.ticket_list.fill()
    for sort, order in product(TicketSort, SortOrder):
        asked = {"sort": sort.value, "order": order.value, "limit": 2}
        first = (await api.get("/v1/after-sales", key=api.shop, params=asked)).json()
        last = (await api.get("/v1/after-sales", key=api.shop, params={**asked, "cursor": first["next"]})).json()
        rows = first["tickets"] + last["tickets"]
        assert {row["order_id"] for row in rows} == {"o-0", "o-1", "o-2"}, "a shop's list is its own in every order"
        assert (len(rows), last["next"]) == (3, None)
        if sort is TicketSort.AMOUNT:
            amounts = [row["amount"]["amount_minor"] for row in rows]
            assert amounts == sorted(amounts, reverse=order is SortOrder.DESC)
        other = {**asked, "order": "asc" if order is SortOrder.DESC else "desc", "cursor": first["next"]}
        refused = await api.get("/v1/after-sales", key=api.shop, params=other)
        assert (refused.status_code, refused.json()["path"]) == (400, "cursor")


async def test_a_list_says_how_late_it_is_and_a_buyers_own_is_not(api: Api) -> None:
    await api.service.ticket_list.fill()
    async with api.market.pool.connection() as connection:
        await connection.execute("UPDATE roll_up SET as_of = as_of - interval '1 hour' WHERE name = 'ticket_list'")
    await api.paid_order("o-1")
    ticket = (await api.ask("o-1"))["ticket"]
    late = (await api.get("/v1/after-sales", key=api.shop)).json()
    assert late["tickets"] == [] and late["lag_ms"] >= 3_600_000
    assert datetime.fromisoformat(late["as_of"]) <= api.now() - timedelta(hours=1)
    own = (await api.get("/v1/after-sales", key=api.buyer)).json()
    assert [row["ticket_id"] for row in own["tickets"]] == [ticket["ticket_id"]] and own["lag_ms"] == 0
    read = await api.get(f"/v1/after-sales/{ticket['ticket_id']}", key=api.shop)
    assert read.json()["state"] == ticket["state"]


async def test_a_merchant_filters_what_the_service_decided(api: Api) -> None:
    """R15."""
    await api.paid_order("o-1")
    await api.ask("o-1")
    await api.reviewed("o-2")
    await api.service.ticket_list.fill()
    got = await api.get("/v1/after-sales", key=api.shop, params={"approved_by": "instant_refund"})
    assert [(row["order_id"], row["notice"]["zh"]) for row in got.json()["tickets"]] == [("o-1", NOTICE_ZH)]


async def test_a_key_lists_its_own_only(api: Api) -> None:
    other = (await issue_key(api.service.keys, KeyScope.SHOP, "shop-2", label="", now=api.now())).secret
    await api.reviewed("o-1")
    await api.service.ticket_list.fill()
    assert (await api.get("/v1/after-sales", key=other)).json()["tickets"] == []
    assert (await api.get("/v1/orders", key=other)).json()["orders"] == []
    assert len((await api.get("/v1/orders", key=api.shop)).json()["orders"]) == 1
