"""A number that is written twice gets advice with its place, and one that is equal by chance gets none."""

from __future__ import annotations

from pathlib import Path

import pytest

from jitui.policy import Policy
from tests.policy.policy_samples import ROOT
from tests.policy.test_json_schema import POLICY_FILES

TEXT = """\
policy: small
version: "1"
effective_from: 2025-01-26T00:00:00+08:00
currency: CNY
parameters: {named_minor: 77700, named_days: 12}
title: {zh: 题, en: Title}
attributes: {buyer.level: int, buyer.score: int}
features: {buyer.orders_90d: {count: order_paid, over: 90d}, buyer.paid_minor_90d: {sum: order_paid, over: 90d}}
definitions:
  good: 1 < 2
  named: order.paid_minor < named_minor && order.age_seconds < named_days * 86400
conditions:
  - id: a
    when: A
    public: true
    text: {zh: "ZH", en: "EN"}
  - id: b
    when: "1 < 2"
    public: true
    text: {zh: 乙, en: B}
selection: {hold_out_percent: 25}
caps: {per_buyer: {count: 15, amount_minor: 60000, over: 30d}}
restrictions:
  - {id: r, when: "buyer.account_age_days < 0", withdraw: instant_refund, for: 90d}
review: {deadline: 48h, on_timeout: approve}
notice: {zh: 知, en: N}
"""


def advised(text: str) -> list[tuple[int, int, str]]:
    """The advice about numbers."""
    found = Policy.from_text(text).advice
    return [
        (one.line, one.column, one.message) for one in found if "twice" in one.message or "is the par" in one.message
    ]


def about(when: str, zh: str = "甲", en: str = "A") -> list[tuple[int, int, str]]:
    return advised(TEXT.replace("when: A", f'when: "{when}"').replace("ZH", zh).replace('"EN"', f'"{en}"'))


@pytest.mark.parametrize(
    ("when", "en"),
    [
        ("order.paid_minor < 30000", "under 300 yuan"),
        ("order.paid_minor < 30000", "under 300.00 CNY"),
        ("order.paid_minor < 30000", "under ¥300.00."),
        ("order.paid_minor < 123456700", "under 1,234,567.00, freight included"),
        ("order.paid_minor < 30050", "under 300.5"),
        ("order.lines.all(l, l.paid_minor < 30000)", "each line (300)"),
        ("order.paid_age_seconds <= 604800", "within 7 days of payment"),
        ("order.paid_age_seconds <= 604800", "within 1 week"),
        ("order.paid_age_seconds <= 7200", "within 2 hours"),
        ("order.paid_age_seconds <= 180", "within 3 minutes"),
        ("buyer.account_age_days >= 90", "an account of 90 days"),
        ("buyer.account_age_days >= 90", "a 90-day account"),
        ("buyer.orders_90d >= 3", "at least 3 orders"),
        ("buyer.orders_90d in [2, 4]", "2 orders"),
        ("buyer.level > 5", "level 5"),
        ("buyer.level > 5", "for 5 days"),
        ("size(order.lines) <= 20", "at most 20 lines"),
        ("caps.buyer_ok", "at most 15 in a month"),
        ("caps.buyer_ok", "at most 600.00"),
        ("buyer.selected", "25 % are left out"),
        ("buyer.selected", "25 percent are left out"),
        ("named && order.freight_minor < 500", "for 777.00"),
        ("named && order.freight_minor < 500", "within 12 days"),
    ],
)
def test_a_number_in_an_expression_and_in_its_sentence_is_advised(when: str, en: str) -> None:
    ((line, column, message),) = about(when, en=en)
    first = next(at for at, char in enumerate(en) if char.isdigit())
    assert (line, column) == (16, len('    text: {zh: "甲", en: "') + first + 1)
    assert "twice" in message or "is the parameter" in message


@pytest.mark.parametrize(
    ("when", "zh"),
    [
        ("order.paid_minor < 30000", "低于300元"),
        ("order.paid_minor < 3000000", "低于 3 万元"),
        ("order.paid_age_seconds <= 604800", "付款后7天内"),
        ("buyer.orders_90d >= 3", "至少3单"),
        ("buyer.selected", "25％的买家"),
    ],
)
def test_so_it_is_in_chinese(when: str, zh: str) -> None:
    assert [(line, len(zh) > column - 17 >= 0) for line, column, _ in about(when, zh=zh)] == [(16, True)]


@pytest.mark.parametrize(
    ("when", "en"),
    [
        ("order.paid_minor < 30000", "in the last 300 days"),
        ("order.paid_minor < 30000", "see rule 300.1"),
        ("order.paid_minor < 30000", "see https://example.com/300?n=300 or https://example.com/a;300"),
        ("order.paid_minor < 30000", "by R300, 300d, v300, 2025-300 and 300-x"),
        ("order.paid_minor < 30000", "3000 and 30 and 1300 and 300.01 and 0.300"),
        ("order.paid_minor < 30000", "300 % of it"),
        ("order.paid_minor < 30000 || order.paid_minor > 100", "at least 1"),
        ("buyer.orders_90d * 5 <= buyer.level", "one in 5"),
        ("buyer.orders_90d / 4 == buyer.level % 3", "4 and 3"),
        ("buyer.orders_90d >= 1 && buyer.level > 0", "1 order, level 0"),
        ("buyer.orders_90d >= 6", "6 days"),
        ("buyer.orders_90d >= 6", "6 % of them"),
        ("buyer.orders_90d >= 6", "in the last 90 days"),
        ("buyer.account_age_days >= 90", "at most 90.00 CNY"),
        ("order.paid_age_seconds <= 604800", "7 orders"),
        ("order.paid_age_seconds <= 604800", "7 months"),
        ("buyer.selected", "for 25 days"),
        ("shop.covered", "15 and 600.00 and 25 %"),
        ("order.currency == '300'", "300"),
        ("good", "1 and 0"),
    ],
)
def test_what_is_equal_by_chance_is_not(when: str, en: str) -> None:
    assert about(when, en=en) == []


