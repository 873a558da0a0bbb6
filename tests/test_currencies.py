"""Amounts are in ISO 4217's minor units; CLDR's decimals are not used, and providers count in their own units."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from babel.numbers import get_currency_precision
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from jitui.adapters.payments.statements.stripe import StripeStatements
from jitui.adapters.payments.stripe.amounts import from_stripe_amount, to_stripe_amount
from jitui.adapters.postgres.migrate import current_revision, upgrade
from jitui.aftersales.reconciliation.statement import StatementRow
from jitui.entrypoints.console.page.language import Speech
from jitui.errors import BadInput
from jitui.money import currency_exponent, from_decimal_text, is_currency, share_of_units, to_decimal_text
from jitui.settings import Language

LISTED = {currency.code: currency.exponent for currency in Currency}
WITH_UNITS = {code: digits for code, digits in LISTED.items() if digits is not None}
WITHOUT_UNITS = sorted(set(LISTED) - set(WITH_UNITS))
CHANGED = ("AFN", "ALL", "IQD", "IRR", "KPW", "LAK", "LBP", "MGA", "MMK", "RSD", "SLL", "SOS", "SYP", "YER")
"""Those that the upgrade asks about: CLDR has fewer digits for them than ISO 4217 has, or had when it withdrew them."""

STRIPE_COUNTS_WHOLE = {
    *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
}
STRIPE_COUNTS_THOUSANDTHS = {"BHD", "JOD", "KWD", "OMR", "TND"}
STRIPE_COUNTS_HUNDREDTHS_OF_WHOLE = {"ISK", "UGX"}
DIFFERING = sorted(
    {code for code, digits in WITH_UNITS.items() if digits != get_currency_precision(code) or digits != 2}
    | STRIPE_COUNTS_WHOLE
    | STRIPE_COUNTS_THOUSANDTHS
)


def test_the_table_is_iso_4217s() -> None:
    for code, digits in WITH_UNITS.items():
        assert (currency_exponent(code), is_currency(code)) == (digits, True)
    assert (WITH_UNITS["CNY"], WITH_UNITS["JPY"], WITH_UNITS["BHD"], WITH_UNITS["CLF"]) == (2, 0, 3, 4)
    assert {code for code, digits in WITH_UNITS.items() if digits != get_currency_precision(code)} <= set(CHANGED)
    assert all(currency_exponent(code) > get_currency_precision(code) for code in CHANGED)


@pytest.mark.parametrize("code", [*WITHOUT_UNITS, "cny", "CN", "CNYY", "", "DEM", "ABC", "CNÝ", "123"])
def test_a_code_without_minor_units_is_no_currency_of_an_amount(code: str) -> None:
    assert not is_currency(code)


def test_the_codes_that_stand_for_no_money_are_known_and_refused() -> None:
    assert {"XXX", "XTS", "XAU", "XAG", "XPT", "XPD", "XDR", "XSU", "XUA"} <= set(WITHOUT_UNITS)


@pytest.mark.parametrize("code", DIFFERING)
def test_decimals_become_minor_units_and_come_back(code: str) -> None:
    digits = WITH_UNITS[code]
    for amount_minor in (0, 1, 9, 10, 99, 100, 1250, 10**9 + 1):
        text = to_decimal_text(amount_minor, code)
        assert Decimal(text).scaleb(digits) == amount_minor and from_decimal_text(text, code) == amount_minor
        assert len(text.partition(".")[2]) == digits
        assert to_decimal_text(-amount_minor or -1, code).startswith("-")
    one_digit_more = f"1.{'0' * digits}1"
    assert from_decimal_text(one_digit_more, code) is None, "a digit that the currency has not is no amount"


@pytest.mark.parametrize("code", DIFFERING)
def test_stripe_is_told_the_same_money(code: str) -> None:
    """12.50 RSD is 1250 of our units and of Stripe's; before, it was sent as a hundred times as much."""
    digits = WITH_UNITS[code]
    whole = 5 * 10**digits
    if code in STRIPE_COUNTS_WHOLE:
        expected: int | None = 5
    elif code in STRIPE_COUNTS_THOUSANDTHS:
        expected = 5000
    else:
        known = digits == 2 or code in STRIPE_COUNTS_HUNDREDTHS_OF_WHOLE
        expected = 500 if known else None
    assert to_stripe_amount(whole, code) == expected
    if expected is not None:
        assert from_stripe_amount(expected, code) == whole
    part = to_stripe_amount(whole + 1, code)
    assert part is None or from_stripe_amount(part, code) == whole + 1, "a part is said exactly or not at all"


