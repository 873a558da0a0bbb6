"""The live page: requests, money, queue, providers, caps and guards, sent on while it is open.

Without scripts it shows the moment at which it was loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta

from litestar import get
from litestar.response import ServerSentEvent, ServerSentEventMessage

from jitui.aftersales.operations.platform_connections import LATE
from jitui.bootstrap import Service
from jitui.entrypoints.console.operations.live_figures import EVERY_SECONDS, LiveFigures, LiveReader
from jitui.entrypoints.console.page.access import needs
from jitui.entrypoints.console.page.visit import PAGE_HEADERS, ConsoleRequest, Page, Visit, Visiting, show
from jitui.entrypoints.console.words.platforms import headline_of
from jitui.entrypoints.http.request import Stopping
from jitui.identity.access import ROLE_GRANTS, Permission
from jitui.identity.people import whose_session

SESSION_EVERY = timedelta(seconds=20)
"""How often it is asked whether the session of somebody who looks on still stands."""

RECONNECT_MS = 3000


def _(message: str) -> str:
    return message


TROUBLES = {
    "unauthorised": _("It does not take our key"),
    "timed_out": _("It answers too late"),
    "unreachable": _("There is no connection"),
    "failing": _("It cannot answer"),
    "unreadable": _("Its answers cannot be read"),
}
CAP_SCOPES = {
    "platform": _("Whole platform"),
    "shop": _("The shop that used most"),
    "category": _("The category that used most"),
    "cluster": _("The group of linked buyers that used most"),
}


@get("/live", opt=needs(Permission.METRICS_READ))
async def live(visit: Visiting, request: ConsoleRequest) -> Page:
    """The service at this moment."""
    return _show(visit, "operations/live.html", await _reader(request).look(visit.service))


@get("/live/events", opt=needs(Permission.METRICS_READ))
async def live_events(visit: Visiting, request: ConsoleRequest) -> ServerSentEvent:
    """The same figures again and again, until the session ends, the process stops, or it has lasted long enough."""
    following = Following(
        visit.service,
        request.auth or "",
        _reader(request),
        request.app.state.get("stopping") or Stopping(),
        visit.options.live_for,
    )
    headers = {name: value for name, value in PAGE_HEADERS.items() if name != "cache-control"}
    events = follow(following, lambda figures: str(_show(visit, "operations/_live.html", figures).content))
    return ServerSentEvent(events, headers=headers)


@dataclass(frozen=True, slots=True)
class Following:
    """Somebody who looks on, by their session's token, for how long, and how often something is looked at."""

    service: Service
    token: str
    reader: LiveReader
    stopping: Stopping
    lasts: timedelta
    session_every: timedelta = SESSION_EVERY
    every_seconds: float = EVERY_SECONDS


async def follow(one: Following, render: Callable[[LiveFigures], str]) -> AsyncIterator[ServerSentEventMessage]:
    """Figures as events, as long as the session may have them; then an event says that it has ended."""
    loop = asyncio.get_running_loop()
    begun = asked_at = loop.time()
    while True:
        figures = await one.reader.look(one.service)
        yield ServerSentEventMessage(event="figures", data=render(figures), retry=RECONNECT_MS)
        if loop.time() - begun >= one.lasts.total_seconds() or await one.stopping.within(one.every_seconds):
            return
        if loop.time() - asked_at >= one.session_every.total_seconds():
            asked_at = loop.time()
            if not await still_may(one.service, one.token):
                yield ServerSentEventMessage(event="ended", data="")
                return


async def still_may(service: Service, token: str) -> bool:
    """Whether the session stands, and its person's role may read the figures."""
    session = await whose_session(service.people, token, now=service.clock())
    return session is not None and Permission.METRICS_READ in ROLE_GRANTS[session.person.role]


def _reader(request: ConsoleRequest) -> LiveReader:
    """The one of this process."""
    state = request.app.state
    if "console_live" not in state:
        state.console_live = LiveReader()
    reader: LiveReader = state.console_live
    return reader


def _show(visit: Visit, template: str, figures: LiveFigures) -> Page:
    return show(
        visit,
        template,
        figures=figures,
        troubles=TROUBLES,
        cap_scopes=CAP_SCOPES,
        headline_of=headline_of,
        late_seconds=LATE.total_seconds(),
        now=figures.read_at or visit.service.clock(),
    )


HANDLERS = (live, live_events)
