"""Fields and headers that are sent twice, not at all, or in another form than described are reported."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.api import BUYER, SHOP, Api, order, payment, shipment

KNOWN = {"registered_at": "2024-01-01T00:00:00Z", "region": "CN-33", "attributes": {"vip": True, "tier": 3}}


async def known_buyer(api: Api) -> Any:
    assert (await api.put("/v1/buyers/b-7", KNOWN)).status_code == 200
    return (await api.get("/v1/buyers/b-7")).json()


# A put replaces what it says ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/buyers/b-7", KNOWN),
        ("/v1/shops/s-7", {"name": "One", "attributes": {"score": 9}}),
        ("/v1/categories/mugs", {"title": "Mugs", "customised": True, "virtual": True}),
        ("/v1/history/order_paid", {"complete_from": "2024-01-01T00:00:00Z", "fresh_until": "2025-01-01T00:00:00Z"}),
        ("/v1/orders/o-7", order()),
        ("/v1/coverage", {"scope": "platform", "covered": True, "reason": "Yes."}),
        (f"/v1/shops/{SHOP}/coverage", {"covered": True, "reason": "Yes."}),
        ("/v1/selection/b-7", {"verdict": "allow"}),
    ],
)
async def test_a_put_without_a_body_is_refused(api: Api, path: str, body: Any) -> None:
    first = await api.put(path, body)
    assert first.status_code in (200, 201), first.text
    for content in (None, b"", b" ", b"null", b"[]"):
        got = await api.put(path, content=content)
        assert (got.status_code, got.json()["type"].split("/")[-1]) in {(400, "invalid-request"), (400, "invalid-json")}
    assert (await api.put(path, body)).json().get("created") in (None, False)


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ({}, {}),
        ({"region": "CN-44"}, {"region": "CN-44"}),
        ({"region": None}, {"region": None}),
        ({"registered_at": None, "attributes": {}}, {"registered_at": None, "attributes": {}}),
        ({"attributes": {"tier": 4}}, {"attributes": {"tier": 4}}),
    ],
)
async def test_what_a_put_of_a_buyer_does_not_say_stays(api: Api, body: Any, changed: Any) -> None:
    before = await known_buyer(api)
    got = await api.put("/v1/buyers/b-7", body)
    assert (got.status_code, got.json()) == (200, before | changed)
    assert (await api.get("/v1/buyers/b-7")).json() == before | changed


async def test_what_a_put_of_a_shop_a_category_or_a_history_does_not_say_stays(api: Api) -> None:
    await api.put("/v1/shops/s-7", {"name": "One", "attributes": {"score": 9}})
    assert (await api.put("/v1/shops/s-7", {"name": "Two"})).json()["attributes"] == {"score": 9}
    assert (await api.put("/v1/shops/s-7", {"attributes": {}})).json() | {"shop_id": ""} == {
        "shop_id": "", "name": "Two", "attributes": {},
    }  # fmt: skip
    await api.put("/v1/categories/mugs", {"customised": True})
    mugs = (await api.put("/v1/categories/mugs", {"title": "Mugs"})).json()
    assert (mugs["customised"], mugs["virtual"], mugs["title"]) == (True, False, "Mugs")
    stale = {"complete_from": "2024-01-01T00:00:00Z", "fresh_until": "2025-01-01T00:00:00Z"}
    await api.put("/v1/history/order_paid", stale)
    kept = await api.put("/v1/history/order_paid", {"complete_from": "2023-01-01T00:00:00Z"})
    assert kept.json()["fresh_until"] == "2025-01-01T00:00:00Z", "stale history does not become fresh by saying nothing"
    fed = await api.put("/v1/history/order_paid", stale | {"fresh_until": None})
    assert fed.json()["fresh_until"] is None


# Twice --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "path"),
    [
        (b'{"reason":"a","buyer_id":"b-1","buyer_id":"b-2"}', "buyer_id"),
        (b'{"buyer_id":"b-2","reason":"a","re\\u0061son":"b"}', "reason"),
        (b'{"buyer_id":"b-2","buyer_id":"b-2","reason":"a"}', "buyer_id"),
    ],
)
async def test_a_field_that_is_named_twice_is_refused(api: Api, content: bytes, path: str) -> None:
    got = await api.post("/v1/restrictions", content=content)
    assert (got.status_code, got.json()["path"]) == (400, path)
    assert await api.count("restriction") == 0


async def test_a_field_that_is_named_twice_is_refused_at_any_depth(api: Api) -> None:
    paid = b'{"amount_minor":1,"currency":"CNY","amount_minor":100}'
    line = b'{"line_id":"l1","sku":"s","item_id":"i","quantity":1,"paid":' + paid + b"}"
    head = b'{"buyer_id":"b","shop_id":"s","currency":"CNY","placed_at":"2026-06-01T11:00:00Z","lines":['
    got = await api.put("/v1/orders/o-7", content=head + line + b"]}")
    assert (got.status_code, got.json()["path"]) == (400, "lines[0].paid.amount_minor")
    attributes = b'{"attributes":{"vip":false,"tier":1,"vip":true}}'
    got = await api.put("/v1/buyers/b-7", content=attributes)
    assert (got.status_code, got.json()["path"]) == (400, "attributes.vip")


@pytest.mark.parametrize(
    ("name", "one", "two"),
    [
        ("idempotency-key", "k-1", "k-2"),
        ("Idempotency-Key", "k-1", "k-1"),
        ("if-match", '"1"', '"2"'),
        ("content-type", "application/json", "application/json"),
        ("jitui-deadline-ms", "1", "9000"),
        ("authorization", "", ""),
    ],
)
async def test_a_header_that_is_sent_twice_is_refused(api: Api, name: str, one: str, two: str) -> None:
    await api.paid_order("o-1")
    bearer = f"Bearer {api.platform}"
    headers = [(b"authorization", bearer.encode()), (b"content-type", b"application/json")]
    headers = [(key, value) for key, value in headers if key != name.lower().encode()]
    headers += [(name.encode(), (one or bearer).encode()), (name.encode(), (two or bearer).encode())]
    content = b'{"order_id":"o-1","buyer_id":"%s"}' % BUYER.encode()
    got = await api.client.post("/v1/after-sales", content=content, headers=headers)
    assert (got.status_code, got.json()["path"].lower()) == (400, name.lower())
    assert await api.count("ticket") == 0


# As something else --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "state=null", "approved_by=null", "requested_from=1767225600", "requested_from=1767225600.5",
        "requested_until=null", "limit=5.0", "limit=null", "limit=1e1", "limit=05", "limit=%205", "limit=true",
    ],
)  # fmt: skip
async def test_a_parameter_is_what_the_description_says_and_nothing_else(api: Api, query: str) -> None:
    got = await api.get(f"/v1/after-sales?{query}")
    assert (got.status_code, got.json()["path"]) == (400, query.partition("=")[0])


async def test_a_shop_that_is_called_null_is_a_shop(api: Api) -> None:
    await api.reviewed("o-1")
    assert (await api.get("/v1/after-sales?shop_id=null")).json()["tickets"] == []
    await api.reviewed("o-2", shop_id="null")
    await api.service.ticket_list.fill()
    assert len((await api.get("/v1/after-sales?shop_id=null&limit=5")).json()["tickets"]) == 1


async def test_what_is_answered_can_be_sent_again(api: Api) -> None:
    paused = (await api.post("/v1/pauses", {"scope": "platform", "reason": "A look."})).json()
    assert paused["ref"] == ""
    again = await api.post("/v1/pauses", {name: paused[name] for name in ("scope", "ref", "reason")})
    assert again.status_code == 200, again.text
    covered = {"scope": "platform", "ref": "", "covered": True, "reason": "Yes."}
    assert (await api.put("/v1/coverage", covered)).status_code == 200
    assert (await api.put("/v1/coverage", covered | {"scope": "shop"})).status_code == 400
    await api.paid_order("o-1")
    parcel = shipment(carrier="")
    assert (await api.post("/v1/orders/o-1/shipments", parcel)).json()["shipments"][0]["carrier"] == ""


async def test_a_payment_with_a_fraction_or_a_unix_time_is_refused(api: Api) -> None:
    await api.put("/v1/orders/o-1", order())
    for wrong in ({"captured_at": 1767225600}, {"amount": {"amount_minor": 5.0, "currency": "CNY"}}):
        assert (await api.post("/v1/orders/o-1/payments", payment("o-1") | wrong)).status_code == 400
