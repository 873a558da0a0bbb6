"""A value from a file, as it is shown to a person: shortened, in quotes, with escapes for invisible characters."""

from __future__ import annotations

from jitui.text import visible

LONGEST_SHOWN = 60


def shown(value: object) -> str:
    """The value in quotes, shortened, with escapes for invisible characters and those that would steer a terminal."""
    text = value if isinstance(value, str) else str(value)
    text = text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
    return "'" + visible(text.replace("\\", "\\\\").replace("'", "\\'")) + "'"
