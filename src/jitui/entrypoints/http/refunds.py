"""Refunds, incidents, the feed, and what payment providers tell us."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from uuid import UUID

import msgspec

from jitui.aftersales.command import Executed
from jitui.aftersales.dispute import take_dispute
from jitui.aftersales.doubt import differing
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.pay import ManualPayout, News, confirm, retry, settle
from jitui.aftersales.ports import AttemptRef, Change, Incident, RefundRef
from jitui.aftersales.provider import DisputeNotification, NotificationIgnored, NotificationRefused
from jitui.aftersales.refund import Attempt, Refund, Settlement
from jitui.aftersales.view import Amount, TicketView
from jitui.entrypoints.http import answers, bodies
from jitui.entrypoints.http.aftersales import headers_of_ticket, ticket_answer
from jitui.entrypoints.http.limits import READERS_PER_KEY
from jitui.entrypoints.http.operation import (
    BUYER,
    PLATFORM,
    SHOP,
    Answer,
    AnyCall,
    Call,
    Done,
    Nothing,
    Operation,
    carried_out,
)
from jitui.entrypoints.http.problems import (
    INVALID_REQUEST,
    RATE_LIMITED,
    REFUSALS,
    SIGNATURE_REFUSED,
    Problem,
    not_found,
)
from jitui.entrypoints.http.reading import FeedPlace, TimePlace, read_all, read_cursor, read_uuid, write_cursor
from jitui.entrypoints.logs import get_logger
from jitui.ids import lane_of_id

POLL_SECONDS = 0.5
"""How often a waiting reader of the feed looks again."""
READER_RETRY_SECONDS = 5

_encode = msgspec.json.Encoder().encode
log = get_logger("jitui.http")


# Refunds ---------------------------------------------------------------------------------------------------------


async def get_refund(call: Call[Nothing, Nothing]) -> Done:
    """One tender's share on its way back."""
    ref = _ref(call)
    found = await call.app.shelf.refund(ref) if ref is not None else None
    if ref is None or found is None:
        return not_found()
    refund, attempts = found
    if call.scope is not PLATFORM:
        file = await call.app.store.read_file(ref)
        if file is None or not call.may_see(shop_id=file.order.shop_id, buyer_id=file.order.buyer_id):
            return not_found()
    return Answer(200, _encode(_refund(call, refund, attempts)))


def _ref(call: AnyCall) -> RefundRef | None:
    refund_id = read_uuid(call.path("refund_id"))
    return RefundRef(lane_of_id(refund_id), refund_id) if refund_id is not None else None


def _refund(call: Call[Nothing, Nothing], refund: Refund, attempts: Sequence[Attempt]) -> answers.RefundAnswer:
    whole = call.scope is PLATFORM
    return answers.RefundAnswer(
        refund_id=refund.refund_id,
        ticket_id=refund.ticket_id,
        order_id=refund.order_id,
        tender_id=refund.tender_id,
        provider=refund.provider,
        state=refund.state,
        amount=Amount(refund.amount_minor, refund.currency),
        queued_at=refund.queued_at,
        closed_at=refund.closed_at,
        reason=refund.reason if whole else "",
        attempts=tuple(_attempt(attempt) for attempt in attempts) if whole else (),
        settlement=_settlement(refund.settlement) if whole and refund.settlement is not None else None,
    )


def _settlement(settlement: Settlement) -> answers.SettlementAnswer:
    return answers.SettlementAnswer(
        reference=settlement.reference, note=settlement.note, by=settlement.by, at=settlement.at
    )


def _attempt(attempt: Attempt) -> answers.AttemptAnswer:
    return answers.AttemptAnswer(
        attempt_id=attempt.attempt_id,
        attempt_no=attempt.attempt_no,
        state=attempt.state,
        started_at=attempt.started_at,
        news_at=attempt.news_at,
        provider_refund_id=attempt.provider_refund_id,
        reason=attempt.reason,
    )


async def settle_refund(call: Call[bodies.ManualPayoutSent, Nothing]) -> Done:
    """Say with evidence that a finally failed refund was paid outside its provider."""
    ref = _ref(call)
    if ref is None:
        return not_found()
    app, sent = call.app, call.body
    payout = ManualPayout(sent.reference, sent.note, sent.amount.amount_minor, sent.amount.currency)
    once = call.once(sent)
    return await carried_out(
        call,
        lambda keep: settle(app.store, ref, payout, by=call.actor, now=app.clock(), once=once, render=keep),
        lambda done: ticket_answer(call, done.file, _ticket_of(done.ticket_id)),
        headers_of_ticket,
    )


