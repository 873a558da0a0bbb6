"""The options that lists of several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jitui.aftersales.model.sorting import SortOrder

Shop = Annotated[str | None, typer.Option(help="Of one shop.", show_default=False)]
Buyer = Annotated[str | None, typer.Option(help="Of one buyer.", show_default=False)]
Order = Annotated[str | None, typer.Option(help="Of one order.", show_default=False)]
Provider = Annotated[str | None, typer.Option(help="Of one provider.", show_default=False)]
Ascending = Annotated[bool, typer.Option("--ascending", help="The other way round: the oldest or lowest first.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")]


def direction(ascending: bool) -> SortOrder:
    """The direction of a list."""
    from jitui.aftersales.model.sorting import SortOrder

    return SortOrder.ASC if ascending else SortOrder.DESC


LATE_MS = 2_000
"""From how late on it is told; with a worker at work a list is at most a second late."""


def say_late(lag_ms: int) -> None:
    """Say that a list is late, when it is."""
    from jitui.entrypoints.cli.output import say
    from jitui.entrypoints.cli.speaking import told

    if lag_ms < LATE_MS:
        return
    seconds = lag_ms // 1_000
    english = (
        f"The list is {seconds} seconds late: no worker fills it, or one is behind. --buyer and --order are exact."
    )
    say(told(english, f"该列表滞后 {seconds} 秒：没有 worker 更新，或更新落后。--buyer 与 --order 的结果是实时的。"))
