"""`jitui demo` from end to end: real processes, real HTTP, checked by the provider's own books."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg
import pytest

from jitui.adapters.embedded_postgres import with_database
from jitui.demo.audit import audit
from jitui.demo.home import DemoProcesses, Home, State, free_port, opened_home, own_database
from jitui.demo.stock import STAFF
from jitui.errors import NotConfigured, Unavailable
from jitui.identity.access import Role
from jitui.provider_simulator.books import open_books

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture
def settings(empty_database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    yield {"JITUI_HOME": str(tmp_path), "JITUI_DATABASE_URL": empty_database_url, "JITUI_PORT": str(free_port(0))}
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{_demo_name(empty_database_url)}" WITH (FORCE)'.encode())


def _demo_name(url: str) -> str:
    return url.rpartition("/")[2].partition("?")[0] + "_demo"


def demo(settings: dict[str, str], *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "jitui.entrypoints.cli", "demo", "--once", "--json", *words]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **settings}
    return subprocess.run(command, env=environment, capture_output=True, timeout=240, check=False)


def document_of(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_day_is_played_and_everybody_is_paid_exactly_once(settings: dict[str, str], tmp_path: Path) -> None:
    day = document_of(demo(settings, "--orders", "300"))
    for name in ("paid_twice", "over_refunded", "shipped_and_refunded", "approved_but_unpaid"):
        assert day[name] == 0
    assert day["unexpected"] == []
    assert day["requests"] == day["instant"] + day["reviewed"] > 30
    assert sum(day["reviewed_by_condition"].values()) == day["reviewed"]
    assert 0 < day["instant"] <= day["refunded"]
    assert day["amounts"]["instant_minor"] <= day["amounts"]["refunded_minor"] <= day["amounts"]["requested_minor"]
    assert 0 < day["median_seconds_to_refund"] <= day["p99_seconds_to_refund"]
    assert (day["orders"], day["day"]) == (300, 1)
    people = json.loads((tmp_path / "demo" / "people.json").read_bytes())
    assert {person["role"] for person in people["people"]} == {role.value for role in Role}
    assert json.loads((tmp_path / "demo" / "running.json").read_bytes()) == [], "nothing is left running"
    shops = [person["subject_id"] for person in people["people"] if person["role"] == "merchant"]
    url = with_database(settings["JITUI_DATABASE_URL"], _demo_name(settings["JITUI_DATABASE_URL"]))
    with psycopg.connect(url) as connection:
        for query in LISTS.values():
            found = connection.execute(query, {"shops": shops}).fetchone()
            assert found is not None and found[0] > 0, query


LISTS: dict[str, LiteralString] = {
    "to review": "SELECT count(*) FROM ticket WHERE state = 'awaiting_merchant' AND shop_id = ANY(%(shops)s)",
    "decided at once": "SELECT count(*) FROM ticket WHERE approved_by = 'instant_refund' AND shop_id = ANY(%(shops)s)",
    "templates": "SELECT count(*) FROM review_template WHERE shop_id = ANY(%(shops)s)",
    "arbitrations": "SELECT count(*) FROM ticket WHERE arbitration IS NOT NULL AND shop_id = ANY(%(shops)s)",
    "incidents": "SELECT count(*) FROM incident WHERE shop_id = ANY(%(shops)s)",
    "restrictions": "SELECT count(*) FROM restriction",
    "a difference, which is a task": "SELECT count(*) FROM task WHERE kind = 'theirs_only' AND state = 'open'",
}
"""What a visitor of the demo finds in the lists of the console, by the sample shops."""


async def _bound_the_balance(books_file: Path) -> None:
    """As `PUT /balance` does, while the simulator is stopped."""
    books = open_books(books_file)
    books.set_balance("CNY", 0, 0)
    await books.journal.close()


def staff(url: str) -> list[str]:
    """The platform's own people as the start page lists them: by role, and within it by the times of their rows."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT name FROM console_person WHERE sample AND subject_id = '' ORDER BY role, created_at, name"
        )
        return [str(name) for (name,) in rows.fetchall()]


