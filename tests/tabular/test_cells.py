"""A cell is read exactly as it is written, or refused: it is never guessed, rounded or changed."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jitui.money import MAX_AMOUNT_MINOR, currency_exponent, to_decimal_text
from jitui.tabular.cells import (
    Unreadable,
    bare,
    is_empty,
    read_amount,
    read_currency,
    read_flag,
    read_id,
    read_minor,
    read_moment,
    read_owner,
    read_text,
    read_whole,
)
from jitui.tabular.foreign_cells import plain_amount
from jitui.tabular.mapping import CellRules

CURRENCIES = st.sampled_from(["CNY", "JPY", "BHD"])
MARKS = st.sampled_from(["{}", "'{}", "`{}", '="{}"', "\t{}", "{}\t\t", "\ufeff{} ", "\u3000{}\u00a0"])
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
SHAPED = "\u200c\u200d\u2068\u2069"
"""Joiners, which some scripts need, and what isolates words that run from right to left."""
ANYTHING = st.text() | st.from_regex(r"[-+0-9eE.,_ '`=\"١１]{1,12}", fullmatch=True)


@given(st.integers(-MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR), CURRENCIES, MARKS)
def test_an_amount_is_read_back_exactly_through_every_mark_of_a_spreadsheet(
    minor: int, currency: str, mark: str
) -> None:
    assert read_amount(mark.format(to_decimal_text(minor, currency)), currency) == minor


@given(ANYTHING, CURRENCIES)
@example("1e1000000", "CNY")
@example("NaN", "CNY")
@example("1_300", "CNY")
def test_an_amount_is_exactly_what_was_written_or_refused(text: str, currency: str) -> None:
    found = read_amount(text, currency)
    if isinstance(found, int):
        written = bare(text)
        assert set(written) <= set("+-.0123456789")
        assert Decimal(found).scaleb(-currency_exponent(currency)) == Decimal(written)


@given(st.floats())
def test_no_float_passes_through_an_amount(value: float) -> None:
    assert isinstance(read_amount(value, "CNY"), Unreadable)
    assert isinstance(read_minor(value), Unreadable)
    assert isinstance(read_id(value), Unreadable)


@given(ANYTHING)
@example("007")
@example("1E5")
def test_an_id_is_never_changed_by_reading(text: str) -> None:
    found = read_id(text)
    assert isinstance(found, Unreadable) or found == bare(text)
    assert isinstance(found, Unreadable) or read_id(found) == found


@given(st.integers(0, 10**30))
def test_an_id_of_digits_keeps_every_digit(number: int) -> None:
    assert read_id(number) == str(number) == read_id(str(number)) == read_id(Decimal(number))


@pytest.mark.parametrize(
    "text",
    [
        "6.92E+18",
        "6.92e18",
        "7E+18",
        "7E18",
        "1234.0",
        "6,920,000",
        "nan",
        "#N/A",
        "N/A",
        "null",
        "None",
        "-",
        "—",
        "/",
        "'`5",
        "=A1",
        "１２３",
        "-1e5",
        "1.E5",
    ],
)
def test_an_id_that_a_spreadsheet_may_have_damaged_is_refused_with_what_to_do(text: str) -> None:
    found = read_id(text)
    assert isinstance(found, Unreadable)
    assert any(word in found.reason for word in ("export the column as text", "fill it in", "write plain ones"))


def test_zero_is_the_id_of_no_order_and_may_be_that_of_a_line() -> None:
    assert isinstance(read_owner("0"), Unreadable) and isinstance(read_owner("000"), Unreadable)
    assert (read_id("0"), read_owner("007")) == ("0", "007")


@pytest.mark.parametrize("text", ["12E45a", "2E", "12E4", "0123", "1-2", "2026.1", "a_b", "1,2"])
def test_an_id_that_only_looks_like_a_number_stays(text: str) -> None:
    assert read_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "1.300",
        "1_300",
        "NaN",
        "Infinity",
        "1e1000000",
        "1e2",
        "１２",
        "1,300.00",
        "12,50",
        "¥12",
        ".5",
        "5.",
        "--1",
        "",
        "٣",
    ],
)
def test_what_is_not_digits_and_one_point_is_no_amount(text: str) -> None:
    assert isinstance(read_amount(text, "CNY"), Unreadable)


def test_no_amount_has_more_decimals_than_its_currency() -> None:
    assert isinstance(read_amount("129.00", "JPY"), Unreadable)
    assert read_amount("1.300", "BHD") == 1300
    assert read_amount(Decimal("129.0000"), "CNY") == 12900
    assert isinstance(read_amount(Decimal("129.001"), "CNY"), Unreadable)
    assert isinstance(read_amount(str(MAX_AMOUNT_MINOR + 1), "JPY"), Unreadable)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2.5, 2.0**60, True, "2.0", "1e2", Decimal("1e50"), None])
def test_what_is_not_whole_is_no_whole_number(value: object) -> None:
    assert isinstance(read_whole(value), Unreadable)


def test_whole_numbers_of_typed_files() -> None:
    assert [read_whole(value) for value in (3.0, Decimal("3.00"), 3, '="3"', "'+3")] == [3] * 5
    assert read_whole(2.0**53 - 1) == 2**53 - 1
    for lost in (2.0**53, -(2.0**53), float(2**53 + 1)):
        assert isinstance(read_whole(lost), Unreadable), "the float of 2^53 is also that of 2^53 + 1"


def test_a_time_is_read_in_its_own_zone_or_in_the_files() -> None:
    noon = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
    for text in (
        "2026-03-02 10:15:00 +0100",
        "2026-03-02T10:15:00+01:00",
        "2026-03-02t09:15:00z",
        "'2026-03-02 09:15:00Z",
    ):
        assert read_moment(text, None) == noon
    assert read_moment("2026-03-02 17:15:00", ZoneInfo("Asia/Shanghai")) == noon
    assert isinstance(read_moment("2026-03-02 17:15:00", None), Unreadable)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02",
        "46083.5",
        "03/02/2026 10:15",
        "2026-02-30 10:15Z",
        "2026-03-02 10:15:04.1234567Z",
        "２０２６-03-02 10:15Z",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59-14:00",
        "1969-12-31T23:59Z",
        "2200-01-01T00:00Z",
        "20260302T101504Z",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    assert isinstance(read_moment(text, UTC), Unreadable)


@pytest.mark.parametrize("text", ["2026-10-25 02:30", "2026-03-29 02:30"])
def test_a_local_time_that_was_twice_or_never_is_refused(text: str) -> None:
    found = read_moment(text, ZoneInfo("Europe/Berlin"))
    assert isinstance(found, Unreadable) and "offset" in found.reason


def test_flags_currencies_and_texts() -> None:
    assert [read_flag(value) for value in (" Yes", 0, "1", False)] == [True, False, True, False]
    assert isinstance(read_flag("maybe"), Unreadable) and isinstance(read_flag(1.0), Unreadable)
    assert read_currency("\tCNY") == "CNY" and isinstance(read_currency("cny"), Unreadable)
    assert isinstance(read_text("a\0b"), Unreadable) and isinstance(read_text(b"x"), Unreadable)
    assert all(is_empty(cell) for cell in (None, "", "\t", '=""', "'", "\ufeff ")) and not is_empty(0)


@given(ANYTHING)
def test_a_refusal_shows_nothing_that_cannot_be_seen(text: str) -> None:
    for found in (read_id(text), read_amount(text, "CNY"), read_moment(text, UTC)):
        assert not isinstance(found, Unreadable) or set() == HIDDEN & {
            unicodedata.category(sign) for sign in found.reason if sign not in SHAPED
        }


# With a map's rules -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "minor"),
    [
        ("1.299", 129_900),
        ("-1.234.567", -123_456_700),
        ("12.34", 1_234),
        ("1.29", 129),
        ("1.2345", None),
        ("1234.567", None),
        ("1.234.56", None),
        (".234", None),
    ],
)
def test_only_whole_groups_of_three_are_groups_of_thousands(written: str, minor: int | None) -> None:
    """A point that groups is also the point of decimals: what is neither one nor the other is refused."""
    found = read_amount(plain_amount(written, CellRules(thousands=".")), "CNY")
    assert found == minor if minor is not None else isinstance(found, Unreadable)
