"""The simulator's adapter with the real simulator over a socket, and with servers that send invalid responses."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from jitui.adapters.payments.simulator import SimulatorProvider
from jitui.aftersales.provider import (
    CallTrouble,
    Notification,
    NotificationRefused,
    PaymentProvider,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)
from jitui.errors import NotConfigured, Unavailable
from tests.provider_simulator.server import (
    API_KEY,
    WEBHOOK_SECRET,
    Client,
    Received,
    SimulatorProcess,
    StartSimulator,
    client_of,
    webhook_inbox,
)


def provider_at(url: str, *, timeout_seconds: float = 10.0, api_key: str = API_KEY) -> SimulatorProvider:
    return SimulatorProvider(
        base_url=url, api_key=api_key, webhook_secret=WEBHOOK_SECRET, timeout_seconds=timeout_seconds
    )


@pytest.fixture
async def provider(simulator: SimulatorProcess) -> AsyncIterator[SimulatorProvider]:
    async with provider_at(simulator.url) as opened:
        yield opened


@pytest.fixture
async def client(simulator: SimulatorProcess) -> AsyncIterator[Client]:
    async with client_of(simulator) as opened:
        yield opened


def instruction_of(payment_id: str, amount_minor: int, captured_minor: int = 10_000) -> RefundInstruction:
    return RefundInstruction(
        attempt_id=uuid4(),
        provider="simulator",
        payment_id=payment_id,
        order_id="order-1",
        amount_minor=amount_minor,
        currency="CNY",
        captured_minor=captured_minor,
    )


async def paid_out(client: Client, payment_id: str) -> object:
    return (await client.call("GET", f"/payments/{payment_id}")).json["refunded_minor"]


async def test_a_refund_succeeds_and_is_found_again(provider: PaymentProvider, client: Client) -> None:
    instruction = instruction_of(await client.pay(), 250)
    sent = await provider.send(instruction)
    assert (sent.kind, sent.amount_minor, sent.currency) == (RefundResultKind.SUCCEEDED, 250, "CNY")
    assert sent.provider_refund_id
    assert sent.occurred_at is not None
    assert abs(datetime.now(UTC) - sent.occurred_at) < timedelta(minutes=1)
    assert await provider.look_up(instruction) == sent


async def test_an_attempt_never_sent_is_absent(provider: PaymentProvider, client: Client) -> None:
    assert (await provider.look_up(instruction_of(await client.pay(), 1))).kind is RefundResultKind.NOT_FOUND


async def test_t1_of_two_concurrent_refunds_of_60_on_100_exactly_one_succeeds(
    provider: PaymentProvider, client: Client
) -> None:
    for _ in range(10):
        paid = await client.pay(100)
        answers = await asyncio.gather(*(provider.send(instruction_of(paid, 60, 100)) for _ in range(2)))
        assert Counter(result.kind for result in answers) == {
            RefundResultKind.SUCCEEDED: 1,
            RefundResultKind.DECLINED: 1,
        }
        (declined,) = (result for result in answers if result.kind is RefundResultKind.DECLINED)
        assert (declined.reason, declined.final) == ("amount_exceeds_refundable", True)


@pytest.mark.parametrize("amount_minor", [0, -1])
async def test_t2_zero_and_negative_amounts_are_declined_for_good(
    provider: PaymentProvider, client: Client, amount_minor: int
) -> None:
    result = await provider.send(instruction_of(await client.pay(), amount_minor))
    assert result == RefundResult(RefundResultKind.DECLINED, "amount_not_positive")


async def test_other_refusals_of_the_provider_are_final(provider: PaymentProvider, client: Client) -> None:
    unknown = await provider.send(instruction_of("never-captured", 1))
    assert unknown == RefundResult(RefundResultKind.DECLINED, "unknown_payment")
    foreign = await provider.send(replace(instruction_of(await client.pay(), 1), currency="USD"))
    assert foreign == RefundResult(RefundResultKind.DECLINED, "currency_differs")


async def test_t4_t5_the_same_attempt_again_is_the_same_answer_and_one_payout(
    provider: PaymentProvider, client: Client
) -> None:
    instruction = instruction_of(await client.pay(), 100)
    answers = [await provider.send(instruction) for _ in range(3)]
    assert len(set(answers)) == 1
    assert await paid_out(client, instruction.payment_id) == 100


async def test_t5_a_time_out_is_unknown_and_the_retry_pays_once(start_simulator: StartSimulator) -> None:
    """The simulator pays after our time-out; the second call meets the same key."""
    simulator = start_simulator(latency_ms=400)
    async with client_of(simulator) as client, provider_at(simulator.url, timeout_seconds=0.1) as hasty:
        instruction = instruction_of(await client.pay(), 100)
        late = await hasty.send(instruction)
        assert late == RefundResult(RefundResultKind.UNKNOWN, "no answer in time", trouble=CallTrouble.TIMED_OUT)
        async with provider_at(simulator.url) as patient:
            in_use = await patient.send(instruction)
            assert in_use == RefundResult(RefundResultKind.UNKNOWN, "idempotency_key_in_use")
            found = await until_found(patient, instruction)
            assert found.kind is RefundResultKind.SUCCEEDED
            assert await patient.send(instruction) == found
        assert await paid_out(client, instruction.payment_id) == 100


async def until_found(provider: PaymentProvider, instruction: RefundInstruction) -> RefundResult:
    async with asyncio.timeout(20):
        while True:
            if (result := await provider.look_up(instruction)).kind is not RefundResultKind.NOT_FOUND:
                return result
            await asyncio.sleep(0.02)


async def until_paid(provider: PaymentProvider, instruction: RefundInstruction) -> None:
    async with asyncio.timeout(20):
        while True:
            if (await provider.send(instruction)).kind is RefundResultKind.SUCCEEDED:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("amount_minor", "reason", "trouble"),
    [
        (105, "connection broken: ServerDisconnectedError", CallTrouble.UNREACHABLE),
        (106, "internal_error", CallTrouble.FAILING),
        (107, "upstream_timeout", CallTrouble.FAILING),
    ],
)
async def test_t27_a_lost_answer_is_unknown_then_looked_up_and_never_paid_twice(
    start_simulator: StartSimulator, amount_minor: int, reason: str, trouble: CallTrouble
) -> None:
    simulator = start_simulator(faults="amounts")
    async with client_of(simulator) as client, provider_at(simulator.url) as provider:
        instruction = instruction_of(await client.pay(), amount_minor)
        assert await provider.send(instruction) == RefundResult(RefundResultKind.UNKNOWN, reason, trouble=trouble)
        assert (await provider.look_up(instruction)).kind is RefundResultKind.SUCCEEDED
        assert (await provider.send(instruction)).kind is RefundResultKind.SUCCEEDED
        assert await paid_out(client, instruction.payment_id) == amount_minor


async def test_a_request_that_stalls_before_paying_is_unknown_then_absent_then_paid(
    start_simulator: StartSimulator,
) -> None:
    simulator = start_simulator(faults="amounts", timing={"hold_ms": 400})
    async with client_of(simulator) as client:
        instruction = instruction_of(await client.pay(), 108)
        async with provider_at(simulator.url, timeout_seconds=0.1) as hasty:
            assert (await hasty.send(instruction)).kind is RefundResultKind.UNKNOWN
            assert (await hasty.look_up(instruction)).kind is RefundResultKind.NOT_FOUND
        async with provider_at(simulator.url) as patient:
            await until_paid(patient, instruction)
        assert await paid_out(client, instruction.payment_id) == 108


async def test_t28_the_same_attempt_with_another_amount_is_doubt_not_a_refund(
    provider: PaymentProvider, client: Client
) -> None:
    """Something was paid under this key, so it is neither refused nor done: a person must look."""
    instruction = instruction_of(await client.pay(), 100)
    await provider.send(instruction)
    other = replace(instruction, amount_minor=101)
    assert await provider.send(other) == RefundResult(RefundResultKind.UNKNOWN, "idempotency_key_reused")
    found = await provider.look_up(other)
    assert (found.kind, found.reason) == (RefundResultKind.UNKNOWN, "the answer's amount is 100, asked was 101")
    assert await paid_out(client, instruction.payment_id) == 100


async def test_an_attempt_paid_twice_past_its_keys_life_is_doubt(start_simulator: StartSimulator) -> None:
    simulator = start_simulator(key_life_seconds=0.05)
    async with client_of(simulator) as client, provider_at(simulator.url) as provider:
        instruction = instruction_of(await client.pay(), 100)
        await provider.send(instruction)
        await asyncio.sleep(0.1)
        await provider.send(instruction)
        found = await provider.look_up(instruction)
        assert found == RefundResult(RefundResultKind.UNKNOWN, "the provider has 2 refunds of this attempt")


async def test_pending_and_failed_are_told_apart(start_simulator: StartSimulator) -> None:
    simulator = start_simulator(faults="amounts", timing={"settle_ms": 60_000})
    async with client_of(simulator) as client, provider_at(simulator.url) as provider:
        paid = await client.pay()
        pending = await provider.send(instruction_of(paid, 102))
        declined = await provider.send(instruction_of(paid, 101))
        assert (pending.kind, pending.reason) == (RefundResultKind.PENDING, "")
        assert (declined.kind, declined.reason) == (RefundResultKind.DECLINED, "payment_method_closed")
        assert declined.final


async def test_a_short_balance_is_not_final_and_an_advance_is_told(provider: PaymentProvider, client: Client) -> None:
    await client.call("PUT", "/balance", {"currency": "CNY", "amount_minor": 100})
    instruction = instruction_of(await client.pay(), 250)
    refused = await provider.send(instruction)
    assert (refused.kind, refused.reason, refused.final) == (
        RefundResultKind.DECLINED,
        "insufficient_balance",
        False,
    )
    assert (await provider.look_up(instruction)).kind is RefundResultKind.NOT_FOUND
    may_advance = replace(instruction_of(instruction.payment_id, 250), may_advance=True)
    for answer in (await provider.send(may_advance), await provider.look_up(may_advance)):
        assert (answer.kind, answer.advanced) == (RefundResultKind.SUCCEEDED, True)
    own = replace(instruction_of(instruction.payment_id, 80), may_advance=True)
    assert (await provider.send(own)).advanced is False
    await client.call("PUT", "/balance", {"currency": "CNY", "amount_minor": 1000})
    assert (await provider.send(instruction)).kind is RefundResultKind.SUCCEEDED, "the same attempt, once it can be"


async def test_a_rate_limit_declines_for_now_and_says_when(start_simulator: StartSimulator) -> None:
    simulator = start_simulator(rate_limit_per_second=1)
    async with client_of(simulator) as client, provider_at(simulator.url) as provider:
        paid = await client.pay()
        answers = await asyncio.gather(*(provider.send(instruction_of(paid, 1)) for _ in range(4)))
        limited = [result for result in answers if result.kind is RefundResultKind.DECLINED]
        assert limited
        for result in limited:
            assert (result.reason, result.final, result.retry_after_seconds) == ("rate_limited", False, 1.0)


async def test_a_wrong_key_of_ours_declines_nothing_for_good(simulator: SimulatorProcess, client: Client) -> None:
    async with provider_at(simulator.url, api_key="old") as provider:
        instruction = instruction_of(await client.pay(), 1)
        sent, found = await provider.send(instruction), await provider.look_up(instruction)
        assert (sent.kind, sent.reason, sent.final) == (RefundResultKind.DECLINED, "unauthorised", False)
        assert found.kind is RefundResultKind.UNKNOWN
        assert sent.trouble is found.trouble is CallTrouble.UNAUTHORISED


async def test_a_provider_that_is_away_leaves_everything_unknown(simulator: SimulatorProcess) -> None:
    async with provider_at(simulator.url) as provider:
        async with client_of(simulator) as client:
            instruction = instruction_of(await client.pay(), 1)
        simulator.kill()
        assert (await provider.send(instruction)).kind is RefundResultKind.UNKNOWN
        assert (await provider.look_up(instruction)).kind is RefundResultKind.UNKNOWN
        simulator.start()
        assert (await provider.look_up(instruction)).kind is RefundResultKind.NOT_FOUND
        assert (await provider.send(instruction)).kind is RefundResultKind.SUCCEEDED


# --- servers that answer nonsense ------------------------------------------------------------------------


@asynccontextmanager
async def answering(
    status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> AsyncIterator[SimulatorProvider]:
    """A provider whose every answer is this one."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with provider_at(f"http://{host}:{port}") as provider:
            yield provider
    finally:
        await runner.cleanup()


