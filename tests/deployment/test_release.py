"""A release: the same bytes from the checkout and from the sdist, and a list of everything that is in it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.installing import ROOT, script

EPOCH = 1_795_737_600


def checkout(folder: Path) -> Path:
    """The files that a build reads."""
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "requirements.lock"):
        shutil.copyfile(ROOT / name, folder / name)
    for name in ("src", "policies", "scripts"):
        shutil.copytree(ROOT / name, folder / name, copy_function=shutil.copyfile)
    return folder


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return script("release")


def test_wheel_and_sdist_are_the_same_bytes_when_built_again_of_the_sdist(release: Any, tmp_path: Path) -> None:
    source = checkout(tmp_path / "source")
    (source / "src" / "jitui" / "__init__.py").chmod(0o600)
    wheel, sdist = release.build_twice(source, tmp_path, EPOCH)
    assert re.fullmatch(r"jitui-[\d.]+-py3-none-any\.whl", wheel.name)
    assert re.fullmatch(r"jitui-[\d.]+\.tar\.gz", sdist.name)


def test_a_file_that_the_sdist_leaves_out_is_found(release: Any, tmp_path: Path) -> None:
    """Here one that only the wheel takes from the checkout."""
    source = checkout(tmp_path / "source")
    text = (source / "pyproject.toml").read_text(encoding="utf-8")
    wrong = text.replace('    "/PKG-INFO",', '    "/PKG-INFO", "src/jitui/py.typed",')
    assert wrong != text
    (source / "pyproject.toml").write_text(wrong, encoding="utf-8")
    with pytest.raises(SystemExit, match="came out differently"):
        release.build_twice(source, tmp_path, EPOCH)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a release is made of a commit")
def test_a_release_has_what_git_does_not_hold(release: Any, tmp_path: Path) -> None:
    """The client's calls are written of the commit's own source, not copied from a checkout that may be elsewhere."""
    source = release.committed(tmp_path / "source")
    package = source / "src" / "jitui"
    assert "def get_order(" in (package / "client" / "api" / "orders.py").read_text(encoding="utf-8")
    assert (package / "entrypoints" / "console" / "static" / "vendor" / "htmx.min.js").exists()
    assert [*source.rglob("__pycache__")] == []


def test_a_release_has_a_dated_section_in_the_changelog(release: Any) -> None:
    changelog = "# Changelog\n\n## Unreleased\n\n## 0.2.0 (2026-11-27)\n\n## 0.1.0\n"
    assert release.released_at("0.2.0", changelog) == EPOCH
    for version in ("0.1.0", "0.3.0", "0.2"):
        with pytest.raises(SystemExit, match=f"no section '## {version} "):
            release.released_at(version, changelog)


def test_what_the_wheel_carries_of_npm_is_listed_with_its_hash(release: Any) -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    listed = {component["name"]: component for component in release._bundled(lock)}
    sources = script("vendor_frontend").FILES.values()
    carried = {match[0] for source in sources if (match := re.match(r"(@[^/]+/)?[^/]+", source))}
    assert set(listed) == carried
    assert all(len(component["hashes"][0]["content"]) == 128 for component in listed.values())
