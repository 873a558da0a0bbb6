"""A key that is revoked, rolled, restricted or wrong, as callers and those who run the service see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from jitui.adapters.postgres.keys import PostgresKeys
from jitui.entrypoints.http import keys as api_keys
from jitui.entrypoints.http.app import create_app
from jitui.entrypoints.http.used_keys import UsedKeys
from jitui.errors import Unavailable
from jitui.identity.access import KeyScope
from jitui.identity.keys import ApiKey, issue_key, roll_key
from tests.asgi import transport_to
from tests.http.api import BUYER, Api

READ = "/v1/history"


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def process(api: Api, seconds: Seconds, **parts: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Another process on the same database, with a memory of its own."""
    service = replace(api.service, **parts)
    transport = transport_to(create_app(service, seconds=seconds))
    async with httpx.AsyncClient(transport=transport, base_url="http://jitui") as client:
        yield client


async def status(client: httpx.AsyncClient, key: str, path: str = READ) -> int:
    return (await client.get(path, headers={"authorization": f"Bearer {key}"})).status_code


async def new_key(api: Api, *permissions: str, **more: Any) -> str:
    issued = await issue_key(
        api.service.keys, KeyScope.PLATFORM, "", label="", now=api.now(), permissions=permissions or None, **more
    )
    return issued.secret


def id_of(key: str) -> str:
    return key.split("_")[1]


async def test_a_key_that_is_revoked_through_one_process_stops_in_another_within_five_seconds(api: Api) -> None:
    key, seconds = await new_key(api), Seconds()
    async with process(api, seconds) as one, process(api, seconds) as other:
        assert [await status(one, key), await status(other, key)] == [200, 200]
        await api.service.keys.revoke(id_of(key), by="ada", now=api.now())
        seconds.now += 5
        assert [await status(one, key), await status(other, key)] == [401, 401]
    assert api_keys.KEY_SECONDS == 5


async def test_the_five_seconds_begin_when_the_database_is_asked_and_not_when_it_has_answered(api: Api) -> None:
    key, seconds = await new_key(api), Seconds()

    class Slow(PostgresKeys):
        async def find(self, key_ids: Collection[str]) -> Mapping[str, tuple[ApiKey, bytes]]:
            found = await api.service.keys.find(key_ids)
            seconds.now += 3
            return found

    async with process(api, seconds, keys=Slow(api.market.pool)) as client:
        assert await status(client, key) == 200
        await api.service.keys.revoke(id_of(key), by="ada", now=api.now())
        seconds.now += 2
        assert await status(client, key) == 401


async def test_an_expired_key_stops_at_once_in_every_process(api: Api) -> None:
    key, seconds = await new_key(api, lifetime=timedelta(hours=1)), Seconds()
    async with process(api, seconds) as one, process(api, seconds) as other:
        assert [await status(one, key), await status(other, key)] == [200, 200]
        api.now.later(hours=1)
        assert [await status(one, key), await status(other, key)] == [401, 401]


async def test_a_rolled_key_and_its_successor_work_until_the_overlap_ends(api: Api) -> None:
    key, seconds = await new_key(api), Seconds()
    async with process(api, seconds) as client:
        assert await status(client, key) == 200
        until = api.now() + timedelta(hours=2)
        new = (await roll_key(api.service.keys, id_of(key), now=api.now(), old_until=until)).secret
        seconds.now += 5
        assert [await status(client, key), await status(client, new)] == [200, 200]
        api.now.later(hours=2)
        assert [await status(client, key), await status(client, new)] == [401, 200]


async def test_a_request_that_is_repeated_with_the_new_key_gets_its_first_answer(api: Api) -> None:
    await api.paid_order("o-1")
    key = await new_key(api)
    ask = {"order_id": "o-1", "buyer_id": BUYER}
    first = await api.post("/v1/after-sales", ask, key=key, headers={"idempotency-key": "a-1"})
    new = (await roll_key(api.service.keys, id_of(key), now=api.now(), old_until=api.now())).secret
    again = await api.post("/v1/after-sales", ask, key=new, headers={"idempotency-key": "a-1"})
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    restricted = {"buyer_id": "buyer-9", "reason": "Cancels in series."}
    two = [
        await api.post("/v1/restrictions", restricted, key=one, headers={"idempotency-key": "r-1"})
        for one in (new, (await roll_key(api.service.keys, id_of(new), now=api.now(), old_until=api.now())).secret)
    ]
    assert two[0].json()["restriction_id"] == two[1].json()["restriction_id"]


