"""Completion in a real bash, and in the words of zsh and fish."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
eval "$(jitui --show-completion bash)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_jitui_completion jitui
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A shell's environment in which `jitui` is a command."""
    program = tmp_path / "jitui"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m jitui.entrypoints.cli "$@"\n')
    program.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "SHELL": "/bin/bash"}


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("jitui refu", {"refunds"}),
        ("jitui --rem", {"--remote"}),
        ("jitui refunds ", {"list", "show", "retry", "settle"}),
        ("jitui refunds list --st", {"--state"}),
        ("jitui refunds list --state s", {"sending", "succeeded"}),
        ("jitui explain --language ", {"zh", "en"}),
        ("jitui explain --audience p", {"platform"}),
        ("jitui webhooks create --kind sto", {"stop_ship", "stop_ship.acknowledged", "stop_ship.requested"}),
        ("jitui coverage set sh", {"shop"}),
        ("jitui select b-1 ", {"allow", "deny"}),
        ("jitui import b", {"buyers"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bash_completes(environment: dict[str, str], line: str, completed: set[str]) -> None:
    command = ["bash", "--norc", "-c", PROGRAM, "bash", *line.split(" ")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()) == completed, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell_is_shown_and_installed(environment: dict[str, str], shell: str) -> None:
    without_detection = {**environment, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = ["jitui", "--show-completion", shell]
    shown = subprocess.run(command, env=without_detection, capture_output=True, text=True, check=True)
    assert f"complete_{shell}" in shown.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=shown.stdout, env=environment, text=True, check=True)


def test_completing_imports_nothing_heavy(environment: dict[str, str]) -> None:
    program = (
        "import sys\n"
        "from jitui.entrypoints.cli.main import main\n"
        "try: main([])\n"
        "except SystemExit: pass\n"
        "heavy = ('litestar', 'psycopg', 'duckdb', 'cel_expr_python', 'rich', 'httpx', 'babel', 'jitui.settings')\n"
        "print(*(name for name in heavy if name in sys.modules), file=sys.stderr)"
    )
    asked = {"_JITUI_COMPLETE": "complete_bash", "COMP_WORDS": "jitui refunds list --state ", "COMP_CWORD": "4"}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**environment, **asked}, capture_output=True, text=True, check=True
    )
    assert ("queued" in done.stdout, done.stderr.strip()) == (True, "")
