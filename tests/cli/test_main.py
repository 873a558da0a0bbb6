"""The command as a whole: what it imports, its exit codes, and what it writes to which stream."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jitui.entrypoints.cli.main import COMMANDS, load
from tests.cli.conftest import Jitui, in_a_process

HEAVY = ("litestar", "psycopg", "duckdb", "cel_expr_python", "aiohttp", "alembic", "pyarrow", "rich", "jitui.policy")


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from jitui.entrypoints.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print(*(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    assert all(name in done.stdout for name in COMMANDS)
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "jitui.example"])
def test_sample_people_sign_in_on_the_loopback_alone(host: str, jitui: Jitui) -> None:
    done = jitui("serve", "--sample-people", "--host", host)
    assert done.code != 0 and "on this machine alone" in done.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_explains_itself(name: str, jitui: Jitui) -> None:
    module = COMMANDS[name].target.partition(":")[0]
    if importlib.util.find_spec(f"jitui.entrypoints.cli.{module}") is None:
        pytest.fail(f"{name} has no module")
    assert load(name).name == name
    shown = jitui(name, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: jitui {name}")
    assert max(map(len, shown.out.splitlines())) <= 80


def commands_of(command: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A command and, at any depth, what is below it, each by its words."""
    yield names, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands_of(below, *names, name)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_text_of_the_help_is_cut_at_80_columns(name: str, jitui: Jitui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words, command in commands_of(load(name), name):
        shown = jitui(*words, "--help").out
        whole = "".join(shown.split())  # a line also ends at a hyphen of a word
        texts = [inspect.cleandoc(command.help or "")]
        texts += [one.get_short_help_str(10_000) for one in getattr(command, "commands", {}).values()]
        texts += [given.help for given in command.params if given.help and not getattr(given, "hidden", False)]
        for text in texts:
            assert "".join(text.split()) in whole, (words, text)
        assert max(map(len, shown.splitlines())) <= 80, words
        assert "..." not in re.sub(r"\S+\.\.\.", "", shown.partition("\n\n")[2]), words


def test_the_list_of_all_commands_is_whole(jitui: Jitui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    whole = " ".join(jitui("--help").out.split())
    for name, slot in COMMANDS.items():
        assert f"{name} {slot.help}" in whole


def test_a_misspelt_command_is_recognised(jitui: Jitui) -> None:
    done = jitui("expalin")
    assert (done.code, done.out) == (2, "")
    assert "Did you mean 'explain'?" in done.err


def test_a_bad_setting_is_one_sentence_and_code_2(jitui: Jitui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JITUI_PROT", "8000")
    done = jitui("pause", "--list")
    assert (done.code, done.out) == (2, "")
    assert done.err == "JITUI_PROT is not a setting of Jitui; did you mean JITUI_PORT?\n"


def test_a_database_that_does_not_answer_is_code_3(jitui: Jitui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JITUI_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    done = jitui("pause", "--list")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("The database does not answer: ")
    assert "Traceback" not in done.err


def test_a_traceback_is_shown_with_debug_alone(tmp_path: Path) -> None:
    settings = {"JITUI_HOME": str(tmp_path), "JITUI_PROT": "1"}
    assert "Traceback" not in in_a_process("pause", "--list", settings=settings).err
    assert "Traceback" in in_a_process("--debug", "pause", "--list", settings=settings).err


@pytest.mark.parametrize(
    "words",
    [("policy", "facts"), ("policy", "facts", "--json"), ("pause", "--list"), ("--help",), ("keys", "--help")],
    ids=["table", "json", "lines", "help", "help of a group"],
)
def test_a_closed_pipe_ends_a_command_as_sigpipe_does(words: tuple[str, ...], settings: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "jitui.entrypoints.cli", *words]
    environment = {"PATH": os.environ["PATH"], **settings}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_the_reader_of_the_first_lines_gets_them() -> None:
    command = f"{sys.executable} -m jitui.entrypoints.cli policy facts --json | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ('{\n  "facts', "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_worker_leaves_when_it_is_told_to(settings: dict[str, str], number: signal.Signals, code: int) -> None:
    command = [sys.executable, "-m", "jitui.entrypoints.cli", "worker"]
    with subprocess.Popen(command, env={"PATH": "/usr/bin:/bin", **settings}, stderr=subprocess.PIPE) as worker:
        assert worker.stderr is not None
        assert b" [info] working pays_through=" in worker.stderr.readline()
        time.sleep(0.2)
        worker.send_signal(number)
        assert worker.wait(30) == code


@pytest.mark.parametrize(
    "words", [("ledger", "\udcff"), ("keys", "issue", "--label", "\udcff"), ("pause", "--by", "\udcff")]
)
def test_bytes_that_are_no_text_are_refused_in_a_sentence(jitui: Jitui, words: tuple[str, ...]) -> None:
    done = jitui(*words)
    assert done.code == 2 and "is no text" in done.err and "should not happen" not in done.err


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_in_the_middle_of_a_query_is_no_surprise(number: str, code: int) -> None:
    """DuckDB makes an error of its own of what the handler of the signal raised."""
    program = (
        "import signal, sys, threading, time, duckdb\n"
        "from jitui.entrypoints.cli.main import _Terminated, exit_code_of\n"
        "terminated = _Terminated()\n"
        "signal.signal(signal.SIGTERM, terminated)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def again():\n"
        "    while True:\n"
        "        time.sleep(0.5)\n"
        f"        signal.raise_signal(signal.{number})\n"
        "def endless():\n"
        "    connection = duckdb.connect(config={'threads': 1})\n"
        "    threading.Thread(target=again, daemon=True).start()\n"
        "    connection.execute('SELECT count(*) FROM range(1000000000000) t(n) WHERE hash(n) = 1').fetchall()\n"
        "code = exit_code_of(endless, terminated)\n"
        "import os; os._exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
