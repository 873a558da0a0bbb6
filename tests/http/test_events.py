"""History as CloudEvents: one or a batch, each event judged by itself, and each counted once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.http.api import Api

ONE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"


def event(number: int = 1, *, buyer_id: str = "b-1", **more: Any) -> dict[str, Any]:
    data = {"buyer_id": buyer_id, "amount_minor": 100, "currency": "CNY", **more.pop("data", {})}
    base = {
        "specversion": "1.0",
        "id": f"e-{number}",
        "source": "/warehouse/7",
        "type": "example.shop.order_completed",
        "time": "2026-05-20T12:00:00+08:00",
    }
    return {**base, "data": data, **more}


async def send(api: Api, body: Any, *, media_type: str | None = None, **more: Any) -> httpx.Response:
    kind = media_type if media_type is not None else BATCH if isinstance(body, list) else ONE
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await api.post("/v1/events", content=content, headers={"content-type": kind}, **more)


async def taken(api: Api, body: Any) -> list[str]:
    got = await send(api, body)
    assert got.status_code == 200, got.text
    results = got.json()["results"]
    for word in ("accepted", "repeated", "refused"):
        assert got.json()[word] == sum(one["outcome"] == word for one in results)
    return [one["outcome"] for one in results]


async def days(api: Api) -> list[tuple[object, ...]]:
    async with api.market.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT buyer_id, kind, events, amount_minor FROM buyer_day WHERE buyer_id LIKE 'b-%' AND events > 0 "
            "ORDER BY 1, 2"
        )
        return await cursor.fetchall()


async def test_one_event_is_counted_once_however_often_it_is_sent(api: Api) -> None:
    assert await taken(api, event()) == ["accepted"]
    assert await taken(api, event()) == ["repeated"]
    assert await taken(api, event(data={"amount_minor": 999})) == ["repeated"], "whatever it says then"
    assert await taken(api, [event(), event(2), event(2)]) == ["repeated", "accepted", "repeated"]
    assert await days(api) == [("b-1", "order_completed", 2, 200)]


async def test_an_id_is_unique_within_its_source(api: Api) -> None:
    assert await taken(api, [event(), event(source="/warehouse/8"), event(source="/warehouse/7e-", id="1")]) == [
        "accepted",
        "accepted",
        "accepted",
    ]
    assert await days(api) == [("b-1", "order_completed", 3, 300)]


async def test_each_event_of_a_batch_is_judged_by_itself(api: Api) -> None:
    await api.paid_order("o-1", buyer_id="buyer-9")
    sent = [
        event(1),
        event(2, type="example.unknown"),
        event(3, data={"order_id": "o-1"}),
        event(4, data={"amount_minor": -1}),
        event(5, specversion="0.3"),
        event(6, time="2026-05-20T12:00:00"),
        {name: value for name, value in event(7).items() if name != "time"},
        event(8, Upper="x"),
        event(9, data={"ammount": 5}),
        "nothing",
        event(10),
    ]
    got = (await send(api, sent)).json()
    assert (got["accepted"], got["repeated"], got["refused"]) == (2, 0, 9)
    assert [(one["outcome"], one["path"]) for one in got["results"]] == [
        ("accepted", ""),
        ("refused", "type"),
        ("refused", "data.order_id"),
        ("refused", "data.amount_minor"),
        ("refused", "specversion"),
        ("refused", "time"),
        ("refused", "time"),
        ("refused", "Upper"),
        ("refused", "data.ammount"),
        ("refused", ""),
        ("accepted", ""),
    ]
    assert all(bool(one["reason"]) == (one["outcome"] == "refused") for one in got["results"])
    assert [one["id"] for one in got["results"]][:9] == [f"e-{number}" for number in range(1, 10)]
    assert got["results"][9]["id"] is None
    assert await days(api) == [("b-1", "order_completed", 2, 200)]


async def test_a_single_event_that_is_refused_is_a_problem(api: Api) -> None:
    await api.paid_order("o-1", buyer_id="buyer-9")
    for sent, path in (
        (event(type="never"), "type"),
        (event(data={"order_id": "o-1"}), "data.order_id"),
        ([], ""),
        (["x"] * 1001, ""),
        ({}, "specversion"),
        ("text", ""),
    ):
        got = await send(api, sent)
        assert (got.status_code, got.json()["type"]) == (400, "/problems/invalid-request"), sent
        assert got.json().get("path", "") == path
    assert await days(api) == []


async def test_an_event_of_one_buyer_is_not_one_of_another(api: Api) -> None:
    assert await taken(api, event()) == ["accepted"]
    got = (await send(api, [event(buyer_id="b-2"), event(2, buyer_id="b-2")])).json()
    assert [one["outcome"] for one in got["results"]] == ["refused", "accepted"]
    assert "another buyer" in got["results"][0]["reason"]
    assert await days(api) == [("b-1", "order_completed", 1, 100), ("b-2", "order_completed", 1, 100)]


async def test_what_was_refused_can_be_sent_again_when_it_is_right(api: Api) -> None:
    await api.paid_order("o-1", buyer_id="buyer-9")
    assert await taken(api, [event(data={"order_id": "o-1"})]) == ["refused"]
    assert await taken(api, [event(buyer_id="b-2")]) == ["accepted"]


async def test_an_event_takes_back_one_of_its_own_source(api: Api) -> None:
    assert await taken(api, [event(1), event(1, source="/other")]) == ["accepted", "accepted"]
    assert await taken(api, event(2, data={"retracts": "e-1"})) == ["accepted"]
    assert await days(api) == [("b-1", "order_completed", 1, 100)]
    got = (await send(api, [event(3, type="order_paid", data={"retracts": "e-1"})])).json()
    assert (got["results"][0]["outcome"], got["results"][0]["path"]) == ("refused", "data.retracts")


async def test_the_same_event_from_two_senders_at_once_is_taken_once(api: Api) -> None:
    batch = [event(number, buyer_id=f"b-{number % 3}") for number in range(30)]
    answers = await asyncio.gather(*(taken(api, list(order)) for order in (batch, batch[::-1], batch, batch[::-1])))
    assert sum(answer.count("accepted") for answer in answers) >= 30
    assert sum(int(str(row[2])) for row in await days(api)) == 30


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "application/cloudevents+protobuf", ""])
async def test_another_media_type_is_refused_with_those_that_are_taken(api: Api, media_type: str) -> None:
    got = await send(api, event(), media_type=media_type)
    assert (got.status_code, got.json()["type"]) == (415, "/problems/unsupported-media-type")
    assert ONE in got.json()["detail"] and BATCH in got.json()["detail"]


async def test_the_charset_may_be_named(api: Api) -> None:
    assert (await send(api, event(), media_type=f"{ONE}; charset=utf-8")).json()["accepted"] == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "invalid-request"),
        (b"{", "invalid-json"),
        (b"\xff", "invalid-json"),
        (b"[" * 100_000, "invalid-json"),
        (b'{"id": "a", "id": "b"}', "invalid-request"),
        (b'{"id": "\\u0000"}', "invalid-request"),
        (b'{"id": ' + b"9" * 5000 + b"}", "invalid-request"),
        (b"[" + b'"x",' * 300_000 + b'"x"]', "body-too-large"),
    ],
)
async def test_what_is_no_event_at_all_is_refused_as_a_whole(api: Api, body: bytes, kind: str) -> None:
    for media_type in (ONE, BATCH):
        got = await send(api, body, media_type=media_type)
        assert got.status_code < 500 and got.json()["type"] == f"/problems/{kind}"


async def test_extension_attributes_and_other_parts_of_the_standard_are_let_through(api: Api) -> None:
    rich = event(traceparent="00-0af7-01", datacontenttype="application/json", subject="o-1", dataschema="/s", weight=5)
    assert await taken(api, rich) == ["accepted"]
