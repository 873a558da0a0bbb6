"""Building the package and installing it as somebody does who has no checkout."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"


def script(name: str) -> ModuleType:
    """A module of scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    """To its end; what it wrote is in the failure."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done  # type: ignore[no-any-return]


def build(folder: Path, source: Path = ROOT, *, targets: tuple[str, ...] = ("wheel",)) -> list[Path]:
    """The wheel, or what else is asked for, built from `source` as a package installer does it: by hatchling."""
    words = [word for target in targets for word in ("-t", target)]
    run([sys.executable, "-m", "hatchling", "build", "-d", str(folder), *words], cwd=source)
    return sorted(folder.iterdir())


def install(wheel: Path, venv: Path) -> Path:
    """The wheel and what it needs, at the versions of the lock, in a new environment; its folder of commands.

    uv takes the packages from the cache that `make setup` has filled.
    """
    uv = str(Path(sys.executable).parent / "uv")
    environment = {**script("setup").uv_settings(), **os.environ}
    run([uv, "--quiet", "venv", "--python", sys.executable, str(venv)], env=environment)
    into = ["--python", str(venv / "bin" / "python"), "--constraints", str(LOCK)]
    run([uv, "--quiet", "pip", "install", *into, str(wheel)], env=environment)
    return venv / "bin"
