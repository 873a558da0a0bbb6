"""`jitui policy propose`, `approve` and the other steps of a text from its proposal to its end."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.entrypoints.cli.policy_publish import (
    Cases,
    EffectiveAt,
    PolicyFile,
    candidate_of,
    moment_of,
    publish_file,
    tell_blockers,
)
from jitui.text import visible

if TYPE_CHECKING:
    from uuid import UUID

    from jitui.aftersales.governance.announcing import Announcement
    from jitui.aftersales.governance.policies import PolicyText
    from jitui.aftersales.governance.proposals import Proposal
    from jitui.bootstrap import Service
    from jitui.entrypoints.cli.personal import Acting
    from jitui.identity.access import Permission

FileOrProposal = Annotated[
    str,
    typer.Argument(metavar="FILE|PROPOSAL", help="Policy file (YAML), or an approved proposal.", show_default=False),
]
ProposalId = Annotated[str, typer.Argument(metavar="PROPOSAL", help="Its id, or the beginning of it.")]
Why = Annotated[str, typer.Option("--reason", help="Why, for the people who will ask.")]
VersionArg = Annotated[str, typer.Argument(metavar="VERSION", help="A version that was pushed.")]
_PROPOSAL = re.compile(r"[0-9a-fA-F]{4,8}(-[0-9a-fA-F-]*)?")
Step = Callable[["Service", "Acting"], Awaitable[Any]]


def propose(
    file: PolicyFile,
    reason: Why,
    cases: Cases = None,
    effective_at: EffectiveAt = "",
    canary: Annotated[int, typer.Option(min=0, max=99, help="The largest share of buyers of a canary before.")] = 0,
    backtest: Annotated[
        Path | None, typer.Option(help="The report of `jitui backtest --json`, for the second person.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Propose a policy to a second person, as the person of the token in --api-key-file.

    Exit code 1, and nothing is kept, when something stands against it: every reason is printed.
    """
    from jitui.aftersales.governance.proposals import PolicyWish, propose
    from jitui.identity.access import Permission

    report = _report(backtest)
    wish = PolicyWish(candidate_of(file, cases, effective_at), reason, canary, report)

    async def work(service: Service, by: Acting) -> object:
        return await propose(service.policies, service.proposals, wish, by=by.name, now=service.clock())

    tell(as_person(Permission.POLICIES_PROPOSE, work), as_json=as_json)


