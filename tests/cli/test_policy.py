"""`jitui policy`."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from jitui.policy import FACTS
from tests.aftersales.market import POLICY_FILE
from tests.cli.conftest import Jitui, in_a_process

BROKEN = "paid_under_300\n    when: order.paid_minor < limit_minor"


def test_a_broken_policy_is_named_with_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    text = POLICY_FILE.read_text(encoding="utf-8")
    assert BROKEN in text
    file.write_text(text.replace(BROKEN, BROKEN.replace("paid_minor", "payd_minor")), encoding="utf-8")
    line = next(n for n, row in enumerate(file.read_text(encoding="utf-8").splitlines(), 1) if "payd_minor" in row)
    done = in_a_process("policy", "check", "broken.yaml", str(POLICY_FILE), settings={}, cwd=tmp_path)
    assert done.code == 1
    problem, good = done.out.splitlines()
    assert problem.startswith(f"broken.yaml:{line}:")
    assert "payd_minor" in problem
    assert "good: unshipped-instant-refund, version 2" in good


def test_a_policy_that_is_not_there_is_code_2(jitui: Jitui, tmp_path: Path) -> None:
    done = jitui("policy", "check", str(tmp_path / "gone.yaml"))
    assert done.code == 2
    assert "No such file" in done.err


def test_a_check_is_one_json_document(jitui: Jitui, tmp_path: Path) -> None:
    empty = tmp_path / "empty.yaml"
    empty.write_text("", encoding="utf-8")
    done = jitui("policy", "check", str(POLICY_FILE), str(empty), "--json")
    assert done.code == 1
    good, bad = done.json["policies"]
    assert (good["ok"], good["problems"]) == (True, [])
    assert bad["ok"] is False
    assert {"line", "column", "message"} == set(bad["problems"][0])


def test_the_facts_fit_80_columns_and_are_all_there(jitui: Jitui) -> None:
    shown = jitui("policy", "facts")
    assert shown.code == 0
    assert max(map(len, shown.out.splitlines())) <= 80
    assert all(f"  {name}  " in shown.out for name in FACTS)
    listed = jitui("policy", "facts", "--json").json
    assert [fact["name"] for fact in listed["facts"]] == list(FACTS)


def test_a_published_policy_is_live_once(jitui: Jitui) -> None:
    assert jitui("migrate", "--json").json["policy"] == "unshipped-instant-refund, version 2"
    again = jitui("policy", "publish", str(POLICY_FILE), "--json")
    assert again.json["published"] is False


OTHER_VERSION = "7-of-this-test"


@pytest.fixture
def other_file(tmp_path: Path) -> Path:
    file = tmp_path / "other.yaml"
    file.write_text(
        POLICY_FILE.read_text(encoding="utf-8").replace('version: "2"', f'version: "{OTHER_VERSION}"'), "utf-8"
    )
    return file


def publications(settings: dict[str, str]) -> list[str]:
    with psycopg.connect(settings["JITUI_DATABASE_URL"]) as connection:
        return [row[0] for row in connection.execute("SELECT version FROM policy ORDER BY publication").fetchall()]


COMMANDS = (
    ("pause", "--list"),
    ("coverage", "show", "s-1"),
    ("restrict", "b-1", "--list"),
    ("appeals", "list"),
    ("tasks",),
    ("ledger", "o-1"),
    ("keys", "issue", "--scope", "platform"),
    ("explain", "00000000-0000-7000-8000-000000000000"),
    ("doctor",),
    ("policy", "facts"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_but_an_explicit_one_publishes(
    jitui: Jitui, settings: dict[str, str], other_file: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("JITUI_POLICY_FILE", str(other_file))
    jitui(*words)
    assert publications(settings) == []
    monkeypatch.delenv("JITUI_POLICY_FILE")
    jitui("migrate")
    monkeypatch.setenv("JITUI_POLICY_FILE", str(other_file))
    jitui(*words)
    jitui("migrate")
    assert publications(settings) == ["2"]


def test_the_configured_file_is_the_first_policy_of_a_new_installation(
    jitui: Jitui, settings: dict[str, str], other_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JITUI_POLICY_FILE", str(other_file))
    assert jitui("migrate", "--json").json["policy"].endswith(f"version {OTHER_VERSION}")
    assert jitui("policy", "publish", str(POLICY_FILE), "--json").json["published"] is True
    assert jitui("migrate", "--json").json["policy"].endswith("version 2")
    assert publications(settings) == [OTHER_VERSION, "2"]


def test_serving_without_a_policy_is_refused_with_what_to_do(jitui: Jitui) -> None:
    done = jitui("serve", "--port", "0")
    assert done.code == 2
    assert "jitui migrate" in done.err
    assert "jitui policy publish FILE" in done.err
