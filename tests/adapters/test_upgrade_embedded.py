"""Data of an older PostgreSQL come to the one that is carried, whole or not at all, and payouts go on as they were."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from jitui.adapters.embedded_postgres import ServerOptions, Upgraded, running, shut_down, start, stop, upgrade_data
from jitui.adapters.embedded_postgres.cluster import make_database
from jitui.adapters.embedded_postgres.place import Place, run_as, settle
from jitui.adapters.embedded_postgres.postmaster import launch_postmaster, stop_postmaster
from jitui.adapters.embedded_postgres.server import url_of
from jitui.adapters.embedded_postgres.upgrade import _compare
from jitui.adapters.postgres.migrate import upgrade
from jitui.bootstrap import MARKS
from jitui.entrypoints.cli.upgrade_database import _pays
from jitui.errors import NotConfigured, Unavailable
from jitui.settings import Settings

OLD_BINS = [Path("/usr/lib/postgresql") / version / "bin" for version in ("15", "16", "17")]
OLD_BIN = next((folder for folder in OLD_BINS if (folder / "postgres").exists()), None)
OLD = OLD_BIN.parent.name if OLD_BIN else ""
QUICK = ServerOptions(durable=False, shared_buffers_mb=16, max_connections=20)

pytestmark = [
    pytest.mark.skipif(OLD_BIN is None, reason="no older PostgreSQL is here: Debian's package postgresql-15 is one"),
    pytest.mark.xdist_group("embedded upgrade"),
]


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """An installation whose data an older PostgreSQL has made: migrated, with a shop, and stopped."""
    parent = Path(tempfile.mkdtemp(prefix="jitui-old-"))
    parent.chmod(0o755)
    with old_server(parent / "postgres") as url:
        make_database(url)
        upgrade(url)
        with psycopg.connect(url) as connection:
            connection.execute("INSERT INTO shop (shop_id, updated_at) VALUES ('茶馆', now())")
    yield parent / "postgres"
    shutil.rmtree(parent)


@pytest.fixture
def home(made: Path) -> Iterator[Path]:
    """A copy of it."""
    parent = Path(tempfile.mkdtemp(prefix="jitui-old-"))
    parent.chmod(0o755)
    subprocess.run(["cp", "--archive", str(made), str(parent)], check=True)
    yield parent
    shut_down(parent / "postgres")
    shutil.rmtree(parent)


def old_place(folder: Path) -> Place:
    assert OLD_BIN is not None
    return replace(settle(folder), bin_folder=OLD_BIN)


@contextmanager
def old_server(folder: Path) -> Iterator[str]:
    """The old version's server, and its data where there are none."""
    place = old_place(folder)
    if not place.data.exists():
        words = ["--username=jitui", "--auth=trust", "--encoding=UTF8", "--locale=C", "-D", str(place.data)]
        assert run_as(place.account, [str(place.bin_folder / "initdb"), *words]).returncode == 0
    (place.folder / "start.lock").touch()
    postmaster = launch_postmaster(place, QUICK, time.monotonic() + 120)
    try:
        yield url_of(postmaster)
    finally:
        stop_postmaster(place)


def upgraded(home: Path, **more: object) -> subprocess.CompletedProcess[str]:
    """`jitui upgrade-database`."""
    words = ["upgrade-database", "--old-bin", str(more.pop("old_bin", OLD_BIN))]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("JITUI_")}
    return subprocess.run(
        [sys.executable, "-m", "jitui.entrypoints.cli", *words],
        env={**ours, "JITUI_HOME": str(home), **{name: str(value) for name, value in more.items()}},
        capture_output=True,
        text=True,
        check=False,
    )


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    return row and row[0]


def copied_by_hand(
    home: Path,
    look: Callable[[str], None] = lambda url: None,
    finish: Callable[[str, None], None] = lambda url, _: None,
) -> Upgraded | None:
    """The same in this process, with a step of the test's own."""
    assert OLD_BIN is not None
    return upgrade_data(home / "postgres", OLD_BIN, QUICK, look=look, finish=finish)


def test_everything_is_there_afterwards_and_refunds_are_paid_as_before(home: Path) -> None:
    with pytest.raises(NotConfigured, match=f"made by PostgreSQL {OLD}.*jitui upgrade-database --old-bin"):
        start(home / "postgres", QUICK)
    done = upgraded(home)
    assert (done.returncode, done.stdout.partition(".")[0]) == (0, f"Upgraded from PostgreSQL {OLD} to 18"), done.stderr
    with running(home / "postgres", QUICK) as server:
        assert ask(server.url, "SELECT shop_id FROM shop") == "茶馆"
        assert ask(server.url, "SELECT payouts_allowed()") is True
        assert ask(server.url, "SELECT current_setting('server_version_num')::int / 10000") == 18
        accepted = ask(server.url, "SELECT accepted_by FROM accepted_database WHERE system_id = current_system_id()")
        assert accepted == "upgrade-database"
    left = {path.name for path in (home / "postgres").iterdir() if path.is_dir()}
    assert left == {"data", f"data.{OLD}"}
    with old_server_of_kept(home) as url:
        assert ask(url, "SELECT shop_id FROM shop") == "茶馆", "the old version can still go on with its data"
    assert "Nothing to do" in upgraded(home).stdout