INSTRUCTION = RefundInstruction(
    attempt_id=UUID(int=7),
    provider="simulator",
    payment_id="p1",
    order_id="o1",
    amount_minor=100,
    currency="CNY",
    captured_minor=100,
)


def refund_json(**changed: object) -> dict[str, object]:
    return {
        "id": "re_1",
        "reference": str(INSTRUCTION.attempt_id),
        "payment_id": "p1",
        "amount_minor": 100,
        "currency": "CNY",
        "status": "succeeded",
        "failure_code": "",
        "created_at": "2026-11-23T10:00:00Z",
        "updated_at": "2026-11-23T10:00:00Z",
        **changed,
    }


async def test_the_plain_answer_of_these_tests_is_good() -> None:
    async with answering(201, json.dumps(refund_json()).encode()) as provider:
        assert (await provider.send(INSTRUCTION)).kind is RefundResultKind.SUCCEEDED


@pytest.mark.parametrize(
    "changed",
    [
        {"amount_minor": 99},
        {"currency": "JPY"},
        {"payment_id": "p2"},
        {"reference": str(UUID(int=8))},
        {"status": "done"},
        {"amount_minor": "100"},
        {"updated_at": "2026-11-23T10:00:00"},
    ],
)
async def test_an_answer_about_something_else_is_unknown_with_the_reason(changed: dict[str, object]) -> None:
    refund = refund_json(**changed)
    async with answering(201, json.dumps(refund).encode()) as provider:
        sent = await provider.send(INSTRUCTION)
        assert (sent.kind, bool(sent.reason)) == (RefundResultKind.UNKNOWN, True)
    async with answering(200, json.dumps({"refunds": [refund]}).encode()) as provider:
        found = await provider.look_up(INSTRUCTION)
        assert (found.kind, bool(found.reason)) == (RefundResultKind.UNKNOWN, True)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"refunds": []}'),
        (200, b""),
        (201, b"<html>"),
        (201, b"\xff"),
        (201, b"x" * 2_000_000),
        (204, b""),
        (301, b""),
        (400, b"bad request"),
        (403, b"{}"),
        (404, b"<h1>Not Found</h1>"),
        (404, b'{"error": {"code": "unknown_route"}}'),
        (409, b'{"error": {"code": "idempotency_key_in_use"}}'),
        (422, b'{"error": {"code": "idempotency_key_reused"}}'),
        (422, b'{"error": "amount_exceeds_refundable"}'),
        (500, b'{"error": {"code": "amount_exceeds_refundable"}}'),
        (502, b""),
        (503, b'{"error": {"code": "books_unavailable"}}'),
    ],
)
async def test_whatever_is_not_plainly_an_answer_is_unknown(status: int, body: bytes) -> None:
    """A gateway's page proves nothing about the money; only the provider's own words do."""
    headers = {"location": "http://127.0.0.1:9/"} if status == 301 else None
    async with answering(status, body, headers) as provider:
        assert (await provider.send(INSTRUCTION)).kind is RefundResultKind.UNKNOWN
        assert (await provider.look_up(INSTRUCTION)).kind is RefundResultKind.UNKNOWN