def test_the_title_and_the_notice_speak_of_the_whole_policy() -> None:
    text = TEXT.replace("when: A", "when: order.paid_minor < 30000 && buyer.orders_90d > 4")
    assert [one[:2] for one in advised(text.replace("en: Title", "en: Up to 300.00"))] == [(6, 26)]
    assert [one[:2] for one in advised(text.replace("en: N}", "en: At most 600}"))] == [(26, 29)]
    assert advised(text.replace("en: Title", "en: Up to 4 orders and 90 days")) == []


def test_what_the_advice_says() -> None:
    assert about("order.paid_minor < 30000", en="under 300.00") == [
        (
            16,
            32,
            "300.00 is written twice, here and for conditions.a in line 14 (30000): "
            "a parameter keeps both the same, and a sentence shows it as {name|money}",
        )
    ]
    assert about("order.age_seconds < 604800", en="7 days")[0][2].endswith(
        "(604800): a parameter, as in name * 86400, keeps both the same, and a sentence shows it as {name}"
    )
    assert about("named", en="under 777")[0][2] == (
        "777 is the parameter named_minor: {named_minor|money} changes with it"
    )
    assert about("order.paid_minor < 77700") == [(14, 31, "77700 is the parameter named_minor: write its name here")]


@pytest.mark.parametrize(
    ("one", "other", "twice"),
    [
        ("order.paid_minor < 30000", "request.amount_minor < 30000", True),
        ("order.age_seconds < 3600", "order.paid_age_seconds < 3600", True),
        ("buyer.orders_90d < 20", "buyer.orders_90d >= 20", True),
        ("buyer.level < 20", "20 > buyer.level", True),
        ("buyer.orders_90d < 20", "buyer.account_age_days < 20", False),
        ("buyer.level < 20", "buyer.score < 20", False),
        ("order.paid_minor < 30000", "buyer.orders_90d < 30000", False),
        ("buyer.orders_90d < 9", "buyer.orders_90d > 9", False),
        ("buyer.orders_90d < 10", "buyer.orders_90d > 10", True),
        ("buyer.orders_90d * 50 < buyer.score", "buyer.orders_90d * 50 < buyer.level", False),
        ("order.paid_minor < 60000", "1 < 2", True),
        ("caps.buyer_used_count < 15", "1 < 2", True),
        ("buyer.orders_90d < 15", "1 < 2", False),
        ("buyer.level < 25", "1 < 2", False),
    ],
)
def test_a_number_in_two_expressions_or_a_cap(one: str, other: str, twice: bool) -> None:
    text = TEXT.replace("when: A", f'when: "{one}"').replace('when: "1 < 2"', f'when: "{other}"')
    found = advised(text)
    assert bool(found) == twice
    if twice and other != "1 < 2":
        number = next(word for word in other.split() if word.isdigit())
        assert [(line, column) for line, column, _ in found] == [(18, 12 + other.index(number))]
        assert "here and for conditions.a in line 14" in found[0][2]


def test_a_number_before_the_parameter_that_has_it_is_advised_too() -> None:
    text = TEXT.replace("when: A", "when: order.paid_minor < 500").replace('1 < 2"', 'order.paid_minor < low"')
    found = advised(text.replace("named_days: 12}", "named_days: 12, low: 500}"))
    assert found == [(14, 30, "500 is the parameter low: write its name here")]


def test_a_number_twice_in_one_expression_and_equal_caps_are_left_alone() -> None:
    assert about("buyer.level > 20 && buyer.level < 20") == []
    caps = "caps: {per_buyer: {amount_minor: 60000, over: 30d}, per_shop: {amount_minor: 60000, over: 30d}}"
    text = TEXT.replace("caps: {per_buyer: {count: 15, amount_minor: 60000, over: 30d}}", caps)
    assert advised(text.replace("when: A", "when: good")) == []


def test_a_number_that_comes_through_a_definition_is_its_condition_s_too() -> None:
    text = TEXT.replace("good: 1 < 2", "good: better\n  better: order.paid_minor < 30000").replace(
        "when: A", "when: good"
    )
    ((line, _, message),) = advised(text.replace('"EN"', "under 300.00"))
    assert (line, "definitions.better in line 11" in message) == (17, True)
    assert advised(text.replace("en: B}", "en: under 300.00}")) == []


@pytest.mark.parametrize("path", POLICY_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_policy_of_the_tree_has_advice(path: object) -> None:
    """The statute's text reads no switch of the platform's: pauses and coverage are no ground against a right."""
    found = [one for one in Policy.from_file(str(path)).advice if Path(str(path)).name != "statutory-withdrawal.yaml"]
    assert found == []


def test_a_sum_over_lines_is_money_and_a_number_of_lines_is_not() -> None:
    (advice,) = about("order.lines.map(l, l.paid_minor).sum() < 30000", en="under 300.00 CNY")
    assert "300.00 is written twice, here and for conditions.a" in advice[2]
    counted = "order.lines.filter(l, l.paid_minor > 20000).size() <= 300"
    assert about(counted, en="under 300.00 CNY") == []
    assert "300 is written twice" in about(counted, en="at most 300 lines")[0][2]
