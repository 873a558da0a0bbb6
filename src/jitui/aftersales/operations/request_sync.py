"""Takes in the refund requests of a commerce platform that owns them, and lets their tickets follow what happens there.

A request is listed by the time of its change, read again with its order, and decided by the commands that the API uses.
The ticket remembers the version that was decided on: another version is another request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.model.platform_request import request_of
from jitui.aftersales.model.ticket import OPEN_STATES, Ticket, TicketState
from jitui.aftersales.operations.platform_sync import PlatformStates, SyncState
from jitui.aftersales.operations.request_tickets import Taking, follow_request, ticket_for
from jitui.aftersales.platform_requests import (
    Gap,
    KnownRequests,
    PlatformRequest,
    RequestSource,
    RequestState,
    UnreadableRequest,
    windows_of,
)
from jitui.aftersales.ports import Store, read_order_by_id

OVERLAP = timedelta(minutes=15)
"""How far before the cursor changes are read again: the platform's clock and ours differ, and it lists with a delay."""
FIRST_READING = timedelta(days=30)
"""How far back the first reading goes: the requests that still wait are at most as old."""
FOLLOWED_FOR = timedelta(days=30)
FOLLOWED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class RequestParts:
    """A platform that owns requests, the shop whose they are here, and where is kept how far it was read."""

    store: Store
    states: PlatformStates
    known: KnownRequests
    source: RequestSource
    shop_id: str


@dataclass(slots=True)
class RequestsRead:
    """What a reading found: requests that were decided or changed, those left to the shop with the reasons, and a hole.

    A request that is read more than once counts once.
    `again_from`: the oldest change that has to be read again, because nothing could be said about it now.
    """

    ids: set[str] = field(default_factory=set)
    left: dict[str, str] = field(default_factory=dict)
    gap: Gap | None = None
    again_from: datetime | None = None

    @property
    def taken(self) -> int:
        """How many requests were decided or changed."""
        return len(self.ids)

    def add(self, request_id: str, changed_at: datetime, taking: Taking) -> None:
        if taking.changed:
            self.ids.add(request_id)
        if taking.why:
            self.left[request_id] = taking.why
        if taking.again:
            self.again_from = min(self.again_from or changed_at, changed_at)


async def sync_requests(
    parts: RequestParts, settings: Callable[[], Awaitable[DecisionSettings]], *, now: datetime
) -> RequestsRead:
    """Read what changed since the cursor, window by window, then what is not finished here. Raises Unavailable.

    The cursor moves with each window, so a reading that breaks off goes on where it was.
    """
    deciding, name = await settings(), parts.source.name
    state, done = await parts.states.state(name), RequestsRead()
    begins_at = now - FIRST_READING if state.cursor is None else state.cursor - OVERLAP
    done.gap, windows = windows_of(begins_at, now, parts.source.lists)
    cursor = state.cursor
    for window in windows:
        async for page in parts.source.requests_since(window):
            for listed in page:
                await _take_listed(parts, deciding, listed, done, now)
        cursor = window.ends_at if done.again_from is None else min(window.ends_at, done.again_from)
        await parts.states.note(name, SyncState(cursor, state.synced_at))
    after, since = "", now - FOLLOWED_FOR
    while unfinished := await parts.known.unfinished(name, parts.shop_id, since, after, FOLLOWED_AT_ONCE):
        for request_id in unfinished:
            done.add(request_id, now, await take_request(parts, deciding, request_id, now=now))
        after = unfinished[-1]
    await parts.states.note(name, SyncState(cursor, now, _said(done.gap)))
    return done


def _said(gap: Gap | None) -> str:
    if gap is None:
        return ""
    begins_at, ends_at = (moment.isoformat(timespec="minutes") for moment in (gap.begins_at, gap.ends_at))
    return (
        f"Requests that changed between {begins_at} and {ends_at} cannot be listed any more: look at them at the "
        "shop's platform."
    )


async def take_request(parts: RequestParts, deciding: DecisionSettings, request_id: str, *, now: datetime) -> Taking:
    """Read one request there, and decide it or let its ticket follow it. Raises Unavailable."""
    return await follow_request(parts.store, parts.source, deciding, parts.shop_id, request_id, now)


async def _take_listed(
    parts: RequestParts,
    deciding: DecisionSettings,
    listed: PlatformRequest | UnreadableRequest,
    done: RequestsRead,
    now: datetime,
) -> None:
    """Read again what is new: a request that waits and has no ticket, or one that changed since its ticket was made."""
    if isinstance(listed, UnreadableRequest):
        done.left[listed.request_id] = listed.reason
        return
    snapshot = await read_order_by_id(parts.store, listed.order_id)
    ticket = None if snapshot is None else ticket_for(snapshot, parts.source.name, listed.request_id)
    if ticket is None:
        if listed.state is not RequestState.WAITING or not listed.refund_only:
            return
    else:
        assert snapshot is not None
        asked = request_of(snapshot, ticket.ticket_id)
        if asked is None or asked.version == listed.version or _is_followed(ticket, listed.state):
            return
    taking = await take_request(parts, deciding, listed.request_id, now=now)
    done.add(listed.request_id, listed.changed_at, taking)


def _is_followed(ticket: Ticket, state: RequestState) -> bool:
    """Whether the ticket is where the request is, so that reading the request would change nothing."""
    if state is RequestState.WAITING:
        return False
    approved = state in (RequestState.APPROVED, RequestState.REFUNDED)
    return ticket.state not in OPEN_STATES or (approved and ticket.state is TicketState.REFUNDING)
