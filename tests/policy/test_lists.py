"""Named lists: what they may hold, what they mean in conditions and sentences, and what a difference says of them."""

from __future__ import annotations

import pytest

from jitui.policy import FactValue, Outcome, Policy, PolicyRefused, Verdict, decide, verdicts_beside
from jitui.policy.cap_difference import PolicyChange
from jitui.policy.difference import differences
from tests.policy.policy_samples import SMALL, small_text
from tests.policy.test_refusals import refused


def text(lists: str, when: str = "order.currency in few", en: str = "A") -> str:
    """The small policy with a section `lists`: the mapping stands in line 6, the condition in line 13."""
    said = small_text(when).replace("en: A}", f'en: "{en}"}}')
    return said.replace("features:\n", f"lists: {lists}\nfeatures:\n", 1)


def verdict(policy: Policy, **facts: FactValue) -> Verdict:
    (found,) = decide(policy, {name.replace("__", "."): value for name, value in facts.items()}).conditions
    return found.verdict


def test_a_list_is_its_words() -> None:
    policy = Policy.from_text(text("{few: [CNY, '1', USD], unused: [3, -4]}"))
    assert {one.name: one.words for one in policy.lists} == {"few": ("CNY", "1", "USD"), "unused": (3, -4)}
    assert verdict(policy, order__currency="USD") is Verdict.TRUE
    assert verdict(policy, order__currency="EUR") is Verdict.FALSE
    assert verdict(policy) is Verdict.UNKNOWN
    assert policy.programs.condition_reads.lists == ("few",)
    assert [one.message for one in policy.advice if "nothing uses" in one.message] == [
        "nothing uses the list unused: leave it out"
    ]


def test_a_list_of_numbers_in_a_definition_and_in_a_line() -> None:
    policy = Policy.from_text(
        text("{n: [3, 4]}", "odd && order.lines.all(l, l.quantity in n)").replace(
            "  good:", "  odd: order.paid_minor in n\n  good:"
        )
    )
    lines: FactValue = [{"quantity": 3}, {"quantity": 4}]
    assert verdict(policy, order__paid_minor=4, order__lines=lines) is Verdict.TRUE
    assert verdict(policy, order__paid_minor=5, order__lines=lines) is Verdict.FALSE
    assert verdict(policy, order__paid_minor=4, order__lines=[{"quantity": 3}, {}]) is Verdict.UNKNOWN
    assert policy.programs.condition_reads.lists == ("n",)


def test_a_policy_with_a_list_decides_as_the_one_with_the_words_written_out() -> None:
    named = Policy.from_text(text("{few: [CNY, USD]}"))
    spelled = Policy.from_text(small_text("order.currency in ['CNY', 'USD']"))
    for currency in ("CNY", "USD", "EUR"):
        facts: dict[str, FactValue] = {"order.currency": currency}
        assert decide(named, facts).outcome is decide(spelled, facts).outcome
    assert decide(named, {"order.currency": "CNY"}).outcome is Outcome.INSTANT


@pytest.mark.parametrize(
    ("lists", "column", "says"),
    [
        ("{few: []}", 14, "the list few needs at least one word, as in [CN-54, CN-65]"),
        ("{few: CNY}", 14, "the list few is a list"),
        ("{few: [CNY, CNY]}", 20, "CNY is already in line 6: leave it out here"),
        ("{few: [CNY, 3]}", 20, "the list few is of text, and this is whole numbers: text that looks like a number"),
        ("{few: [3, CNY]}", 18, "the list few is of whole numbers, and this is text"),
        ("{few: [CNY, 1.5]}", 20, "text that looks like something else stands in quotes"),
        ("{few: [CNY, 007]}", 20, "text that looks like something else stands in quotes"),
        ("{few: [CNY, true]}", 20, "text that looks like something else stands in quotes"),
        ("{few: [CNY, null]}", 20, "text that looks like something else stands in quotes"),
        ("{few: [CNY, '']}", 20, "text that looks like something else stands in quotes"),
        ("{few: [CNY, [USD]]}", 20, "text that looks like something else stands in quotes"),
        ("{few: [CNY, 9999999999999999999]}", 20, "text that looks like something else stands in quotes"),
        ('{few: [CNY, "a\\0b"]}', 20, "no text holds the character NUL"),
        ("{Few: [CNY]}", 9, "a list is a name of small letters, digits and _, as in cold_regions"),
        ("{order: [CNY]}", 9, "order already has a meaning in conditions: give the list another name"),
        ("{in: [CNY]}", 9, "in already has a meaning in conditions: give the list another name"),
        ("[CNY]", 8, "lists is a mapping from a name to its value"),
        (f"{{few: [{', '.join(f'w{n}' for n in range(201))}]}}", 14, "the list few has more than 200 entries"),
    ],
)
def test_a_list_with_a_fault_is_refused_where_it_is(lists: str, column: int, says: str) -> None:
    line, found, message = refused(text(lists, "good"))[0]
    assert (line, found) == (6, column), message
    assert says in message


