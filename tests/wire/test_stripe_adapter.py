"""The Stripe adapter through Stripe's own library, against a server that speaks the documented wire format."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.adapters.payments.stripe.amounts import from_stripe_amount, to_stripe_amount
from jitui.adapters.payments.stripe.provider import KEY_LIFE, StripeProvider
from jitui.aftersales.model.order import DisputeState
from jitui.aftersales.operations.probe import ProviderProblem, probe
from jitui.aftersales.provider import (
    CallTrouble,
    DisputeNotification,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)
from jitui.errors import NotConfigured, Unavailable
from tests.wire.stripe_server import SECRET_KEY, WEBHOOK_SECRET, Fault, Payment, StripeServer, refusal, stripe_server


@pytest.fixture
async def server() -> AsyncIterator[StripeServer]:
    async with stripe_server() as running:
        yield running


@pytest.fixture
async def provider(server: StripeServer) -> AsyncIterator[StripeProvider]:
    async with provider_at(server.url) as opened:
        yield opened


def provider_at(url: str, *, timeout_seconds: float = 10.0, secret_key: str = SECRET_KEY) -> StripeProvider:
    return StripeProvider(
        secret_key=secret_key, webhook_secret=WEBHOOK_SECRET, api_base=url, timeout_seconds=timeout_seconds
    )


def instruction_of(payment: Payment | str, amount_minor: int = 100, currency: str = "CNY") -> RefundInstruction:
    payment_id = payment if isinstance(payment, str) else payment.intent
    return RefundInstruction(uuid4(), "stripe", payment_id, "order-1", amount_minor, currency, 10_000)


# Paying -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["intent", "charge"])
async def test_a_refund_is_paid_once_with_our_ids_and_found_again(
    server: StripeServer, provider: StripeProvider, by: str
) -> None:
    instruction = instruction_of(getattr(server.pay(), by), 250)
    sent = await provider.send(instruction)
    assert (sent.kind, sent.amount_minor, sent.currency) == (RefundResultKind.SUCCEEDED, 250, "CNY")
    assert sent.provider_refund_id == "re_1" and sent.occurred_at is not None
    assert await provider.look_up(instruction) == sent == await provider.send(instruction)
    (made,) = server.refunds
    assert made["metadata"] == {"jitui_attempt": str(instruction.attempt_id), "jitui_order": "order-1"}
    assert made["reason"] == "requested_by_customer"
    assert server.headers[0]["idempotency-key"] == str(instruction.attempt_id)


@pytest.mark.parametrize(
    ("begins", "kind", "reason"),
    [
        ({"status": "succeeded"}, RefundResultKind.SUCCEEDED, ""),
        ({"status": "pending"}, RefundResultKind.PENDING, ""),
        ({"status": "pending", "pending_reason": "insufficient_funds"}, RefundResultKind.PENDING, "insufficient_funds"),
        ({"status": "requires_action"}, RefundResultKind.PENDING, "requires_action"),
        ({"status": "canceled"}, RefundResultKind.DECLINED, "canceled"),
        ({"status": "failed"}, RefundResultKind.DECLINED, "failed"),
        *(
            ({"status": "failed", "failure_reason": reason}, RefundResultKind.DECLINED, reason)
            for reason in ("lost_or_stolen_card", "expired_or_canceled_card", "insufficient_funds", "unknown")
        ),
    ],
)
async def test_every_status_is_told_in_our_words(
    server: StripeServer, provider: StripeProvider, begins: dict[str, Any], kind: RefundResultKind, reason: str
) -> None:
    instruction = instruction_of(server.pay())
    server.becomes.append(begins)
    sent = await provider.send(instruction)
    assert (sent.kind, sent.reason, sent.final) == (kind, reason, True)
    assert await provider.look_up(instruction) == sent


async def test_an_attempt_never_sent_is_absent_and_its_key_does_not_live_for_ever(
    server: StripeServer, provider: StripeProvider
) -> None:
    payment = server.pay()
    server.refund(payment, 5)
    result = await provider.look_up(instruction_of(payment))
    assert (result.kind, result.key_life) == (RefundResultKind.NOT_FOUND, KEY_LIFE)
    assert timedelta() < KEY_LIFE < timedelta(hours=24)


async def test_a_look_up_reads_every_page(server: StripeServer, provider: StripeProvider) -> None:
    instruction = instruction_of(server.pay())
    await provider.send(instruction)
    for _ in range(6):
        server.refund(server.payments[0], 1)
    server.page, server.calls = 2, []
    assert (await provider.look_up(instruction)).provider_refund_id == "re_1"
    assert len(server.calls) == 4


async def test_two_refunds_of_one_attempt_are_doubt(server: StripeServer, provider: StripeProvider) -> None:
    instruction = instruction_of(server.pay())
    for _ in range(2):
        server.refund(server.payments[0], 100, metadata={"jitui_attempt": str(instruction.attempt_id)})
    assert await provider.look_up(instruction) == RefundResult(
        RefundResultKind.UNKNOWN, "Stripe has 2 refunds of this attempt: re_2, re_1"
    )


@pytest.mark.parametrize(
    "changed", [{"amount": 99}, {"currency": "usd"}, {"payment_intent": "pi_9"}, {"metadata": {}}, {"status": "odd"}]
)
async def test_an_answer_about_something_else_is_unknown(
    server: StripeServer, provider: StripeProvider, changed: dict[str, Any]
) -> None:
    instruction = instruction_of(server.pay())
    made = server.refund(server.payments[0], 100, metadata={"jitui_attempt": str(instruction.attempt_id)})
    server.refusals.append((200, made | changed))
    result = await provider.send(instruction)
    assert result.kind is RefundResultKind.UNKNOWN and result.reason


@pytest.mark.parametrize("body", [{}, {"object": "refund"}, {"object": "list", "data": []}, {"error": "?"}])
async def test_a_body_that_is_no_refund_is_unknown(
    server: StripeServer, provider: StripeProvider, body: dict[str, Any]
) -> None:
    instruction = instruction_of(server.pay())
    server.refusals.append((200, body))
    server.list_answers.append((200, body if body.get("object") != "list" else {"object": "list"}))
    assert (await provider.send(instruction)).kind is RefundResultKind.UNKNOWN
    assert (await provider.look_up(instruction)).kind is RefundResultKind.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"error": "not found"}',
        b'{"error": null}',
        b'{"error": {}}',
        b'{"object": "list", "data": null}',
        b'{"object": "list", "data": [1], "has_more": false}',
    ],
)
async def test_a_page_of_something_between_us_and_stripe_is_neither_paid_nor_refused_nor_absent(
    server: StripeServer, provider: StripeProvider, body: bytes
) -> None:
    instruction = instruction_of(server.pay())
    for status in (200, 302, 400, 404, 502):
        server.raw = [(status, body)] * 3
        assert (await provider.look_up(instruction)).kind is RefundResultKind.UNKNOWN
        assert (await provider.send(instruction)).kind is RefundResultKind.UNKNOWN


async def test_a_list_that_breaks_off_is_no_proof_of_absence(server: StripeServer, provider: StripeProvider) -> None:
    instruction = instruction_of(server.pay())
    server.refund(server.payments[0], 1)
    whole = {"object": "list", "url": "/v1/refunds", "data": server.refunds, "has_more": True}
    for first in (whole, whole | {"data": []}):
        server.list_answers = [(200, first), (200, whole | {"data": []})]
        assert (await provider.look_up(instruction)).kind is RefundResultKind.UNKNOWN


# Lost answers, limits and keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.FAIL_DONE])
async def test_t27_a_lost_answer_is_unknown_and_the_look_up_finds_the_payout(
    server: StripeServer, provider: StripeProvider, fault: Fault
) -> None:
    """razorpay-mcp-server PR 128: look up first, then retry with the key."""
    instruction = instruction_of(server.pay())
    server.faults.append(fault)
    assert (await provider.send(instruction)).kind is RefundResultKind.UNKNOWN
    assert len(server.calls) == 1, "the library did not retry by itself"
    assert (await provider.look_up(instruction)).kind is RefundResultKind.SUCCEEDED
    assert server.refunded(server.payments[0]) == 100


async def test_t27_a_lost_request_is_absent_and_the_same_key_pays_once(
    server: StripeServer, provider: StripeProvider
) -> None:
    instruction = instruction_of(server.pay())
    server.faults.append(Fault.LOSE_REQUEST)
    lost = await provider.send(instruction)
    assert (lost.kind, lost.reason) == (RefundResultKind.UNKNOWN, "connection broken: RemoteProtocolError")
    assert (await provider.look_up(instruction)).kind is RefundResultKind.NOT_FOUND
    assert (await provider.send(instruction)).kind is RefundResultKind.SUCCEEDED
    assert server.refunded(server.payments[0]) == 100


async def test_a_kept_error_is_repeated_for_a_day_and_stays_doubt(server: StripeServer) -> None:
    now = [datetime(2026, 11, 25, tzinfo=UTC)]
    server.clock = lambda: now[0]
    async with provider_at(server.url) as provider:
        instruction = instruction_of(server.pay())
        server.faults.append(Fault.FAIL_UNDONE)
        for _ in range(2):
            assert (await provider.send(instruction)).kind is RefundResultKind.UNKNOWN
        assert server.refunds == []
        now[0] += timedelta(hours=24)
        assert (await provider.send(instruction)).kind is RefundResultKind.SUCCEEDED, "the key was forgotten"


async def test_a_time_out_is_unknown_and_a_repeat_meets_the_key_in_use(server: StripeServer) -> None:
    instruction = instruction_of(server.pay())
    server.faults.append(Fault.HANG)
    async with provider_at(server.url, timeout_seconds=0.2) as hasty, provider_at(server.url) as patient:
        late = await hasty.send(instruction)
        assert late == RefundResult(RefundResultKind.UNKNOWN, "no answer in time", trouble=CallTrouble.TIMED_OUT)
        assert (await patient.look_up(instruction)).kind is RefundResultKind.NOT_FOUND
        assert await patient.send(instruction) == RefundResult(RefundResultKind.UNKNOWN, "idempotency_key_in_use")
        server.released.set()
        assert (await found(patient, instruction)).kind is RefundResultKind.SUCCEEDED
        assert (await patient.send(instruction)).kind is RefundResultKind.SUCCEEDED
    assert server.refunded(server.payments[0]) == 100


async def found(provider: StripeProvider, instruction: RefundInstruction) -> RefundResult:
    async with asyncio.timeout(10):
        while True:
            if (result := await provider.look_up(instruction)).kind is not RefundResultKind.NOT_FOUND:
                return result
            await asyncio.sleep(0.01)


async def test_t28_the_same_key_with_another_amount_is_doubt(server: StripeServer, provider: StripeProvider) -> None:
    instruction = instruction_of(server.pay())
    await provider.send(instruction)
    result = await provider.send(replace(instruction, amount_minor=101))
    assert (result.kind, result.reason[:17]) == (RefundResultKind.UNKNOWN, "idempotency_error")
    assert (await provider.look_up(replace(instruction, amount_minor=101))).kind is RefundResultKind.UNKNOWN


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.RATE_LIMIT, RefundResult(RefundResultKind.DECLINED, "rate_limit", final=False, retry_after_seconds=2.0)),
        (Fault.LOCK_TIMEOUT, RefundResult(RefundResultKind.DECLINED, "lock_timeout", final=False)),
    ],
)
async def test_a_limit_declines_for_now_with_nothing_done(
    server: StripeServer, provider: StripeProvider, fault: Fault, expected: RefundResult
) -> None:
    instruction = instruction_of(server.pay())
    server.faults.append(fault)
    assert await provider.send(instruction) == expected
    assert len(server.calls) == 1
    assert (await provider.send(instruction)).kind is RefundResultKind.SUCCEEDED


async def test_a_limit_on_the_look_up_leaves_the_refund_unknown(server: StripeServer, provider: StripeProvider) -> None:
    instruction = instruction_of(server.pay())
    server.list_answers.append(refusal(429, "rate_limit"))
    assert await provider.look_up(instruction) == RefundResult(RefundResultKind.UNKNOWN, "look-up: rate_limit")


@pytest.mark.parametrize(("status", "kind"), [(401, RefundResultKind.DECLINED), (403, RefundResultKind.DECLINED)])
async def test_a_key_that_stripe_does_not_take_declines_nothing_for_good(
    server: StripeServer, provider: StripeProvider, status: int, kind: RefundResultKind
) -> None:
    instruction = instruction_of(server.pay())
    server.refusals.append(refusal(status, None))
    result = await provider.send(instruction)
    assert (result.kind, result.final) == (kind, False)
    assert result.reason in ("AuthenticationError", "PermissionError")
    server.list_answers.append(refusal(status, None))
    assert (await provider.look_up(instruction)).kind is RefundResultKind.UNKNOWN


@pytest.mark.parametrize("status", [409, 500, 502, 503, 504])
async def test_what_stripe_calls_indeterminate_is_unknown(
    server: StripeServer, provider: StripeProvider, status: int
) -> None:
    server.refusals.append(refusal(status, None, kind="api_error"))
    result = await provider.send(instruction_of(server.pay()))
    trouble = CallTrouble.FAILING if status >= 500 else None
    assert result == RefundResult(RefundResultKind.UNKNOWN, f"Stripe answered {status}", trouble=trouble)


async def test_a_provider_that_is_away_leaves_everything_unknown() -> None:
    async with provider_at("http://127.0.0.1:9") as provider:
        assert (await provider.send(instruction_of("pi_1"))).kind is RefundResultKind.UNKNOWN
        assert (await provider.look_up(instruction_of("pi_1"))).kind is RefundResultKind.UNKNOWN
        problem = await probe(provider)
        assert problem == ProviderProblem(CallTrouble.UNREACHABLE, "connection broken: ConnectError")


# Refused for good -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "charge_disputed"),
        (400, "charge_already_refunded"),
        (400, "amount_too_large"),
        (400, "charge_not_refundable"),
        (400, "balance_insufficient"),
        (400, "parameter_invalid_integer"),
        (402, "insufficient_funds"),
        (404, "resource_missing"),
    ],
)
async def test_a_refusal_of_stripe_is_final_when_its_books_have_nothing_of_the_attempt(
    server: StripeServer, provider: StripeProvider, status: int, code: str
) -> None:
    server.refusals.append(refusal(status, code, kind="card_error" if status == 402 else "invalid_request_error"))
    result = await provider.send(instruction_of(server.pay()))
    assert result == RefundResult(RefundResultKind.DECLINED, f"{code}: A sentence of Stripe.")


async def test_a_refusal_counts_for_nothing_while_the_books_cannot_be_read(
    server: StripeServer, provider: StripeProvider
) -> None:
    server.refusals.append(refusal(400, "charge_already_refunded"))
    server.list_answers.append(refusal(500, None, kind="api_error"))
    assert (await provider.send(instruction_of(server.pay()))).kind is RefundResultKind.UNKNOWN


@pytest.mark.parametrize("captured", [100, 150])
async def test_what_left_nothing_to_refund_may_be_the_attempt_itself(server: StripeServer, captured: int) -> None:
    """Past the life of its key the repeat meets `charge_already_refunded`, or too little left."""
    now = [datetime(2026, 11, 25, tzinfo=UTC)]
    server.clock = lambda: now[0]
    async with provider_at(server.url) as provider:
        instruction = instruction_of(server.pay(captured))
        first = await provider.send(instruction)
        now[0] += timedelta(hours=25)
        assert await provider.send(instruction) == first
    assert len(server.refunds) == 1


async def test_a_wrong_payment_is_refused_and_never_absent(server: StripeServer, provider: StripeProvider) -> None:
    """A key of another account sees no payment either, so a look-up that finds none proves nothing."""
    result = await provider.send(instruction_of("pi_gone"))
    assert (result.kind, result.reason) == (
        RefundResultKind.DECLINED,
        "resource_missing: No such payment_intent: 'pi_gone'",
    )
    assert (await provider.look_up(instruction_of("pi_gone"))).kind is RefundResultKind.UNKNOWN
    assert (await provider.send(instruction_of("4200001"))).kind is RefundResultKind.DECLINED
    assert not [call for call in server.calls[2:] if call.startswith("POST")]


@pytest.mark.parametrize(
    ("ours", "currency", "theirs"),
    [
        (12_900, "CNY", 12_900),
        (500, "JPY", 500),
        (5, "ISK", 500),
        (5, "UGX", 500),
        (7, "RSD", 7),
        (1_010, "BHD", 1_010),
        (1_011, "BHD", None),
        (0, "CNY", None),
        (-1, "CNY", None),
    ],
)
def test_amounts_are_counted_as_stripe_counts_them(ours: int, currency: str, theirs: int | None) -> None:
    assert to_stripe_amount(ours, currency) == theirs


@given(st.integers(1, 10**12), st.sampled_from(["CNY", "JPY", "ISK", "BHD", "RSD", "LYD", "HUF", "MGA", "IQD"]))
def test_an_amount_that_stripe_can_say_comes_back_the_same(amount_minor: int, currency: str) -> None:
    theirs = to_stripe_amount(amount_minor, currency)
    assert theirs is None or from_stripe_amount(theirs, currency) == amount_minor


async def test_an_amount_that_stripe_cannot_say_is_declined_before_any_call(
    server: StripeServer, provider: StripeProvider
) -> None:
    result = await provider.send(instruction_of(server.pay(currency="bhd"), 1_011, "BHD"))
    assert (result.kind, result.final, server.calls) == (RefundResultKind.DECLINED, True, [])


# Notifications ----------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)
READER = provider_at("http://127.0.0.1:9")
ATTEMPT = UUID(int=7)


def told(status: str = "succeeded", **changed: Any) -> StripeServer:
    server = StripeServer(lambda: NOW)
    metadata = {"jitui_attempt": str(ATTEMPT)}
    made = server.refund(server.pay(), 100, metadata=metadata, **changed)
    server.move(made["id"], status)
    return server


@pytest.mark.parametrize(
    ("kind", "status", "answer"),
    [
        ("refund.created", "succeeded", RefundResultKind.SUCCEEDED),
        ("refund.updated", "pending", RefundResultKind.PENDING),
        ("charge.refund.updated", "canceled", RefundResultKind.DECLINED),
        ("refund.failed", "failed", RefundResultKind.DECLINED),
    ],
)
def test_an_event_about_a_refund_of_ours_is_news(kind: str, status: str, answer: RefundResultKind) -> None:
    server = told(status)
    (body,) = server.told(kind)
    read = READER.read_notification(server.signed(body), body, NOW)
    assert isinstance(read, Notification)
    assert (read.attempt_id, read.event_id, read.result.kind) == (ATTEMPT, json.loads(body)["id"], answer)
    assert (read.result.amount_minor, read.result.currency, read.result.occurred_at) == (100, "CNY", NOW)
    refund = json.loads(body)["data"]["object"]
    assert read.result.payment_ids == (refund["payment_intent"], refund["charge"])


def test_an_event_that_names_no_payment_says_nothing_of_ours() -> None:
    server = told("succeeded")
    (body,) = server.told("refund.updated")
    event = json.loads(body)
    event["data"]["object"] |= {"payment_intent": None, "charge": None}
    body = json.dumps(event).encode()
    read = READER.read_notification(server.signed(body), body, NOW)
    assert isinstance(read, Notification) and read.result.kind is RefundResultKind.UNKNOWN


def test_t13_events_that_are_not_ours_are_ignored_not_refused() -> None:
    """solidusio/solidus_stripe PR 281: what is no attempt of ours is answered politely and imported nowhere."""
    server = told()
    dashboard = server.refund(server.payments[0], 5)
    server.move(dashboard["id"], "failed")
    for body in (*server.told("charge.refunded"), server.told("refund.created")[1], *server.told("refund.failed")):
        assert isinstance(READER.read_notification(server.signed(body), body, NOW), NotificationIgnored)


def stretched(headers: dict[str, str]) -> dict[str, str]:
    """A time that the library reads in spite of what follows it."""
    return {name: value.replace(",", "=9,", 1) for name, value in headers.items()}


@pytest.mark.parametrize(
    "forge",
    [
        lambda server, body: ({}, body),
        lambda server, body: ({"stripe-signature": "t=1,v1="}, body),
        lambda server, body: ({"stripe-signature": "t=x,v1=é"}, body),
        lambda server, body: ({"stripe-signature": f"t={int(NOW.timestamp())},v1=é"}, body),
        lambda server, body: ({"stripe-signature": f"t={'9' * 5000},v1=a"}, body),
        lambda server, body: (stretched(server.signed(body, at=NOW - timedelta(days=1))), body),
        lambda server, body: (server.signed(body), body + b" "),
        lambda server, body: (server.signed(b"\xff"), b"\xff"),
        lambda server, body: (server.signed(body, secret="whsec_other"), body),
        lambda server, body: (server.signed(body, at=NOW - timedelta(seconds=301)), body),
        lambda server, body: (server.signed(body, at=NOW + timedelta(seconds=301)), body),
        lambda server, body: (server.signed(body, at=NOW - timedelta(days=1)), body),
        lambda server, body: ({"Stripe-Signature": server.signed(body)["Stripe-Signature"].replace("v1", "v0")}, body),
    ],
)
def test_a_signature_or_age_that_does_not_stand_is_refused(
    forge: Callable[[StripeServer, bytes], tuple[dict[str, str], bytes]],
) -> None:
    server = told()
    headers, body = forge(server, server.events[0])
    read = READER.read_notification(headers, body, NOW)
    assert isinstance(read, NotificationRefused)
    assert read.reason and not read.signed


def test_t46_while_the_endpoints_secret_is_rolled_what_either_signed_is_good() -> None:
    server = told()
    body = server.events[0]
    both = StripeProvider(secret_key="sk_test_1", webhook_secret=f"whsec_new {WEBHOOK_SECRET}")
    after = StripeProvider(secret_key="sk_test_1", webhook_secret="whsec_new")
    old, new = server.signed(body), server.signed(body, secret="whsec_new")
    for headers in (old, new):
        assert isinstance(both.read_notification(headers, body, NOW), Notification)
    assert isinstance(after.read_notification(old, body, NOW), NotificationRefused)
    for without_time in (new["Stripe-Signature"].partition(",")[2], f"t=,{new['Stripe-Signature'].partition(',')[2]}"):
        assert isinstance(both.read_notification({"stripe-signature": without_time}, body, NOW), NotificationRefused)


DISPUTE = {
    "id": "du_1",
    "object": "dispute",
    "amount": 4000,
    "currency": "cny",
    "charge": "ch_1",
    "payment_intent": "pi_1",
    "reason": "product_not_received",
}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("needs_response", DisputeState.OPEN),
        ("under_review", DisputeState.OPEN),
        ("warning_needs_response", DisputeState.OPEN),
        ("a_word_of_tomorrow", DisputeState.OPEN),
        ("warning_closed", DisputeState.WON),
        ("won", DisputeState.WON),
        ("lost", DisputeState.LOST),
    ],
)
def test_t34_an_event_about_a_dispute_names_payment_amount_and_state(status: str, state: DisputeState) -> None:
    server = StripeServer(lambda: NOW)
    event = {
        "id": "evt_9",
        "type": "charge.dispute.updated",
        "created": int(NOW.timestamp()),
        "data": {"object": {**DISPUTE, "status": status}},
    }
    body = json.dumps(event).encode()
    read = READER.read_notification(server.signed(body), body, NOW)
    assert isinstance(read, DisputeNotification)
    told = read.dispute
    assert (told.dispute_id, told.payment_ids, told.state) == ("du_1", ("pi_1", "ch_1"), state)
    assert (told.amount_minor, told.currency, told.at) == (4000, "CNY", NOW)


@pytest.mark.parametrize("wrong", [{"payment_intent": None, "charge": None}, {"amount": 0}, {"amount": "4000"}])
def test_t34_a_dispute_of_no_payment_or_no_amount_is_sent_again(wrong: dict[str, Any]) -> None:
    server = StripeServer(lambda: NOW)
    event = {
        "id": "evt_9",
        "type": "charge.dispute.created",
        "created": int(NOW.timestamp()),
        "data": {"object": {**DISPUTE, "status": "lost", **wrong}},
    }
    body = json.dumps(event).encode()
    read = READER.read_notification(server.signed(body), body, NOW)
    assert isinstance(read, NotificationRefused) and read.signed


@pytest.mark.parametrize("age_seconds", [-300, 0, 300])
def test_five_minutes_of_age_are_allowed_by_our_clock_not_the_machines(age_seconds: int) -> None:
    server = told()
    body = server.events[0]
    headers = server.signed(body, at=NOW - timedelta(seconds=age_seconds))
    assert isinstance(READER.read_notification(headers, body, NOW), Notification)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"id":"evt_1","type":"refund.created"}',
        told().events[0].replace(b'"succeeded"', b'"disputed"'),
        told().events[0].replace(str(ATTEMPT).encode(), b"mine"),
        told().events[0].replace(b'"amount": 100', b'"amount": "100"'),
    ],
)
def test_a_signed_body_that_makes_no_sense_is_refused_as_signed(body: bytes) -> None:
    read = READER.read_notification(StripeServer(lambda: NOW).signed(body), body, NOW)
    assert isinstance(read, NotificationRefused)
    assert read.signed


# Configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "secret"), [("pk_test_1", "whsec_1"), ("sk_test_1", "secret"), ("", "whsec_1")])
def test_secrets_that_cannot_be_stripes_are_refused_at_once(key: str, secret: str) -> None:
    with pytest.raises(NotConfigured):
        StripeProvider(secret_key=key, webhook_secret=secret)


async def test_what_keeps_our_key_from_being_taken_is_said(server: StripeServer, provider: StripeProvider) -> None:
    assert await probe(provider) is None
    async with provider_at(server.url, secret_key="sk_test_old") as other:
        refused = ProviderProblem(CallTrouble.UNAUTHORISED, "look-up: AuthenticationError")
        assert await probe(other) == refused


# After a restored backup -------------------------------------------------------------------------------------------


async def test_every_refund_of_the_account_since_a_moment_is_listed(
    server: StripeServer, provider: StripeProvider
) -> None:
    server.page = 2
    since = datetime.now(UTC) - timedelta(minutes=1)
    payment, yen = server.pay(), server.pay(1_000, "jpy")
    asked = instruction_of(payment)
    await provider.send(asked)
    server.refund(payment, 300)
    server.refund(payment, 400, status="failed")
    server.refund(yen, 500, status="pending")
    server.refund(payment, 600, created=int(since.timestamp()) - 1)
    found = {one.amount_minor: one for one in await provider.refunds_since(since)}
    assert set(found) == {100, 300, 400, 500}
    assert found[100].attempt_id == asked.attempt_id and found[300].attempt_id is None
    assert set(found[100].payment_ids) == {payment.intent, payment.charge}
    assert (found[500].currency, found[500].kind) == ("JPY", RefundResultKind.PENDING)
    assert (found[400].kind, found[300].kind) == (RefundResultKind.DECLINED, RefundResultKind.SUCCEEDED)


async def test_a_list_of_the_account_that_is_not_whole_is_not_taken(
    server: StripeServer, provider: StripeProvider
) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    made = server.refund(server.pay(), 100)
    more = {"object": "list", "url": "/v1/refunds", "data": [made], "has_more": True}
    for answers in (
        [(200, more), (200, {**more, "data": []})],
        [(200, {**more, "data": [{**made, "status": "unheard of"}], "has_more": False})],
        [(200, {**more, "data": [{**made, "charge": None, "payment_intent": None}], "has_more": False})],
        [refusal(401, None)],
    ):
        server.list_answers = answers
        with pytest.raises(Unavailable):
            await provider.refunds_since(since)
