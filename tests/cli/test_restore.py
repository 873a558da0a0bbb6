"""`jitui restore`: it reports held payouts, and accepts only when nothing was left out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from jitui.ids import lane_of, new_id
from tests.aftersales.market import open_market
from tests.cli.conftest import Jitui

HEADER = "time,kind,provider_id,payment_id,reference,order_id,amount,currency\n"


@pytest.fixture
def restored(database_url: str) -> str:
    """A database with one queued refund, as a restore to a point in time leaves it."""

    async def prepare() -> None:
        now = datetime.now(UTC)
        async with open_market(database_url, now=now) as market:
            buyer = await market.premium_buyer("b-1", now)
            await market.paid_order(buyer, "o-1", amounts=(10_000,), now=now)
            await market.asked(buyer, "o-1", now=now)

    asyncio.run(prepare())
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE accepted_database SET timeline_id = timeline_id + 1")
    return database_url


def statement(folder: Path, payment_id: str = "pay-o-1-1", reference: str = "") -> str:
    """A statement with one refund of a moment ago; returns the option's value."""
    at = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
    path = folder / "statement.csv"
    reference = reference or str(new_id(lane_of("b-1")))
    path.write_text(f"{HEADER}{at},refund,re_1,{payment_id},{reference},o-1,-100.00,CNY\n")
    return f"simulator={path}"


def hours_ago(hours: int) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()


def test_a_restored_database_says_that_it_pays_nothing(jitui: Jitui, restored: str) -> None:
    told = jitui("restore", "status")
    assert told.code == 1
    assert "Payouts are held: this database was restored or promoted" in told.out
    assert "1 refunds are open" in told.out
    assert jitui("restore", "status", "--json").json["allowed"] is False
    doctor = jitui("doctor", "--json")
    (finding,) = [one for one in doctor.json["findings"] if one["what"] == "payouts"]
    assert (doctor.code, finding["level"]) == (1, "missing")


def test_nothing_is_accepted_before_every_provider_was_checked(jitui: Jitui, restored: str, tmp_path: Path) -> None:
    since = ("--since", hours_ago(1))
    refused = jitui("restore", "accept", *since, "--fed-again")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "give a --statement of simulator, or --without it" in refused.err
    refused = jitui("restore", "accept", *since, "--statement", statement(tmp_path))
    assert refused.code == 1 and "--fed-again" in refused.err
    assert jitui("restore", "status").code == 1
    accepted = jitui("restore", "accept", *since, "--statement", statement(tmp_path), "--fed-again", "--by", "li.na")
    assert (accepted.code, accepted.out.splitlines()[-1]) == (0, "Accepted: refunds are paid again.")
    told = jitui("restore", "status")
    assert told.code == 0 and "by li.na" in told.out and "0 refunds are open" in told.out


def test_a_provider_is_left_out_only_by_its_name(jitui: Jitui, restored: str) -> None:
    since = ("--since", hours_ago(1))
    assert jitui("restore", "accept", *since, "--fed-again", "--without", "stripe").code == 1
    assert jitui("restore", "accept", *since, "--fed-again", "--without", "simulator").code == 0


def test_what_was_paid_after_the_backup_is_taken_in_once(jitui: Jitui, restored: str, tmp_path: Path) -> None:
    given = ("--since", hours_ago(1), "--statement", statement(tmp_path))
    first = jitui("restore", "check", *given)
    assert first.code == 0 and "1 refunds listed: 0 known here, 1 paid after the backup." in first.out
    again = jitui("restore", "check", *given, "--json").json
    assert (again["listed"], again["known"], again["adopted"]) == (1, 1, 0)
    assert jitui("restore", "status").code == 1, "checking accepts nothing"


def test_a_refund_that_came_back_is_still_owed(jitui: Jitui, restored: str, tmp_path: Path) -> None:
    given = statement(tmp_path)
    path = tmp_path / "statement.csv"
    (row,) = path.read_text().splitlines()[1:]
    path.write_text(f"{HEADER}{row}\n{row.replace(',refund,', ',refund_returned,').replace('-100.00', '100.00')}\n")
    told = jitui("restore", "check", "--since", hours_ago(1), "--statement", given)
    assert told.code == 0 and "1 refunds listed: 0 known here, 0 paid after the backup." in told.out
    assert "1 refunds are open" in jitui("restore", "status").out


def test_a_statement_with_a_row_that_cannot_be_read_is_not_taken(jitui: Jitui, restored: str, tmp_path: Path) -> None:
    given = statement(tmp_path)
    with (tmp_path / "statement.csv").open("a") as file:
        file.write("yesterday,refund,re_2,p,r,o,much,CNY\n")
    told = jitui("restore", "check", "--since", hours_ago(1), "--statement", given)
    assert told.code == 2 and "line 3" in told.err
    assert "1 refunds are open" in jitui("restore", "status").out, "nothing of it was taken in"


def test_what_nobody_explains_is_a_task_and_leaves_with_1(jitui: Jitui, restored: str, tmp_path: Path) -> None:
    other = statement(tmp_path, reference="made in the console")
    told = jitui("restore", "check", "--since", hours_ago(1), "--statement", other)
    assert told.code == 1 and "1 have no explanation" in told.out
    (task,) = jitui("tasks", "--json").json["tasks"]
    assert (task["kind"], task["order_id"]) == ("refund_not_in_books", "o-1")
    assert "1 refunds at providers have no explanation" in jitui("restore", "status").out


def test_payouts_are_held_by_hand_with_a_reason(jitui: Jitui) -> None:
    assert jitui("restore", "hold").code == 2
    told = jitui("restore", "hold", "--reason", "a [b]copy[/b]\x1b[2J of the disk", "--by", "li.na")
    assert told.code == 0 and "\x1b" not in told.out and "by li.na: a [b]copy[/b]" in told.out
    assert jitui("restore", "accept", "--since", hours_ago(1), "--fed-again").code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--statement", "nowhere"), "PROVIDER=FILE"),
        (("--statement", "paypal=x.csv"), "PROVIDER=FILE"),
        (("--statement", "simulator=/nonexistent.csv"), "nonexistent"),
        (("--since", "yesterday"), "--since"),
        ((), "--since"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(jitui: Jitui, restored: str, words: tuple[str, ...], says: str) -> None:
    told = jitui("restore", "check", *words)
    assert told.code == 2 and says in told.err and "Traceback" not in told.err
