"""What a form sends, and the version of the thing that its sender saw."""

from __future__ import annotations

from collections.abc import Mapping

from litestar.exceptions import ValidationException
from litestar.params import URLEncodedBody

Form = URLEncodedBody[dict[str, str]]


def seen_version(data: Mapping[str, str]) -> int:
    """The version of a ticket that the reader saw; a form without it was not made by us."""
    text = data.get("version", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValidationException
    return int(text)
