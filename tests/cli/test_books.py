"""The ledger, reconciliation and tasks on the command line."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from jitui.bootstrap import utc_now
from tests.aftersales.market import open_market
from tests.cli.conftest import Jitui

HEADER = "time,kind,provider_id,payment_id,reference,order_id,amount,currency\n"


@pytest.fixture
def paid(database_url: str) -> str:
    """An order that was paid at noon of yesterday, and whose refund was approved; its id."""
    noon = (utc_now() - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)

    async def prepare() -> None:
        async with open_market(database_url, now=noon) as market:
            buyer = await market.premium_buyer("b-1", noon)
            await market.paid_order(buyer, "o-1", amounts=(12900,), now=noon)
            await market.asked(buyer, "o-1", now=noon)

    asyncio.run(prepare())
    return "o-1"


def statement(folder: Path, *lines: str) -> str:
    path = folder / "statement.csv"
    path.write_text(HEADER + "".join(line + "\n" for line in lines))
    return str(path)


def at_noon(rest: str) -> str:
    return f"{(utc_now() - timedelta(days=1)).date()}T12:00:00.000Z,{rest}"


def test_an_orders_story_in_accounts(jitui: Jitui, paid: str) -> None:
    shown = jitui("ledger", paid)
    assert shown.code == 0
    assert "The buyer paid" in shown.out and "debit escrow, credit buyer_payable" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    told = jitui("ledger", paid, "--json").json
    assert [row["posting"].partition(":")[0] for row in told["postings"]] == ["captured", "granted"]
    assert sum(row["balance_minor"] for row in told["balances"]) == 0


def test_an_unknown_order_is_a_sentence(jitui: Jitui) -> None:
    done = jitui("ledger", "o-404")
    assert (done.code, done.out) == (2, "")
    assert done.err == "There is no order 'o-404' in this database.\n"


def test_a_statement_that_agrees_leaves_with_0(jitui: Jitui, paid: str, tmp_path: Path) -> None:
    file = statement(tmp_path, at_noon("capture,pay-o-1-1,pay-o-1-1,,o-1,129.00,CNY"))
    done = jitui("reconcile", "simulator", file)
    assert done.code == 0, done.err
    assert "matched" in done.out and "129.00 CNY" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_differences_are_shown_listed_resolved_and_leave_with_1(jitui: Jitui, paid: str, tmp_path: Path) -> None:
    file = statement(
        tmp_path,
        at_noon("capture,pay-o-1-1,pay-o-1-1,,o-1,128.00,CNY"),
        at_noon("refund,re_1,pay-x,ref-x,o-x,-5.00,CNY"),
        "nonsense,refund,re_2,pay-x,ref-x,o-x,-5.00,CNY",
    )
    done = jitui("reconcile", "simulator", file)
    assert done.code == 1
    assert max(map(len, done.out.splitlines())) <= 80
    told = jitui("reconcile", "simulator", file, "--json")
    assert (told.code, told.json["open_differences"], told.json["unreadable_rows"]) == (1, 3, 1)
    kinds = sorted(row["kind"] for row in told.json["first_differences"])
    assert kinds == ["amount_differs", "theirs_only", "unreadable_row"]
    listed = jitui("tasks", "--json").json["tasks"]
    assert sorted(task["kind"] for task in listed) == kinds
    assert max(map(len, jitui("tasks").out.splitlines())) <= 80
    for task in listed:
        assert jitui("tasks", "--resolve", task["task_id"]).code == 2, "a note is needed"
        assert jitui("tasks", "--resolve", task["task_id"], "--note", "asked them", "--by", "li.na").code == 0
    assert jitui("tasks").out == "There are no open tasks.\n"
    assert len(jitui("tasks", "--all", "--json").json["tasks"]) == 3
    last = jitui("reconcile", "simulator", file)
    assert last.code == 0 and "3 differences were resolved before." in last.out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("paypal", "FILE"), "one of simulator, wechat_pay, alipay, stripe"),
        (("simulator", "none.csv"), "cannot be read"),
        (("stripe", "FILE"), "is not an itemised balance report of Stripe"),
        (("simulator", "FILE"), "say from when (--from) until when (--until)"),
        (("simulator", "FILE", "--from", "soon", "--until", "2026-01-02"), "--from takes a day or a time"),
        (("simulator", "FILE", "--from", "2026-01-01T00:00", "--until", "2026-01-02"), "--from needs its zone"),
        (("simulator", "FILE", "--from", "2026-01-02", "--until", "2026-01-02"), "is not before"),
    ],
)
def test_what_cannot_be_reconciled_is_a_sentence(
    jitui: Jitui, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    file = statement(tmp_path)
    done = jitui("reconcile", *(file if word == "FILE" else word for word in words))
    assert (done.code, done.out) == (2, "")
    assert why in done.err and done.err.count("\n") == 1


def test_an_empty_statement_misses_what_we_posted(jitui: Jitui, paid: str, tmp_path: Path) -> None:
    """Payments are compared where the statement lists any, so an empty one tells of refunds alone."""
    day = (utc_now() - timedelta(days=1)).date()
    done = jitui("reconcile", "simulator", statement(tmp_path), "--from", f"{day}", "--until", f"{day}T23:59:59Z")
    assert done.code == 0
    assert "refunds alone were compared" in done.out


def test_an_unknown_task_is_a_sentence(jitui: Jitui) -> None:
    assert jitui("tasks", "--resolve", "x", "--note", "n").code == 2
    done = jitui("tasks", "--resolve", "0197312a-6c40-7a13-8e22-5f60718293a4", "--note", "n")
    assert done.code == 2 and done.err.startswith("There is no task ")


def test_every_orders_ledger_is_held_against_its_payments(jitui: Jitui, paid: str, database_url: str) -> None:
    done = jitui("ledger", "--check")
    assert (done.code, done.out) == (0, "Every order's ledger agrees with its payments.\n")
    assert jitui("ledger", "--check", "--json").json == {"balanced": True, "differences": []}
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE ledger SET amount_minor = 12800 WHERE posting LIKE 'captured%'")
    done = jitui("ledger", "--check")
    assert (done.code, done.err) == (1, "")
    assert "order o-1: captured is 128.00 CNY by the ledger, 129.00 by the order\n" in done.out
    told = jitui("ledger", "--check", "--json")
    assert (told.code, told.json["balanced"]) == (1, False)
    assert {one["what"] for one in told.json["differences"]} == {"captured", "escrow"}
    for words in ((), ("o-1", "--check")):
        refused = jitui("ledger", *words)
        assert (refused.code, refused.err) == (2, "Name an order, or --check all of them.\n")