async def test_a_reader_that_waits_for_news_stops_with_its_key(api: Api) -> None:
    key, seconds = await new_key(api), Seconds()
    async with process(api, seconds) as client:
        headers = {"authorization": f"Bearer {key}"}
        waiting = asyncio.create_task(client.get("/v1/changes", params={"wait_seconds": 30}, headers=headers))
        await asyncio.sleep(0.2)
        await api.service.keys.revoke(id_of(key), by="ada", now=api.now())
        seconds.now += 5
        assert (await waiting).status_code == 401


# What the caller is told, and what the log is ------------------------------------------------------------------------


async def test_every_key_that_opens_nothing_gets_the_same_answer_and_a_reason_in_the_log(api: Api) -> None:
    revoked, expired = await new_key(api), await new_key(api, lifetime=timedelta(0))
    await api.service.keys.revoke(id_of(revoked), by="ada", now=api.now())
    wrong = f"jt_{id_of(api.platform)}_{'w' * 43}"
    presented = {
        "malformed": "jt_malformed-secret",
        "unknown": f"jt_0123456789ab_{'u' * 43}",
        "wrong_secret": wrong,
        "expired": expired,
        "revoked": revoked,
    }
    with capture_logs() as logs:
        answers = [await api.get(READ, key=key) for key in presented.values()]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert [line["reason"] for line in logs] == list(presented)
    assert [line["key_id"] for line in logs] == [
        None,
        "0123456789ab",
        *map(id_of, (wrong, expired, revoked)),
    ]
    assert {line["log_level"] for line in logs} == {"warning"}
    written = str(logs)
    assert [key for key in presented.values() if key.rpartition("_")[2] in written] == []
    told = (await api.get("/metrics")).text
    for reason in presented:
        assert f'reason="{reason}"}} 1.0' in told, reason


async def test_what_stands_where_an_id_should_is_not_logged_unless_it_looks_like_one(api: Api) -> None:
    with capture_logs() as logs:
        await api.get(READ, key="jt_secretofsomebodyelse_x")
    assert [line["key_id"] for line in logs] == [None]
    assert "secretofsomebodyelse" not in str(logs)


async def test_the_same_wrong_key_writes_one_line_a_minute_and_is_counted_each_time(api: Api) -> None:
    seconds = Seconds()
    async with process(api, seconds) as client:
        with capture_logs() as logs:
            for _ in range(5):
                await status(client, f"jt_{id_of(api.platform)}_wrong")
                await status(client, "jt_malformed")
            assert [line["reason"] for line in logs] == ["wrong_secret", "malformed"]
            seconds.now += 60
            await status(client, f"jt_{id_of(api.shop)}_wrong")
            await status(client, f"jt_{id_of(api.platform)}_wrong")
        assert [line["reason"] for line in logs] == [
            "wrong_secret",
            "malformed",
            "wrong_secret",
            "wrong_secret",
        ]
        told = (await client.get("/metrics", headers={"authorization": f"Bearer {api.platform}"})).text
        assert 'reason="wrong_secret"} 7.0' in told


# What a restricted key may do ---------------------------------------------------------------------------------------


async def test_a_restricted_key_may_do_what_it_was_issued_with_and_nothing_else(api: Api) -> None:
    key = await new_key(api, "history:read", "pauses:write")
    assert (await api.get(READ, key=key)).status_code == 200
    pause = {"scope": "shop", "ref": "shop-7", "reason": "Moving."}
    assert (await api.post("/v1/pauses", pause, key=key)).status_code == 200
    refused = await api.get("/v1/pauses", key=key)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/permission-missing")
    assert refused.json()["detail"] == "This takes the permission pauses:read, which this key was not issued with."
    assert (await api.get("/metrics", key=key)).status_code == 403
    assert 'reason="permission"} 2.0' in (await api.get("/metrics")).text


async def test_a_key_of_a_retired_permission_is_refused_in_one_sentence_and_counted(api: Api) -> None:
    key = await new_key(api, "history:read")
    async with api.market.pool.connection() as connection:
        statement = "UPDATE api_key SET permissions = '{history:everything}' WHERE key_id = %s"
        await connection.execute(statement, (id_of(key),))
    refused = await api.get(READ, key=key)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/permission-missing")
    assert refused.json()["detail"] == (
        "This takes the permission history:read; this key's history:everything was retired, so issue a new key."
    )
    assert 'reason="retired_permission"} 1.0' in (await api.get("/metrics")).text


