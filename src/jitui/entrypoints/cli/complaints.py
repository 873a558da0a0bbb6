"""`jitui complaints`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.completing import one_of
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.text import visible

if TYPE_CHECKING:
    from uuid import UUID

    from jitui.aftersales.governance.complaint import Complaint, ContestOutcome
    from jitui.bootstrap import Service
    from jitui.client import Client
    from jitui.client.api import ComplaintView

complaints = new_typer("Merchants' complaints about the coverage of their shops.")


@complaints.command("list")
def listing(
    everything: Annotated[bool, typer.Option("--all", help="Answered ones too.")] = False,
    shop: Annotated[str | None, typer.Option(help="Of one shop.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most to list.")] = 50,
    as_json: Json = False,
) -> None:
    """List complaints, the earliest deadline first."""
    from jitui.entrypoints.cli.running import on_service

    async def work(service: Service) -> Sequence[Complaint]:
        from jitui.aftersales.governance.complaint import ComplaintFilter, ComplaintState

        state = None if everything else ComplaintState.OPEN
        return await service.complaints.list(ComplaintFilter(shop, state, limit=limit))

    def remote(client: Client) -> Sequence[Complaint]:
        from jitui.client import api
        from jitui.entrypoints.cli.remote import LARGEST_PAGE, up_to

        state = None if everything else api.ComplaintState.OPEN
        call = api.list_complaints(shop_id=shop, state=state, limit=min(limit, LARGEST_PAGE))
        return [_complaint(row) for row in up_to(client, call, limit)]

    found = on_service(work, remote)
    if as_json:
        print_json({"complaints": found})
        return
    for complaint in found:
        _say(complaint)
    if not found:
        echo("There are no complaints." if everything else "There are no open complaints.")


@complaints.command("answer")
def answer(
    complaint: Annotated[str, typer.Argument(metavar="COMPLAINT", help="Its id.", show_default=False)],
    outcome: Annotated[
        str,
        typer.Argument(
            metavar="OUTCOME",
            help="upheld or rejected.",
            autocompletion=one_of("upheld", "rejected"),
            show_default=False,
        ),
    ],
    words: Annotated[str, typer.Option("--words", help="The answer, as the merchant reads it.")] = "",
    by: Annotated[str, typer.Option(help="Who answers, for the record.")] = "command line",
    as_json: Json = False,
) -> None:
    """Answer a complaint. It changes no coverage: `jitui coverage set` does.

    A complaint that was answered otherwise keeps its answer, and the exit code is 1.
    """
    from jitui.aftersales.outcomes import Refusal
    from jitui.entrypoints.cli.running import on_service
    from jitui.errors import BadInput

    chosen, known_id = _outcome(outcome), _id(complaint)
    if not words.strip():
        raise BadInput("An answer needs --words: the merchant reads them.", path="--words")

    async def work(service: Service) -> Complaint | Refusal | None:
        from jitui.aftersales.governance.complaint import ComplaintAnswer

        return await service.complaints.answer(known_id, ComplaintAnswer(chosen, words, by, service.clock()))

    def remote(client: Client) -> Complaint:
        from jitui.client import api
        from jitui.entrypoints.cli.remote import only_by_key

        only_by_key(by)
        sent = api.ComplaintAnswerSent(outcome=api.ContestOutcome(chosen.value), answer=words)
        return _complaint(client.send(api.answer_complaint(known_id, sent)))

    done = on_service(work, remote)
    if done is None:
        raise BadInput(f"There is no complaint {known_id} in this database.", path="COMPLAINT")
    if isinstance(done, Refusal):
        say(done.message)
        raise typer.Exit(FAILED)
    if as_json:
        print_json(done)
    else:
        _say(done)


def _outcome(word: str) -> ContestOutcome:
    from jitui.aftersales.governance.complaint import ContestOutcome
    from jitui.errors import BadInput

    if word not in set(ContestOutcome):
        raise BadInput(f"{word!r} is no outcome: it is upheld or rejected.", path="OUTCOME")
    return ContestOutcome(word)


def _id(text: str) -> UUID:
    from uuid import UUID

    from jitui.errors import BadInput

    try:
        return UUID(text)
    except ValueError:
        raise BadInput(f"{text!r} is not a complaint's id (a UUID).", path="COMPLAINT") from None


def _complaint(row: ComplaintView) -> Complaint:
    from jitui.aftersales.governance.complaint import Complaint, ComplaintState, ContestOutcome
    from jitui.entrypoints.cli.remote import our_code

    return Complaint(
        row.complaint_id,
        row.shop_id,
        row.reason,
        row.made_by,
        row.made_at,
        row.answer_by,
        our_code(ComplaintState, row.state),
        None if row.outcome is None else our_code(ContestOutcome, row.outcome),
        row.answer,
        row.answered_by,
        row.answered_at,
        row.incident_id,
    )


def _say(complaint: Complaint) -> None:
    due = complaint.answer_by.isoformat(timespec="seconds")
    state = f"open, to be answered by {due}" if complaint.outcome is None else complaint.outcome.value
    echo(f"{complaint.complaint_id}  shop {complaint.shop_id}  {state}")
    echo(f"  {visible(complaint.reason)}")
    if complaint.answer is not None:
        echo(f"  answered by {complaint.answered_by}: {visible(complaint.answer)}")
