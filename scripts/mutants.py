"""Small wrong changes in the code and its SQL, one at a time, each against the tests that run the changed place.

    .venv/bin/python scripts/mutants.py notes           which test runs which line and sends which statement
    .venv/bin/python scripts/mutants.py code            a seeded sample of changes in policy and aftersales
    .venv/bin/python scripts/mutants.py sql             every clause of the database adapter's SQL left out once
    .venv/bin/python scripts/mutants.py report          what survived

`--tests FILE …` tries the named tests instead of those that the notes name.

It works on a copy of the checkout under build/mutants and goes on where it stopped. How to read what comes out is in
docs/how-to/find-untested-changes.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from mutants_code import code_places, made
from mutants_sql import normalised, sql_changes

ROOT = Path(__file__).resolve().parent.parent
COPIED = (
    "src",
    "tests",
    "benchmarks",
    "policies",
    "docs",
    "examples",
    "scripts",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "Makefile",
)
CODE = ("src/jitui/policy", "src/jitui/aftersales")
SQL = "src/jitui/adapters/postgres"
TESTS = (
    "policy",
    "aftersales",
    "identity",
    "race",
    "known_bugs",
    "worker",
    "adapters",
    "agreement",
    "cli",
    "console",
    "http",
    "wire",
)
NEAR = {CODE[0]: ("tests/policy",), CODE[1]: ("tests/aftersales", "tests/known_bugs", "tests/race"), SQL: ()}
ALWAYS_FOR_SQL = "tests/adapters/test_lanes.py"  # quick, and the one test of the lanes in all statements
FIRST_SECONDS, THEN_SECONDS = 8.0, 14.0
"""Measured time of the tests that are tried on one change: the nearest first, and the others when those all pass."""
SLOWER = 4
"""How much longer than measured the tests may take before a change counts as tried to no end."""
HANGS_AFTER = 40.0
WARM = (
    "asyncio", "hypothesis", "psycopg", "psycopg_pool", "msgspec", "litestar", "litestar.testing", "httpx", "aiohttp",
    "structlog", "alembic.command", "sqlalchemy", "rich.console", "typer", "babel.numbers", "ruamel.yaml", "jinja2",
    "uvicorn", "google.protobuf.descriptor_pb2", "cel_expr_python", "pytest_asyncio", "prometheus_client", "argon2",
)  # fmt: skip
"""What most tests import beside the project's own code: imported once, since every change runs in a fork of it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One wrong change: replace `start:end` of the file's text."""

    file: str
    line: int
    start: int
    end: int
    text: str
    what: str
    around: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}:{self.start}-{self.end} {self.what}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["notes", "code", "sql", "report"])
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "mutants")
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--sample", type=int, default=400, help="how many changes of `code` are drawn")
    parser.add_argument("--minutes", type=float, default=90, help="stop after this long; the next run goes on")
    parser.add_argument("--only", default="", help="changes whose file, line or description contains this")
    parser.add_argument("--tests", nargs="+", help="files or tests to try on each change; then no notes are needed")
    parser.add_argument("--seconds", type=float, default=SLOWER * (FIRST_SECONDS + THEN_SECONDS), help="for one change")
    given = parser.parse_args()
    work: Path = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    if given.verb == "report":
        report(work)
        return
    if not (work / "copy").exists():
        copy_checkout(work / "copy")
    if given.verb == "notes":
        take_notes(work)
        return
    changes = drawn(work, given.seed, given.sample) if given.verb == "code" else all_sql(work / "copy")
    wanted = [change for change in changes if given.only in change.name]
    until = time.monotonic() + given.minutes * 60
    if given.tests:
        run_all(work, given.verb, wanted, Chosen(work, given.tests, given.seconds), until=until)
    else:
        run_all(work, given.verb, wanted, Noted(work, given.seconds), until=until)
    report(work)


def copy_checkout(copy: Path) -> None:
    copy.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy / name)


# Which test runs what ---------------------------------------------------------------------------------------------


def take_notes(work: Path) -> None:
    """One run of the tests under coverage.py, each test a context of its own."""
    notes = work / "notes.jsonl"
    notes.unlink(missing_ok=True)
    copy = work / "copy"
    config = work / "coverage.ini"
    config.write_text(f"[run]\ndata_file = {work / 'coverage.db'}\nsource =\n    " + "\n    ".join((*CODE, SQL)) + "\n")
    command = [sys.executable, "-m", "coverage", "run", f"--rcfile={config}", "-m", "pytest", "-q"]
    command += ["-p", "mutants_in_pytest", "-p", "no:cacheprovider", "-m", "not xdist_group"]
    command += [f"tests/{name}" for name in TESTS] + ["--deselect", "tests/http/test_contract.py"]
    subprocess.run(command, cwd=copy, env=environment(copy, {"notes": str(notes)}), check=False)


def environment(copy: Path, job: object) -> dict[str, str]:
    path = os.pathsep.join([str(copy / "src"), str(Path(__file__).parent)])
    return {**os.environ, "PYTHONPATH": path, "MUTANTS_JOB": json.dumps(job)}


class Noted:
    """What the notes say: how long a test takes, what it sends, and which tests run a line."""

    tries_again = False

    def __init__(self, work: Path, limit_seconds: float) -> None:
        from coverage import CoverageData

        self.limit_seconds = limit_seconds
        self.seconds: dict[str, float] = {}
        self.senders: dict[str, set[str]] = defaultdict(set)
        with (work / "notes.jsonl").open() as file:
            for line in file:
                note = json.loads(line)
                self.seconds[note["test"]] = note["seconds"]
                for text in note["sql"]:
                    self.senders[normalised(text)].add(note["test"])
        self.data = CoverageData(str(work / "coverage.db"))
        self.data.read()
        self.copy = work / "copy"
        self._lines: dict[str, dict[int, list[str]]] = {}

    def tests_of(self, change: Change) -> set[str]:
        """Tests that send the statement, or run the line; for what only an import runs, those of the file, or all."""
        if change.around:
            pairs = self.senders.items()
            return {test for text, tests in pairs if all(part in text for part in change.around) for test in tests}
        if change.file not in self._lines:
            self._lines[change.file] = self.data.contexts_by_lineno(str((self.copy / change.file).resolve()))
        lines = self._lines[change.file]
        tests = set(lines.get(change.line, ())) - {""}
        if not tests and "" in lines.get(change.line, ()):
            tests = {test for tests in lines.values() for test in tests} - {""} or set(self.seconds)
        return tests

    def plan(self, change: Change) -> tuple[list[str], list[str]]:
        """The tests to try: first those nearest to the code, then the rest, the quick ones first."""
        tests = sorted(self.tests_of(change), key=lambda test: (self.seconds.get(test, 1.0), test))
        near = next(near for place, near in NEAR.items() if change.file.startswith(place))
        first = [test for test in tests if test.startswith(near)] if near else tests
        chosen = list(self._within(first, FIRST_SECONDS))
        then = list(self._within([test for test in tests if test not in set(chosen)], THEN_SECONDS))
        first = _by_file(chosen)
        return [ALWAYS_FOR_SQL, *first] if change.around else first, _by_file(then)

    def check(self) -> None:
        """The tests passed when the notes were taken."""

    def _within(self, tests: Iterable[str], seconds: float) -> Iterator[str]:
        for test in tests:
            seconds -= self.seconds.get(test, 1.0)
            if seconds < 0:
                return
            yield test


class Chosen:
    """Tests named by hand: tried on every change that none has killed yet, whatever was tried on it before."""

    tries_again = True

    def __init__(self, work: Path, tests: list[str], limit_seconds: float) -> None:
        self.work, self.tests, self.limit_seconds = work, tests, limit_seconds

    def plan(self, change: Change) -> tuple[list[str], list[str]]:
        return self.tests, []

    def check(self) -> None:
        """No test fails without a change: one that fails by itself would kill every change."""
        nothing = Change("pyproject.toml", 1, 0, 0, "", "nothing is changed")
        began = time.monotonic()
        outcome = _in_a_fork(self.work, nothing, self.tests, self.limit_seconds)
        print(f"without a change: {outcome} in {time.monotonic() - began:.1f} s", flush=True)
        if outcome["how"] == "killed":
            sys.exit("a test fails without any change")


def _by_file(tests: list[str]) -> list[str]:
    """Together by file, since tests of a file share what they set up; the file of the quickest test first."""
    files: dict[str, list[str]] = {}
    for test in tests:
        files.setdefault(test.partition("::")[0], []).append(test)
    return [test for together in files.values() for test in together]


# The changes ------------------------------------------------------------------------------------------------------


def drawn(work: Path, seed: int, size: int) -> list[Change]:
    """The sample, kept, since drawing it parses every file many times."""
    kept = work / f"sample-{seed}-{size}.json"
    if not kept.exists():
        kept.write_text(json.dumps([asdict(change) for change in sampled(work / "copy", seed, size)]))
    return [Change(**{**row, "around": ()}) for row in json.loads(kept.read_text())]


def sampled(copy: Path, seed: int, size: int) -> list[Change]:
    """Places drawn evenly, one change for each."""
    sources = {path: path.read_text() for folder in CODE for path in sorted((copy / folder).rglob("*.py"))}
    places = [(path, place, ways) for path, source in sources.items() for place, ways in code_places(source).items()]
    draw = random.Random(seed)
    draw.shuffle(places)
    changes: list[Change] = []
    for path, (line, *_), ways in places:
        if len(changes) == size:
            break
        if found := made(sources[path], draw.choice(ways)):
            name = str(path.relative_to(copy))
            changes.append(Change(name, line, found.start, found.end, found.text, found.what))
    return changes


def all_sql(copy: Path) -> list[Change]:
    """Every one, file by file."""
    changes = []
    for path in sorted((copy / SQL).glob("*.py")):
        source = path.read_text()
        for found in sql_changes(source):
            line = source.count("\n", 0, found.start) + 1
            name = str(path.relative_to(copy))
            changes.append(Change(name, line, found.start, found.end, found.text, found.what, found.around))
    return changes


# Running them -----------------------------------------------------------------------------------------------------


def run_all(work: Path, kind: str, changes: list[Change], tests: Noted | Chosen, *, until: float) -> None:
    results = work / f"{kind}.jsonl"
    before = outcomes_in(results)
    done = {name for name, outcome in before.items() if outcome["how"] == "killed" or not tests.tries_again}
    left = [change for change in changes if change.name not in done]
    print(f"{len(changes)} changes, {len(left)} to try", flush=True)
    copy = work / "copy"
    with database_server(copy, work) as url:
        warm_up(copy, url)
        tests.check()
        for number, change in enumerate(left, start=1):
            if time.monotonic() > until:
                print("the time is up: the next run goes on", flush=True)
                return
            outcome = try_change(work, tests, change)
            with results.open("a") as file:
                file.write(json.dumps({"name": change.name, **outcome, "change": asdict(change)}) + "\n")
            print(f"{number}/{len(left)} {outcome['how']:<10} {change.name}", flush=True)


@contextmanager
def database_server(copy: Path, work: Path) -> Iterator[str]:
    """The tests' embedded PostgreSQL, kept for all changes."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom jitui.adapters import embedded_postgres as e\n"
        "with e.running(Path(sys.argv[1]), e.ServerOptions(durable=False, shared_buffers_mb=128)) as server:\n"
        "    print(server.url, flush=True)\n    sys.stdin.read()\n"
    )
    folder = work / f"server-{os.getpid()}"
    folder.mkdir()
    command = [sys.executable, "-c", code, str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment(copy, {}), text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()
            server.wait()
    shutil.rmtree(folder, ignore_errors=True)


def warm_up(copy: Path, database_url: str) -> None:
    """Import what changes never touch; every change is then tried in a fork of this process."""
    import importlib

    sys.dont_write_bytecode = True
    os.environ["JITUI_TEST_DATABASE_URL"] = database_url
    os.environ["PYTHONPATH"] = environment(copy, {})["PYTHONPATH"]
    os.chdir(copy)
    sys.path[:0] = [str(copy / "src"), str(copy)]
    for name in WARM:
        importlib.import_module(name)
    assert not any(name.partition(".")[0] in ("jitui", "tests") for name in sys.modules)


def outcomes_in(results: Path) -> dict[str, dict[str, Any]]:
    """The latest outcome of each change."""
    outcomes = [json.loads(line) for line in results.open()] if results.exists() else []
    return {outcome["name"]: outcome for outcome in outcomes}


def try_change(work: Path, chosen: Noted | Chosen, change: Change) -> dict[str, Any]:
    first, then = chosen.plan(change)
    outcome: dict[str, Any] = {"how": "no test runs it", "by": ""}
    began = time.monotonic()
    for tests in (first, then):
        if tests:
            outcome = _in_a_fork(work, change, tests, chosen.limit_seconds)
            if outcome["how"] == "killed":
                break
    return {**outcome, "seconds": round(time.monotonic() - began, 1), "tests": len(first) + len(then)}


def _in_a_fork(work: Path, change: Change, tests: list[str], seconds: float) -> dict[str, Any]:
    answer = work / f"answer-{os.getpid()}.json"
    answer.unlink(missing_ok=True)
    job = {"tests": tests, "seconds": seconds, "answer": str(answer), "folder": f"jitui_mutants_{os.getpid()}"}
    with changed(work / "copy" / change.file, change):
        child = os.fork()
        if child == 0:
            _child(work, job, tests)
        try:
            _wait(child, seconds + 2 * HANGS_AFTER)
        except BaseException:
            os.killpg(child, signal.SIGKILL)
            raise
    if not answer.exists():
        return {"how": "killed", "by": "it hangs or ends the process"}
    outcome: dict[str, Any] = json.loads(answer.read_text())
    return outcome


def _wait(child: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return
        time.sleep(0.05)


def _child(work: Path, job: dict[str, object], tests: list[str]) -> None:
    os.setpgid(0, 0)
    os.environ["MUTANTS_JOB"] = json.dumps(job)
    out = os.open(work / f"output-{os.getppid()}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    import pytest

    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    options = ["-x", "-q", "-p", "mutants_in_pytest", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    try:
        pytest.main([*options, f"--timeout={HANGS_AFTER}", *files])
    finally:
        os._exit(1)


@contextmanager
def changed(path: Path, change: Change) -> Iterator[None]:
    """The file with the change; its time differs, so that nothing compiled earlier passes for it."""
    before = path.read_text()
    times = path.stat()
    path.write_text(before[: change.start] + change.text + before[change.end :])
    os.utime(path, (times.st_atime, times.st_mtime + 7200))
    try:
        yield
    finally:
        path.write_text(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def report(work: Path) -> None:
    for kind in ("code", "sql"):
        results = work / f"{kind}.jsonl"
        if not results.exists():
            continue
        outcomes = list(outcomes_in(results).values())
        counts = Counter(outcome["how"] for outcome in outcomes)
        print(f"{kind}: {len(outcomes)} tried; " + ", ".join(f"{number} {how}" for how, number in counts.items()))
        for outcome in outcomes:
            if outcome["how"] != "killed":
                print(f"  {outcome['how']:<10} {outcome['name']}")


if __name__ == "__main__":
    main()
