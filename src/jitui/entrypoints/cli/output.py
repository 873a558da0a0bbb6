"""Prints the output of commands: results on standard output, remarks on standard error.

Only this module of the command line prints. Text from outside (reasons, titles, ids, names of files) is data: square
brackets are not markup, and characters that would steer the terminal or are invisible are shown as escapes.
"""

from __future__ import annotations

import codecs
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitui.text import escaped_in_json, visible_lines

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.progress import Progress
    from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]


def any_terminal() -> None:
    """Write characters that the terminal's encoding does not have as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(document: object) -> None:
    """Print a JSON document on standard output, indented, with Unicode where the terminal can show it."""
    import msgspec

    text = escaped_in_json(msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2).decode())
    if not _speaks_unicode(sys.stdout.encoding):
        text = json.dumps(json.loads(text), indent=2)
    sys.stdout.buffer.write(text.encode() + b"\n")
    sys.stdout.flush()


def _speaks_unicode(encoding: str | None) -> bool:
    try:
        return codecs.lookup(encoding or "utf-8").name in ("utf-8", "gb18030", "utf-16", "utf-32")
    except LookupError:
        return False


def echo(text: str = "", *, newline: bool = True) -> None:
    """Print a line of a result, or several. Typer's echo is not used, because it takes an ASCII terminal for UTF-8."""
    print(visible_lines(text), end="\n" if newline else "", flush=True)


def print_to_the_letter(text: str) -> None:
    """Print a text byte for byte into a file or a pipe; for a terminal it is data like any other."""
    if sys.stdout.isatty():
        echo(text, newline=False)
        return
    sys.stdout.buffer.write(text.encode())
    sys.stdout.flush()


def say(text: str) -> None:
    """Print a remark for the person at the terminal."""
    print(visible_lines(text), file=sys.stderr, flush=True)


def warn_of_readers(path: Path, option: str) -> None:
    """Say so where every account of this machine can read the file with a key."""
    from jitui.settings.values import is_read_by_others

    if is_read_by_others(path):
        say(f"Warning: every account of this machine can read the file of {option}: chmod 600 {path}")


def styled(text: str, style: str = "") -> Text:
    """A text in a colour or weight."""
    from rich.text import Text

    return Text(visible_lines(text), style=style)


def assembled(*parts: str | tuple[str, str]) -> Text:
    """Texts joined to one, each with its own style or none."""
    from rich.text import Text

    shown = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((visible_lines(text), style) for text, style in shown))


def results() -> Console:
    """The console for tables; without colour and 80 columns wide when it is not a terminal."""
    return _console(width=None if sys.stdout.isatty() else 80)


def remarks() -> Console:
    """The console for progress."""
    return _console(stderr=True)


def _console(**options: Any) -> Console:
    from rich.console import Console

    class PlainConsole(Console):
        """A Rich console that takes every string as data, also in tables."""

        def render_str(self, text: str, **more: Any) -> Text:
            return super().render_str(visible_lines(text), **{**more, "markup": False, "emoji": False})

        def on_broken_pipe(self) -> None:
            """Rich would leave with exit code 1; `main` leaves as a program does that SIGPIPE ended."""
            raise BrokenPipeError

    return PlainConsole(highlight=False, markup=False, emoji=False, **options)


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress bar on standard error, which disappears at the end; silent when that is not a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = remarks()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar
