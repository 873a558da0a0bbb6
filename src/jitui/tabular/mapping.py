"""Map files: how to read a file that somebody else wrote, and which of its columns is which of our fields.

A map file is TOML or YAML; docs/reference/map-files.md describes its keys. The caller defines the fields; here a field
is a name.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

from jitui.errors import BadInput
from jitui.tabular.cells import bare
from jitui.tabular.shown import shown

READY = Path(__file__).parent / "maps"
ORDER_EXPORT, PAYMENT_BILL = "order export", "payment bill"


@dataclass(frozen=True, slots=True)
class CellRules:
    """How cells are written in a file.

    `empty`: texts that mean "nothing". `masks`: an id that contains one of these is masked, so it is unknown. `signs`
    and `thousands` are removed from amounts. `time_formats`: as `strptime` takes them.
    """

    time_zone: str | None = None
    time_formats: tuple[str, ...] = ()
    empty: frozenset[str] = frozenset()
    masks: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()
    thousands: str = ""


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Where the value of a field comes from: the first of `columns` that the file has, or a constant.

    `words`: our word for each text of theirs; any other text is refused. `prefix` is removed from the front of a value.
    """

    columns: tuple[str, ...] = ()
    constant: str | None = None
    words: Mapping[str, str] | None = None
    prefix: str = ""
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class RowMap:
    """One kind of row in a file.

    A row is of this kind when its cells match `where` (by column, patterns as of file names).
    """

    fields: Mapping[str, FieldSource]
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileMap:
    """How one shape of file is read. `needs`: the columns by which it is recognised; any other column may be missing.

    Lines that begin with `skip_lines` are left out. The rows end at one whose first cell is `ends_at`.
    """

    name: str
    rows: tuple[RowMap, ...]
    about: str = ""
    is_what: str = ""
    needs: tuple[str, ...] = ()
    encodings: tuple[str, ...] = ("utf-8",)
    delimiter: str | None = None
    skip_lines: str = ""
    ends_at: str = ""
    rules: CellRules = CellRules()

    def fits(self, columns: Sequence[str]) -> bool:
        """Whether a file with these columns has this shape."""
        return not self.missing(columns)

    def missing(self, columns: Sequence[str]) -> list[str]:
        """The columns of `needs` that a file lacks."""
        return [name for name in self.needs if name not in columns]

    def fingerprint(self) -> str:
        """A hash of the map: equal maps have the same in every process."""
        plain = replace(self, rules=replace(self.rules, empty=frozenset()))
        return hashlib.sha256(f"{plain!r} {sorted(self.rules.empty)}".encode()).hexdigest()


def column_in(source: FieldSource, columns: Sequence[str]) -> str | None:
    """The file's column for a field; None when it has none of them."""
    return next((name for name in source.columns if name in columns), None)


def is_taken(where: Mapping[str, tuple[str, ...]], cells: Callable[[str], object]) -> bool:
    """Whether the cells match all of the conditions."""
    return all(any(fnmatchcase(bare(str(cells(name) or "")), one) for one in some) for name, some in where.items())


# Reading a map file -----------------------------------------------------------------------------------------------


def ready_maps() -> list[str]:
    """The names of the maps that come with Jitui."""
    return sorted(path.stem for path in READY.glob("*.toml"))


def read_map(name: str) -> FileMap:
    """The map with this name that comes with Jitui, or the map in this file. Raises BadInput, naming the key."""
    path = Path(name)
    if name in ready_maps():
        path = READY / f"{name}.toml"
    elif not path.is_file():
        raise BadInput(f"There is no map file {name}; ready ones are {', '.join(ready_maps())}.", path="--map-file")
    document = _parsed(path)
    if not isinstance(document, dict):
        raise BadInput(f"{path}: expected keys with values.", path=str(path))
    return _Reader(str(path)).file_map(path.stem, document)


def _parsed(path: Path) -> object:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text) if path.suffix.lower() == ".toml" else YAML(typ="safe", pure=True).load(text)
    except (tomllib.TOMLDecodeError, YAMLError, UnicodeDecodeError, OSError) as error:
        said = " ".join(str(error).split())
        raise BadInput(f"{path}: this is no map file of TOML or YAML: {said}.", path=str(path)) from None


