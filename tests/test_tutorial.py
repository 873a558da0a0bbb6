"""The tutorial's commands run as printed, in one shell, and print what the page shows."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.printed import fits, outputs, script, steps

PAGE = Path(__file__).parents[1] / "docs" / "tutorial" / "from-the-demo-to-your-own-orders.md"
SECONDS = 500


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder as a checkout is, where the embedded server's own account can reach it when root runs the tests."""
    with tempfile.TemporaryDirectory(prefix="jitui-tutorial-", dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        (path / ".venv").symlink_to(sys.prefix)
        (path / "Makefile").write_text("setup:\n\t@true\n")  # the test runs in what `make setup` has made
        yield path


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("whole-service")
def test_the_tutorial_works_as_printed(folder: Path) -> None:
    """But for two ports, which may be taken on this machine."""
    page = PAGE.read_text(encoding="utf-8")
    for port in ("8000", "8765"):
        page = page.replace(port, str(free_port()))
    todo = steps(page)
    environ = {"HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "dumb"}
    shell = subprocess.Popen(
        ["bash", "-c", script(todo)],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = shell.communicate(timeout=SECONDS)
    finally:
        end_all(shell.pid)
    came = outputs(said)
    for step, printed in zip(todo, came, strict=False):
        assert fits(step.printed, printed), f"{step.commands}\nshould print\n{step.printed}\nand printed\n{printed}"
    assert (shell.returncode, len(came)) == (0, len(todo)), said
    assert len(todo) >= 12


def end_all(group: int) -> None:
    """End what a page that failed half-way has left running, and wait for it."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        for _ in range(300):
            os.killpg(group, 0)
            time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("printed", "came", "fit"),
    [
        ("a\n", "a\n", True),
        ("a\n", "a  \n", True),
        ("a\n", "a\nb\n", False),
        ("", "a\n", False),
        ("…\nb\n", "a\na\nb\n", True),
        ("…\nb\n", "a\na\n", False),
        ('"id": "…",\n', '"id": "17",\n', True),
        ('"id": "…",\n', '"id": "17"\n', False),
        ("a\n…\n", "a\n", True),
        ("a…c\n", "a\nc\n", False),
    ],
)
def test_dots_stand_for_what_differs_and_for_nothing_else(printed: str, came: str, fit: bool) -> None:
    assert fits(printed, came) is fit


def test_a_page_is_cut_into_commands_and_outputs() -> None:
    page = "```sh\na\n```\n\n```\n1\n```\n\n```yaml\nx\n```\n\n```sh\nb\n```\n"
    assert [(step.commands, step.printed) for step in steps(page)] == [("a\n", "1\n"), ("b\n", "")]
    assert outputs("1\n\n--- done: 0\n\n--- done: 1\n") == ["1\n", ""]
    assert re.findall("done: [01]", script(steps(page))) == ["done: 0", "done: 1"]
