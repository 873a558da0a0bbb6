"""The wheel alone, installed without a checkout, is a working Jitui."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from jitui.adapters import embedded_postgres
from tests.deployment.installing import LOCK, ROOT, build, install, script

pytestmark = pytest.mark.xdist_group("wheel")  # built and installed once

PACKAGE = ROOT / "src" / "jitui"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (built,) = build(tmp_path_factory.mktemp("built"))
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment into which it was installed."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    install(wheel, venv)
    return venv


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that the database's account can reach, too."""
    parent = Path(tempfile.mkdtemp(prefix="jitui-wheel-"))
    parent.chmod(0o755)
    yield parent / "home"
    embedded_postgres.shut_down(parent / "home" / "postgres")
    shutil.rmtree(parent)


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """What is vendored or generated is not in git, and the policies lie elsewhere; all must come along."""
    inside = set(ZipFile(wheel).namelist())
    sources = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    wanted = {f"jitui/{path.relative_to(PACKAGE)}" for path in sources}
    wanted |= {f"jitui/policies/{path.name}" for path in (ROOT / "policies").iterdir()}
    wanted |= {f"jitui/{path.relative_to(PACKAGE)}" for path in script("vendor_frontend").FILES}
    wanted |= {f"jitui/client/api/{name}.py" for name in ("__init__", "after_sales", "shared")}
    assert {name for name in inside if "__pycache__" in name} == set()
    assert wanted - inside == set()
    assert {name for name in inside if not name.startswith("jitui")} == set()


def test_the_installed_wheel_plays_a_day_and_is_healthy(installed: Path, home: Path, tmp_path: Path) -> None:
    def jitui(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(installed / "bin" / "jitui"), *words],
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


def plain(name: str) -> str:
    """As an index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(venv: Path) -> dict[str, str]:
    """What is installed there, by name."""
    return {
        plain(found.metadata["Name"]): found.version
        for found in metadata.distributions(path=[str(path) for path in venv.glob("lib/python*/site-packages")])
    }


def test_an_image_gets_the_very_packages_that_an_installer_chooses(installed: Path) -> None:
    """The image is made of a part of the lock, by `# via`; here an installer has followed the requirements."""
    lines = script("locked").locked(LOCK.read_text(encoding="utf-8"), ["jitui (pyproject.toml)"])
    locked = [Requirement(line.rstrip(" \\")) for line in lines if not line.startswith(" ")]
    wanted = {one.name: str(one.specifier) for one in locked if one.marker is None or one.marker.evaluate()}
    assert wanted == {name: f"=={version}" for name, version in packages(installed).items() if name != "jitui"}


def test_the_bill_of_materials_names_what_is_installed(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    release = script("release")
    first, second = (release.bill_of_materials(installed, 1_795_737_600) for _ in range(2))
    assert first == second
    bom = json.loads(first)  # scripts/release.py holds it against the schema, which takes half a minute
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    listed = {plain(component["name"]): component["version"] for component in bom["components"]}
    bundled = {plain(name) for name in release.BUNDLED}
    there = {**packages(installed), "jitui": bom["metadata"]["component"]["version"]}
    assert {name: version for name, version in listed.items() if name not in bundled} == {
        name: version for name, version in there.items() if name != "jitui"
    }
    assert bundled <= listed.keys()