_TOP = ("about", "is", "needs", "read", "set", "columns", "words", "prefixes", "absolute", "rows")
_READ = (
    "encoding", "delimiter", "skip_lines", "ends_at", "time_zone", "time_formats", "empty", "masks",
    "signs", "thousands",
)  # fmt: skip
_ROWS = ("where", "set", "columns", "words", "absolute")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns a document into a map; raises BadInput that names the file and the key."""

    place: str

    def file_map(self, name: str, document: Mapping[str, Any]) -> FileMap:
        self.keys(document, _TOP, "")
        is_what = document.get("is", "")
        if is_what not in ("", ORDER_EXPORT, PAYMENT_BILL):
            self.fail("is", f"expected {ORDER_EXPORT!r} or {PAYMENT_BILL!r}, or nothing")
        read = self.table(document.get("read", {}), "read")
        self.keys(read, _READ, "read.")
        parts = document.get("rows", [{}])
        if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
            self.fail("rows", "expected tables, [[rows]]")
        return FileMap(
            name,
            tuple(self.row_map(document, part) for part in parts),
            str(document.get("about", "")),
            str(is_what),
            self.texts(document.get("needs", ()), "needs"),
            self.texts(read.get("encoding", "utf-8"), "read.encoding") or ("utf-8",),
            self.text(read["delimiter"], "read.delimiter") if "delimiter" in read else None,
            self.text(read.get("skip_lines", ""), "read.skip_lines"),
            self.text(read.get("ends_at", ""), "read.ends_at"),
            CellRules(
                self.text(read["time_zone"], "read.time_zone") if "time_zone" in read else None,
                self.time_formats(read.get("time_formats", ())),
                frozenset(self.texts(read.get("empty", ()), "read.empty")),
                self.texts(read.get("masks", ()), "read.masks"),
                self.texts(read.get("signs", ()), "read.signs"),
                self.text(read.get("thousands", ""), "read.thousands"),
            ),
        )

    def row_map(self, document: Mapping[str, Any], part: Mapping[str, Any]) -> RowMap:
        self.keys(part, _ROWS, "rows.")
        columns, constants, words = (
            {**self.table(document.get(key, {}), key), **self.table(part.get(key, {}), f"rows.{key}")}
            for key in ("columns", "set", "words")
        )
        prefixes = self.table(document.get("prefixes", {}), "prefixes")
        absolute = {
            *self.texts(document.get("absolute", ()), "absolute"),
            *self.texts(part.get("absolute", ()), "absolute"),
        }
        for key, named in (("words", words), ("prefixes", prefixes)):
            if unknown := next((name for name in named if name not in columns), None):
                self.fail(f"{key}.{unknown}", "no column is mapped to this field")
        fields = {name: FieldSource(constant=_word(value)) for name, value in constants.items()}
        for name, value in columns.items():
            fields[name] = FieldSource(
                self.texts(value, f"columns.{name}"),
                fields[name].constant if name in fields else None,
                self.words(words[name], f"words.{name}") if name in words else None,
                self.text(prefixes.get(name, ""), f"prefixes.{name}"),
                name in absolute,
            )
        where = self.table(part.get("where", {}), "rows.where")
        return RowMap(fields, {name: self.texts(value, f"rows.where.{name}") for name, value in where.items()})

    def words(self, value: object, key: str) -> dict[str, str]:
        return {_word(theirs): _word(ours) for theirs, ours in self.table(value, key).items()}

    def keys(self, table: Mapping[str, Any], known: Sequence[str], before: str) -> None:
        unknown = next((key for key in table if key not in known), None)
        if unknown is not None:
            self.fail(f"{before}{unknown}", f"there is no such key; there are {', '.join(known)}")

    def table(self, value: object, key: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self.fail(key, "expected names with values")
        return cast("Mapping[str, Any]", value)

    def text(self, value: object, key: str) -> str:
        if not isinstance(value, str):
            self.fail(key, f"expected a text in quotes, not {shown(value)}")
        return cast("str", value)

    def texts(self, value: object, key: str) -> tuple[str, ...]:
        several = value if isinstance(value, list | tuple) else [value]
        return tuple(self.text(one, key) for one in several)

    def time_formats(self, value: object) -> tuple[str, ...]:
        """Formats of which each says the whole day and, if any, the whole hour: what it left out would be made up."""
        forms = self.texts(value, "read.time_formats")
        for form in forms:
            if not _says_a_moment(form):
                self.fail(
                    "read.time_formats",
                    f"{shown(form)} does not say year, month, day and hour as strptime takes them"
                    " (%Y %m %d %H:%M; %p beside %I)",
                )
        return forms

    def fail(self, key: str, why: str) -> None:
        raise BadInput(f"{self.place}: {key}: {why}.", path=key)


_PROBE = datetime(2026, 11, 23, 20, 45, tzinfo=UTC)


def _says_a_moment(form: str) -> bool:
    """Whether a time that is written in this format is read as the same again, or as its day where no hour is named."""
    try:
        found = datetime.strptime(_PROBE.strftime(form), form).replace(tzinfo=UTC)
    except (ValueError, re.error):
        return False
    return found in (_PROBE, _PROBE.replace(hour=0, minute=0))


def _word(value: object) -> str:
    """A word of a map as text, because YAML and TOML read `true` as a truth value and digits as a number."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_changes(row: RowMap, columns: Mapping[str, str], constants: Mapping[str, str]) -> RowMap:
    """The row map with further columns and constants (by our fields), which win over what it says of them."""
    fields = dict(row.fields)
    for name, column in columns.items():
        fields[name] = replace(fields.get(name, FieldSource()), columns=(column,))
    for name, constant in constants.items():
        fields[name] = FieldSource(constant=constant)
    return replace(row, fields=fields)


def pairs(texts: Sequence[str], option: str, what: str) -> dict[str, str]:
    """The pairs of `--map THEIRS=OURS` or `--set OURS=VALUE`, by our field.

    `--map` is split at the last `=`, `--set` at the first. Raises BadInput.
    """
    found: dict[str, str] = {}
    for text in texts:
        left, sign, right = text.rpartition("=") if option == "--map" else text.partition("=")
        if not sign or not left or (option == "--map" and not right):
            raise BadInput(f"{option} takes {what}, not {shown(text)}.", path=option)
        ours, value = (right, left) if option == "--map" else (left, right)
        if ours in found:
            raise BadInput(f"{option} names {shown(ours)} twice.", path=option)
        found[ours] = value
    return found