@pytest.mark.parametrize(
    ("when", "column", "says"),
    [
        ("order.currency in fww", 38, "there is no fact fww; did you mean few?"),
        ("order.currency == few", 35, "== does not fit text and a list of text"),
        ("order.paid_minor in few", 37, "in does not fit a whole number and a list of text"),
        ("order.currency in numbers", 35, "in does not fit text and a list of whole numbers"),
        ("few == few", 20, "few is a list: it stands on the right of `in`, as in order.currency in few"),
        ("size(few) > 1", 25, "few is a list: it stands on the right of `in`"),
        ("few.exists(w, w == 'a')", 30, "work on order.lines only"),
        ("order.lines.all(few, few.virtual)", 35, "few is the name of a fact, a definition, a parameter or a list"),
        ("order.shipment in few", 38, "the list few has 'CNY', which is none of unshipped, label_printed"),
        ("request.hour in numbers", 36, "request.hour is a number from 0 to 23, and never 99"),
        ("order.currency in order.lines", 35, "in does not fit"),
        ("order.currency in order.hold", 35, "in does not fit"),
    ],
)
def test_a_list_that_is_used_wrongly_is_refused_where_it_stands(when: str, column: int, says: str) -> None:
    line, found, message = refused(text("{few: [CNY], numbers: [3, 99]}", when))[0]
    assert (line, found) == (13, column), message
    assert says in message


def test_a_name_stands_for_one_thing() -> None:
    both = text("{good: [CNY]}", "good")
    assert any(
        "good is already the list of line 6: give the definition another name" in one[2] for one in refused(both)
    )
    taken = text("{few: [CNY]}").replace("lists:", "parameters: {few: 3}\nlists:", 1)
    assert any("few is already the parameter of line 6: give the list another name" in one[2] for one in refused(taken))


def test_a_sentence_shows_the_words() -> None:
    shown = text("{few: [CNY, USD]}", en="Paid in {few}").replace("zh: 甲", 'zh: "以{few}支付"')
    (condition,) = Policy.from_text(shown).conditions
    assert condition.text == {"zh": "以CNY、USD支付", "en": "Paid in CNY, USD"}
    assert Policy.from_text(shown).lists[0].shown_in == ("conditions.a.text.zh", "conditions.a.text.en")
    with pytest.raises(PolicyRefused, match=r"few is a list, which is shown by \{few\} alone"):
        Policy.from_text(text("{few: [CNY]}", en="Paid in {few|money}"))
    with pytest.raises(PolicyRefused, match=r"there is no parameter fewer; did you mean few\?"):
        Policy.from_text(text("{few: [CNY]}", en="Paid in {fewer}"))


def test_a_file_without_lists_and_parameters_shows_braces_as_before() -> None:
    (condition,) = Policy.from_text(SMALL.replace("en: A}", 'en: "{few}"}')).conditions
    assert condition.text["en"] == "{few}"


# Differences -------------------------------------------------------------------------------------------------------


def between(old: str, new: str) -> dict[str, PolicyChange]:
    return {one.name: one for one in differences(Policy.from_text(old), Policy.from_text(new))}


def test_a_list_that_changes_is_told_with_what_uses_it() -> None:
    found = between(text("{few: [CNY, USD]}", en="{few}"), text("{few: [EUR, CNY]}", en="{few}"))
    assert found["lists.few"].what == "now with EUR, without USD"
    assert found["lists.few"].decides
    assert found["lists.few"].used_by == ("a", "conditions.a.text.en")
    assert found["conditions.a"].what.startswith("by its lists: `order.currency in ['CNY', 'USD']` → ")
    grown = between(text("{few: [CNY]}"), text("{few: [CNY, USD]}"))
    assert grown["conditions.a"].what.endswith(": looser")
    shrunk = between(
        text("{few: [CNY, USD]}", "!(order.currency in few)"), text("{few: [CNY]}", "!(order.currency in few)")
    )
    assert shrunk["conditions.a"].what.endswith(": looser")


def test_many_words_are_told_by_those_that_moved() -> None:
    many = [f"w{n}" for n in range(30)]
    found = between(text(f"{{few: [{', '.join(many)}]}}"), text(f"{{few: [{', '.join(many[1:])}, new]}}"))
    assert found["lists.few"].what == "now with new, without w0"
    assert found["conditions.a"].what == "by its lists: `order.currency in …` now with 'new', without 'w0'"
    added = between(small_text("good"), text(f"{{few: [{', '.join(many)}]}}", "good"))
    assert added["lists.few"].what == "added: w0, w1, w2, w3, w4, w5 and 24 more"
    assert not added["lists.few"].decides


def test_the_order_of_words_and_the_name_of_a_list_decide_nothing() -> None:
    assert between(text("{few: [CNY, USD]}"), text("{few: [USD, CNY]}")) == {}
    renamed = between(text("{few: [CNY]}"), text("{others: [CNY]}", "order.currency in others"))
    assert not any(change.decides for change in renamed.values())
    assert renamed["conditions.a"].what.endswith(": the same, written otherwise")


def test_a_second_policy_with_other_words_is_asked_again() -> None:
    one, other = Policy.from_text(text("{few: [CNY]}")), Policy.from_text(text("{few: [USD]}"))
    facts: dict[str, FactValue] = {"order.currency": "CNY"}
    assert verdicts_beside(one, decide(one, facts), other, facts, frozenset()) == {"a": Verdict.FALSE}
    assert verdicts_beside(one, decide(one, facts), one, facts, frozenset()) == {"a": Verdict.TRUE}
