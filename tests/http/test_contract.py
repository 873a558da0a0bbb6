"""Schemathesis sends what the published description allows and what it does not, and checks every response."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from jitui.entrypoints.http.openapi import document
from jitui.entrypoints.http.server import build
from jitui.settings import Settings
from tests.http.api import BUYER, SHOP, open_api, with_key
from tests.provider_simulator.server import SIMULATOR_AWAY

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    allow_header_conformance,
]


async def _seed(database_url: str, home: Path) -> dict[str, str]:
    async with open_api(database_url, home=home) as api:
        await api.put(f"/v1/shops/{SHOP}", {"name": "One"})
        await api.paid_order("o-1")
        granted = (await api.ask("o-1"))["ticket"]
        waiting = await api.reviewed("o-2")
        endpoint = await api.post("/v1/webhook-endpoints", {"url": "https://shop.example/webhooks"})
        restriction = await api.post("/v1/restrictions", {"buyer_id": "buyer-9", "reason": "Cancels in series."})
        contested = await api.post("/v1/restrictions", {"buyer_id": "buyer-8", "reason": "Cancels in series."})
        appeal = await api.post(
            "/v1/appeals",
            {"restriction_id": contested.json()["restriction_id"], "buyer_id": "buyer-8", "text": "It was the shop."},
        )
        return {
            "key": api.platform,
            "order_id": "o-2",
            "buyer_id": BUYER,
            "shop_id": SHOP,
            "ticket_id": waiting["ticket_id"],
            "refund_id": granted["refunds"][0]["refund_id"],
            "restriction_id": restriction.json()["restriction_id"],
            "appeal_id": appeal.json()["appeal_id"],
            "endpoint_id": endpoint.json()["endpoint"]["endpoint_id"],
            "place": "shop",
        }


@pytest.fixture(scope="module")
def seeded(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return asyncio.run(_seed(module_database_url, tmp_path_factory.mktemp("home")))


class Served:
    """Stands for the application, which needs its database first."""

    def __init__(self) -> None:
        self.app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


SERVED = Served()
schema, without_key = (schemathesis.openapi.from_dict(document()) for _ in range(2))
schema.app = without_key.app = SERVED
without_key.config.phases.coverage.enabled = False  # every misfit of every field: 401 says nothing about those


@pytest.fixture(scope="module", autouse=True)
def application(
    seeded: dict[str, str], module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    home = tmp_path_factory.mktemp("home")
    wanted = Settings(home=home, pool_size=2, encryption_key_file=with_key(home), **SIMULATOR_AWAY)
    SERVED.app = build(wanted, module_database_url)
    yield
    shutdown_lifespans()


bounded = partial(
    settings,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@schema.parametrize()
@bounded(max_examples=8)
def test_every_answer_is_as_described(case: schemathesis.Case[Any], seeded: dict[str, str]) -> None:
    _on_things_that_exist(case, seeded)
    case.call_and_validate(headers={"authorization": f"Bearer {seeded['key']}"}, checks=CHECKS)


@without_key.exclude(tag="Service").parametrize()
@bounded(max_examples=2)
def test_without_a_key_too(case: schemathesis.Case[Any]) -> None:
    case.headers.pop("Authorization", None)
    case.call_and_validate(checks=CHECKS)


def _on_things_that_exist(case: schemathesis.Case[Any], seeded: dict[str, str]) -> None:
    """Half of the calls name something that exists; nobody waits for news here."""
    if len(str(case.path_parameters)) % 2:
        for name in case.path_parameters:
            case.path_parameters[name] = seeded.get(name, case.path_parameters[name])
    if case.query.get("wait_seconds") in range(1, 31):
        case.query["wait_seconds"] = 0
