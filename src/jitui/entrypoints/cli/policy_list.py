"""`jitui policy list`, `push` and `pull`: the texts that are kept, and what waits for a second person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, print_to_the_letter, say
from jitui.entrypoints.cli.policy_publish import Cases, PolicyFile, candidate_of, tell_blockers
from jitui.text import visible

if TYPE_CHECKING:
    from jitui.aftersales.governance.confirmations import Confirmation
    from jitui.aftersales.governance.policies import PolicyText
    from jitui.aftersales.governance.proposals import Proposal
    from jitui.aftersales.governance.publication import InForce
    from jitui.aftersales.governance.publishing import Blocked
    from jitui.bootstrap import Service

MOST_TEXTS = 50


def list_texts(as_json: Json = False) -> None:
    """The texts that are kept with a state each, open proposals, and what is to be confirmed."""
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> dict[str, object]:
        from jitui.aftersales.governance.proposals import NOT_CLOSED
        from jitui.aftersales.governance.publication import in_force, once_live

        log, now = await service.policies.log(), service.clock()
        proposals = await service.proposals.list(states=NOT_CLOSED, limit=100)
        found, were_live = in_force(log, now), once_live(log, now)
        texts = await service.policies.texts(limit=MOST_TEXTS)
        return {
            "single_person": await service.policies.single_person(),
            "texts": [
                {
                    "policy": text.policy_id,
                    "version": text.version,
                    "state": state_of_text(text, found, were_live, proposals),
                    "sha256": text.sha256,
                    "pushed_by": text.pushed_by,
                    "pushed_at": text.pushed_at,
                }
                for text in texts
            ],
            "proposals": [
                {"proposal_id": one.proposal_id, "state": one.state, "subject": one.subject, "by": one.proposed_by}
                for one in proposals
            ],
            "confirmations": await service.confirmations.open(limit=100),
        }

    found = with_app(work)
    if as_json:
        print_json(found)
        return
    _print(found)


def _print(found: dict[str, object]) -> None:
    texts, proposals, waiting = found["texts"], found["proposals"], found["confirmations"]
    assert isinstance(texts, list) and isinstance(proposals, list) and isinstance(waiting, list)
    if found["single_person"]:
        say("This installation is for one person: nobody else approves policies.")
    for text in texts:
        echo(f"{visible(text['version'])}: {text['state']}, pushed by {text['pushed_by']}")
    for one in proposals:
        echo(f"proposal {one['proposal_id']}: {one['state']}, {visible(one['subject'])}, by {one['by']}")
    _print_confirmations(waiting)


def state_of_text(
    text: PolicyText, found: InForce | None, were_live: frozenset[str], proposals: Sequence[Proposal]
) -> str:
    """Where a text is in its life, with the share of a canary."""
    from jitui.aftersales.governance.text_states import TextState, state_of

    state = state_of(text, found, were_live, proposals)
    if state is TextState.CANARY and found is not None and found.canary is not None:
        return f"canary {found.canary.canary_percent} %"
    return state.value


def list_confirmations(*, as_json: bool) -> None:
    """What nobody confirmed yet, the first that is due first."""
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> Sequence[Confirmation]:
        return await service.confirmations.open(limit=1000)

    waiting = with_app(work)
    if as_json:
        print_json({"confirmations": waiting})
        return
    _print_confirmations(waiting)
    if not waiting:
        echo("Nothing is to be confirmed.")


def _print_confirmations(waiting: Sequence[Confirmation]) -> None:
    for one in waiting:
        until = one.confirm_by.isoformat(timespec="minutes")
        echo(f"to confirm until {until}: {one.action} of {visible(one.subject)} by {visible(one.done_by)}")
        echo(f"  {one.confirmation_id}: {visible(one.reason)}")


def push(
    file: PolicyFile,
    cases: Cases = None,
    by: Annotated[str, typer.Option(help="Who pushes, for the record.")] = "command line",
    as_json: Json = False,
) -> None:
    """Keep a text as a draft. A version names one text for ever: another one under it is refused (exit code 1)."""
    from jitui.entrypoints.cli.running import with_app

    candidate = candidate_of(file, cases, "")

    async def work(service: Service) -> PolicyText | Blocked:
        from jitui.aftersales.governance.publishing import keep_draft

        return await keep_draft(service.policies, candidate, by=by, now=service.clock())

    done = with_app(work)
    from jitui.aftersales.governance.publishing import Blocked

    if isinstance(done, Blocked):
        tell_blockers(done, as_json=as_json)
        raise typer.Exit(FAILED)
    if as_json:
        print_json({"policy": done.policy_id, "version": done.version, "sha256": done.sha256})
    else:
        echo(f"{done.policy_id}, version {visible(done.version)}, is kept as a draft.")


def pull(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A version, or live.")] = "live",
    output: Annotated[Path | None, typer.Option("--output", help="Write it to this file.")] = None,
) -> None:
    """Print a text as it was pushed, to the letter."""
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> PolicyText | None:
        live = await service.policies.publication(None)
        if live is None:
            return None
        if version == "live":
            return await service.policies.text(live.sha256)
        return await service.policies.find_text(live.policy_id, version)

    found = with_app(work)
    if found is None:
        say(f"No text of the policy in force has the version {version}.")
        raise typer.Exit(FAILED)
    if output is None:
        print_to_the_letter(found.document)
    else:
        output.write_bytes(found.document.encode())
