"""`jitui audit`: who did what, and whether the log is as it was written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.entrypoints.cli.running import with_app
from jitui.text import visible

if TYPE_CHECKING:
    from jitui.bootstrap import Service
    from jitui.identity.audit import AuditEvent, AuditVerdict

audit = new_typer("Who did what; and whether the log is whole.")


@audit.callback()
def _audit() -> None:
    """Who did what; and whether the log is whole."""


@audit.command("list")
def list_(
    actor: Annotated[str | None, typer.Option(help="Of one who did it only.", show_default=False)] = None,
    action: Annotated[
        str | None, typer.Option(help="One action only, such as key.revoked.", show_default=False)
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="About one key, person or place only.", show_default=False)
    ] = None,
    before: Annotated[int | None, typer.Option(min=1, help="Only rows before this number.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """What was done, newest first."""
    from jitui.entrypoints.cli.words import word_of
    from jitui.identity.audit import AuditAction

    if action is not None:
        word_of(action, tuple(AuditAction), "the action")

    async def work(service: Service) -> Sequence[AuditEvent]:
        return await service.audit_log.events(actor=actor, action=action, subject=subject, before=before, limit=limit)

    found = with_app(work)
    if as_json:
        print_json({"events": [_shown(event) for event in found]})
        return
    for event in found:
        detail = "" if event.detail == "{}" else f"  {event.detail}"
        at = event.at.isoformat(timespec="seconds")
        echo(visible(f"{event.number}  {at}  {event.action}  {event.subject}  by {event.actor}{detail}"))
    if not found:
        echo("Nothing was written down.")


@audit.command()
def verify(
    noted: Annotated[
        list[str] | None,
        typer.Option(help="A head that was noted earlier, NUMBER:HASH; may be repeated.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute every hash again; exit code 1 when a row was changed, removed or inserted. Note the head it prints."""
    from jitui.identity.audit import read_noted

    heads = [read_noted(text) for text in noted or ()]

    async def work(service: Service) -> AuditVerdict:
        from jitui.identity.audit import verify as verify_log

        return await verify_log(service.audit_log, noted=heads)

    verdict = with_app(work)
    if as_json:
        document = {"rows": verdict.rows, "head": str(verdict.head), "faults": verdict.faults}
        print_json({**document, "redacted": verdict.redacted})
    else:
        _show(verdict)
    if verdict.faults:
        raise typer.Exit(FAILED)


def _show(verdict: AuditVerdict) -> None:
    for fault in verdict.faults:
        echo(fault.sentence)
    if not verdict.faults:
        echo(f"{verdict.rows} rows, all as they were written{_but_redacted(verdict.redacted)}.")
    echo(str(verdict.head))
    say("The last line is the head. Keep it where nobody who can write to the database can.")


def _but_redacted(rows: Sequence[int]) -> str:
    if not rows:
        return ""
    named = ", ".join(str(number) for number in rows[:10]) + (" and others" if len(rows) > 10 else "")
    return (
        f", but for {len(rows)} that an erasure redacted ({named}): they are what it left of them, in their place, and "
        "what they said before cannot be checked any more"
    )


def _shown(event: AuditEvent) -> dict[str, object]:
    import msgspec

    return {
        "number": event.number,
        "at": event.at,
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "detail": msgspec.json.decode(event.detail),
        "hash": event.hash.hex(),
        **({} if event.redacted_in is None else {"redacted_in": event.redacted_in}),
    }
