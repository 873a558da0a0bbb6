"""`jitui replay` as a person or a script calls it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from jitui.entrypoints.cli.main import main
from tests.backtest.invoices import InvoiceRow, write_parquet
from tests.demo_replay.shop import EARLY, POLICY_TEXT

ROWS = [
    EARLY,
    InvoiceRow("500001", "22728", 6, "2011-03-01 10:00", 2.0, 11.0),
    InvoiceRow("500002", "22728", 6, "2011-03-01 10:00", 2.0, None),
    InvoiceRow("5000 3", "22728", 6, "2011-03-01 10:00", 2.0, 11.0),
    InvoiceRow("C600001", "22728", -2, "2011-03-01 12:30", 2.0, 11.0),
    InvoiceRow("C600002", "D", -1, "2011-03-01 12:30", 5.0, 11.0),
]


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: object
    stdout: str
    stderr: str


Jitui = Callable[..., Done]


@pytest.fixture
def jitui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Jitui:
    """`jitui replay` with these words, in a home of its own."""
    monkeypatch.setenv("JITUI_HOME", str(tmp_path))

    def run(*words: str) -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main(["replay", *words])
        said = capfd.readouterr()
        return Done(left.value.code or 0, said.out, said.err)

    return run


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY_TEXT, encoding="utf-8")
    return str(path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(write_parquet(tmp_path / "shop.parquet", ROWS))


def test_one_json_object_and_a_file_of_what_was_not_matched(
    jitui: Jitui, tmp_path: Path, file: str, policy: str, database_url: str
) -> None:
    unmatched = tmp_path / "unmatched.csv"
    words = (file, "--policy", policy, "--database-url", database_url, "--json", "--unmatched", str(unmatched))
    done = jitui(*words, "--show", "0")
    assert done.code == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["requests"], report["instant"], report["refunded"]) == (1, 1, 1)
    assert report["amounts"]["refunded_minor"] == 400
    assert report["amounts"]["currency"] == "GBP"
    assert report["assumed"]["dispatch_hours"] == 24
    assert report["file"]["rows_set_aside"] == {"broken": 1, "no_customer": 1}
    assert report["matching"]["unmatched_by_reason"]["not_goods"]["rows"] == 1
    assert report["matching"]["first_unmatched"] == []
    assert report["new"] == {"orders": 2, "tickets": 1, "answers": 1}
    assert report["seconds"] > 0
    (row,) = csv.DictReader(unmatched.open(encoding="utf-8"))
    assert (row["row"], row["sku"], row["reason"]) == ("6", "D", "not_goods")
    again = json.loads(jitui(*words, "--show", "0").stdout)
    assert again["new"] == {"orders": 0, "tickets": 0, "answers": 0}
    assert {**again, "new": 0, "seconds": 0} == {**report, "new": 0, "seconds": 0}


def test_tables_for_a_person(jitui: Jitui, file: str, policy: str, database_url: str) -> None:
    done = jitui(file, "--policy", policy, "--database-url", database_url)
    assert done.code == 0, done.stderr
    for words in ("2 orders of 2 lines", "4.00 GBP", "unmatched: not_goods", "under 4h", "books agree"):
        assert words in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("--format", "olist"), "There is no history format 'olist'; known are: online-retail."),
        (("--database-url", "postgresql://127.0.0.1:1/none"), ""),
        (("--fresh",), "--fresh drops only the replay's own database"),
        (("--limit-orders", "0"), "limit-orders"),
        (("--from", "March"), "March"),
        (("--from", "2012-01-01"), "There is no row with a readable date in these days."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    jitui: Jitui, file: str, policy: str, database_url: str, changed: tuple[str, ...], said: str
) -> None:
    done = jitui(file, "--policy", policy, "--database-url", database_url, *changed)
    assert done.code in (2, 3)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_policy_in_another_currency_cannot_decide(jitui: Jitui, tmp_path: Path, file: str, database_url: str) -> None:
    yuan = tmp_path / "yuan.yaml"
    yuan.write_text(POLICY_TEXT.replace("GBP", "CNY"), encoding="utf-8")
    done = jitui(file, "--policy", str(yuan), "--database-url", database_url)
    assert done.code == 2
    assert "decides in CNY, online-retail is in GBP" in done.stderr


def test_a_missing_file_and_a_missing_policy_are_named(jitui: Jitui, tmp_path: Path, file: str, policy: str) -> None:
    assert "no.parquet" in jitui(str(tmp_path / "no.parquet"), "--policy", policy).stderr
    assert "no.yaml" in jitui(file, "--policy", str(tmp_path / "no.yaml")).stderr
