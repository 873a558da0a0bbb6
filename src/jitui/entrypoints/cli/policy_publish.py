"""`jitui policy publish`: a text in force at once, where one person is enough."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import echo, print_json, say
from jitui.entrypoints.cli.policy_files import read_text

if TYPE_CHECKING:
    from jitui.aftersales.governance.publication import LogEntry
    from jitui.aftersales.governance.publishing import Blocked, Candidate, NotAlone
    from jitui.bootstrap import Service

PolicyFile = Annotated[Path, typer.Argument(metavar="FILE", help="Policy file (YAML).", show_default=False)]
Cases = Annotated[
    Path | None, typer.Option("--cases", help="Its test cases; NAME.cases.yaml beside NAME.yaml where there is one.")
]

EffectiveAt = Annotated[
    str, typer.Option("--effective-at", metavar="TIME", help="From when on it decides, such as 2027-01-01T00:00+08:00.")
]


def publish_file(file: Path, cases: Path | None, effective_at: str, by: str, *, as_json: bool) -> None:
    """Check a text with its cases and put it in force, where one person is enough."""
    from jitui.entrypoints.cli.running import with_app

    candidate = candidate_of(file, cases, effective_at)

    async def work(service: Service) -> LogEntry | Blocked | NotAlone:
        from jitui.aftersales.governance.publishing import publish_alone

        return await publish_alone(service.policies, candidate, by=by, now=service.clock())

    _tell(with_app(work), as_json=as_json)


def candidate_of(file: Path, cases: Path | None, effective_at: str) -> Candidate:
    """What the command line names. Raises BadInput for what cannot be read."""
    from jitui.aftersales.governance.publishing import Candidate

    beside = file.with_name(f"{file.stem}.cases{file.suffix}")
    chosen = cases or (beside if beside.exists() else None)
    return Candidate(
        read_text(file),
        str(file),
        "" if chosen is None else read_text(chosen),
        "" if chosen is None else str(chosen),
        moment_of(effective_at) if effective_at else None,
    )


def moment_of(text: str, option: str = "--effective-at") -> datetime:
    """A time with its zone. Raises BadInput."""
    from jitui.errors import BadInput

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadInput(f"{text!r} is no time with a zone, such as 2027-01-01T00:00+08:00.", path=option)
    return moment


def _tell(done: LogEntry | Blocked | NotAlone, *, as_json: bool) -> None:
    from jitui.aftersales.governance.publishing import Blocked, NotAlone

    if isinstance(done, Blocked) and done.is_live_already:
        if as_json:
            print_json({"published": False})
        else:
            echo("This text is live already.")
        return
    if isinstance(done, Blocked):
        tell_blockers(done, as_json=as_json)
        raise typer.Exit(FAILED)
    if isinstance(done, NotAlone):
        if as_json:
            print_json({"published": False, "needs": "second_person"})
        say(
            "Here a second person approves a policy before it is published: `jitui policy propose FILE`,"
            " then somebody else `jitui policy approve`."
        )
        raise typer.Exit(FAILED)
    if as_json:
        named = {"policy": done.policy_id, "version": done.version, "sha256": done.sha256}
        print_json({**named, "published": True, "publication": done.publication, "effective_at": done.effective_at})
        return
    when = f"decides from {done.effective_at.isoformat()} on" if done.effective_at is not None else "is live now"
    echo(f"{done.policy_id}, version {done.version}, {when}.")


def tell_blockers(blocked: Blocked, *, as_json: bool) -> None:
    """Every reason, a line each."""
    if as_json:
        print_json({"published": False, "blockers": blocked.blockers})
        return
    for one in blocked.blockers:
        echo(str(one))
    count = len(blocked.blockers)
    say(f"Nothing was changed: {count} {'reason stands' if count == 1 else 'reasons stand'} against it.")
