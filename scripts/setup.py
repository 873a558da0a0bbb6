"""Prepares a checkout: `.venv` from the lock, the console's files, the client's calls, and what the tests need.

Run by `make`, with any Python 3.11 or newer, before anything is installed: standard library only. When nothing
changed since the last run it only compares fingerprints. The system packages of the tests come on request.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "setup-stamp"
MAKER = VENV / "made-by"
CLIENT_STAMP = VENV / "client-stamp"
CLIENT_SCRIPT = ROOT / "scripts" / "client_api.py"
SOURCE = ROOT / "src" / "jitui"
CLIENT = SOURCE / "client" / "api"
INPUTS = (
    "requirements.lock",
    "pyproject.toml",
    "package.json",
    "package-lock.json",
    ".npmrc",
    "scripts/setup.py",
    "scripts/vendor_frontend.py",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
}
"""pip's options by uv's variables: uv reads none of pip's settings, and a machine's mirror must go on working."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test-tools", choices=["no", "offer", "require"], default="no")
    wanted = parser.parse_args().test_tools
    need_python()
    fcntl.flock(os.open(ROOT, os.O_RDONLY), fcntl.LOCK_EX)  # one at a time, until this process ends
    prepare_environment()
    prepare_client()
    if wanted != "no":
        prepare_test_tools(required=wanted == "require")


def need_python() -> None:
    """Go on under a newer Python if this one is too old, or say what to install."""
    if sys.version_info >= (3, 11):  # noqa: UP036 - an older Python may well be the one that runs this line
        return
    for name in ("python3.14", "python3.13", "python3.12", "python3.11"):
        if found := shutil.which(name):
            os.execv(found, [found, *sys.argv])
    sys.exit("Jitui needs Python 3.11 or newer. Set one with: make PYTHON=/path/to/python3 ...")


def prepare_environment() -> None:
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted and (VENV / "bin" / "jitui").exists():
        return
    STAMP.unlink(missing_ok=True)
    make_venv()
    install_packages()
    run([str(VENV_PYTHON), str(ROOT / "scripts" / "vendor_frontend.py")])
    STAMP.write_text(wanted)


def fingerprint() -> str:
    """Of everything the environment is made from."""
    digest = hashlib.sha256(f"{sys.version} {ROOT}".encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def prepare_client() -> None:
    """Write the client's calls, which follow from the API's source, unless they are there as written for it."""
    source = client_source()
    if CLIENT_STAMP.exists() and CLIENT_STAMP.read_text() == f"{source} {content_of(CLIENT.glob('*.py'))}":
        return
    say("Writing the client's calls")
    run([str(VENV_PYTHON), str(CLIENT_SCRIPT)])
    CLIENT_STAMP.write_text(f"{source} {content_of(CLIENT.glob('*.py'))}")


def client_source() -> str:
    """The fingerprint of all that the API's document can depend on, the packages included."""
    modules = (path for path in SOURCE.rglob("*.py") if path.parent != CLIENT)
    return f"{fingerprint()} {content_of([CLIENT_SCRIPT, *modules])}"


def content_of(files: Iterable[Path]) -> str:
    """A fingerprint of the files' names and bytes."""
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def make_venv() -> None:
    maker = f"{sys.version} {ROOT}"  # the scripts in .venv/bin name their place, so a moved checkout needs new ones
    if MAKER.exists() and MAKER.read_text() == maker and VENV_PYTHON.exists():
        return
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        install_system_packages(["python3-venv"], why="to make a virtual environment", required=True)
    say("Making .venv")
    run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    MAKER.write_text(maker)


def install_packages() -> None:
    """With uv, ten times as fast, itself installed by pip from the lock; with pip where uv cannot."""
    say("Installing the packages of requirements.lock")
    if install_uv() and install_with_uv():
        return
    say("uv could not do it; trying pip, which takes a minute")
    pip = [str(VENV_PYTHON), "-m", "pip", "install", "--quiet"]
    run([*pip, "--require-hashes", "--requirement", str(LOCK)])
    run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])


