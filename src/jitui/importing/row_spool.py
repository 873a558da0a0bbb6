"""Keeps rows on disk by what they belong to, so that an import of any length needs the memory of one part.

All rows of an order (or of a buyer) are in one part, in the order in which they were read. A row whose order cannot be
read is noted in every part that has an order to which it may belong.
"""

from __future__ import annotations

import pickle
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jitui.tabular.files import keys
from jitui.tabular.table import Row

BYTES_A_PART = 2 << 20
MOST_PARTS = 512
ROWS_AT_ONCE = 32_000
_Kept = tuple[int, int, int | None, tuple[object, ...], str]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows, each with the number of its file; `spoiled` has unreadable rows by the id of what they may belong to."""

    rows: list[tuple[int, Row]]
    spoiled: dict[str, Row]


@dataclass(slots=True)
class RowSpool:
    """Stores rows one by one; `parts` reads them, as often as needed."""

    folder: Path
    size: int
    """The size of the files in bytes; the number of parts depends on it."""
    files: list[tuple[str, Sequence[str]]] = field(default_factory=list)
    """The name and the columns of each file; a file's number is its place here."""
    _waiting: dict[int, list[tuple[str, _Kept]]] = field(default_factory=lambda: defaultdict(list))
    _count: int = 0

    def add(self, subject: str, file: int, row: Row, of: frozenset[str]) -> None:
        """Store a row. `of`: the ids of what it may belong to, when its own id cannot be read."""
        kept = (file, row.number, row.line, tuple(row.cells.values()), row.fault)
        self._put(self._part(subject), "", kept)
        for name in of:
            self._put(self._part(name), name, kept)

    def _part(self, subject: str) -> int:
        number = max(1, min(MOST_PARTS, -(-self.size // BYTES_A_PART)))
        return zlib.crc32(subject.encode(errors="surrogatepass")) % number

    def _put(self, part: int, spoils: str, kept: _Kept) -> None:
        self._waiting[part].append((spoils, kept))
        self._count += 1
        if self._count >= ROWS_AT_ONCE:
            self._write()

    def _write(self) -> None:
        for part, rows in self._waiting.items():
            with self._path(part).open("ab") as opened:
                pickle.dump(rows, opened, protocol=5)
        self._waiting.clear()
        self._count = 0

    def _path(self, part: int) -> Path:
        return self.folder / f"{part}.rows"

    def parts(self) -> Iterator[Part]:
        """Every part, in the order of their numbers."""
        self._write()
        for path in sorted(self.folder.glob("*.rows"), key=lambda one: int(one.stem)):
            part = Part([], {})
            with path.open("rb") as opened:
                while opened.peek(1):
                    for spoils, kept in pickle.load(opened):
                        row = self._row(kept)
                        if spoils:
                            part.spoiled[spoils] = row
                        else:
                            part.rows.append((kept[0], row))
            yield part

    def _row(self, kept: _Kept) -> Row:
        file, number, line, cells, fault = kept
        name, columns = self.files[file]
        names: Sequence[Any] = [str(place) for place in range(len(cells))] if fault else keys(columns)
        return Row(name, number, line, dict(zip(names, cells, strict=True)), fault)
