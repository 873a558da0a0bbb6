"""Makes a release of the last commit in dist/: wheel and sdist, both built twice, an SBOM, and their checksums.

The second build is made of the first one's sdist, in another folder: when the bytes are the same, whoever has the
sdist can make the wheel and compare. Times inside come from the date of the version's section in CHANGELOG.md.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import setup
import vendor_frontend
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BUNDLED = ("@popperjs/core", "@tabler/core", "echarts", "htmx.org", "redoc", "tslib", "zrender")
"""The npm packages of which the wheel carries files."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="dist/ of the checkout by default")
    dist: Path = parser.parse_args().dist
    shutil.rmtree(dist, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="jitui-release-") as folder:
        work = Path(folder)
        source = committed(work / "source")
        version = version_of(source)
        epoch = released_at(version, (source / "CHANGELOG.md").read_text(encoding="utf-8"))
        dist.mkdir(parents=True)
        for path in build_twice(source, work, epoch):
            shutil.copy(path, dist)
        wheel = next(dist.glob("*.whl"))
        sbom = dist / f"jitui-{version}.cdx.json"
        bom = bill_of_materials(installed(wheel, work / "venv"), epoch)
        if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom):
            sys.exit(f"The SBOM is no CycloneDX: {problem}")
        sbom.write_text(bom, encoding="utf-8")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(dist.iterdir())]
    (dist / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    print("".join(sums), end="")


def version_of(source: Path) -> str:
    """Of pyproject.toml."""
    return str(tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def released_at(wanted: str, changelog: str) -> int:
    """Seconds since 1970 of midnight, UTC, of the day in `## VERSION (YYYY-MM-DD)`."""
    found = re.search(rf"^## {re.escape(wanted)} \((\d{{4}}-\d\d-\d\d)\)$", changelog, flags=re.MULTILINE)
    if not found:
        sys.exit(f"CHANGELOG.md has no section '## {wanted} (YYYY-MM-DD)'.")
    return int(datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp())


def committed(folder: Path) -> Path:
    """What the last commit holds, and what is not in git: the files of the pages, and the client's calls, which are
    written of the commit's own source. Nothing else that lies about.
    """
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    folder.mkdir()
    subprocess.run(["tar", "--extract", "--directory", str(folder)], input=archive, check=True)
    for vendored in vendor_frontend.FOLDERS:
        shutil.copytree(vendored, folder / vendored.relative_to(ROOT))
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, str(folder / "scripts" / "client_api.py")], env=environment, check=True)
    return folder


def build_twice(source: Path, work: Path, epoch: int) -> list[Path]:
    """The sdist and the wheel of `source`, once the same bytes came out of the sdist again."""
    first = built(source, work / "first", epoch)
    with tarfile.open(next(path for path in first if path.suffix == ".gz")) as sdist:
        sdist.extractall(work / "unpacked", filter="data")
    (unpacked,) = (work / "unpacked").iterdir()
    second = built(unpacked, work / "second", epoch)
    for one, other in zip(first, second, strict=True):
        if one.read_bytes() != other.read_bytes():
            sys.exit(f"{one.name} came out differently when it was built again of the sdist.")
    return first


def built(source: Path, target: Path, epoch: int) -> list[Path]:
    """By hatchling, which writes the same bytes for the same files, whatever their times and permissions are."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target), "-t", "sdist", "-t", "wheel"]
    subprocess.run(command, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)
    return sorted(target.iterdir())


def installed(wheel: Path, venv: Path) -> Path:
    """An environment of the wheel and what it needs, at the versions of the lock."""
    uv = [str(BIN / "uv"), "--quiet"]
    environment = {**setup.uv_settings(), **os.environ}
    subprocess.run([*uv, "venv", "--python", sys.executable, str(venv)], env=environment, check=True)
    into = ["--python", str(venv / "bin" / "python"), "--constraints", str(ROOT / "requirements.lock")]
    subprocess.run([*uv, "pip", "install", *into, str(wheel)], env=environment, check=True)
    return venv


def bill_of_materials(venv: Path, epoch: int) -> str:
    """CycloneDX as JSON: the packages of the environment, and of npm what the wheel carries."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    command = [str(BIN / "cyclonedx-py"), "environment", "--output-reproducible", "--sv", "1.6", "--no-validate"]
    command += ["--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application", str(venv)]
    bom: dict[str, Any] = json.loads(
        subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    )
    bom["components"] = [component for component in bom["components"] if component["name"] != "jitui"]
    bom["components"] += _bundled(json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8")))
    return json.dumps(bom, indent=2, sort_keys=True) + "\n"


def _bundled(lock: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in BUNDLED:
        entry = lock["packages"][f"node_modules/{name}"]
        algorithm, _, digest = entry["integrity"].partition("-")
        assert algorithm == "sha512"
        purl = f"pkg:npm/{name.replace('@', '%40')}@{entry['version']}"
        yield {
            "type": "library",
            "name": name,
            "version": entry["version"],
            "bom-ref": purl,
            "purl": purl,
            "licenses": [{"license": {"id": entry["license"]}}],
            "hashes": [{"alg": "SHA-512", "content": base64.b64decode(digest).hex()}],
        }


if __name__ == "__main__":
    main()
