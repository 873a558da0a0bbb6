"""`jitui policy test`: runs the test cases of a policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, results, say, styled
from jitui.entrypoints.cli.policy_files import load_policy, read_bytes

if TYPE_CHECKING:
    from jitui.policy import ConditionResult, Policy
    from jitui.policy.cases import CaseResult, NeverSeen


def run_cases(
    policy: Annotated[Path, typer.Argument(metavar="POLICY", help="Policy file (YAML).", show_default=False)],
    cases: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[CASES...]", help="Cases files; NAME.cases.yaml beside NAME.yaml by default."),
    ] = None,
    require_coverage: Annotated[
        bool, typer.Option("--require-coverage", help="Fail when a condition was never true, or never false.")
    ] = False,
    language: Annotated[str, typer.Option(help="Of the conditions' sentences: zh or en.")] = "en",
    as_json: Json = False,
) -> None:
    """Decide the cases of a policy and compare the results with the expected ones.

    Exit code 1 when a case fails or there is none, 2 when a file cannot be read or does not fit the policy.
    """
    from jitui.policy.cases import never_seen, read_cases, run_case
    from jitui.policy.loading.file_kinds import LANGUAGES

    if language not in LANGUAGES:
        raise typer.BadParameter(f"it is {' or '.join(LANGUAGES)}", param_hint="--language")
    loaded = load_policy(policy)
    done = [
        run_case(loaded, case)
        for file in _files(policy, cases)
        for case in read_cases(loaded, read_bytes(file), str(file))
    ]
    gaps = never_seen(loaded, done) if done else ()
    failed = [one for one in done if one.mismatches]
    if as_json:
        print_json(_document(loaded, done, gaps))
    else:
        _print_failures(failed, language)
        for gap in gaps:
            say(f"{gap.part} {gap.id} was never {gap.verdict} in any case")
        good = len(done) - len(failed)
        echo(f"{loaded.id}, version {loaded.version}: {good} good, {len(failed)} failed, {_tested(done, gaps)}")
    if failed or not done or (require_coverage and gaps):
        raise typer.Exit(FAILED)


def _tested(done: Sequence[CaseResult], gaps: Sequence[NeverSeen]) -> str:
    if not done:
        return "nothing was tested"
    return f"{len(gaps)} not covered" if gaps else "every condition seen true and false"


def _files(policy: Path, named: Sequence[Path] | None) -> Sequence[Path]:
    """The named files, or the one beside the policy if it exists."""
    if named:
        return named
    beside = policy.with_name(f"{policy.stem}.cases{policy.suffix}")
    if beside.exists():
        return [beside]
    say(f"There is no {beside}: write one (docs/how-to/test-a-policy.md), or name a cases file.")
    return []


def _print_failures(failed: Sequence[CaseResult], language: str) -> None:
    from rich.padding import Padding

    console = results()
    for one in failed:
        wrong = "; ".join(f"{miss.what} is {miss.came}, expected {miss.expected}" for miss in one.mismatches)
        console.print(styled(f"{one.case.file}:{one.case.line}: {one.case.name}: {wrong}"))
        because = {result.id: result for miss in one.mismatches for result in miss.because}
        for result in because.values():
            console.print(Padding(styled(_why(result, language)), (0, 0, 0, 4)))


def _why(result: ConditionResult, language: str) -> str:
    read = ", ".join(f"{name} = {shown(value)}" for name, value in result.facts.items())
    return f"{result.id} is {result.verdict}: {result.text[language]} ({read})"


def shown(value: object) -> str:
    """A fact's value as it is written in a cases file; `unknown` for None."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_line(line) for line in value)}]"
    return str(value)


def _line(line: dict[str, object]) -> str:
    return "{" + ", ".join(f"{name}: {shown(value)}" for name, value in line.items()) + "}"


def _document(policy: Policy, done: Sequence[CaseResult], gaps: Sequence[NeverSeen]) -> dict[str, object]:
    rows = [
        {
            "file": one.case.file,
            "line": one.case.line,
            "name": one.case.name,
            "ok": not one.mismatches,
            "outcome": one.decision.outcome,
            "conditions": {result.id: result.verdict for result in one.decision.conditions},
            "unknown": one.decision.unknown,
            "restrictions": one.restrictions,
            "mismatches": [
                {"what": miss.what, "expected": miss.expected, "came": miss.came, "because": miss.because}
                for miss in one.mismatches
            ],
        }
        for one in done
    ]
    named = {"policy": policy.id, "version": policy.version, "sha256": policy.sha256}
    failed = sum(bool(one.mismatches) for one in done)
    return {**named, "tested": len(done), "failed": failed, "cases": rows, "never_seen": gaps}