def install_uv() -> bool:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as only_uv:
        only_uv.write(entry_of("uv"))
        only_uv.flush()
        pip = [str(VENV_PYTHON), "-m", "pip", "install", "--quiet"]
        return succeeds([*pip, "--require-hashes", "--requirement", only_uv.name])


def entry_of(package: str) -> str:
    """The lines of one package in the lock: the pin and its indented hashes."""
    lines = LOCK.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    entry = [lines[first]]
    for line in lines[first + 1 :]:
        if not line.startswith("    --hash"):
            break
        entry.append(line)
    return "\n".join(entry) + "\n"


def install_with_uv() -> bool:
    uv = [str(VENV / "bin" / "uv"), "--quiet", "pip", "install", "--python", str(VENV_PYTHON)]
    environment = {**uv_settings(), **os.environ}
    return succeeds([*uv, "--require-hashes", "--requirement", str(LOCK)], environment) and succeeds(
        [*uv, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], environment
    )


def uv_settings() -> dict[str, str]:
    """What pip's files and variables say, in uv's words; variables of uv's own win over these."""
    listing = subprocess.run(
        [VENV_PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found = dict(line.split("=", 1) for line in listing.splitlines() if "=" in line)
    settings = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_PYTHON_DOWNLOADS": "never"}  # as pip looks for them
    for option, variable in UV_NAMES.items():
        for section in (":env:", "install", "global"):  # the order in which pip lets one overrule another
            if value := found.get(f"{section}.{option}", "").strip("'\""):
                settings[variable] = value
                break
    return settings


def prepare_test_tools(*, required: bool) -> None:
    missing = missing_test_packages()
    if missing:
        install_system_packages(missing, why="for the tests", required=required)


def missing_test_packages() -> list[str]:
    """A browser and a Chinese font for the pages, Java for Spark, promtool for the alert rules; the rest is locked."""
    missing = [] if any(shutil.which(name) for name in BROWSERS) else ["chromium"]
    if shutil.which("apt-get") and not has_chinese_font():
        missing.append("fonts-noto-cjk")
    if not shutil.which("java"):
        missing.append("default-jre-headless")
    if shutil.which("apt-get") and not shutil.which("promtool"):
        missing.append("prometheus")
    return missing


def has_chinese_font() -> bool:
    if not shutil.which("fc-list"):
        return False
    return bool(subprocess.run(["fc-list", ":lang=zh"], capture_output=True, check=False).stdout.strip())


def install_system_packages(packages: list[str], *, why: str, required: bool) -> None:
    """Through apt as root or with a sudo that asks nothing; otherwise say the command and, if required, stop."""
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300"]
    install = [*apt, "install", "--yes", "--no-install-recommends", *packages]
    prefix = root_prefix()
    if shutil.which("apt-get") and prefix is not None:
        say(f"Installing {' and '.join(packages)} {why}")
        unattended = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive"]
        succeeds([*unattended, *apt, "update"], quiet=True)  # without it a fresh machine knows no package
        if succeeds([*unattended, *install], quiet=True):
            return
    if shutil.which("apt-get"):
        advice = "sudo apt-get update && sudo " + shlex.join(install)
    else:
        advice = "your system's way to install packages"
    say(f"Missing {why}: {' '.join(packages)}. Install with:\n  {advice}")
    if required:
        sys.exit(1)


def root_prefix() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    asks_nothing = shutil.which("sudo") and succeeds(["sudo", "-n", "true"], quiet=True)
    return ["sudo", "-n"] if asks_nothing else None


def run(command: list[str]) -> None:
    if not succeeds(command):
        sys.exit(f"Failed: {shlex.join(command)}")


def succeeds(command: list[str], environment: dict[str, str] | None = None, *, quiet: bool = False) -> bool:
    """Quiet drops what a talkative command says; its errors still show."""
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, env=environment, stdout=output, check=False).returncode == 0


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
