"""`jitui platform sync`: orders are counted once, and Ctrl-C says that nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.cli.conftest import Jitui
from tests.serving import takes_ctrl_c


class Waiting(ThreadingHTTPServer):
    """Answers nothing from when it holds until it is let go."""

    holds = False
    asked, let_go = Event(), Event()


class _Vendure(BaseHTTPRequestHandler):
    server: Waiting

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.server.holds:
            self.server.asked.set()
            self.server.let_go.wait(30)
            return
        body = json.dumps({"data": {"orders": {"totalItems": 0, "items": []}}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Quiet."""


@pytest.fixture
def vendure() -> Iterator[Waiting]:
    server = Waiting(("127.0.0.1", 0), _Vendure)
    server.asked, server.let_go = Event(), Event()
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.let_go.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_ctrl_c_says_that_it_goes_on(jitui: Jitui, vendure: Waiting, settings: dict[str, str], tmp_path: Path) -> None:
    key, url = tmp_path / "key", f"http://127.0.0.1:{vendure.server_port}"
    key.write_text("key")
    given = ("--url", url, "--secret-file", str(key), "--shop", "my-shop")
    assert jitui("platform", "connect", "vendure", *given).code == 0
    assert jitui("policy", "publish", "policies/unshipped-instant-refund.yaml").code == 0
    found = jitui("platform", "sync", "--json")
    assert (found.code, found.json) == (0, {"vendure": {"read": 0, "refused": {}}})
    vendure.holds = True
    command = [sys.executable, "-m", "jitui.entrypoints.cli", "platform", "sync"]
    environment = {"PATH": os.environ["PATH"], **settings}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=takes_ctrl_c
    ) as running:
        assert vendure.asked.wait(60)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, b""), err
    assert "goes on from there" in err.decode()
