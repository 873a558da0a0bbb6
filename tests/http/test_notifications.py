"""Notifications by a payment provider: signed, idempotent, and accepted only about its own attempts."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from jitui.adapters.payments.simulator import SimulatorProvider
from jitui.aftersales.ports import ClaimedRefund
from jitui.ids import new_id
from tests.http.api import Api, open_api, with_providers

SECRET = b"0123456789abcdef0123456789abcdef"
PATH = "/v1/notifications/simulator"


@dataclass
class Paying:
    api: Api
    claimed: ClaimedRefund
    ticket_id: str

    def event(self, status: str = "succeeded", **refund: Any) -> bytes:
        told = {
            "id": "rf_1",
            "reference": str(self.claimed.attempt.attempt_id),
            "payment_id": self.claimed.refund.payment_id,
            "amount_minor": self.claimed.refund.amount_minor,
            "currency": "CNY",
            "status": status,
            "updated_at": "2026-06-01T12:00:01Z",
            **refund,
        }
        return msgspec.json.encode({"type": f"refund.{told['status']}", "data": {"refund": told}})

    def signed(self, body: bytes, *, secret: bytes = SECRET, at: str | None = None) -> dict[str, str]:
        sent_at = at or str(int(self.api.now().timestamp()))
        mac = hmac.digest(secret, f"evt_1.{sent_at}.".encode() + body, hashlib.sha256)
        signature = f"v1,{base64.b64encode(mac).decode()}"
        return {"webhook-id": "evt_1", "webhook-timestamp": sent_at, "webhook-signature": signature}

    async def tell(self, body: bytes, *, path: str = PATH, **signing: Any) -> httpx.Response:
        return await self.api.call("POST", path, content=body, headers=self.signed(body, **signing))

    async def state(self) -> str:
        return str((await self.api.get(f"/v1/after-sales/{self.ticket_id}")).json()["state"])


@pytest.fixture
async def paying(database_url: str, tmp_path: Path) -> AsyncIterator[Paying]:
    simulator = SimulatorProvider(
        base_url="http://127.0.0.1:9",
        api_key="k" * 16,
        webhook_secret=f"whsec_{base64.b64encode(SECRET).decode()}",
    )
    async with open_api(database_url, home=tmp_path) as opened:
        api = with_providers(opened, simulator=simulator, other=simulator)
        await api.paid_order("o-1")
        ticket = (await api.ask("o-1"))["ticket"]
        (claimed,) = await api.service.store.claim_refunds(
            now=api.now(), lease_until=api.now() + timedelta(minutes=1), limit=5
        )
        yield Paying(api, claimed, ticket["ticket_id"])
        await api.client.aclose()


async def test_a_signed_success_refunds_the_ticket_once_however_often_it_comes(paying: Paying) -> None:
    for _ in range(3):
        got = await paying.tell(paying.event())
        assert (got.status_code, got.content) == (204, b"")
    assert await paying.state() == "refunded"
    refund_id = paying.claimed.refund.refund_id
    refund = (await paying.api.get(f"/v1/refunds/{refund_id}")).json()
    assert (refund["state"], [attempt["state"] for attempt in refund["attempts"]]) == ("succeeded", ["succeeded"])
    shown = (await paying.api.get(f"/v1/refunds/{refund_id}", key=paying.api.buyer)).json()
    assert (shown["state"], shown["attempts"]) == ("succeeded", [])


async def test_a_bad_signature_or_age_is_401_and_moves_nothing(paying: Paying) -> None:
    body = paying.event()
    for got in (
        await paying.tell(body, secret=b"x" * 32),
        await paying.tell(body, at="1500000000"),
        await paying.api.call("POST", PATH, content=body),
        await paying.api.call("POST", PATH, content=body + b" ", headers=paying.signed(body)),
        await paying.api.call("POST", PATH, content=b""),
    ):
        assert (got.status_code, got.json()["type"]) == (401, "/problems/signature-refused")
    assert await paying.state() == "refunding"


async def test_a_signed_body_that_makes_no_sense_is_400(paying: Paying) -> None:
    for body in (
        b"{",
        b"[]",
        paying.event(reference="mine"),
        paying.event().replace(b"refund.succ", b"refund.fail", 1),
    ):
        got = await paying.tell(body)
        assert (got.status_code, got.json()["type"]) == (400, "/problems/invalid-request")
    assert await paying.state() == "refunding"


async def test_unknown_attempts_and_providers_are_404(paying: Paying) -> None:
    unknown = paying.event(reference=str(new_id(7)))
    assert (await paying.tell(unknown)).status_code == 404
    assert (await paying.tell(paying.event(reference=str(UUID(int=0))))).status_code == 404
    assert (await paying.tell(paying.event(), path="/v1/notifications/nobody")).status_code == 404


@pytest.mark.parametrize("status", ["succeeded", "failed"])
async def test_another_payment_amount_or_currency_confirms_nothing(paying: Paying, status: str) -> None:
    for wrong in ({"payment_id": "pay-o-2"}, {"payment_id": ""}, {"amount_minor": 1}, {"currency": "USD"}):
        assert (await paying.tell(paying.event(status, **wrong))).status_code == 204
        assert await paying.state() == "refunding"
    for unreadable in (
        {"amount_minor": "10000"},
        {"amount_minor": 10000.5},
        {"amount_minor": None},
        {"currency": None},
    ):
        assert (await paying.tell(paying.event(status, **unreadable))).status_code == 400
        assert await paying.state() == "refunding"
    tasks = (await paying.api.get("/v1/tasks")).json()["tasks"]
    assert {task["kind"] for task in tasks} == {"answer_differs"} and len(tasks) == 4
    refund = (await paying.api.get(f"/v1/refunds/{paying.claimed.refund.refund_id}")).json()
    assert refund["state"] == "unknown"


async def test_a_refusal_for_good_puts_the_refund_on_the_operators_list(paying: Paying) -> None:
    assert (await paying.tell(paying.event("failed", failure_code="unknown_payment"))).status_code == 204
    assert await paying.state() == "refund_failed"
    path = f"/v1/refunds/{paying.claimed.refund.refund_id}/retry"
    again = await paying.api.post(path, headers={"idempotency-key": "k"})
    assert (again.status_code, again.json()["state"]) == (200, "refunding")
    kept = await paying.api.post(path, headers={"idempotency-key": "k"})
    assert (kept.content, kept.headers["idempotency-replayed"]) == (again.content, "true")
    assert (await paying.api.post(path)).json()["type"] == "/problems/refund-not-failed"


async def test_t41_a_notification_whose_handling_failed_is_not_acknowledged(paying: Paying) -> None:
    """eventyay PR 3447: the provider was told "received" although nothing was stored, and never sent it again."""
    async with paying.api.market.pool.connection() as connection:
        await connection.execute("ALTER TABLE ledger RENAME TO ledger_away")
    assert (await paying.tell(paying.event())).status_code >= 500
    async with paying.api.market.pool.connection() as connection:
        await connection.execute("ALTER TABLE ledger_away RENAME TO ledger")
    assert await paying.state() == "refunding", "nothing of it was stored either"
    assert (await paying.tell(paying.event())).status_code == 204
    assert await paying.state() == "refunded"


@pytest.mark.parametrize("missing", ["webhook-timestamp", "webhook-id", "webhook-signature"])
async def test_t46_a_webhook_without_timestamp_is_refused(paying: Paying, missing: str) -> None:
    """OwnPay #140, ay-framework #407."""
    body = paying.event()
    headers = {name: value for name, value in paying.signed(body).items() if name != missing}
    got = await paying.api.call("POST", PATH, content=body, headers=headers)
    assert (got.status_code, await paying.state()) == (401, "refunding")
