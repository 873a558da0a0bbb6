"""The part of requirements.lock that Jitui needs where it runs, or that the named packages need, hashes included.

    python scripts/locked.py > runtime.txt
    python scripts/locked.py hatchling > build.txt

Made from the `# via` notes of the lock, offline, with the standard library alone: an image is built from exactly what
was tested, by `pip install --require-hashes --requirement runtime.txt`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
PROJECT = "jitui (pyproject.toml)"
"""How the lock names who needs a dependency of [project]; those of the dev group have `:dev` in it."""

Entry = tuple[str, list[str], set[str]]
"""A package's name, its lines of pin and hashes, and who needs it."""


def main() -> None:
    names = sys.argv[1:]
    lines = list(locked(LOCK.read_text(encoding="utf-8"), names or [PROJECT]))
    if not lines:
        sys.exit(f"requirements.lock has none of {', '.join(names)}.")
    print("\n".join(lines))


def locked(lock: str, roots: Iterable[str]) -> Iterator[str]:
    """The lines of the packages that are roots, or that a package taken needs; markers stay."""
    entries = list(_entries(lock))
    taken = set(roots)
    while more := {name for name, _, needed_by in entries if needed_by & taken} - taken:
        taken |= more
    for name, lines, _ in entries:
        if name in taken:
            yield from lines


def _entries(lock: str) -> Iterator[Entry]:
    """A pin may stand twice with different markers, as for two versions of Python."""
    for block in re.split(r"^(?=\S)", lock, flags=re.MULTILINE):
        lines = block.splitlines()
        if lines and not lines[0].startswith("#"):
            notes = [line.strip(" #") for line in lines if line.startswith("    #")]
            needed_by = {note.removeprefix("via").strip() for note in notes}
            yield re.split(r"[\[=]", lines[0])[0], [line for line in lines if "#" not in line], needed_by


if __name__ == "__main__":
    main()
