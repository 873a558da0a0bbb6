"""`jitui policy diff`: the differences between two policies, in sentences and in requests of a history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.backtest import DaysIn, reporting, work_folder, zone_of
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, print_json, results, styled
from jitui.entrypoints.cli.policy_files import load_policy

LIVE = "live"
_SIDE = "Policy file (YAML), live, or a version"

if TYPE_CHECKING:
    from jitui.backtest.run import Backtest
    from jitui.bootstrap import Service
    from jitui.policy import Policy
    from jitui.policy.cap_difference import PolicyChange


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help=f"{_SIDE}.", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help=f"{_SIDE}.", show_default=False)],
    history: Annotated[
        str, typer.Option(metavar="WHERE", help="Replay this history with both: a folder, DuckDB file or URL.")
    ] = "",
    time_zone: DaysIn = "",
    as_json: Json = False,
) -> None:
    """Explain what changed between two policies; with a history, which requests come out otherwise.

    Each side is a file, `live`, or a version that was pushed. A file in this folder goes before a version of its name.

    Exit codes are those of diff: 0 no difference except comments and layout, 1 a difference, 2 an error.
    """
    from jitui.policy.difference import differences

    before, after = load_sides(old, new)
    changes = differences(before, after)
    done = _replayed(before, after, history, time_zone) if history else None
    if as_json:
        print_json(_document(before, after, changes, done))
    else:
        _print_changes(changes)
        if done is not None:
            _print_tickets(done)
    if changes:
        raise typer.Exit(FAILED)


def load_sides(old: str, new: str) -> tuple[Policy, Policy]:
    """The two policies. The service is opened only where a side is not a file. Raises BadInput, PolicyRefused."""
    kept = [side for side in (old, new) if not _is_file(side)]
    texts = _kept_texts(kept) if kept else {}
    before, after = (texts[side] if side in texts else load_policy(Path(side)) for side in (old, new))
    return before, after


def _is_file(side: str) -> bool:
    """Whether a side names a file; one that looks like a path and is not there is no version either."""
    path = Path(side)
    return side != LIVE and (path.exists() or len(path.parts) > 1 or path.suffix in (".yaml", ".yml"))


def _kept_texts(sides: Sequence[str]) -> dict[str, Policy]:
    """The texts of versions of the policy in force, and the live one."""
    from jitui.aftersales.governance.policies import PolicyText
    from jitui.entrypoints.cli.policy_life import find_text
    from jitui.entrypoints.cli.running import with_app
    from jitui.errors import BadInput
    from jitui.policy import Policy

    async def work(service: Service) -> dict[str, PolicyText]:
        found: dict[str, PolicyText] = {}
        for side in sides:
            if side != LIVE:
                found[side] = await find_text(service, side)
                continue
            live = await service.policies.publication(None)
            text = await service.policies.text(live.sha256) if live is not None else None
            if text is None:
                raise BadInput("No policy is in force.", path=LIVE)
            found[side] = text
        return found

    texts = with_app(work)
    return {side: Policy.from_text(text.document, f"{text.policy_id}.yaml") for side, text in texts.items()}


def _replayed(before: Policy, after: Policy, history: str, time_zone: str) -> Backtest:
    from jitui.backtest.run import BacktestSpec, run_backtest

    spec = BacktestSpec(policy=before, history=history, time_zone=zone_of(time_zone), against=after)
    with work_folder(None) as work, reporting() as report:
        return run_backtest(spec, work, report)


def _print_changes(changes: Sequence[PolicyChange]) -> None:
    from rich.padding import Padding

    from jitui.policy.difference import summary

    console = results()
    for change in changes:
        shown = "" if change.decides else " (decides nothing)"
        console.print(styled(f"{change.name}{shown}", style="bold"))
        used = f"; used by {', '.join(change.used_by)}" if change.used_by else ""
        console.print(Padding(styled(f"{change.what}{used}"), (0, 0, 0, 4)))
    console.print(styled(summary(changes)))


def _print_tickets(done: Backtest) -> None:

    from jitui.backtest.report import comparison_tables

    console = results()
    counted = _counts(done)
    console.print(styled(f"{counted['differ']:,} of {counted['requests']:,} requests come out otherwise."))
    for table in comparison_tables(done):
        console.print(table)


def _counts(done: Backtest) -> dict[str, int]:
    cells = done.comparison.cells if done.comparison is not None else ()
    differ = sum(cell.requests for cell in cells if cell.here != cell.there)
    return {"requests": sum(cell.requests for cell in cells), "differ": differ}


def _document(
    before: Policy, after: Policy, changes: Sequence[PolicyChange], done: Backtest | None
) -> dict[str, object]:
    named = [{"policy": one.id, "version": one.version, "sha256": one.sha256} for one in (before, after)]
    document: dict[str, object] = {"old": named[0], "new": named[1], "changes": changes}
    document["decides"] = any(change.decides for change in changes)
    if done is not None:
        counted = {**_counts(done), "currency": done.summary.currency}
        document["history"] = {**counted, "comparison": done.comparison, "set_aside": done.prepared.set_aside}
    return document