async def retry_refund(call: Call[Nothing, Nothing]) -> Done:
    """Send a finally failed refund again, as a new attempt."""
    ref = _ref(call)
    if ref is None:
        return not_found()
    app, once = call.app, call.once(call.body)
    return await carried_out(
        call,
        lambda keep: retry(app.store, ref, by=call.actor, now=app.clock(), once=once, render=keep),
        lambda done: ticket_answer(call, done.file, _ticket_of(done.ticket_id)),
        headers_of_ticket,
    )


def _ticket_of(ticket_id: UUID | None) -> UUID:
    assert ticket_id is not None
    return ticket_id


# Incidents -------------------------------------------------------------------------------------------------------


async def list_incidents(call: Call[Nothing, bodies.IncidentQuery]) -> Done:
    """Goods that left although they were refunded."""
    query = call.query
    if not call.may_filter(shop_id=query.shop_id, buyer_id=None):
        return not_found()
    place = read_cursor(query.cursor, TimePlace)
    found = await call.app.shelf.incidents(
        shop_id=call.own_shop or query.shop_id,
        limit=query.limit + 1,
        after=(place.at, place.id) if place is not None else None,
    )
    rows = tuple(_incident(row) for row in found[: query.limit])
    following = write_cursor(rows[-1].opened_at, rows[-1].incident_id) if len(found) > query.limit else None
    return Answer(200, _encode(answers.IncidentPage(incidents=rows, next=following)))


def _incident(row: Incident) -> answers.IncidentAnswer:
    return answers.IncidentAnswer(
        incident_id=row.incident_id,
        order_id=row.order_id,
        ticket_id=row.ticket_id,
        shop_id=row.shop_id,
        kind=row.kind,
        state=row.state,
        amount=Amount(row.amount_minor, row.currency),
        evidence=tuple(row.evidence),
        opened_at=row.opened_at,
    )


# The feed --------------------------------------------------------------------------------------------------------


async def list_changes(call: Call[Nothing, bodies.ChangeQuery]) -> Done:
    """What happened since a place in the feed; waits for something new when asked to."""
    query = call.query
    place = read_cursor(query.after, FeedPlace, "after")
    after = place.position if place is not None else 0
    found = await call.app.feed.changes(after, query.limit, shop_id=call.own_shop)
    if not found and query.wait_seconds > 0:
        assert call.key is not None
        with call.readers.place(call.key.key_id) as has_place:
            if not has_place:
                return Problem(
                    RATE_LIMITED,
                    f"{READERS_PER_KEY} readers with this key wait for news already; ask later, or without waiting.",
                    retry_after_seconds=READER_RETRY_SECONDS,
                )
            found = await _wait_for_news(call, after)
    rows = tuple(_change(call, row) for row in found)
    last = rows[-1].position if rows else after
    return Answer(200, _encode(answers.ChangePage(changes=rows, next=write_cursor(last))))


async def _wait_for_news(call: Call[Nothing, bodies.ChangeQuery], after: int) -> Sequence[Change]:
    """Until there is some, the time is over, the process stops, or the reader has gone and gives its place back."""
    query = call.query
    until = call.arrived_at + query.wait_seconds
    gone = asyncio.create_task(_gone(call))
    try:
        while not gone.done():
            left_seconds = until - monotonic()
            if left_seconds <= 0 or await call.stopping.within(min(POLL_SECONDS, left_seconds)):
                break
            found = await call.app.feed.changes(after, query.limit, shop_id=call.own_shop)
            if found:
                return found
    finally:
        gone.cancel()
    return ()


async def _gone(call: Call[Nothing, bodies.ChangeQuery]) -> None:
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


def _change(call: Call[Nothing, bodies.ChangeQuery], row: Change) -> answers.ChangeAnswer:
    body = row.body
    if call.scope is not PLATFORM:
        body = {name: value for name, value in body.items() if name != "arm"}
    return answers.ChangeAnswer(
        position=row.position,
        kind=row.kind,
        at=row.at,
        order_id=row.order_id,
        buyer_id=row.buyer_id,
        shop_id=row.shop_id,
        ticket_id=row.ticket_id,
        body=body,
    )


