"""What people type into forms, without the characters that nobody sees."""

from __future__ import annotations

import re

from jitui.text import UNSEEN

_SEEN = re.compile(f"[^{UNSEEN}]")


def one_line(text: str) -> str:
    """The text as one line of printable characters; empty where nobody would see any of them."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if _SEEN.search(line) else ""


def several_lines(text: str) -> str:
    """The text with its line breaks, and of other characters the printable ones; empty as `one_line` is."""
    kept = "".join(sign for sign in text if sign.isprintable() or sign == "\n").strip()
    return kept if _SEEN.search(kept) else ""
