"""Cells as a map file says that they are written: what is empty, what a word means, amounts and times of other shapes.

What comes out is read by `jitui.tabular.cells` like every other cell.
"""

from __future__ import annotations

import re
from datetime import datetime

from jitui.tabular.cells import Unreadable, bare, is_empty
from jitui.tabular.mapping import CellRules, FieldSource
from jitui.tabular.shown import shown

_THOUSANDS = r"[+-]?[0-9]{{1,3}}({sign}[0-9]{{3}})+(\.[0-9]+)?"


def given(cell: object, source: FieldSource, rules: CellRules, field: str) -> object:
    """What a cell says: None where it is empty, its word of ours, or itself; Unreadable for an unknown word."""
    if is_empty(cell):
        return source.constant
    text = bare(cell) if isinstance(cell, str) else str(cell)
    if source.words is not None and (word := source.words.get(text)) is not None:
        return word or None
    if text in rules.empty:
        return source.constant
    if source.words is not None:
        return Unreadable(f"the map has no word for {shown(cell)}; say what it means in [words.{field}]")
    if source.prefix and isinstance(cell, str):
        return text.removeprefix(source.prefix)
    return cell


def unmasked(cell: object, rules: CellRules) -> object:
    """An id, or None where it is masked: `ab**` hides whose it is, and may stand for several."""
    return None if isinstance(cell, str) and any(mask in cell for mask in rules.masks) else cell


def plain_amount(cell: object, rules: CellRules) -> object:
    """An amount without the signs and separators that the map names."""
    if not isinstance(cell, str):
        return cell
    text = bare(cell)
    for sign in rules.signs:
        text = text.removeprefix(sign).removesuffix(sign).strip()
    if rules.thousands and re.fullmatch(_THOUSANDS.format(sign=re.escape(rules.thousands)), text):
        text = text.replace(rules.thousands, "")
    return text


def stated_moment(cell: object, rules: CellRules) -> object:
    """A time in one of the stated formats, else the cell as it is."""
    if isinstance(cell, str):
        text = bare(cell)
        for form in rules.time_formats:
            try:
                return datetime.strptime(text, form)  # noqa: DTZ007 — its zone is the file's
            except ValueError:
                continue
    return cell