# Notifications ---------------------------------------------------------------------------------------------------


async def take_notification(call: Call[Nothing, Nothing]) -> Done:
    """News from a payment provider; the same again changes nothing."""
    app = call.app
    provider = app.providers.get(call.path("provider"))
    if provider is None:
        return not_found()
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in call.request.scope["headers"]}
    read = provider.read_notification(headers, await read_all(call.request), app.clock())
    if isinstance(read, NotificationRefused):
        if read.signed:
            return Problem(INVALID_REQUEST, "The notification is signed and cannot be read.")
        return Problem(SIGNATURE_REFUSED, "Signature or age of the notification does not stand.")
    if isinstance(read, NotificationIgnored):
        return _taken(read.acknowledgement)  # anything else, and the provider would send it again for days
    if isinstance(read, DisputeNotification):
        if not await take_dispute(app.store, app.waiting, app.tasks, read.dispute, now=app.clock()):
            log.warning("dispute_parked", provider=provider.name, dispute=read.dispute.dispute_id)
        return _taken("")
    ref = AttemptRef(lane_of_id(read.attempt_id), read.attempt_id)
    done = await confirm(app.store, ref, News(read.answer, provider=provider.name), now=app.clock())
    if isinstance(done, Executed) and (task := differing(done.writes)) is not None:
        log.warning("answer_differs", task=str(task.task_id), **task.evidence)
    return done if isinstance(done, Refusal) else _taken(read.acknowledgement)


def _taken(acknowledgement: str) -> Answer:
    """A provider that reads no status codes gets the word it waits for, and sends no more."""
    if not acknowledgement:
        return Answer(204, b"")
    return Answer(200, acknowledgement.encode(), media_type="text/plain; charset=utf-8")


_ALL = frozenset({PLATFORM, SHOP, BUYER})
OPERATIONS = (
    Operation(
        "GET",
        "/v1/refunds/{refund_id}",
        get_refund,
        "Read a refund",
        "Refunds",
        {200: answers.RefundAnswer},
        scopes=_ALL,
        description="Attempts and reasons are shown to the platform alone.",
    ),
    Operation(
        "POST",
        "/v1/refunds/{refund_id}/retry",
        retry_refund,
        "Retry a failed refund",
        "Refunds",
        {200: TicketView},
        scopes=frozenset({PLATFORM}),
        keyed=True,
        problems=(REFUSALS[RefusalCode.REFUND_NOT_FAILED], REFUSALS[RefusalCode.DISPUTE_OPEN]),
        description="A new attempt with a new key; the answer is the ticket.",
    ),
    Operation(
        "POST",
        "/v1/refunds/{refund_id}/settle-manually",
        settle_refund,
        "Settle a failed refund by hand",
        "Refunds",
        {200: TicketView},
        scopes=frozenset({PLATFORM}),
        body=bodies.ManualPayoutSent,
        keyed=True,
        problems=(REFUSALS[RefusalCode.REFUND_NOT_FAILED], REFUSALS[RefusalCode.SETTLEMENT_DIFFERS]),
        description="The refund was paid outside its provider: it counts as paid, with the evidence, and is never sent "
        "again. Should the provider pay it after all, a task says so. The answer is the ticket.",
    ),
    Operation(
        "GET",
        "/v1/incidents",
        list_incidents,
        "List incidents",
        "Incidents",
        {200: answers.IncidentPage},
        scopes=frozenset({PLATFORM, SHOP}),
        query=bodies.IncidentQuery,
        description="Newest first. A shop key lists its own.",
    ),
    Operation(
        "GET",
        "/v1/changes",
        list_changes,
        "Read the feed",
        "Feed",
        {200: answers.ChangePage},
        scopes=frozenset({PLATFORM, SHOP}),
        query=bodies.ChangeQuery,
        description="One ordered feed of what happened; a reader that remembers `next` misses nothing and sees nothing "
        "twice. Warehouses act on `stop_ship`. A shop key reads its own.",
    ),
    Operation(
        "POST",
        "/v1/notifications/{provider}",
        take_notification,
        "Take news from a payment provider",
        "Notifications",
        {200: str, 204: None},
        problems=(SIGNATURE_REFUSED,),
        signed=True,
        description="For payment providers: signed by them, no API key. Idempotent. Where a provider waits for a word "
        "instead of a status, the answer is 200 with that word.",
    ),
)
