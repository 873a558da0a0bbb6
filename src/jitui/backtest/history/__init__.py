"""Histories of orders and cancellations, read from the files of other systems."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from jitui.backtest.history.online_retail import open_online_retail
from jitui.backtest.history.past import (
    FileCounts,
    History,
    PastCancellation,
    PastEvent,
    PastLine,
    PastOrder,
    PastRequest,
    SetAside,
    SetAsideReason,
    Span,
    Unmatched,
    UnmatchedReason,
)
from jitui.errors import BadInput

FORMATS: Mapping[str, Callable[[Path], AbstractContextManager[History]]] = {
    "online-retail": open_online_retail,
}


def open_history(path: Path, format_name: str) -> AbstractContextManager[History]:
    """The history in a file. Raises BadInput for an unknown format, a missing file, and a file of another form."""
    opener = FORMATS.get(format_name)
    if opener is None:
        near = difflib.get_close_matches(format_name, FORMATS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise BadInput(
            f"There is no history format {format_name!r}; known are: {', '.join(FORMATS)}.{hint}", path="format"
        )
    return opener(path)


__all__ = [
    "FORMATS",
    "FileCounts",
    "History",
    "PastCancellation",
    "PastEvent",
    "PastLine",
    "PastOrder",
    "PastRequest",
    "SetAside",
    "SetAsideReason",
    "Span",
    "Unmatched",
    "UnmatchedReason",
    "open_history",
]
