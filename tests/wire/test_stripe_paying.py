"""Orders paid by Stripe, from the request to the money and back again by webhook, over the service as it is wired.

Answers T10, T12, T13 and T27 with Stripe's semantics; the database is real, Stripe is tests/wire/stripe_server.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from jitui.bootstrap import utc_now
from jitui.settings import Settings
from jitui.worker import pay_due
from tests.aftersales.market import open_market
from tests.http.api import Api, Now, money, open_api, order, payment
from tests.provider_simulator.server import SimulatorProcess
from tests.wire.stripe_server import SECRET_KEY, WEBHOOK_SECRET, Fault, StripeServer, stripe_server
from tests.worker.paying import approve, paid_market_with, settings_of, until, working


@dataclass
class Shop:
    """A service whose only payment provider is Stripe; both have one clock."""

    api: Api
    stripe: StripeServer

    async def paid(self, order_id: str, amount: int = 10_000, **more: Any) -> None:
        """An order that was paid by Stripe."""
        captured = self.stripe.pay(amount, name=order_id)
        taken = await self.api.put(f"/v1/orders/{order_id}", order(paid=amount, **more))
        assert taken.status_code == 201, taken.text
        by_stripe = payment(order_id, amount, provider="stripe", payment_id=captured.intent)
        got = await self.api.post(f"/v1/orders/{order_id}/payments", by_stripe)
        assert got.status_code == 201, got.text

    async def asked(self, order_id: str, **more: Any) -> str:
        body = {"order_id": order_id, "buyer_id": "buyer-1", **more}
        got = await self.api.post("/v1/after-sales", body)
        assert got.status_code == 201, got.text
        ticket = got.json()["ticket"]
        assert ticket["state"] == "refunding"
        return str(ticket["ticket_id"])

    async def told(self, body: bytes) -> httpx.Response:
        return await self.api.call("POST", "/v1/notifications/stripe", content=body, headers=self.stripe.signed(body))

    async def told_all(self) -> None:
        for body in tuple(self.stripe.events):
            got = await self.told(body)
            assert (got.status_code, got.content) == (204, b""), got.text

    async def state(self, ticket_id: str) -> str:
        return str((await self.api.get(f"/v1/after-sales/{ticket_id}")).json()["state"])

    async def rows(self) -> dict[str, int]:
        """What news could have added to."""
        return {table: await self.api.count(table) for table in ("refund", "refund_attempt", "ledger", "ticket")}

    async def tender(self, order_id: str) -> tuple[int, int]:
        """Pending and refunded of the order's one tender."""
        async with self.api.market.pool.connection() as connection:
            sql = "SELECT pending_minor, refunded_minor FROM tender WHERE order_id = %s"
            row = await (await connection.execute(sql, (order_id,))).fetchone()
        assert row is not None
        return int(str(row[0])), int(str(row[1]))

    async def pass_of_the_worker(self, *, seconds: float = 0) -> None:
        self.api.now.later(seconds=seconds)
        await pay_due(self.api.service)


def secrets_of_stripe(folder: Path, stripe: StripeServer) -> dict[str, Any]:
    """The settings that name this Stripe, with the files they need."""
    key, secret = folder / "stripe-key", folder / "stripe-webhook"
    key.write_text(SECRET_KEY + "\n")
    secret.write_text(WEBHOOK_SECRET + "\n")
    return {"stripe_secret_key_file": key, "stripe_webhook_secret_file": secret, "stripe_api_base": stripe.url}


