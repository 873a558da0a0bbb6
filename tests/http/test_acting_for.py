"""Who decided: the merchant by its own key, an operator, or a person of the merchant through the platform."""

from __future__ import annotations

from typing import Any

import pytest

from jitui.entrypoints.http.openapi import document
from tests.http.api import NO, SHOP, Api, shipment

WANG = {"acting_for": "merchant", "person": "wang.fang"}
FIRST = {"if-match": '"1"'}


async def decide(api: Api, order_id: str, verb: str, body: Any, key: str | None = None) -> Any:
    ticket = await api.reviewed(order_id)
    path = f"/v1/after-sales/{ticket['ticket_id']}/{verb}"
    got = await api.post(path, body, headers=FIRST, key=key or api.platform)
    assert got.status_code == 200, got.text
    return (await api.get(f"/v1/after-sales/{ticket['ticket_id']}")).json()


async def test_a_platform_key_approves_as_operator(api: Api) -> None:
    ticket = await decide(api, "o-1", "approve", None)
    event = ticket["timeline"][-1]
    assert (ticket["approved_by"], event["actor"], event["actor_id"]) == ("operator", "platform", "tests")
    assert event["why"] == "approved_operator"
    changes = (await api.get("/v1/changes?limit=200")).json()["changes"]
    assert [one["body"]["approved_by"] for one in changes if one["kind"] == "ticket.approved"] == ["operator"]


async def test_a_shop_key_approves_as_merchant(api: Api) -> None:
    ticket = await decide(api, "o-1", "approve", None, api.shop)
    event = ticket["timeline"][-1]
    assert (ticket["approved_by"], event["actor"], event["actor_id"]) == ("merchant", "merchant", SHOP)


async def test_a_platform_that_passes_on_its_merchants_word_says_whose_it_is(api: Api) -> None:
    ticket = await decide(api, "o-1", "approve", WANG)
    event = ticket["timeline"][-1]
    assert (ticket["approved_by"], event["actor"], event["actor_id"]) == ("merchant", "merchant", "wang.fang")
    assert event["detail"]["through"] == "tests"


async def test_a_rejection_is_whose_it_is_too(api: Api) -> None:
    alone = await decide(api, "o-1", "reject", {**NO, "reason": "Packed."})
    passed_on = await decide(api, "o-2", "reject", {**NO, "reason": "Packed.", **WANG})
    assert [ticket["timeline"][-1]["actor"] for ticket in (alone, passed_on)] == ["platform", "merchant"]
    assert passed_on["timeline"][-1]["detail"] == {
        "reason_code": "other",
        "reason": "Packed.",
        "evidence": [{"text": "A message.", "url": ""}],
        "through": "tests",
    }


@pytest.mark.parametrize("half", [{"acting_for": "merchant"}, {"person": "wang.fang"}])
async def test_half_of_it_is_refused(api: Api, half: Any) -> None:
    ticket = await api.reviewed("o-1")
    got = await api.post(f"/v1/after-sales/{ticket['ticket_id']}/approve", half, headers=FIRST)
    assert (got.status_code, got.json()["path"]) == (400, ({"acting_for", "person"} - set(half)).pop())
    await api.paid_order("o-2")
    assert (await api.post("/v1/orders/o-2/shipments", shipment(**half))).status_code == 400


@pytest.mark.parametrize("body", [{"acting_for": "buyer", "person": "x"}, {"acting_for": None, "person": "x"}])
async def test_a_platform_acts_for_merchants_alone(api: Api, body: Any) -> None:
    ticket = await api.reviewed("o-1")
    got = await api.post(f"/v1/after-sales/{ticket['ticket_id']}/approve", body, headers=FIRST)
    assert got.status_code == 400


async def test_a_shops_key_acts_for_nobody_else(api: Api) -> None:
    ticket = await api.reviewed("o-1")
    path = f"/v1/after-sales/{ticket['ticket_id']}/approve"
    got = await api.post(path, WANG, headers=FIRST, key=api.shop)
    assert (got.status_code, got.json()["path"]) == (400, "acting_for")


async def test_for_whom_is_part_of_the_request_that_a_key_names(api: Api) -> None:
    ticket = await api.reviewed("o-1")
    path, headers = f"/v1/after-sales/{ticket['ticket_id']}/approve", FIRST | {"idempotency-key": "k-1"}
    first = await api.post(path, None, headers=headers)
    assert (await api.post(path, {}, headers=headers)).content == first.content, "nothing said is nothing said"
    assert (await api.post(path, WANG, headers=headers)).status_code == 422


def test_if_match_is_described_as_needed_where_it_is() -> None:
    paths = document()["paths"]
    needed = {
        verb: next(
            one["required"]
            for one in paths[f"/v1/after-sales/{{ticket_id}}/{verb}"]["post"]["parameters"]
            if one["name"] == "If-Match"
        )
        for verb in ("approve", "reject", "withdraw")
    }
    assert needed == {"approve": True, "reject": True, "withdraw": False}
    assert paths["/v1/after-sales/{ticket_id}/approve"]["post"]["requestBody"]["required"] is False