@pytest.mark.parametrize("retry_after", ["", "soon", "-1", "Mon, 23 Nov 2026 10:00:00 GMT"])
async def test_a_rate_limit_without_seconds_is_still_not_final(retry_after: str) -> None:
    async with answering(429, b"", {"retry-after": retry_after}) as provider:
        result = await provider.send(INSTRUCTION)
    assert (result.kind, result.final, result.retry_after_seconds) == (RefundResultKind.DECLINED, False, None)


# --- notifications ---------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
READER = provider_at("http://127.0.0.1:9")


def event(**changed: object) -> bytes:
    refund = refund_json(**changed)
    return json.dumps({"type": f"refund.{refund['status']}", "data": {"refund": refund}}).encode()


def signed(body: bytes, *, sent_at: datetime = NOW, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    seconds = str(int(sent_at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.digest(key, f"evt_1.{seconds}.".encode() + body, hashlib.sha256)
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": seconds,
        "Webhook-Signature": "v1," + base64.b64encode(mac).decode(),
    }


@pytest.mark.parametrize(
    ("status", "failure_code", "kind"),
    [
        ("succeeded", "", RefundResultKind.SUCCEEDED),
        ("pending", "", RefundResultKind.PENDING),
        ("failed", "payment_method_closed", RefundResultKind.DECLINED),
    ],
)
def test_a_signed_notification_is_news_about_an_attempt(status: str, failure_code: str, kind: RefundResultKind) -> None:
    body = event(status=status, failure_code=failure_code)
    read = READER.read_notification(signed(body), body, NOW)
    result = RefundResult(
        kind,
        failure_code,
        provider_refund_id="re_1",
        payment_ids=(INSTRUCTION.payment_id,),
        amount_minor=100,
        currency="CNY",
        occurred_at=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
    )
    assert read == Notification("simulator", "evt_1", INSTRUCTION.attempt_id, result)


def test_while_the_secret_changes_one_good_signature_of_several_is_enough() -> None:
    body = event()
    headers = signed(body)
    headers["Webhook-Signature"] = f"v1,AAAA v1a,BBBB {headers['Webhook-Signature']} é"
    assert isinstance(READER.read_notification(headers, body, NOW), Notification)


@pytest.mark.parametrize("age_seconds", [-301, 301, 86_400])
def test_a_notification_that_is_too_old_or_ahead_is_refused(age_seconds: int) -> None:
    body = event()
    headers = signed(body, sent_at=NOW - timedelta(seconds=age_seconds))
    read = READER.read_notification(headers, body, NOW)
    assert isinstance(read, NotificationRefused)
    assert "five minutes" in read.reason


@pytest.mark.parametrize("age_seconds", [-300, 0, 300])
def test_five_minutes_of_age_are_allowed(age_seconds: int) -> None:
    body = event()
    headers = signed(body, sent_at=NOW - timedelta(seconds=age_seconds))
    assert isinstance(READER.read_notification(headers, body, NOW), Notification)


def test_a_changed_byte_a_changed_header_or_another_secret_is_refused() -> None:
    body = event()
    good = signed(body)
    other_secret = "whsec_" + base64.b64encode(b"another").decode()
    for headers, changed_body in (
        (good, body.replace(b"100", b"900")),
        (good | {"Webhook-Id": "evt_2"}, body),
        (good | {"Webhook-Timestamp": str(int(NOW.timestamp()) + 1)}, body),
        (good | {"Webhook-Signature": good["Webhook-Signature"].replace("v1,", "v2,")}, body),
        (good | {"Webhook-Signature": ""}, body),
        (good | {"Webhook-Timestamp": "²"}, body),
        (good | {"Webhook-Timestamp": "9" * 30}, body),
        (signed(body, secret=other_secret), body),
        ({}, body),
    ):
        assert isinstance(READER.read_notification(headers, changed_body, NOW), NotificationRefused)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\xff",
        event(reference="somebody-elses"),
        event(status="disputed"),
        event().replace(b"refund.succeeded", b"refund.failed"),
        event().replace(b"refund.succeeded", b"payout.paid"),
    ],
)
def test_a_signed_body_of_another_shape_is_refused_with_a_reason(body: bytes) -> None:
    read = READER.read_notification(signed(body), body, NOW)
    assert isinstance(read, NotificationRefused)
    assert read.reason


