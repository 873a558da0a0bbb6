"""What a file holds, as it may be shown to a person: shortened, in quotes, and with everything unseen escaped."""

from __future__ import annotations

from jitui.text import visible

LONGEST_SHOWN = 60


def shown(value: object) -> str:
    """The value in quotes, shortened; what would move a cursor, turn a line or hide is written as an escape."""
    text = value if isinstance(value, str) else str(value)
    text = text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
    return "'" + visible(text.replace("\\", "\\\\").replace("'", "\\'")) + "'"
