"""The changes that scripts/mutants.py makes: each clause of a statement once, and only when the program differs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sql() -> ModuleType:
    return script("mutants_sql")


def changed(sql: ModuleType, statement: str) -> dict[str, str]:
    """Descriptions and what the statement becomes."""
    source = f'X = """{statement}"""\n'
    return {
        change.what: " ".join(f"{source[: change.start]}{change.text}{source[change.end :]}"[7:-4].split())
        for change in sql.sql_changes(source)
    }


def test_each_clause_of_a_guard_is_left_out_once(sql: ModuleType) -> None:
    found = changed(sql, "SELECT 1 FROM refund r WHERE r.lane = %(lane)s AND (r.a OR r.b) FOR UPDATE SKIP LOCKED")
    assert found == {
        "without WHERE r.lane = %(lane)s": "SELECT 1 FROM refund r WHERE true AND (r.a OR r.b) FOR UPDATE SKIP LOCKED",
        "without AND (r.a OR r.b)": "SELECT 1 FROM refund r WHERE r.lane = %(lane)s FOR UPDATE SKIP LOCKED",
        "without OR r.b": "SELECT 1 FROM refund r WHERE r.lane = %(lane)s AND (r.a ) FOR UPDATE SKIP LOCKED",
        "without waiting or skipping: FOR UPDATE SKIP LOCKED": "SELECT 1 FROM refund r WHERE r.lane = %(lane)s AND "
        "(r.a OR r.b)",
        "waits instead of skipping: SKIP LOCKED": "SELECT 1 FROM refund r WHERE r.lane = %(lane)s AND (r.a OR r.b) "
        "FOR UPDATE",
    }


def test_the_and_of_between_belongs_to_it(sql: ModuleType) -> None:
    found = changed(sql, "SELECT 1 FROM d WHERE day BETWEEN 1 AND 2 AND kind = 'x'")
    assert set(found) == {"without WHERE day BETWEEN 1 AND 2", "without AND kind = 'x'"}


def test_bounds_and_conflicts_are_changed_too(sql: ModuleType) -> None:
    found = changed(sql, "INSERT INTO t (a) SELECT 1 FROM u WHERE b >= 3 ON CONFLICT (a) DO NOTHING")
    assert {what.partition(":")[0] for what in found} == {
        "without WHERE b >= 3",
        "the bound itself no longer counts",
        "conflicts are errors",
    }


def test_a_docstring_is_left_alone_and_a_statement_that_begins_its_line_is_not(sql: ModuleType) -> None:
    query = '"""SELECT 1 FROM t WHERE a"""'
    source = (
        f"{query}\ndef f():\n    {query}\n    return (\n        # why\n        {query}\n        + {query},\n    )\n"
    )
    assert [source.count("\n", 0, change.start) for change in sql.sql_changes(source)] == [5, 6]


def test_what_is_no_sql_is_left_alone(sql: ModuleType) -> None:
    assert changed(sql, "waits for the buyer AND the order"[:21]) == {}


def test_code_is_changed_where_another_program_comes_out_and_annotations_are_left_alone() -> None:
    code = script("mutants_code")
    source = "def f(a: int | None, *, b: int) -> int | None:\n    return a if b < 3 else None\n"
    places = code.code_places(source)
    whats = {
        made.what
        for ways in places.values()
        for operation in ways
        if (made := code.made(source, operation)) is not None
    }
    assert "ReplaceComparisonOperator_Lt_LtE: < -> <=" in whats
    assert "NumberReplacer: 3 -> 4" in whats
    assert not any("|" in what for what in whats)


def test_every_folder_that_the_script_names_is_there() -> None:
    mutants = script("mutants")
    root = mutants.ROOT
    assert [name for name in mutants.TESTS if not (root / "tests" / name).is_dir()] == []
    assert [path for paths in mutants.NEAR.values() for path in paths if not (root / path).is_dir()] == []


@pytest.mark.parametrize(
    ("wanted", "how"), [("all.py", "killed"), ("all.py::test_right", "survived")], ids=["file", "one"]
)
def test_a_file_that_is_wanted_is_tried_whole(tmp_path: Path, wanted: str, how: str) -> None:
    (tmp_path / "all.py").write_text("def test_right():\n    pass\n\n\ndef test_wrong():\n    raise AssertionError\n")
    job = {"tests": [wanted], "seconds": 60, "answer": str(tmp_path / "answer"), "folder": "none"}
    environment = {**os.environ, "MUTANTS_JOB": json.dumps(job), "PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "mutants_in_pytest", "-p", "no:cacheprovider", "all.py"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True)
    assert json.loads((tmp_path / "answer").read_text())["how"] == how


def test_named_tests_are_tried_without_notes_and_the_latest_outcome_counts(tmp_path: Path) -> None:
    mutants = script("mutants")
    change = mutants.Change("a.py", 1, 0, 1, "", "without WHERE lane", around=("SELECT",))
    chosen = mutants.Chosen(tmp_path, ["tests/race/test_claiming.py"], 25.0)
    assert chosen.plan(change) == (["tests/race/test_claiming.py"], [])
    results = tmp_path / "sql.jsonl"
    assert mutants.outcomes_in(results) == {}
    outcomes = [{"name": "a", "how": "survived"}, {"name": "b", "how": "killed"}, {"name": "a", "how": "killed"}]
    results.write_text("".join(json.dumps(outcome) + "\n" for outcome in outcomes))
    assert {name: outcome["how"] for name, outcome in mutants.outcomes_in(results).items()} == {
        "a": "killed",
        "b": "killed",
    }
