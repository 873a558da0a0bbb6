"""Parameters: one number with a name, in expressions, sentences and limits."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitui.backtest.agreement import draw_row
from jitui.money import MAX_AMOUNT_MINOR, currencies, currency_exponent
from jitui.policy import FactValue, Policy, PolicyRefused, Verdict, decide, public_view, restriction_hits
from jitui.policy.difference import differences
from tests.policy.policy_samples import DEFAULT, GOOD_FACTS, SMALL, default_policy

WITH = """\
policy: small
version: "1"
effective_from: 2025-01-26T00:00:00+08:00
currency: CNY
parameters: # shared
  limit_minor: 30000 # 300.00
  orders: 3
  share: 7
title: {zh: 题, en: Title}
features:
  buyer.orders: {count: order_paid, over: 90d}
definitions:
  good: buyer.orders > orders
conditions:
  - id: a
    when: good && order.paid_minor < limit_minor
    public: true
    text:
      zh: 至少 {orders} 单，低于 {limit_minor|money}
      en: "{orders} orders, under {limit_minor|money} ({limit_minor|number} {{minor}})"
selection: {hold_out_percent: share}
caps:
  per_buyer: {count: orders, amount_minor: limit_minor, over: 30d}
restrictions:
  - {id: r, when: "buyer.orders in [orders, 50]", withdraw: instant_refund, for: 90d}
