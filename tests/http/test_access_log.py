"""A line for each request: what is in it, and what is not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from jitui import logs
from jitui.entrypoints.console.mount import console_handlers
from jitui.entrypoints.http.app import create_app
from jitui.settings import LogFormat, LogLevel, Settings, YesOrNo
from tests.asgi import transport_to
from tests.http.api import Api

CALLS = [
    ("GET", "/v1/orders/o-secret-1?x=private", "/v1/orders/{order_id}", 400),
    ("GET", "/v1/orders/o-secret-1", "/v1/orders/{order_id}", 404),
    ("POST", "/v1/pauses", "/v1/pauses", 400),
    ("DELETE", "/v1/orders/o-secret-1", "unknown", 405),
    ("GET", "/nowhere/o-secret-1?password=private", "unknown", 404),
    ("GET", "/static/console.css", "/static/{file_path}", 200),
    ("GET", "/welcome/o-secret-1", "/welcome/[hidden]", 410),
]


async def lines_of(
    api: Api, settings: Settings, capsys: pytest.CaptureFixture[str], *calls: tuple[str, str]
) -> list[dict[str, Any]]:
    """What is logged of these calls."""
    service = replace(api.service, settings=settings)
    app = create_app(service, extra_handlers=console_handlers())
    logs.configure(settings)
    async with httpx.AsyncClient(transport=transport_to(app), base_url="http://jitui") as client:
        for method, path in calls:
            await client.request(method, path, headers={"authorization": f"Bearer {api.platform}"})
    logs.configure(api.service.settings)
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    return [line for line in told if line["event"] == "request"]


@pytest.mark.parametrize(("method", "path", "route", "status"), CALLS, ids=[f"{c[0]}-{c[2]}-{c[3]}" for c in CALLS])
async def test_a_line_has_the_route_and_nothing_of_the_address(
    api: Api, capsys: pytest.CaptureFixture[str], method: str, path: str, route: str, status: int
) -> None:
    settings = replace(api.service.settings, log_format=LogFormat.JSON)
    (line,) = await lines_of(api, settings, capsys, (method, path))
    assert (line["method"], line["status"], line["logger"]) == (method, status, "jitui.access")
    assert line["route"].replace(":path}", "}") == route
    assert line["ms"] >= 0 and line["request_id"]
    assert "secret" not in str(line) and "private" not in str(line)
    admitted = route.startswith("/v1/")
    assert line["key_id"] == (api.platform.split("_")[1] if admitted and status != 405 else None)


async def test_probes_are_for_debugging_and_the_setting_switches_all_off(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = [("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/v1/history")]
    settings = replace(api.service.settings, log_format=LogFormat.JSON)
    told = await lines_of(api, settings, capsys, *calls)
    assert [line["route"] for line in told] == ["/v1/history"]
    told = await lines_of(api, replace(settings, log_level=LogLevel.DEBUG), capsys, *calls)
    assert [line["route"] for line in told] == [path for _, path in calls]
    assert await lines_of(api, replace(settings, access_log=YesOrNo.NO), capsys, *calls) == []
