"""Shipping risks, answers to stop-ships and many tracking numbers over the API."""

from __future__ import annotations

from typing import Any

from jitui.policy import Policy
from tests.http.api import Api, order, shipment
from tests.policy.policy_samples import DEFAULT
from tests.publishing import put_in_force

RISKS, BULK = "/v1/shipping-risks", "/v1/shipments/bulk"


async def scanned(api: Api, order_id: str, *, shop_id: str = "shop-1") -> None:
    """An order of which only the carrier has told."""
    await api.paid_order(order_id, buyer_id=f"b-{order_id}", shop_id=shop_id)
    scan = shipment("picked_up", source="carrier", tracking_no=f"SF-{order_id}")
    assert (await api.post(f"/v1/orders/{order_id}/shipments", scan)).status_code == 201


async def test_risks_say_since_when_for_how_much_and_what_to_do(api: Api) -> None:
    await scanned(api, "o-1")
    await scanned(api, "o-2", shop_id="shop-2")
    api.now.later(hours=1)
    whole = (await api.get(RISKS)).json()
    assert [row["order_id"] for row in whole["risks"]] == ["o-1", "o-2"] and whole["next"] is None
    (risk,) = (await api.get(RISKS, key=api.shop)).json()["risks"]
    assert risk == {
        "risk": "scan_without_tracking",
        "order_id": "o-1",
        "shop_id": "shop-1",
        "since": "2026-06-01T12:00:00Z",
        "age_seconds": 3600,
        "amount": {"amount_minor": 12900, "currency": "CNY"},
        "what_to_do": "Record the tracking number: the carrier has this parcel already.",
        "carrier": "sf",
        "tracking_no": "SF-o-1",
        "ticket_id": None,
    }
    assert (await api.get(RISKS, params={"shop_id": "shop-2"})).json()["risks"][0]["order_id"] == "o-2"
    assert (await api.get(RISKS, key=api.shop, params={"shop_id": "shop-2"})).status_code == 404
    assert (await api.get(RISKS, params={"risk": "open_ticket"})).json()["risks"] == []