@pytest.mark.parametrize(
    ("code", "ours", "theirs"),
    [
        ("RSD", 1250, 1250),
        ("MGA", 1250, None),
        ("MGA", 1200, 12),
        ("ISK", 5, 500),
        ("UGX", 5, 500),
        ("JPY", 5, 5),
        ("KWD", 5120, 5120),
        ("KWD", 5124, None),
        ("HUF", 1045, 1045),
        ("TWD", 80045, 80045),
        ("IQD", 1000, None),
        ("LYD", 1000, None),
    ],
)
def test_the_cases_that_stripes_documents_name(code: str, ours: int, theirs: int | None) -> None:
    assert to_stripe_amount(ours, code) == theirs


def test_a_part_that_ours_cannot_say_is_no_amount() -> None:
    assert (from_stripe_amount(550, "ISK"), from_stripe_amount(550, "UGX")) == (None, None)


@pytest.mark.parametrize(("gross", "minor"), [("-12.50", 1250), ("-12.5", 1250), ("-12", 1200), ("-12.505", None)])
def test_a_statement_in_a_currency_whose_coins_are_out_of_use_is_read_by_iso(
    tmp_path: Path, gross: str, minor: int | None
) -> None:
    path = tmp_path / "report.csv"
    path.write_text(
        "balance_transaction_id,created_utc,currency,gross,reporting_category,source_id\n"
        f"txn_1,2026-11-23 10:00:00,rsd,{gross},refund,re_1\n"
    )
    (row,) = StripeStatements().read(path)
    assert (row.amount_minor if isinstance(row, StatementRow) else None) == minor


@pytest.mark.parametrize(
    ("code", "minor", "shown"),
    [
        ("RSD", 1250, "RSD12.50"),
        ("ALL", 5, "ALL0.05"),
        ("JPY", 500, "¥500"),
        ("CNY", 12900, "CN¥129.00"),
        ("KWD", 5124, "KWD5.124"),
        ("ISK", 5, "ISK5"),
    ],
)
def test_a_page_shows_every_digit_that_is_money(code: str, minor: int, shown: str) -> None:
    assert Speech(Language.EN, ZoneInfo("UTC")).money(minor, code) == shown


# Rows of before ----------------------------------------------------------------------------------------------------

BEFORE = "0005"


def put(url: str, *orders: tuple[str, str]) -> None:
    upgrade(url, BEFORE)
    with psycopg.connect(url) as connection:
        for order_id, currency in orders:
            connection.execute(
                "INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, placed_at) "
                "VALUES (1, %s, 'b', 's', %s, 1250, now())",
                (order_id, currency),
            )


@pytest.mark.parametrize("code", CHANGED)
def test_the_upgrade_names_every_currency_that_it_would_read_anew(code: str) -> None:
    sql = (Path(upgrade.__code__.co_filename).parent / "migrations" / "versions").glob("0006_*.sql")
    assert code in next(sql).read_text()


def test_stored_amounts_are_never_read_anew_without_a_word(empty_database_url: str) -> None:
    put(empty_database_url, ("o-1", "RSD"), ("o-2", "RSD"), ("o-3", "ALL"), ("o-4", "CNY"))
    for said in ((), ("RSD",), ("CNY",), ("XRSD",)):
        with pytest.raises(BadInput, match="ALL: 1 orders, the first o-3") as refused:
            upgrade(empty_database_url, iso_amounts=said)
        assert ("RSD: 2 orders" in str(refused.value)) == (said != ("RSD",))
        assert "o-4" not in str(refused.value)
        assert current_revision(empty_database_url) == BEFORE
    upgrade(empty_database_url, iso_amounts=("RSD", "ALL"))
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT DISTINCT freight_minor FROM orders").fetchall() == [(1250,)]


def test_a_policy_in_force_in_such_a_currency_is_named_too(empty_database_url: str) -> None:
    put(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(
            "INSERT INTO policy (policy_id, version, sha256, document, published_by, published_at) "
            "VALUES ('p', '7', 'x', E'policy: p\\ncurrency: RSD\\n', 't', now())"
        )
    with pytest.raises(BadInput, match="RSD: the policy in force, p version 7"):
        upgrade(empty_database_url)


def test_other_currencies_upgrade_without_a_question(empty_database_url: str) -> None:
    put(empty_database_url, ("o-1", "CNY"), ("o-2", "JPY"), ("o-3", "BHD"))
    upgrade(empty_database_url)
    assert current_revision(empty_database_url) != BEFORE


@given(paid=st.integers(0, 10**12), parts=st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_shares_of_units_one_after_the_other_sum_to_the_line(paid: int, parts: list[int]) -> None:
    quantity, before, total = sum(parts), 0, 0
    for units in parts:
        share = share_of_units(paid, quantity, before, units)
        assert share >= 0
        total, before = total + share, before + units
    assert total == paid
