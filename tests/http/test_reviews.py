"""Reviews over HTTP: assignment, rejections with evidence and templates, offers, many at once, arbitration."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.http.api import SHOP, Api, order, payment

NO = {"reason_code": "made_to_order", "reason": "It is made.", "evidence": [{"text": "A photo."}]}
WANG = {"acting_for": "merchant", "person": "wang.fang"}


def at(version: int) -> dict[str, str]:
    return {"if-match": f'"{version}"'}


async def path_of(api: Api, order_id: str = "o-1", **more: Any) -> str:
    return f"/v1/after-sales/{(await api.reviewed(order_id, **more))['ticket_id']}"


async def test_a_rejection_without_words_code_or_evidence_says_what_is_missing(api: Api) -> None:
    path = await path_of(api)
    for body, status, field in (
        ({}, 400, "reason_code"),
        ({"reason_code": "other", "reason": "  ", "evidence": [{"text": "A chat."}]}, 400, "reason"),
        ({"reason_code": "other", "reason": "No."}, 422, "evidence"),
        ({"reason_code": "already_shipped", "reason": "No.", "evidence": [{"text": "x"}]}, 422, "shipment"),
        ({**NO, "evidence": [{"text": "x", "url": "javascript:alert(1)"}]}, 400, "evidence[0].url"),
        ({**NO, "template": "unknown"}, 400, "template"),
    ):
        got = await api.post(f"{path}/reject", body, headers=at(1))
        assert (got.status_code, got.json().get("path") or got.json()["errors"][0]["path"]) == (status, field), body
    assert (await api.get(path)).json()["state"] == "awaiting_merchant"


async def test_a_template_brings_code_and_words_and_is_the_shops_own(api: Api) -> None:
    engraved = {"reason_code": "made_to_order", "reason": "Your name is engraved."}
    put = await api.put("/v1/review-templates/engraved", engraved, key=api.shop)
    assert (put.status_code, put.json()["shop_id"]) == (200, SHOP)
    path = await path_of(api)
    sent = {"template": "engraved", "evidence": [{"text": "A photo."}]}
    done = (await api.post(f"{path}/reject", sent, key=api.shop, headers=at(1))).json()
    assert done["review"]["rejection"]["reason"] == "Your name is engraved."
    assert done["review"]["rejection"]["reason_code"] == "made_to_order"
    foreign = await api.get("/v1/review-templates?shop_id=shop-2", key=api.shop)
    assert foreign.status_code == 404
    assert [t["name"] for t in (await api.get(f"/v1/review-templates?shop_id={SHOP}")).json()["templates"]] == [
        "engraved"
    ]
    assert (await api.delete("/v1/review-templates/engraved", key=api.shop)).status_code == 204
    assert (await api.delete("/v1/review-templates/engraved", key=api.shop)).status_code == 404


async def test_a_shop_has_a_hundred_templates_at_most(api: Api) -> None:
    body = {"reason_code": "other", "reason": "No."}
    for number in range(100):
        assert (await api.put(f"/v1/review-templates/t-{number}", body, key=api.shop)).status_code == 200
    full = await api.put("/v1/review-templates/one-more", body, key=api.shop)
    assert (full.status_code, full.json()["type"]) == (409, "/problems/too-many-review-templates")
    assert (await api.put("/v1/review-templates/t-1", body, key=api.shop)).status_code == 200, "replaced, not added"


async def test_of_two_people_of_a_shop_one_answers(api: Api) -> None:
    path = await path_of(api)
    taken = (await api.post(f"{path}/assign", WANG)).json()
    assert taken["review"]["assignment"]["person"] == "wang.fang"
    li = {**WANG, "person": "li.na"}
    for verb, more in (("approve", {}), ("reject", NO)):
        got = await api.post(f"{path}/{verb}", {**more, **li}, headers=at(1))
        assert (got.status_code, got.json()["type"]) == (409, "/problems/ticket-assigned")
    assert (await api.post(f"{path}/assign", {**li, "take_over": True})).status_code == 200
    assert (await api.post(f"{path}/approve", li, headers=at(1))).json()["approved_by"] == "merchant"


async def test_the_buyer_accepts_a_part_and_reads_no_name(api: Api) -> None:
    """Two units for 300.00 CNY: the policy asks the shop, which refunds one."""
    sent = order(paid=30000)
    sent["lines"][0]["quantity"] = 2
    assert (await api.put("/v1/orders/o-1", sent)).status_code == 201
    await api.post("/v1/orders/o-1/payments", payment("o-1", 30000))
    path = f"/v1/after-sales/{(await api.ask('o-1'))['ticket']['ticket_id']}"
    line = sent["lines"][0]["line_id"]
    part = {"lines": [{"line_id": line, "quantity": 1}], "reason": "The other one is made.", **WANG}
    whole = await api.post(f"{path}/offer", {**part, "lines": [{"line_id": line, "quantity": 2}]}, headers=at(1))
    assert (whole.status_code, whole.json()["type"]) == (409, "/problems/units-not-available")
    assert (await api.post(f"{path}/offer", part)).status_code == 428
    offered = (await api.post(f"{path}/offer", part, headers=at(1))).json()
    assert offered["review"]["offer"]["offered_by"] == "wang.fang"
    read = (await api.get(path, key=api.buyer)).json()
    assert read["review"]["offer"]["offered_by"] == "" and read["review"]["offer"]["reason"] == part["reason"]
    stale = await api.post(f"{path}/offer/accept", key=api.buyer, headers=at(1))
    assert stale.status_code == 412
    accepted = (await api.post(f"{path}/offer/accept", key=api.buyer, headers=at(2))).json()
    assert (accepted["state"], accepted["amount"]["amount_minor"]) == ("refunding", 15000)
    declined = await api.post(f"{path}/offer/decline", key=api.buyer, headers=at(3))
    assert declined.json()["type"] == "/problems/ticket-already-approved"


async def test_many_are_decided_each_for_itself_and_once(api: Api) -> None:
    """One has changed meanwhile, one does not exist: both are named, the others are done, and once."""
    tickets = [await api.reviewed(f"o-{n}") for n in range(3)]
    stale = tickets[1]["ticket_id"]
    await api.post(f"/v1/after-sales/{stale}/reject", NO, headers=at(1))
    gone = str(uuid4())
    ids = [tickets[0]["ticket_id"], stale, gone, tickets[2]["ticket_id"]]
    body = {"action": "approve", "tickets": [{"ticket_id": one, "version": 1} for one in ids], **WANG}
    first = await api.post("/v1/after-sales/bulk", body, headers={"idempotency-key": "k-1"})
    rows = first.json()["tickets"]
    assert (first.status_code, first.json()["done"], first.json()["refused"]) == (200, 2, 2)
    assert [row["code"] for row in rows] == [None, "ticket-already-closed", "not-found", None]
    assert [row["state"] for row in rows] == ["refunding", None, None, "refunding"]
    again = await api.post("/v1/after-sales/bulk", body, headers={"idempotency-key": "k-1"})
    assert again.json() == first.json()
    fresh = (await api.post("/v1/after-sales/bulk", body)).json()["tickets"]
    assert {row["code"] for row in fresh} == {"ticket-already-approved", "ticket-already-closed", "not-found"}
    assert await api.count("refund") == 2


async def test_bad_bulk_requests_do_nothing(api: Api) -> None:
    ticket = await api.reviewed("o-1")
    row = {"ticket_id": ticket["ticket_id"], "version": 1}
    parcel = {"tracking_no": "SF1", "happened_at": "2026-06-01T12:00:00Z"}
    for body in (
        {"action": "approve", "tickets": []},
        {"action": "approve", "tickets": [row, row]},
        {"action": "approve", "tickets": [row], "rejection": NO},
        {"action": "reject", "tickets": [row]},
        {"action": "reject", "tickets": [row], "rejection": {**NO, "shipment": parcel}},
        {"action": "forget", "tickets": [row]},
        {"action": "approve", "tickets": [row] * 101},
    ):
        assert (await api.post("/v1/after-sales/bulk", body)).status_code == 400
    assert (await api.get(f"/v1/after-sales/{ticket['ticket_id']}")).json()["state"] == "awaiting_merchant"


async def test_many_are_rejected_with_one_reason(api: Api) -> None:
    tickets = [await api.reviewed(f"o-{n}") for n in range(2)]
    rows = [{"ticket_id": one["ticket_id"], "version": 1} for one in tickets]
    done = await api.post("/v1/after-sales/bulk", {"action": "reject", "tickets": rows, "rejection": NO}, key=api.shop)
    assert done.json()["done"] == 2
    view = (await api.get(f"/v1/after-sales/{tickets[1]['ticket_id']}")).json()
    assert view["review"]["rejection"]["evidence"] == [{"text": "A photo.", "url": "", "by": ""}]


async def test_an_arbitration_from_the_rejection_to_the_money(api: Api) -> None:
    await api.paid_order("o-1", paid=30000)
    path = f"/v1/after-sales/{(await api.ask('o-1'))['ticket']['ticket_id']}"
    await api.post(f"{path}/reject", {**NO, **WANG}, headers=at(1))
    asked = await api.post(f"{path}/arbitration", {"reason": "Nothing is made."}, key=api.buyer)
    assert (asked.status_code, asked.json()["review"]["arbitration"]["state"]) == (200, "open")
    (row,) = (await api.get("/v1/arbitrations", key=api.shop)).json()["arbitrations"]
    assert row["ticket_id"] == asked.json()["ticket_id"]
    evidence = {"evidence": [{"text": "The workshop's list.", "url": "https://shop.example/list"}]}
    shown = await api.post(f"{path}/arbitration/evidence", evidence, key=api.shop)
    assert shown.json()["review"]["arbitration"]["evidence"][0]["by"] == "merchant"
    decision = {"verdict": "approve", "at_fault": "merchant", "borne_by": "merchant", "reason": "No list of that day."}
    for wrong in ({**decision, "borne_by": None}, {**decision, "verdict": "deny"}, {**decision, "reason": " "}):
        assert (await api.post(f"{path}/arbitration/decide", wrong, headers=at(4))).status_code == 400
    stale = await api.post(f"{path}/arbitration/decide", decision, headers=at(3))
    assert stale.status_code == 412
    done = (await api.post(f"{path}/arbitration/decide", decision, headers=at(4))).json()
    assert (done["state"], done["approved_by"]) == ("refunding", "arbitration")
    assert done["review"]["arbitration"]["at_fault"] == "merchant"
    for key in (api.buyer, api.shop):
        assert (await api.get(path, key=key)).json()["review"]["arbitration"]["decided_by"] == ""
    assert (await api.get("/v1/arbitrations")).json()["arbitrations"] == []


async def test_the_feed_tells_the_steps_of_a_review(api: Api) -> None:
    path = await path_of(api)
    await api.post(f"{path}/reject", {**NO, **WANG}, headers=at(1))
    await api.post(f"{path}/arbitration", {"reason": "Nothing is made."})
    decision = {"verdict": "deny", "at_fault": "buyer", "reason": "It is made."}
    decided = await api.post(f"{path}/arbitration/decide", decision, headers=at(3))
    assert decided.status_code == 200, decided.text
    found = (await api.get("/v1/changes")).json()["changes"]
    kinds = [one["kind"] for one in found if one["ticket_id"] == path.rsplit("/", 1)[1]]
    assert kinds == ["ticket.requested", "ticket.rejected", "arbitration.opened", "arbitration.decided"]
    (told,) = [one["body"] for one in found if one["kind"] == "ticket.rejected"]
    assert (told["reason_code"], told["why"]) == ("made_to_order", "rejected")
