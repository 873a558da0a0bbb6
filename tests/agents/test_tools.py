"""The tools as an agent's program uses them: the SDK's own client over stdio, a service on a real PostgreSQL."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

from jitui.aftersales.memory_store.provider import MemoryProvider
from jitui.aftersales.model.order import LineUnits, ShipmentStatus
from jitui.aftersales.model.ticket import Reason
from jitui.aftersales.platform import PlatformShipment
from jitui.entrypoints.agents.server import TOOLS, input_schema
from jitui.entrypoints.http.app import create_app
from jitui.identity.access import KeyScope, Permission
from jitui.identity.keys import issue_key
from jitui.worker import pay_due
from tests.aftersales.market import NOW
from tests.aftersales.test_platform_orders import ORDER
from tests.browser.site import served
from tests.cli.conftest import in_a_process
from tests.http.api import BUYER, SHOP, Api, open_api, shipment
from tests.platforms.fake import FakePlatform, with_platform

REASON = {"reason": "no_longer_wanted"}


@dataclass
class Agent:
    """A session of the SDK's client with `jitui mcp`."""

    session: ClientSession

    async def call(self, name: str, **arguments: Any) -> tuple[bool, str, dict[str, Any]]:
        """Whether it is an error, the sentence, and the fields."""
        done = await self.session.call_tool(name, arguments)
        (content,) = done.content
        assert content.type == "text"
        return bool(done.is_error), content.text, done.structured_content or {}


@asynccontextmanager
async def agent_of(url: str, key: str, home: Path) -> AsyncIterator[Agent]:
    """As an agent's program starts it: the key is in a file, and nothing else is given."""
    file = home / "agent-key"
    file.write_text(key)
    file.chmod(0o600)
    words = ["-m", "jitui.entrypoints.cli", "--remote", url, "--api-key-file", str(file), "mcp"]
    server = StdioServerParameters(command=sys.executable, args=words, env={"PATH": os.environ["PATH"]})
    async with stdio_client(server) as (reading, writing), ClientSession(reading, writing) as session:
        await session.initialize()
        yield Agent(session)


Start = Callable[..., AbstractAsyncContextManager[Agent]]


@pytest.fixture
async def beside(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Api, FakePlatform]]:
    """The service with a provider that pays, and a platform with order V-1 of the same buyer."""
    platform = FakePlatform()
    platform.orders["V-1"] = replace(ORDER, buyer_id=BUYER)
    async with open_api(database_url, home=tmp_path) as api:
        service = with_platform(api.service, platform, SHOP)
        paying = {**service.providers, "simulator": MemoryProvider("simulator")}
        yield replace(api, service=replace(service, providers=paying)), platform


@pytest.fixture
async def start(beside: tuple[Api, FakePlatform], tmp_path: Path) -> AsyncIterator[Start]:
    """Starts agents with a key: the buyer's, unless another is given."""
    api, _ = beside
    async with served(create_app(api.service)) as url:
        yield lambda key=None: agent_of(url, key or api.buyer, tmp_path)


async def test_what_is_offered(start: Start) -> None:
    """Three tools; none of them takes an amount, or anything that is not named."""
    async with start() as agent:
        tools = {tool.name: tool for tool in (await agent.session.list_tools()).tools}
        assert set(tools) == {"check_refund", "request_refund", "refund_status"}
        takes = {name: set(tool.input_schema["properties"]) for name, tool in tools.items()}
        assert takes == {
            "check_refund": {"order_id"},
            "request_refund": {"order_id", "reason"},
            "refund_status": {"ticket_id", "order_id"},
        }
        for tool in tools.values():
            assert tool.input_schema["additionalProperties"] is False
            assert "amount" not in json.dumps(tool.input_schema).casefold()
        assert tools["request_refund"].input_schema["required"] == ["order_id", "reason"]
        assert [name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint] == [
            "check_refund",
            "refund_status",
        ]
        for arguments in ({**REASON, "order_id": "o-1", "amount_minor": 1}, {"order_id": "o-1", "reason": "greed"}, {}):
            is_error, sentence, fields = await agent.call("request_refund", **arguments)
            assert (is_error, fields["problem"]) == (True, "invalid-request"), sentence
        assert (await agent.call("pay", order_id="o-1"))[0]


