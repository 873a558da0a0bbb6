"""The Python code and the commands of the how-to pages run as printed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from jitui.aftersales.ports import OutgoingEvent
from jitui.webhooks.delivery import signed_message
from jitui.webhooks.endpoints import new_secret
from jitui.webhooks.model import EndpointState, WebhookEndpoint
from tests.serving import free_port

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "how-to"
NODE_MODULES = ROOT / ".venv" / "frontend" / "node_modules"


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


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_the_receivers_of_webhooks_take_an_event_once_and_refuse_what_is_not_signed(language: str) -> None:
    text = (PAGES / "receive-webhooks.md").read_text(encoding="utf-8")
    (program,) = re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.S | re.M)
    node = shutil.which("node") or str(Path(sys.executable).parent / "node")
    command = [sys.executable, "-c", program] if language == "python" else [node, "-e", program]
    secret, port = new_secret(), free_port()
    environment = {**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(port), "NODE_PATH": str(NODE_MODULES)}
    endpoint = WebhookEndpoint(UUID(int=1), "", "", "", (), EndpointState.ACTIVE, datetime.now(UTC), "tests")
    event = OutgoingEvent(7, "stop_ship", datetime.now(UTC), "o-1", "b-1", "s-1", None, {}, UUID(int=2))
    made = signed_message(event, endpoint, [new_secret(), secret], datetime.now(UTC), "tests")
    forged = signed_message(event, endpoint, [new_secret()], datetime.now(UTC), "tests")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
                answers = [
                    client.post(f"http://127.0.0.1:{port}/", content=one.body, headers=dict(one.headers)).status_code
                    for one in (forged, made, made)
                ]
        finally:
            process.kill()
        assert process.stdout is not None
        assert (answers, process.stdout.read().decode()) == ([400, 204, 204], "jitui.stop_ship o-1\n")
