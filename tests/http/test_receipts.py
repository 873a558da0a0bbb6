"""Withdrawals, receipts, statements of reasons and preferences of notices over HTTP."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256

import pytest

from jitui.errors import NotConfigured
from jitui.notices.receipt_pdf import system_font
from tests.http.api import BUYER, NO, SHOP, Api


async def withdrawn(api: Api, order: str, **more: object) -> str:
    body = {"order_id": order, "buyer_id": "buyer-plain", "basis": "withdrawal"}
    got = await api.post("/v1/after-sales", body, **more)
    assert got.status_code == 201, got.text
    ticket = got.json()["ticket"]
    assert (ticket["basis"], ticket["approved_by"]) == ("withdrawal", "withdrawal")
    return str(ticket["ticket_id"])


async def test_the_two_steps_of_a_withdrawal_say_the_same_and_the_first_writes_nothing(api: Api) -> None:
    """The buyer of the order has no history at all, and the order is over every limit of the policy."""
    await api.paid_order("o-1", buyer_id="buyer-plain", paid=99900)
    body = {"order_id": "o-1", "buyer_id": "buyer-plain", "basis": "withdrawal"}
    first = (await api.post("/v1/eligibility", body)).json()
    assert (first["outcome"], first["policy"]["policy_id"]) == ("instant", "statutory-withdrawal")
    assert await api.count("ticket") == 0
    goodwill = (await api.post("/v1/eligibility", {**body, "basis": "goodwill"})).json()
    assert goodwill["outcome"] == "review"
    await withdrawn(api, "o-1")


async def test_the_receipt_as_json_is_the_text_that_was_kept_whatever_becomes_of_the_ticket(api: Api) -> None:
    ticket = await api.reviewed("o-1")
    path = f"/v1/after-sales/{ticket['ticket_id']}/receipt"
    first = await api.get(path)
    digest = sha256(first.content).digest()
    assert first.headers["etag"] == f'"{digest.hex()}"'
    assert first.headers["content-digest"] == f"sha-256=:{b64encode(digest).decode()}:"
    told = first.json()
    assert (told["order_id"], told["amount_minor"], told["decision"]["outcome"]) == ("o-1", 12900, "review")
    assert told["decision"]["answer_by"] is not None
    await api.post(f"/v1/after-sales/{ticket['ticket_id']}/withdraw")
    again = await api.get(path, key=api.shop)
    assert again.content == first.content


async def test_the_receipt_is_a_page_or_a_document_for_who_asks_for_one(api: Api) -> None:
    await api.paid_order("o-1", buyer_id="buyer-plain")
    path = f"/v1/after-sales/{await withdrawn(api, 'o-1')}/receipt"
    kept = json.loads((await api.get(path)).content)
    page = await api.get(path, headers={"accept": "text/html"}, params={"language": "en"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Right of withdrawal from the contract" in page.text and kept["ticket_id"] in page.text
    assert page.headers["etag"] == (await api.get(path)).headers["etag"], "the hash is that of the content"
    chinese = await api.get(path, headers={"accept": "text/html"})
    assert "退款申请回执" in chinese.text
    document = await api.get(path, headers={"accept": "application/pdf"})
    try:
        system_font()
    except NotConfigured as error:
        assert (document.status_code, document.json()["detail"]) == (406, str(error))
    else:
        assert document.headers["content-type"] == "application/pdf" and document.content.startswith(b"%PDF-")


async def test_a_shop_that_rejects_a_withdrawal_without_a_ground_is_refused(api: Api) -> None:
    await api.put("/v1/pauses", {"scope": "platform", "ref": "", "reason": "Fraud."})
    await api.post("/v1/pauses", {"scope": "platform", "reason": "Fraud."})
    await api.paid_order("o-1", buyer_id="buyer-plain")
    body = {"order_id": "o-1", "buyer_id": "buyer-plain", "basis": "withdrawal"}
    ticket = (await api.post("/v1/after-sales", body)).json()["ticket"]
    assert ticket["state"] == "awaiting_merchant"
    path = f"/v1/after-sales/{ticket['ticket_id']}/reject"
    got = await api.post(path, NO, key=api.shop, headers={"if-match": '"1"'})
    assert (got.status_code, got.json()["type"]) == (409, "/problems/withdrawal-needs-ground")


async def test_the_statement_of_reasons_of_a_rejection(api: Api) -> None:
    ticket = await api.reviewed("o-1")
    path = f"/v1/after-sales/{ticket['ticket_id']}"
    assert (await api.get(f"{path}/statement-of-reasons")).status_code == 404
    await api.post(f"{path}/reject", {**NO, "reason": "Made this morning."}, key=api.shop, headers={"if-match": '"1"'})
    told = (await api.get(f"{path}/statement-of-reasons")).json()
    assert "Made this morning." in told["statement"]["en"] and "Made this morning" in told["statement"]["zh"]
    assert "平台介入" in told["statement"]["zh"]
    assert told["contest_by"].startswith("2026-06-08T")


async def test_what_must_be_told_cannot_be_switched_off(api: Api) -> None:
    path = f"/v1/buyers/{BUYER}/notice-preferences"
    assert (await api.get(path, key=api.buyer)).json()["off"] == []
    got = await api.put(path, {"off": ["refunded", "request_received", "stop_ship"]}, key=api.buyer)
    assert got.status_code == 400
    assert [fault["path"] for fault in got.json()["errors"]] == ["off[1]", "off[2]"]
    got = await api.put(path, {"off": ["refunded"], "language": "en"}, key=api.buyer)
    assert (got.json()["off"], got.json()["language"]) == (["refunded"], "en")
    assert (await api.get(path)).json() == got.json()
    assert (await api.get(f"/v1/shops/{SHOP}/notice-preferences")).json()["off"] == []


@pytest.mark.parametrize("key", ["shop", "buyer"])
async def test_anothers_preferences_are_not_there(api: Api, key: str) -> None:
    for path in ("/v1/buyers/somebody/notice-preferences", "/v1/shops/somewhere/notice-preferences"):
        got = await api.get(path, key=getattr(api, key))
        assert got.status_code in (403, 404)
