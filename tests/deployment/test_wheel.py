"""The wheel alone, installed without a checkout, is a working Jitui."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from jitui.adapters import embedded_postgres
from tests.deployment.installing import ROOT, build, install, script

PACKAGE = ROOT / "src" / "jitui"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (built,) = build(tmp_path_factory.mktemp("built"))
    return built


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that the database's account can reach, too."""
    parent = Path(tempfile.mkdtemp(prefix="jitui-wheel-"))
    parent.chmod(0o755)
    yield parent / "home"
    embedded_postgres.shut_down(parent / "home" / "postgres")
    shutil.rmtree(parent)


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """The vendored files are not in git and the policies lie elsewhere; both must come along."""
    inside = set(ZipFile(wheel).namelist())
    sources = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    wanted = {f"jitui/{path.relative_to(PACKAGE)}" for path in sources}
    wanted |= {f"jitui/policies/{path.name}" for path in (ROOT / "policies").iterdir()}
    wanted |= {f"jitui/{path.relative_to(PACKAGE)}" for path in script("vendor_frontend").FILES}
    assert wanted - inside == set()
    assert {name for name in inside if not name.startswith("jitui")} == set()


def test_the_installed_wheel_plays_a_day_and_is_healthy(wheel: Path, home: Path, tmp_path: Path) -> None:
    commands = install(wheel, tmp_path / "venv")

    def jitui(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(commands / "jitui"), *words],
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "JITUI_HOME": str(home), "JITUI_PORT": "0"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    played = jitui("demo", "--once", "--orders", "20", "--json")
    assert played.returncode == 0, played.stderr
    day = json.loads(played.stdout)
    assert (day["orders"], day["paid_twice"], day["approved_but_unpaid"], day["unexpected"]) == (20, 0, 0, [])
    assert day["requests"] > 0

    migrated = jitui("migrate")
    assert migrated.returncode == 0, migrated.stderr
    found = jitui("doctor", "--json")
    report = json.loads(found.stdout)
    assert (found.returncode, report["ok"]) == (0, True), report
    levels = {finding["what"]: finding["level"] for finding in report["findings"]}
    assert [levels[what] for what in ("database", "migrations", "policy")] == ["ok"] * 3
