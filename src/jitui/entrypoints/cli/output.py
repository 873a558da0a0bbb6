"""What commands print: results on standard output, everything said to a person on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]


def print_json(document: object) -> None:
    """One JSON document on standard output, indented; Unicode as it is."""
    import msgspec

    encoded = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2)
    sys.stdout.buffer.write(encoded + b"\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A remark for the person at the terminal."""
    typer.echo(text, err=True)


def results() -> Console:
    """Where tables go; without colour and 80 columns wide where it is not a terminal."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 80)


def remarks() -> Console:
    """Where progress goes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress bar on standard error that leaves nothing behind; silent where nobody watches."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = remarks()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar
