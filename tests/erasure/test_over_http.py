"""The export and the erasure as a platform uses them, with webhooks, the feed and the log of the run beside."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from jitui.bootstrap import install_policy, open_service, utc_now
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from jitui.settings import Settings
from jitui.worker import keep_erasures
from tests.aftersales.market import open_market
from tests.erasure.life import ACCOUNT, BUYER, LATER, PLANTED, a_life, everywhere, rows
from tests.http.api import Api, open_api, order
from tests.http.test_secrets_in_logs import served


@pytest.fixture
def anna() -> str:
    return f"/v1/buyers/{BUYER}"


async def test_the_export_has_everything_and_its_taking_is_written_down(api: Api, database_url: str, anna: str) -> None:
    await a_life(api.market)
    got = await api.get(f"{anna}/export")
    assert got.status_code == 200, got.text
    data = got.json()["data"]
    text = json.dumps(data, ensure_ascii=False)
    stored = {hit.table for hit in everywhere(database_url, PLANTED)}
    for table in stored - {"audit_event"}:
        assert PLANTED in text, table
    assert text.count(PLANTED) >= len(everywhere(database_url, PLANTED)) - 1
    assert data["buyer"]["attributes"] == {"note": PLANTED, "level": 4}
    assert [len(one["tickets"]) for one in data["orders"]].count(1) == 2
    assert {
        name: len(data[name]) for name in ("restrictions", "appeals", "accounts", "api_keys", "stored_responses")
    } == {
        "restrictions": 2,
        "appeals": 1,
        "accounts": 1,
        "api_keys": 1,
        "stored_responses": 1,
    }
    assert data["list"]["reason"] == f"lives {PLANTED}" and len(data["history"]) >= 17
    for secret in ("secret_hash", "token_hash", "password_hash", "totp_seed", '"lane"'):
        assert secret not in text
    ((subject, actor),) = rows(database_url, "SELECT subject, actor FROM audit_event WHERE action = 'buyer.exported'")
    assert (subject, actor) == (data["pseudonym"], "tests")


async def test_a_buyer_is_erased_once_and_a_repetition_finds_it_done(api: Api, database_url: str, anna: str) -> None:
    await a_life(api.market)
    api.now.at = LATER
    first = await api.delete(anna)
    assert first.status_code == 200, first.text
    done = first.json()
    assert (done["erased_before"], done["orders"], done["tickets"]) == (False, 3, 2)
    found = rows(database_url, "SELECT subject, actor FROM audit_event WHERE action = 'buyer.erased'")
    assert found == [(done["erasure_id"], "tests")]
    again = await api.delete(anna)
    assert again.status_code == 200
    assert again.json() == {"erasure_id": None, "erased_before": True, "orders": 0, "tickets": 0}
    assert (await api.get(anna)).status_code == 404
    assert (await api.get(f"{anna}/export")).status_code == 404
    assert (await api.delete("/v1/buyers/nobody")).status_code == 404
    assert (await api.get("/v1/buyers/nobody/export")).status_code == 404


async def test_what_is_open_is_a_problem_that_names_it(api: Api) -> None:
    await api.reviewed("o-1", buyer_id="waits")
    refused = await api.delete("/v1/buyers/waits")
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (409, "/problems/erasure-pending")
    assert "possible from 2026-" in problem["detail"]
    assert [error["path"].split()[0] for error in problem["errors"]] == ["ticket"]
    assert "o-1" in problem["errors"][0]["detail"]
    assert (await api.get("/v1/buyers/waits")).status_code == 200


async def test_only_the_platform_exports_and_erases(api: Api) -> None:
    for key in (api.shop, api.buyer):
        assert (await api.get("/v1/buyers/buyer-1/export", key=key)).status_code == 403
        assert (await api.delete("/v1/buyers/buyer-1", key=key)).status_code == 403


async def test_the_feed_and_its_cloud_events_name_a_pseudonym_before_and_after(api: Api, anna: str) -> None:
    await a_life(api.market)
    pseudonym = (await api.get(anna)).json()["pseudonym"]
    for erased in (False, True):
        if erased:
            api.now.at = LATER
            assert (await api.delete(anna)).status_code == 200
        feed = await api.get("/v1/changes", params={"limit": 100})
        events = await api.get(
            "/v1/changes", params={"limit": 100}, headers={"accept": "application/cloudevents-batch+json"}
        )
        assert BUYER not in feed.text + events.text
        assert {row["buyer_pseudonym"] for row in feed.json()["changes"]} == {pseudonym}
        assert {one["data"]["buyer_pseudonym"] for one in events.json()} == {pseudonym}
        assert (PLANTED in feed.text) is not erased, "a rejection's words, a waybill"


async def test_no_answer_names_the_old_id(api: Api, anna: str) -> None:
    await a_life(api.market)
    api.now.at = LATER
    await api.delete(anna)
    for path in ("/v1/orders", "/v1/after-sales", "/v1/refunds", "/v1/incidents", "/v1/tasks", "/v1/changes"):
        got = await api.get(path, params={"limit": 100} if path != "/v1/tasks" else {"limit": 100, "state": "resolved"})
        assert got.status_code == 200, (path, got.text)
        assert BUYER not in got.text and PLANTED not in got.text and ACCOUNT not in got.text, path


async def test_events_of_the_erased_buyer_are_counted_as_left_out(api: Api, anna: str) -> None:
    await api.market.premium_buyer(BUYER)
    await api.paid_order("o-1", buyer_id=BUYER)
    api.now.at = LATER
    assert (await api.delete(anna)).status_code == 200
    old = {"event_id": "e1", "kind": "order_completed", "at": "2026-06-02T00:00:00Z", "order_id": "o-1"}
    new = {"event_id": "e2", "kind": "order_completed", "at": LATER.isoformat()}
    told = await api.post(f"{anna}/events", {"events": [old]})
    assert told.json() == {"recorded": 0, "known_already": 0, "left_out": 1}
    put = await api.put("/v1/orders/o-1", order(buyer_id=BUYER))
    assert (put.status_code, put.json()["type"]) == (409, "/problems/buyer-erased")
    await api.put(anna, {"region": "CN-33"})
    told = await api.post(f"{anna}/events", {"events": [old, new]})
    assert told.json() == {"recorded": 1, "known_already": 0, "left_out": 1}
    one = {
        "specversion": "1.0",
        "id": "7",
        "source": "/warehouse",
        "type": "x.order_completed",
        "time": "2026-06-02T00:00:00Z",
        "data": {"buyer_id": BUYER, "order_id": "o-1"},
    }
    got = await api.call(
        "POST", "/v1/events", [one], key=api.platform, headers={"content-type": "application/cloudevents-batch+json"}
    )
    assert [row["outcome"] for row in got.json()["results"]] == ["refused"]


def test_no_line_of_a_run_names_the_buyer(database_url: str, tmp_path: Path) -> None:
    """Server and worker in processes of their own, at the lowest level of the log; with a request that is refused."""

    async def prepare() -> str:
        async with open_market(database_url) as market, open_service(Settings(home=tmp_path), database_url) as service:
            await install_policy(service)
            await a_life(market)
            await market.paid_order("somebody-else", "o-9", now=utc_now())
            issued = await issue_key(service.keys, KeyScope.PLATFORM, "", label="tests", now=utc_now())
            return issued.secret

    key = asyncio.run(prepare())
    with served(database_url, tmp_path) as (address, log), httpx.Client(base_url=address) as client:
        client.headers["authorization"] = f"Bearer {key}"
        assert client.delete("/v1/buyers/somebody-else").status_code == 409
        for method, path, status in (
            ("GET", f"/v1/buyers/{BUYER}", 200),
            ("GET", f"/v1/buyers/{BUYER}/export", 200),
            ("PUT", f"/v1/buyers/{BUYER}?{PLANTED}", 400),
            ("DELETE", f"/v1/buyers/{BUYER}", 200),
            ("DELETE", f"/v1/buyers/{BUYER}", 200),
            ("GET", f"/v1/buyers/{BUYER}/export", 404),
        ):
            assert client.request(method, path).status_code == status, (method, path)
    said = log.read_text()
    assert said and BUYER not in said and PLANTED not in said and ACCOUNT not in said
    assert everywhere(database_url, BUYER, PLANTED, ACCOUNT) == []


async def test_the_workers_list_outlasts_a_restore_and_tells_of_it(database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    async with open_api(database_url, home=tmp_path) as api:
        await a_life(api.market)
        api.now.at = LATER
        assert await keep_erasures(api.service) == 0
        assert not settings.erasures_file.exists(), "nobody was erased"
        await api.delete(f"/v1/buyers/{BUYER}")
        assert await keep_erasures(api.service) == 0
        kept = settings.erasures_file.read_text()
        assert BUYER not in kept and len(kept.splitlines()) == 2
        async with api.market.pool.connection() as connection:
            await connection.execute("DELETE FROM erased_buyer")
        assert await keep_erasures(api.service) == 1
        assert settings.erasures_file.read_text() == kept, "what is missing in the database stays on the list"
    later = LATER.replace(year=2028)
    async with open_service(settings, database_url, clock=lambda: later) as service:
        assert await keep_erasures(service) == 0
    assert len(settings.erasures_file.read_text().splitlines()) == 1, "its time is over"


@pytest.mark.parametrize(
    "text", ["something else", "jitui erasures 0000000000000000\n"], ids=["no-list", "another-one"]
)
async def test_a_file_that_is_no_list_of_this_database_is_left_as_it_is(api: Api, tmp_path: Path, text: str) -> None:
    file = api.service.settings.erasures_file
    file.write_text(text)
    assert await keep_erasures(api.service) == 0
    assert file.read_text() == text
