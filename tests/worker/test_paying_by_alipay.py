"""A refund by Alipay: configured by settings, paid by the worker, confirmed by a response or a notification."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.ticket import TicketState
from jitui.bootstrap import Service, open_service, utc_now
from jitui.entrypoints.http.app import create_app
from jitui.settings import Settings
from jitui.worker import pay_due
from tests.aftersales.market import Market, open_market
from tests.asgi import transport_to
from tests.provider_simulator.server import SimulatorProcess
from tests.wire.alipay_server import (
    APP_ID,
    NOTIFY_PATH,
    AlipayServer,
    Fault,
    Trade,
    alipay_running,
    private_pem,
    public_bare,
    signed_form,
)
from tests.worker.paying import PaidMarket, approve, settings_of, tell, until, working

PAID = 10_000


@pytest.fixture
async def server() -> AsyncIterator[AlipayServer]:
    async with alipay_running() as running:
        yield running


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    async with open_market(database_url, now=utc_now()) as opened:
        yield opened


def with_alipay(settings: Settings, server: AlipayServer) -> Settings:
    (settings.home / "private.pem").write_text(private_pem("app"))
    (settings.home / "public.txt").write_text(public_bare("platform"))
    return replace(
        settings,
        alipay_app_id=APP_ID,
        alipay_private_key_file=settings.home / "private.pem",
        alipay_public_key_file=settings.home / "public.txt",
        alipay_gateway=server.url,
    )


@asynccontextmanager
async def one_refund(
    market: Market, database_url: str, server: AlipayServer, home: Path
) -> AsyncIterator[tuple[PaidMarket, Trade]]:
    """An approved refund of an order that was paid through Alipay, and the trade in Alipay's books."""
    settings = with_alipay(Settings(home=home, database_url=database_url), server)
    refs = await approve(market, ["1"], now=utc_now(), provider="alipay")
    trade = server.capture(f"pay-{refs[0].order_id}-1", PAID)
    async with open_service(settings, database_url) as service:
        yield PaidMarket(service, market, refs), trade


def later(service: Service, **span: float) -> Service:
    return replace(service, clock=lambda: utc_now() + timedelta(**span))


async def notify(service: Service, body: bytes) -> httpx.Response:
    transport = transport_to(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://jitui") as client:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return await client.post(NOTIFY_PATH, content=body, headers=headers)


async def test_a_refund_is_paid_and_its_notification_changes_nothing_more(
    market: Market, database_url: str, server: AlipayServer, tmp_path: Path
) -> None:
    async with one_refund(market, database_url, server, tmp_path) as (paid_market, trade):
        assert await pay_due(paid_market.service) == 1
        assert await paid_market.tickets() == [TicketState.REFUNDED]
        (number,) = trade.refunds
        for _ in range(2):
            got = await notify(paid_market.service, signed_form(server.notification(trade, number)))
            assert (got.status_code, got.text) == (200, "success")
        (snapshot,) = await paid_market.snapshots()
        assert (snapshot.tenders[0].refunded_minor, snapshot.tenders[0].pending_minor) == (PAID, 0)
        assert server.methods() == ["refund"]


async def test_a_lost_answer_is_settled_by_the_notification(
    market: Market, database_url: str, server: AlipayServer, tmp_path: Path
) -> None:
    async with one_refund(market, database_url, server, tmp_path) as (paid_market, trade):
        server.faults["refund"] = [Fault.DROPPED_AFTER]
        await pay_due(paid_market.service)
        assert await paid_market.refunds() == [RefundState.UNKNOWN]
        (number,) = trade.refunds
        body = signed_form(server.notification(trade, number))
        forged = await notify(paid_market.service, body.replace(b"refund_fee=100.00", b"refund_fee=999.00"))
        assert forged.status_code == 401
        assert await paid_market.tickets() == [TicketState.REFUNDING]
        assert (await notify(paid_market.service, body)).text == "success"
        assert await paid_market.tickets() == [TicketState.REFUNDED]
        assert trade.refunds == {number: PAID}


@pytest.mark.parametrize("fault", [Fault.DROPPED_BEFORE, Fault.DROPPED_AFTER, Fault.ERROR_AFTER, Fault.FORGED])
async def test_t27_whatever_happens_to_the_first_answer_the_money_goes_back_once(
    market: Market, database_url: str, server: AlipayServer, tmp_path: Path, fault: Fault
) -> None:
    async with one_refund(market, database_url, server, tmp_path) as (paid_market, trade):
        server.faults["refund"] = [fault]
        await pay_due(paid_market.service)
        assert await paid_market.refunds() == [RefundState.UNKNOWN]
        await pay_due(later(paid_market.service, minutes=5))
        assert await paid_market.tickets() == [TicketState.REFUNDED]
        assert list(trade.refunds.values()) == [PAID]


async def test_a_refusal_for_good_goes_to_the_operator_and_news_of_others_is_taken(
    market: Market, database_url: str, server: AlipayServer, tmp_path: Path
) -> None:
    async with one_refund(market, database_url, server, tmp_path) as (paid_market, trade):
        trade.refunds["by-hand"] = PAID
        await pay_due(paid_market.service)
        assert await paid_market.tickets() == [TicketState.REFUND_FAILED]
        (snapshot,) = await paid_market.snapshots()
        assert snapshot.refunds[0].reason == "ACQ.TRADE_HAS_CLOSE"
        got = await notify(paid_market.service, signed_form(server.notification(trade, "by-hand")))
        assert (got.status_code, got.text) == (200, "success")
        assert await paid_market.tickets() == [TicketState.REFUND_FAILED]


async def test_a_gateway_that_hangs_holds_up_its_own_refunds_and_no_others(
    market: Market, database_url: str, server: AlipayServer, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    settings = with_alipay(settings_of(database_url, simulator, tmp_path), server)
    hung = await approve(market, ["a", "b", "c"], now=utc_now(), provider="alipay")
    server.faults["refund"] = [Fault.HANG] * len(hung)
    others = await approve(market, ["1", "2", "3"], now=utc_now())
    await tell(simulator, others)
    async with open_service(settings, database_url) as service, working(service):
        await until(PaidMarket(service, market, others).all_refunded)
        assert await PaidMarket(service, market, hung).refunds() == [RefundState.SENDING] * len(hung)
        server.released.set()
        await until(PaidMarket(service, market, hung).all_unknown)
