"""Repeated requests, a webhook before the response, and a process that dies between paying and recording it.

- T4 juspay/hyperswitch PR 5282: a refund id that came again met a database error, or made a second refund.
- T11 antiwork/gumroad PR 6193: the provider's webhook was there before the seller's own record was, and both made one.
- T14 woocommerce/woocommerce-paypal-payments #522: one click and the webhook it caused refunded twice.
- T15 btravstack/temporal-contract #428: a worker died after the payout and before its checkpoint, and the rerun paid
  again under a new key.

T5, T10, T12, T13, T27 and T28 are with the adapters in tests/wire and with tests/aftersales/test_pay.py.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import aiohttp
from aiohttp import web

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.pay import pay_claimed
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.ports import AttemptRef, Store
from jitui.aftersales.provider import (
    BOTH,
    Capabilities,
    DisputeNotification,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    PaymentProvider,
    RefundInstruction,
    RefundResult,
)
from jitui.bootstrap import utc_now
from jitui.ids import lane_of
from tests.aftersales.market import open_market
from tests.http.api import BUYER, Api
from tests.known_bugs.steps import A_MINUTE, SUCCEEDED, postings
from tests.provider_simulator.server import SimulatorProcess
from tests.worker.paying import PaidMarket, books, paid_market_with, settings_of, until, worker_process

SENT_ONCE = ["captured", "granted", "paid"]


@asynccontextmanager
async def one_refund(database_url: str, simulator: SimulatorProcess, home: Path) -> AsyncIterator[PaidMarket]:
    settings = settings_of(database_url, simulator, home)
    async with (
        open_market(database_url, now=utc_now()) as market,
        paid_market_with(market, settings, simulator, 1) as paid_market,
    ):
        yield paid_market


async def paid(simulator: SimulatorProcess) -> dict[str, object]:
    """What the simulator's own books say was paid, as far as it is not nothing."""
    found = await books(simulator)
    assert found["paid_twice"] == [] and found["over_refunded"] == []
    by_status = found["refunds_by_status"]
    assert isinstance(by_status, dict)
    return {status: number for status, number in by_status.items() if number}


async def test_t04_a_repeated_request_gets_the_first_answer_and_makes_no_second_refund(api: Api) -> None:
    await api.paid_order("o-1")
    body, key = {"order_id": "o-1", "buyer_id": BUYER}, {"idempotency-key": "refund-7"}
    answers = [await api.post("/v1/after-sales", body, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert (await api.count("ticket"), await api.count("refund")) == (1, 1)
    without = await api.post("/v1/after-sales", body)
    assert (without.status_code, without.json()["type"]) == (409, "/problems/refund-in-progress")


@dataclass(frozen=True)
class QuickToTell:
    """The simulator, whose webhook is here before its answer is."""

    inner: PaymentProvider
    store: Store
    name: str = "simulator"
    capabilities: Capabilities = BOTH
    told: list[object] = field(default_factory=list)

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        result = await self.inner.send(instruction)
        ref = AttemptRef(lane_of(f"b-{instruction.order_id.removeprefix('o-')}"), instruction.attempt_id)
        self.told.append(await confirm(self.store, ref, RefundUpdate(SUCCEEDED, provider=self.name), now=utc_now()))
        return result

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        return await self.inner.look_up(instruction)

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | DisputeNotification | NotificationIgnored | NotificationRefused:
        return self.inner.read_notification(headers, body, now)


async def test_t11_a_webhook_before_our_own_commit_makes_one_record_and_one_debit(
    database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    async with one_refund(database_url, simulator, tmp_path) as paid_market:
        provider = QuickToTell(paid_market.service.providers["simulator"], paid_market.service.store)
        (claimed,) = await paid_market.service.store.claim_refunds(
            now=utc_now(), lease_until=utc_now() + A_MINUTE, limit=9
        )
        await pay_claimed(paid_market.service.store, {"simulator": provider}, claimed, clock=utc_now)
        assert [isinstance(outcome, Executed) for outcome in provider.told] == [True]
        (snapshot,) = await paid_market.snapshots()
        assert (len(snapshot.refunds), len(snapshot.attempts)) == (1, 1)
        assert (snapshot.tenders[0].refunded_minor, snapshot.tenders[0].pending_minor) == (10_000, 0)
        assert await postings(paid_market.market, "o-0") == SENT_ONCE


async def test_t14_one_click_and_its_webhooks_at_once_are_one_refund(
    database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    """The answer and three deliveries of the webhook come on four connections at the same time."""
    async with one_refund(database_url, simulator, tmp_path) as paid_market:
        store, providers = paid_market.service.store, paid_market.service.providers
        again = await paid_market.market.ask("b-0", "o-0", now=utc_now())
        assert not isinstance(again, Executed), "a second click opens no second ticket"
        (claimed,) = await store.claim_refunds(now=utc_now(), lease_until=utc_now() + A_MINUTE, limit=9)
        ref = AttemptRef(claimed.lane, claimed.attempt.attempt_id)
        await asyncio.gather(
            pay_claimed(store, providers, claimed, clock=utc_now),
            *(confirm(store, ref, RefundUpdate(SUCCEEDED, provider="simulator"), now=utc_now()) for _ in range(3)),
        )
        assert await paid(simulator) == {"succeeded": 1}
        assert await paid_market.tickets() == [TicketState.REFUNDED]
        assert await postings(paid_market.market, "o-0") == SENT_ONCE


@asynccontextmanager
async def answers_never_come(simulator: SimulatorProcess) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A way to the simulator that lets every request through and keeps every answer; tells when one was paid."""
    paid_out, over = asyncio.Event(), asyncio.Event()

    async def forward(request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with aiohttp.ClientSession() as client:
            body = await request.read()
            async with client.request(request.method, simulator.url + request.path, data=body, headers=headers) as got:
                await got.read()
        paid_out.set()
        await over.wait()
        return web.Response(status=504)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}", paid_out
    finally:
        over.set()
        await runner.cleanup()


async def test_t15_a_worker_killed_after_the_payout_and_before_its_checkpoint_pays_once(
    database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    """SIGKILL while the money is out and nobody here knows; the rerun asks with the same key and pays nothing."""
    async with one_refund(database_url, simulator, tmp_path) as paid_market:
        direct = settings_of(database_url, simulator, tmp_path, worker_lease_seconds=5, provider_timeout_seconds=2)
        async with answers_never_come(simulator) as (url, paid_out):
            with worker_process(replace(direct, simulator_url=url)) as first:
                await asyncio.wait_for(paid_out.wait(), 30)
                first.send_signal(signal.SIGKILL)
                first.wait()
        assert await paid(simulator) == {"succeeded": 1}
        (snapshot,) = await paid_market.snapshots()
        assert [attempt.state.value for attempt in snapshot.attempts] == ["sending"], "nobody wrote down how it ended"
        key = snapshot.attempts[0].attempt_id
        with worker_process(direct):
            await until(paid_market.all_refunded)
        (snapshot,) = await paid_market.snapshots()
        assert [attempt.attempt_id for attempt in snapshot.attempts] == [key]
        assert await paid(simulator) == {"succeeded": 1}
        assert await postings(paid_market.market, "o-0") == SENT_ONCE
