"""The Python code and the commands of the how-to pages run as printed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "how-to"


def test_the_commands_run_without_a_database_as_printed() -> None:
    text = (PAGES / "run-without-a-database.md").read_text(encoding="utf-8")
    ((script, printed),) = re.findall(r"^```python\n(.*?)^```\n\n```\n(.*?)^```", text, flags=re.S | re.M)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (printed, "")


def test_your_own_export_is_imported_as_printed(tmp_path: Path) -> None:
    text = (PAGES / "import-your-own-export.md").read_text(encoding="utf-8")
    for name, content in re.findall(r"`([\w.-]+)`[^`]*?:\n\n```(?:csv|toml|yaml)\n(.*?)^```", text, flags=re.S | re.M):
        (tmp_path / name).write_text(content, encoding="utf-8")
    program = tmp_path / "jitui"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m jitui.entrypoints.cli "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    blocks = re.findall(r"^```console\n(.*?)^```", text, flags=re.S | re.M)
    assert len(blocks) == 4
    for block in blocks:
        commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
        said = [line for line in block.splitlines() if not line.startswith("$ ")]
        done = subprocess.run(
            " && ".join(commands),
            shell=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == (1 if "bad" in block else 0), done.stderr
        told = (done.stdout + done.stderr).splitlines()
        assert [line for line in said if line not in told] == [], done.stdout + done.stderr
    summary = json.loads((tmp_path / "tested" / "summary.json").read_text(encoding="utf-8"))["summary"]
    assert (summary["requests"], summary["instant"]) == (3, 2)
