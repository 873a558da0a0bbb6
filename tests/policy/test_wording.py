"""The message about a refused expression says what to write instead."""

from __future__ import annotations

import pytest

from jitui.policy import Policy, PolicyRefused
from tests.policy.policy_samples import SMALL, small_text

NO_CLOCK = "a condition has no clock: compare an age"
DIGITS = "a number is digits alone, as in 30000"
QUOTES = "write ' or \" around text"


def refused(text: str) -> list[tuple[int, str]]:
    """Columns and messages of what is wrong in line 12."""
    with pytest.raises(PolicyRefused) as caught:
        Policy.from_text(text, "p.yaml")
    assert {problem.line for problem in caught.value.problems} == {12}
    return [(problem.column, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("when", "column"),
    [
        ("has(buyer.vip)", 23),
        ("!has(buyer.vip) && good", 24),
        ("has ( buyer.level ) || good", 24),
        ("has(buyer.level)", 23),
        ("has(order.paid_minor)", 23),
        ("has(good)", 23),
        ("order.lines.all(l, has(l.sku))", 42),
        ("good // has(x)\\n || has(buyer.vip)", 42),
    ],
)
def test_has_is_refused_and_never_means_the_value(when: str, column: int) -> None:
    """The checker turns the field inside has() into the fact of that name, so a fact that is false would be absent."""
    text = small_text(when).replace("buyer.level: int", "buyer.level: int, buyer.vip: bool")
    ((found, message),) = refused(text)
    assert message.startswith("has() is not supported: whether a fact or a field of a line has a value is known(…)")
    assert found == column or "\\n" in when


def test_has_in_text_or_in_a_comment_is_no_call() -> None:
    policy = Policy.from_text(small_text("order.currency == 'has(buyer.vip)' // has(buyer.vip)"))
    assert policy.conditions[0].id == "a"


@pytest.mark.parametrize("word", ["true", "false", "null", "in"])
@pytest.mark.parametrize("where", ["attributes", "features"])
def test_a_name_that_no_condition_could_say_is_refused_where_it_is_declared(word: str, where: str) -> None:
    text = (
        SMALL.replace("buyer.level: int", f"buyer.{word}: int")
        if where == "attributes"
        else SMALL.replace("features:\n", f"features:\n  buyer.{word}: {{count: order_paid, over: 90d}}\n")
    )
    with pytest.raises(PolicyRefused, match=f"{word} is a word of CEL, so that no condition can say buyer.{word}"):
        Policy.from_text(text)


@pytest.mark.parametrize("word", ["as", "for", "has", "size", "all", "package", "int", "matches", "now", "nulls"])
def test_other_words_of_cel_may_name_an_attribute(word: str) -> None:
    text = small_text(f"buyer.{word} > 3").replace("buyer.level: int", f"buyer.{word}: int")
    assert Policy.from_text(text).attributes.keys() >= {f"buyer.{word}"}


@pytest.mark.parametrize(
    ("when", "column", "says"),
    [
        ("order.currency.trimmed() == 'x'", 35, "trimmed() is not supported; supported are"),
        ("order.currency.trim() == 'x'", 39, "trim is not supported: of CEL's extensions there are math.least"),
        ("order.currency.startswith('C')", 35, "startswith() is not supported; did you mean startsWith?"),
        ("order.currency.length() > 3", 35, "length() is not supported; did you mean size?"),
        ("len(order.currency) > 3", 20, "len() is not supported; did you mean size?"),
        ("contains(order.currency, 'C')", 20, "contains() is not supported: it stands after a value"),
        ("order.lines.any(l, l.virtual)", 32, "any() is not supported; did you mean exists?"),
        ("order.lines.sum(l, l.quantity) > 3", 32, "sum() adds up a whole number of each line"),
        ("math.greatestest(1, 2) > 1", 20, "math.greatestest() is not supported"),
        ("base64.encode(b'a') == 'a'", 20, "base64.encode() is not supported"),
        ("cel.bind(x, 1, x > 0)", 20, "cel.bind() is not supported"),
        ("order.lines.exists(l, l.sku.foo())", 48, "foo() is not supported"),
        ("now() > 3", 20, f"now() is not supported: {NO_CLOCK}"),
        ("if(good, true, false)", 20, "if is not supported: write a ? b : c"),
    ],
)
def test_a_function_or_method_that_is_not_there_is_called_that_and_not_a_fact(
    when: str, column: int, says: str
) -> None:
    ((found, message),) = refused(small_text(when))
    assert says in message and "no fact" not in message
    assert found == column


def test_a_misspelt_fact_beside_an_unknown_function_is_named_too() -> None:
    said = refused(small_text("abs(order.x) > 1 && order.paid_mino > 1"))
    assert [column for column, _ in said] == [20, 40]
    assert "did you mean order.paid_minor?" in said[1][1]


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("good and good", "write && for and"),
        ("good AND good", "write && for and"),
        ("good or good", "write || for or"),
        ("not good", "write ! for not"),
        ("order.shipment not in ['unshipped']", "write ! for not, as in !(order.hold in ['presale'])"),
        ("buyer.tier is 'gold'", "write == for is"),
        ("good = true", "write == for equal"),
        ("good === true", "write == for equal"),
        ("good <> true", "write != for unequal"),
        ("good & good", "write && for and"),
        ("good | good", "write || for or"),
        ("order.paid_minor ≤ 3", "write <="),
        ("order.paid_minor≥3", "write >="),
        ("order.paid_minor between 1 and 3", "write two comparisons, as in 1 <= a && a < 5"),
        ("order.currency like 'C%'", "write startsWith, endsWith or contains"),
        ("order.currency =~ 'C'", "write startsWith, endsWith or contains"),
        ("order.currency == “CNY”", QUOTES),
        ("order.currency == ‘CNY’", QUOTES),
        ("True", "did you mean true?"),
        ("FALSE == good", "did you mean false?"),
        ("order.paid_minor == null", "no fact is null: one that is not known makes the condition unknown"),
        ("order.paid_minor == None", "no fact is null"),
    ],
)
def test_what_other_languages_write_is_told_in_cel(when: str, says: str) -> None:
    assert says in refused(small_text(when))[0][1]


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("order.paid_minor < 300.00", "a decimal number: amounts are whole minor units: write 30000 for 300.00"),
        ("order.paid_minor * 1.5 < 3", "amounts are whole minor units"),
        ("1.5 < 2.5", "(amounts are whole minor units: 30000 for 300.00)"),
        ("order.paid_minor < '300'", "a number stands without quotes"),
        ("order.paid_minor <= 30,000", DIGITS),
        ("order.paid_minor <= 30_000", DIGITS),
        ("order.paid_minor < 300元", DIGITS),
        ("order.age_seconds < 1h", DIGITS),
    ],
)
def test_how_a_number_is_written(when: str, says: str) -> None:
    assert says in refused(small_text(when))[0][1]


@pytest.mark.parametrize(
    "when",
    [
        "order.placed_at < 2025-01-01",
        "order.age_seconds < 2025-01-01",
        "order.age_seconds < 2025-1-1T00:00:00Z",
        "order.age_seconds < '2025-01-01'",
        "order.age_seconds < duration('1h')",
        "timestamp('2020-01-01T00:00:00Z') == timestamp('2020-01-01T00:00:00Z')",
        "duration('1s') == duration('1s')",
        "date('2025-01-01') == date('2025-01-01')",
        "order.paid_at > 3",
        "buyer.registered_at > 3",
        "now > 3",
    ],
)
def test_for_a_date_or_a_time_an_age_is_compared(when: str) -> None:
    """2025-01-01 would otherwise be taken, and mean 2023."""
    assert NO_CLOCK in refused(small_text(when))[0][1]


def test_subtractions_that_are_no_dates_are_arithmetic() -> None:
    assert Policy.from_text(small_text("order.paid_minor < 2025 - 01 - 01 && buyer.level > 12-3")).id == "small"
