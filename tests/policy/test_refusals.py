"""A policy with faults is refused, and every fault is reported with file, line and column."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitui.policy import Policy, PolicyRefused
from jitui.policy.loading.yaml_document import MAX_BYTES
from tests.policy.policy_samples import SMALL, small_text


def refused(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(PolicyRefused) as caught:
        Policy.from_text(text, "p.yaml")
    assert {problem.file for problem in caught.value.problems} == {"p.yaml"}
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def test_the_small_policy_itself_loads() -> None:
    assert Policy.from_text(SMALL).id == "small"


@pytest.mark.parametrize(
    ("when", "column", "says"),
    [
        ("order.paid_mino < 3", 20, "there is no fact order.paid_mino; did you mean order.paid_minor?"),
        ("good && order.paid_mino < 3", 28, "did you mean order.paid_minor?"),
        ("goood", 20, "there is no fact goood; did you mean good?"),
        ("buyer.orders", 20, "when is a condition, true or false, and this is int"),
        ("order.paid_minor < 3.0", 37, "< does not fit a whole number and a decimal number"),
        ("order.paid_minor && good", 37, "&& does not fit a whole number and true or false"),
        ("order.lines.all(l, !l.custmised)", 42, "a line has no field custmised; did you mean customised?"),
        ("order.lines.all(l, l.quantity == 'a')", 50, "== does not fit a whole number and text"),
        ("order.lines.all(l, l.quantity)", 35, "all() asks what is true or false of a line, as in"),
        ("order.lines.filter(l, l.quantity).size() > 1", 38, "as in order.lines.filter(l, l.quantity > 1)"),
        ("order.lines.exists_one(l, l.quantity)", 42, "as in order.lines.exists_one(l, l.quantity > 1)"),
        ("math.greatest() > 3", 20, "math.greatest() takes whole numbers, at least one, as in math.greatest("),
        ("math.least([]) > 3", 31, "math.least() takes whole numbers, at least one, as in math.least("),
        ("math.greatest(order.currency, 1) > 3", 33, "math.greatest() takes whole numbers"),
        ("math.greatest(order.paid_minor, 'a') > 3", 52, "math.greatest() takes whole numbers"),
        (
            "math.greatest(order.lines.map(l, l.paid_minor)) > 3",
            33,
            "of no lines there is no number to give: ask all()",
        ),
        ("math.least(order.lines) > 3", 30, "math.least() takes whole numbers"),
        ("math.max(order.paid_minor, 3) > 3", 20, "math.max() is not supported; did you mean math.greatest?"),
        ("max(order.paid_minor, 3) > 3", 20, "max() is not supported; did you mean math.greatest?"),
        ("math.abs(order.paid_minor) > 3", 28, "math.abs is not supported: of CEL's extensions there are math.least"),
        ("math.bitAnd(order.paid_minor, 1) > 3", 31, "math.bitAnd is not supported: of CEL's extensions there are"),
        ("order.currency.upperAscii() == 'CNY'", 45, "upperAscii is not supported: of CEL's extensions there are"),
        ("order.currency.replace('a', 'b') == 'b'", 42, "replace is not supported: of CEL's extensions there are"),
        ("order.currency.trim() == 'CNY'", 39, "trim is not supported: of CEL's extensions there are"),
        ("order.currency.substring(1) == 'NY'", 44, "substring is not supported: of CEL's extensions there are"),
        ("strings.quote(order.currency) == 'a'", 33, "strings.quote is not supported: of CEL's extensions"),
        ("order.currency.lower() == 'cny'", 35, "lower() is not supported; did you mean lowerAscii?"),
        ("lowerAscii(order.currency) == 'cny'", 20, "lowerAscii() stands after a text, as in"),
        ("order.paid_minor.lowerAscii() == 'cny'", 37, "lowerAscii() stands after a text, as in"),
        ("known(order.currenci)", 26, "there is no fact order.currenci; did you mean order.currency?"),
        ("known(good)", 26, "good is a definition: known() asks for one fact, as in known(order.currency)"),
        ("known(order.paid_minor + 1)", 20, "known() asks for one fact, as in known(order.currency)"),
        ("known(1)", 20, "known() asks for one fact"),
        ("known()", 20, "known() asks for one fact"),
        ("known((order.currency))", 20, "known() asks for one fact"),
        ("known(l.sku)", 25, "there is no fact l.sku"),
        ("order.lines.all(l, known(l))", 45, "known() asks for one fact"),
        ("order.lines.all(l, known(l.skuu))", 45, "a line has no field skuu; did you mean sku?"),
        ("order.lines.all(l, known(l.sku.size))", 45, "there is no fact l.sku.size"),
        ("known.order.currency", 20, "whether a fact is known is known(order.currency)"),
        ("order.currency.known()", 35, "known() is not supported"),
        ("has(order.currency)", 23, "whether a fact or a field of a line has a value is known(…)"),
        ("order.shipment == 'unshiped'", 38, "'unshiped' is none of unshipped, label_printed"),
        ("'unshiped' != order.shipment", 20, "did you mean unshipped?"),
        ("order.shipment in ['unshipped','lable_printed']", 51, "did you mean label_printed?"),
        ("buyer.tier == 'bronze'", 34, "'bronze' is none of gold, silver"),
        ("order.hold < 'presale'", 31, "have no order"),
        ("shop.covered < true", 33, "< orders whole numbers or text, not bool"),
        ("order.lines.all(l, has(l.sku))", 42, "has() is not supported"),
        ("order.currency.matches(order.hold)", 43, "matches() takes a pattern that is written out"),
        ("order.currency.matches('a' + 'b')", 47, "matches() takes a pattern that is written out"),
        ("order.paid_minor.matches('C')", 44, "matches does not fit a whole number"),
        ("order.currency.matches('CN(Y')", 46, "this ( is not closed: a bracket itself is \\("),
        ("order.currency.matches('a)')", 45, "this ) closes nothing: a bracket itself is \\)"),
        ("order.currency.matches('(?i)cny')", 44, "only (…) and (?:…) mean the same in every engine: no flags"),
        ("order.currency.matches('(?=a)')", 44, "names and look-arounds"),
        ("order.currency.matches('(a|b)+')", 49, "a group with a choice in it is repeated with a bound"),
        ("order.currency.matches('(a?)*')", 48, "a group with a choice in it is repeated with a bound"),
        ("order.currency.matches('(a|b){30}')", 44, "can match in too many ways"),
        ("order.currency.matches('a+?')", 46, "one sign says how often"),
        ("order.currency.matches('a**')", 46, "one sign says how often"),
        ("order.currency.matches('^*')", 45, "there is nothing to repeat"),
        ("order.currency.matches('*a')", 44, "* has nothing to stand for here: the sign itself is \\*"),
        ("order.currency.matches('a]')", 45, "] has nothing to stand for here"),
        ("order.currency.matches('a{,3}')", 45, "{ says how often, as in {3}, {3,} or {3,5}"),
        ("order.currency.matches('a{3')", 45, "{ says how often"),
        ("order.currency.matches('a{5,3}')", 45, "a range from 0 to 100, the smaller number first"),
        ("order.currency.matches('a{101}')", 45, "a range from 0 to 100"),
        ("order.currency.matches('[a')", 44, "this [ is not closed"),
        ("order.currency.matches('[]')", 45, "a [class] names at least one character"),
        ("order.currency.matches('[z-a]')", 45, "a range goes from a smaller character to a greater one"),
        ("order.currency.matches('[[:alpha:]]')", 45, "a class holds no class: [ itself is \\["),
        ("order.currency.matches(r'[\\\\D]')", 46, "do not stand in a [class]"),
        ("order.currency.matches(r'\\\\bCNY')", 45, "\\b does not mean the same in every engine"),
        ("order.currency.matches(r'\\\\pL')", 45, "\\p does not mean the same in every engine"),
        ("order.currency.matches('\\\\\\\\bCNY')", 44, "\\b does not mean the same in every engine"),
        ("order.currency.matches('a*b*c*d*e*')", 44, "at most 4 of *, + and {n,}"),
        (f"order.currency.matches('{'a' * 201}')", 44, "a pattern has at most 200 characters"),
        ("order.lines.map(l, l.virtual) == [true]", 35, "write .sum() after map()"),
        ("order.lines.filter(l, l.virtual)", 38, "write .size() after filter()"),
        ("order.lines.map(l, l.virtual, l.sku) == ['a']", 35, "write .sum() after map()"),
        ("order.lines.map(l, l.paid_minor).size() > 1", 35, "size() counts the lines of a filter(), as in"),
        ("order.lines.filter(l, l.virtual).sum() > 1", 53, "sum() adds up a whole number of each line, as in"),
        ("order.lines.map(l, l.virtual).sum() > 1", 50, "as in order.lines.map(l, l.paid_minor).sum()"),
        ("order.lines.map(l, l.sku).sum() > 1", 46, "as in order.lines.map(l, l.paid_minor).sum()"),
        ("order.lines.sum(l, l.paid_minor) > 1", 32, "as in order.lines.map(l, l.paid_minor).sum()"),
        ("sum(order.lines.map(l, l.paid_minor)) > 1", 20, "as in order.lines.map(l, l.paid_minor).sum()"),
        ("order.paid_minor.sum() > 1", 37, "as in order.lines.map(l, l.paid_minor).sum()"),
        ("order.lines.total(l, l.paid_minor) > 1", 32, "did you mean sum?"),
        ("[1, 2].sum() > 1", 20, "work on order.lines only"),
        ("[1].map(x, x).sum() > 1", 27, "work on order.lines only"),
        ("order.lines.map(l, l.quantity).map(m, m).sum() > 1", 54, "sum() adds up a whole number of each line"),
        ("order.lines.map(l, l).sum() > 1", 42, "sum() adds up a whole number of each line"),
        ("order.lines.map(l, l.paid).sum() > 1", 41, "a line has no field paid"),
        ("order.lines.map(good, 1).sum() > 1", 35, "good is the name of a fact, a definition"),
        ("order.lines.all(l, order.lines.map(m, m.quantity).sum() > 1)", 54, "inside one another"),
        ("order.lines.filter(l, l.virtual).all(m, m.virtual)", 56, "put what filter() asks into all()"),
        ("order.lines.filter(l, l.virtual).exists_one(m, m.virtual)", 63, "put what filter() asks into exists_one()"),
        ("order.lines.map(l, l.quantity).filter(l, l > 1).size() > 1", 57, "size() counts the lines of a filter()"),
        ("[1].all(x, x == 1)", 27, "work on order.lines only"),
        ("order.lines.all(order, order.virtual)", 35, "order is the name of a fact, a definition"),
        ("order.lines.all(good, good.virtual)", 35, "good is the name of a fact, a definition"),
        ("order.lines.all(l, order.lines.all(m, m.virtual))", 54, "inside one another"),
        ("order.lines == order.lines", 32, "order.lines as a whole cannot be compared"),
        ("order.lines.all(l, l == l)", 39, "a line as a whole has no value"),
        ("order.lines[0].virtual", 34, "fields are read only from a line, inside"),
        ("order.lines", 20, "order.lines is a list"),
        ("1.5 < 2.5", 20, "no decimals"),
        ("1u == 1u", 20, "no decimals, bytes, null or 1u"),
        ("null == null", 20, "no decimals, bytes, null"),
        ("b'a' == b'a'", 20, "no decimals, bytes"),
        ("order.currency + 'a' == 'b'", 35, "arithmetic is for whole numbers"),
        ("size(good ? order.lines : order.lines) > 1", 30, "order.lines as a whole cannot be compared or chosen"),
        ("size(order.lines + order.lines) > 1", 37, "order.lines as a whole cannot be compared or chosen"),
        ("x.x > 1", 20, "there is no fact x.x"),
        ("order.paid_minor in []", 37, "the right side of `in` is a list of values"),
        ("order.paid_minor in [1, buyer.orders]", 44, "holds only constants"),
        ("'EUR' in order.currency.split(',')", 26, "the right side of `in` is a list of values"),
        ("timestamp('2020-01-01T00:00:00Z') == timestamp('2020-01-01T00:00:00Z')", 29, "timestamp is not supported"),
        ("duration('1s') == duration('1s')", 28, "duration is not supported"),
        ("dyn(1) == 1", 23, "dyn is not supported"),
        ("int('3') == 3", 23, "int is not supported"),
        ("type(1) == int", 24, "type is not supported"),
        ("{'a': 1}.a == 1", 28, "fields are read only"),
        ("size([1]) == 1", 25, "a list outside of `in`"),
        ("order.paid_minor > 99999999999999999999", 39, "invalid int literal"),
        ("good +", 26, "the expression ends too early"),
        ("good)", 24, "this is not CEL: extraneous input ')'"),
        ("(" * 40 + "good" + ")" * 40, 20, "too long or too deep for CEL"),
        ("1" + "+1" * 100 + " > 3", 20, "too long or too deep for CEL"),
        ("good || " * 1000 + "good", 20, "over 8000 characters"),
        ("", 19, "when is one value, and not an empty one"),
    ],
)
def test_an_expression_is_refused_where_it_is_wrong(when: str, column: int, says: str) -> None:
    problems = refused(small_text(when))
    line, found, message = problems[0]
    assert says in message
    assert (line, found) == (12, column or found)


def test_every_fault_of_every_expression_is_named() -> None:
    problems = refused(
        small_text("nope.x > 1 && order.lines.all(l, l.zz) && good == 3").replace("order_paid", "order_payed")
    )
    assert [(line, column) for line, column, _ in problems] == [(7, 25), (12, 20), (12, 55), (12, 67)]
    problems = refused(
        small_text("order.shipment == 'x' && order.hold == 'y' && 1.5 < 2.5 && order.lines.map(l, 1) == [1]")
    )
    assert [column for _, column, _ in problems] == [38, 59, 66, 72, 94, 104]


@pytest.mark.parametrize(
    ("written", "line", "column"),
    [
        ("  - id: a\n    when: >\n      good &&\n\n      buyer.ordres > 1\n", 16, 7),
        ("  - id: a\n    when: |-\n      good\n        && buyer.ordres > 1\n", 15, 12),
        ("  - id: a\n    when: good &&\n      buyer.ordres > 1\n", 14, 7),
        ("  - id: a\n    when: 'order.hold == ''none'' && buyer.ordres > 1'\n", 13, 38),
        ('  - id: a\n    when: "order.hold == \\"n\\x6fne\\" && buyer.ordres > 1"\n', 13, 41),
        ("  - id: a\n    when: \"'\\U0001F600' == order.hold && buyer.ordres > 1\"\n", 13, 42),
        ('  - id: a\n    when: "good &&\\\n      \\ buyer.ordres > 1"\n', 14, 9),
        ('  - id: a\n    when: "good &&\n\n      buyer.ordres > 1"\n', 15, 7),
        ("  - id: a\n    when: order.currency == '人民币' && buyer.ordres > 1\n", 13, 38),
    ],
)
def test_a_position_inside_a_scalar_is_the_position_in_the_file(written: str, line: int, column: int) -> None:
    text = SMALL.replace(
        "  - {id: a, when: good, public: true, text: {zh: 甲, en: A}}\n",
        f"{written}    public: true\n    text: {{zh: 甲, en: A}}\n",
    )
    expected = "there is no fact buyer.ordres; did you mean buyer.orders?"
    assert refused(text) == [(line, column, expected)]
    assert refused(text.replace("\n", "\r\n")) == [(line, column, expected)]


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "says"),
    [
        ("policy: small", "polisy: small", 1, 1, "a policy has no key polisy; did you mean policy?"),
        ("policy: small", "policy: Small Pö", 1, 9, "small letters"),
        ('version: "1"', "version: 1.10", 2, 10, 'put it in quotes, as in "1.10"'),
        ('version: "1"\n', "", 1, 1, "a policy needs the key version"),
        ('version: "1"', "version:", 2, 9, "version is one value, and not an empty one"),
        ("2025-01-26T00:00:00+08:00", "2025-02-30T00:00:00+08:00", 3, 17, "date and time with an offset"),
        ("2025-01-26T00:00:00+08:00", "2025-01-26T00:00:00", 3, 17, "date and time with an offset"),
        ("2025-01-26T00:00:00+08:00", "yesterday", 3, 17, "date and time with an offset"),
        ("currency: CNY\n", "", 1, 1, "needs the key currency: without one, order.paid_minor"),
        ("CNY", "RMB", 4, 11, "ISO 4217"),
        ("{zh: 题, en: Title}", "{zh: 题}", 5, 8, "title needs the key en"),
        ("{zh: 题, en: Title}", "Title", 5, 8, "given in each language"),
        ("{zh: 知, en: N}", "{en: N}", 14, 9, "notice needs the key zh"),
        ("{zh: 甲, en: A}", "{zh: 甲, fr: A}", 12, 53, "text has no key fr"),
        ("over: 90d", "over: 90", 7, 43, "whole days, as in 90d, up to 730d"),
        ("over: 90d", "over: 36h", 7, 43, "whole days, as in 90d"),
        ("over: 90d", "over: 731d", 7, 43, "up to 730d"),
        ("over: 90d", "over: 0d", 7, 43, "whole days"),
        ("over: 90d", "over: 1.5d", 7, 43, "whole days"),
        ("over: 90d", "over: 24h", 7, 43, "over is a number of whole days, as in 90d, up to 730d"),
        ("over: 90d", "over: 1000d", 7, 43, "over is a number of whole days, as in 90d, up to 730d"),
        ("over: 90d", "over: -3d", 7, 43, "whole days"),
        ("count: order_paid", "sum: dispute_lost", 7, 23, "dispute_lost is recorded without an amount"),
        ("count: order_paid", "sum: dispute_won", 7, 23, "count it, or sum one of order_paid, order_completed"),
        ("buyer.orders: {count: order_paid", "shop.sent: {sum: shipped", 7, 20, "shipped is recorded without"),
        ("buyer.orders: {count: order_paid", "shop.sent: {sum: shipped_on_time", 7, 20, "nothing to sum"),
        ("count: order_paid", "last_age_days: approved", 7, 33, "own approvals"),
        (", over: 90d", "", 7, 17, "a feature needs the key over"),
        ("count: order_paid", "count: order_payed", 7, 25, "no event of a buyer; did you mean order_paid?"),
        ("count: order_paid", "count: shipped", 7, 25, "shipped is no event of a buyer"),
        ("count: order_paid", "count: instant_refund", 7, 25, "own approvals"),
        ("count: order_paid", "sum: approved_amount", 7, 23, "own approvals"),
        ("count: order_paid", "count: order_paid, sum: order_paid", 7, 17, "exactly one of count, sum"),
        ("count: order_paid", "average: order_paid", 7, 18, "a feature has no key average"),
        ("buyer.orders: {", "order.orders: {", 7, 3, "a feature is named buyer.x or shop.x"),
        ("buyer.orders: {", "buyer.selected: {", 7, 3, "buyer.selected is already a fact"),
        ("buyer.level: int", "buyer.level: float", 8, 27, "is int or bool or string"),
        ("buyer.level: int", "order.level: int", 8, 14, "an attribute is named buyer.x"),
        ("buyer.level: int", "buyer.orders: int", 8, 14, "buyer.orders is already a fact"),
        ("[gold, silver]", "[]", 8, 44, "an enum needs at least one word"),
        ("good: buyer.orders > 3", "good: good", 10, 9, "in a circle have no value: good → good"),
        ("good: buyer.orders > 3", "good: buyer.orderz > 3", 10, 9, "did you mean buyer.orders?"),
        ("good: buyer.orders > 3", "order: buyer.orders > 3", 10, 3, "order already has a meaning"),
        ("good: buyer.orders > 3", "size: buyer.orders > 3", 10, 3, "size already has a meaning"),
        ("good: buyer.orders > 3", "good: 1 < 2\n  good: 1 < 2", 11, 3, "good is already given in line 10"),
        ("{id: a,", "{id: a, id: b,", 12, 13, "id is already given in line 12"),
        ("id: a,", "id: Paid Under,", 12, 10, "small letters, digits and _"),
        ("id: a,", "id: other_factors,", 12, 10, "take another"),
        ("public: true, ", "", 12, 5, "a condition needs the key public"),
        ("public: true", "public: yes", 12, 33, "public is true or false"),
        ("public: true", "public: true, detail: secret", 12, 47, "detail is public or private"),
        ("48h", "48x", 13, 20, "deadline is a number of hours"),
        ("48h", "61d", 13, 20, "up to 60d"),
        ("approve}", "aprove}", 13, 37, "on_timeout is approve or reject; did you mean approve?"),
        ("review:", "selection: {hold_out_percent: 101}\nreview:", 13, 31, "from 0 to 100"),
        ("review:", "selection: {hold_out: 1}\nreview:", 13, 13, "did you mean hold_out_percent?"),
        ("review:", "caps: {per_buyer: {over: 3d}}\nreview:", 13, 19, "per_buyer caps nothing"),
        ("review:", "caps: {per_shop: {count: -1, over: 1h}}\nreview:", 13, 26, "count is a whole number from 0"),
        ("review:", "caps: {per_shop: {count: 1, over: 1m}}\nreview:", 13, 35, "hours, as in 48h or whole days"),
        ("review:", "caps: {per_item: {count: 1, over: 1h}}\nreview:", 13, 8, "caps has no key per_item"),
        ("review: {", "review: &x {", 13, 9, "anchors and aliases are not read"),
        ("{zh: 知, en: N}", "*x", 14, 9, "anchors and aliases are not read"),
        ("{zh: 知, en: N}", "!!python/object:os.system x", 14, 9, "YAML tags are not read"),
        ("notice:", "---\nnotice:", 14, 1, "one document"),
        ("notice:", "\tnotice:", 14, 1, "this is not YAML"),
        ("notice: {zh: 知, en: N}", "notice: {zh: 知, en: N\x07}", 14, 22, "a character it does not allow"),
        ("notice: {zh: 知, en: N}", "notice: " + "[" * 5000, 14, 21, "too deep or too many entries"),
    ],
)
def test_a_document_is_refused_where_it_is_wrong(old: str, new: str, line: int, column: int, says: str) -> None:
    assert old in SMALL
    problems = refused(SMALL.replace(old, new, 1))
    assert any((found[0], found[1]) == (line, column) and says in found[2] for found in problems), problems


def test_conditions_are_needed_and_their_ids_differ() -> None:
    row = "  - {id: a, when: good, public: true, text: {zh: 甲, en: A}}\n"
    assert refused(SMALL.replace(row, row + row)) == [(13, 10, "the id a is already used in line 12")]
    assert refused(SMALL.replace(row, "  []\n"))[0][2].startswith("conditions needs at least one condition")
    assert refused(SMALL.replace("conditions:\n" + row, "")) == [(1, 1, "a policy needs the key conditions")]


def test_a_circle_of_definitions_is_refused_at_the_use_that_closes_it() -> None:
    text = SMALL.replace("good: buyer.orders > 3", "good: better\n  better: buyer.orders > 1 &&\n    good")
    assert refused(text) == [(12, 5, "definitions in a circle have no value: good → better → good")]


def test_a_name_inside_text_or_a_comment_is_no_use() -> None:
    policy = Policy.from_text(SMALL.replace("good: buyer.orders > 3", "good: \"order.currency == 'good' // good\""))
    assert [definition.name for definition in policy.definitions] == ["good"]


def test_a_wrong_definition_is_reported_once_where_it_is_written() -> None:
    text = SMALL.replace("good: buyer.orders > 3", "good: better\n  better: buyer.orders > true")
    assert [(line, column) for line, column, _ in refused(text)] == [(11, 24)]


@pytest.mark.parametrize(
    "name", ["order.paid_minor", "buyer.restricted", "buyer.selected", "caps.buyer_ok", "shop.covered"]
)
def test_a_restriction_looks_at_the_buyer_only(name: str) -> None:
    when = f"{name} == {name} && good"
    rule = f"restrictions: [{{id: r, when: {when}, withdraw: instant_refund, for: 30d}}]\n"
    assert refused(SMALL.replace("review:", rule + "review:")) == [
        (13, 30, f"a restriction looks at the buyer's history and attributes, not at {name}")
    ]


def test_what_a_restriction_needs() -> None:
    rule = "restrictions: [{id: r, when: good, withdraw: refund, for: 3h}]\n"
    problems = refused(SMALL.replace("review:", rule + "review:"))
    assert [(line, column) for line, column, _ in problems] == [(13, 46), (13, 59)]


@pytest.mark.parametrize("text", ["", "# nothing\n", "a\n", "- a\n", "a: *a\n", "a: 1\na: 2\n", "\ufeff[", "\x00"])
def test_what_is_no_policy_at_all_is_refused(text: str) -> None:
    assert refused(text)


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"a" * (MAX_BYTES + 1))
    with pytest.raises(PolicyRefused, match="over 256 KiB"):
        Policy.from_file(path)
    assert refused("知" * (MAX_BYTES // 2))[0][2].startswith("the file is over 256 KiB")


def test_bytes_that_are_no_text_are_refused_with_their_position(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"policy: p\ntitle: caf\xe9\n")
    with pytest.raises(PolicyRefused) as caught:
        Policy.from_file(path)
    assert str(caught.value) == f"{path}:2:11: this is not UTF-8 text"


def test_many_entries_are_refused_early() -> None:
    definitions = "".join(f"  d{i}: d{i + 1}\n" for i in range(5000))
    assert refused(SMALL.replace("  good: buyer.orders > 3\n", definitions))
    rows = "  - {id: a, when: good, public: true, text: {zh: 甲, en: A}}\n"
    assert refused(SMALL.replace(rows, rows * 2000))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_policy_is_refused_or_loads_and_nothing_else(data: st.DataObject) -> None:
    text = SMALL
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 6))
        put = data.draw(st.text("{}[]:,&*!|>'\"\\#-?%@` \n\tabl.()=0139知\x00\x85\ufeff", max_size=4))
        text = text[:start] + put + text[start + length :]
    try:
        Policy.from_text(text)
    except PolicyRefused as refusal:
        lines = text.count("\n") + text.count("\x85") + 2
        assert all(1 <= problem.line <= lines and problem.column >= 1 for problem in refusal.problems)


def test_what_is_probably_not_meant_is_said_without_refusing() -> None:
    policy = Policy.from_text(SMALL.replace("review:", "caps: {per_shop: {count: 1, over: 1h}}\nreview:"))
    said = "\n".join(problem.message for problem in policy.advice)
    assert "`pause` cannot stop it" in said
    assert "no condition reads caps.shop_ok: the cap limits nothing" in said


def test_hours_and_days_are_read_to_the_second() -> None:
    text = SMALL.replace("review:", "caps: {per_shop: {count: 9, over: 1h}, platform: {count: 9, over: 2d}}\nreview:")
    policy = Policy.from_text(text)
    assert policy.caps.per_shop is not None and policy.caps.platform is not None
    assert (policy.caps.per_shop.over_seconds, policy.caps.platform.over_seconds) == (3600, 172_800)
    assert policy.review.deadline_seconds == 172_800


def test_a_part_of_a_policy_has_at_most_200_entries() -> None:
    def text(count: int) -> str:
        rows = "".join(f"  d{number}: 1 < 2\n" for number in range(count - 1))
        return SMALL.replace("  good: buyer.orders > 3\n", f"  good: buyer.orders > 3\n{rows}")

    assert len(Policy.from_text(text(200)).definitions) == 200
    assert [message for _, _, message in refused(text(201))] == ["definitions has more than 200 entries"]


def test_a_file_that_is_not_yaml_is_refused_at_its_sign() -> None:
    assert refused("policy: [a, b\nversion: x}\n")[0][:2] == (2, 8)


@pytest.mark.parametrize("count", [19_990, 20_001])
def test_a_file_with_very_many_entries_is_refused_before_it_is_read(count: int) -> None:
    problems = refused(f"policy: [{'1,' * count}]\n")
    assert any("too many entries" in message for _, _, message in problems) == (count > 20_000)