@pytest.fixture
async def shop(database_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    now = Now()
    async with stripe_server(now) as stripe:
        settings = Settings(home=tmp_path, pool_size=8, **secrets_of_stripe(tmp_path, stripe))
        async with open_api(database_url, home=tmp_path, settings=settings) as api:
            stripe.clock = lambda: api.now.at
            yield Shop(api, stripe)


async def test_an_order_paid_by_stripe_is_refunded_by_stripe(shop: Shop) -> None:
    await shop.paid("o-1")
    ticket = await shop.asked("o-1")
    await shop.pass_of_the_worker()
    assert await shop.state(ticket) == "refunded"
    assert [refund["amount"] for refund in shop.stripe.refunds] == [10_000]
    assert await shop.tender("o-1") == (0, 10_000)


async def test_a_pending_refund_is_confirmed_by_stripes_webhook(shop: Shop) -> None:
    await shop.paid("o-1")
    ticket = await shop.asked("o-1")
    shop.stripe.becomes.append({"status": "pending", "pending_reason": "processing"})
    await shop.pass_of_the_worker()
    assert await shop.state(ticket) == "refunding"
    shop.stripe.move("re_1", "succeeded")
    await shop.told_all()
    assert await shop.state(ticket) == "refunded"
    assert len(shop.stripe.refunds) == 1


async def test_t10_webhook_1_redelivered_after_refund_2_makes_no_duplicate(shop: Shop) -> None:
    """woocommerce-gateway-stripe #5697."""
    lines = [{**order()["lines"][0], "line_id": name, "paid": money(5_000)} for name in ("l1", "l2")]
    await shop.paid("o-1", lines=lines)
    tickets = []
    for line in ("l1", "l2"):
        tickets.append(await shop.asked("o-1", lines=[{"line_id": line, "quantity": 1}]))
        await shop.pass_of_the_worker()
        shop.api.now.later(seconds=61)  # one request a minute on one order
        await shop.api.service.feed.roll_up(shop.api.now())
    await shop.told_all()
    rows, tender = await shop.rows(), await shop.tender("o-1")
    for body in shop.stripe.told("refund.created")[:1] * 3:
        assert (await shop.told(body)).status_code == 204
    assert [await shop.state(ticket) for ticket in tickets] == ["refunded", "refunded"]
    assert (await shop.rows(), await shop.tender("o-1")) == (rows, tender)
    assert tender == (0, 10_000)


async def test_t12_succeeded_then_failed_is_owed_again_and_the_next_refund_reaches_stripe(shop: Shop) -> None:
    """gumroad PR 5779."""
    await shop.paid("o-1")
    ticket = await shop.asked("o-1")
    await shop.pass_of_the_worker()
    shop.stripe.move("re_1", "failed", failure_reason="lost_or_stolen_card")
    (failed,) = shop.stripe.told("refund.failed")
    assert (await shop.told(failed)).status_code == 204
    await shop.pass_of_the_worker()
    assert await shop.state(ticket) == "refunded"
    assert [(one["id"], one["status"]) for one in shop.stripe.refunds] == [("re_2", "succeeded"), ("re_1", "failed")]
    assert await shop.tender("o-1") == (0, 10_000)
    assert shop.stripe.refunded(shop.stripe.payments[0]) == 10_000


async def test_t13_our_own_refunds_and_the_dashboards_are_not_imported_from_events(shop: Shop) -> None:
    """solidusio/solidus_stripe PR 281."""
    await shop.paid("o-1")
    await shop.asked("o-1")
    await shop.pass_of_the_worker()
    rows = await shop.rows()
    shop.stripe.refund(shop.stripe.pay(), 700)
    await shop.told_all()
    assert await shop.rows() == rows
    assert await shop.tender("o-1") == (0, 10_000)


@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.LOSE_ANSWER, Fault.FAIL_DONE, Fault.RATE_LIMIT])
async def test_t27_whatever_is_lost_is_looked_up_and_paid_once(shop: Shop, fault: Fault) -> None:
    """razorpay-mcp-server PR 128."""
    await shop.paid("o-1")
    ticket = await shop.asked("o-1")
    shop.stripe.faults.append(fault)
    await shop.pass_of_the_worker()
    assert await shop.state(ticket) == "refunding"
    await shop.pass_of_the_worker(seconds=60)
    assert await shop.state(ticket) == "refunded"
    assert [one["amount"] for one in shop.stripe.refunds] == [10_000]


async def test_a_kept_500_is_never_sent_past_its_keys_life_but_shown_to_an_operator(shop: Shop) -> None:
    """Stripe repeats the kept error for a day and then forgets the key: the same attempt could then pay twice."""
    await shop.paid("o-1")
    ticket = await shop.asked("o-1")
    shop.stripe.faults.append(Fault.FAIL_UNDONE)
    await shop.pass_of_the_worker()
    for _ in range(3):
        await shop.pass_of_the_worker(seconds=700)
        assert await shop.state(ticket) == "refunding"
    entries = shop.stripe.calls.count("POST /v1/refunds")
    await shop.pass_of_the_worker(seconds=24 * 3600)
    assert await shop.state(ticket) == "refund_failed"
    assert shop.stripe.calls.count("POST /v1/refunds") == entries
    refund_id = (await shop.api.get(f"/v1/after-sales/{ticket}")).json()["refunds"][0]["refund_id"]
    refund = (await shop.api.get(f"/v1/refunds/{refund_id}")).json()
    assert "idempotency key has expired" in refund["reason"]
    assert (await shop.api.post(f"/v1/refunds/{refund_id}/retry")).status_code == 200
    await shop.pass_of_the_worker()
    assert await shop.state(ticket) == "refunded"
    assert [one["amount"] for one in shop.stripe.refunds] == [10_000]


async def test_a_webhook_signed_by_somebody_else_moves_nothing(shop: Shop) -> None:
    await shop.paid("o-1")
    ticket = await shop.asked("o-1")
    shop.stripe.becomes.append({"status": "pending"})
    await shop.pass_of_the_worker()
    shop.stripe.move("re_1", "succeeded")
    body = shop.stripe.events[-1]
    headers = shop.stripe.signed(body, secret="whsec_other")
    got = await shop.api.call("POST", "/v1/notifications/stripe", content=body, headers=headers)
    assert (got.status_code, await shop.state(ticket)) == (401, "refunding")


async def test_stripe_that_hangs_holds_up_only_its_own_refunds(
    database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    names = [f"hangs-{index}" for index in range(4)]
    async with open_market(database_url, now=utc_now()) as market, stripe_server() as stripe:
        refs = await approve(market, names, now=utc_now(), provider="stripe")
        async with market.pool.connection() as connection:
            await connection.execute("UPDATE refund SET payment_id = 'pi_' || order_id WHERE provider = 'stripe'")
        for ref in refs:
            stripe.pay(name=ref.order_id)
            stripe.faults.append(Fault.HANG)
        settings = settings_of(database_url, simulator, tmp_path, worker_batch=4, **secrets_of_stripe(tmp_path, stripe))
        async with paid_market_with(market, settings, simulator, 12) as paid_market, working(paid_market.service):
            await until(paid_market.all_refunded)
            assert stripe.refunds == []
            stripe.released.set()
            await until(replace(paid_market, orders=refs).all_refunded)
        assert len(stripe.refunds) == 4
