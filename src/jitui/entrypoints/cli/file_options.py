"""Options about files that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Columns = Annotated[
    list[str] | None, typer.Option("--map", metavar="THEIRS=OURS", help="Column THEIRS is field OURS; may be repeated.")
]
TimeZone = Annotated[str | None, typer.Option(help="For times without a zone, such as Asia/Shanghai.")]