def approve(
    proposal: ProposalId,
    note: Annotated[str, typer.Option(help="What the second person says.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is proposed, ask, and approve it as the person of the token; never what one proposed oneself."""
    from jitui.identity.access import Permission

    async def work(service: Service, by: Acting) -> object:
        found = await _find(service, proposal)
        if not yes:
            _show_content(found)
            await _show_buyer(service, found)
            if not typer.confirm("Approve this?", err=True):
                raise typer.Exit(FAILED)
        return await service.proposals.approve(
            found.proposal_id, found.content_hash, by=by.name, role=by.role, now=service.clock(), note=note
        )

    tell(as_person(Permission.POLICIES_APPROVE, work), as_json=as_json)


def reject(proposal: ProposalId, reason: Why, as_json: Json = False) -> None:
    """Close a proposal without doing what it proposes."""
    from jitui.aftersales.governance.proposals import ProposalState
    from jitui.identity.access import Permission

    async def work(service: Service, by: Acting) -> object:
        found = await _find(service, proposal)
        return await service.proposals.close(
            found.proposal_id, ProposalState.REJECTED, by=by.name, now=service.clock(), reason=reason
        )

    tell(as_person(Permission.POLICIES_APPROVE, work), as_json=as_json)


def withdraw(proposal: ProposalId, reason: Why, as_json: Json = False) -> None:
    """Take back what one proposed oneself; others reject it."""
    from jitui.aftersales.governance.proposals import ProposalState
    from jitui.identity.access import Permission

    async def work(service: Service, by: Acting) -> object:
        found = await _find(service, proposal)
        return await service.proposals.close(
            found.proposal_id, ProposalState.WITHDRAWN, by=by.name, now=service.clock(), reason=reason
        )

    tell(as_person(Permission.POLICIES_PROPOSE, work), as_json=as_json)


def schedule(
    proposal: ProposalId,
    at: Annotated[str, typer.Option(metavar="TIME", help="From when on it decides; now: as soon as published.")],
    as_json: Json = False,
) -> None:
    """Change from when on a proposal's text decides; an approval that it had is void."""
    from jitui.aftersales.governance.proposals import schedule
    from jitui.identity.access import Permission

    moment = None if at == "now" else moment_of(at, "--at")

    async def work(service: Service, by: Acting) -> object:
        found = await _find(service, proposal)
        return await schedule(service.proposals, found.proposal_id, moment, by=by.name, now=service.clock())

    tell(as_person(Permission.POLICIES_PROPOSE, work), as_json=as_json)


def canary(
    proposal: ProposalId,
    percent: Annotated[int, typer.Option(min=1, max=99, help="Of the buyers; at most what was approved.")],
    as_json: Json = False,
) -> None:
    """Let the text of an approved proposal decide for a share of the buyers."""
    from functools import partial

    from jitui.aftersales.governance.canary_guard import signals_of
    from jitui.aftersales.governance.rollout import start_canary
    from jitui.identity.access import Permission

    async def work(service: Service, by: Acting) -> object:
        found = await _find(service, proposal)
        signals = partial(signals_of, service.policies, service.canary_guards)
        policies, proposals, now = service.policies, service.proposals, service.clock()
        return await start_canary(policies, proposals, found.proposal_id, percent, by=by.name, now=now, signals=signals)

    tell(as_person(Permission.POLICIES_PROPOSE, work), as_json=as_json)


def publish(
    file: FileOrProposal,
    cases: Cases = None,
    effective_at: EffectiveAt = "",
    by: Annotated[str, typer.Option(help="Who publishes, for the publication log.")] = "command line",
    as_json: Json = False,
) -> None:
    """Check a policy with its cases and put it in force, at once or from its effective_from on.

    A file only in an installation for one person, else it says what is needed; a proposal that was approved as the
    person of the token in --api-key-file. Exit code 1, and nothing is changed, when something stands against it.
    """
    from jitui.aftersales.governance.rollout import publish_approved
    from jitui.identity.access import Permission

    if Path(file).exists() or not _PROPOSAL.fullmatch(file):
        publish_file(Path(file), cases, effective_at, by, as_json=as_json)
        return

    async def work(service: Service, acting: Acting) -> object:
        found = await _find(service, file)
        policies, proposals, now = service.policies, service.proposals, service.clock()
        return await publish_approved(policies, proposals, found.proposal_id, by=acting.name, now=now)

    tell(as_person(Permission.POLICIES_PROPOSE, work), as_json=as_json)


def shadow(version: VersionArg, reason: Why, as_json: Json = False) -> None:
    """Let a text decide beside the live policy; nothing that it decides has an effect."""
    from jitui.aftersales.governance.rollout import start_shadow
    from jitui.identity.access import Permission

    async def work(service: Service, by: Acting) -> object:
        text = await find_text(service, version)
        return await start_shadow(service.policies, text, by=by.name, now=service.clock(), reason=reason)

    tell(as_person(Permission.POLICIES_PROPOSE, work), as_json=as_json)


def stop(stage: Annotated[str, typer.Argument(metavar="shadow|canary")], reason: Why, as_json: Json = False) -> None:
    """End the shadow or the canary at once."""
    from jitui.aftersales.governance.publication import Stage
    from jitui.aftersales.governance.rollout import stop
    from jitui.errors import BadInput
    from jitui.identity.access import Permission

    if stage not in ("shadow", "canary"):
        raise BadInput(f"It is shadow or canary that is stopped, not {stage!r}.", path="stage")

    async def work(service: Service, by: Acting) -> object:
        return await stop(service.policies, Stage(stage), by=by.name, now=service.clock(), reason=reason)

    tell(as_person(Permission.POLICIES_STOP, work), as_json=as_json)


def cancel(
    publication: Annotated[int, typer.Argument(metavar="PUBLICATION", help="Its number in the log.")],
    reason: Why,
    as_json: Json = False,
) -> None:
    """Call a scheduled publication off before its moment."""
    from jitui.aftersales.governance.rollout import cancel
    from jitui.identity.access import Permission

    async def work(service: Service, by: Acting) -> object:
        return await cancel(service.policies, publication, by=by.name, now=service.clock(), reason=reason)

    tell(as_person(Permission.POLICIES_STOP, work), as_json=as_json)


def rollback(
    reason: Why,
    version: Annotated[str, typer.Option(help="The version that is live and has to go; another one is refused.")] = "",
    as_json: Json = False,
) -> None:
    """Bring back the text that was live before, at once; a second person confirms it within a day."""
    from jitui.aftersales.governance.rollout import roll_back
    from jitui.identity.access import Permission

    async def work(service: Service, by: Acting) -> object:
        now = service.clock()
        return await roll_back(service.policies, by=by.name, now=now, reason=reason, version=version or None)

    tell(as_person(Permission.POLICIES_STOP, work), as_json=as_json)


def retire(version: VersionArg, reason: Why, as_json: Json = False) -> None:
    """Retire a text: it can neither be proposed nor brought back any more."""
    from jitui.aftersales.governance.rollout import retire
    from jitui.identity.access import Permission

    async def work(service: Service, by: Acting) -> object:
        text = await find_text(service, version)
        return await retire(service.policies, text, by=by.name, now=service.clock(), reason=reason)

    tell(as_person(Permission.POLICIES_PROPOSE, work), as_json=as_json)


def confirm(
    confirmation: Annotated[str, typer.Argument(metavar="[CONFIRMATION]", help="Without: list them.")] = "",
    as_json: Json = False,
) -> None:
    """Confirm as the second person what somebody did at once; without an id, list what is to be confirmed."""
    from jitui.entrypoints.cli.policy_list import list_confirmations
    from jitui.identity.access import Permission

    if not confirmation:
        list_confirmations(as_json=as_json)
        return

    async def work(service: Service, by: Acting) -> object:
        waiting = await service.confirmations.open(limit=1000)
        known = one_of([one.confirmation_id for one in waiting], confirmation, "confirmation")
        return await service.confirmations.confirm(known, by=by.name, now=service.clock())

    tell(as_person(Permission.POLICIES_APPROVE, work), as_json=as_json)


# What the steps share ------------------------------------------------------------------------------------------------


def as_person(permission: Permission, step: Step) -> object:
    """What a step returns that the person of the token takes."""
    from jitui.entrypoints.cli.personal import acting
    from jitui.entrypoints.cli.remote import given_key
    from jitui.entrypoints.cli.running import with_app

    secret = given_key()

    async def work(service: Service) -> object:
        return await step(service, await acting(service, permission, secret))

    return with_app(work)


def tell(done: object, *, as_json: bool) -> None:
    """Print the outcome; a refusal ends with exit code 1."""
    from enum import StrEnum

    from jitui.aftersales.governance.proposals import Proposal
    from jitui.aftersales.governance.publishing import Blocked
    from jitui.aftersales.governance.refusals import refusal_of

    if isinstance(done, Blocked):
        tell_blockers(done, as_json=as_json)
        raise typer.Exit(FAILED)
    if isinstance(done, StrEnum):
        refusal = refusal_of(done)  # type: ignore[arg-type]  # every step returns one of its own refusals
        if as_json:
            print_json({"refused": refusal.code, "message": refusal.message})
        say(refusal.message)
        raise typer.Exit(FAILED)
    if as_json:
        print_json(_as_json(done) if isinstance(done, Proposal) else done)
    elif isinstance(done, Proposal):
        _show(done)
    else:
        echo(_said(done))


def announced(one: Announcement) -> str:
    """An announcement in a line."""
    state = str(one.state).replace("_", " ")
    counted = f"{one.opinions} {'opinion' if one.opinions == 1 else 'opinions'}"
    since, at = (moment.isoformat(timespec="minutes") for moment in (one.announced_at, one.takes_effect_at))
    return f"{visible(one.version)}: {state}, announced {since}, takes effect {at}, {counted}"


def _said(done: object) -> str:
    from jitui.aftersales.governance.announcing import Announcement
    from jitui.aftersales.governance.confirmations import Confirmation
    from jitui.aftersales.governance.publication import LogEntry

    if isinstance(done, Announcement):
        return announced(done)
    if isinstance(done, Confirmation):
        return f"{done.action} of {visible(done.subject)} is confirmed."
    if not isinstance(done, LogEntry):
        return "Done."
    share = f", {done.canary_percent} % of the buyers" if done.canary_percent is not None else ""
    when = f", from {done.effective_at.isoformat()} on" if done.effective_at is not None else ""
    version = visible(done.version)
    return f"Publication {done.publication}: {done.action} of version {version}, {done.stage}{share}{when}."


def _show(found: Proposal) -> None:
    """A proposal, and whose turn it is."""
    _show_content(found)
    if found.state == "open":
        say(f"Next: somebody else runs `jitui policy approve {str(found.proposal_id)[:13]}`.")
    elif found.state == "approved":
        say(f"Next: a person of the role risk runs `jitui policy publish {str(found.proposal_id)[:13]}`.")


def _show_content(found: Proposal) -> None:
    echo(f"Proposal {found.proposal_id}: {found.state}")
    echo(f"  {found.kind} {visible(found.subject)}, proposed by {found.proposed_by}: {visible(found.reason)}")
    for name, value in found.content_fields.items():
        echo(f"  {name}: {visible(str(value))}")
    for name, value in found.evidence.items():
        changes = value if isinstance(value, list) else [value]
        for one in changes:
            told = f"{one['name']}: {one['what']}" if isinstance(one, dict) and "what" in one else str(one)
            echo(f"  {name}: {visible(told)}")
    if "backtest" not in found.evidence and found.kind == "policy":
        echo("  no back-test is attached")
    if found.approval is not None:
        echo(f"  approved by {found.approval.approved_by}")


async def _show_buyer(service: Service, found: Proposal) -> None:
    """Whom it is about: a proposal names no buyer, since a buyer may be erased."""
    if found.kind == "allow_buyer":
        entry = await service.registry.selection_entry(found.allow_buyer.selection_id)
        echo(f"  buyer {visible(entry.buyer_id)}" if entry is not None else "  the buyer was erased")


def _as_json(found: Proposal) -> dict[str, object]:
    return {
        "proposal_id": found.proposal_id,
        "kind": found.kind,
        "state": found.state,
        "content": found.content_fields,
        "content_hash": found.content_hash.hex(),
        "reason": found.reason,
        "proposed_by": found.proposed_by,
        "approved_by": found.approval.approved_by if found.approval is not None else None,
        "evidence": found.evidence,
    }


async def _find(service: Service, text: str) -> Proposal:
    """The proposal whose id begins so. Raises BadInput for none and for several."""
    from jitui.aftersales.governance.proposals import ProposalState

    found = await service.proposals.list(states=tuple(ProposalState), limit=1000)
    known = one_of([one.proposal_id for one in found], text, "proposal")
    return next(one for one in found if one.proposal_id == known)


def one_of(ids: list[UUID], text: str, what: Literal["proposal", "confirmation", "opinion"]) -> UUID:
    """The id that begins so. Raises BadInput for none and for several."""
    from jitui.errors import BadInput

    fitting = [one for one in ids if str(one).startswith(text.lower())]
    if len(fitting) != 1:
        many = "is no" if not fitting else f"begins {len(fitting)} ids; give more of the"
        raise BadInput(f"{text} {many} {what}.", path=what)
    return fitting[0]


async def find_text(service: Service, version: str) -> PolicyText:
    """The text of a version of the policy in force. Raises BadInput."""
    from jitui.errors import BadInput

    live = await service.policies.publication(None)
    found = await service.policies.find_text(live.policy_id, version) if live is not None else None
    if found is None:
        raise BadInput(f"No text of the policy in force has the version {version}.", path="version")
    return found


def _report(file: Path | None) -> dict[str, object] | None:
    import json

    from jitui.entrypoints.cli.policy_files import read_text
    from jitui.errors import BadInput

    if file is None:
        return None
    try:
        report = json.loads(read_text(file))
    except ValueError:
        report = None
    if not isinstance(report, dict):
        raise BadInput(f"{file} is no report of `jitui backtest --json`.", path="--backtest")
    return report
