"""The ledger: its accounts on the reference page, what the database refuses, and the order of postings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.aftersales.changes import LedgerEntry
from jitui.aftersales.ledger import ACCOUNTS, FLOWS, Account, Cause, balances, cause_of
from jitui.aftersales.model.order import Funder, Funding
from tests.aftersales.market import NOW, Market
from tests.aftersales.test_pay import SUCCEEDED, start_paying

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "ledger.md"


def test_the_page_has_every_account_and_cause_and_no_other() -> None:
    rows = {f"| `{account.value}` | {meaning} |" for account, meaning in ACCOUNTS.items()}
    rows |= {
        f"| `{cause}` | `{flow.debit.value}` | `{flow.credit.value}` | {flow.meaning} |"
        for cause, flow in FLOWS.items()
    }
    written = {line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")}
    assert written == rows
    assert set(ACCOUNTS) == set(Account) and set(FLOWS) == set(Cause)


@pytest.mark.parametrize(("debit", "amount"), [("escrow", 0), ("escrow", -1), ("buyer_payable", 1)])
async def test_the_database_refuses_what_is_no_movement(market: Market, debit: str, amount: int) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        async with market.pool.connection() as connection:
            await connection.execute(
                "INSERT INTO ledger VALUES (1, 'o', 'granted:1', %s, 'buyer_payable', %s, 'CNY', now())",
                (debit, amount),
            )


async def test_an_orders_story_from_payment_to_refund(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    funding = (Funding(Funder.PLATFORM_SUBSIDY, 500), Funding(Funder.MERCHANT_COUPON, 300))
    order = await market.paid_order(buyer, "o-1", amounts=(10000,), funding=funding, now=NOW - timedelta(hours=1))
    await market.asked(buyer, "o-1")
    entries = await market.queries.ledger(order)
    assert [cause_of(entry) for entry in entries] == [
        Cause.CAPTURED,
        Cause.FUNDED,
        Cause.FUNDED,
        Cause.GRANTED,
        Cause.RETURNED,
        Cause.RETURNED,
    ]
    assert balances(entries) == {
        ("buyer_payable", "CNY"): -10000,
        ("escrow", "CNY"): 0,
        ("provider_clearing:simulator", "CNY"): 10000,
        ("subsidy:merchant_coupon", "CNY"): 0,
        ("subsidy:platform_subsidy", "CNY"): 0,
    }


async def test_the_same_news_posts_once(market: Market) -> None:
    paying = await start_paying(market)
    for _ in range(3):
        await paying.hears(SUCCEEDED)
    entries = await market.queries.ledger(paying.order)
    assert sorted(cause_of(entry) for entry in entries) == [Cause.CAPTURED, Cause.GRANTED, Cause.PAID]


POSTS = st.builds(
    LedgerEntry,
    posting=st.just("granted:1"),
    debit=st.sampled_from(["escrow", "buyer_payable"]),
    credit=st.sampled_from(["manual_payout", "provider_clearing:x"]),
    amount_minor=st.integers(1, 10**15),
    currency=st.sampled_from(["CNY", "JPY"]),
    posted_at=st.just(NOW),
)


@given(entries=st.lists(POSTS, max_size=20))
def test_balances_of_a_currency_sum_to_zero(entries: list[LedgerEntry]) -> None:
    found = balances(entries)
    for currency in {entry.currency for entry in entries}:
        assert sum(minor for (_, of), minor in found.items() if of == currency) == 0
