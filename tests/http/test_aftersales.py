"""Asking, deciding, reviewing and explaining over HTTP."""

from __future__ import annotations

from tests.http.api import BUYER, SHOP, Api, order, payment, shipment


async def test_a_premium_buyer_is_refunded_at_once_and_is_told_why(api: Api) -> None:
    await api.paid_order("o-1")
    got = await api.post("/v1/after-sales", {"order_id": "o-1", "buyer_id": BUYER})
    assert got.status_code == 201
    ticket, decision = got.json()["ticket"], got.json()["decision"]
    assert ticket["state"] == "refunding"
    assert ticket["approved_by"] == "instant_refund"
    assert ticket["notice"]["zh"] == (
        "该用户为平台优质用户且订单满足极速退款条件，平台已自动审核通过卖家发货前仅退款申请"
    )
    assert got.headers["etag"] == f'"{ticket["version"]}"'
    assert got.headers["location"] == f"/v1/after-sales/{ticket['ticket_id']}"
    assert decision["outcome"] == "instant"
    assert {row["id"]: row["verdict"] for row in decision["conditions"]}["paid_under_300"] == "true"