async def test_a_scope_that_may_not_is_told_so_before_permissions_are_looked_at(api: Api) -> None:
    issued = await issue_key(
        api.service.keys, KeyScope.BUYER, BUYER, label="", now=api.now(), permissions=["orders:read"]
    )
    assert (await api.get(READ, key=issued.secret)).json()["type"] == "/problems/scope-not-allowed"
    assert (await api.get("/v1/orders", key=issued.secret)).status_code == 200
    assert (await api.get("/v1/after-sales", key=issued.secret)).json()["type"] == "/problems/permission-missing"
    assert 'reason="scope"} 1.0' in (await api.get("/metrics")).text


@pytest.mark.parametrize("path", ["/v1/policies/current", "/v1/policies"])
async def test_the_document_of_a_policy_is_for_platform_keys_with_its_permission(api: Api, path: str) -> None:
    async def document(key: str | None) -> bool:
        return "document" in (await api.call("GET", path, key=key)).text

    assert await document(api.platform)
    assert await document(await new_key(api, "policies:read"))
    assert not await document(await new_key(api, "orders:read"))
    assert not await document(api.shop)
    assert not await document(None)


# When a key was last used -------------------------------------------------------------------------------------------


class Recording:
    """Keeps what is written down, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.written: list[dict[str, datetime]] = []
        self.done = asyncio.Event()

    async def record_use(self, used_at: Mapping[str, datetime]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("The database does not answer: connection refused")
        self.written.append(dict(used_at))
        self.done.set()


async def test_uses_are_noted_by_requests_and_written_together_later(api: Api) -> None:
    used, kept = UsedKeys(write_seconds=0.01), Recording()
    service: Any = replace(api.service, keys=kept)  # type: ignore[arg-type]  # only what is called
    one, two = [(await api.service.keys.find((id_of(key),)))[id_of(key)][0] for key in (api.platform, api.shop)]
    used.note(service, one)
    first = api.now()
    api.now.later(seconds=30)
    used.note(service, one)
    used.note(service, two)
    assert kept.written == [], "no request waits for it"
    async with asyncio.timeout(10):
        await kept.done.wait()
    assert kept.written == [{one.key_id: api.now(), two.key_id: api.now()}]
    assert api.now() != first


async def test_a_use_that_could_not_be_written_is_written_the_next_time(api: Api) -> None:
    used, kept = UsedKeys(), Recording(failures=1)
    service: Any = replace(api.service, keys=kept)  # type: ignore[arg-type]  # only what is called
    key = (await api.service.keys.find((id_of(api.platform),)))[id_of(api.platform)][0]
    used.note(service, key)
    with capture_logs() as logs:
        await used.write(service)
    assert [line["event"] for line in logs] == ["key_use_not_written"]
    await used.close(service)
    assert kept.written == [{key.key_id: api.now()}]


async def test_a_request_leaves_its_moment_when_the_process_ends(api: Api) -> None:
    seconds = Seconds()
    litestar = create_app(api.service, seconds=seconds)
    async with httpx.AsyncClient(transport=transport_to(litestar), base_url="http://jitui") as client:
        assert await status(client, api.platform) == 200
        assert await status(client, "jt_0123456789ab_wrong") == 401
    await litestar.state.used_keys.close(api.service)
    row = (await api.service.keys.find((id_of(api.platform),)))[id_of(api.platform)][0]
    assert row.last_used_at == api.now()


async def test_metrics_tell_which_keys_end_soon(api: Api) -> None:
    told = (await api.get("/metrics")).text
    assert "jitui_api_keys_ending_soon 0.0" in told
    await new_key(api, lifetime=timedelta(days=40))
    await new_key(api, lifetime=timedelta(days=50))
    api.now.later(days=30)
    told = (await api.get("/metrics")).text
    assert "jitui_api_keys_ending_soon 2.0" in told
    first = (api.now() + timedelta(days=10)).timestamp()
    (line,) = [line for line in told.splitlines() if line.startswith("jitui_api_key_first_end_timestamp_seconds ")]
    assert float(line.split()[1]) == first
