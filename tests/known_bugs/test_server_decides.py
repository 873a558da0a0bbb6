"""The server decides, from its own facts.

- T30 eligibility in the browser only: shops whose page hid the refund button, while the call behind it took anything.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.api import Api

CLAIMS: list[dict[str, Any]] = [
    {"eligible": True},
    {"approved": True},
    {"outcome": "instant"},
    {"amount": {"amount_minor": 999999, "currency": "CNY"}},
    {"now": "2020-01-01T00:00:00Z"},
]


@pytest.mark.parametrize("claim", CLAIMS)
async def test_t30_what_the_client_claims_is_refused(api: Api, claim: dict[str, Any]) -> None:
    await api.paid_order("o-1", buyer_id="buyer-plain")
    for path in ("/v1/after-sales", "/v1/eligibility"):
        got = await api.post(path, {"order_id": "o-1", "buyer_id": "buyer-plain", **claim})
        assert got.status_code == 400
    assert await api.count("ticket") == 0


async def test_t30_eligibility_is_decided_on_the_server_when_the_request_comes(api: Api) -> None:
    """The dry run said instant; by the time of the request a scan has come, and nothing of the dry run counts."""
    await api.paid_order("o-1")
    body = {"order_id": "o-1", "buyer_id": "buyer-1"}
    assert (await api.post("/v1/eligibility", body)).json()["outcome"] == "instant"
    scan = {
        "degree": "picked_up",
        "carrier": "sf",
        "tracking_no": "SF1",
        "source": "carrier",
        "happened_at": "2026-06-01T19:00:00+08:00",
    }
    assert (await api.post("/v1/orders/o-1/shipments", scan)).status_code == 201
    decided = (await api.post("/v1/after-sales", body)).json()
    assert decided["ticket"]["state"] == "awaiting_merchant"
    assert await api.count("refund") == 0


async def test_t30_a_buyers_key_cannot_speak_for_another_buyer(api: Api) -> None:
    await api.paid_order("o-1", buyer_id="buyer-plain")
    got = await api.post("/v1/after-sales", {"order_id": "o-1", "buyer_id": "buyer-plain"}, key=api.buyer)
    assert got.status_code in (403, 404)
    assert await api.count("ticket") == 0
