"""`jitui policy diff`: the differences in sentences, and in requests of a history."""

from __future__ import annotations

from pathlib import Path

from tests.aftersales.market import POLICY_FILE
from tests.backtest.histories import request, small_history
from tests.cli.conftest import in_a_process

TEXT = POLICY_FILE.read_text(encoding="utf-8")


def test_only_a_difference_in_meaning_is_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "same.yaml").write_text(f"# another comment\n{TEXT}", encoding="utf-8")
    same = in_a_process("policy", "diff", str(POLICY_FILE), "same.yaml", settings={}, cwd=tmp_path)
    assert (same.code, same.out.strip()) == (0, "Nothing that decides has changed, and nothing that is shown.")
    assert in_a_process("policy", "diff", str(POLICY_FILE), "gone.yaml", settings={}, cwd=tmp_path).code == 2


def test_the_json_names_every_change_and_whether_it_decides(tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text(TEXT.replace('version: "2"', 'version: "3"'), encoding="utf-8")
    done = in_a_process("policy", "diff", str(POLICY_FILE), "new.yaml", "--json", settings={}, cwd=tmp_path)
    assert (done.code, done.json["decides"], done.json["new"]["version"]) == (1, False, "3")
    assert done.json["changes"] == [{"name": "version", "what": "2 → 3", "decides": False, "used_by": []}]


def test_a_change_is_told_in_words_and_in_tickets(tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text(TEXT.replace("limit_minor: 30000", "limit_minor: 9000"), encoding="utf-8")
    times = (f"2025-06-0{day}T08:00:00Z" for day in (2, 3))
    history = small_history(tmp_path / "history", requests=[request(n, at) for n, at in enumerate(times, 1)])
    words = ("policy", "diff", str(POLICY_FILE), str(tmp_path / "new.yaml"), "--history", str(history))
    shown = in_a_process(*words, settings={}, cwd=tmp_path)
    assert shown.code == 1, shown.err
    assert "(300.00 → 90.00 CNY): stricter" in " ".join(shown.out.split())
    assert "2 of 2 requests come out otherwise." in shown.out
    assert "paid_under_300" in shown.out.split("Requests that differ")[1]
    rows = [row.split() for row in shown.out.splitlines()]
    assert ["instant", "review", "2", "200.00"] in rows
    assert ["r1", "instant", "review", "100.00", "paid_under_300"] in rows
    assert max(map(len, shown.out.splitlines())) <= 80