NEW_SECRET = "whsec_" + base64.b64encode(b"another secret than before, new!").decode()


def test_t46_while_our_secret_changes_what_either_signed_is_good() -> None:
    body = event()
    both = SimulatorProvider(
        base_url="http://127.0.0.1:9", api_key="k" * 16, webhook_secret=f"{NEW_SECRET} {WEBHOOK_SECRET}"
    )
    after = SimulatorProvider(base_url="http://127.0.0.1:9", api_key="k" * 16, webhook_secret=NEW_SECRET)
    old, new = signed(body), signed(body, secret=NEW_SECRET)
    for headers in (old, new):
        assert isinstance(both.read_notification(headers, body, NOW), Notification)
    assert isinstance(after.read_notification(old, body, NOW), NotificationRefused)
    without_time = {name: value for name, value in new.items() if name != "Webhook-Timestamp"}
    assert isinstance(both.read_notification(without_time, body, NOW), NotificationRefused)


@pytest.mark.parametrize("secret", ["", "plain", "whsec_", "whsec_***", "whsec_YWJj plain"])
def test_a_secret_that_cannot_sign_is_refused_at_once(secret: str) -> None:
    with pytest.raises(NotConfigured):
        SimulatorProvider(base_url="http://127.0.0.1:9", api_key="k", webhook_secret=secret)


