"""What people type into forms, without the characters that nobody sees."""

from __future__ import annotations


def one_line(text: str) -> str:
    """The text as one line of printable characters."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def several_lines(text: str) -> str:
    """The text with its line breaks, and of other characters the printable ones."""
    return "".join(sign for sign in text if sign.isprintable() or sign == "\n").strip()