async def test_the_list_is_paged_by_its_cursor(api: Api) -> None:
    for number in range(5):
        await scanned(api, f"o-{number}")
    seen, cursor = [], None
    while True:
        page = (await api.get(RISKS, params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [row["order_id"] for row in page["risks"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == [f"o-{number}" for number in range(5)]
    assert (await api.get(RISKS, params={"cursor": "nonsense"})).json()["path"] == "cursor"


async def test_the_settings_say_when_a_label_is_late(api: Api) -> None:
    await api.paid_order("o-1")
    assert (await api.post("/v1/orders/o-1/shipments", shipment("label_printed"))).status_code == 201
    api.now.later(hours=23, minutes=59)
    assert (await api.get(RISKS)).json()["risks"] == []
    api.now.later(minutes=1)
    assert (await api.get(RISKS)).json()["risks"][0]["risk"] == "label_not_handed_over"


# Stop-ships --------------------------------------------------------------------------------------------------------


async def refunded(api: Api) -> str:
    await api.paid_order("o-1")
    await api.post("/v1/orders/o-1/shipments", shipment("label_printed"))
    ticket = (await api.ask("o-1"))["ticket"]
    assert ticket["approved_by"] == "instant_refund"
    return f"/v1/stop-ships/{ticket['ticket_id']}/acknowledge"


async def test_the_warehouse_answers_and_the_ticket_shows_it(api: Api) -> None:
    path = await refunded(api)
    held = {"outcome": "held", "person": "wang.fang"}
    for key in (api.platform, api.shop):
        got = await api.post(path, held, key=key)
        assert got.status_code == 200
    timeline = [row["why"] for row in got.json()["timeline"]]
    assert timeline.count("stop_ship_held") == 1
    gone = {"outcome": "already_gone", "tracking_no": "SF1", "happened_at": "2026-06-01T11:59:00Z"}
    first = await api.post(path, gone, headers={"idempotency-key": "k-1"})
    again = await api.post(path, gone, headers={"idempotency-key": "k-1"})
    assert first.status_code == again.status_code == 200 and first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    (incident,) = (await api.get("/v1/incidents")).json()["incidents"]
    assert incident["evidence"][0]["tracking_no"] == "SF1"
    refused = await api.post(path, {"outcome": "held", "person": "li.na"})
    assert refused.status_code == 200, "held was said before"


async def test_a_refund_that_waits_is_approved_by_the_answer(api: Api) -> None:
    text = DEFAULT.read_text(encoding="utf-8").replace('version: "2"', 'version: "3"')
    policy = Policy.from_text(f"{text}\nstop_ship: {{approve_when_held_within_minutes: 30}}\n")
    await put_in_force(api.service.policies, policy, by="test", now=api.now())
    await api.paid_order("o-1")
    await api.post("/v1/orders/o-1/shipments", shipment("label_printed"))
    ticket = (await api.ask("o-1"))["ticket"]
    assert (ticket["state"], ticket["approved_by"]) == ("awaiting_merchant", None)
    decision = (await api.get(f"/v1/after-sales/{ticket['ticket_id']}/decision", key=api.buyer)).json()
    assert decision["conditions"][-1]["id"] == "held_by_warehouse"
    changes = (await api.get("/v1/changes", key=api.shop)).json()["changes"]
    assert changes[-1]["kind"] == "stop_ship.requested"
    assert changes[-1]["body"]["answer_by"] == "2026-06-01T12:30:00+00:00"
    path = f"/v1/stop-ships/{ticket['ticket_id']}/acknowledge"
    got = await api.post(path, {"outcome": "held"}, key=api.shop, headers={"idempotency-key": "k-1"})
    assert (got.status_code, got.json()["approved_by"]) == (200, "instant_refund")
    again = await api.post(path, {"outcome": "held"}, key=api.shop, headers={"idempotency-key": "k-1"})
    assert again.content == got.content


async def test_an_answer_that_does_not_fit_is_refused_in_words(api: Api) -> None:
    path = await refunded(api)
    bad: tuple[tuple[dict[str, Any], str], ...] = (
        ({"outcome": "already_gone"}, "tracking_no"),
        ({"outcome": "held", "tracking_no": "SF1"}, "tracking_no"),
        ({"outcome": "held", "happened_at": "2026-06-01T11:59:00Z"}, "happened_at"),
        ({"outcome": "lost"}, "outcome"),
        ({}, "outcome"),
    )
    for sent, field in bad:
        got = await api.post(path, sent)
        assert (got.status_code, got.json()["path"]) == (400, field), got.text


# Many tracking numbers -------------------------------------------------------------------------------------------


async def test_each_row_is_done_known_or_refused_by_itself(api: Api) -> None:
    for number in (1, 2, 3):
        await api.paid_order(f"o-{number}", buyer_id=f"b-{number}")
    await api.paid_order("o-7", buyer_id="b-7", shop_id="shop-2")
    rows = [
        {"order_id": "o-1", "tracking_no": "9007199254740993001", "carrier": "sf"},
        {"order_id": "o-2", "tracking_no": "9007199254740993001"},
        {"order_id": "o-404", "tracking_no": "SF404"},
        {"order_id": "o-7", "tracking_no": "SF7"},
        {"order_id": "o-3", "tracking_no": "SF3", "lines": [{"line_id": "l1", "quantity": 2}]},
        {"order_id": "o-1", "tracking_no": "9007199254740993001"},
    ]
    told = (await api.post(BULK, {"rows": rows}, key=api.shop)).json()
    assert [(row["outcome"], row["code"]) for row in told["results"]] == [
        ("done", ""),
        ("refused", "waybill-of-another-buyer"),
        ("refused", "not-found"),
        ("refused", "not-found"),
        ("refused", "units-not-available"),
        ("unchanged", ""),
    ]
    assert (told["done"], told["unchanged"], told["refused"]) == (1, 1, 4)
    assert told["results"][4]["path"] == "lines[0]" and told["results"][4]["detail"]
    again = (await api.post(BULK, {"rows": rows}, key=api.shop)).json()
    assert (again["done"], again["unchanged"], again["refused"]) == (0, 2, 4)
    parcels = (await api.get("/v1/orders/o-1")).json()["shipments"]
    assert [(one["tracking_no"], one["degree"], one["carrier"]) for one in parcels] == [
        ("9007199254740993001", "shipped", "sf")
    ]
    assert await api.count("shipment") == 1


async def test_a_body_that_does_not_fit_records_nothing(api: Api) -> None:
    await api.paid_order("o-1")
    good = {"order_id": "o-1", "tracking_no": "SF1"}
    bad: tuple[list[Any], ...] = (
        [],
        [good] * 501,
        [good, {"order_id": "o-1"}],
        [good, {**good, "tracking_no": ""}],
        [good, {**good, "happened_at": "1969-01-01T00:00:00Z"}],
        [good, {**good, "lines": [{"line_id": "l1", "quantity": 1}] * 2}],
    )
    for rows in bad:
        assert (await api.post(BULK, {"rows": rows})).status_code == 400
    assert await api.count("shipment") == 0


async def test_a_platform_says_for_whom_it_enters_them(api: Api) -> None:
    await api.put("/v1/orders/o-9", order(buyer_id="b-9"))
    rows = [{"order_id": "o-9", "tracking_no": "SF9"}]
    told = (await api.post(BULK, {"rows": rows, "acting_for": "merchant", "person": "wang.fang"})).json()
    assert told["results"][0]["code"] == "order-not-paid"
    assert (await api.post(BULK, {"rows": rows, "acting_for": "merchant"})).status_code == 400
