"""What a file holds, as it may be shown to a person: shortened, and with everything unseen escaped."""

from __future__ import annotations

LONGEST_SHOWN = 60


def shown(value: object) -> str:
    """The value in quotes; controls and marks that turn or hide text are written as escapes."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…")
