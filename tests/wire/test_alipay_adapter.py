"""The Alipay adapter through its client library, against a gateway of our own that signs and refuses as documented."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.adapters.payments.alipay.fields import minor_of
from jitui.adapters.payments.alipay.provider import AlipayProvider
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
from jitui.money import to_decimal_text
from tests.wire.alipay_server import (
    BEIJING,
    AlipayServer,
    Fault,
    Trade,
    alipay_running,
    business_error,
    private_bare,
    private_pem,
    provider_at,
    public_bare,
    public_pem,
    signed_form,
)

SUCCEEDED, DECLINED, UNKNOWN, ABSENT = (
    RefundResultKind.SUCCEEDED,
    RefundResultKind.DECLINED,
    RefundResultKind.UNKNOWN,
    RefundResultKind.NOT_FOUND,
)


@pytest.fixture
async def server() -> AsyncIterator[AlipayServer]:
    async with alipay_running() as running:
        yield running


@pytest.fixture
async def provider(server: AlipayServer) -> AsyncIterator[AlipayProvider]:
    async with provider_at(server.url) as opened:
        yield opened


def instruction_of(trade: Trade, amount_minor: int, *, by_trade_no: bool = False) -> RefundInstruction:
    return RefundInstruction(
        attempt_id=uuid4(),
        provider="alipay",
        payment_id=trade.trade_no if by_trade_no else trade.out_trade_no,
        order_id="order-1",
        amount_minor=amount_minor,
        currency="CNY",
        captured_minor=trade.captured,
    )


@pytest.mark.parametrize("by_trade_no", [True, False])
async def test_a_refund_succeeds_and_is_found_again(
    server: AlipayServer, provider: AlipayProvider, by_trade_no: bool
) -> None:
    trade = server.capture("pay-1")
    instruction = instruction_of(trade, 250, by_trade_no=by_trade_no)
    sent = await provider.send(instruction)
    told = RefundResult(
        SUCCEEDED, provider_refund_id=trade.trade_no, payment_ids=(trade.trade_no, "pay-1"), currency="CNY"
    )
    assert sent == replace(told, refunds_in_all_minor=250)
    found = await provider.look_up(instruction)
    assert found == replace(told, amount_minor=250, occurred_at=datetime(2026, 11, 23, 10, 0, tzinfo=UTC))
    assert trade.refunds == {instruction.attempt_id.hex: 250}
    asked = {"trade_no": trade.trade_no} if by_trade_no else {"out_trade_no": "pay-1"}
    assert asked.items() <= server.seen[0]["biz"].items()
    assert "notify_url" not in server.seen[0], "the refund takes no parameter that its page does not name"


async def test_a_second_part_succeeds_although_the_trades_sum_is_larger(
    server: AlipayServer, provider: AlipayProvider
) -> None:
    """T26: refund_fee counts all refunds of the trade."""
    trade = server.capture("pay-1")
    for in_all in (300, 600):
        sent = await provider.send(instruction_of(trade, 300))
        assert (sent.kind, sent.refunds_in_all_minor, sent.amount_minor) == (SUCCEEDED, in_all, None)
    assert trade.refunded == 600


async def test_an_attempt_never_sent_is_absent(server: AlipayServer, provider: AlipayProvider) -> None:
    instruction = instruction_of(server.capture("pay-1"), 1)
    assert await provider.look_up(instruction) == RefundResult(ABSENT, "no refund of this number")
    nowhere = await provider.look_up(replace(instruction, payment_id="never-captured"))
    assert nowhere == RefundResult(ABSENT, "ACQ.TRADE_NOT_EXIST")


async def test_t1_of_two_concurrent_refunds_of_60_on_100_exactly_one_succeeds(
    server: AlipayServer, provider: AlipayProvider
) -> None:
    trade = server.capture("pay-1", 100)
    answers = await asyncio.gather(*(provider.send(instruction_of(trade, 60)) for _ in range(2)))
    assert sorted(result.kind for result in answers) == [DECLINED, SUCCEEDED]
    (declined,) = (result for result in answers if result.kind is DECLINED)
    assert (declined.reason, declined.final) == ("ACQ.REASON_TRADE_REFUND_FEE_ERR", True)


async def test_t2_zero_negative_and_foreign_amounts_never_leave_the_house(
    server: AlipayServer, provider: AlipayProvider
) -> None:
    instruction = instruction_of(server.capture("pay-1"), 1)
    for wrong in (
        replace(instruction, amount_minor=0),
        replace(instruction, amount_minor=-1),
        replace(instruction, currency="USD"),
    ):
        result = await provider.send(wrong)
        assert (result.kind, result.final) == (DECLINED, True)
    assert server.seen == []


async def test_t4_t5_the_same_number_again_moves_nothing_and_the_look_up_decides(
    server: AlipayServer, provider: AlipayProvider
) -> None:
    """Code 10000 with fund_change=N is no success."""
    trade = server.capture("pay-1")
    instruction = instruction_of(trade, 100)
    first = await provider.send(instruction)
    again = await provider.send(instruction)
    assert (again.kind, again.reason) == (UNKNOWN, "no funds moved with this call")
    assert (await provider.look_up(instruction)).kind is first.kind is SUCCEEDED
    assert trade.refunded == 100


@pytest.mark.parametrize("fund_change", ["N", "", "y", "X"])
async def test_code_10000_without_fund_change_y_is_not_success(
    server: AlipayServer, provider: AlipayProvider, fund_change: str
) -> None:
    server.says["refund"] = [lambda node: {**node, "fund_change": fund_change}]
    assert (await provider.send(instruction_of(server.capture("pay-1"), 100))).kind is UNKNOWN


@pytest.mark.parametrize(
    "fault",
    [Fault.DROPPED_AFTER, Fault.ERROR_AFTER, Fault.UNSIGNED, Fault.FORGED, Fault.CHANGED, Fault.BROKEN, Fault.LONG],
)
async def test_t27_a_lost_answer_is_unknown_then_looked_up_and_never_paid_twice(
    server: AlipayServer, provider: AlipayProvider, fault: Fault
) -> None:
    server.faults["refund"] = [fault]
    trade = server.capture("pay-1")
    instruction = instruction_of(trade, 100)
    assert (await provider.send(instruction)).kind is UNKNOWN
    assert (await provider.look_up(instruction)).kind is SUCCEEDED
    assert trade.refunded == 100


@pytest.mark.parametrize("fault", [Fault.DROPPED_BEFORE, Fault.PAGE])
async def test_a_call_that_never_arrived_is_unknown_then_absent_then_paid(
    server: AlipayServer, provider: AlipayProvider, fault: Fault
) -> None:
    server.faults["refund"] = [fault]
    trade = server.capture("pay-1")
    instruction = instruction_of(trade, 100)
    assert (await provider.send(instruction)).kind is UNKNOWN
    assert (await provider.look_up(instruction)).kind is ABSENT
    assert (await provider.send(instruction)).kind is SUCCEEDED


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in (Fault.HANG, Fault.DRIP)])
async def test_a_look_up_that_cannot_be_trusted_is_unknown_even_when_nothing_was_found(
    server: AlipayServer, provider: AlipayProvider, fault: Fault
) -> None:
    server.faults["fastpay.refund.query"] = [fault]
    assert (await provider.look_up(instruction_of(server.capture("pay-1"), 100))).kind is UNKNOWN


async def test_a_gateway_that_is_down_is_unknown() -> None:
    async with provider_at("http://127.0.0.1:9/gateway.do") as provider:
        instruction = instruction_of(Trade("x", "pay-1", 100), 1)
        for result in (await provider.send(instruction), await provider.look_up(instruction)):
            assert result == RefundResult(UNKNOWN, "connection broken: URLError", trouble=CallTrouble.UNREACHABLE)


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.DRIP])
async def test_calls_that_hang_hold_up_no_call_longer_than_its_own_time_out(server: AlipayServer, fault: Fault) -> None:
    """Two threads hang and five calls wait behind them; afterwards the threads are free again."""
    server.faults["refund"] = [fault] * 2
    trade = server.capture("pay-1")
    async with provider_at(server.url, timeout_seconds=0.3, threads=2) as provider:
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*(provider.send(instruction_of(trade, 1)) for _ in range(7)))
            assert answers == [RefundResult(UNKNOWN, "no answer in time", trouble=CallTrouble.TIMED_OUT)] * 7
            instruction = instruction_of(trade, 2)
            while (await provider.look_up(instruction)).kind is not ABSENT:
                pass
            assert (await provider.send(instruction)).kind is SUCCEEDED


async def test_t28_the_same_number_with_another_amount_is_doubt_not_a_refund(
    server: AlipayServer, provider: AlipayProvider
) -> None:
    """Something was paid under this number, so it is neither refused nor done: a person must look."""
    trade = server.capture("pay-1")
    instruction = instruction_of(trade, 100)
    await provider.send(instruction)
    other = replace(instruction, amount_minor=101)
    assert await provider.send(other) == RefundResult(UNKNOWN, "ACQ.DISCORDANT_REPEAT_REQUEST")
    found = await provider.look_up(other)
    assert (found.kind, found.reason) == (UNKNOWN, "the answer's amount is 1.00, asked was 1.01")
    assert found.amount_minor == 100, "it goes on to be held against the refund"
    assert trade.refunded == 100


# Every documented error ----------------------------------------------------------------------------------------

FOR_GOOD = [  # written down apart from the adapter's own lists, so that each holds the other
    "ALLOC_AMOUNT_VALIDATE_ERROR",
    "BUYER_ENABLE_STATUS_FORBID",
    "BUYER_ERROR",
    "BUYER_NOT_EXIST",
    "CURRENCY_NOT_SUPPORT",
    "CUSTOMER_VALIDATE_ERROR",
    "ENTERPRISE_PAY_BIZ_ERROR",
    "INVALID_PARAMETER",
    "NOT_ALLOW_PARTIAL_REFUND",
    "ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND",
    "OVERDRAFT_AGREEMENT_NOT_MATCH",
    "OVERDRAFT_ASSIGN_ACCOUNT_INVALID",
    "REASON_TRADE_BEEN_FREEZEN",
    "REASON_TRADE_REFUND_FEE_ERR",
    "REASON_TRADE_STATUS_INVALID",
    "REFUNDALLOC_UNAUTH_LIMIT",
    "REFUND_ACCOUNT_NOT_EXIST",
    "REFUND_AMT_NOT_EQUAL_TOTAL",
    "REFUND_FEE_ERROR",
    "REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST",
    "TRADE_HAS_CLOSE",
    "TRADE_HAS_FINISHED",
    "TRADE_NOT_ALLOW_REFUND",
    "TRADE_NOT_EXIST",
    "TRADE_SETTLE_ERROR",
    "TRADE_STATUS_ERROR",
    "USER_NOT_MATCH_ERR",
]
MAY_BE_DONE = [
    "REASON_TRADE_REFUND_FEE_ERR",
    "REASON_TRADE_STATUS_INVALID",
    "REFUND_AMT_NOT_EQUAL_TOTAL",
    "REFUND_FEE_ERROR",
    "TRADE_HAS_CLOSE",
    "TRADE_HAS_FINISHED",
    "TRADE_NOT_ALLOW_REFUND",
    "TRADE_STATUS_ERROR",
]
IN_DOUBT = ["DISCORDANT_REPEAT_REQUEST", "REFUND_CHARGE_ERROR", "SYSTEM_ERROR", "OF_TOMORROW"]
AT_THE_DOOR = [
    ("20001", "aop.invalid-auth-token"),
    ("20001", "aop.auth-token-time-out"),
    ("20001", "aop.invalid-app-auth-token"),
    ("20001", "aop.invalid-app-auth-token-no-api"),
    ("20001", "aop.app-auth-token-time-out"),
    ("20001", "aop.no-product-reg-by-partner"),
    ("40001", "isv.missing-method"),
    ("40001", "isv.missing-signature"),
    ("40001", "isv.missing-signature-type"),
    ("40001", "isv.missing-signature-key"),
    ("40001", "isv.missing-app-id"),
    ("40001", "isv.missing-timestamp"),
    ("40001", "isv.missing-version"),
    ("40001", "isv.decryption-error-missing-encrypt-type"),
    ("40002", "isv.invalid-parameter"),
    ("40002", "isv.invalid-method"),
    ("40002", "isv.invalid-format"),
    ("40002", "isv.invalid-signature-type"),
    ("40002", "isv.invalid-signature"),
    ("40002", "isv.invalid-app-id"),
    ("40002", "isv.invalid-timestamp"),
    ("40002", "isv.invalid-charset"),
    ("40002", "isv.illegal-json"),
    ("40002", "isv.suspected-attack"),
    ("40002", "isv.forbidden-api"),
    ("40002", "app-cert-expired"),
    ("40002", "not-online-app"),
    ("40003", "invalid-auth-relations"),
    ("40003", "isv.missing-signature-config"),
    ("40005", "isv.app-call-limited"),
    ("40005", "isv.method-call-limited"),
    ("40006", "isv.insufficient-isv-permissions"),
    ("40006", "isv.insufficient-user-permissions"),
    ("40006", "isv.self-invoke-forbidden"),
]
UNAVAILABLE = [
    ("20000", "isp.unknow-error"),
    ("20000", "aop.unknow-error"),
    ("20000", "aop.ACQ.SYSTEM_ERROR"),
    ("40004", "AQC.SYSTEM_ERROR"),
    ("10003", ""),
    ("99999", ""),
]


async def refused(server: AlipayServer, provider: AlipayProvider, node: dict[str, Any]) -> RefundResult:
    """What a first call gets when the gateway says this."""
    server.says["refund"] = [node]
    server.faults["refund"] = [Fault.UNSIGNED] if node["code"] == "unsigned" else []
    return await provider.send(instruction_of(server.capture(f"pay-{uuid4()}"), 100))


async def test_refusals_for_good_are_final(server: AlipayServer, provider: AlipayProvider) -> None:
    for code in FOR_GOOD:
        server.says["refund"] = [business_error(f"ACQ.{code}")]
        instruction = replace(instruction_of(server.capture("pay-1"), 100), payment_id="not-refunded")
        assert await provider.send(instruction) == RefundResult(DECLINED, f"ACQ.{code}"), code


async def test_a_refusal_that_this_refund_itself_may_have_caused_is_looked_up_first(
    server: AlipayServer, provider: AlipayProvider
) -> None:
    """Closed, or nothing left: because somebody else was refunded, or because this attempt was."""
    for code in MAY_BE_DONE:
        trade = server.capture(f"pay-{code}")
        instruction = instruction_of(trade, 100)
        await provider.send(instruction)
        server.says["refund"] = [business_error(f"ACQ.{code}")]
        assert (await provider.send(instruction)).kind is SUCCEEDED, code
        server.says["refund"] = [business_error(f"ACQ.{code}")]
        server.faults["fastpay.refund.query"] = [Fault.DROPPED_BEFORE]
        assert (await provider.send(instruction)).kind is UNKNOWN, code


async def test_errors_that_leave_doubt_are_unknown(server: AlipayServer, provider: AlipayProvider) -> None:
    for node in (
        *(business_error(f"ACQ.{code}") for code in IN_DOUBT),
        *({"code": code, "msg": "m", "sub_code": sub_code} for code, sub_code in UNAVAILABLE),
    ):
        result = await refused(server, provider, node)
        failing = "SYSTEM_ERROR" in node["sub_code"] or "unknow-error" in node["sub_code"]
        trouble = CallTrouble.FAILING if failing else None
        assert result == RefundResult(UNKNOWN, node["sub_code"] or f"{node['code']} m", trouble=trouble), node


async def test_a_balance_that_is_too_short_is_tried_again_with_the_same_number(
    server: AlipayServer, provider: AlipayProvider
) -> None:
    trade = server.capture("pay-1")
    instruction = instruction_of(trade, 100)
    server.says["refund"] = [business_error("ACQ.SELLER_BALANCE_NOT_ENOUGH")]
    short = await provider.send(instruction)
    assert (short.kind, short.final, short.retry_after_seconds) == (DECLINED, False, 600.0)


async def test_refusals_at_the_gateways_door_are_not_final_and_need_no_signature(
    server: AlipayServer, provider: AlipayProvider
) -> None:
    for code, sub_code in AT_THE_DOOR:
        result = await refused(server, provider, {"code": code, "msg": "m", "sub_code": sub_code})
        trouble = None if code == "40005" else CallTrouble.UNAUTHORISED  # asked too often is nobody's trouble
        assert result == RefundResult(DECLINED, sub_code, final=False, trouble=trouble), sub_code


async def test_a_refusal_for_good_without_a_signature_is_only_a_rumour(
    server: AlipayServer, provider: AlipayProvider
) -> None:
    for fault in (Fault.UNSIGNED, Fault.FORGED):
        server.says["refund"], server.faults["refund"] = [business_error("ACQ.BUYER_ERROR")], [fault]
        assert (await provider.send(instruction_of(server.capture("pay-1"), 100))).kind is UNKNOWN


async def test_errors_of_the_look_up_are_unknown(server: AlipayServer, provider: AlipayProvider) -> None:
    instruction = instruction_of(server.capture("pay-1"), 100)
    for node in (
        business_error("ACQ.SYSTEM_ERROR"),
        business_error("ACQ.INVALID_PARAMETER"),
        business_error("ACQ.TRADE_STATUS_ERROR"),
        *({"code": code, "msg": "m", "sub_code": sub_code} for code, sub_code in (*AT_THE_DOOR, *UNAVAILABLE)),
    ):
        server.says["fastpay.refund.query"] = [node]
        assert (await provider.look_up(instruction)).kind is UNKNOWN, node


@pytest.mark.parametrize("code", ["ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST"])
async def test_without_the_trade_there_is_no_refund(server: AlipayServer, provider: AlipayProvider, code: str) -> None:
    server.says["fastpay.refund.query"] = [business_error(code)]
    assert await provider.look_up(instruction_of(server.capture("pay-1"), 100)) == RefundResult(ABSENT, code)


@pytest.mark.parametrize(
    "wrong",
    [
        {"refund_status": ""},
        {"refund_status": "REFUND_PROCESSING"},
        {"refund_amount": ""},
        {"refund_amount": "1.001"},
        {"refund_amount": "-1.00"},
        {"refund_amount": "\uff11.00"},
        {"refund_amount": "0.99"},
        {"refund_amount": 1.0},
        {"out_request_no": "another"},
        {"out_trade_no": "another"},
        {"out_trade_no": ""},
    ],
)
async def test_a_look_up_that_speaks_of_something_else_is_unknown(
    server: AlipayServer, provider: AlipayProvider, wrong: dict[str, Any]
) -> None:
    instruction = instruction_of(server.capture("pay-1"), 100)
    await provider.send(instruction)
    server.says["fastpay.refund.query"] = [lambda node: {**node, **wrong}]
    assert (await provider.look_up(instruction)).kind is UNKNOWN


@pytest.mark.parametrize("wrong", [{"out_trade_no": "another"}, {"refund_fee": "0.99"}, {"refund_fee": ""}])
async def test_a_success_that_speaks_of_something_else_is_unknown(
    server: AlipayServer, provider: AlipayProvider, wrong: dict[str, str]
) -> None:
    server.says["refund"] = [lambda node: {**node, **wrong}]
    assert (await provider.send(instruction_of(server.capture("pay-1"), 100))).kind is UNKNOWN


# Keys and amounts ----------------------------------------------------------------------------------------------


async def test_keys_are_read_as_pem_and_as_the_key_tool_writes_them(server: AlipayServer) -> None:
    trade = server.capture("pay-1")
    for private in (private_pem("app"), private_bare("app")):
        for public in (public_pem("platform"), public_bare("platform")):
            async with provider_at(server.url, private_key=private, public_key=public) as provider:
                assert (await provider.send(instruction_of(trade, 1))).kind is SUCCEEDED


async def test_another_apps_key_or_number_is_refused_at_the_door(server: AlipayServer) -> None:
    trade = server.capture("pay-1")
    wrongs: list[dict[str, Any]] = [{"private_key": private_pem("stranger")}, {"app_id": "2021"}]
    for wrong in wrongs:
        async with provider_at(server.url, **wrong) as provider:
            result = await provider.send(instruction_of(trade, 1))
        assert (result.kind, result.final, result.reason[:12]) == (DECLINED, False, "isv.invalid-")
    assert trade.refunds == {}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"private_key": "no key"}, "the app's private key cannot be read"),
        ({"public_key": "AAAA"}, "Alipay's public key cannot be read"),
        ({"private_key": public_pem("app")}, "the app's private key is a public one"),
        ({"public_key": public_pem("app")}, "the public key is the app's own"),
        ({"public_key": private_pem("platform")}, "the public key is the app's own"),
    ],
)
def test_keys_that_cannot_work_are_refused_at_once(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(NotConfigured, match=says):
        provider_at("http://127.0.0.1:9", **changed)


@given(st.integers(1, 10**14))
def test_an_amount_is_the_same_after_its_way_through_yuan(amount_minor: int) -> None:
    assert minor_of(to_decimal_text(amount_minor, "CNY")) == amount_minor


@pytest.mark.parametrize(("text", "amount_minor"), [("1", 100), ("1.5", 150), ("0.07", 7), ("88.88", 8888)])
def test_yuan_with_fewer_digits_are_read_exactly(text: str, amount_minor: int) -> None:
    assert minor_of(text) == amount_minor


# Notifications -------------------------------------------------------------------------------------------------

TRADE = Trade("2026112322001400000000000001", "pay-1", 10_000, {"an-earlier-one": 100})
ATTEMPT = uuid4()
NEWS = {**AlipayServer().notification(TRADE, ATTEMPT.hex)}
READER = provider_at("http://127.0.0.1:9")


def read(told: dict[str, str], **signing: str) -> Notification | NotificationIgnored | NotificationRefused:
    return READER.read_notification({}, signed_form(told, **signing), datetime.now(UTC))


@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_CLOSED", "TRADE_FINISHED"])
@pytest.mark.parametrize("charset", ["utf-8", "GBK"])
def test_a_signed_notification_says_that_the_attempt_was_refunded_and_not_how_much(status: str, charset: str) -> None:
    told = {**NEWS, "trade_status": status, "charset": charset, "empty": ""}
    news = read(told, encoding=charset)  # the signature is over the bytes of the notification's own charset
    assert isinstance(news, Notification)
    assert (news.attempt_id, news.event_id, news.acknowledgement) == (ATTEMPT, NEWS["notify_id"], "success")
    assert (news.result.kind, news.result.amount_minor) == (SUCCEEDED, None)
    assert (news.result.payment_ids, news.result.currency) == ((TRADE.trade_no, "pay-1"), "CNY")
    assert news.result.refunds_in_all_minor == 100
    assert news.result.occurred_at is not None
    assert f"{news.result.occurred_at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}" == NEWS["gmt_refund"].partition(".")[0]


@pytest.mark.parametrize(("age", "good"), [(-6, False), (-4, True), (0, True), (25 * 60, True), (26 * 60 + 1, False)])
def test_a_notification_is_believed_as_long_as_alipay_repeats_it(age: int, good: bool) -> None:
    sent_at = datetime.now(BEIJING) - timedelta(minutes=age)
    news = read({**NEWS, "notify_time": sent_at.strftime("%Y-%m-%d %H:%M:%S")})
    assert isinstance(news, Notification) is good


def test_forged_or_changed_notifications_are_refused() -> None:
    good = signed_form(NEWS)
    for body in (
        signed_form(NEWS, whose="stranger"),
        signed_form(NEWS, whose="app"),
        good.replace(b"refund_fee=1.00", b"refund_fee=9.00"),
        good.replace(b"sign_type=RSA2", b"sign_type=RSA"),
        good + b"&refund_fee=9.00",
        good + b"&more=1",
        good.partition(b"&sign=")[0],
        good.partition(b"&sign=")[0] + b"&sign=%21%21&sign_type=RSA2",
        signed_form({**NEWS, "charset": "klingon"}),
        signed_form({**NEWS, "notify_time": "soon"}),
        b"",
        b"\xff",
        b"{}",
    ):
        news = READER.read_notification({}, body, datetime.now(UTC))
        assert isinstance(news, NotificationRefused) and not news.signed, body


def test_t13_signed_news_of_a_payment_or_of_anothers_refund_is_taken_and_ignored() -> None:
    payment = {name: value for name, value in NEWS.items() if name not in ("gmt_refund", "refund_fee", "out_biz_no")}
    others = ({"out_biz_no": "HZ01RF001"}, {"out_biz_no": TRADE.trade_no}, {"app_id": "2021"})
    for told in (payment, *({**NEWS, **other} for other in others)):
        news = read(told)
        assert isinstance(news, NotificationIgnored)
        assert news.reason and news.acknowledgement == "success"


@pytest.mark.parametrize(
    "wrong",
    [{"trade_status": "WAIT_BUYER_PAY"}, {"refund_fee": "0.00"}, {"refund_fee": "many"}, {"gmt_refund": "x"}],
)
def test_signed_news_that_makes_no_sense_is_refused_and_sent_again(wrong: dict[str, str]) -> None:
    news = read({**NEWS, **wrong})
    assert isinstance(news, NotificationRefused) and news.signed
