"""Old and new version beside one another: the version before this one goes on, on the tables that this one has made.

The old one is the last release, or as long as none is behind the newest migration, the code before that migration;
both from git.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from jitui.adapters.postgres import migrate
from jitui.adapters.postgres.migrate import current_revision, newest_revision
from jitui.demo.home import free_port
from tests.deployment.installing import ROOT
from tests.http.api import order, payment
from tests.provider_simulator.server import SimulatorProcess

VERSIONS = Path(migrate.__file__).parent / "migrations" / "versions"
PAID = 12_900


def git(*words: str) -> str:
    """What git says; nothing where there is no history, as in an unpacked sdist."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def previous_commit() -> str:
    """Of the version that is upgraded from, on the line of merges: a branch may have numbered its own otherwise."""
    folder = str(VERSIONS.relative_to(ROOT))
    tags = git("tag", "--list", "v*", "--merged", "HEAD", "--sort=-version:refname").split()
    commits = git("log", "--first-parent", "--format=%H", "--", folder).split()
    return next((one for one in (*tags, *commits) if "" < newest_in(one) < newest_revision()), "")


def newest_in(commit: str) -> str:
    """The newest migration of that version."""
    names = git("ls-tree", "--name-only", commit, "--", f"{VERSIONS.relative_to(ROOT)}/").split()
    return max((Path(name).name.split("_")[0] for name in names if name.endswith(".sql")), default="")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the code, on a database and a provider that both have in common."""

    source: Path
    settings: dict[str, str]

    def environment(self, port: int = 0) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("JITUI_")}
        return {**ours, **self.settings, "PYTHONPATH": str(self.source), "JITUI_PORT": str(port)}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "jitui.entrypoints.cli", *words]

    def run(self, *words: str) -> str:
        """A command, to its end."""
        command = self.command(*words)
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def working(self) -> Iterator[None]:
        """Its worker."""
        with process(self.command("worker"), self.environment()):
            yield

    @contextmanager
    def serving(self, key: str) -> Iterator[httpx.Client]:
        """Its API, and a client with the platform's key."""
        port = free_port(0)
        with (
            process(self.command("serve"), self.environment(port)) as server,
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, timeout=60
            ) as client,
        ):
            until(lambda: answers(client) or server.poll() is not None)
            assert server.poll() is None, "the server ended by itself"
            yield client


