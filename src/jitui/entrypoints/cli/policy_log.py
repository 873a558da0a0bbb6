"""`jitui policy show` and `log`: one text with what became of it, and the publication log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.output import Json, echo, print_json
from jitui.text import visible

if TYPE_CHECKING:
    from jitui.aftersales.governance.policies import PolicyText
    from jitui.aftersales.ports import Publication
    from jitui.bootstrap import Service

_PAGE = 500
Version = Annotated[str, typer.Argument(metavar="VERSION", help="The version of the text.", show_default=False)]


def show(version: Version, as_json: Json = False) -> None:
    """Where a text is in its life, who proposed and approved it, and what the log says of it.

    `jitui policy pull VERSION` prints the text itself.
    """
    from jitui.entrypoints.cli.policy_list import state_of_text
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> dict[str, object]:
        from jitui.aftersales.governance.proposals import ProposalKind, ProposalState
        from jitui.aftersales.governance.publication import in_force, once_live

        text = await _text(service, version)
        log, now = await service.policies.log(), service.clock()
        proposals = await service.proposals.list(states=tuple(ProposalState), limit=_PAGE)
        about = [one for one in proposals if one.kind is ProposalKind.POLICY and one.policy.sha256 == text.sha256]
        waiting = [one for one in about if one.closed_at is None]
        return {
            "policy": text.policy_id,
            "version": text.version,
            "sha256": text.sha256,
            "state": state_of_text(text, in_force(log, now), once_live(log, now), waiting),
            "pushed_by": text.pushed_by,
            "pushed_at": text.pushed_at,
            "retired_at": text.retired_at,
            "proposals": [
                {
                    "proposal_id": one.proposal_id,
                    "state": one.state,
                    "proposed_by": one.proposed_by,
                    "approved_by": one.approval.approved_by if one.approval is not None else None,
                    "reason": one.reason,
                }
                for one in about
            ],
            "log": [_row(row) for row in await _rows(service) if row.sha256 == text.sha256],
        }

    found = with_app(work)
    if as_json:
        print_json(found)
    else:
        _print_text(found)


async def _text(service: Service, version: str) -> PolicyText:
    """The text of this version of the policy in force. Raises BadInput."""
    from jitui.errors import BadInput

    live = await service.policies.publication(None)
    text = None if live is None else await service.policies.find_text(live.policy_id, version)
    if text is None:
        raise BadInput(f"No text has version {version!r}; `jitui policy list` shows those there are.", path="VERSION")
    return text


async def _rows(service: Service, most: int | None = None) -> Sequence[Publication]:
    """The rows of the log, the newest first."""
    found: list[Publication] = []
    before: int | None = None
    while most is None or len(found) < most:
        page = await service.policies.publications(before=before, limit=_PAGE)
        found += page
        if len(page) < _PAGE:
            break
        before = page[-1].publication
    return found[:most]


def log(
    version: Annotated[str, typer.Option(help="Only the rows of this version.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many rows, the newest.")] = 50,
    as_json: Json = False,
) -> None:
    """The publication log, which is only appended to: what was published, ended, called off, by whom and why."""
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> list[dict[str, object]]:
        rows = await _rows(service, None if version else limit)
        return [_row(row) for row in rows if version in ("", row.version)][:limit]

    rows = with_app(work)
    if as_json:
        print_json({"log": rows})
        return
    for row in rows:
        _print_row(row)
    if not rows:
        echo("Nothing was published yet." if not version else f"Nothing was published of version {visible(version)}.")


def _row(row: Publication) -> dict[str, object]:
    return {
        "publication": row.publication,
        "action": row.action,
        "stage": row.stage,
        "policy": row.policy_id,
        "version": row.version,
        "sha256": row.sha256,
        "published_at": row.published_at,
        "effective_at": row.effective_at,
        "canary_percent": row.canary_percent,
        "cancels": row.cancels,
        "authority": row.authority,
        "by": row.published_by,
        "approved_by": row.approved_by,
        "reason": row.reason,
    }


def _print_text(found: dict[str, object]) -> None:
    proposals, rows = found["proposals"], found["log"]
    assert isinstance(proposals, list) and isinstance(rows, list)
    echo(f"{visible(str(found['policy']))}, version {visible(str(found['version']))}: {found['state']}")
    echo(f"  sha256 {found['sha256']}")
    echo(f"  pushed by {visible(str(found['pushed_by']))}")
    for one in proposals:
        approved = f", approved by {one['approved_by']}" if one["approved_by"] else ""
        echo(f"proposal {one['proposal_id']}: {one['state']}, by {one['proposed_by']}{approved}")
        echo(f"  {visible(one['reason'])}")
    for row in rows:
        _print_row(row)


def _print_row(row: dict[str, object]) -> None:
    at = row["effective_at"] or row["published_at"]
    share = f" {row['canary_percent']} %" if row["canary_percent"] else ""
    called_off = f" number {row['cancels']}" if row["cancels"] else ""
    approved = f", approved by {row['approved_by']}" if row["approved_by"] else ""
    done = str(row["action"]).replace("_", " ")
    echo(f"{row['publication']}: {done}{called_off} {row['stage']}{share} version {visible(str(row['version']))}")
    echo(f"  from {at:%Y-%m-%d %H:%M:%S %Z} by {visible(str(row['by']))}{approved}")
    if row["reason"]:
        echo(f"  {visible(str(row['reason']))}")
