"""What is written in options of `jitui incidents`, as values of the core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def read_words(text: str, option: str) -> str:
    """A text that people read, without the spaces around it. Raises BadInput for one that is blank or too long."""
    from jitui.aftersales.model.incident import LONGEST_TEXT
    from jitui.errors import BadInput

    if not 0 < len(text.strip()) <= LONGEST_TEXT or "\x00" in text:
        raise BadInput(f"{option} takes 1 to {LONGEST_TEXT} characters.", path=option)
    return text.strip()


def read_references(given: Sequence[str]) -> Sequence[str]:
    """The references of a piece of evidence. Raises BadInput for too many, or one that is blank or too long."""
    from jitui.aftersales.model.incident import LONGEST_REFERENCE, MOST_REFERENCES
    from jitui.errors import BadInput

    if len(given) > MOST_REFERENCES or any(not 0 < len(one.strip()) <= LONGEST_REFERENCE for one in given):
        message = f"At most {MOST_REFERENCES} references, each of 1 to {LONGEST_REFERENCE} characters."
        raise BadInput(message, path="--reference")
    return given


def read_minor(text: str, currency: str, option: str) -> int:
    """An amount as it is written, in minor units. Raises BadInput for any other text."""
    from jitui.errors import BadInput
    from jitui.money import from_decimal_text

    minor = from_decimal_text(text, currency)
    if minor is None or minor < 0:
        raise BadInput(f"{option}: {text!r} is no amount of {currency}.", path=option)
    return minor


def read_moment(text: str | None) -> datetime | None:
    """A time with its zone; None when none is given. Raises BadInput for any other text."""
    from datetime import datetime

    from jitui.errors import BadInput

    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise BadInput(f"--at takes a time with its zone, such as 2026-06-01T12:00:00Z, not {text!r}.", path="--at")
    return at