@contextmanager
def old_server_of_kept(home: Path) -> Iterator[str]:
    place = replace(old_place(home / "postgres"), data_name=f"data.{OLD}")
    postmaster = launch_postmaster(place, QUICK, time.monotonic() + 120)
    try:
        yield url_of(postmaster)
    finally:
        stop_postmaster(place)


def test_payouts_that_were_held_stay_held(home: Path) -> None:
    with old_server(home / "postgres") as url, psycopg.connect(url) as connection:
        connection.execute("UPDATE accepted_database SET held_since = now(), held_by = 'li', held_reason = 'look'")
    assert upgraded(home).returncode == 0
    with running(home / "postgres", QUICK) as server:
        assert ask(server.url, "SELECT payouts_allowed()") is False


def test_payouts_do_not_go_on_when_the_home_knows_a_later_state_of_the_data(home: Path) -> None:
    """A backup was copied back, and nobody has noticed yet."""
    settings = Settings(home=home)
    with old_server(home / "postgres") as url:
        assert _pays(settings, url)
        (acceptance,) = json.loads((home / MARKS).read_bytes())["marks"]
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE worker_mark SET marks = 0")
        assert acceptance == ask(url, "SELECT acceptance_id::text FROM accepted_database")
        assert not _pays(settings, url)


@pytest.mark.parametrize("killed", [True, False], ids=["crashed", "left running by users that were killed"])
def test_data_of_a_server_that_nobody_stopped_are_brought_along(home: Path, killed: bool) -> None:
    place = old_place(home / "postgres")
    postmaster = launch_postmaster(place, replace(QUICK, durable=True), time.monotonic() + 120)
    with psycopg.connect(url_of(postmaster)) as connection:
        connection.execute("INSERT INTO shop (shop_id, updated_at) VALUES ('late', now())")
    if killed:
        os.kill(postmaster.pid, signal.SIGKILL)
    assert upgraded(home).returncode == 0
    with running(home / "postgres", QUICK) as server:
        assert ask(server.url, "SELECT count(*) FROM shop") == 2


def test_data_in_use_are_left_alone(home: Path) -> None:
    with old_server(home / "postgres"), (home / "postgres" / "users.lock").open("ab") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        done = upgraded(home)
        assert (done.returncode, "in use" in done.stderr) == (3, True), done.stderr


def test_programs_of_another_version_are_refused(home: Path, tmp_path: Path) -> None:
    carried = settle(home / "postgres").bin_folder
    for old_bin, says in (
        (carried, f"has PostgreSQL 18, and the data were made by PostgreSQL {OLD}"),
        (tmp_path, "has no programs"),
    ):
        done = upgraded(home, old_bin=old_bin)
        assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    assert {path.name for path in (home / "postgres").iterdir() if path.is_dir()} == {"data"}


def test_a_server_that_is_not_embedded_is_refused(home: Path) -> None:
    done = upgraded(home, JITUI_DATABASE_URL="postgresql://db/jitui")
    assert (done.returncode, "JITUI_DATABASE_URL" in done.stderr) == (2, True)


class Killed(BaseException):
    """Stands for the end of the process."""


def test_what_was_killed_before_its_end_is_begun_anew(home: Path) -> None:
    def die(url: str, seen: None) -> None:
        raise Killed

    with pytest.raises(Killed):
        copied_by_hand(home, finish=die)
    with old_server(home / "postgres") as url, psycopg.connect(url) as connection:
        connection.execute("INSERT INTO shop (shop_id, updated_at) VALUES ('meanwhile', now())")
    assert copied_by_hand(home) is not None
    with running(home / "postgres", QUICK) as server:
        assert ask(server.url, "SELECT count(*) FROM shop") == 2


def test_what_was_killed_between_its_last_two_steps_is_finished_and_nothing_begins_empty(home: Path) -> None:
    assert copied_by_hand(home) is not None
    (home / "postgres" / "data").rename(home / "postgres" / "data.upgraded")
    with pytest.raises(NotConfigured, match=r"interrupted.*jitui upgrade-database"):
        start(home / "postgres", QUICK)
    assert "Upgraded from" in upgraded(home).stdout
    server = start(home / "postgres", QUICK)
    assert ask(server.url, "SELECT shop_id FROM shop") == "茶馆"
    stop(server)


@pytest.mark.parametrize("found", [{"shop": 1, "refund": 3}, {"shop": 2}, {"shop": 2, "refund": 3, "more": 0}])
def test_new_data_with_other_rows_are_refused_by_name(found: dict[str, int]) -> None:
    with pytest.raises(Unavailable, match=r"differ in (shop|refund|more); the old data are as they were"):
        _compare(found, {"shop": 2, "refund": 3})
    _compare({"shop": 2, "refund": 3}, {"refund": 3, "shop": 2})


def test_old_data_of_an_earlier_upgrade_are_not_written_over(home: Path) -> None:
    (home / "postgres" / f"data.{OLD}").mkdir()
    with pytest.raises(NotConfigured, match=f"data.{OLD} is there already"):
        copied_by_hand(home)
