"""What a run writes on its standard output and error, searched for every secret that was near a fault."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
import psycopg
import pytest
import structlog

from jitui import logs
from jitui.identity.access import Role
from jitui.identity.people import Person, enrol
from jitui.settings import Settings
from tests.http.api import BUYER, open_api, order
from tests.serving import free_port

PASSWORD = "planted-password-7c1f"
DATABASE_PASSWORD = "planted/database@word-9d2e"
PROVIDER_KEY = "planted-provider-key-51aa"
WEBHOOK_SECRET = "whsec_" + b64encode(b"planted-webhook-secret-e40b").decode()
WEBHOOK_BODY = "planted-webhook-body-88cd"
PLANTED = "planted"


@contextmanager
def served(database_url: str, home: Path) -> Iterator[tuple[str, Path]]:
    """The service with its worker as a person starts it; everything that either writes goes to one file."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JITUI_")}
    environment |= {
        "JITUI_HOME": str(home),
        "JITUI_DATABASE_URL": database_url,
        "JITUI_PORT": str(port),
        "JITUI_SIMULATOR_URL": "http://127.0.0.1:9",
        "JITUI_SIMULATOR_KEY": PROVIDER_KEY,
        "JITUI_SIMULATOR_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "JITUI_LOG_LEVEL": "debug",
    }
    log = home / "run.log"
    command = [sys.executable, "-m", "jitui.entrypoints.cli", "serve", "--with-worker"]
    with log.open("wb") as out, subprocess.Popen(command, env=environment, stdout=out, stderr=out) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(600):
                assert process.poll() is None, log.read_text()
                try:
                    if httpx.get(f"{address}/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield address, log
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def with_password(url: str) -> str:
    """The same address with a password, which the test's server does not ask for."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    user = user.partition(":")[0] or "postgres"
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(DATABASE_PASSWORD, safe='')}@{host}"))


async def prepare(database_url: str, home: Path) -> tuple[str, str]:
    """A platform's and a buyer's key, a person with the planted password, and a refund that waits to be paid."""
    async with open_api(database_url, home=home) as api:
        person = Person("lin", Role.BUYER, BUYER, "Lin")
        await enrol(api.service.people, person, PASSWORD, now=api.now.at)
        await api.paid_order("o-1")
        await api.ask("o-1")
        return api.platform, api.buyer


def sign_in(client: httpx.Client, next_path: str) -> httpx.Response:
    token = re.search(r'name="_csrf_token"[^>]*value="([^"]+)"', client.get("/").text)
    assert token is not None
    form = {"_csrf_token": token[1], "name": "lin", "password": PASSWORD, "next": next_path}
    return client.post("/sign-in", data=form)


def test_no_log_of_a_run_holds_a_secret_whatever_goes_wrong(database_url: str, tmp_path: Path) -> None:
    platform, buyer = asyncio.run(prepare(database_url, tmp_path))
    secrets = [PASSWORD, DATABASE_PASSWORD, quote(DATABASE_PASSWORD, safe=""), PROVIDER_KEY, WEBHOOK_SECRET]
    secrets += [WEBHOOK_BODY, platform, buyer, platform.split("_", 2)[2], buyer.split("_", 2)[2]]
    with served(with_password(database_url), tmp_path) as (address, log):
        with httpx.Client(base_url=address) as client:
            went = sign_in(client, "/buyer/中文")
            assert (went.status_code, went.headers["location"]) == (303, "/buyer/%E4%B8%AD%E6%96%87")
            secrets.append(client.cookies["jitui_session"])
            _break_everything(database_url)
            statuses = _provoke(client, platform, buyer)
        assert statuses.count(500) >= 4, statuses
        with httpx.Client(base_url=address) as stranger:
            assert sign_in(stranger, "/").status_code == 500
    written = log.read_text(encoding="utf-8")
    assert "Traceback" in written, "nothing was provoked"
    assert "request_failed" in written
    assert "page_failed" in written
    assert [secret for secret in secrets if secret in written] == []
    assert PLANTED not in written


def _break_everything(database_url: str) -> None:
    """Faults of the database in every part, some of which quote the row that was written."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table in ("order_line", "shop", "sign_in_attempt", "policy"):
            connection.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
            connection.execute(f"CREATE VIEW {table} AS SELECT * FROM {table}_away WHERE 1 / 0 = 1")
        connection.execute("ALTER TABLE buyer ADD CONSTRAINT nobody CHECK (buyer_id LIKE 'buyer-1') NOT VALID")


def _provoke(client: httpx.Client, platform: str, buyer: str) -> list[int]:
    headers = {"authorization": f"Bearer {platform}"}
    calls: tuple[tuple[str, str, object, dict[str, str]], ...] = (
        ("GET", "/v1/orders/o-1", None, {"authorization": f"Bearer {buyer}"}),
        ("PUT", "/v1/orders/o-2", order(), headers),
        ("GET", "/v1/shops/shop-1", None, headers),
        ("GET", "/v1/policies", None, headers),
        ("PUT", "/v1/buyers/b-9", {"attributes": {"note": PLANTED}}, headers),
        ("POST", "/v1/notifications/simulator", {"secret": WEBHOOK_BODY}, headers),
        ("GET", f"/v1/orders/{platform}", None, headers),
        ("GET", "/buyer/orders", None, {}),
        ("GET", "/policy", None, {}),
    )
    return [client.request(method, path, json=body, headers=sent).status_code for method, path, body, sent in calls]


def test_a_trace_holds_no_local_value_and_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(password: str) -> None:
        local = password * 2
        raise RuntimeError(f"broke on {len(local)}")

    try:
        fail(PASSWORD)
    except RuntimeError:
        logs.get_logger("test").exception("failed")
    written = capsys.readouterr().err
    assert "broke on 42" in written
    assert "raise RuntimeError" in written
    assert PASSWORD not in written


@pytest.mark.parametrize(
    "text",
    [
        "jt_0123456789ab_planted-secret",
        "postgresql://me:planted@host/db",
        "postgresql://me:planted/with@signs@host/db",
        "Authorization: Bearer planted-token",
        "cookie: planted",
        'password="planted words"',
        "{'password': 'planted'}",
        "/sign-in?password=planted&name=x",
        "GET /welcome/planted",
        "token plantedplantedplantedplantedPlantedPlanted0123".replace("planted", "planTed1")[:49],
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str) -> None:
    assert "plant" not in logs.without_secrets(text).lower().removeprefix("token ")[:40]


def test_secrets_of_the_settings_are_hidden_wherever_they_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----\nplantedkeymaterial\n-----END PRIVATE KEY-----\n")
    settings = Settings(
        home=tmp_path,
        database_url="postgresql://me:p%2Fplanted@host/db",
        simulator_key="planted-simulator",
        stripe_secret_key_file=key,
    )
    try:
        logs.configure(settings)
        told = "p/planted and p%2Fplanted and planted-simulator and plantedkeymaterial"
        logs.get_logger("test").warning("told", said=told)
        assert "planted" not in capsys.readouterr().err
    finally:
        logs.configure(Settings(home=tmp_path))


def test_a_log_line_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.get_logger("test").warning("seen", path="/a\n2026 [error] forged\x1b[2J\u202e")
    (line,) = capsys.readouterr().err.splitlines()
    assert "\x1b" not in line
    assert "\u202e" not in line


def test_nobody_logs_but_through_the_log_of_the_service() -> None:
    root = Path(logs.__file__).parent.parent
    found = [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*.py"))
        if re.search(r"^\s*(import structlog|from structlog)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert found == ["demo/simulation/process.py", "logs/lines.py"]
    assert structlog.is_configured()
