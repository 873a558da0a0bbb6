"""Rules for every file of this repository that no linter checks."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

from jitui.backtest import words
from jitui.entrypoints.http.openapi import document
from jitui.entrypoints.http.problems import KINDS
from jitui.policy.facts import FACTS, LINE_FIELDS
from jitui.settings import VARIABLES_OF_TESTS, variable_names

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src" / "jitui").rglob("*.py"))
MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION = 450, 50
MOST_BYTES = 400 * 1024

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def nodes() -> tuple[tuple[Path, ast.AST], ...]:
    trees = (
        (path.relative_to(ROOT / "src" / "jitui"), ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES
    )
    return tuple((path, node) for path, tree in trees for node in ast.walk(tree))


def committed_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("this rule needs git and a clone")
        pytest.skip("not a git clone")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def committed_texts() -> Iterator[tuple[str, str]]:
    for path in committed_files():
        content = path.read_bytes()
        if b"\0" not in content:
            yield str(path.relative_to(ROOT)), content.decode("utf-8")


def test_only_settings_reads_the_environment() -> None:
    readers = {"environ", "environb", "getenv", "getenvb", "putenv"}
    found = [
        f"{path}:{node.lineno}"
        for path, node in nodes()
        if (isinstance(node, ast.Attribute) and node.attr in readers and ast.unparse(node.value) == "os")
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and readers & {name.name for name in node.names})
    ]
    assert [place for place in found if not place.startswith("settings/read.py:")] == []


def test_nobody_below_the_adapters_asks_for_the_time() -> None:
    clocks = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter"}
    owners = {"datetime", "datetime.datetime", "date", "datetime.date", "time"}
    pure = ("policy", "aftersales", "backtest")
    found = [
        f"{path}:{node.lineno}"
        for path, node in nodes()
        if path.parts[0] in pure
        and isinstance(node, ast.Attribute)
        and node.attr in clocks
        and ast.unparse(node.value) in owners
    ]
    assert found == []


def test_amounts_in_minor_units_are_never_floats() -> None:
    found = []
    for path, node in nodes():
        if isinstance(node, ast.AnnAssign):
            name, annotation = ast.unparse(node.target), node.annotation
        elif isinstance(node, ast.arg) and node.annotation:
            name, annotation = node.arg, node.annotation
        elif isinstance(node, Function) and node.returns:
            name, annotation = node.name, node.returns
        else:
            continue
        if name.endswith("_minor") and "float" in ast.unparse(annotation):
            found.append(f"{path}:{annotation.lineno} {name}")
    assert found == []


def test_every_package_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    declared = {re.split(r"[\[<>=!~;]", line)[0].replace("_", "-").lower() for line in lines}
    providers = metadata.packages_distributions()
    found = set()
    for path, node in nodes():
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module]
        for module in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"jitui"}:
            if not declared & {name.replace("_", "-").lower() for name in providers.get(module, [])}:
                found.add(f"{path} imports {module}")
    assert found == set()


FILLER = re.compile(r"(as (above|below)|the same( (again|here))?|one more|ditto|likewise|see (above|below))[.:]?", re.I)
OPENING = re.compile(r"As (above|below)\b|The same[,:]|Ditto\b")


def test_every_docstring_says_something_by_itself() -> None:
    """A docstring such as `As above.` sends the reader to another one, which may be moved or rewritten."""
    found = {}
    for path, node in nodes():
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            text = node.value.value.strip()
            if FILLER.fullmatch(text) or OPENING.match(text):
                found[f"{path}:{node.lineno}"] = text
    assert found == {}


def test_functions_fit_a_screen() -> None:
    lengths = {
        f"{path}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, node in nodes()
        if isinstance(node, Function)
    }
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def test_files_are_of_one_matter() -> None:
    names = {path.relative_to(ROOT / "src" / "jitui"): path for path in SOURCES}
    written = {str(name): path for name, path in names.items() if name.parts[:2] != ("client", "api")}  # by a script
    lengths = {name: len(path.read_bytes().splitlines()) for name, path in written.items()}
    long = {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FILE}
    assert long == {}


def test_decision_pages_are_numbered_once() -> None:
    pages = [path.name for path in (ROOT / "docs" / "decisions").glob("*.md")]
    assert [name for name in pages if not re.match(r"\d{4}-[a-z0-9-]+\.md$", name)] == []
    assert [number for number, pages_of_it in Counter(name[:4] for name in pages).items() if pages_of_it > 1] == []


CODE = re.compile(r"(?<![\w./%{$-])(?:(R1[0-6]|R[1-9])([a-d])?(?:\(([a-d])\))?|(I[1-8]|T[1-9]\d?|P1?\d))(?![\w%])")
DEFINED_IN = (
    "docs/explanation/requirements.md",
    "docs/explanation/invariants.md",
    "docs/reference/known-bugs.md",
    "docs/reference/benchmarks.md",
)


def test_every_code_that_is_cited_is_defined() -> None:
    """R3, I5, T16 and P2 mean something only to a reader who can look them up in the project itself."""
    pages = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in DEFINED_IN)
    defined = set(re.findall(r"^(?:\| |## )([RITP]\d{1,2}[a-d]?)\b", pages, flags=re.MULTILINE))
    undefined = {
        f"{name}: {code}"
        for name, text in committed_texts()
        if Path(name).suffix in {".py", ".sql", ".md", ".yaml", ".toml", ".html"}
        for match in CODE.finditer(text)
        if (code := match[4] or match[1] + (match[2] or match[3] or "")) not in defined
    }
    assert undefined == set()


FOR_DEVELOPERS = {"known-bugs.md", "benchmarks.md", "fault-simulation.md"}


def texts_of_users() -> Iterator[tuple[str, str]]:
    """What people read who use the service: its description, reports, facts, messages, and the pages for them."""
    yield "the description of the API", json.dumps(document(), ensure_ascii=False)
    yield "the words of a report", json.dumps(words.WORDS, ensure_ascii=False)
    for name, spec in {**FACTS, **LINE_FIELDS}.items():
        yield f"the fact {name}", spec.meaning
    for slug, kind in KINDS.items():
        yield f"the problem {slug}", kind.title
    for name, text in committed_texts():
        pages = ("docs/how-to/", "docs/reference/", "docs/tutorial/", "docs/index.md", "README")
        for_users = name.startswith(pages) and Path(name).name not in FOR_DEVELOPERS
        if for_users or name.startswith("src/jitui/entrypoints/console/locales/"):
            yield name, text


def test_no_code_reaches_a_users_screen() -> None:
    code = re.compile(r"(?<![\w./%{$-])(?:R1[0-6]|R[1-9]|I[1-8])(?:[a-d]|\([a-d]\))?(?![\w%])")
    assert {f"{name}: {match.group()}" for name, text in texts_of_users() for match in code.finditer(text)} == set()


def test_no_text_points_to_a_document_that_readers_do_not_have() -> None:
    """The design pages are not part of the project: a reference such as `(0N, step 4)` helps nobody."""
    pattern = re.compile(r"\(0[1-9](?:[,)] ?)|(?<![\w.'\"-])0[1-9], [\*A-Z]")
    found = [
        f"{name}: {match.group()}"
        for name, text in committed_texts()
        if Path(name).suffix in {".py", ".sql", ".md"} and "migrations/versions" not in name
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_every_setting_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(JITUI_[A-Z0-9_]+)`", page, flags=re.MULTILINE))
    assert documented == set(variable_names()) | VARIABLES_OF_TESTS


def test_no_large_file_is_committed() -> None:
    assert [path.name for path in committed_files() if path.stat().st_size > MOST_BYTES] == []


def test_no_committed_file_names_a_registry_or_this_machine() -> None:
    registries = [r"py(pi|thonhosted)", r"npm(js)?", r"deb(ian)?"]
    places = [re.escape(f"{ROOT}/"), r"/(home|Users)/(?!ada\b)\w+/", r"/root/\.", "/" + "(work|farm)" + r"/[a-z.]"]
    hosts = rf"https?://[^ ]*({'|'.join(registries)})[.](org|net|com)"
    pattern = re.compile("|".join([hosts, *places]))
    found = [f"{name}: {match.group()}" for name, text in committed_texts() if (match := pattern.search(text))]
    assert found == []
