"""Describes answers that are no JSON: a page or a text, and a document."""

from __future__ import annotations

from typing import Any

_BEGINS: dict[type[Any], str] = {str: "<!doctype html>", bytes: "%PDF-1.3"}


def plain_content(kind: type[Any]) -> dict[str, Any] | None:
    """What an answer of this kind is, with its first words or bytes; None for what has a schema."""
    return {"schema": {"type": "string"}, "example": _BEGINS[kind]} if kind in _BEGINS else None
