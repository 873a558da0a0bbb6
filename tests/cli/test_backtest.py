"""`jitui simulate`, `jitui backtest` and `jitui policy agree`, as people run them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.backtest.histories import request, small_history, write_csv
from tests.cli.conftest import Jitui
from tests.policy.policy_samples import DEFAULT

NOON = "2025-06-01T12:00:00Z"


@pytest.fixture
def history(tmp_path: Path) -> Path:
    folder = small_history(tmp_path / "h", requests=[request(1, NOON), request(2, NOON, buyer="new"), "broken,row"])
    write_csv(folder, "decisions", "request_id,outcome", ["r1,review", "r2,review"])
    return folder


def test_a_made_up_history_is_back_tested(jitui: Jitui, tmp_path: Path) -> None:
    made = jitui("simulate", "--orders", "3000", "--seed", "3", "--out", str(tmp_path / "h"), "--json")
    rows = json.loads(made.out)["rows"]
    done = jitui("backtest", str(DEFAULT), "--history", str(tmp_path / "h"), "--json")
    summary = json.loads(done.out)["summary"]
    assert summary["requests"] == rows["requests"] > 0
    again = jitui("simulate", "--orders", "10", "--out", str(tmp_path / "h"))
    assert (again.code, "not empty" in again.err) == (2, True)


def test_files_for_machines_and_one_page_for_people(jitui: Jitui, history: Path, tmp_path: Path) -> None:
    words = ("backtest", str(DEFAULT), "--history", str(history), "--against", "decided", "--incident-percent", "2")
    done = jitui(*words, "--segment", "paid=order.paid_minor", "--out", str(tmp_path / "o"))
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert pq.read_table(tmp_path / "o" / "decisions.parquet").num_rows == 2
    summary = json.loads((tmp_path / "o" / "summary.json").read_text(encoding="utf-8"))
    assert [aside["reason"] for aside in summary["set_aside"]] == ["broken"]
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "买家为平台优质用户" in page and "The buyer is a premium buyer of the platform" in page
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)  # ECharts names places that it never asks
    assert not re.search(r"<script src|https?://|<link|@import|url\(", own), "the page needs nothing but itself"
    assert page.count("</script>") == page.count("<script") == 3
    order = ("This history does not tell", "In short", "against really decided", "What stopped the others", "By paid")
    assert [done.out.index(one) for one in order] == sorted(done.out.index(one) for one in order)
    total, after = summary["findings"]["changes"]["total"], summary["findings"]["cost_after"]
    assert (total["gained"], total["lost"], total["gaining_buyers"], total["after_minor"]) == (1, 0, 1, 10_000)
    assert (summary["findings"]["cost_before"]["cost_minor"], after["cost_minor"]) == (0, 200)
    assert page.index("What this history does not tell") < page.index("In short") < page.index("By paid")
    assert page.index("这段历史没有说明的") < page.index("结论") < page.index("按paid")


@pytest.mark.parametrize(
    ("segment", "sentence"),
    [
        ("carrier=carier", "needs 'carier', which is neither a fact of the policy nor a column of the table requests"),
        ("parcel=shop_idd", "shop_id"),
        ("rank=tier", "needs 'tier', which is neither"),
        ("tier", "'tier' is not a segment: write NAME=SOURCE"),
        ("shop=shop_id", "The report has a segment shop of its own"),
        ("cap=caps.buyer_ok", "caps.buyer_ok cannot be a segment"),
        ("lines=order.lines", "order.lines cannot be a segment"),
    ],
)
def test_a_segment_that_no_column_has_is_refused_before_the_work(
    jitui: Jitui, history: Path, tmp_path: Path, segment: str, sentence: str
) -> None:
    words = ("backtest", str(DEFAULT), "--history", str(history), "--segment", segment, "--out", str(tmp_path / "o"))
    done = jitui(*words)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert not (tmp_path / "o" / "decisions.parquet").exists()


def test_a_history_without_requests_says_what_would_help(jitui: Jitui, tmp_path: Path) -> None:
    empty = small_history(tmp_path / "h", requests=[])
    done = jitui("backtest", str(DEFAULT), "--history", str(empty), "--language", "zh", "--out", str(tmp_path / "o"))
    assert (done.code, "A history needs a row in its table requests" in " ".join(done.err.split())) == (0, True)
    assert "refunded at once" not in done.out
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "这段历史里没有申请，因此没有可判定的内容" in page
    assert "so there is nothing to decide. A history needs a row in its table requests" in page
    assert '<html lang="zh">' in page and "<figure" not in page


def test_really_decided_beside_would_be_decided(jitui: Jitui, history: Path) -> None:
    done = jitui("backtest", str(DEFAULT), "--history", str(history), "--against", "decided", "--json")
    cells = json.loads(done.out)["comparison"]["cells"]
    counts = {(cell["here"], cell["there"]): cell["requests"] for cell in cells}
    assert counts == {
        ("instant", "instant"): 0,
        ("instant", "review"): 1,
        ("review", "instant"): 0,
        ("review", "review"): 1,
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--history", "nowhere"], "There is no history at nowhere"),
        (["--engine", "polars"], "There is no engine 'polars'"),
        (["--language", "fr"], "There is no report in 'fr'"),
        (["--time-zone", "Moon/Base"], "There is no time zone 'Moon/Base'"),
        (["--time-zone", "Asia"], "There is no time zone 'Asia'"),
        (["--verify", "10"], "no logged facts"),
        (["--against", "missing.yaml"], "missing.yaml"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(jitui: Jitui, history: Path, words: list[str], sentence: str) -> None:
    done = jitui("backtest", str(DEFAULT), *(words if "--history" in words else ["--history", str(history), *words]))
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_a_folder_that_cannot_be_made_is_one_sentence(jitui: Jitui, history: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file" / "out")
    for words in (
        ("backtest", str(DEFAULT), "--history", str(history)),
        ("simulate", "--orders", "10"),
        (
            "history",
            "import",
            "csv",
            str(history / "requests.csv"),
            "--map",
            "order_id=order_id",
            "--map",
            "asked_at=asked_at",
        ),
    ):
        done = jitui(*words, "--out", out)
        assert (done.code, done.out) == (2, ""), words
        assert done.err == f"The folder {out} cannot be made: Not a directory; name another one.\n"


def test_agreement_is_counted(jitui: Jitui) -> None:
    done = jitui("policy", "agree", "--cases", "4", "--seed", "2", "--json")
    found = json.loads(done.out)
    assert (found["cases"], found["disagreements"], done.code) == (4, 0, 0)
    assert found["verdicts"] == found["engines"]["duckdb"] == found["true"] + found["false"] + found["unknown"]


def test_conformance_is_counted(jitui: Jitui) -> None:
    done = jitui("policy", "conformance", "--json")
    found = json.loads(done.out)
    assert (done.code, found["wrong"]) == (0, [])
    assert found["included"] + sum(found["left_out"].values()) == found["cases"]
