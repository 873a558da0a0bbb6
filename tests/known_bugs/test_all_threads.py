"""Each bug thread T1 to T46 of the reference page has a test with its number."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
THREADS = set(range(1, 47))


def numbers_of(name: str) -> set[int]:
    """`test_t3_t25_the_cap` answers T3 and T25."""
    found = re.match(r"test((?:_t\d{1,2})+)_[a-z]", name)
    return {int(number) for number in re.findall(r"\d+", found[1])} if found else set()


def test_every_thread_has_a_test() -> None:
    named: set[int] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                named |= numbers_of(node.name)
    assert sorted(THREADS - named) == []
    assert sorted(named - THREADS) == []


def test_a_modules_docstring_names_the_threads_it_answers() -> None:
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        answered = {number for node in functions for number in numbers_of(node.name)}
        said = {int(number) for number in re.findall(r"^- T(\d+) ", ast.get_docstring(module) or "", re.MULTILINE)}
        assert answered == said, path.name
