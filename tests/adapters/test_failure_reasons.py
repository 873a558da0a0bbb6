"""Every code by which a provider refuses has words of ours; the raw text is only the detail beside them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import pytest

from jitui.adapters.payments import simulator, wechat_pay
from jitui.adapters.payments.alipay import answers as alipay
from jitui.adapters.payments.calls import no_answer, unreadable
from jitui.adapters.payments.reasons import REASONS
from jitui.adapters.platforms.reasons import REASONS as OF_PLATFORMS
from jitui.aftersales.model.failure_reason import FailureReason, find_reason
from jitui.aftersales.operations.failure_reasons import reason_of
from jitui.aftersales.operations.platform_refunds import ASKED_BEFORE, MADE_UNSEEN, SHIPPED
from jitui.bootstrap_providers import statement_formats
from jitui.provider_simulator.app import _REFUSALS
from jitui.provider_simulator.entries import BookRefusal

CODES: dict[str, Iterable[str]] = {
    "simulator": [*_REFUSALS, *simulator._REFUSED_FOR_GOOD, "payment_method_closed", "rate_limited", "unauthorised"],
    "alipay": [*alipay._FINAL, *alipay.FINAL_UNLESS_DONE, alipay._BALANCE, *alipay._NO_TRADE],
    "wechat_pay": [code for _, code in chain(wechat_pay._REFUSED_FOR_GOOD, wechat_pay._REFUSED_FOR_NOW)]
    + list(wechat_pay._REASONS.values()),
}


@pytest.mark.parametrize(
    ("provider", "code"), [(name, code) for name, codes in CODES.items() for code in sorted(set(codes))]
)
def test_every_code_of_an_adapter_has_a_reason(provider: str, code: str) -> None:
    known = reason_of(code, REASONS[provider])
    assert known is not None
    assert reason_of(f"{code}: said at length", REASONS[provider]) is known


def test_the_books_of_the_simulator_refuse_with_no_other_code() -> None:
    assert set(_REFUSALS) == set(BookRefusal)


@pytest.mark.parametrize(
    ("provider", "text", "expected"),
    [
        ("wechat_pay", "NOT_ENOUGH: 基本账户余额不足", FailureReason.BALANCE_SHORT),
        ("wechat_pay", "NOT_ENOUGH_AT_ALL", None),
        ("stripe", "look-up: rate_limit", FailureReason.RATE_LIMITED),
        ("stripe", "charge_disputed: This charge was disputed.", FailureReason.DISPUTED),
        ("stripe", "failed", FailureReason.REFUSED),
        ("stripe", "failed_otherwise", None),
        ("stripe", "Stripe answered 503", FailureReason.PROVIDER_FAILING),
        ("alipay", "40006 Insufficient Permissions", FailureReason.UNAUTHORISED),
        ("alipay", "isv.invalid-signature", FailureReason.UNAUTHORISED),
        ("alipay", "the answer's amount is 1, asked was 2", FailureReason.ANSWER_DIFFERS),
        ("alipay", "the answer's signature does not match", FailureReason.UNREADABLE),
        ("stripe", "the provider reports amount 1, the refund has 2", FailureReason.ANSWER_DIFFERS),
        ("stripe", "Ünbekannt", None),
        ("nobody", "payment_method_closed", None),
    ],
)
def test_a_text_is_known_by_its_first_whole_words(provider: str, text: str, expected: FailureReason | None) -> None:
    assert reason_of(text, REASONS.get(provider, {})) is expected


@pytest.mark.parametrize("provider", REASONS)
def test_what_every_call_can_come_to_has_a_reason(provider: str) -> None:
    for result in (no_answer(TimeoutError()), no_answer(OSError()), unreadable("a page")):
        assert find_reason(result.reason, REASONS[provider]) is not None


def test_every_payment_provider_is_there() -> None:
    assert set(REASONS) == set(statement_formats())


@pytest.mark.parametrize("text", [*OF_PLATFORMS, "answered 502", SHIPPED, ASKED_BEFORE, f"{MADE_UNSEEN}: seen"])
def test_texts_of_platforms_have_a_reason(text: str) -> None:
    assert reason_of(text, OF_PLATFORMS) is not None
