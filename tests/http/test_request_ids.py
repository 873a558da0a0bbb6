"""Every response has its request's id; so has every log line that is written meanwhile."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest
import structlog

from jitui.connections import BAD_REQUEST, _named
from jitui.entrypoints.console.mount import console_handlers
from jitui.entrypoints.http.app import create_app
from jitui.logs import configure
from jitui.settings import LogFormat, Settings
from tests.http.api import Api


def client_of(litestar: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=litestar), base_url="http://jitui")


ANSWERS = [
    ("GET", "/healthz", 200),
    ("GET", "/v1/history", 200),
    ("POST", "/v1/pauses", 400),
    ("GET", "/v1/orders/none", 404),
    ("GET", "/nowhere", 404),
    ("DELETE", "/v1/orders/o-1", 405),
    ("OPTIONS", "/v1/orders", 204),
    ("DELETE", "/v1/pauses/platform", 404),
    ("GET", "/openapi.json", 200),
    ("GET", "/docs", 200),
    ("GET", "/problems/none", 404),
    ("GET", "/console", 404),
    ("GET", "/static/console.css", 200),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_every_answer_has_an_id_of_its_own(api: Api, method: str, path: str, status: int) -> None:
    async with client_of(create_app(api.service, extra_handlers=console_handlers())) as client:
        headers = {"authorization": f"Bearer {api.platform}"}
        got = [await client.request(method, path, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in got] == [status, status]
    ids = {UUID(answer.headers["x-request-id"]) for answer in got}
    assert len(ids) == 2


@pytest.mark.parametrize("sent", ["7b1f0c1e-ask-o-1001", "a", "A.b_c~d-9", "x" * 128])
async def test_a_sane_id_of_the_client_is_kept(api: Api, sent: str) -> None:
    for key, status in ((api.platform, 200), (None, 401)):
        got = await api.call("GET", "/v1/history", key=key, headers={"x-request-id": sent})
        assert (got.status_code, got.headers["x-request-id"]) == (status, sent)


@pytest.mark.parametrize("sent", ["", "x" * 129, "a b", "-a", "a;b", 'a"b', "<b>", "über"])
async def test_any_other_id_is_replaced(api: Api, sent: str) -> None:
    got = await api.call("GET", "/v1/history", key=api.platform, headers={"x-request-id": sent})
    assert got.status_code == 200
    assert UUID(got.headers["x-request-id"])


async def test_an_id_that_is_sent_twice_is_replaced(api: Api) -> None:
    headers = [("authorization", f"Bearer {api.platform}"), ("x-request-id", "a"), ("x-request-id", "b")]
    got = await api.client.get("/v1/history", headers=headers)
    assert got.status_code == 200
    assert UUID(got.headers["x-request-id"])


async def test_an_answer_of_the_connection_itself_has_one_too() -> None:
    head, _, body = _named(BAD_REQUEST).decode().partition("\r\n\r\n")
    lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    assert UUID(lines["x-request-id"])
    assert (len(body), json.loads(body)["status"]) == (int(lines["content-length"]), 400)


async def test_lines_of_the_log_carry_the_id(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger("jitui.test")

    class Telling:
        def __getattr__(self, name: str) -> Any:
            log.warning("looked_up")
            raise ZeroDivisionError

    telling: Any = Telling()
    configure(replace(Settings(home=api.service.settings.home), log_format=LogFormat.JSON))
    try:
        async with client_of(create_app(replace(api.service, queries=telling))) as client:
            headers = {"authorization": f"Bearer {api.platform}", "x-request-id": "ask-7"}
            got = await client.get("/v1/orders", headers=headers)
    finally:
        configure(api.service.settings)
    assert (got.status_code, got.json()["request_id"]) == (500, "ask-7")
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert [(line["event"], line["request_id"]) for line in told] == [
        ("looked_up", "ask-7"),
        ("request_failed", "ask-7"),
        ("request", "ask-7"),
    ]
