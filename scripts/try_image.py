"""Carries out deploy/Containerfile without a container engine: each step in a Debian that mmdebstrap makes.

Then it starts what the image would start, as the image's user, on a root file system that is read-only, and plays a
day of `jitui demo` there. As root, on Debian with mmdebstrap; minutes, so no test runs it.

    python scripts/try_image.py /var/tmp/image --bind /etc/ssl/certs

`--bind` shows a path of this machine inside while the image is built, at the same place or at that after a colon
(certificates, package sources; `~/.npmrc:/run/secrets/npm`); environment variables go in as they are here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTAINERFILE = ROOT / "deploy" / "Containerfile"
DEBIAN = "bookworm"
FREE_PORT = "18437"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its continuation lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


@dataclass(slots=True)
class Image:
    """What the instructions have made so far."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0:0"
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)


def instructions(text: str) -> Iterator[Instruction]:
    """Those of a Containerfile, comments left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in re.sub(r"\\\n", " ", lines).splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield Instruction(name, rest.strip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the root file systems are made; it must not exist")
    parser.add_argument("--bind", action="append", default=[], metavar="PATH[:THERE]")
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    base = given.folder / "base"
    print(f"Debian {DEBIAN} in {base}", flush=True)
    run(["mmdebstrap", "--variant=minbase", "--quiet", DEBIAN, str(base)])
    image = built(given.folder, base, given.bind)
    tried(image)


def built(folder: Path, base: Path, binds: list[str]) -> Image:
    """The last stage, every instruction carried out."""
    stages: dict[str, Image] = {}
    image = Image(base)
    for one in instructions(CONTAINERFILE.read_text(encoding="utf-8")):
        print(f"{one.name} {one.text}", flush=True)
        if one.name == "FROM":
            name = one.words[2] if one.words[1:2] == ["AS"] else "image"
            image = stages[name] = Image(folder / name)
            run(["cp", "--archive", str(base), str(image.root)])
        elif one.name == "RUN":
            command = re.sub(r"--mount=\S+ +", "", one.text)
            inside(image, ["/bin/sh", "-c", command], binds, environment={**os.environ, **image.environment})
        elif one.name == "COPY":
            copy(image, one.words, stages)
        else:
            noted(image, one)
    return image


def noted(image: Image, one: Instruction) -> None:
    """What only describes how the image runs."""
    if one.name == "ENV":
        image.environment |= dict(word.split("=", 1) for word in one.words)
    elif one.name == "WORKDIR":
        image.workdir = one.text
        (image.root / one.text.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif one.name == "USER":
        image.user = one.text
    elif one.name == "ENTRYPOINT":
        image.command = json.loads(one.text)
    elif one.name == "HEALTHCHECK":
        image.health = json.loads(one.text.partition("CMD ")[2])
    elif one.name not in {"ARG", "CMD", "EXPOSE", "STOPSIGNAL", "VOLUME"}:
        sys.exit(f"This script does not know {one.name}.")


def copy(image: Image, words: list[str], stages: dict[str, Image]) -> None:
    from_stage = [word for word in words if word.startswith("--from=")]
    *sources, target = [word for word in words if word not in from_stage]
    there = image.root / str(Path(image.workdir, target)).lstrip("/")
    origin = stages[from_stage[0].partition("=")[2]].root if from_stage else ROOT
    for source in sources:
        path = origin / source.lstrip("/")
        if path.is_dir():
            shutil.copytree(path, there, symlinks=True, ignore=None if from_stage else not_sent)
        else:
            shutil.copy2(path, there / path.name)


def not_sent(folder: str, names: list[str]) -> set[str]:
    """What .dockerignore keeps from the build."""
    return {
        name
        for name in names
        if name in ("__pycache__", "vendor") or Path(folder, name) == ROOT / "src/jitui/client/api"
    }


def inside(
    image: Image, command: list[str], binds: list[str], *, environment: dict[str, str], options: str = ""
) -> None:
    """In namespaces of its own, so that what is mounted goes with it."""
    steps = [f"mount --bind {shlex.quote(str(image.root))} {shlex.quote(str(image.root))}"]
    for given in ["/dev", "/etc/resolv.conf", *binds]:
        bind, _, target = given.partition(":")
        there = image.root / (target or bind).lstrip("/")
        if Path(bind).is_dir():
            there.mkdir(parents=True, exist_ok=True)
        else:
            there.parent.mkdir(parents=True, exist_ok=True)
            there.touch()
        steps.append(f"mount --rbind {shlex.quote(bind)} {shlex.quote(str(there))}")
    steps += [f"mount -t proc proc {image.root}/proc", options]
    chroot = [
        shutil.which("chroot") or "/usr/sbin/chroot",
        f"--userspec={image.user}",
        str(image.root),
        "/bin/sh",
        "-c",
    ]
    steps.append("exec " + shlex.join([*chroot, f"cd {image.workdir} && exec {shlex.join(command)}"]))
    script = "\n".join(["set -e", *filter(None, steps)])
    run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", script], environment)


def tried(image: Image) -> None:
    """The health of an installation and a day of the demo, with nothing to write but the volume and /tmp."""
    root = shlex.quote(str(image.root))
    read_only = "\n".join(
        [
            f"mount -t tmpfs tmpfs {root}/tmp",
            f"mount -t tmpfs -o mode=0700,uid=10001,gid=10001 tmpfs {root}/var/lib/jitui",
            f"mount -o remount,bind,ro {root}",
        ]
    )
    steps = [
        "id; touch /opt/x 2>/dev/null && exit 9; set -e",
        "jitui --version; jitui demo --once --orders 40; jitui migrate; jitui doctor",
        f"{shlex.join(image.command)} serve & serving=$!",
        f"for second in $(seq 60); do sleep 1; {shlex.join(image.health)} 2>/dev/null && healthy=yes && break; done",
        'kill $serving; wait $serving; echo "Healthy: $healthy"; test "$healthy"',
    ]
    environment = {"HOME": "/var/lib/jitui", **image.environment, "JITUI_PORT": FREE_PORT, "JITUI_HOST": "127.0.0.1"}
    command = ["/bin/sh", "-c", "\n".join(steps)]
    inside(image, command, [], environment=environment, options=read_only)
    print(f"{shlex.join(image.command)} runs as {image.user} on a read-only root file system.", flush=True)


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    if subprocess.run(command, env=environment, check=False).returncode:
        sys.exit(f"Failed: {shlex.join(command)[:500]}")


if __name__ == "__main__":
    main()
