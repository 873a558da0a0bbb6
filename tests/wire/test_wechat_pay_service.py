"""The whole service with WeChat Pay: refunds that are paid, notified, stuck or closed, and an outage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from jitui.bootstrap import utc_now
from jitui.settings import Settings, environment_for, read_settings
from jitui.worker import pay_due
from tests.aftersales.market import open_market
from tests.http.api import Api, open_api, order, payment
from tests.provider_simulator.server import SimulatorProcess, simulator, start_simulator
from tests.wire import wechat_pay_server as wire
from tests.wire.wechat_pay_server import Payment, Seconds, WeChatPayServer, provider_at, wechat_pay_server
from tests.worker.paying import approve, paid_market_with, settings_of, until, working

__all__ = ["simulator", "start_simulator"]

PATH = "/v1/notifications/wechat_pay"
PAID = 12_900


@dataclass
class Shop:
    """A service whose only provider is WeChat Pay, and one approved refund in it."""

    api: Api
    server: WeChatPayServer
    payment: Payment
    ticket_id: str

    async def state(self) -> str:
        return str((await self.api.get(f"/v1/after-sales/{self.ticket_id}")).json()["state"])

    async def refund(self) -> dict[str, Any]:
        ticket = (await self.api.get(f"/v1/after-sales/{self.ticket_id}")).json()
        (found,) = ticket["refunds"]
        got: dict[str, Any] = (await self.api.get(f"/v1/refunds/{found['refund_id']}")).json()
        return got

    async def notify(self, number: str, status: str, *, nonce: str | None = None) -> httpx.Response:
        body = wire.notification(self.server.move(number, status))
        headers = wire.signed_headers(body, sent_at=self.api.now(), nonce=nonce)
        return await self.api.call("POST", PATH, content=body.encode(), headers=headers)


@pytest.fixture
async def shop(database_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    async with wechat_pay_server() as server:
        settings = Settings(home=tmp_path, **wire.secrets_in(tmp_path, server.url))
        async with open_api(database_url, home=tmp_path, settings=settings) as api:
            paid = server.pay(PAID)
            assert (await api.put("/v1/orders/o-1", order(paid=PAID))).status_code == 201
            tender = payment("o-1", PAID, provider="wechat_pay", payment_id=paid.transaction_id)
            assert (await api.post("/v1/orders/o-1/payments", tender)).status_code == 201
            yield Shop(api, server, paid, (await api.ask("o-1"))["ticket"]["ticket_id"])


async def test_an_accepted_refund_is_done_when_wechat_pay_says_so(shop: Shop) -> None:
    shop.server.next_status = "PROCESSING"
    assert await pay_due(shop.api.service) == 1
    assert await shop.state() == "refunding"
    (number,) = shop.server.refunds
    for nonce, status in (("n1", 204), ("n1", 401), ("n2", 204)):
        assert (await shop.notify(number, "SUCCESS", nonce=nonce)).status_code == status
        assert await shop.state() == "refunded"
    refund = await shop.refund()
    assert refund["state"] == "succeeded"
    assert [UUID(attempt["attempt_id"]).hex for attempt in refund["attempts"]] == [number]
    assert shop.server.paid_out(shop.payment) == PAID


async def test_an_accepted_refund_is_looked_up_when_nobody_says_anything(shop: Shop) -> None:
    shop.server.next_status = "PROCESSING"
    await pay_due(shop.api.service)
    (number,) = shop.server.refunds
    shop.server.move(number, "SUCCESS")
    shop.api.now.later(seconds=10)
    await pay_due(shop.api.service)
    assert await shop.state() == "refunded"
    assert [method for method, _ in shop.server.calls] == ["POST", "GET"]


async def test_an_abnormal_refund_waits_for_a_person_and_is_never_paid_twice(shop: Shop) -> None:
    shop.server.next_status = "ABNORMAL"
    await pay_due(shop.api.service)
    assert await shop.state() == "refund_failed"
    refund = await shop.refund()
    assert (refund["state"], str(refund["reason"])[:8]) == ("failed", "ABNORMAL")
    retried = await shop.api.post(f"/v1/refunds/{refund['refund_id']}/retry", headers={"idempotency-key": "k" * 16})
    assert (retried.status_code, retried.json()["type"]) == (409, "/problems/refund-not-failed")
    assert "pay twice" in retried.json()["detail"]

    (number,) = shop.server.refunds
    shop.api.now.later(days=1)
    assert (await shop.notify(number, "SUCCESS")).status_code == 204, "somebody handled it in the merchant platform"
    assert await shop.state() == "refunded"
    assert (list(shop.server.refunds), shop.server.paid_out(shop.payment)) == ([number], PAID)


async def test_a_closed_refund_is_retried_under_a_new_number_after_a_minute(shop: Shop) -> None:
    clock = Seconds()
    async with provider_at(shop.server.url, clock=clock) as provider:
        service = replace(shop.api.service, providers={provider.name: provider})
        shop.server.next_status = "CLOSED"
        await pay_due(service)
        assert await shop.state() == "refund_failed"
        path = f"/v1/refunds/{(await shop.refund())['refund_id']}/retry"
        assert (await shop.api.post(path, headers={"idempotency-key": "k" * 16})).status_code == 200

        shop.server.next_status = "SUCCESS"
        await pay_due(service)
        assert (await shop.state(), (await shop.refund())["reason"]) == ("refunding", "rate_limited")
        shop.api.now.later(seconds=60)
        clock.now += 60
        await pay_due(service)
    assert await shop.state() == "refunded"
    assert [refund["status"] for refund in shop.server.refunds.values()] == ["CLOSED", "SUCCESS"]
    assert shop.server.paid_out(shop.payment) == PAID


async def test_a_short_balance_is_tried_again_with_the_same_number(shop: Shop) -> None:
    shop.server.faults = [wire.error(403, "NOT_ENOUGH", "余额不足")]
    await pay_due(shop.api.service)
    assert (await shop.state(), (await shop.refund())["reason"]) == ("refunding", "NOT_ENOUGH: 余额不足")
    shop.api.now.later(minutes=10)
    await pay_due(shop.api.service)
    assert await shop.state() == "refunded"
    attempts = (await shop.refund())["attempts"]
    assert isinstance(attempts, list) and len(attempts) == 1


async def test_t13_a_notification_of_a_refund_made_by_hand_is_taken_and_changes_nothing(shop: Shop) -> None:
    shop.server.next_status = "PROCESSING"
    await pay_due(shop.api.service)
    (refund,) = shop.server.refunds.values()
    shop.server.refunds["by-hand"] = {**refund, "out_refund_no": "by-hand"}
    assert (await shop.notify("by-hand", "SUCCESS")).status_code == 204
    assert await shop.state() == "refunding"


async def test_wechat_pay_that_hangs_holds_up_only_its_own_refunds(
    database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    async with open_market(database_url, now=utc_now()) as market, wechat_pay_server() as server:
        refs = await approve(market, [f"hangs-{index}" for index in range(8)], now=utc_now(), provider="wechat_pay")
        for ref in refs:
            server.pay(10_000, out_trade_no=f"pay-{ref.order_id}-1")
        server.faults = server.look_up_faults = ["hang"] * 1000
        settings = settings_of(
            database_url,
            simulator,
            tmp_path,
            worker_batch=4,
            provider_timeout_seconds=2,
            **wire.secrets_in(tmp_path, server.url),
        )
        async with paid_market_with(market, settings, simulator, 12) as paid_market, working(paid_market.service):
            await until(paid_market.all_refunded)
        assert server.calls, "WeChat Pay was asked meanwhile"
        assert server.refunds == {}


def test_settings_reach_a_child_process_and_secrets_stay_in_their_files(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, **wire.secrets_in(tmp_path, "http://127.0.0.1:9"))
    environment = environment_for(settings, {"PATH": "/bin"})
    assert read_settings(environment) == settings
    assert not any(wire.API_V3_KEY in text or "PRIVATE KEY" in text for text in environment.values())
