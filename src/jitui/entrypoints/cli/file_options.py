"""Options that several commands have about the files that they read."""

from __future__ import annotations

from typing import Annotated

import typer

Columns = Annotated[
    list[str] | None, typer.Option("--map", metavar="THEIRS=OURS", help="Their column is our field; repeat it.")
]
TimeZone = Annotated[str | None, typer.Option(help="Of times that say none, such as Asia/Shanghai.")]
