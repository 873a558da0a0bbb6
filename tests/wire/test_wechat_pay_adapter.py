"""The WeChat Pay adapter, through `wechatpayv3`, against a local server of the documented wire format."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitui.adapters.payments.wechat_pace import ERRORS_PER_SECOND, REFUNDS_PER_SECOND, Pace
from jitui.adapters.payments.wechat_pay import WeChatPayProvider, refund_number
from jitui.aftersales.provider import (
    CallTrouble,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)
from jitui.errors import NotConfigured
from tests.wire import wechat_pay_server as wire
from tests.wire.wechat_pay_server import Payment, Seconds, WeChatPayServer, error, provider_at, wechat_pay_server


@pytest.fixture
async def server() -> AsyncIterator[WeChatPayServer]:
    async with wechat_pay_server() as opened:
        yield opened


@pytest.fixture
async def provider(server: WeChatPayServer) -> AsyncIterator[WeChatPayProvider]:
    async with provider_at(server.url) as opened:
        yield opened


def instruction_of(payment: Payment, amount_minor: int = 100, *, by_our_number: bool = False) -> RefundInstruction:
    return RefundInstruction(
        attempt_id=uuid4(),
        provider="wechat_pay",
        payment_id=payment.out_trade_no if by_our_number else payment.transaction_id,
        order_id="order-1",
        amount_minor=amount_minor,
        currency="CNY",
        captured_minor=payment.total,
    )


# --- what is asked, and how it is understood -------------------------------------------------------------------


async def test_a_refund_is_asked_for_in_the_documented_words(
    provider: WeChatPayProvider, server: WeChatPayServer
) -> None:
    instruction = instruction_of(server.pay(), 250)
    sent = await provider.send(instruction)
    assert (sent.kind, sent.amount_minor, sent.currency, sent.reason) == (RefundResultKind.SUCCEEDED, 250, "CNY", "")
    assert sent.occurred_at == datetime(2026, 11, 25, 3, 20, tzinfo=UTC)
    assert server.bodies == [
        {
            "notify_url": wire.NOTIFY_URL,
            "out_refund_no": instruction.attempt_id.hex,
            "amount": {"refund": 250, "total": 10_000, "currency": "CNY"},
            "transaction_id": instruction.payment_id,
            "reason": "订单退款",
        }
    ]
    assert await provider.look_up(instruction) == sent
    assert server.calls[-1] == ("GET", f"{wire.REFUNDS}/{instruction.attempt_id.hex}")


async def test_a_payment_is_named_by_the_merchants_number_where_it_is_not_one_of_theirs(
    provider: WeChatPayProvider, server: WeChatPayServer
) -> None:
    instruction = instruction_of(server.pay(out_trade_no="20261125-0001"), by_our_number=True)
    assert (await provider.send(instruction)).kind is RefundResultKind.SUCCEEDED
    assert server.bodies[0]["out_trade_no"] == "20261125-0001" and "transaction_id" not in server.bodies[0]


@pytest.mark.parametrize(
    ("status", "kind", "stuck"),
    [
        ("SUCCESS", RefundResultKind.SUCCEEDED, False),
        ("PROCESSING", RefundResultKind.PENDING, False),
        ("CLOSED", RefundResultKind.DECLINED, False),
        ("ABNORMAL", RefundResultKind.PENDING, True),
    ],
)
async def test_every_documented_status(
    provider: WeChatPayProvider, server: WeChatPayServer, status: str, kind: RefundResultKind, stuck: bool
) -> None:
    server.next_status = status
    instruction = instruction_of(server.pay())
    sent = await provider.send(instruction)
    assert (sent.kind, sent.final, sent.stuck) == (kind, True, stuck)
    assert sent.provider_refund_id == server.refunds[refund_number(instruction.attempt_id)]["refund_id"]
    assert (sent.reason == "") == (status in ("SUCCESS", "PROCESSING"))
    assert await provider.look_up(instruction) == sent


FOR_GOOD, FOR_NOW, DOUBT = "for good", "for now", "doubt"


@pytest.mark.parametrize(
    ("status", "code", "means"),
    [
        (400, "PARAM_ERROR", FOR_GOOD),
        (400, "INVALID_REQUEST", FOR_GOOD),
        (401, "SIGN_ERROR", FOR_NOW),
        (403, "NOT_ENOUGH", FOR_NOW),
        (403, "NO_AUTH", FOR_NOW),
        (403, "REQUEST_BLOCKED", FOR_NOW),
        (403, "USER_ACCOUNT_ABNORMAL", FOR_GOOD),
        (404, "MCH_NOT_EXISTS", FOR_NOW),
        (404, "RESOURCE_NOT_EXISTS", FOR_GOOD),
        (429, "FREQUENCY_LIMITED", FOR_NOW),
        (429, "FREQUENCY_LIMIT_EXCEED", FOR_NOW),
        (500, "SYSTEM_ERROR", DOUBT),
        # Not documented, or not together: nothing is concluded from them.
        (500, "PARAM_ERROR", DOUBT),
        (200, "PARAM_ERROR", DOUBT),
        (400, "NOT_ENOUGH", DOUBT),
        (403, "SOMETHING_NEW", DOUBT),
        (404, "", DOUBT),
        (502, "", DOUBT),
    ],
)
async def test_every_documented_error(
    provider: WeChatPayProvider, server: WeChatPayServer, status: int, code: str, means: str
) -> None:
    server.faults = [error(status, code)]
    instruction = instruction_of(server.pay())
    sent = await provider.send(instruction)
    if means == DOUBT:
        assert sent.kind is RefundResultKind.UNKNOWN and sent.reason
    else:
        assert (sent.kind, sent.final, sent.reason) == (RefundResultKind.DECLINED, means == FOR_GOOD, f"{code}: 说明")
        assert sent.retry_after_seconds == (60.0 if status == 429 else None)
    assert (await provider.look_up(instruction)).kind is RefundResultKind.NOT_FOUND
    if means != FOR_GOOD:
        assert (await provider.send(instruction)).kind is RefundResultKind.SUCCEEDED, (
            "the same number goes through later"
        )
        assert {body["out_refund_no"] for body in server.bodies} == {instruction.attempt_id.hex}


@pytest.mark.parametrize(
    ("status", "code", "trouble"),
    [
        (400, "PARAM_ERROR", None),
        (401, "SIGN_ERROR", CallTrouble.UNAUTHORISED),
        (403, "NO_AUTH", CallTrouble.UNAUTHORISED),
        (404, "MCH_NOT_EXISTS", CallTrouble.UNAUTHORISED),
        (404, "", CallTrouble.UNREADABLE),
        (429, "FREQUENCY_LIMITED", None),
        (500, "SYSTEM_ERROR", CallTrouble.FAILING),
        (502, "", CallTrouble.FAILING),
    ],
)
async def test_only_the_books_own_word_says_that_there_is_no_refund(
    provider: WeChatPayProvider, server: WeChatPayServer, status: int, code: str, trouble: CallTrouble | None
) -> None:
    server.look_up_faults = [error(status, code)]
    found = await provider.look_up(instruction_of(server.pay()))
    assert (found.kind, found.reason) == (RefundResultKind.UNKNOWN, f"look-up answered {status} {code}".rstrip())
    assert found.trouble is trouble


async def test_a_limit_that_comes_as_an_invalid_request_is_for_now(
    provider: WeChatPayProvider, server: WeChatPayServer
) -> None:
    server.faults = [error(400, "INVALID_REQUEST", "频率限制，请降低频率后重试")]
    sent = await provider.send(instruction_of(server.pay()))
    assert (sent.kind, sent.final, sent.retry_after_seconds) == (RefundResultKind.DECLINED, False, 60.0)


# --- once, and only once ---------------------------------------------------------------------------------------


async def test_t4_t5_the_same_attempt_again_is_the_same_answer_and_one_payout(
    provider: WeChatPayProvider, server: WeChatPayServer
) -> None:
    payment = server.pay()
    instruction = instruction_of(payment)
    assert len({await provider.send(instruction) for _ in range(3)}) == 1
    assert server.paid_out(payment) == 100


@pytest.mark.parametrize(
    ("fault", "done"), [("drop_before", False), ("drop_after", True), ("bad_signature", True), ("hang", False)]
)
async def test_t27_a_lost_answer_is_unknown_and_the_same_number_pays_once(
    server: WeChatPayServer, fault: str, done: bool
) -> None:
    payment = server.pay()
    instruction = instruction_of(payment)
    server.faults = [fault]
    async with provider_at(server.url, timeout_seconds=0.3 if fault == "hang" else 10.0) as provider:
        sent = await provider.send(instruction)
        assert sent.kind is RefundResultKind.UNKNOWN and sent.reason
        assert (await provider.look_up(instruction)).kind is (
            RefundResultKind.SUCCEEDED if done else RefundResultKind.NOT_FOUND
        )
        assert (await provider.send(instruction)).kind is RefundResultKind.SUCCEEDED
    server.released.set()
    await asyncio.sleep(0.05)
    assert server.paid_out(payment) == 100


async def test_a_refusal_counts_only_once_the_books_have_no_such_refund(
    provider: WeChatPayProvider, server: WeChatPayServer
) -> None:
    """The first answer was lost; the repetition is refused, and the refund stands all the same."""
    instruction = instruction_of(server.pay())
    server.faults = ["drop_after", error(400, "INVALID_REQUEST", "订单已全额退款")]
    assert (await provider.send(instruction)).kind is RefundResultKind.UNKNOWN
    assert (await provider.send(instruction)).kind is RefundResultKind.SUCCEEDED
    server.faults, server.look_up_faults = [error(400, "INVALID_REQUEST")], [error(500, "SYSTEM_ERROR")]
    assert (await provider.send(instruction)).kind is RefundResultKind.UNKNOWN


async def test_t28_the_same_attempt_with_another_amount_is_doubt(
    provider: WeChatPayProvider, server: WeChatPayServer
) -> None:
    payment = server.pay()
    instruction = instruction_of(payment)
    await provider.send(instruction)
    other = replace(instruction, amount_minor=101)
    sent = await provider.send(other)
    assert (sent.kind, sent.reason) == (RefundResultKind.UNKNOWN, "the answer's amount is 100, asked was 101")
    assert sent.amount_minor == 100, "it goes on to be held against the refund"
    assert server.paid_out(payment) == 100


async def test_after_closed_the_old_number_is_refused_and_a_new_one_pays(server: WeChatPayServer) -> None:
    payment = server.pay()
    instruction, clock = instruction_of(payment), Seconds()
    async with provider_at(server.url, clock=clock) as provider:
        server.next_status = "CLOSED"
        closed = await provider.send(instruction)
        assert (closed.kind, closed.final) == (RefundResultKind.DECLINED, True)
        assert await provider.send(instruction) == closed, "the old number stays closed, whatever the balance"
        server.next_status, clock.now = "SUCCESS", clock.now + 60
        assert (await provider.send(replace(instruction, attempt_id=uuid4()))).kind is RefundResultKind.SUCCEEDED
    assert server.paid_out(payment) == 100


async def test_t8_refunds_cannot_exceed_the_payment(server: WeChatPayServer) -> None:
    payment, clock = server.pay(100), Seconds()
    async with provider_at(server.url, clock=clock) as provider:
        answers = []
        for amount_minor in (60, 60, 40, 1):
            answers.append(await provider.send(instruction_of(payment, amount_minor)))
            clock.now += 60
    assert [result.kind.value for result in answers] == ["succeeded", "declined", "succeeded", "declined"]
    assert all(result.final for result in answers)
    assert server.paid_out(payment) == 100


async def test_the_51st_partial_refund_of_a_payment_is_refused_for_good(server: WeChatPayServer) -> None:
    payment, clock = server.pay(), Seconds()
    async with provider_at(server.url, clock=clock) as provider:
        for index in range(51):
            clock.now += 60
            result = await provider.send(instruction_of(payment, 1))
            assert (result.kind, result.final) == (
                RefundResultKind.SUCCEEDED if index < 50 else RefundResultKind.DECLINED,
                True,
            )


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": {"refund": 99, "currency": "CNY"}},
        {"amount": {"refund": 100, "currency": "USD"}},
        {"amount": {"refund": "100", "currency": "CNY"}},
        {"transaction_id": "4" * 28},
        {"out_refund_no": "0" * 32},
        {"status": "DONE"},
    ],
)
async def test_an_answer_about_something_else_is_unknown(
    provider: WeChatPayProvider, server: WeChatPayServer, changed: dict[str, object]
) -> None:
    instruction = instruction_of(server.pay())
    await provider.send(instruction)
    other = {**server.refunds[instruction.attempt_id.hex], **changed}
    server.look_up_faults = [(200, other)]
    found = await provider.look_up(instruction)
    assert found.kind is RefundResultKind.UNKNOWN and found.reason


async def test_another_currency_is_refused_without_a_call(provider: WeChatPayProvider, server: WeChatPayServer) -> None:
    sent = await provider.send(replace(instruction_of(server.pay()), currency="USD"))
    assert (sent.kind, sent.final) == (RefundResultKind.DECLINED, True)
    assert server.calls == []


@pytest.mark.parametrize("amount_minor", [0, -1])
async def test_t2_zero_and_negative_amounts_are_declined_for_good(
    provider: WeChatPayProvider, server: WeChatPayServer, amount_minor: int
) -> None:
    assert await provider.send(instruction_of(server.pay(), amount_minor)) == RefundResult(
        RefundResultKind.DECLINED, "PARAM_ERROR: 说明"
    )


async def test_a_wrong_key_of_ours_declines_nothing_for_good(server: WeChatPayServer) -> None:
    async with provider_at(server.url, certificate_serial="OLD") as provider:
        instruction = instruction_of(server.pay())
        sent = await provider.send(instruction)
        assert (sent.kind, sent.final, sent.reason) == (RefundResultKind.DECLINED, False, "SIGN_ERROR: 说明")
        assert (await provider.look_up(instruction)).kind is RefundResultKind.UNKNOWN


# --- down and slow ---------------------------------------------------------------------------------------------


async def test_a_provider_that_is_away_leaves_everything_unknown() -> None:
    async with provider_at("http://127.0.0.1:9") as provider:
        instruction = instruction_of(Payment("o1", "4" * 28, 100))
        sent = await provider.send(instruction)
        assert (sent.kind, sent.reason) == (RefundResultKind.UNKNOWN, "connection broken: ConnectionError")
        assert sent.trouble is CallTrouble.UNREACHABLE
        assert (await provider.look_up(instruction)).kind is RefundResultKind.UNKNOWN


async def test_every_call_ends_in_time_even_when_all_threads_hang(server: WeChatPayServer) -> None:
    """The calls that no thread began are withdrawn: they never reach the provider."""
    server.faults = ["hang"] * 10
    async with provider_at(server.url, timeout_seconds=0.4, threads=2) as provider:
        orders = [instruction_of(server.pay()) for _ in range(8)]
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*(provider.send(instruction) for instruction in orders))
        assert {result.kind for result in answers} == {RefundResultKind.UNKNOWN}
        assert len(server.calls) <= 4, "a thread that gives up in time takes one more at most"


async def test_after_closing_nothing_is_called(server: WeChatPayServer) -> None:
    provider = provider_at(server.url)
    await provider.close()
    assert (await provider.send(instruction_of(server.pay()))).kind is RefundResultKind.UNKNOWN
    assert server.calls == []


# --- rates -----------------------------------------------------------------------------------------------------


async def test_a_second_refund_of_a_payment_waits_a_minute_and_the_same_one_does_not(server: WeChatPayServer) -> None:
    payment, clock = server.pay(), Seconds()
    first, second = instruction_of(payment), instruction_of(payment)
    async with provider_at(server.url, clock=clock) as provider:
        await provider.send(first)
        assert (await provider.send(first)).kind is RefundResultKind.SUCCEEDED
        clock.now += 20
        sent = await provider.send(second)
        assert sent == RefundResult(RefundResultKind.DECLINED, "rate_limited", final=False, retry_after_seconds=40.0)
        assert len(server.calls) == 2, "nothing was called"
        assert (await provider.send(instruction_of(server.pay()))).kind is RefundResultKind.SUCCEEDED, "others go on"
        clock.now += 40
        assert (await provider.send(second)).kind is RefundResultKind.SUCCEEDED


def test_150_refunds_a_second_and_six_errors() -> None:
    clock = Seconds()
    pace = Pace(clock)
    assert {pace.seconds_to_wait(f"p{index}", "n") for index in range(REFUNDS_PER_SECOND)} == {0.0}
    clock.now += 0.25
    assert pace.seconds_to_wait("one more", "n") == 0.75
    clock.now += 0.75
    assert pace.seconds_to_wait("one more", "n") == 0.0
    for _ in range(ERRORS_PER_SECOND):
        pace.count_error()
    assert pace.seconds_to_wait("after errors", "n") == 1.0
    clock.now += 1.0
    assert pace.seconds_to_wait("after errors", "n") == 0.0


@given(asks=st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.5, 30.0, 60.0]), st.integers(0, 2), st.integers(0, 2))))
def test_no_order_of_asking_breaks_the_minute_or_the_second(asks: list[tuple[float, int, int]]) -> None:
    clock = Seconds()
    pace = Pace(clock, refunds_per_second=3)
    went: list[tuple[float, int, int]] = []
    for later, payment, number in asks:
        clock.now += later
        wait = pace.seconds_to_wait(str(payment), str(number))
        assert 0 <= wait <= 60
        if wait == 0:
            went.append((clock.now, payment, number))
    for index, (at, payment, number) in enumerate(went):
        others = [other for other in went[:index] if other[1] == payment and other[2] != number]
        assert all(at - other[0] >= 60 for other in others[-1:])
        assert sum(at - other[0] < 1 for other in went[:index]) < 3


async def test_six_refusals_in_a_second_hold_the_next_refund_back(server: WeChatPayServer) -> None:
    async with provider_at(server.url, clock=Seconds()) as provider:
        server.faults = [error(403, "NOT_ENOUGH")] * 6
        for _ in range(6):
            await provider.send(instruction_of(server.pay()))
        held = await provider.send(instruction_of(server.pay()))
        assert (held.reason, held.retry_after_seconds, len(server.calls)) == ("rate_limited", 1.0, 6)


# --- notifications ---------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
READER = provider_at("http://127.0.0.1:9")


@pytest.fixture
def reader() -> WeChatPayProvider:
    return provider_at("http://127.0.0.1:9")


def refund_in(status: str) -> dict[str, object]:
    books = WeChatPayServer(next_status=status)
    payment = books.pay()
    number = uuid4().hex
    books._refund(
        {
            "out_refund_no": number,
            "transaction_id": payment.transaction_id,
            "amount": {"refund": 100, "total": 10_000, "currency": "CNY"},
        }
    )
    return books.refunds[number]


def read(
    reader: WeChatPayProvider, body: str, *, age: timedelta = timedelta(), nonce: str | None = None
) -> Notification | NotificationIgnored | NotificationRefused:
    headers = wire.signed_headers(body, sent_at=NOW - age, nonce=nonce)
    return reader.read_notification(headers, body.encode(), NOW)


@pytest.mark.parametrize(
    ("status", "kind", "stuck"),
    [
        ("SUCCESS", RefundResultKind.SUCCEEDED, False),
        ("CLOSED", RefundResultKind.DECLINED, False),
        ("ABNORMAL", RefundResultKind.PENDING, True),
    ],
)
def test_every_documented_notification(
    reader: WeChatPayProvider, status: str, kind: RefundResultKind, stuck: bool
) -> None:
    refund = refund_in(status)
    news = read(reader, wire.notification(refund, id="event-1"))
    assert isinstance(news, Notification)
    assert (news.provider, news.event_id, news.attempt_id.hex) == ("wechat_pay", "event-1", refund["out_refund_no"])
    assert (news.result.kind, news.result.stuck, news.result.amount_minor) == (kind, stuck, 100)
    assert news.result.provider_refund_id == refund["refund_id"]
    assert (news.result.payment_ids, news.result.currency) == (
        (refund["transaction_id"], refund["out_trade_no"]),
        "CNY",
    )
    assert (news.result.occurred_at is not None) == (status == "SUCCESS")


@pytest.mark.parametrize("age_seconds", [-301, 301, 86_400])
def test_a_notification_that_is_too_old_or_ahead_is_refused(reader: WeChatPayProvider, age_seconds: int) -> None:
    """The library itself takes it."""
    refused = read(reader, wire.notification(refund_in("SUCCESS")), age=timedelta(seconds=age_seconds))
    assert isinstance(refused, NotificationRefused)
    assert "five minutes" in refused.reason and not refused.signed


@pytest.mark.parametrize("age_seconds", [-300, 0, 300])
def test_five_minutes_of_age_are_allowed(reader: WeChatPayProvider, age_seconds: int) -> None:
    body = wire.notification(refund_in("SUCCESS"))
    assert isinstance(read(reader, body, age=timedelta(seconds=age_seconds)), Notification)


def test_a_replay_is_refused_and_a_redelivery_is_read(reader: WeChatPayProvider) -> None:
    body = wire.notification(refund_in("SUCCESS"))
    assert isinstance(read(reader, body, nonce="n1"), Notification)
    replay = read(reader, body, nonce="n1")
    assert isinstance(replay, NotificationRefused) and "replay" in replay.reason
    assert isinstance(read(reader, body, nonce="n2"), Notification), "WeChat Pay signs each delivery anew"


def test_a_forgery_does_not_use_up_a_nonce(reader: WeChatPayProvider) -> None:
    body = wire.notification(refund_in("SUCCESS"))
    headers = wire.signed_headers(body, sent_at=NOW, nonce="n1")
    assert isinstance(reader.read_notification(headers, body.encode() + b" ", NOW), NotificationRefused)
    assert isinstance(reader.read_notification(headers, body.encode(), NOW), Notification)


def test_nonces_are_remembered_as_long_as_their_age_lets_them_in(reader: WeChatPayProvider) -> None:
    body = wire.notification(refund_in("SUCCESS"))
    headers = wire.signed_headers(body, sent_at=NOW, nonce="n1")
    kinds = [
        type(reader.read_notification(headers, body.encode(), NOW + timedelta(seconds=seconds)))
        for seconds in (-300, 0, 300, 301)
    ]
    assert kinds == [Notification, NotificationRefused, NotificationRefused, NotificationRefused]
    assert isinstance(read(reader, body, age=timedelta(minutes=-1), nonce="n2"), Notification)


def test_a_changed_byte_or_header_is_refused_as_unsigned(reader: WeChatPayProvider) -> None:
    body = wire.notification(refund_in("SUCCESS"))
    good = wire.signed_headers(body, sent_at=NOW)
    for headers, changed in (
        (good, body.replace("REFUND", "REFUNB")),
        (good | {"Wechatpay-Nonce": "other"}, body),
        (good | {"Wechatpay-Timestamp": str(int(NOW.timestamp()) + 1)}, body),
        (good | {"Wechatpay-Timestamp": "²"}, body),
        (good | {"Wechatpay-Timestamp": "9" * 30}, body),
        (good | {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/aGVsbG8="}, body),
        (good | {"Wechatpay-Signature": "é"}, body),
        (good | {"Wechatpay-Signature": ""}, body),
        (good | {"Wechatpay-Serial": "PUB_KEY_ID_2"}, body),
        (good | {"Wechatpay-Serial": "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"}, body),
        ({}, body),
    ):
        refused = reader.read_notification(headers, changed.encode(), NOW)
        assert isinstance(refused, NotificationRefused) and not refused.signed
    not_text = reader.read_notification(good, b"\xff", NOW)
    assert isinstance(not_text, NotificationRefused) and not not_text.signed


async def test_a_strange_serial_is_refused_without_asking_the_network(server: WeChatPayServer) -> None:
    """For a certificate that it does not know the library would go and fetch."""
    async with provider_at(server.url) as provider:
        body = wire.notification(refund_in("SUCCESS"))
        headers = wire.signed_headers(body, sent_at=NOW) | {"Wechatpay-Serial": "ABCDEF"}
        assert isinstance(provider.read_notification(headers, body.encode(), NOW), NotificationRefused)
    assert server.calls == []


def strange_bodies() -> list[str]:
    success = refund_in("SUCCESS")
    return [
        "",
        "[]",
        "{}",
        wire.notification(success, event_type="REFUND.CLOSED"),
        wire.notification(success, resource_type="plain"),
        wire.notification(success, resource={"algorithm": "AEAD_AES_256_GCM", "nonce": "1", "ciphertext": "="}),
        wire.notification(success, resource={"algorithm": "NONE", "nonce": "1" * 12, "ciphertext": "AAAA"}),
        wire.envelope("{}"),
        wire.envelope("no json"),
        wire.envelope("{}", key="f" * 32),
    ]


@pytest.mark.parametrize("body", strange_bodies())
def test_a_signed_body_that_makes_no_sense_is_refused_as_signed(reader: WeChatPayProvider, body: str) -> None:
    refused = read(reader, body)
    assert isinstance(refused, NotificationRefused)
    assert refused.signed and refused.reason


def bodies_about_others() -> list[str]:
    success = refund_in("SUCCESS")
    return [
        wire.notification(success, event_type="TRANSACTION.SUCCESS"),
        wire.envelope('{"trade_state": "SUCCESS"}', event_type="TRANSACTION.SUCCESS"),
        wire.notification({**success, "out_refund_no": "made-by-hand"}),
        wire.notification({**success, "out_refund_no": str(uuid4())}),
    ]


@pytest.mark.parametrize("body", bodies_about_others())
def test_t13_signed_news_of_a_payment_or_of_anothers_refund_is_ignored(reader: WeChatPayProvider, body: str) -> None:
    ignored = read(reader, body)
    assert isinstance(ignored, NotificationIgnored)
    assert ignored.reason and not ignored.acknowledgement, "WeChat Pay reads the status"


FIELDS = ["mchid", "refund_id", "out_refund_no", "refund_status", "amount", "success_time"]
SOME_FIELDS = st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=8) | st.integers() | st.none())


@settings(max_examples=50)
@given(st.text(max_size=40) | st.builds(wire.envelope, st.text(max_size=40) | SOME_FIELDS.map(json.dumps)))
def test_no_signed_nonsense_is_news(body: str) -> None:
    told = read(READER, body)
    assert isinstance(told, NotificationIgnored) or (isinstance(told, NotificationRefused) and told.signed)


@given(
    st.dictionaries(
        st.sampled_from(["Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature", "wechatpay-serial"]),
        st.text(max_size=20) | st.sampled_from([wire.PUBLIC_KEY_ID, str(int(NOW.timestamp()))]),
    ),
    st.binary(max_size=20),
)
def test_no_unsigned_nonsense_is_news(headers: dict[str, str], body: bytes) -> None:
    refused = READER.read_notification(headers, body, NOW)
    assert isinstance(refused, NotificationRefused) and not refused.signed


def test_a_notification_for_another_merchant_is_ignored() -> None:
    other = provider_at("http://127.0.0.1:9", merchant_id="1900000999")
    ignored = read(other, wire.notification(refund_in("SUCCESS")))
    assert ignored == NotificationIgnored(f"for merchant {wire.MERCHANT}")


# --- keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"api_v3_key": "short"},
        {"private_key": "no key"},
        {"private_key": ""},
        {"public_key": "no key"},
        {"public_key": ""},
    ],
)
def test_a_key_that_cannot_be_used_is_refused_at_once(changed: dict[str, object]) -> None:
    with pytest.raises(NotConfigured) as refused:
        provider_at("http://127.0.0.1:9", **changed)
    assert "WeChat Pay" in str(refused.value)