async def test_approved_at_once_and_paid_once(start: Start, beside: tuple[Api, FakePlatform]) -> None:
    api, _ = beside
    await api.paid_order("o-1")
    async with start() as agent:
        is_error, sentence, fields = await agent.call("check_refund", order_id="o-1")
        assert (is_error, fields["refunded_at_once"]) == (False, True)
        assert sentence == "A refund of 129.00 CNY would be given at once, as things stand. Nothing was asked for yet."
        assert await api.count("ticket") == 0
        first = await agent.call("request_refund", order_id="o-1", **REASON)
        assert not first[0], first
        assert "approved, and the money is on its way" in first[1]
        assert first[2]["approved_by"] == "instant_refund"
        async with start() as other:
            for one in (agent, agent, other):
                assert (await one.call("request_refund", order_id="o-1", **REASON)) == first
        while await pay_due(api.service):
            pass
        again = await agent.call("request_refund", order_id="o-1", **REASON)
        assert (again[0], again[2]["state"]) == (False, "refunded"), "the same request, as it stands now"
        assert (await api.count("ticket"), await api.count("refund")) == (1, 1)
        provider = api.service.providers["simulator"]
        assert isinstance(provider, MemoryProvider)
        assert len(provider.books) == 1
        by_order = await agent.call("refund_status", order_id="o-1")
        by_ticket = await agent.call("refund_status", ticket_id=first[2]["ticket_id"])
        assert "The money is back" in by_ticket[1]
        assert by_order[2]["tickets"] == [by_ticket[2]]


async def test_the_shop_decides(start: Start, beside: tuple[Api, FakePlatform]) -> None:
    """A platform's key asks for the order's buyer; after a rejection the same words are a new request."""
    api, _ = beside
    await api.paid_order("o-1", buyer_id="buyer-plain")
    async with start(api.platform) as agent:
        is_error, sentence, fields = await agent.call("check_refund", order_id="o-1")
        assert (is_error, fields["refunded_at_once"]) == (False, False)
        assert "would go to the shop" in sentence
        _, sentence, fields = await agent.call("request_refund", order_id="o-1", **REASON)
        assert fields["state"] == "awaiting_merchant"
        assert "The shop decides, until " in sentence
        is_error, sentence, fields = await agent.call("request_refund", order_id="o-1", reason="other")
        assert (is_error, fields["problem"]) == (True, "refund-in-progress")
        assert "refund_status" in sentence
        ticket = (await agent.call("refund_status", order_id="o-1"))[2]["tickets"][0]["ticket_id"]
        await api.post(f"/v1/after-sales/{ticket}/withdraw", headers={"if-match": '"1"'})
        is_error, sentence, fields = await agent.call("request_refund", order_id="o-1", **REASON)
        assert (is_error, fields["problem"]) == (True, "too-many-requests")
        assert f"Call this again in {fields['retry_after_seconds']:.0f} seconds" in sentence
        api.now.later(minutes=2)
        anew = await agent.call("request_refund", order_id="o-1", **REASON)
        assert (anew[0], anew[2]["state"]) == (False, "awaiting_merchant")
        assert anew[2]["ticket_id"] != ticket


async def test_what_has_left_is_refused(start: Start, beside: tuple[Api, FakePlatform]) -> None:
    api, platform = beside
    await api.paid_order("o-1")
    sent = await api.post("/v1/orders/o-1/shipments", shipment())
    assert sent.status_code == 201, sent.text
    async with start() as agent:
        parcel = PlatformShipment("vendure-9", "SF9", "sf", ShipmentStatus.SHIPPED, NOW, (LineUnits("l1", 3),))
        platform.orders["V-1"] = replace(ORDER, buyer_id=BUYER, shipments=(parcel,))
        for order_id in ("o-1", "V-1"):
            is_error, sentence, fields = await agent.call("request_refund", order_id=order_id, **REASON)
            assert (is_error, fields["problem"]) == (True, "order-already-shipped")
            assert "Do not call this again" in sentence
        for order_id in ("nobodys", "o-2"):
            is_error, sentence, fields = await agent.call("request_refund", order_id=order_id, **REASON)
            assert (is_error, fields["problem"]) == (True, "not-found")
        assert await api.count("ticket") == 0


