"""`jitui bench`: the measurements of a checkout, compared with floors and peers of the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol, cast

import typer

from jitui.entrypoints.cli.output import Json, print_json, results, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.table import Table


class _Target(Protocol):
    id: str
    work: str
    target: str


class _Measured(Protocol):
    id: str
    ours: float
    floor: float | None
    unit: str
    ratio: float | None
    holds: bool


class _Frame(Protocol):
    """`benchmarks/frame.py`, which is not part of the installed package."""

    DEFAULT_SECONDS: float

    def choose(self, ids: Sequence[str]) -> list[_Target]: ...

    def run_all(self, targets: Sequence[_Target], *, seconds: float, say: Callable[[str], None]) -> list[_Measured]: ...


def bench(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[P2 P3 …]", help="Which targets; all by default.", show_default=False)
    ] = None,
    json: Json = False,
    seconds: Annotated[float, typer.Option(min=0.5, max=120.0, help="How long one measured window lasts.")] = 4.0,
) -> None:
    """Measure against floors and peers; docs/reference/benchmarks.md explains the targets.

    It needs a checkout. It starts servers of its own on this machine and stops them. Exit code 1 when a measured target
    is missed.
    """
    frame = _load_frame()
    targets = frame.choose(ids or [])
    measured = frame.run_all(targets, seconds=seconds, say=say)
    if json:
        print_json(measured)
    else:
        results().print(_table(targets, {one.id: one for one in measured}))
    if not all(one.holds for one in measured):
        raise typer.Exit(1)


def _load_frame() -> _Frame:
    """The checkout's `benchmarks` package; raises NotConfigured when Jitui was installed without its checkout."""
    import sys
    from importlib import import_module
    from pathlib import Path

    from jitui.errors import NotConfigured

    root = Path(__file__).resolve().parents[4]
    if not (root / "benchmarks" / "frame.py").is_file():
        raise NotConfigured(
            "jitui bench needs a checkout: the benchmarks are not part of the installed package."
            " Clone the repository and run: make bench"
        )
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return cast(_Frame, import_module("benchmarks.frame"))


def _table(targets: Sequence[_Target], measured: Mapping[str, _Measured]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), width=80)
    table.add_column("id", no_wrap=True)
    table.add_column("work", ratio=3)
    for name in ("ours", "floor", "unit", "ratio"):
        table.add_column(name, justify="left" if name == "unit" else "right", no_wrap=True)
    table.add_column("target", ratio=3)
    table.add_column("holds", ratio=1, min_width=8)
    for target in targets:
        one = measured.get(target.id)
        figures = ("", "", "", "", target.target, "not measured yet") if one is None else _figures(one, target)
        table.add_row(target.id, target.work, *figures)
    return table


def _figures(one: _Measured, target: _Target) -> tuple[str, ...]:
    ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
    return (_short(one.ours), _short(one.floor), one.unit, ratio, target.target, "yes" if one.holds else "NO")


def _short(value: float | None) -> str:
    """The number with three significant digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
