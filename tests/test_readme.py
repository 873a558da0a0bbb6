"""The README's shell session and Python lines work as printed, against a running demo."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import takes_ctrl_c

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
START_SECONDS = 150


def blocks(language: str) -> list[str]:
    """The README's code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.S | re.M)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """An empty home with a running demo in it."""
    # Straight under /tmp, where the embedded server's own account can reach it when root runs the tests.
    with tempfile.TemporaryDirectory(prefix="jitui-readme-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        environ = {"HOME": folder, "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "JITUI_PORT": "0"}
        log = Path(folder) / "demo.log"
        with log.open("w") as output:
            demo = subprocess.Popen(
                [sys.executable, "-m", "jitui.entrypoints.cli", "demo", "--orders", "120"],
                env=environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=takes_ctrl_c,
            )
        try:
            _wait_until_up(demo, log)
            yield Path(folder)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(60)


@pytest.mark.xdist_group("whole-service")
def test_the_session_works_as_printed(home: Path) -> None:
    session = [block for block in blocks("sh") if "make demo" not in block and "simulate" not in block]
    assert len(session) == 6
    script = "set -eu\n" + "\necho '---'\n".join(session)
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    _, dry_run, asked, listed, shipped, paused = done.stdout.split("---\n")
    assert json.loads(dry_run)["outcome"] == "instant"
    ticket = json.loads(asked)["ticket"]
    assert (ticket["state"], ticket["approved_by"]) == ("refunding", "instant_refund")
    assert [one["state"] for one in json.loads(listed)["tickets"]] == ["refunded"]
    assert shipped.startswith('"kind":"stop_ship"\n')
    assert json.loads(shipped.partition("\n")[2])["type"].endswith("/units-refunded")
    assert json.loads(paused)["scope"] == "platform"


def test_the_python_lines_work_as_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (lines,) = blocks("python")
    exec(lines, {})
    assert capsys.readouterr().out.startswith("review (")


def commands(readme: str) -> list[tuple[str, str]]:
    """The code blocks with their languages, without comments; of a block without a language only that it is there."""
    blocks = re.findall(r"^```([a-z]*)\n(.*?)^```", readme, flags=re.S | re.M)
    return [(language, re.sub(r"\s+#.*", "", text) if language else "") for language, text in blocks]


def test_the_chinese_readme_has_the_same_commands_and_the_same_structure() -> None:
    assert commands(CHINESE) == commands(README)
    headings = [re.findall(r"^(#+) ", readme, flags=re.M) for readme in (README, CHINESE)]
    assert headings[0] == headings[1]
    glossary = "docs/explanation/glossary.md"  # terms in both languages: for the readers of the Chinese one
    linked = [re.findall(r"\]\(([^)]+)\)", readme) for readme in (README, CHINESE)]
    assert set(linked[0]) - {"README.zh-CN.md"} == set(linked[1]) - {"README.md", glossary}
    assert "README.zh-CN.md" in linked[0] and "README.md" in linked[1]


def test_a_command_that_differs_is_noticed() -> None:
    assert commands(README.replace("--once", "--twice")) == commands(README)  # in the text, not in a block
    assert commands(README.replace("make test", "make tests")) != commands(README)
    assert commands(README.replace("# everything that must hold", "# 检查")) == commands(README)


def _wait_until_up(demo: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while "Ctrl-C stops everything" not in log.read_text(encoding="utf-8"):
        assert demo.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.3)


def test_the_back_test_works_as_printed(tmp_path: Path) -> None:
    """With fewer orders, in a folder of its own."""
    (block,) = [block for block in blocks("sh") if "simulate" in block]
    (tmp_path / "policies").symlink_to(ROOT / "policies")
    script = block.replace(".venv/bin/jitui", f"{sys.executable} -m jitui.entrypoints.cli").replace("200000", "2000")
    done = subprocess.run(
        ["bash", "-c", f"set -eu\n{script}"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "What stopped the others" in done.stdout
    assert (tmp_path / "backtest" / "report.html").is_file()