async def test_an_order_of_a_platform_is_read_there(start: Start, beside: tuple[Api, FakePlatform]) -> None:
    api, platform = beside
    async with start() as agent:
        platform.down = True
        is_error, sentence, fields = await agent.call("request_refund", order_id="V-1", **REASON)
        assert (is_error, fields["problem"]) == (True, "platform-unavailable")
        assert "nothing was decided" in sentence
        assert f"in {fields['retry_after_seconds']:.0f} seconds" in sentence
        assert await api.count("ticket") == 0
        platform.down = False
        done = await agent.call("request_refund", order_id="V-1", **REASON)
        assert (done[0], done[2]["amount"]) == (False, {"amount_minor": 3500, "currency": "CNY"})


@pytest.mark.parametrize("key", ["wrong", "shop", "restricted"])
async def test_a_key_that_may_not(start: Start, beside: tuple[Api, FakePlatform], key: str) -> None:
    api, _ = beside
    await api.paid_order("o-1")
    reading = frozenset({Permission.TICKETS_READ, Permission.ORDERS_READ})
    if key == "restricted":
        issued = await issue_key(api.service.keys, KeyScope.BUYER, BUYER, label="x", now=NOW, permissions=reading)
        given, problem, word = issued.secret, "permission-missing", "refund_requests:read"
    elif key == "shop":
        given, problem, word = api.shop, "scope-not-allowed", "a buyer's or a platform's key"
    else:
        given, problem, word = api.buyer[:-1] + ("a" if api.buyer[-1] != "a" else "b"), "unauthenticated", "valid one"
    async with start(given) as agent:
        for name, more in (("check_refund", {}), ("request_refund", REASON)):
            is_error, sentence, fields = await agent.call(name, order_id="o-1", **more)
            assert (is_error, fields["problem"]) == (True, problem), sentence
            assert word in sentence
        assert await api.count("ticket") == 0


async def test_a_service_that_is_away(tmp_path: Path) -> None:
    async with agent_of("http://127.0.0.1:9", "jt_x", tmp_path) as agent:
        is_error, sentence, _ = await agent.call("check_refund", order_id="o-1")
    assert is_error
    assert "does not answer" in sentence


async def test_one_of_ticket_and_order_is_named(start: Start) -> None:
    async with start() as agent:
        for arguments in ({}, {"order_id": "o-1", "ticket_id": "00000000-0000-0000-0000-000000000000"}):
            assert (await agent.call("refund_status", **arguments))[0]
        is_error, sentence, fields = await agent.call("refund_status", order_id="nobodys")
        assert (is_error, fields) == (False, {"tickets": []})
        assert "No refund of order nobodys" in sentence


def test_no_tool_takes_money() -> None:
    assert [name for tool in TOOLS for name in input_schema(tool.sent)["properties"] if "amount" in name] == []


async def test_a_word_that_is_none_of_those(start: Start) -> None:
    async with start() as agent:
        is_error, sentence, fields = await agent.call("request_refund", order_id="o-1", reason="bored")
    assert (is_error, fields["problem"]) == (True, "invalid-request")
    assert sentence.endswith(f"reason is one of {', '.join(Reason)}."), sentence


def test_a_key_that_could_be_read_on_the_way(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("key")
    words = ["--remote", "http://refunds.example.com", "--api-key-file", str(key), "mcp"]
    told = in_a_process(*words, settings={"JITUI_HOME": str(tmp_path)})
    assert (told.code, "or --allow-http in a network that you trust" in told.err) == (2, True), told
