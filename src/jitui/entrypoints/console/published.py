"""The published policy: its public conditions in force, and earlier versions (R16)."""

from __future__ import annotations

from collections.abc import Mapping

from litestar import get
from litestar.exceptions import NotFoundException

from jitui.aftersales.governance.policies import with_public_view
from jitui.entrypoints.console.visit import ConsoleRequest, Page, Visiting, show
from jitui.policy import public_changes

VERSIONS_PER_PAGE = 20


@get("/policy")
async def published_policy(visit: Visiting, request: ConsoleRequest) -> Page:
    """The newest publication, or the one in the link, and a page of all publications."""
    policies = visit.service.policies
    found = await policies.publication(_number(request.query_params, "publication"))
    chosen = await with_public_view(policies, found) if found is not None else None
    if chosen is None or chosen.public_view is None:
        raise NotFoundException
    before = _number(request.query_params, "before")
    log = await policies.publications(before=before, limit=VERSIONS_PER_PAGE + 1, announced=True)
    rows = [await with_public_view(policies, row) for row in log[:VERSIONS_PER_PAGE]]
    earlier = await policies.publications(before=chosen.publication, limit=1, announced=True)
    older = (await with_public_view(policies, earlier[0])).public_view if earlier else None
    now = visit.service.clock()
    return show(
        visit,
        "policy.html",
        policy=chosen.public_view,
        chosen=chosen,
        publications=[row for row in rows if row.public_view is not None],
        next_page=rows[-1].publication if len(log) > len(rows) else None,
        changes=public_changes(older, chosen.public_view) if older is not None else (),
        announced=chosen.takes_effect_at > now,
        replaced_at=chosen.replaced_at if chosen.replaced_at is not None and chosen.replaced_at <= now else None,
        followed_at=chosen.replaced_at if chosen.replaced_at is not None and chosen.replaced_at > now else None,
    )


def _number(params: Mapping[str, str], name: str) -> int | None:
    """A number of the publication log in a link."""
    text = params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotFoundException
    return int(text)


HANDLERS = (published_policy,)
