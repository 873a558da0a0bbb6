"""Google's run time and a plain evaluator agree on random expressions of the supported subset."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import example, given, settings
from hypothesis import strategies as st

from jitui.policy.facts import FACTS, HOLD, LINE_FIELDS, SHIPMENT, FactType, ScalarValue
from jitui.policy.language.expression import Checked, check, evaluating_env, value_of
from jitui.policy.language.known import PREFIX, without_known
from jitui.policy.language.syntax import Names
from tests.policy.kleene import read

NAMES = Names(FACTS, {})
TESTED = ("order.paid_minor", "shop.covered", "order.currency", "order.lines")
ENV = evaluating_env(NAMES, "math", TESTED)
INTS = ("order.paid_minor", "order.age_seconds", "request.amount_minor")
BOOLS = ("shop.covered", "buyer.selected", "service.paused")
LINE_INTS, LINE_BOOLS = ("l.quantity", "l.paid_minor"), ("l.customised", "l.virtual")

small_ints = st.sampled_from([-2, -1, 0, 1, 2, 3, 7, 2**62, 2**63 - 1, -(2**63) + 1])
words = st.sampled_from(["", "a", "ab", "b", "é", "中", "A"])


def comparisons(ints: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    return st.builds("({} {} {})".format, ints, operators, ints) | st.builds("({} in [1, 2, -7])".format, ints)


def int_terms(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    leaves = st.sampled_from(names) | small_ints.map(str) | st.just("size(order.lines)")
    extreme = st.builds("math.{}({}, {})".format, st.sampled_from(["least", "greatest"]), leaves, leaves)
    leaves |= extreme
    arithmetic = st.builds("({} {} {})".format, leaves, st.sampled_from(["+", "-", "*", "/", "%"]), leaves)
    return leaves | arithmetic | st.builds("(-({}))".format, leaves)


def texts(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    leaf = st.sampled_from(names)
    literal = words.map("'{}'".format)
    methods = st.sampled_from(["startsWith", "endsWith", "contains"])
    return (
        st.builds("{}.{}({})".format, leaf, methods, literal)
        | st.builds("({} {} {})".format, leaf, st.sampled_from(["==", "!=", "<", ">="]), literal)
        | st.builds("({} in ['a', {}])".format, leaf, literal)
        | st.builds("({}.lowerAscii() == {})".format, leaf, literal)
        | st.builds("({}.size() > {})".format, leaf, st.sampled_from(["0", "1"]))
    )


def truths(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds("({} && {})".format, inner, inner)
            | st.builds("({} || {})".format, inner, inner)
            | inner.map("!({})".format)
            | st.builds("({} ? {} : {})".format, inner, inner, inner)
            | st.builds("({} == {})".format, inner, inner)
        ),
        max_leaves=5,
    )


line_leaves = st.sampled_from(LINE_BOOLS) | comparisons(int_terms(LINE_INTS + INTS)) | texts(("l.sku",))
quantified = st.builds("order.lines.{}(l, {})".format, st.sampled_from(["all", "exists"]), truths(line_leaves))
line_truths = truths(line_leaves)
quantified |= st.builds("order.lines.exists_one(l, {})".format, line_truths)
quantified |= st.builds("(order.lines.filter(l, {}).size() > {})".format, line_truths, st.sampled_from("01"))
quantified |= st.builds("(order.lines.map(l, {}).sum() > 1)".format, int_terms(LINE_INTS + INTS))
quantified |= st.builds("(order.lines.map(l, {}, {}).sum() != 0)".format, line_truths, int_terms(LINE_INTS))
quantified |= st.builds("order.lines.{}(l, known(l.{}))".format, st.sampled_from(["all", "exists"]),
                         st.sampled_from(["sku", "virtual", "item_id"]))  # fmt: skip
order_leaves = (
    st.sampled_from((*BOOLS, "true", "false"))
    | comparisons(int_terms(INTS))
    | texts(("order.currency",))
    | st.sampled_from(TESTED).map("known({})".format)
    | st.sampled_from(["(order.shipment in ['shipped', 'delivered'])", "(order.hold != 'none')"])
)
expressions = truths(order_leaves | quantified)

line_fields: dict[str, st.SearchStrategy[ScalarValue]] = {
    "quantity": small_ints,
    "paid_minor": small_ints,
    "customised": st.booleans(),
    "virtual": st.booleans(),
    "sku": words,
}
line: st.SearchStrategy[dict[str, ScalarValue]] = st.fixed_dictionaries({}, optional=line_fields)
Known = Mapping[str, ScalarValue | list[dict[str, ScalarValue]]]
facts_known: st.SearchStrategy[Known] = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(INTS, small_ints),
        **dict.fromkeys(BOOLS, st.booleans()),
        "order.currency": words,
        "order.shipment": st.sampled_from(SHIPMENT),
        "order.hold": st.sampled_from(HOLD),
        "order.lines": st.lists(line, max_size=3),
    },
)


def evaluated(text: str, known: Known) -> bool | int | str | None:
    # the companion facts, as `evaluate` makes them
    companions = {PREFIX + name: name in known for name in TESTED}
    return value_of(
        ENV.compile(without_known(text, NAMES).text), ENV.Activation({**known, **companions}), FactType.BOOL
    )


@settings(max_examples=400, deadline=None)
@given(expressions, facts_known)
@example("order.lines.all(l, !l.customised)", {"order.lines": [{}, {"customised": True}]})
@example("order.lines.all(l, !l.customised)", {"order.lines": [{}, {"customised": False}]})
@example("order.lines.exists(l, l.quantity != 0)", {"order.lines": [{}]})
@example("order.lines.all(l, !(l.sku in ['a']))", {"order.lines": [{}]})
@example("order.lines.exists_one(l, l.virtual)", {"order.lines": [{"virtual": True}, {}]})
@example("order.lines.map(l, l.quantity).sum() > 1", {"order.lines": [{"quantity": 2**63 - 1}, {"quantity": 1}]})
@example("(order.paid_minor / 0) > 1 || shop.covered", {"order.paid_minor": 1, "shop.covered": True})
def test_the_run_time_and_the_tree_agree_unknowns_included(text: str, known: Known) -> None:
    checked = check(text, NAMES)
    assert isinstance(checked, Checked), checked
    assert evaluated(text, known) == read(checked.tree, known)


@settings(max_examples=200, deadline=None)
@given(expressions, facts_known, st.data())
def test_hiding_a_fact_can_only_make_a_value_unknown(text: str, known: Known, data: st.DataObject) -> None:
    hidden = data.draw(st.sets(st.sampled_from(sorted(known)))) if known else set()
    before = evaluated(text, known)
    # what known() asks for is no unknown, so that hiding it may change a value
    hidden -= {name for name in TESTED if f"known({name})" in text}
    after = evaluated(text, {name: value for name, value in known.items() if name not in hidden})
    assert after is None or after == before


def test_every_field_of_a_line_can_be_read_and_be_unknown() -> None:
    samples: dict[FactType, ScalarValue] = {FactType.INT: 1, FactType.BOOL: True, FactType.STRING: "x"}
    for name, spec in LINE_FIELDS.items():
        value = samples[spec.type]
        literal = {"x": "'x'", True: "true" if value is True else "1"}[value]
        text = f"order.lines.all(l, l.{name} == {literal})"
        assert evaluated(text, {"order.lines": [{name: value}]}) is True
        assert evaluated(text, {"order.lines": [{}]}) is None
        assert evaluated(text.replace("==", "!="), {"order.lines": [{}]}) is None
