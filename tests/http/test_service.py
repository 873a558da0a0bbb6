"""Alive, ready, metrics, descriptions; and what happens when something is missing or breaks."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
from structlog.testing import capture_logs

from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.operations.workers import WorkerBeat
from jitui.aftersales.ports import AttemptRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.aftersales.queries import ProviderTroubleSeen
from jitui.entrypoints.http.app import create_app
from jitui.entrypoints.http.limits import Rate
from jitui.errors import Unavailable
from tests.http.api import BUYER, Api


def problems_style(page: str) -> str:
    """The end of the source in a policy that allows the page's one style sheet."""
    style = page.partition("<style>")[2].partition("</style>")[0]
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() + "'"


def client_of(litestar: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=litestar), base_url="http://jitui")


async def test_alive_and_ready(api: Api) -> None:
    assert (await api.call("GET", "/healthz")).json() == {"status": "ok"}
    api.now.later(seconds=7)
    ready = await api.call("GET", "/readyz")
    well = {"ready": True, "database": True, "migrated": True, "worker": True, "degraded": []}
    assert ready.json() == {**well, "roll_up_age_seconds": 7.0}


async def test_without_a_worker_requests_are_taken_and_readyz_says_so(api: Api) -> None:
    api.now.later(seconds=10)
    assert (await api.call("GET", "/readyz")).json()["degraded"] == []
    api.now.later(seconds=0.001)
    ready = await api.call("GET", "/readyz")
    assert (ready.status_code, ready.json()["worker"], ready.json()["degraded"]) == (200, False, ["usage_unknown"])


async def test_not_ready_at_another_migration(api: Api) -> None:
    for change, status in (
        ("UPDATE alembic_version SET version_num = '0001'", 503),
        ("UPDATE alembic_version SET version_num = '9998'", 200),  # a newer version has added to the tables
        ("COMMENT ON TABLE alembic_version IS '9997'", 503),  # and taken something away
    ):
        async with api.market.pool.connection() as connection:
            await connection.execute(change.encode())
        assert (await api.call("GET", "/readyz")).status_code == status
    async with api.market.pool.connection() as connection:
        await connection.execute("DROP TABLE alembic_version")
    assert (await api.call("GET", "/readyz")).status_code == 503
    assert (await api.call("GET", "/healthz")).status_code == 200


async def test_metrics_tell_requests_decisions_queue_and_age(api: Api) -> None:
    await api.paid_order("o-1")
    await api.ask("o-1")
    await api.paid_order("o-2", paid=30000)
    await api.ask("o-2")
    text = (await api.get("/metrics")).text
    for wanted in (
        'jitui_http_requests_total{method="POST",route="/v1/after-sales",status="201"} 2.0',
        'first_failing="",outcome="instant"',
        'first_failing="paid_under_300",outcome="review"',
        'jitui_refund_queue{state="queued"} 1.0',
        "jitui_roll_up_age_seconds 0.0",
        "jitui_http_request_seconds_bucket",
    ):
        assert wanted in text, wanted


async def test_metrics_tell_what_an_operator_must_see(api: Api) -> None:
    for name in ("o-1", "o-2"):
        await api.paid_order(name)
        await api.ask(name)
        api.now.later(seconds=61)
        await api.market.feed.roll_up(api.now())
    now = api.now()
    first, second = await api.market.store.claim_refunds(now=now, lease_until=now + timedelta(minutes=1), limit=9)
    for claimed, kind in ((first, RefundResultKind.DECLINED), (second, RefundResultKind.UNKNOWN)):
        ref = AttemptRef(claimed.lane, claimed.attempt.attempt_id)
        await confirm(api.market.store, ref, RefundUpdate(RefundResult(kind)), now=now)
    trouble = {"simulator": ProviderTroubleSeen("timed_out", "late", now)}
    for name, seen in (("w-1", {}), ("w-2", trouble)):
        await api.service.workers.beat(WorkerBeat(name, now, ("simulator",), seen))
    api.now.later(seconds=5)
    lines = (await api.get("/metrics")).text.splitlines()
    for wanted in (
        'jitui_refunds{provider="simulator",state="failed"} 1.0',
        'jitui_refunds{provider="simulator",state="unknown"} 1.0',
        'jitui_refund_oldest_seconds{provider="simulator",state="unknown"} 5.0',
        'jitui_open_tasks{kind="refund_failed"} 1.0',
        'jitui_open_tasks{kind="no_worker"} 0.0',
        "jitui_workers 2.0",
        'jitui_provider_trouble{provider="simulator",trouble="timed_out"} 1.0',
    ):
        assert wanted in lines, wanted
    assert [line for line in lines if line.startswith('jitui_worker_seen_seconds{worker="w-1"}')]
    async with api.market.pool.connection() as connection:
        await connection.execute("UPDATE worker SET seen_at = seen_at - interval '61 seconds'")
        await connection.execute("UPDATE refund SET state = 'succeeded'")
    text = (await api.get("/metrics")).text
    assert "jitui_workers 0.0" in text
    assert "jitui_refunds{" not in text and "jitui_provider_trouble{" not in text


