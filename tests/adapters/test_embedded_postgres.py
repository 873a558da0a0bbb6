"""The embedded server starts, is shared, recovers when it or its users are killed, and says why it cannot start."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from jitui.adapters import embedded_postgres
from jitui.adapters.embedded_postgres import ServerOptions, running, shut_down, start, stop
from jitui.errors import NotConfigured, Unavailable

QUICK = ServerOptions(durable=False, shared_buffers_mb=16, max_connections=20)
START_AND_WAIT = """
import sys, time
from pathlib import Path
from jitui.adapters.embedded_postgres import ServerOptions, start
print(start(Path(sys.argv[1]), ServerOptions(durable=False, shared_buffers_mb=16)).pid, flush=True)
sys.stdin.read()
"""

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="says what happens as root")

NewFolder = Callable[[], Path]


@pytest.fixture(scope="module")
def new_folder() -> Iterator[NewFolder]:
    """Makes folders that any account can reach; whatever runs in them is stopped at the end."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="jitui-")))
        made[-1].chmod(0o755)
        return made[-1] / "postgres"

    yield make
    for parent in made:
        shut_down(parent / "postgres")
        shutil.rmtree(parent)


@pytest.fixture(scope="module")
def folder(new_folder: NewFolder) -> Path:
    """One cluster that several tests start and stop."""
    return new_folder()


