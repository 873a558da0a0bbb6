"""Idempotency-Key: the first response byte for byte, 422 for another request, 409 while it is in flight."""

from __future__ import annotations

import asyncio
import itertools
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx
import pytest

from jitui.aftersales.governance.registry import Restriction
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from jitui.ids import lane_of
from tests.http.api import BUYER, Api, payment, shipment

KEY = {"idempotency-key": "k-1"}


async def until_somebody_waits_for_a_lock(api: Api) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    for _ in range(200):
        async with api.market.pool.connection() as connection:
            row = await (await connection.execute(waiting)).fetchone()
        if row != (0,):
            return
        await asyncio.sleep(0.02)
    pytest.fail("nobody waits for a lock")


async def test_the_same_request_gets_the_first_answer_byte_for_byte(api: Api) -> None:
    await api.paid_order("o-1")
    body = {"order_id": "o-1", "buyer_id": BUYER}
    first = await api.post("/v1/after-sales", body, headers=KEY)
    api.now.later(hours=3)
    again = await api.post("/v1/after-sales", {"buyer_id": BUYER, "order_id": "o-1", "lines": []}, headers=KEY)
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.headers["etag"], again.headers["location"]) == (first.headers["etag"], first.headers["location"])
    assert await api.count("ticket") == 1


async def test_leaving_the_buyer_out_is_the_same_request_for_a_buyer_key(api: Api) -> None:
    await api.paid_order("o-1")
    first = await api.post("/v1/after-sales", {"order_id": "o-1"}, key=api.buyer, headers=KEY)
    again = await api.post("/v1/after-sales", {"order_id": "o-1", "buyer_id": BUYER}, key=api.buyer, headers=KEY)
    assert again.content == first.content


