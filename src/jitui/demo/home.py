"""The demo's folder: its state between runs, its database, and its processes."""

from __future__ import annotations

import fcntl
import secrets
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
import psutil
import psycopg
from psycopg import sql

from jitui.adapters.embedded_postgres import with_database
from jitui.child import command_of
from jitui.errors import NotConfigured, Unavailable

DATABASE_SUFFIX = "_demo"
STOP_SECONDS = 15


class State(msgspec.Struct):
    """The state for the next run; the secrets are only for this demo's own simulator."""

    seed: int
    day: int = 0
    simulator_key: str = msgspec.field(default_factory=lambda: secrets.token_urlsafe(24))
    webhook_secret: str = ""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder `demo` in JITUI_HOME."""

    folder: Path

    @property
    def books(self) -> Path:
        return self.folder / "simulator.books"

    @property
    def people(self) -> Path:
        return self.folder / "people.json"

    @property
    def session(self) -> Path:
        """The file with the address and the sample keys, for a shell."""
        return self.folder / "session.sh"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def _state(self) -> Path:
        return self.folder / "state.json"

    def read_state(self) -> State | None:
        """The state of the last run; None on the first run. Raises NotConfigured for a damaged file."""
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            raise NotConfigured(f"{self._state} cannot be read; `jitui demo --fresh` starts over.") from None

    def write_state(self, state: State) -> None:
        """Replace the state as a whole."""
        write_json(self._state, state)


def write_exports(path: Path, values: Mapping[str, str]) -> None:
    """Write variables that a shell reads with `.`; only the owner may read the file, because it has keys."""
    path.touch(mode=0o600)
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    path.write_text("".join(lines), encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write to a temporary file and rename it; only the owner may read it."""
    aside = path.with_suffix(".new")
    aside.touch(mode=0o600)
    aside.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
    aside.replace(path)


@contextmanager
def opened_home(folder: Path, *, fresh: bool) -> Iterator[Home]:
    """The demo's folder, for one demo at a time; processes that a killed demo left running are ended.

    `fresh` deletes everything but the database.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "demo.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"A demo is running already on {folder.parent}; stop it, or set JITUI_HOME.") from None
        _end_orphans(folder / _RUNNING)
        if fresh:
            shutil.rmtree(folder)
            folder.mkdir()
        home = Home(folder)
        home.logs.mkdir(exist_ok=True)
        yield home


# The demo's database ---------------------------------------------------------------------------------------------


def own_database(server_url: str, *, fresh: bool) -> str:
    """The demo's database on a server, created if it does not exist; `fresh` empties it. No other database is changed.

    Its name is that of the given database with `_demo` added, unless it ends so already. Raises NotConfigured,
    Unavailable.
    """
    given = unquote(urlsplit(server_url).path.lstrip("/")) or "jitui"
    name = given if given.endswith(DATABASE_SUFFIX) else given + DATABASE_SUFFIX
    try:
        with psycopg.connect(server_url, autocommit=True) as connection:
            if fresh and name == given:
                connection.execute("DROP SCHEMA public CASCADE")
                connection.execute("CREATE SCHEMA public")
            elif fresh:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege as error:
        why = error.diag.message_primary
        raise NotConfigured(
            f"The demo has a database of its own, {name}, and this user may not make it: {why}."
        ) from None
    except psycopg.OperationalError as error:
        raise Unavailable(f"The database does not answer: {str(error).strip()}") from None
    return with_database(server_url, name)


# Processes -------------------------------------------------------------------------------------------------------

_RUNNING = "running.json"


class _Known(msgspec.Struct):
    """A process by its id and start time, so that another process with a reused id is not mistaken for it."""

    pid: int
    started_at: float


MOST_QUICK_ENDS = 5
QUICK_SECONDS = 10.0


@dataclass(slots=True)
class _Child:
    """A process, how to restart it, and how often it ended soon after a start."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stdin: bytes
    is_kept: bool
    process: subprocess.Popen[bytes]
    began: float
    quick_ends: int = 0
    again_at: float | None = None


@dataclass(slots=True)
class DemoProcesses:
    """The processes that a demo started; they end with the demo. `stop` ends them, the last one first."""

    home: Home
    _running: list[_Child] = field(default_factory=list)

    def start(
        self,
        name: str,
        module: str,
        words: Sequence[str] = (),
        *,
        environment: Mapping[str, str],
        stdin: bytes = b"",
        is_kept: bool = False,
    ) -> None:
        """Start a module of this installation; its output goes to the demo's logs. `check` restarts it if `is_kept`."""
        command = command_of(module, *words)
        process = self._launch(name, command, environment, stdin)
        self._running.append(_Child(name, command, environment, stdin, is_kept, process, time.monotonic()))
        self._note()

    def check(self) -> None:
        """Restart kept processes that have ended, after a growing pause.

        Raises Unavailable, with the end of the log, when another process has ended, or a kept one again and again.
        """
        for child in self._running:
            if child.process.poll() is not None:
                self._mend(child)

    def _mend(self, child: _Child) -> None:
        now = time.monotonic()
        if child.again_at is None:
            child.quick_ends = child.quick_ends + 1 if now - child.began < QUICK_SECONDS else 1
            child.again_at = now + 0.25 * 2**child.quick_ends
        if not child.is_kept or child.quick_ends > MOST_QUICK_ENDS:
            tail = (self.home.logs / f"{child.name}.log").read_text(errors="replace").strip().splitlines()[-12:]
            said = "\n".join(tail)
            raise Unavailable(f"The demo's {child.name} has ended with code {child.process.returncode}:\n{said}")
        if now >= child.again_at:
            child.process = self._launch(child.name, child.command, child.environment, child.stdin)
            child.began, child.again_at = time.monotonic(), None
            self._note()

    def _launch(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], stdin: bytes
    ) -> subprocess.Popen[bytes]:
        with (self.home.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C is handled by us, so that the processes stop in order
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(stdin)
            process.stdin.close()
        return process

    def stop(self) -> None:
        """End all of them; those that do not end in time are killed."""
        for child in reversed(self._running):
            child.process.terminate()
        for child in reversed(self._running):
            try:
                child.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self._running.clear()
        self._note()

    def _note(self) -> None:
        known = []
        for pid in (child.process.pid for child in self._running):
            with suppress(psutil.NoSuchProcess):
                known.append(_Known(pid, psutil.Process(pid).create_time()))
        write_json(self.home.folder / _RUNNING, known)


def _end_orphans(note: Path) -> None:
    """End the processes that a killed demo left running."""
    try:
        known = msgspec.json.decode(note.read_bytes(), type=list[_Known])
    except (FileNotFoundError, msgspec.DecodeError):
        return
    left = []
    for one in known:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(one.pid)
            if abs(process.create_time() - one.started_at) < 0.01:
                process.terminate()
                left.append(process)
    _, alive = psutil.wait_procs(left, timeout=STOP_SECONDS)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    note.unlink()


def free_port(wanted: int) -> int:
    """The wanted port if it is free, otherwise another free port."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise Unavailable("No port is free on 127.0.0.1.")
