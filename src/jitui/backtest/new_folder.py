"""A folder of results that appears only when it is complete, and a record of the assumptions behind it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from jitui.errors import BadInput
from jitui.policy.problems import did_you_mean

_Assumptions = TypeVar("_Assumptions", bound=Any)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` to write into; it becomes `out` when the block succeeds, and is deleted otherwise.

    Raises BadInput where the folder is there already and not empty, and where none can be made.
    """
    with can_be_made(out):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise BadInput(f"{out} is there already and is not empty: remove it, or name another folder.", path="--out")
        unfinished = out.with_name(f".{out.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
    try:
        yield unfinished
        if out.exists():
            out.rmdir()
        unfinished.replace(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def can_be_made(out: Path) -> Iterator[None]:
    """Raises BadInput where the file system does not let the block make the folder."""
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"The folder {out} cannot be made: {error.strerror or error}; name another one.", path="--out"
        ) from None


def write_assumptions(folder: Path, about: Mapping[str, object]) -> None:
    """Write `assumptions.json`, which records what was assumed for the results."""
    (folder / "assumptions.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def with_values(assumptions: _Assumptions, settings: Sequence[str], *, may_be_zero: Sequence[str] = ()) -> _Assumptions:
    """The assumptions with `name=value` settings; raises BadInput for a wrong name or value."""
    kinds = {field.name: field.type for field in fields(assumptions)}
    changed: dict[str, float | int] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in kinds:
            raise BadInput(f"There is no assumption {name!r}{did_you_mean(name, list(kinds))}.", path="--set")
        try:
            changed[name] = int(text) if kinds[name] == "int" else float(text)
        except ValueError:
            raise BadInput(f"{name} is a number, not {text!r}.", path="--set") from None
        percent = name.endswith("_percent")
        zero = percent or name in may_be_zero
        if not 0 <= changed[name] <= (100 if percent else 1e9) or (not zero and changed[name] == 0):
            wanted = "from 0 to 100" if percent else "0 or above" if zero else "above 0"
            raise BadInput(f"{name} is {wanted}.", path="--set")
    changed_assumptions: _Assumptions = replace(assumptions, **changed)
    return changed_assumptions
