"""Console and API in one application: each has its own errors, and the API accepts no forms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from jitui.entrypoints.console.mount import console_app, console_handlers
from jitui.entrypoints.http.app import create_app
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from tests.console.marketplace import PREMIUM, SHOP, Marketplace
from tests.console.pages import Visitor, visiting


@pytest.fixture
async def both(market: Marketplace) -> AsyncIterator[Visitor]:
    async with visiting(create_app(market.service, extra_handlers=console_handlers(one_click=True))) as visitor:
        yield visitor


@pytest.mark.parametrize(
    ("path", "status", "media_type"),
    [
        ("/", 200, "text/html"),
        ("/policy", 200, "text/html"),
        ("/nothing", 404, "text/html"),
        ("/merchant/nothing", 404, "text/html"),
        ("/static/console.css", 200, "text/css"),
        ("/healthz", 200, "application/json"),
        ("/openapi.json", 200, "application/json"),
        ("/v1/nothing", 404, "application/problem+json"),
        ("/v1/orders/nothing", 401, "application/problem+json"),
    ],
)
async def test_each_answers_in_its_own_way(both: Visitor, path: str, status: int, media_type: str) -> None:
    response = await both.get(path)
    assert response.status_code == status
    assert response.headers["content-type"].startswith(media_type)


async def test_the_api_asks_for_a_key_and_not_for_a_form(market: Marketplace, both: Visitor) -> None:
    await market.order(PREMIUM, "A-1", [("水壶", 1, 8900)])
    key = (
        await issue_key(
            market.service.keys, KeyScope.BUYER, PREMIUM.subject_id, label="test", now=market.service.clock()
        )
    ).secret
    headers = {"authorization": f"Bearer {key}", "idempotency-key": "one"}
    asked = await both.http.post("/v1/after-sales", json={"order_id": "A-1"}, headers=headers)
    assert asked.status_code == 201, asked.text
    assert "set-cookie" not in asked.headers
    await market.service.ticket_list.fill()
    await both.come_in_as(SHOP)
    assert "A-1" in (await both.see("/merchant/tickets")).text


async def test_a_session_is_no_key(both: Visitor) -> None:
    await both.come_in_as(PREMIUM)
    assert (await both.http.post("/v1/after-sales", json={"order_id": "A-1"})).status_code == 401


@pytest.mark.parametrize("host", [b"", b"[", b"a b", b"\xff", b":80", b"x:99999", b"x:y"])
@pytest.mark.parametrize("path", ["/", "/merchant/tickets", "/nothing"])
async def test_a_host_that_is_no_address_is_no_failure_of_ours(market: Marketplace, path: str, host: bytes) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"next=%2F",
        "root_path": "",
        "headers": [(b"host", host)],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
        "extensions": {},
    }
    await console_app(market.service, one_click=True)(scope, receive, send)
    assert sent[0]["status"] in (200, 303, 400, 404)