async def test_the_simulators_own_webhooks_are_read_in_whatever_order_they_come(
    start_simulator: StartSimulator,
) -> None:
    """T10, T11 at this level: every repetition carries the same event id, and news may precede our answer."""
    async with webhook_inbox() as inbox:
        timing = {"settle_ms": 30, "late_ms": 100}
        simulator = start_simulator(webhook_url=inbox.url, faults="amounts", timing=timing)
        async with client_of(simulator) as client, provider_at(simulator.url) as provider:
            paid = await client.pay()
            reversed_news, thrice = instruction_of(paid, 113), instruction_of(paid, 111)
            await provider.send(reversed_news)
            first = [read_now(provider, one) for one in await inbox.wait_for(2)]
            assert {news.attempt_id for news in first} == {reversed_news.attempt_id}
            assert [news.result.kind for news in first] == [RefundResultKind.SUCCEEDED, RefundResultKind.PENDING]
            times = [news.result.occurred_at for news in first]
            assert None not in times
            assert times == sorted((time for time in times if time), reverse=True)
            sent = await provider.send(thrice)
            repeated = [read_now(provider, one) for one in (await inbox.wait_for(5))[2:]]
            assert {(news.attempt_id, news.result) for news in repeated} == {(thrice.attempt_id, sent)}
            assert len({news.event_id for news in repeated}) == 1


def read_now(provider: PaymentProvider, received: Received) -> Notification:
    read = provider.read_notification(received.headers, received.body, datetime.now(UTC))
    assert isinstance(read, Notification)
    return read


# After a restored backup -------------------------------------------------------------------------------------------


async def test_a_list_that_cannot_be_had_is_said_and_never_taken_for_an_empty_one(simulator: SimulatorProcess) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    async with provider_at(simulator.url, api_key="sim_key_of_somebody_else") as stranger:
        with pytest.raises(Unavailable, match="401"):
            await stranger.refunds_since(since)
    simulator.stop()
    async with provider_at(simulator.url) as late:
        with pytest.raises(Unavailable, match="connection broken"):
            await late.refunds_since(since)


@pytest.mark.parametrize("query", ["", "since=yesterday", "since=2026-11-23T08:00:00", "since=2026-11-23&offset=-1"])
async def test_a_list_is_asked_for_from_a_moment_with_its_zone(client: Client, query: str) -> None:
    assert (await client.call("GET", f"/refunds?{query}")).code == "malformed_request"