async def test_another_body_is_422_another_order_of_the_buyer_too(api: Api) -> None:
    await api.paid_order("o-1")
    await api.paid_order("o-2")
    await api.ask("o-1", headers=KEY)
    for body in (
        {"order_id": "o-1", "buyer_id": BUYER, "reason": "out_of_stock"},
        {"order_id": "o-2", "buyer_id": BUYER},
    ):
        got = await api.post("/v1/after-sales", body, headers=KEY)
        assert (got.status_code, got.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert await api.count("ticket") == 1


async def test_the_same_key_for_another_buyer_is_another_key_even_in_the_same_lane(api: Api) -> None:
    """A retry loop of a platform may use one key for many buyers: each is carried out, and replayed to its own."""
    twin = buyer_in_the_lane_of(BUYER)
    buyers = {"o-1": BUYER, "o-2": "buyer-2", "o-3": twin}
    first = {}
    for order_id, buyer_id in buyers.items():
        await api.paid_order(order_id, buyer_id=buyer_id)
        first[order_id] = await api.ask(order_id, buyer_id=buyer_id, headers=KEY)
    for order_id, buyer_id in buyers.items():
        assert await api.ask(order_id, buyer_id=buyer_id, headers=KEY) == first[order_id]
    assert await api.count("ticket") == 3


async def test_the_kept_answer_lies_in_the_lane_of_its_buyer_as_all_that_its_transaction_writes(api: Api) -> None:
    """One lane a transaction (decision 0017), for every kind of reference that a command opens an order by."""
    ticket = await api.reviewed("o-1", buyer_id="buyer-2")
    await api.post(f"/v1/after-sales/{ticket['ticket_id']}/approve", headers={**KEY, "if-match": '"1"'})
    await api.post("/v1/orders/o-1/completion", {"completed_at": "2026-06-08T12:00:00Z"}, headers=KEY)
    tables = ("idempotency", "ticket", "refund", "tender", "orders", "buyer_event WHERE buyer_id = 'buyer-2'")
    async with api.market.pool.connection() as connection:
        for table in tables:
            rows = await (await connection.execute(f"SELECT DISTINCT lane FROM {table}")).fetchall()
            assert rows == [(lane_of("buyer-2"),)], table


async def test_a_key_in_flight_for_one_buyer_holds_up_no_other_buyer_of_its_lane(api: Api) -> None:
    twin = buyer_in_the_lane_of(BUYER)
    await api.paid_order("o-1")
    await api.paid_order("o-2", buyer_id=twin)
    async with api.market.pool.connection() as holder:
        await holder.execute("SELECT 1 FROM buyer WHERE buyer_id = %s FOR UPDATE", (BUYER,))
        body = {"order_id": "o-1", "buyer_id": BUYER}
        first = asyncio.create_task(api.post("/v1/after-sales", body, headers=KEY))
        await until_somebody_waits_for_a_lock(api)
        await api.ask("o-2", buyer_id=twin, headers=KEY)
    assert (await first).status_code == 201


async def test_a_key_in_flight_under_one_api_key_or_route_is_not_in_flight_under_another(api: Api) -> None:
    other = (await issue_key(api.service.keys, KeyScope.PLATFORM, "", label="", now=api.now())).secret
    for order_id in ("o-1", "o-2"):
        await api.paid_order(order_id)
    async with api.market.pool.connection() as holder:
        await holder.execute("SELECT 1 FROM buyer WHERE buyer_id = %s FOR UPDATE", (BUYER,))
        first = asyncio.create_task(api.post("/v1/after-sales", {"order_id": "o-1", "buyer_id": BUYER}, headers=KEY))
        await until_somebody_waits_for_a_lock(api)
        asked = {"order_id": "o-2", "buyer_id": BUYER}
        done = {"completed_at": "2026-06-01T12:00:00Z"}
        others = [
            asyncio.create_task(api.post("/v1/after-sales", asked, headers=KEY, key=other)),
            asyncio.create_task(api.post("/v1/orders/o-1/completion", done, headers=KEY)),
        ]
        ended, _ = await asyncio.wait(others, timeout=0.5)
        assert not ended, "each waits for the buyer, and none is refused"
    assert [(await one).status_code for one in (first, *others)] == [201, 201, 201]


async def test_one_key_restricts_two_buyers_of_one_lane(api: Api) -> None:
    for buyer_id in ("buyer-9", buyer_in_the_lane_of("buyer-9")):
        body = {"buyer_id": buyer_id, "reason": "Cancels in series."}
        first = await api.post("/v1/restrictions", body, headers=KEY)
        again = await api.post("/v1/restrictions", body, headers=KEY)
        assert (first.status_code, first.json()["buyer_id"]) == (201, buyer_id)
        assert again.content == first.content
    assert await api.count("restriction") == 2


async def test_a_restriction_of_before_the_buyer_was_part_of_its_key_is_met_by_the_same_call(api: Api) -> None:
    body = {"buyer_id": "buyer-9", "reason": "Cancels in series."}
    key_id = api.platform.split("_")[1]
    digest = sha256(f"{key_id} {KEY['idempotency-key']}".encode()).digest()
    former = UUID(bytes=digest[:15] + bytes([lane_of("buyer-9")]), version=5)
    row = Restriction(former, body["buyer_id"], body["reason"], api.now(), None, "before")
    await api.service.registry.restrict(row)
    again = await api.post("/v1/restrictions", body, headers=KEY)
    assert (again.status_code, again.json()["restriction_id"]) == (201, str(former))
    assert (await api.post("/v1/restrictions", {**body, "reason": "Another."}, headers=KEY)).status_code == 422
    assert await api.count("restriction") == 1


def buyer_in_the_lane_of(buyer_id: str) -> str:
    candidates = (f"twin-{number}" for number in itertools.count())
    return next(twin for twin in candidates if lane_of(twin) == lane_of(buyer_id))


async def test_a_key_is_scoped_to_route_and_api_key(api: Api) -> None:
    other = (await issue_key(api.service.keys, KeyScope.PLATFORM, "", label="", now=api.now())).secret
    await api.paid_order("o-1")
    await api.paid_order("o-2")
    await api.ask("o-1", headers=KEY)
    await api.ask("o-2", headers=KEY, key=other)
    assert (await api.post("/v1/orders/o-1/payments", payment("o-1"), headers=KEY)).status_code == 200
    assert await api.count("ticket") == 2


async def test_the_address_and_the_version_are_part_of_the_request(api: Api) -> None:
    one, two = await api.reviewed("o-1"), await api.reviewed("o-2")
    first = await api.post(f"/v1/after-sales/{one['ticket_id']}/approve", headers={**KEY, "if-match": '"1"'})
    again = await api.post(f"/v1/after-sales/{one['ticket_id']}/approve", headers={**KEY, "if-match": '"1"'})
    assert (first.status_code, again.content, again.headers["etag"]) == (200, first.content, '"2"')
    other = await api.post(f"/v1/after-sales/{two['ticket_id']}/approve", headers={**KEY, "if-match": '"1"'})
    assert other.status_code == 422
    version = await api.post(f"/v1/after-sales/{one['ticket_id']}/approve", headers={**KEY, "if-match": '"2"'})
    assert version.status_code == 422


async def test_a_request_in_flight_is_409_and_its_key_does_not_wait(api: Api) -> None:
    """One request is paused inside its transaction, by the buyer's row lock that the test holds."""
    await api.paid_order("o-1")
    body = {"order_id": "o-1", "buyer_id": BUYER}
    async with api.market.pool.connection() as holder:
        await holder.execute("SELECT 1 FROM buyer WHERE buyer_id = %s FOR UPDATE", (BUYER,))
        first = asyncio.create_task(api.post("/v1/after-sales", body, headers=KEY))
        await until_somebody_waits_for_a_lock(api)
        second = await api.post("/v1/after-sales", body, headers=KEY)
        assert (second.status_code, second.json()["type"]) == (409, "/problems/request-in-flight")
        assert second.headers["retry-after"] == "1"
        assert not first.done()
    answer = await first
    third = await api.post("/v1/after-sales", body, headers=KEY)
    assert (answer.status_code, third.content) == (201, answer.content)
    assert await api.count("ticket") == 1


async def test_many_at_once_with_one_key_make_one_ticket(api: Api) -> None:
    await api.paid_order("o-1")
    body = {"order_id": "o-1", "buyer_id": BUYER}
    got = await asyncio.gather(*(api.post("/v1/after-sales", body, headers=KEY) for _ in range(20)))
    assert {answer.status_code for answer in got} <= {201, 409}
    assert len({answer.content for answer in got if answer.status_code == 201}) == 1
    assert await api.count("ticket") == 1


async def test_a_refusal_is_not_kept(api: Api) -> None:
    body = {"order_id": "o-1", "buyer_id": BUYER}
    assert (await api.post("/v1/after-sales", body, headers=KEY)).status_code == 404
    await api.paid_order("o-1")
    assert (await api.post("/v1/after-sales", body, headers=KEY)).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "schlüssel".encode().decode("latin-1")])
