"""Applies a map file's rules to a cell: what is empty, what a word means, and how amounts and times are written.

The result is then read by `jitui.tabular.cells` like any other cell.
"""

from __future__ import annotations

import re
from datetime import datetime

from jitui.tabular.cells import Unreadable, bare, is_empty
from jitui.tabular.mapping import CellRules, FieldSource
from jitui.tabular.shown import shown

_THOUSANDS = r"[+-]?[0-9]{{1,3}}({sign}[0-9]{{3}})+"
_DECIMALS = r"(\.[0-9]+)?"


def given(cell: object, source: FieldSource, rules: CellRules, field: str) -> object:
    """The cell after the map's rules.

    An empty cell becomes the constant, if any, or None; a word becomes ours, and an unknown word Unreadable. Any other
    cell is returned as it is, without the prefix.
    """
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
    """An id; None when it is masked: `ab**` may stand for several ids."""
    return None if isinstance(cell, str) and any(mask in cell for mask in rules.masks) else cell


def plain_amount(cell: object, rules: CellRules) -> object:
    """The amount without the signs and separators that the map names."""
    if not isinstance(cell, str):
        return cell
    text = bare(cell)
    for sign in rules.signs:
        text = text.removeprefix(sign).removesuffix(sign).strip()
    if rules.thousands and re.fullmatch(_grouped(rules.thousands), text):
        text = text.replace(rules.thousands, "")
    return text


def _grouped(sign: str) -> str:
    """The shape of an amount in groups of three. One sign cannot both group and begin the decimals."""
    return _THOUSANDS.format(sign=re.escape(sign)) + ("" if sign == "." else _DECIMALS)


def stated_moment(cell: object, rules: CellRules) -> object:
    """The cell as a time, when it is in one of the map's time formats; otherwise the cell as it is."""
    if isinstance(cell, str):
        text = bare(cell)
        for form in rules.time_formats:
            try:
                return datetime.strptime(text, form)  # noqa: DTZ007 — its zone is the file's
            except ValueError:
                continue
    return cell
