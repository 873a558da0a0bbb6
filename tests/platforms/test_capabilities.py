"""The page about platforms says what the table of the core says."""

from __future__ import annotations

from pathlib import Path

from jitui.adapters.platforms.vendure.orders import NAME
from jitui.aftersales.platform import PLATFORMS, tried_for_real

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "platforms.md"
HEAD = "| platform | tried | who takes the request | hold | look-up | key | cancelling | changes | limits |"


def table() -> str:
    """The table of the page."""
    rows = [HEAD, "|" + "---|" * 9]
    for one in PLATFORMS:
        cells = (one.title, tried_for_real(one), one.request, one.holds, one.looks_up, one.key, one.cancels)
        rows.append("| " + " | ".join((*cells, one.changes, one.limits)) + " |")
    return "\n".join(rows)


def test_the_page_has_the_table() -> None:
    assert table() in PAGE.read_text(), f"{PAGE.name} must have this table:\n{table()}"


def test_only_what_has_an_adapter_was_tried() -> None:
    assert [one.name for one in PLATFORMS if one.adapter] == [NAME]
    assert [one.name for one in PLATFORMS if one.tried] == [NAME]
