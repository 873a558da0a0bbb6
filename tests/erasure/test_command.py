"""`jitui buyers` as an operator uses it."""

from __future__ import annotations

import asyncio
import io
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from jitui.bootstrap import utc_now
from tests.aftersales.market import open_market
from tests.cli.conftest import Jitui, jitui, settings
from tests.erasure.life import BUYER, PLANTED, a_life, everywhere, rows

__all__ = ["jitui", "settings"]
BY = ("--by", "li.na")


@pytest.fixture
def anna(database_url: str) -> str:
    async def prepare() -> None:
        async with open_market(database_url) as market:
            await a_life(market)

    asyncio.run(prepare())
    return BUYER


def test_a_buyer_is_exported_and_then_erased(jitui: Jitui, anna: str, database_url: str) -> None:
    export = jitui("buyers", "export", anna, *BY)
    assert export.code == 0 and PLANTED in export.out
    assert export.json["buyer"]["buyer_id"] == anna
    done = jitui("buyers", "erase", anna, "--yes", "--json", *BY)
    assert (done.code, done.json["erased"], done.json["orders"]) == (0, True, 3)
    assert everywhere(database_url, anna, PLANTED) == []
    again = jitui("buyers", "erase", anna, "--yes", *BY)
    assert (again.code, again.out) == (0, "The buyer was erased before; nothing was left.\n")
    gone = jitui("buyers", "export", anna, *BY)
    assert (gone.code, gone.err) == (2, f"Nothing is stored about a buyer '{anna}'.\n")
    verified = jitui("audit", "verify")
    assert verified.code == 0
    assert "but for 3 that an erasure redacted" in verified.out and "cannot be checked any more" in verified.out
    ticket = str(rows(database_url, "SELECT min(ticket_id::text) FROM ticket WHERE state = 'refunded'")[0][0])
    explained = jitui("explain", ticket, "--language", "en")
    assert explained.code == 0
    assert "The buyer was erased." in explained.err and "Facts that were texts of the buyer are gone" in explained.err
    assert jitui("ledger", "--check").code == 0


@pytest.mark.parametrize("said", ["no\n", "y\n", "\n", ""], ids=["no", "letter", "nothing", "end-of-input"])
def test_it_asks_and_only_yes_erases(
    jitui: Jitui, anna: str, database_url: str, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(said))
    refused = jitui("buyers", "erase", anna, *BY)
    assert refused.code == 2 and "Nothing was erased" in refused.err
    assert everywhere(database_url, anna)
    monkeypatch.setattr(sys, "stdin", io.StringIO("Yes\n"))
    assert jitui("buyers", "erase", anna, *BY).code == 0
    assert everywhere(database_url, anna) == []


def test_what_is_open_is_told_with_its_end(jitui: Jitui, database_url: str) -> None:
    async def prepare() -> None:
        now = utc_now() - timedelta(hours=1)
        async with open_market(database_url, now=now) as market:
            await market.paid_order("b-1", "o-1", now=now)
            await market.asked("b-1", "o-1", now=now)

    asyncio.run(prepare())
    refused = jitui("buyers", "erase", "b-1", "--yes", *BY)
    first, second = refused.out.splitlines()
    assert refused.code == 1
    assert first.startswith("Not erased: something is open. It is possible from 20")
    assert second.startswith("  ticket ") and "of order o-1, open until 20" in second
    as_json = jitui("buyers", "erase", "b-1", "--yes", "--json", *BY)
    assert (as_json.code, as_json.json["erased"], as_json.json["pending"][0]["kind"]) == (1, False, "ticket")


def test_the_list_erases_again_what_a_backup_brought_back(
    jitui: Jitui, anna: str, database_url: str, tmp_path: Path
) -> None:
    assert jitui("buyers", "erase", anna, "--yes", *BY).code == 0
    file = tmp_path / "erasures.txt"
    file.write_text(jitui("buyers", "erased").out)

    async def restore() -> None:
        async with open_market(database_url) as market, market.pool.connection() as connection:
            await connection.execute("DELETE FROM erased_buyer")
            await market.premium_buyer(anna)

    asyncio.run(restore())
    done = jitui("buyers", "erase", "--from", str(file), "--yes", *BY)
    assert (done.code, done.out) == (0, "1 erased again, of 1 on the list.\n")
    assert everywhere(database_url, anna) == []
    assert jitui("buyers", "erased").out == file.read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("erase", *BY), "Name one buyer, or a list"),
        (("erase", "b-1", "--from", "FILE", *BY), "Name one buyer, or a list"),
        (("erase", "b 1", "--yes", *BY), "this is no id"),
        (("erase", "nobody", "--yes", *BY), "Nothing is stored"),
        (("erase", "b-1", "--yes", "--by", " "), "--by says who"),
        (("export", "b-1", "--by", ""), "--by says who"),
        (("export", "nobody", *BY), "Nothing is stored"),
        (("erase", "--from", "/nowhere/list", "--yes", *BY), "cannot be read"),
    ],
    ids=["nobody-named", "both", "no-id", "unknown", "no-name", "export-no-name", "export-unknown", "no-file"],
)
def test_what_cannot_be_done_is_a_sentence(jitui: Jitui, words: tuple[str, ...], says: str) -> None:
    refused = jitui("buyers", *words)
    assert refused.code == 2 and says in refused.err and len(refused.err.splitlines()) == 1
