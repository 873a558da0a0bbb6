"""Orders, payments, shipments and completion over HTTP."""

from __future__ import annotations

from tests.aftersales.market import beside
from tests.http.api import BUYER, Api, money, order, payment, shipment


async def test_a_buyers_orders_are_not_those_of_another_one_beside_them(api: Api) -> None:
    """They lie in one lane, of which the list is read."""
    for buyer, order_id in ((BUYER, "o-1"), (beside(BUYER), "o-2"), ("b-elsewhere", "o-3")):
        assert (await api.put(f"/v1/orders/{order_id}", order(buyer_id=buyer))).status_code == 201
    found = (await api.get(f"/v1/orders?buyer_id={BUYER}")).json()["orders"]
    assert [row["order_id"] for row in found] == ["o-1"]
    assert len((await api.get("/v1/orders")).json()["orders"]) == 3


async def test_an_order_is_created_replaced_until_something_stands_on_it_and_then_stands(api: Api) -> None:
    first = await api.put("/v1/orders/o-1", order())
    assert (first.status_code, first.json()) == (201, {"order_id": "o-1", "created": True})
    assert (await api.put("/v1/orders/o-1", order(paid=9900))).status_code == 200
    assert (await api.post("/v1/orders/o-1/payments", payment("o-1", 9900))).status_code == 201
    assert (await api.put("/v1/orders/o-1", order(paid=9900, hold="presale"))).status_code == 200
    assert (await api.post("/v1/orders/o-1/completion", {"completed_at": "2026-06-01T12:00:00Z"})).status_code == 201
    refused = await api.put("/v1/orders/o-1", order(paid=100))
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/order-not-replaceable")
    assert refused.json()["path"] == "lines[0].paid"
    shown = (await api.get("/v1/orders/o-1")).json()
    assert shown["paid"] == money(9900)
    assert shown["hold"] == "presale"
    assert shown["lines"][0]["free_quantity"] == 1


async def test_an_id_of_another_buyers_order_is_refused_to_the_platform(api: Api) -> None:
    await api.put("/v1/orders/o-1", order())
    got = await api.put("/v1/orders/o-1", order(buyer_id="buyer-2"))
    assert (got.status_code, got.json()["type"]) == (409, "/problems/order-belongs-to-another")
    assert got.json()["path"] == "buyer_id"


async def test_a_payment_counts_once_and_keeps_its_amount(api: Api) -> None:
    await api.put("/v1/orders/o-1", order())
    assert (await api.post("/v1/orders/o-1/payments", payment("o-1"))).status_code == 201
    again = await api.post("/v1/orders/o-1/payments", payment("o-1"))
    assert (again.status_code, again.json()["paid"]) == (200, money(12900))
    other = await api.post("/v1/orders/o-1/payments", payment("o-1", 1))
    assert (other.status_code, other.json()["type"]) == (409, "/problems/duplicate-payment-differs")
    dollars = await api.post("/v1/orders/o-1/payments", payment("o-1", amount=money(1, "USD"), tender_id="t2"))
    assert (dollars.status_code, dollars.json()["path"]) == (422, "amount.currency")
    assert await api.count("tender") == 1


async def test_goods_under_a_granted_refund_are_not_shipped_and_a_scan_opens_an_incident(api: Api) -> None:
    await api.paid_order("o-1")
    await api.ask("o-1")
    refused = await api.post("/v1/orders/o-1/shipments", shipment(), key=api.shop)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/units-refunded")
    scanned = await api.post("/v1/orders/o-1/shipments", shipment("picked_up", source="carrier"))
    assert scanned.status_code == 201
    incidents = (await api.get("/v1/incidents", key=api.shop)).json()["incidents"]
    assert [(row["order_id"], row["amount"]) for row in incidents] == [("o-1", money(12900))]
    assert incidents[0]["evidence"][0]["tracking_no"] == "SF1"


async def test_a_label_is_recorded_once_and_the_goods_still_count_as_unshipped(api: Api) -> None:
    await api.paid_order("o-1")
    assert (await api.post("/v1/orders/o-1/shipments", shipment("label_printed"), key=api.shop)).status_code == 201
    again = await api.post("/v1/orders/o-1/shipments", shipment("label_printed"), key=api.shop)
    assert (again.status_code, again.json()["shipment"]) == (200, "label_printed")
    assert (await api.ask("o-1"))["ticket"]["state"] == "refunding"


async def test_a_shop_key_has_no_carriers_word(api: Api) -> None:
    await api.paid_order("o-1")
    got = await api.post("/v1/orders/o-1/shipments", shipment(source="carrier"), key=api.shop)
    assert (got.status_code, got.json()["path"]) == (403, "source")
    assert await api.count("shipment") == 0


async def test_units_named_twice_in_a_parcel_are_refused(api: Api) -> None:
    await api.paid_order("o-1")
    lines = [{"line_id": "l1", "quantity": 1}] * 2
    got = await api.post("/v1/orders/o-1/shipments", shipment(lines=lines))
    assert (got.status_code, got.json()["path"]) == (400, "lines[1].line_id")
    unknown = await api.post("/v1/orders/o-1/shipments", shipment(lines=[{"line_id": "zz", "quantity": 1}]))
    assert (unknown.status_code, unknown.json()["type"]) == (422, "/problems/unknown-line")


async def test_a_completed_order_counts_in_the_buyers_history(api: Api) -> None:
    await api.paid_order("o-1")
    before = await api.count("buyer_event")
    body = {"completed_at": "2026-06-08T12:00:00Z"}
    done = await api.post("/v1/orders/o-1/completion", body)
    assert (done.status_code, done.json()["completed_at"]) == (201, "2026-06-08T12:00:00Z")
    assert (await api.post("/v1/orders/o-1/completion", body)).status_code == 200
    assert await api.count("buyer_event") == before + 1


async def test_a_shop_does_not_see_how_its_buyer_paid(api: Api) -> None:
    await api.paid_order("o-1")
    assert (await api.get("/v1/orders/o-1", key=api.shop)).json()["tenders"] == []
    assert (await api.get("/v1/orders/o-1", key=api.buyer)).json()["tenders"][0]["captured"] == money(12900)


async def test_orders_are_listed_by_cursor(api: Api) -> None:
    for number in range(3):
        body = order(placed_at=f"2026-06-01T0{number}:00:00+08:00")
        await api.put(f"/v1/orders/o-{number}", body)
    first = (await api.get("/v1/orders", key=api.buyer, params={"limit": 2})).json()
    assert [row["order_id"] for row in first["orders"]] == ["o-2", "o-1"]
    rest = (await api.get("/v1/orders", key=api.buyer, params={"limit": 2, "cursor": first["next"]})).json()
    assert ([row["order_id"] for row in rest["orders"]], rest["next"]) == (["o-0"], None)
    assert first["orders"][0]["buyer_id"] == BUYER


async def test_a_payment_that_nobody_here_can_refund_is_not_recorded(api: Api) -> None:
    assert (await api.put("/v1/orders/o-1", order())).status_code == 201
    got = await api.post("/v1/orders/o-1/payments", payment("o-1", provider="paypal"))
    problem = got.json()
    assert (got.status_code, problem["type"], problem["path"]) == (
        422,
        "/problems/provider-not-configured",
        "provider",
    )
    assert "'paypal' (simulator)" in problem["detail"]
    assert await api.count("tender") == 0