def ask(url: str, question: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    return str(row[0]) if row else ""


def has_ended(pid: int) -> bool:
    """The pid file goes a moment before the process, and nobody may have collected what is left of it."""
    for _ in range(1000):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


def start_elsewhere(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", START_AND_WAIT, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def pid_told_by(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_new_folder_becomes_a_durable_private_server(new_folder: NewFolder) -> None:
    with running(new_folder()) as server:
        answers = {
            name: ask(server.url, f"SELECT current_setting('{name}')")
            for name in ("fsync", "full_page_writes", "data_checksums", "server_encoding", "listen_addresses")
        }
        assert answers == {
            "fsync": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "listen_addresses": "",
        }
        assert ask(server.url, "SELECT lower('ÀÉ') || current_database()") == "àéjitui"
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        assert (server.bin_folder / "pgbench").exists()
    assert has_ended(server.pid)


def test_the_last_to_leave_stops_the_server(folder: Path) -> None:
    first, second = start(folder, QUICK), start(folder, QUICK)
    assert first.pid == second.pid
    assert not stop(first)
    assert not stop(first), "leaving twice must not count for two"
    assert ask(second.url, "SELECT 1") == "1"
    assert stop(second)
    assert has_ended(second.pid)


def test_after_its_only_user_was_killed_the_server_is_found_again(folder: Path) -> None:
    user = start_elsewhere(folder)
    pid = pid_told_by(user)
    user.send_signal(signal.SIGKILL)
    user.communicate()
    assert psutil.pid_exists(pid)
    server = start(folder, QUICK)
    assert server.pid == pid
    assert stop(server), "the dead user's hold is gone"


def test_what_was_committed_survives_a_killed_server(new_folder: NewFolder) -> None:
    folder = new_folder()
    server = start(folder)
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(server.pid, signal.SIGKILL)
    again = start(folder)
    assert again.pid != server.pid
    assert ask(again.url, "SELECT answer FROM kept") == "42"
    assert not stop(server)
    assert stop(again)


def test_two_who_start_a_new_folder_at_once_get_one_server(new_folder: NewFolder) -> None:
    folder = new_folder()
    users = [start_elsewhere(folder) for _ in range(2)]
    pids = {pid_told_by(user) for user in users}
    for user in users:
        end(user)
    assert len(pids) == 1


def test_a_pid_file_whose_number_a_stranger_has_now_is_no_obstacle(folder: Path) -> None:
    with running(folder, QUICK) as server:
        pid_file = server.folder / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines(keepends=True)
    owner = server.folder.stat()
    stranger = subprocess.Popen(["sleep", "600"], user=owner.st_uid if os.geteuid() == 0 else None)
    try:
        pid_file.write_text("".join([f"{stranger.pid}\n", *lines[1:]]))
        with running(folder, QUICK) as again:
            assert again.pid not in (server.pid, stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_making_of_the_cluster_is_begun_anew(new_folder: NewFolder) -> None:
    folder = new_folder()
    (folder / "data.new" / "base").mkdir(parents=True)
    (folder / "start.lock").touch()
    with running(folder, QUICK) as server:
        assert ask(server.url, "SELECT 1") == "1"


def test_a_folder_too_deep_for_a_socket_works(new_folder: NewFolder) -> None:
    folder = new_folder().parent / ("deep" * 20) / ("deeper" * 10) / "postgres"
    with running(folder, QUICK) as server:
        socket_folder = Path(ask(server.url, "SELECT trim('\"' FROM current_setting('unix_socket_directories'))"))
        assert server.folder == folder
        assert socket_folder != folder
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    socket_folder.rmdir()


def test_a_server_that_still_recovers_is_waited_for_and_then_named(folder: Path) -> None:
    with running(folder, QUICK) as server:
        pid_file = server.folder / "data" / "postmaster.pid"
        ready = pid_file.read_text()
        pid_file.write_text(ready.replace("ready   ", "starting"))
        with pytest.raises(Unavailable, match=r"JITUI_EMBEDDED_START_SECONDS(.|\n)*ready to accept connections"):
            start(folder, ServerOptions(start_seconds=0.1))
        pid_file.write_text(ready)


def test_a_server_that_does_not_start_shows_the_end_of_its_log(new_folder: NewFolder) -> None:
    with running(new_folder(), QUICK) as server:
        pass
    with (server.folder / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write("no_such_setting = on\n")
    with pytest.raises(Unavailable, match=r"did not start(.|\n)*no_such_setting"):
        start(server.folder, QUICK)


def test_the_data_of_another_major_version_are_refused_with_the_way_out(new_folder: NewFolder) -> None:
    folder = new_folder()
    (folder / "data").mkdir(parents=True)
    (folder / "start.lock").touch()
    (folder / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(NotConfigured, match=r"made by PostgreSQL 17.*upgrade-database --old-bin.*JITUI_DATABASE_URL"):
        start(folder)


def test_a_folder_with_other_files_is_left_alone(new_folder: NewFolder) -> None:
    folder = new_folder()
    folder.mkdir(mode=0o755)
    (folder / "letter.txt").write_text("keep me")
    before = folder.stat()
    with pytest.raises(NotConfigured, match="files that are not Jitui's"):
        start(folder)
    assert (folder.stat().st_mode, folder.stat().st_uid) == (before.st_mode, before.st_uid)


@only_root
def test_as_root_the_server_runs_as_somebody_else_and_no_parent_is_opened(tmp_path: Path) -> None:
    """pytest's folders are closed to others, as a home folder is."""
    folder = tmp_path / "home" / "postgres"
    with running(folder, QUICK) as server:
        try:
            assert psutil.Process(server.pid).uids().real != 0
            assert folder.resolve() == server.folder
            assert server.folder.parent == embedded_postgres.SYSTEM_STATE
            assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
            assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
        finally:
            shut_down(folder)
    with running(folder, QUICK) as again:
        assert again.folder == server.folder
    shutil.rmtree(server.folder)


@only_root
def test_as_root_a_folder_keeps_its_owner(new_folder: NewFolder) -> None:
    folder = new_folder()
    folder.mkdir(mode=0o700)
    nobody = 65534
    os.chown(folder, nobody, nobody)
    with running(folder, QUICK) as server:
        assert psutil.Process(server.pid).uids().real == nobody
        assert folder.stat().st_uid == nobody


@only_root
def test_without_root_the_server_runs_as_ourselves(new_folder: NewFolder) -> None:
    """The checkout may lie where that user cannot read: the capability opens it to Python, and PostgreSQL's
    programs come from where root's server found them, which others can run.
    """
    with running(new_folder(), QUICK) as server_of_root:
        packages = server_of_root.bin_folder.parents[2]
    folder = new_folder()
    os.chown(folder.parent, 65534, 65534)
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    reading = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    user = subprocess.Popen(
        [*as_nobody, *reading, sys.executable, "-c", START_AND_WAIT, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(packages)},
    )
    try:
        assert psutil.Process(pid_told_by(user)).uids().real == 65534
    finally:
        end(user)
