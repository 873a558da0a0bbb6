"""`jitui policy`: check, test, compare and publish policies, and list the facts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, assembled, echo, print_json, results, styled
from jitui.entrypoints.cli.policy_agree import agree
from jitui.entrypoints.cli.policy_announce import (
    announce,
    announcements,
    answer,
    opinion,
    opinions,
    unannounce,
)
from jitui.entrypoints.cli.policy_conformance import conformance
from jitui.entrypoints.cli.policy_diff import diff
from jitui.entrypoints.cli.policy_files import load_policy
from jitui.entrypoints.cli.policy_life import (
    approve,
    canary,
    cancel,
    confirm,
    propose,
    publish,
    reject,
    retire,
    rollback,
    schedule,
    shadow,
    stop,
    withdraw,
)
from jitui.entrypoints.cli.policy_list import list_texts, pull, push
from jitui.entrypoints.cli.policy_log import log, show
from jitui.entrypoints.cli.policy_schema import schema
from jitui.entrypoints.cli.policy_shadow import shadow_report
from jitui.entrypoints.cli.policy_test import run_cases

if TYPE_CHECKING:
    from jitui.policy import FactSpec, Policy, PolicyProblem

policy = new_typer("Check, test, compare and publish policies.")

policy.command()(agree)
policy.command()(conformance)
policy.command("test")(run_cases)
policy.command()(diff)
policy.command()(schema)
policy.command()(publish)
for step in (propose, approve, reject, withdraw, schedule, shadow, canary, stop, cancel, rollback, retire, confirm):
    policy.command()(step)
for told in (announce, unannounce, announcements, opinions, opinion, answer):
    policy.command()(told)
for kept in (push, pull, show, log):
    policy.command()(kept)
policy.command("list")(list_texts)
policy.command("shadow-report")(shadow_report)

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policy files (YAML).", show_default=False)]


@policy.command()
def check(files: Files, as_json: Json = False) -> None:
    """Check policies; every problem is printed as file:line:column: sentence. Exit code 1 when there is one."""
    reports = [_check(file) for file in files]
    if as_json:
        print_json({"policies": [_report_json(*report) for report in reports]})
    for file, loaded, problems in [] if as_json else reports:
        if loaded is not None:
            echo(f"{file}: good: {loaded.id}, version {loaded.version}, {len(loaded.conditions)} conditions")
        for problem in problems:
            echo(f"{problem}" if loaded is None else f"{problem} (advice)")
    if any(loaded is None for _, loaded, _ in reports):
        raise typer.Exit(FAILED)


def _check(file: Path) -> tuple[Path, Policy | None, tuple[PolicyProblem, ...]]:
    """The policy and its problems; the policy is None when it cannot be loaded. One that loads may have advice."""
    from jitui.policy import PolicyRefused

    try:
        loaded = load_policy(file)
    except PolicyRefused as refused:
        return file, None, refused.problems
    return file, loaded, loaded.advice


def _report_json(file: Path, loaded: Policy | None, problems: tuple[PolicyProblem, ...]) -> dict[str, object]:
    rows = [{"line": p.line, "column": p.column, "message": p.message} for p in problems]
    report: dict[str, object] = {"file": str(file), "ok": loaded is not None}
    if loaded is None:
        return {**report, "problems": rows}
    named = {"policy": loaded.id, "version": loaded.version, "sha256": loaded.sha256}
    return {**report, **named, "problems": [], "advice": rows}


@policy.command()
def facts(as_json: Json = False) -> None:
    """List the facts that conditions may read: name, type, unit, source, meaning."""
    from jitui.policy import FACTS, LINE_FIELDS

    if as_json:
        print_json({"facts": list(FACTS.values()), "line_fields": list(LINE_FIELDS.values())})
        return
    _print_facts("Facts", list(FACTS.values()))
    _print_facts("Fields of a line in order.lines", list(LINE_FIELDS.values()))


def _print_facts(title: str, specs: list[FactSpec]) -> None:
    """Print each fact in two lines, so that long names and meanings fit into 80 columns."""
    from rich.padding import Padding

    console = results()
    console.print(styled(title, style="bold"))
    for spec in specs:
        kind = f"{spec.type} in {spec.unit}" if spec.unit else spec.type.value
        console.print(assembled((f"  {spec.name}", "cyan"), f"  {kind}, from: {spec.source}"), soft_wrap=False)
        meaning = f"{spec.meaning}; one of {', '.join(spec.enum)}" if spec.enum else spec.meaning
        console.print(Padding(styled(meaning), (0, 0, 0, 6)))
    console.print()
