"""The policy as the platform publishes it: public conditions in force, and earlier versions (R16)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from litestar import get
from litestar.exceptions import NotFoundException

from jitui.aftersales.ports import PublishedPolicy
from jitui.entrypoints.console.visit import ConsoleRequest, Page, Visiting, show
from jitui.policy import Policy


@get("/policy")
async def published_policy(visit: Visiting, request: ConsoleRequest) -> Page:
    """The newest publication, or the one that the link names."""
    publications = await visit.app.registry.policies()
    wanted = request.query_params.get("publication")
    chosen = next((row for row in publications if wanted in (None, str(row.publication))), None)
    if chosen is None:
        raise NotFoundException
    return show(
        visit,
        "policy.html",
        policy=_compiled(chosen.document),
        chosen=chosen,
        publications=[(row, _compiled(row.document)) for row in publications],
        replaced_at=_replaced_at(publications, chosen),
    )


def _replaced_at(publications: Sequence[PublishedPolicy], chosen: PublishedPolicy) -> datetime | None:
    later = [row for row in publications if row.publication > chosen.publication]
    return later[-1].published_at if later else None


@lru_cache(maxsize=64)
def _compiled(document: str) -> Policy:
    return Policy.from_text(document)


HANDLERS = (published_policy,)
