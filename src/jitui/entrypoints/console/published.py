"""The published policy: its public conditions in force, and earlier versions (R16)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from litestar import get
from litestar.exceptions import NotFoundException

from jitui.aftersales.governance.announcing import MOST_SHOWN, Announcement, Opinion
from jitui.aftersales.governance.policies import Policies, with_public_view
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visiting, show
from jitui.policy import PublicChange, PublicPolicy, advance_in_words, loss_in_words, public_changes

VERSIONS_PER_PAGE = 20


@dataclass(frozen=True, slots=True)
class Told:
    """An announcement with what it changes, and the newest opinions on it."""

    announcement: Announcement
    changes: tuple[PublicChange, ...]
    opinions: Sequence[Opinion]


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
    own = await policies.announcement_of(chosen.publication)
    return show(
        visit,
        "policy.html",
        policy=chosen.public_view,
        shop_bears=(loss_in_words(chosen.public_view), advance_in_words(chosen.public_view)),
        chosen=chosen,
        publications=[row for row in rows if row.public_view is not None],
        next_page=rows[-1].publication if len(log) > len(rows) else None,
        changes=public_changes(older, chosen.public_view) if older is not None else (),
        coming=await _coming(policies),
        consulted=await _told(policies, own, None) if own is not None else None,
        announced=chosen.takes_effect_at > now,
        now=now,
        replaced_at=chosen.replaced_at if chosen.replaced_at is not None and chosen.replaced_at <= now else None,
        followed_at=chosen.replaced_at if chosen.replaced_at is not None and chosen.replaced_at > now else None,
    )


async def _coming(policies: Policies) -> list[Told]:
    """What is announced and did not take effect yet, against the version in force."""
    announced = await policies.announcements(limit=MOST_SHOWN, to_come=True)
    if not announced:
        return []
    live = await policies.publication(None)
    view = (await with_public_view(policies, live)).public_view if live is not None else None
    return [await _told(policies, one, view) for one in announced if one.public_view is not None]


async def _told(policies: Policies, one: Announcement, live: PublicPolicy | None) -> Told:
    changes = public_changes(live, one.public_view) if live is not None and one.public_view is not None else ()
    return Told(one, changes, await policies.opinions(one.announcement_id, limit=MOST_SHOWN))


def _number(params: Mapping[str, str], name: str) -> int | None:
    """A number of the publication log in a link."""
    text = params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotFoundException
    return int(text)


HANDLERS = (published_policy,)