async def test_metrics_are_for_the_platform_and_for_monitoring_alone(api: Api) -> None:
    token = "a-token-for-monitoring"
    settings = replace(api.service.settings, metrics_token=token)

    class Away:
        def __getattr__(self, name: str) -> Any:
            raise Unavailable("The database does not answer: connection refused")

    away: Any = Away()
    async with client_of(create_app(replace(api.service, settings=settings, registry=away, queries=away))) as client:
        for sent, status in (
            (f"Bearer {token}", 200),
            (f"bearer {token}", 200),
            (f"Bearer {token}x", 401),
            (f"Bearer {token[:-1]}", 401),
            (f"Basic {token}", 401),
            (token, 401),
            ("Bearer ", 401),
        ):
            assert (await client.get("/metrics", headers={"authorization": sent})).status_code == status, sent
        assert (await client.get("/metrics")).status_code == 401
        other = await client.get("/v1/orders", headers={"authorization": f"Bearer {token}"})
        assert other.status_code == 401
    for key, status in ((api.platform, 200), (api.shop, 403), (api.buyer, 403), (None, 401), ("", 401)):
        assert (await api.call("GET", "/metrics", key=key)).status_code == status


async def test_a_database_that_is_away_is_503(api: Api) -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            raise Unavailable("The database does not answer: connection refused")

    away: Any = Away()
    async with client_of(create_app(replace(api.service, store=away, queries=away))) as client:
        headers = {"authorization": f"Bearer {api.platform}"}
        got = await client.post("/v1/after-sales", json={"order_id": "o-1", "buyer_id": BUYER}, headers=headers)
        assert (got.status_code, got.json()["type"]) == (503, "/problems/unavailable")
        assert got.headers["retry-after"] == "1"
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/metrics", headers=headers)).status_code == 200
        assert (await client.get("/healthz")).status_code == 200


async def test_a_surprise_is_500_with_a_number_and_no_internals(api: Api) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise ZeroDivisionError("the secret of the database")

    broken: Any = Broken()
    async with client_of(create_app(replace(api.service, queries=broken))) as client:
        with capture_logs() as logs:
            got = await client.get("/v1/orders", headers={"authorization": f"Bearer {api.platform}"})
    assert (got.status_code, got.json()["type"]) == (500, "/problems/internal-error")
    assert "secret" not in got.text
    assert got.json()["request_id"] == got.headers["x-request-id"]
    (logged,) = logs
    assert logged["request_id"] == got.headers["x-request-id"]
    assert isinstance(logged["exc_info"], ZeroDivisionError)
    assert api.platform not in str(logged)


async def test_a_key_that_asks_too_fast_is_slowed_down(api: Api) -> None:
    async with client_of(create_app(api.service, rate=Rate(per_second=0.001, burst=3))) as client:
        headers = {"authorization": f"Bearer {api.platform}"}
        got = [await client.get("/v1/history", headers=headers) for _ in range(4)]
        assert [answer.status_code for answer in got] == [200, 200, 200, 429]
        assert (got[3].json()["type"], got[3].headers["retry-after"]) == ("/problems/rate-limited", "1000")
        assert {(await client.get("/healthz")).status_code for _ in range(9)} == {200}
        other = await client.get("/v1/changes", headers={"authorization": f"Bearer {api.shop}"})
        assert other.status_code == 200


async def test_the_descriptions_need_nothing_from_elsewhere(api: Api) -> None:
    docs = await api.call("GET", "/docs")
    assert docs.headers["content-type"].startswith("text/html")
    policy = docs.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert {"script-src 'self'", "connect-src 'self'", "img-src 'self' data:"} <= set(policy.split("; "))
    assert re.findall(r'(?:src|href|spec-url)="([^"]*)"', docs.text) == [
        "data:,",
        "/openapi.json",
        "/problems",
        "/openapi.json",
        "/docs/redoc.standalone.js",
    ]
    script = await api.call("GET", "/docs/redoc.standalone.js")
    assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    problems = await api.call("GET", "/problems")
    assert "<script" not in problems.text
    assert problems.headers["content-security-policy"].endswith("style-src 'sha256-" + problems_style(problems.text))
    assert (await api.call("GET", "/openapi.json")).json()["openapi"] == "3.1.0"
    assert "order-already-shipped" in (await api.call("GET", "/problems")).text
    assert (await api.call("GET", "/problems/ticket-stale")).status_code == 200
    assert (await api.call("GET", "/problems/nothing")).status_code == 404


async def test_other_handlers_stand_beside_the_api(api: Api) -> None:
    from litestar import Router, get

    @get("/hello", sync_to_thread=False)
    def hello() -> str:
        return "hello"

    async with client_of(
        create_app(api.service, extra_handlers=[Router("/console", route_handlers=[hello])])
    ) as client:
        assert (await client.get("/console/hello")).text == "hello"
        assert (await client.get("/v1/history")).status_code == 401
