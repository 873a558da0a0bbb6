"""`jitui experiment report`, as people run it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Jitui
from tests.experiment.histories import planted


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted(tmp_path_factory.mktemp("planted") / "h", buyers=40_000, disputes_held_out=0.08)


@pytest.mark.parametrize(("language", "said"), [("en", "better"), ("zh", "更好")])
def test_a_report_for_people_fits_eighty_columns(jitui: Jitui, history: Path, language: str, said: str) -> None:
    done = jitui("experiment", "report", "--history", str(history), "--hold-out-percent", "2", "--language", language)
    assert done.code == 0, done.err
    assert said in done.out
    assert max(map(_columns, done.out.splitlines())) <= 80


def _columns(line: str) -> int:
    """Chinese letters are two columns wide."""
    return sum(2 if letter > "\u2e80" else 1 for letter in line)


def test_files_for_machines_and_one_page_for_people(jitui: Jitui, history: Path, tmp_path: Path) -> None:
    done = jitui(
        "experiment", "report", "--history", str(history), "--hold-out-percent", "2", "--out", str(tmp_path / "o")
    )
    assert done.code == 0, done.err
    document = json.loads((tmp_path / "o" / "report.json").read_text(encoding="utf-8"))
    verdicts = {one["id"]: one["all"]["verdict"] for one in document["metrics"]}
    assert verdicts == {"disputes": "better", "hours_to_close": "better", "requests": "cannot_tell"}
    assert document["missing"] == ["returns_after_shipment", "orders_afterwards"]
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "Disputes per 1,000 requests" in page and "每千笔申请的纠纷数" in page
    assert not re.search(r"<script|https?://|<link|@import|url\(", page), "the page needs nothing but itself"


def test_json_is_the_document_of_the_file(jitui: Jitui, history: Path, tmp_path: Path) -> None:
    words = ("experiment", "report", "--history", str(history), "--hold-out-percent", "2")
    printed = jitui(*words, "--json", "--out", str(tmp_path / "o")).json
    assert printed == json.loads((tmp_path / "o" / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "yesterday"), "write it as 2026-11-30"),
        (("--until", "2026-02-30"), "write it as 2026-11-30"),
        (("--language", "fr"), "zh or en"),
        (("--time-zone", "Asia/Nowhere"), "no time zone"),
        (("--hold-out-percent", "0"), "greater than or equal to 1"),
        ((), "name it with --hold-out-percent"),
    ],
)
def test_wrong_words_say_what_to_write(jitui: Jitui, history: Path, words: tuple[str, ...], said: str) -> None:
    done = jitui("experiment", "report", "--history", str(history), *words)
    assert (done.code, said in done.err) == (2, True), done.err


def test_days_without_requests_say_that_nobody_is_there(jitui: Jitui, history: Path) -> None:
    done = jitui("experiment", "report", "--history", str(history), "--hold-out-percent", "2", "--from", "2030-01-01")
    assert done.code == 0, done.err
    assert "Nobody is in this arm: Held out, With the service." in done.out