def test_a_second_run_goes_on_and_finds_what_was_bent_meanwhile(settings: dict[str, str], tmp_path: Path) -> None:
    document_of(demo(settings, "--orders", "60"))
    listed = [person.name for person in sorted(STAFF, key=lambda person: person.role.value)]
    url = with_database(settings["JITUI_DATABASE_URL"], _demo_name(settings["JITUI_DATABASE_URL"]))
    assert staff(url) == listed
    with psycopg.connect(url) as connection:
        bent = connection.execute(
            "UPDATE ticket SET amount_minor = amount_minor + 1 WHERE (lane, ticket_id) IN"
            " (SELECT lane, ticket_id FROM ticket WHERE state = 'refunded' LIMIT 1)"
        )
        assert bent.rowcount == 1
        connection.execute("UPDATE console_person SET created_at = now() WHERE name = 'wei'")
    assert staff(url) != listed, "it is not the names that sort them"
    asyncio.run(_bound_the_balance(tmp_path / "demo" / "simulator.books"))
    done = demo(settings, "--orders", "20")
    day = json.loads(done.stdout)
    assert (done.returncode, day["approved_but_unpaid"], day["day"]) == (1, 1, 2)
    assert staff(url) == listed
    assert b"paid" in done.stderr
    assert b"bounded the merchant's balance in CNY" in done.stderr, "else the refunds of the day would wait for it"
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (80,)


def test_one_demo_at_a_time(tmp_path: Path) -> None:
    with (
        opened_home(tmp_path / "demo", fresh=False),
        pytest.raises(Unavailable, match="running already"),
        opened_home(tmp_path / "demo", fresh=False),
    ):
        pass


def test_what_a_killed_demo_left_running_is_ended_by_the_next(tmp_path: Path) -> None:
    with opened_home(tmp_path / "demo", fresh=False) as home:
        children = DemoProcesses(home)
        children.start("sleeper", "http.server", ("0", "--bind", "127.0.0.1"), environment={"PATH": "/usr/bin:/bin"})
        process = children._running[0].process
        assert psutil.pid_exists(process.pid)
        children.check()
    with opened_home(tmp_path / "demo", fresh=False):
        assert process.poll() is not None


def test_a_part_that_dies_is_named_with_its_last_words(tmp_path: Path) -> None:
    with opened_home(tmp_path / "demo", fresh=False) as home:
        children = DemoProcesses(home)
        children.start("broken", "no_such_module", environment={"PATH": "/usr/bin:/bin"})
        children._running[0].process.wait(30)
        with pytest.raises(Unavailable, match=r"(?s)broken has ended with code 1:\n.*no_such_module"):
            children.check()
        children.stop()


def test_the_demo_has_a_database_of_its_own_and_forgets_only_that(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE precious (id int)")
        own = own_database(empty_database_url, fresh=False)
        assert own == with_database(empty_database_url, _demo_name(empty_database_url))
        assert own_database(own, fresh=False) == own
        with psycopg.connect(own, autocommit=True) as demo_connection:
            demo_connection.execute("CREATE TABLE passing (id int)")
        own_database(empty_database_url, fresh=True)
        with psycopg.connect(own) as demo_connection:
            assert demo_connection.execute("SELECT to_regclass('passing')").fetchone() == (None,)
        assert connection.execute("SELECT count(*) FROM precious").fetchone() == (0,)
        connection.execute(f'DROP DATABASE "{_demo_name(empty_database_url)}"'.encode())


def test_damaged_state_is_refused_with_the_way_out(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.write_state(State(7))
    assert home.read_state() is not None
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(NotConfigured, match="jitui demo --fresh"):
        home.read_state()


def test_an_audit_without_books_is_unavailable(database_url: str) -> None:
    with pytest.raises(Unavailable, match="does not show its books"):
        asyncio.run(audit(database_url, "http://127.0.0.1:9", "k" * 16))
