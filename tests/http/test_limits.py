"""Rate limits: requests of a key, wrong keys, and waiting readers; and who must never be limited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from jitui.bootstrap import Service
from jitui.entrypoints.http import keys as api_keys
from jitui.entrypoints.http import limits
from jitui.entrypoints.http.app import create_app
from jitui.entrypoints.http.limits import Buckets, Rate, Readers
from jitui.identity.access import KeyScope
from jitui.identity.keys import ApiKey, issue_key
from tests.asgi import transport_to
from tests.http.api import Api

WRONG = "jt_{}_" + "w" * 43


class CountingKeys:
    """The kept keys, which remember which of them were asked for, one entry for each statement."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.asked: list[tuple[str, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def find(self, key_ids: Collection[str]) -> dict[str, tuple[ApiKey, bytes]]:
        self.asked.append(tuple(key_ids))
        found: dict[str, tuple[ApiKey, bytes]] = await self._inner.find(key_ids)
        return found


@asynccontextmanager
async def limited(api: Api, **settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, CountingKeys]]:
    """Another process on the same database: it knows no key yet."""
    kept = CountingKeys(api.service.keys)
    service: Service = replace(api.service, keys=kept, settings=replace(api.service.settings, **settings))
    transport = transport_to(create_app(service), client=("192.0.2.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://jitui") as client:
        yield client, kept


def bearer(key: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", **more}


async def guess(client: httpx.AsyncClient, count: int, **headers: str) -> list[int]:
    got = [
        await client.get("/v1/history", headers=bearer(WRONG.format(f"guess{number}"), **headers))
        for number in range(count)
    ]
    return [answer.status_code for answer in got]


async def test_beyond_their_number_wrong_keys_are_429_and_a_right_key_of_the_same_address_is_taken(api: Api) -> None:
    async with limited(api, wrong_keys_per_minute=3) as (client, kept):
        assert await guess(client, 6) == [401, 401, 401, 429, 429, 429]
        before = len(kept.asked)
        right = [await client.get("/v1/history", headers=bearer(api.platform)) for _ in range(5)]
        assert {answer.status_code for answer in right} == {200}
        assert len(kept.asked) == before + 1, "known from then on"
        refused = await client.get("/v1/history", headers=bearer(WRONG.format("again")))
        assert refused.json()["type"] == "/problems/rate-limited"
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["ratelimit-policy"] == '"wrong-keys";q=3;w=60'


async def test_the_database_is_not_asked_once_for_each_wrong_key(api: Api) -> None:
    async with limited(api, wrong_keys_per_minute=1) as (client, kept):
        await guess(client, 1)
        await asyncio.gather(
            *(client.get("/v1/history", headers=bearer(WRONG.format(f"many{number}"))) for number in range(200))
        )
        assert len(kept.asked) <= 3, "one statement for all that were shown meanwhile"
        asked = len(kept.asked)
        for secret in range(20):
            await client.get("/v1/history", headers=bearer(f"jt_many1_{secret}"))
        assert len(kept.asked) == asked, "a key that does not exist is remembered"


async def test_guessing_the_secret_of_a_key_asks_the_database_once_and_counts(api: Api) -> None:
    key_id = api.platform.split("_")[1]
    async with limited(api, wrong_keys_per_minute=3) as (client, kept):
        got = [await client.get("/v1/history", headers=bearer(f"jt_{key_id}_{number}")) for number in range(5)]
        assert [answer.status_code for answer in got] == [401, 401, 401, 429, 429]
        assert len(kept.asked) == 1
        assert (await client.get("/v1/history", headers=bearer(api.platform))).status_code == 200


async def test_right_keys_are_never_counted_as_wrong(api: Api) -> None:
    keys = [await issue_key(api.service.keys, KeyScope.PLATFORM, "", label="", now=api.now()) for _ in range(8)]
    async with limited(api, wrong_keys_per_minute=1) as (client, _):
        for key in keys:
            assert (await client.get("/v1/history", headers=bearer(key.secret))).status_code == 200
        assert await guess(client, 2) == [401, 429]


async def test_what_cannot_be_a_key_counts_and_asks_nobody(api: Api) -> None:
    async with limited(api, wrong_keys_per_minute=2) as (client, kept):
        for header, status in (("Basic abc", 401), ("Bearer x", 401), ("Bearer jt__", 429), ("", 429)):
            assert (await client.get("/v1/history", headers={"authorization": header})).status_code == status
        assert kept.asked == []


async def test_wrong_keys_of_one_address_do_not_count_against_another(api: Api) -> None:
    proxies = (ip_network("192.0.2.0/24"),)
    async with limited(api, wrong_keys_per_minute=2, trusted_proxies=proxies) as (client, _):
        assert await guess(client, 3, **{"x-forwarded-for": "198.51.100.1"}) == [401, 401, 429]
        assert await guess(client, 3, **{"x-forwarded-for": "198.51.100.2"}) == [401, 401, 429]


async def test_a_forged_header_makes_no_new_address(api: Api) -> None:
    async with limited(api, wrong_keys_per_minute=2) as (client, _):
        got = [await guess(client, 1, **{"x-forwarded-for": f"198.51.100.{number}"}) for number in range(4)]
        assert got == [[401], [401], [429], [429]]


async def test_the_rate_of_a_key_is_a_setting_and_is_told_with_every_answer(api: Api) -> None:
    async with limited(api, rate_per_key=1) as (client, _):
        got = [await client.get("/v1/history", headers=bearer(api.platform)) for _ in range(3)]
        assert [answer.status_code for answer in got] == [200, 200, 429]
        assert {answer.headers["ratelimit-policy"] for answer in got} == {'"key";q=2;w=2'}
        assert [answer.headers["ratelimit"].split(";")[1] for answer in got] == ["r=1", "r=0", "r=0"]
        assert got[2].headers["retry-after"] == "1"
        other = await client.get("/v1/changes", headers=bearer(api.shop))
        assert other.status_code == 200
        assert (await client.get("/v1/policies/current")).headers["ratelimit-policy"].startswith('"address"')
        assert "ratelimit" not in (await client.get("/healthz")).headers


async def test_refused_requests_pay_too(api: Api) -> None:
    async with limited(api, rate_per_key=1, rate_per_address=1) as (client, _):
        refused = [await client.get("/v1/orders/none", headers=bearer(api.platform)) for _ in range(3)]
        assert [answer.status_code for answer in refused] == [404, 404, 429]
        foreign = [await client.get("/v1/refunds/none", headers=bearer(api.buyer)) for _ in range(3)]
        assert foreign[2].status_code == 429
        nobody = [await client.get("/v1/history") for _ in range(3)]
        assert [answer.status_code for answer in nobody] == [401, 401, 429]


async def test_four_readers_of_a_key_wait_and_a_fifth_is_429(api: Api) -> None:
    waits = {"wait_seconds": 30}
    waiting = [asyncio.create_task(api.get("/v1/changes", params=waits)) for _ in range(4)]
    await asyncio.sleep(0.3)
    fifth = await api.get("/v1/changes", params=waits)
    assert (fifth.status_code, fifth.json()["type"]) == (429, "/problems/rate-limited")
    assert "retry-after" in fifth.headers
    assert (await api.get("/v1/changes")).status_code == 200, "who does not wait needs no place"
    shop = asyncio.create_task(api.get("/v1/changes", params={"wait_seconds": 1}, key=api.shop))
    assert (await shop).status_code == 200, "another key has places of its own"
    await api.paid_order("o-1")
    assert {(await answer).status_code for answer in waiting} == {200}
    place = (await api.get("/v1/changes")).json()["next"]
    again = await api.get("/v1/changes", params={"after": place, "wait_seconds": 1})
    assert again.status_code == 200, "places are given back"


async def test_a_reader_that_has_gone_gives_its_place_back(api: Api) -> None:
    """Each is as a server tells the application: the request, and then that the client has left."""

    async def leave() -> int:
        events = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]
        statuses: list[int] = []

        async def receive() -> Any:
            return events.pop(0) if events else await asyncio.Event().wait()

        async def send(event: Any) -> None:
            if event["type"] == "http.response.start":
                statuses.append(event["status"])

        scope: Any = {
            "type": "http",
            "method": "GET",
            "path": "/v1/changes",
            "raw_path": b"/v1/changes",
            "query_string": b"wait_seconds=30",
            "headers": [(b"authorization", f"Bearer {api.platform}".encode())],
            "client": ("192.0.2.1", 1),
            "server": ("jitui", 80),
            "scheme": "http",
            "root_path": "",
            "http_version": "1.1",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
        }
        await api.litestar(scope, receive, send)
        return statuses[0]

    async with asyncio.timeout(20):
        assert [await leave() for _ in range(6)] == [200] * 6


# The parts --------------------------------------------------------------------------------------------------------


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_with_time_and_holds_no_more_than_its_burst() -> None:
    seconds = Seconds()
    buckets = Buckets(Rate(per_second=2, burst=3), "key", seconds=seconds)
    assert [buckets.take("a").within for _ in range(4)] == [True, True, True, False]
    seconds.now += 0.49
    assert not buckets.take("a").within
    seconds.now += 0.02
    assert buckets.take("a").within
    seconds.now += 1000
    assert [buckets.take("a").within for _ in range(4)] == [True, True, True, False]
    assert buckets.take("b").within
    buckets.give_back("a")
    assert buckets.take("a").within


class Recording(api_keys.Lookups):
    """Lookups that remember which keys came here."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def find(self, service: Service, key_id: str) -> tuple[ApiKey, bytes] | None:
        self.asked.append(key_id)
        return await super().find(service, key_id)


async def test_beyond_the_count_keys_are_asked_for_at_a_slow_pace_but_for_those_that_were_right_before(
    api: Api,
) -> None:
    seconds = Seconds()
    keys = api_keys.KnownKeys(Rate(per_second=0.001, burst=2), seconds=seconds)
    keys._prompt, keys._paced = prompt, paced = Recording(), Recording()
    scope: Any = {"type": "http", "client": ("192.0.2.1", 1), "headers": []}
    right = api.platform.split("_")[1]
    assert isinstance(await keys.find(api.service, f"Bearer {api.platform}", scope), ApiKey)
    for number in range(4):
        assert not isinstance(await keys.find(api.service, f"Bearer jt_guess{number}_x", scope), ApiKey)
    assert (prompt.asked, paced.asked) == ([right, "guess0", "guess1"], ["guess2", "guess3"])
    seconds.now += api_keys.KEY_SECONDS
    assert isinstance(await keys.find(api.service, f"Bearer {api.platform}", scope), ApiKey)
    assert prompt.asked[3:] == [right]
    assert paced.asked == ["guess2", "guess3"]


def test_many_callers_do_not_empty_the_memory_of_the_others() -> None:
    seconds = Seconds()
    buckets = Buckets(Rate(per_second=0.001, burst=1), "key", seconds=seconds)
    buckets.take("a")
    for number in range(limits.MOST_CALLERS - 1):
        buckets.take(f"other {number}")
    assert not buckets.take("a").within
    for number in range(limits.MOST_CALLERS - 1):
        buckets.take(f"another {number}")
    assert not buckets.take("a").within, "who comes again is not forgotten before who does not"


@pytest.mark.parametrize("held", [1, 4])
def test_places_are_counted_for_each_key(held: int) -> None:
    readers = Readers(most=held)
    with readers.place("a") as first:
        assert first
        with readers.place("a") as second:
            assert second is (held > 1)
        with readers.place("b") as other:
            assert other
    with readers.place("a") as again:
        assert again


async def test_guessed_keys_never_push_a_known_one_out_of_memory(api: Api) -> None:
    async with limited(api, wrong_keys_per_minute=100_000) as (client, kept):
        assert (await client.get("/v1/history", headers=bearer(api.platform))).status_code == 200
        for number in range(50):
            await client.get("/v1/history", headers=bearer(WRONG.format(f"g{number}")))
        asked = len(kept.asked)
        assert (await client.get("/v1/history", headers=bearer(api.platform))).status_code == 200
        assert len(kept.asked) == asked
    assert api_keys.MOST_KEYS >= 1_000
