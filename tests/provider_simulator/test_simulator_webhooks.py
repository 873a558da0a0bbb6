"""Webhooks are signed by the Standard Webhooks specification, repeated until accepted, and have the planned faults."""

from __future__ import annotations

import asyncio

import pytest

from jitui.errors import NotConfigured
from jitui.provider_simulator.settings import SimulatorSettings
from jitui.provider_simulator.signature import new_webhook_secret, sign, signing_key
from tests.provider_simulator.server import Client, StartSimulator, client_of, webhook_inbox


def test_the_signature_is_the_one_of_the_published_libraries() -> None:
    """Known answer from the test suites of the Standard Webhooks libraries."""
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_new_secrets_sign_and_differ() -> None:
    secrets = [new_webhook_secret() for _ in range(3)]
    assert len({signing_key(secret) for secret in secrets}) == 3


@pytest.mark.parametrize("secret", ["", "secret", "whsec_***", None])
def test_webhooks_without_a_usable_secret_are_refused_at_the_start(secret: str | None) -> None:
    with pytest.raises(NotConfigured):
        SimulatorSettings(api_key="k", webhook_url="http://127.0.0.1:1/", webhook_secret=secret)


async def test_a_webhook_is_repeated_until_it_is_taken(start_simulator: StartSimulator) -> None:
    async with webhook_inbox(500, 302, 404) as inbox:
        simulator = start_simulator(webhook_url=inbox.url, webhook_retry_seconds=0.01)
        async with client_of(simulator) as client:
            reply = await client.refund(await client.pay(), 100)
            received = await inbox.wait_for(4)
            assert {one.event_id for one in received} == {f"evt_{reply.json['id']}_succeeded"}
            assert len({one.body for one in received}) == 1
            await until_all_are_taken(client)
        assert len(inbox.received) == 4


async def until_all_are_taken(client: Client) -> None:
    async with asyncio.timeout(20):
        while True:
            if not (await client.call("GET", "/books")).json["webhooks_waiting"]:
                return
            await asyncio.sleep(0.02)


async def test_a_duplicate_is_the_same_event_three_times(start_simulator: StartSimulator) -> None:
    async with webhook_inbox() as inbox:
        simulator = start_simulator(webhook_url=inbox.url, faults="amounts")
        async with client_of(simulator) as client:
            await client.refund(await client.pay(), 111)
            received = await inbox.wait_for(3)
            await until_all_are_taken(client)
        assert len({(one.event_id, one.body) for one in received}) == 1
        assert len(inbox.received) == 3


async def test_a_change_is_news_of_its_own_and_out_of_order_comes_reversed(
    start_simulator: StartSimulator,
) -> None:
    async with webhook_inbox() as inbox:
        timing = {"settle_ms": 50, "fail_ms": 50, "late_ms": 200}
        simulator = start_simulator(webhook_url=inbox.url, faults="amounts", timing=timing)
        async with client_of(simulator) as client:
            paid = await client.pay()
            types = []
            for amount_minor in (102, 103, 104, 113):
                before = len(inbox.received)
                await client.refund(paid, amount_minor)
                types.append([one.type for one in (await inbox.wait_for(before + 2))[before:]])
    assert types == [
        ["refund.pending", "refund.succeeded"],
        ["refund.pending", "refund.failed"],
        ["refund.succeeded", "refund.failed"],
        ["refund.succeeded", "refund.pending"],
    ]


async def test_a_late_webhook_comes_after_later_refunds(start_simulator: StartSimulator) -> None:
    async with webhook_inbox() as inbox:
        simulator = start_simulator(webhook_url=inbox.url, faults="amounts", timing={"late_ms": 500})
        async with client_of(simulator) as client:
            paid = await client.pay()
            late = (await client.refund(paid, 112)).json["id"]
            prompt = (await client.refund(paid, 100)).json["id"]
            received = await inbox.wait_for(2)
    assert [one.event_id for one in received] == [f"evt_{prompt}_succeeded", f"evt_{late}_succeeded"]
