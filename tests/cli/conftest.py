"""Runs the command as people do; in this process where a new one would only take time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jitui.entrypoints.cli.main import main
from tests.provider_simulator.server import simulator, start_simulator

__all__ = ["simulator", "start_simulator"]


@dataclass(frozen=True)
class Result:
    """What a command said and how it left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Jitui = Callable[..., Result]


def in_a_process(*words: str, settings: dict[str, str], cwd: Path | None = None) -> Result:
    """Run `jitui` in a process with these settings alone."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **settings}
    command = [sys.executable, "-m", "jitui.entrypoints.cli", *words]
    done = subprocess.run(command, env=environment, capture_output=True, cwd=cwd, timeout=240, check=False)
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> dict[str, str]:
    """Settings of an installation on a database of this test's own."""
    return {"JITUI_HOME": str(tmp_path / "home"), "JITUI_DATABASE_URL": database_url}


@pytest.fixture
def jitui(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Jitui]:
    """`jitui` in this process, on a database of this test's own."""
    for name in [name for name in os.environ if name.startswith("JITUI_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGTERM)

    def run(*words: str) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(words)
        said = capsys.readouterr()
        return Result(left.value.code if isinstance(left.value.code, int) else 0, said.out, said.err)

    yield run
    signal.signal(signal.SIGTERM, before)