review: {deadline: 48h, on_timeout: approve}
notice: {zh: 知, en: N}
"""


SHOWN_ALONE = 'parameters: {year: 2026}\ntitle: {zh: "{year}", en: Title}'


def refused(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(PolicyRefused) as caught:
        Policy.from_text(text, "p.yaml")
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def verdict(policy: Policy, facts: Mapping[str, FactValue | None]) -> Verdict:
    return decide(policy, facts).conditions[0].verdict


# What a parameter is for ------------------------------------------------------------------------------------------


def test_expressions_and_limits_have_the_value() -> None:
    policy = Policy.from_text(WITH)
    facts: dict[str, FactValue | None] = {"buyer.orders": 4, "order.paid_minor": 29_999}
    assert verdict(policy, facts) is Verdict.TRUE
    assert verdict(policy, facts | {"order.paid_minor": 30_000}) is Verdict.FALSE
    assert verdict(policy, facts | {"buyer.orders": 3}) is Verdict.FALSE
    assert verdict(policy, facts | {"order.paid_minor": None}) is Verdict.UNKNOWN
    assert policy.caps.per_buyer is not None
    assert (policy.caps.per_buyer.count, policy.caps.per_buyer.amount_minor) == (3, 30_000)
    assert policy.selection.hold_out_percent == 7
    assert [bool(restriction_hits(policy, {"buyer.orders": n})) for n in (2, 3, 50)] == [False, True, True]


def test_sentences_are_finished_in_the_reader_s_language() -> None:
    policy = Policy.from_text(WITH)
    text = {"zh": "至少 3 单，低于 ¥300.00", "en": "3 orders, under CN¥300.00 (30,000 {minor})"}
    assert dict(policy.conditions[0].text) == text
    assert dict(decide(policy, {}).conditions[0].text) == text
    assert dict(public_view(policy).conditions[0].text) == text
    assert policy.advice[-1].message.startswith("no condition reads caps.buyer_ok")


def test_the_title_and_the_notice_are_sentences_too_and_the_legal_basis_is_a_quotation() -> None:
    text = WITH.replace("title: {zh: 题, en: Title}", 'title: {zh: "{orders} 题", en: "Up to {limit_minor|money}"}')
    text = text.replace("notice: {zh: 知, en: N}", 'notice: {zh: "{{知}}", en: "{share} %"}\nlegal_basis: {zh: "{x}"}')
    policy = Policy.from_text(text)
    assert (policy.title, policy.notice) == (
        {"zh": "3 题", "en": "Up to CN¥300.00"},
        {"zh": "{知}", "en": "7 %"},
    )
    assert policy.legal_basis == {"zh": "{x}"}


def test_the_facts_of_a_decision_are_those_of_the_request_alone() -> None:
    facts = decide(Policy.from_text(WITH), {"buyer.orders": 4, "order.paid_minor": 1}).conditions[0].facts
    assert dict(facts) == {"buyer.orders": 4, "order.paid_minor": 1}


def test_where_a_parameter_is_used_is_known() -> None:
    limit, orders, share = Policy.from_text(WITH).parameters
    assert (limit.name, limit.value) == ("limit_minor", 30_000)
    assert limit.shown_in == ("conditions.a.text.zh", "conditions.a.text.en")
    assert limit.limits == ("caps.per_buyer.amount_minor",)
    assert orders.limits == ("caps.per_buyer.count",)
    assert (share.shown_in, share.limits) == ((), ("selection.hold_out_percent",))


def test_a_policy_without_parameters_shows_its_braces_and_is_advised() -> None:
    text = SMALL.replace("title: {zh: 题, en: Title}", 'title: {zh: "题 {{", en: "{limit|money} {a b}"}')
    policy = Policy.from_text(text)
    assert policy.title == {"zh": "题 {{", "en": "{limit|money} {a b}"}
    assert [(p.line, p.column) for p in policy.advice if "shown as it stands" in p.message] == [(5, 26)]
    assert Policy.from_text(text.replace('"{limit|money} {a b}"', "N").replace("{{", "{{}}")).title["zh"] == "题 {{}}"


def test_a_section_without_parameters_gives_braces_their_meaning() -> None:
    text = SMALL.replace("title: {zh: 题, en: Title}", 'parameters: {}\ntitle: {zh: "{{题}}", en: Title}')
    assert Policy.from_text(text).title["zh"] == "{题}"


# What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "says"),
    [
        ("orders: 3\n", "orders: 3.5\n", 7, 11, "the parameter orders is a whole number from"),
        ("orders: 3\n", 'orders: "3"\n', 7, 11, "the parameter orders is a whole number from"),
        ("orders: 3\n", f"orders: {MAX_AMOUNT_MINOR + 1}\n", 7, 11, "the parameter orders is a whole number from"),
        ("orders: 3\n", "orders: [3]\n", 7, 11, "the parameter orders is a whole number from"),
        ("  share: 7\n", "  share: 7\n  Big: 1\n", 9, 3, "a parameter is a name of small letters"),
        ("  share: 7\n", "  share: 7\n  buyer.x: 1\n", 9, 3, "a parameter is a name of small letters"),
        ("  share: 7\n", "  share: 7\n  order: 1\n", 9, 3, "order already has a meaning in conditions"),
        ("  share: 7\n", "  share: 7\n  size: 1\n", 9, 3, "size already has a meaning in conditions"),
        ("  share: 7\n", "  share: 7\n  share: 8\n", 9, 3, "share is already given in line 8"),
        ("  good: ", "  share: 1 < 2\n  good: ", 13, 3, "share is already the parameter of line 8"),
        ("< limit_minor", "< limit_mino", 16, 38, "there is no fact limit_mino; did you mean limit_minor?"),
        ("< limit_minor", "== limit_minor + 'a'", 16, 51, "+ does not fit a whole number and text"),
        ("good && order", "limit_minor && order", 16, 23, "&& does not fit a whole number and true or false"),
        ("good && order", "order.currency == limit_minor && order", 16, 26, "== does not fit text and a whole number"),
        ("&& order.paid_minor < limit_minor", "&& order.lines.all(share, share.virtual)", 16, 34,
         "share is the name of a fact, a definition"),
        ("percent: share", "percent: shar", 21, 31, "there is no parameter shar; did you mean share?"),
        ("percent: share", "percent: limit_minor", 21, 31,
         "hold_out_percent is a whole number from 0 to 100, and the parameter limit_minor is 30000"),
        ("share: 7", "share: -7", 21, 31, "and the parameter share is -7"),
        ("count: orders", "count: 'three'", 23, 22, "or a parameter: there is no parameter three"),
        ("count: orders", "count: Three", 23, 22, "count is a whole number from 0 to 1000000000"),
        ("over: 30d", "over: orders", 23, 63, "over is a number of hours"),
    ],
)  # fmt: skip
def test_a_fault_has_its_line_and_column(old: str, new: str, line: int, column: int, says: str) -> None:
    assert WITH.count(old) == 1
    problems = refused(WITH.replace(old, new))
    assert (line, column) in [(at, place) for at, place, _ in problems], problems
    assert any((at, place) == (line, column) and says in message for at, place, message in problems), problems


@pytest.mark.parametrize(
    ("sentence", "column", "says"),
    [
        ("{order} 单", 12, "there is no parameter order; did you mean orders?"),
        ("低于 {limit_minor|mony}", 15, "there is no format mony; did you mean money?"),
        ("低于 {limit_minor|}", 15, "there is no format without a name"),
        ("低于 {limit_minor|money|number}", 15, "there is no format money|number"),
        ("低于 {}", 15, "there is no parameter without a name"),
        ("低于 {orders", 15, "this { stands alone"),
        ("低于 orders}", 21, "this } stands alone"),
        ("{{{orders}", 12, None),
        ("{{orders}", 20, "this } stands alone"),
        ("{a{orders}", 12, "this { stands alone"),
        ("{orders + 1}", 12, "there is no parameter orders + 1"),
    ],
)
def test_a_fault_in_a_sentence_has_its_line_and_column(sentence: str, column: int, says: str | None) -> None:
    text = WITH.replace("zh: 至少 {orders} 单，低于 {limit_minor|money}", f'zh: "{sentence}"')
    if says is None:
        assert Policy.from_text(text).conditions[0].text["zh"] == "{3"
        return
    ((line, at, message),) = refused(text)
    assert (line, at) == (19, column)
    assert message.startswith(says)


def test_a_sentence_that_is_folded_names_the_line_of_the_fault() -> None:
    text = WITH.replace(
        "zh: 至少 {orders} 单，低于 {limit_minor|money}", "zh: >\n        至少 {orders}\n        单 {oops}"
    )
    assert refused(text) == [(21, 11, "there is no parameter oops; {{ and }} show braces")]


def test_a_parameter_that_nothing_uses_is_advised_and_loads() -> None:
    policy = Policy.from_text(WITH.replace("  share: 7\n", "  share: 7\n  idle: 12\n"))
    assert [(p.line, p.column, p.message) for p in policy.advice if "idle" in p.message] == [
        (9, 3, "nothing uses the parameter idle: leave it out")
    ]
    assert not [p for p in Policy.from_text(WITH).advice if "nothing uses" in p.message]
    only_shown = Policy.from_text(SMALL.replace("title: {zh: 题, en: Title}", SHOWN_ALONE))
    assert not [p for p in only_shown.advice if "nothing uses" in p.message]


# Rendering, for any value -----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    value=st.integers(-MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR),
    currency=st.sampled_from(currencies()),
    before=st.text("ab低 {}", max_size=6),
    after=st.text("ab低 {}", max_size=6),
)
def test_a_sentence_shows_the_value_and_the_text_around_it(value: int, currency: str, before: str, after: str) -> None:
    plain = [text.replace("{", "{{").replace("}", "}}") for text in (before, after)]
    shown = "|".join(f"{{n{form}}}" for form in ("", "|number", "|money"))
    sentence = f"<{plain[0]}|{shown}|{plain[1]}>"
    text = SMALL.replace("currency: CNY", f"currency: {currency}\nparameters: {{n: {value}}}")
    policy = Policy.from_text(text.replace("en: Title", f'en: "{sentence}"').replace("zh: 题", f'zh: "{sentence}"'))
    for language in ("zh", "en"):
        said = policy.title[language]
        assert said.startswith(f"<{before}|{value}|") and said.endswith(f"|{after}>")
        number, money = said[len(f"<{before}|{value}|") : -len(f"|{after}>")].split("|")
        assert number.replace(",", "") == str(value)
        digits = "".join(re.findall(r"[0-9]", money))
        assert int(digits) == abs(value)
        decimals = money.rpartition(".")[2] if "." in re.sub(r"^\D+", "", money) else ""
        assert len(re.findall(r"[0-9]", decimals)) == currency_exponent(currency)
        assert money.startswith("-") == (value < 0)


# Other values -----------------------------------------------------------------------------------------------------


def test_other_values_are_the_same_text_with_other_numbers() -> None:
    policy = Policy.from_text(WITH, "p.yaml")
    other = policy.with_parameters({"limit_minor": 500, "share": 0})
    assert other.text == WITH.replace("limit_minor: 30000 #", "limit_minor: 500 #").replace("share: 7", "share: 0")
    assert other.sha256 != policy.sha256 and other.sha256 == Policy.from_text(other.text).sha256
    assert (other.id, other.version, other.name) == (policy.id, policy.version, "p.yaml")
    assert other.conditions[0].text["en"] == "3 orders, under CN¥5.00 (500 {minor})"
    assert other.caps.per_buyer is not None and other.caps.per_buyer.amount_minor == 500
    facts: dict[str, FactValue | None] = {"buyer.orders": 4, "order.paid_minor": 500}
    assert (verdict(policy, facts), verdict(other, facts)) == (Verdict.TRUE, Verdict.FALSE)
    assert policy.with_parameters({}).sha256 == policy.sha256
    again = pickle.loads(pickle.dumps(other))
    assert (again.text, again.sha256) == (other.text, other.sha256)


@pytest.mark.parametrize("text", [WITH.replace("\n", "\r\n"), "\ufeff" + WITH, "\ufeff" + WITH.replace("\n", "\r\n")])
def test_other_values_keep_line_ends_and_the_byte_order_mark(text: str) -> None:
    other = Policy.from_text(text).with_parameters({"orders": 12, "limit_minor": 4})
    assert other.text == text.replace("orders: 3", "orders: 12").replace("limit_minor: 30000", "limit_minor: 4")


def test_other_values_that_do_not_fit_are_refused() -> None:
    policy = Policy.from_text(WITH, "p.yaml")
    with pytest.raises(PolicyRefused, match="there is no parameter limit_mino; did you mean limit_minor"):
        policy.with_parameters({"limit_mino": 3})
    with pytest.raises(PolicyRefused, match=r"p\.yaml:21:31: hold_out_percent is a whole number from 0 to 100"):
        policy.with_parameters({"share": 101})
    with pytest.raises(PolicyRefused, match="the parameter orders is a whole number"):
        policy.with_parameters({"orders": True})
    with pytest.raises(PolicyRefused, match="there is no parameter x"):
        Policy.from_text(SMALL).with_parameters({"x": 1})


def test_a_changed_parameter_is_named_with_all_that_uses_it() -> None:
    policy = Policy.from_text(WITH)
    changes = {one.name: one for one in differences(policy, policy.with_parameters({"limit_minor": 20_000}))}
    limit = changes["parameters.limit_minor"]
    assert (limit.what, limit.decides) == ("30000 → 20000", True)
    shown = ("conditions.a.text.zh", "conditions.a.text.en")
    assert limit.used_by == ("a", "caps.per_buyer.amount_minor", *shown)
    assert changes["conditions.a"].what == (
        "by its parameters: `order.paid_minor < 30000` → `order.paid_minor < 20000` (300.00 → 200.00 CNY): stricter"
    )
    assert changes["conditions.a.text.zh"].what == "“至少 3 单，低于 ¥300.00” → “至少 3 单，低于 ¥200.00”"
    assert changes["caps.per_buyer.amount_minor"].what == "300.00 CNY → 200.00 CNY: stricter"
    orders = {one.name: one for one in differences(policy, policy.with_parameters({"orders": 4}))}
    assert orders["parameters.orders"].used_by[:3] == ("a", "r", "caps.per_buyer.count")
    assert orders["definitions.good"].what.endswith("true less often")
    share = {one.name: one for one in differences(policy, policy.with_parameters({"share": 8}))}
    assert share["parameters.share"].decides
    assert "8: more buyers are held out" in share["selection.hold_out_percent"].what


def test_a_cap_that_no_condition_reads_decides_nothing_by_its_parameter() -> None:
    text = WITH.replace("< limit_minor", "< 30000")
    (limit,) = (
        one
        for one in differences(Policy.from_text(text), Policy.from_text(text).with_parameters({"limit_minor": 1}))
        if one.name == "parameters.limit_minor"
    )
    assert not limit.decides


def test_a_number_that_gets_a_name_decides_the_same() -> None:
    named = default_policy()
    written_out = Policy.from_text(DEFAULT.read_text("utf-8").replace("< limit_minor", "< 30000"))
    changes = {one.name: one for one in differences(written_out, named)}
    assert not any(one.decides for one in changes.values())
    assert changes["conditions.paid_under_300"].what == (
        "`order.paid_minor < 30000` → `order.paid_minor < limit_minor`: the same, written otherwise"
    )


def test_the_version_that_was_released_is_what_the_new_one_is_compared_with() -> None:
    assert VERSION_1.sha256 == "fdac48ead729e952d30c86ed07d072261924d43da85a0fae2ff3483243beaa25"


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_parameter_decides_as_its_value_does(random: Random) -> None:
    """Version 2 of the shipped policy decides every request as version 1 did, whose limit was written out."""
    row = {**GOOD_FACTS, **draw_row(random), "buyer.paid_orders_90d": random.choice([0, 5, 10])}
    if random.random() < 0.7:
        row["order.paid_minor"] = random.choice([0, 29_999, 30_000, 30_001])
    for name in random.sample(sorted(row), random.choice([0, 0, 1, 2])):
        del row[name]
    new, old = decide(default_policy(), row), decide(VERSION_1, row)
    assert (new.outcome, new.unknown) == (old.outcome, old.unknown)
    assert [(r.id, r.verdict, r.facts) for r in new.conditions] == [(r.id, r.verdict, r.facts) for r in old.conditions]
    assert restriction_hits(default_policy(), row) == restriction_hits(VERSION_1, row)


VERSION_1 = Policy.from_text(
    DEFAULT.read_text("utf-8")
    .replace('version: "2"', 'version: "1"')
    .replace("parameters: # numbers that conditions and sentences share: {limit_minor|money} shows this one\n", "")
    .replace("  limit_minor: 30000\n\n", "")
    .replace("< limit_minor", "< 30000")
    .replace("zh: 订单实付金额低于 {limit_minor|money}", "zh: 订单实付金额低于 300 元")
    .replace("under {limit_minor|money}", "under 300.00 CNY")
)