async def test_a_malformed_key_is_400(api: Api, key: str) -> None:
    headers = httpx.Headers([(b"idempotency-key", key.encode("latin-1")), (b"content-type", b"application/json")])
    headers["authorization"] = f"Bearer {api.platform}"
    got = await api.client.post("/v1/after-sales", content=b"{}", headers=headers)
    assert (got.status_code, got.json()["path"]) == (400, "Idempotency-Key")


async def test_every_command_replays(api: Api) -> None:
    """Payments, shipments, completion, rejection and withdrawal keep their answers too."""
    await api.paid_order("o-1")
    ticket = await api.reviewed("o-2")
    done = {"completed_at": "2026-06-08T12:00:00Z"}
    calls: list[tuple[str, Any]] = [
        ("/v1/orders/o-1/payments", payment("o-1", tender_id="t2")),
        ("/v1/orders/o-1/shipments", shipment()),
        ("/v1/orders/o-1/completion", done),
        (f"/v1/after-sales/{ticket['ticket_id']}/withdraw", None),
        ("/v1/restrictions", {"buyer_id": "buyer-9", "reason": "Cancels in series."}),
    ]
    for path, body in calls:
        first = await api.post(path, body, headers=KEY)
        again = await api.post(path, body, headers=KEY)
        assert first.status_code in (200, 201), first.text
        assert (again.status_code, again.content) == (first.status_code, first.content), path
        assert again.headers["idempotency-replayed"] == "true"
    other = await api.post("/v1/restrictions", {"buyer_id": "buyer-9", "reason": "Another."}, headers=KEY)
    assert other.status_code == 422


async def test_one_restriction_however_many_ask_for_it_at_once(api: Api) -> None:
    body = {"buyer_id": "buyer-9", "reason": "Cancels in series."}
    got = await asyncio.gather(*(api.post("/v1/restrictions", body, headers=KEY) for _ in range(8)))
    assert {answer.status_code for answer in got} == {201}
    assert await api.count("restriction") == 1