@contextmanager
def process(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(command, env=environment)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(60)


def until(holds: Callable[[], object], *, seconds: float = 120.0) -> None:
    ends_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends_at, "it never held"
        time.sleep(0.05)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def at_work(client: httpx.Client) -> bool:
    """Whether a worker has begun, and nothing is missing."""
    return bool(client.get("/readyz").json().get("degraded") == [])


def sent(client: httpx.Client, path: str, body: Any, key: str = "", method: str = "POST", **headers: str) -> Any:
    """The answer to a call that was carried out."""
    idempotency = {"Idempotency-Key": key} if key else {}
    got = client.request(method, path, json=body, headers={**idempotency, **headers})
    assert got.is_success, f"{method} {path}: {got.status_code} {got.text}"
    return got.json()


def asked(client: httpx.Client, name: str) -> str:
    """The ticket of a paid order whose refund was asked for; nothing is known of its buyer, so it waits."""
    today = datetime.now(UTC).isoformat()
    sent(client, f"/v1/orders/{name}", order(placed_at=today), method="PUT")
    sent(client, f"/v1/orders/{name}/payments", payment(name, PAID, captured_at=today), key=f"pay-{name}")
    ticket = sent(client, "/v1/after-sales", {"order_id": name, "buyer_id": order()["buyer_id"]}, key=f"ask-{name}")
    assert ticket["ticket"]["state"] == "awaiting_merchant"
    return str(ticket["ticket"]["ticket_id"])


def approved(client: httpx.Client, ticket_id: str) -> Any:
    return sent(client, f"/v1/after-sales/{ticket_id}/approve", {}, key=f"approve-{ticket_id}", **{"If-Match": '"1"'})


def refunded(client: httpx.Client, ticket_id: str) -> None:
    until(lambda: client.get(f"/v1/after-sales/{ticket_id}").json()["state"] == "refunded")


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[SimulatorProcess]:
    process = SimulatorProcess(tmp_path / "books.journal").start()
    yield process
    process.stop()


@pytest.fixture
def versions(tmp_path: Path, empty_database_url: str, simulator: SimulatorProcess) -> tuple[Version, Version]:
    """The previous one and this one."""
    commit = previous_commit()
    if not commit:
        pytest.skip("the previous version's code comes from git, whose history is not here")
    archive = subprocess.run(
        ["git", "archive", commit, "src", "policies"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    old = tmp_path / "old"
    old.mkdir()
    subprocess.run(["tar", "--extract", "--directory", str(old)], input=archive.stdout, check=True)
    console = Path(
        "src", "jitui", "entrypoints", "console", "static", "vendor"
    )  # not in git; it starts with them alone
    (old / console).symlink_to(ROOT / console)
    settings = {
        "JITUI_DATABASE_URL": empty_database_url,
        "JITUI_SIMULATOR_URL": simulator.url,
        "JITUI_SIMULATOR_KEY": simulator.api_key,
        "JITUI_SIMULATOR_WEBHOOK_SECRET": simulator.webhook_secret,
        "JITUI_POOL_SIZE": "4",
    }
    homes = [{**settings, "JITUI_HOME": str(tmp_path / name)} for name in ("old-home", "new-home")]
    return Version(old / "src", homes[0]), Version(ROOT / "src", homes[1])


def captured(simulator: SimulatorProcess, *names: str) -> None:
    """The provider knows the payments."""
    payments = [{"id": f"pay-{name}", "order_id": name, "amount_minor": PAID, "currency": "CNY"} for name in names]
    headers = {"Authorization": f"Bearer {simulator.api_key}"}
    httpx.post(f"{simulator.url}/payments/batch", json={"payments": payments}, headers=headers).raise_for_status()


def books(simulator: SimulatorProcess) -> Any:
    return httpx.get(f"{simulator.url}/books", headers={"Authorization": f"Bearer {simulator.api_key}"}).json()


def test_the_old_version_goes_on_beside_the_new_one(
    versions: tuple[Version, Version], empty_database_url: str, simulator: SimulatorProcess
) -> None:
    old, new = versions
    captured(simulator, "before", "during", "later", "across", "after")
    old.run("migrate")
    assert str(current_revision(empty_database_url)) < newest_revision()
    key = old.run("keys", "issue", "--scope", "platform").split()[-1]
    with ExitStack() as deployed_new:
        with ExitStack() as running_old, old.serving(key) as old_api, old.working():
            waits = asked(old_api, "before")
            until(lambda: at_work(old_api))

            new.run("migrate")
            assert current_revision(empty_database_url) == newest_revision()

            approved(old_api, waits)
            refunded(old_api, waits)
            whole = asked(old_api, "during")
            first_answer = approved(old_api, whole)
            refunded(old_api, whole)

            new_api = deployed_new.enter_context(new.serving(key))
            deployed_new.enter_context(new.working())
            later = asked(old_api, "later")
            by_new = approved(new_api, later)
            refunded(new_api, later)
            assert approved(old_api, later) == by_new, "the new version's answer is the old one's too"
            across = asked(new_api, "across")
            approved(old_api, across)
            refunded(old_api, across)
            running_old.close()
        assert approved(new_api, whole) == first_answer, "the old version's answer is the new one's too"
        after = asked(new_api, "after")
        approved(new_api, after)
        refunded(new_api, after)
        assert at_work(new_api)
    found = books(simulator)
    assert (found["paid_twice"], found["over_refunded"]) == ([], [])
    assert sum(total["refunded_minor"] for total in found["totals"].values()) == 5 * PAID, found
    new.run("doctor")
