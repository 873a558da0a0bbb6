"""`matches` means the same in CEL's run time, in DuckDB and in Spark, or its pattern is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jitui.backtest.agreement import Agreement, Batch, compare_batch, policy_text
from jitui.backtest.engine import Engine
from jitui.policy import Policy, decide
from jitui.policy.language.patterns import PatternRefused, for_engines

ALPHABET = "aAbZ09_- .\t\n\r\x0b\f\x85\u2028é中\u212aſ🤦^$[](){}|*+?\\&\"'"
SIGNS = ["a", "b", "0", "中", "🤦", "é", "_", "-", "&", "'", '"', "/", " "]
ATOMS = [
    *SIGNS, ".", "\\.", "\\\\", "\\$", "\\-", "\\[", "\\{", "\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\n", "\\r",
    "\\t", "\\f", "[a-c]", "[^a]", "[ab0-9_-]", "[^\\s\\d]", "[\\]\\[]", "[中-龥]", "[&&]", "[\\w-]",
    "[^\\n]", "[🤐-🤦]", "[-a]",
]  # fmt: skip
REPEATS = ["", "", "", "*", "+", "?", "{2}", "{0,1}", "{1,}", "{0}"]

repeated = st.builds("{}{}".format, st.sampled_from(ATOMS), st.sampled_from(REPEATS))
anchored = st.sampled_from(["^", "$", "^$", "$^"])
patterns = st.recursive(
    st.lists(repeated | anchored, max_size=4).map("".join),
    lambda inner: (
        st.builds("({}|{}){}".format, inner, inner, st.sampled_from(["", "?", "{2}", "{0,2}"]))
        | st.builds("(?:{}){}".format, inner, st.sampled_from(["", "?", "*", "+", "{2,}"]))
        | st.builds("{}|{}".format, inner, inner)
        | st.builds("{}{}".format, inner, inner)
    ),
    max_leaves=4,
)
texts = st.text(st.sampled_from(ALPHABET), max_size=5)


def is_taken(pattern: str) -> bool:
    try:
        for_engines(pattern)
    except PatternRefused:
        return False
    return True


def quoted(text: str) -> str:
    """A text as CEL writes it."""
    return '"' + "".join(sign if sign.isalnum() else f"\\U{ord(sign):08x}" for sign in text) + '"'


def compare(some: Sequence[str], those: Sequence[str], engines: Sequence[Engine], work: Path) -> None:
    policy = Policy.from_text(policy_text([f"buyer.nick.matches({quoted(one)})" for one in some], {}))
    rows = ({}, *({"buyer.nick": one} for one in those))
    found = Agreement()
    compare_batch(Batch((policy,), rows), engines, work, found)
    assert not found.disagreements, str(found.disagreements[0])


@given(
    some=st.lists(patterns.filter(is_taken), min_size=1, max_size=12), those=st.lists(texts, min_size=1, max_size=12)
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_cel_and_duckdb_agree_on_whatever_hypothesis_writes(
    duckdb_engine: Engine, tmp_path: Path, some: list[str], those: list[str]
) -> None:
    compare(some, those, [duckdb_engine], tmp_path)


@pytest.mark.xdist_group("spark")
@given(
    some=st.lists(patterns.filter(is_taken), min_size=30, max_size=60), those=st.lists(texts, min_size=20, max_size=30)
)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_cel_and_spark_agree_on_whatever_hypothesis_writes(
    spark_engine: Engine, tmp_path: Path, some: list[str], those: list[str]
) -> None:
    compare(some, those, [spark_engine], tmp_path)


# Each of these is a difference between the engines, or would be one as it is written.
AWKWARD_TEXTS = (
    "a",
    "a\n",
    "a\r\n",
    "\na",
    "a\u2028",
    "a\x85",
    "\x0b",
    "é",
    "e\u0301",
    "ſ",
    "\u212a",
    "🤦🏼",
    "",
    "a$",
    "a\\",
    "ab" * 20_000,
)
AWKWARD = (
    "a$",
    "^a$",
    "^.$",
    "a.",
    "^\\s$",
    "^\\w$",
    "^[^a]$",
    "\\W",
    "\\S",
    "$",
    "^$",
    "",
    "a|",
    "[&&]",
    "^..$",
    "\\$",
    "\\\\",
    "$^",
    "^(ab)+$",
    "(^a)+$",
)


def test_the_awkward_ones_agree_in_duckdb(duckdb_engine: Engine, tmp_path: Path) -> None:
    compare(AWKWARD, AWKWARD_TEXTS, [duckdb_engine], tmp_path)


@pytest.mark.xdist_group("spark")
def test_the_awkward_ones_agree_in_spark(spark_engine: Engine, tmp_path: Path) -> None:
    compare(AWKWARD, AWKWARD_TEXTS, [spark_engine], tmp_path)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("a$", "a\n", "false"),
        ("^a.c$", "a\u2028c", "true"),
        ("^a.c$", "a\nc", "false"),
        ("^\\d{3}-\\d+$", "123-4567", "true"),
        ("^\\d$", "٣", "false"),
        ("b", "abc", "true"),
        ("", "anything", "true"),
    ],
)
def test_a_pattern_means_what_cel_says(pattern: str, text: str, expected: str) -> None:
    policy = Policy.from_text(policy_text([f"buyer.nick.matches({quoted(pattern)})"], {}))
    assert decide(policy, {"buyer.nick": text}).conditions[0].verdict.value == expected


@pytest.mark.parametrize("pattern", [".*", "a+?", "(a|b)c", "[^\\d]", "^x{2,5}$", "\\n", "中"])
def test_what_is_written_for_the_engines_is_in_the_subset_again(pattern: str) -> None:
    written = for_engines(pattern.replace("+?", "+"))
    assert re.fullmatch(r"[\x20-\x7e]*", written)


def test_four_unbounded_signs_are_taken_and_a_choice_more_is_not() -> None:
    assert for_engines("a*b+c*d{2,}")
    for one_more in ("a*b+c*d{2,}e?", "a*b+c*d{2,}(e|f)", "a*b*c*d*e*"):
        with pytest.raises(PatternRefused, match="too many ways"):
            for_engines(one_more)
