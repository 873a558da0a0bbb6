"""`jitui incidents` and `jitui finance`: an incident from the scan to its end, and the books, beside the database."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest

from jitui.aftersales.governance.policies import text_of
from jitui.bootstrap import utc_now
from jitui.policy import Policy, public_view
from tests.aftersales.incidents import an_incident
from tests.aftersales.market import DEFAULT_POLICY, open_market
from tests.cli.conftest import Jitui, Result, in_a_process
from tests.client.service import answering_examples

ZONE = ZoneInfo("Asia/Shanghai")
CHARGING = Policy.from_text(DEFAULT_POLICY.text + "\nloss: {borne_by: merchant}\n")


@pytest.fixture
def incident(database_url: str) -> str:
    """An incident of 129.00 CNY, approved by a policy that lets the shop bear it; its id."""

    async def prepare() -> str:
        async with open_market(database_url) as opened:
            market = replace(opened, policy=CHARGING)
            await market.policies.push(text_of(CHARGING, by="test", now=utc_now()), public_view(CHARGING))
            _, ref = await an_incident(market)
            return str(ref.incident_id)

    return asyncio.run(prepare())


def test_an_incident_from_the_scan_to_the_recovery(jitui: Jitui, incident: str) -> None:
    assert incident in jitui("incidents", "list", "--state", "open").out
    done = jitui("incidents", "evidence", incident, "--text", "Stopped?", "--reference", "SF1", "--by", "li")
    assert done.code == 0, done.err
    assert jitui("incidents", "contact", incident, "phone", "--note", "Sends it back.", "--by", "li").code == 0
    decided = jitui("incidents", "decide", incident, "borne_by_shop", "--reason", "Late.", "--by", "li", "--json")
    assert decided.code == 0, decided.err
    assert (decided.json["state"], decided.json["shop_minor"]) == ("recovering", 12900)
    stale = jitui(
        "incidents", "decide", incident, "returned", "--reason", "No.", "--by", "li", "--version", "1", "--json"
    )
    assert (stale.code, stale.out) == (1, "") and "has changed" in stale.err
    assert jitui("incidents", "contest", incident, "--reason", "It was stopped.", "--by", "shop").code == 0
    own = jitui("incidents", "answer", incident, "rejected", "--words", "No.", "--by", "LI")
    assert own.code == 2 and "another person" in own.err
    assert jitui("incidents", "answer", incident, "rejected", "--words", "No.", "--by", "wang").code == 0
    part = jitui("incidents", "recover", incident, "--amount", "90.00", "--reference", "SET-1", "--by", "li")
    assert "39.00 CNY still owed" in part.out
    much = jitui("incidents", "recover", incident, "--amount", "39.01", "--by", "li")
    assert much.code == 1 and "3900 minor units" in much.err
    log = jitui("incidents", "show", incident).out.splitlines()[-1]
    assert re.search(r"6  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+", log), "times as everywhere in the command line"
    shown = jitui("incidents", "show", incident, "--json").json
    kinds = [entry["kind"] for entry in shown["log"]]
    assert kinds == ["evidence", "contact", "outcome", "contest", "answer", "recovery"]
    accounts = {one["account"]: one["balance_minor"] for one in jitui("ledger", "o-1", "--json").json["balances"]}
    assert (accounts["shop_receivable"], accounts["shop_settlement"]) == (3900, 9000)
    actions = {row["action"] for row in jitui("audit", "list", "--json").json["events"]}
    assert {"incident.outcome", "incident.contest", "incident.answer", "incident.recovery"} <= actions


REFUSED: list[tuple[list[str], str]] = [
    (["show", "nonsense"], "not an incident's id"),
    (["show", "0197312a-7000-7a14-a133-8192a3b4c53c"], "There is no incident"),
    (["decide", "ID", "lost", "--reason", "x", "--by", "li"], "OUTCOME is one of"),
    (["decide", "ID", "returned", "--reason", "x"], "Who does this?"),
    (["decide", "ID", "returned", "--reason", " ", "--by", "li"], "takes 1 to 2000"),
    (["recover", "ID", "--amount", "much", "--by", "li"], "no amount of CNY"),
    (["answer", "ID", "perhaps", "--words", "x", "--by", "li"], "upheld or rejected"),
    (["evidence", "ID", "--text", "x", *["--reference", "r"] * 11, "--by", "li"], "At most 10 references"),
    (["contact", "ID", "phone", "--note", "x", "--at", "noon", "--by", "li"], "a time with its zone"),
]


def test_what_cannot_be_is_a_sentence(jitui: Jitui, incident: str) -> None:
    for words, said in REFUSED:
        done = jitui("incidents", *(incident if word == "ID" else word for word in words))
        assert (done.code, done.out) == (2, ""), words
        assert said in done.err


def test_the_journal_a_statement_and_a_closing(jitui: Jitui, incident: str, database_url: str) -> None:
    today = datetime.now(ZONE).date()
    days = [str(today - timedelta(days=1)), str(today)]
    told = list(csv.DictReader(io.StringIO(jitui("finance", "journal", *days).out)))
    assert {row["account"] for row in told} == {"provider_clearing:simulator", "escrow", "buyer_payable"}
    assert sum(int(row["debit_minor"]) - int(row["credit_minor"]) for row in told) == 0
    as_json = jitui("finance", "journal", *days, "--json").json["lines"]
    assert [{name: str(value) for name, value in row.items()} for row in as_json] == told
    entries = jitui("finance", "journal", *days, "--entries", "--json").json["entries"]
    assert [row["posting"].partition(":")[0] for row in entries] == ["captured", "granted"]
    shop = jitui("finance", "statement", "shop-1", *days)
    assert shop.code == 0 and "fees" in shop.out
    assert jitui("finance", "close", str(today), "--by", "li").code == 1
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE ledger SET booked_at = booked_at - interval '3 days'")
    day = str(today - timedelta(days=2))
    closed = jitui("finance", "close", day, "--by", "li", "--json")
    assert closed.code == 0, closed.err
    assert (closed.json["period"], closed.json["entries"]) == (1, 2)
    assert jitui("finance", "periods", "--json").json["periods"][0]["hash"] == closed.json["hash"]
    assert jitui("finance", "verify").out.startswith("The ledger says")
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE ledger DROP CONSTRAINT booked_in_open_period")
        connection.execute("UPDATE ledger SET amount_minor = amount_minor + 1 WHERE posting LIKE 'granted%'")
    found = jitui("finance", "verify")
    assert found.code == 1 and "escrow CNY: debits of 12900" in found.out


def test_days_that_cannot_be_are_a_sentence(jitui: Jitui) -> None:
    for words, said in (
        (["journal", "june"], "FIRST is a day"),
        (["journal", "2026-06-02", "2026-06-01"], "is before"),
        (["close", "2026-06-01"], "Who does this?"),
    ):
        done = jitui("finance", *words)
        assert (done.code, done.out) == (2, "")
        assert said in done.err


def test_a_service_elsewhere_is_read_over_http(tmp_path: Path) -> None:
    settings = {"JITUI_HOME": str(tmp_path / "home"), "JITUI_API_KEY": "jt_0123456789_abc"}
    with answering_examples("nothing", "nothing") as address:

        def read(*words: str) -> Result:
            return in_a_process(*words, "--remote", address, settings=settings)

        shown = read("incidents", "show", "0197312a-7000-7a14-a133-8192a3b4c53c", "--json")
        assert shown.code == 0, shown.err
        assert (shown.json["incident"]["shop_minor"], shown.json["log"][0]["kind"]) == (12900, "contact")
        assert shown.json["incident"]["contest"]["reason"] == "The depot had stopped the parcel."
        assert "129.00 CNY" in read("incidents", "list").out
        journal = read("finance", "journal", "2026-06-01")
        assert journal.out.splitlines()[1] == "2026-06-01,escrow,CNY,0,0,12900,-12900,1", journal.err
        assert read("finance", "periods", "--json").json["periods"][0]["last_day"] == "2026-05-31"
        assert read("finance", "verify").code == 1
        assert read("finance", "statement", "s-1", "2026-06-01", "--json").json["currencies"][0]["fees_minor"] == 0
