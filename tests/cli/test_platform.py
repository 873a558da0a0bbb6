"""`jitui platform`: what is connected was tried; what failed is named, and nothing is half-connected."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from tests.cli.conftest import Jitui

KEY = "key-of-the-shop"


class _Vendure(BaseHTTPRequestHandler):
    """What Vendure answers to whoever asks for no order."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.headers["vendure-api-key"] == KEY:
            told: dict[str, object] = {"data": {"orders": {"totalItems": 0, "items": []}}}
        else:
            told = {"errors": [{"message": "not allowed", "extensions": {"code": "FORBIDDEN"}}]}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Quiet."""


@contextmanager
def answering() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Vendure)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def url() -> Iterator[str]:
    with answering() as address:
        yield address


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    return path


def test_connected_read_and_disconnected(jitui: Jitui, url: str, key: Path, database_url: str) -> None:
    assert jitui("platform", "status").code == 2, "nothing is connected yet"
    done = jitui("platform", "connect", "vendure", "--url", url, "--secret-file", str(key), "--shop", "my-shop")
    assert (done.code, "vendure is connected" in done.out) == (0, True), done
    assert jitui("platform", "doctor").out == "vendure: it answers, and takes our key\n"
    told = jitui("platform", "doctor", "--json").json["vendure"]
    assert (told["ok"], told["problem"], told["last_read_at"]) == (True, None, None)
    assert "last read to the end: never" in jitui("platform", "status").out
    refused = jitui("platform", "sync")
    assert refused.code == 2
    assert "JITUI_POLICY_FILE" in refused.err and "policies/shop-on-a-platform.yaml" in refused.err
    assert jitui("platform", "status", "--json").json["vendure"]["problem"] != ""
    assert jitui("migrate").code == 0
    published = jitui("policy", "publish", "policies/shop-on-a-platform.yaml")
    assert (published.code, "version shop-1, is live now" in published.out) == (0, True), "in place of the first policy"
    assert jitui("platform", "status", "--json").json["vendure"]["problem"] == "", "said as it is now"
    assert jitui("platform", "sync").code == 0
    told = jitui("platform", "status", "--json").json["vendure"]
    assert (told["shop_id"], told["problem"], told["synced_at"] is None) == ("my-shop", "", False)
    mend = {one["what"]: one["mend"] for one in jitui("doctor", "--json").json["findings"]}["provider simulator"]
    assert "Nothing can be paid" not in mend, "the platform pays"
    again = jitui("platform", "connect", "vendure", "--url", url, "--secret-file", str(key), "--shop", "my-shop")
    assert again.code == 0, "the same connection may get a new key"
    assert jitui("platform", "disconnect", "vendure", "--yes").code == 0
    assert jitui("platform", "disconnect", "vendure", "--yes").code == 2
    with answering() as another_shop:
        words = ("--url", another_shop, "--secret-file", str(key), "--shop", "another")
        assert jitui("platform", "connect", "vendure", *words).code == 0
    told = jitui("platform", "status", "--json").json["vendure"]
    assert (told["cursor"], told["synced_at"]) == (None, None), "another shop is read from its beginning"
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT action FROM audit_event WHERE subject = 'vendure' ORDER BY number"
        ).fetchall()
        rows = connection.execute("SELECT row_to_json(a)::text FROM audit_event a").fetchall()
    actions = ["platform.connected", "platform.connected", "platform.disconnected", "platform.connected"]
    assert [row[0] for row in found] == actions
    assert KEY not in str(rows)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "magento"}, "There is no adapter for 'magento'"),
        ({"url": "http://127.0.0.1:9"}, "does not answer"),
        ({"url": "shop.example.com"}, "--url must be"),
        ({"key": "wrong"}, "does not take the key"),
        ({"key": "missing"}, "--secret-file must be"),
        ({"shop": " "}, "--shop"),
    ],
)
def test_what_cannot_be_connected_is_not(
    jitui: Jitui, url: str, key: Path, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("another")
    keys = {"wrong": wrong, "missing": tmp_path / "missing"}
    words = ("--secret-file", str(keys.get(change.get("key", ""), key)), "--shop", change.get("shop", "my-shop"))
    done = jitui("platform", "connect", change.get("name", "vendure"), "--url", change.get("url", url), *words)
    assert done.code == 2, done
    assert said in done.err
    assert "No platform is connected" in jitui("platform", "status").err


def test_another_shop_is_not_put_in_the_place_of_the_first(jitui: Jitui, url: str, key: Path) -> None:
    words = ("--secret-file", str(key), "--shop")
    assert jitui("platform", "connect", "vendure", "--url", url, *words, "my-shop").code == 0
    done = jitui("platform", "connect", "vendure", "--url", url, *words, "another")
    assert (done.code, "connected already" in done.err) == (2, True)
    with answering() as elsewhere:
        assert jitui("platform", "connect", "vendure", "--url", elsewhere, *words, "my-shop").code == 2
    assert jitui("platform", "status", "--json").json["vendure"]["url"] == url


def test_a_typed_key_is_kept_for_this_account_alone(jitui: Jitui, url: str, settings: dict[str, str]) -> None:
    terminal, of_the_command = os.openpty()
    command = [sys.executable, "-m", "jitui.entrypoints.cli", "platform", "connect", "vendure", "--url", url]
    environment = {"PATH": os.environ["PATH"], **settings}
    with subprocess.Popen(
        [*command, "--shop", "my-shop"],
        env=environment,
        stdin=of_the_command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as running:
        assert running.stderr is not None
        asked = running.stderr.read(len(b"Key of vendure: "))  # what is typed before is not read
        os.write(terminal, f"{KEY}\n".encode())
        out, err = running.communicate(timeout=60)
    os.close(terminal)
    os.close(of_the_command)
    assert (running.returncode, asked, KEY in f"{out!r}{err!r}") == (0, b"Key of vendure: ", False), err
    kept = Path(settings["JITUI_HOME"]) / "platforms" / "vendure.key"
    assert (kept.read_text().strip(), stat.S_IMODE(kept.stat().st_mode)) == (KEY, 0o600)
    kept.unlink()
    assert jitui("platform", "doctor").code == 1, "a key that is gone is said, and keeps nothing else from working"
    told = jitui("platform", "doctor").out
    assert "cannot be read" in told and "It was never read to its end; it was connected at" in told
    assert jitui("platform", "doctor", "--json").json["vendure"]["ok"] is False
    assert "cannot be read" in jitui("platform", "status").out


def test_nobody_is_asked_for_a_key_without_a_terminal(jitui: Jitui, url: str) -> None:
    done = jitui("platform", "connect", "vendure", "--url", url, "--shop", "my-shop")
    assert (done.code, "--secret-file" in done.err) == (2, True)


def test_resolving_says_what_it_needs(jitui: Jitui) -> None:
    refund = "00000000-0000-8000-8000-000000000000"
    assert "--made or --not-made" in jitui("platform", "resolve", refund, "--note", "seen").err
    assert "--note" in jitui("platform", "resolve", refund, "--made", "--note", " ").err
    assert "no such refund" in jitui("platform", "resolve", refund, "--made", "--note", "seen").err
