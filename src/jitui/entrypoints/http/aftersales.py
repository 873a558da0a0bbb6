"""Refund requests: ask, decide, review, explain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any, Literal
from uuid import UUID

import msgspec

from jitui.aftersales.command import Executed
from jitui.aftersales.file import OrderFile
from jitui.aftersales.order import ParcelDegree, ShipmentSource
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import TicketFilter, TicketRef
from jitui.aftersales.request_refund import RefundAsk, check_eligibility, request_refund
from jitui.aftersales.review import Rejection, approve, reject, withdraw
from jitui.aftersales.ship import ShipmentNews
from jitui.aftersales.ticket import Ticket
from jitui.aftersales.view import Amount, TicketView, view_ticket, without_staff
from jitui.aftersales.writes import RecordDecision
from jitui.entrypoints.http import answers, bodies
from jitui.entrypoints.http.operation import (
    BUYER,
    PLATFORM,
    SHOP,
    Answer,
    AnyCall,
    Call,
    Done,
    Headers,
    Nothing,
    Operation,
    carried_out,
)
from jitui.entrypoints.http.orders import check_shipment, units
from jitui.entrypoints.http.problems import REFUSALS, UNAVAILABLE, VERSION_REQUIRED, Problem, not_found
from jitui.entrypoints.http.reading import (
    Faults,
    TimePlace,
    read_cursor,
    read_deadline_ms,
    read_uuid,
    read_version,
    refuse,
    write_cursor,
)
from jitui.ids import lane_of_id
from jitui.policy import ConditionResult, Decision, Outcome, Verdict, decision_from_json, explain

GRACE_SECONDS = 5.0
"""How long past its deadline a request may still wait for a connection or a lock, to stand as awaiting_merchant."""

_encode = msgspec.json.Encoder().encode


# Asking ----------------------------------------------------------------------------------------------------------


async def ask_for_a_refund(call: Call[bodies.RefundRequestSent, Nothing]) -> Done:
    """Open a ticket, decide it, and queue its refunds."""
    ask = _ask(call)
    if ask is None:
        return not_found()
    deadline = _Deadline(call.arrived_at, read_deadline_ms(call.header("jitui-deadline-ms")))
    return await deadline.keep(_ask_within(call, ask, deadline))


async def _ask_within(call: Call[bodies.RefundRequestSent, Nothing], ask: RefundAsk, deadline: _Deadline) -> Done:
    app = call.app
    terms = await app.terms(deadline.passed)
    by = call.actor if call.scope is BUYER else None
    once = call.once(_with_buyer(call.body, ask.buyer_id))
    return await carried_out(
        call,
        lambda keep: request_refund(app.store, terms, ask, now=app.clock(), by=by, once=once, render=keep),
        lambda done: _decided(call, done),
        lambda body: _headers_of_new(_read_new(body).ticket),
    )


def _with_buyer(sent: bodies.RefundRequestSent, buyer_id: str) -> bodies.RefundRequestSent:
    """The request with its buyer filled in: leaving it out and naming it are the same request."""
    return msgspec.structs.replace(sent, buyer_id=buyer_id)


def _ask(call: Call[bodies.RefundRequestSent, Nothing]) -> RefundAsk | None:
    """What is asked; None when it is asked for another buyer than the key's own."""
    sent = call.body
    faults = Faults()
    faults.unique("lines", "line_id", (line.line_id for line in sent.lines))
    faults.settle()
    buyer_id = sent.buyer_id or call.own_buyer
    if buyer_id is None:
        raise refuse("buyer_id", "This field is required with a platform key.")
    if not call.may_see(buyer_id=buyer_id):
        return None
    return RefundAsk(buyer_id, sent.order_id, sent.reason, units(sent.lines))


class _Deadline:
    """The caller's `Jitui-Deadline-Ms`, counted from the arrival of the request."""

    def __init__(self, arrived_at: float, deadline_ms: int | None) -> None:
        self._ends_at = None if deadline_ms is None else arrived_at + deadline_ms / 1000
        self._planned = False

    def passed(self) -> bool:
        """Asked when the decision is made: past the deadline nothing is approved."""
        self._planned = True
        return self._ends_at is not None and monotonic() >= self._ends_at

    async def keep(self, work: Awaitable[Done]) -> Done:
        """Bound what comes before the decision (connection, locks); from the decision on, the work is finished."""
        if self._ends_at is None:
            return await work
        task = asyncio.ensure_future(work)
        wait_seconds = max(0.0, self._ends_at - monotonic()) + GRACE_SECONDS
        await asyncio.wait({task}, timeout=wait_seconds)
        if task.done() or self._planned:
            return await task
        task.cancel()
        await asyncio.wait({task})
        return Problem(UNAVAILABLE, "The deadline passed before the request could be looked at; nothing was written.")


def _decided(call: AnyCall, done: Executed) -> Answer:
    """The new ticket and why, in the words that the caller may read."""
    assert done.ticket_id is not None
    ticket = done.ticket
    record = next(write for write in done.writes if isinstance(write, RecordDecision))
    view = ticket_for(call, done.file, done.ticket_id)
    decision = decision_from_json(record.decision)
    _count(call, ticket, decision)
    shown = _decision_for(call, ticket, decision, record.decided_at, record.facts)
    return Answer(201, _encode(answers.TicketDecided(ticket=view, decision=shown)), _headers_of_new(ticket))


def _count(call: AnyCall, ticket: Ticket, decision: Decision) -> None:
    missed = next((result.id for result in decision.conditions if result.verdict is not Verdict.TRUE), "")
    outcome = _outcome(decision, ticket.review_reason).value
    call.metrics.decided(outcome, missed or ticket.review_reason or "")


async def check_if_eligible(call: Call[bodies.RefundRequestSent, Nothing]) -> Done:
    """A dry run of the same decision."""
    ask = _ask(call)
    if ask is None:
        return not_found()
    done = await check_eligibility(call.app.store, await call.app.terms(), ask, now=call.app.clock())
    if isinstance(done, Refusal):
        return done
    whole = call.scope is PLATFORM
    body = answers.EligibilityAnswer(
        outcome=_outcome(done.decision, done.review_reason),
        amount=Amount(done.amount_minor, done.currency),
        policy=answers.PolicyName(policy_id=done.decision.policy_id, version=done.decision.policy_version),
        conditions=_conditions(call, done.decision, done.review_reason),
        review_reason=_review_reason(call, done.review_reason),
        unknown=done.decision.unknown if whole else (),
    )
    return Answer(200, _encode(body))


# Reviewing -------------------------------------------------------------------------------------------------------


async def approve_ticket(call: Call[bodies.ApprovalSent, Nothing]) -> Done:
    """The merchant approves, or the platform in its place."""
    version = _version(call)
    if isinstance(version, Problem):
        return version
    by = call.actor_for(call.body.acting_for, call.body.person)
    app, once = call.app, call.once(call.body, str(version))
    return await _on_ticket(
        call,
        lambda ref, keep: approve(
            app.store,
            ref,
            version=version,
            by=by,
            now=app.clock(),
            shop_id=call.own_shop,
            once=once,
            render=keep,
        ),
    )


async def reject_ticket(call: Call[bodies.RejectionSent, Nothing]) -> Done:
    """The merchant rejects, with a shipment as evidence or without."""
    version = _version(call)
    if isinstance(version, Problem):
        return version
    rejection = _rejection(call.body)
    by = call.actor_for(call.body.acting_for, call.body.person)
    app, once = call.app, call.once(call.body, str(version))
    return await _on_ticket(
        call,
        lambda ref, keep: reject(
            app.store,
            ref,
            rejection,
            version=version,
            by=by,
            now=app.clock(),
            shop_id=call.own_shop,
            once=once,
            render=keep,
        ),
    )


async def withdraw_ticket(call: Call[Nothing, Nothing]) -> Done:
    """The buyer takes the request back."""
    version = read_version(call.header("if-match"))
    app, once = call.app, call.once(call.body, str(version))
    return await _on_ticket(
        call,
        lambda ref, keep: withdraw(
            app.store,
            ref,
            version=version,
            by=call.actor,
            now=app.clock(),
            buyer_id=call.own_buyer,
            once=once,
            render=keep,
        ),
    )


def _version(call: AnyCall) -> int | Problem:
    version = read_version(call.header("if-match"))
    if version is None:
        return Problem(
            VERSION_REQUIRED, 'Send the ticket\'s version that you decide on as If-Match: "…"; its ETag has it.'
        )
    return version


def _rejection(sent: bodies.RejectionSent) -> Rejection:
    parcel = sent.shipment
    if parcel is None:
        return Rejection(sent.reason)
    check_shipment(parcel.lines, parcel.happened_at, "shipment.")
    news = ShipmentNews(
        degree=ParcelDegree.SHIPPED,
        carrier=parcel.carrier or "",
        tracking_no=parcel.tracking_no,
        source=ShipmentSource.MERCHANT,
        happened_at=parcel.happened_at,
        lines=units(parcel.lines),
    )
    return Rejection(sent.reason, news)


async def _on_ticket(call: AnyCall, command: Callable[[TicketRef, Any], Awaitable[Any]]) -> Done:
    ref = _ref(call)
    if ref is None:
        return not_found()
    return await carried_out(
        call,
        lambda keep: command(ref, keep),
        lambda done: ticket_answer(call, done.file, ref.ticket_id),
        headers_of_ticket,
    )


def _ref(call: AnyCall) -> TicketRef | None:
    ticket_id = read_uuid(call.path("ticket_id"))
    return TicketRef(lane_of_id(ticket_id), ticket_id) if ticket_id is not None else None


# Reading ---------------------------------------------------------------------------------------------------------


async def get_ticket(call: Call[Nothing, Nothing]) -> Done:
    """A ticket with its lines, refunds and timeline."""
    found = await _find(call)
    if found is None:
        return not_found()
    file, ticket = found
    return ticket_answer(call, file, ticket.ticket_id)


async def get_decision(call: Call[Nothing, Nothing]) -> Done:
    """Why the ticket was or was not refunded at once."""
    found = await _find(call)
    if found is None:
        return not_found()
    ticket = found[1]
    stored = await call.app.shelf.decision(TicketRef(ticket.lane, ticket.ticket_id))
    if stored is None:
        return not_found()
    decision = decision_from_json(stored.decision)
    shown = _decision_for(call, ticket, decision, stored.decided_at, stored.facts)
    return Answer(200, _encode(shown))


async def _find(call: AnyCall) -> tuple[OrderFile, Ticket] | None:
    ref = _ref(call)
    file = await call.app.store.read_file(ref) if ref is not None else None
    if ref is None or file is None:
        return None
    ticket = file.ticket(ref.ticket_id)
    return (file, ticket) if call.may_see(shop_id=ticket.shop_id, buyer_id=ticket.buyer_id) else None


async def list_tickets(call: Call[Nothing, bodies.TicketQuery]) -> Done:
    """Tickets, newest first."""
    query = call.query
    faults = Faults()
    faults.time("requested_from", query.requested_from)
    faults.time("requested_until", query.requested_until)
    faults.settle()
    if not call.may_filter(shop_id=query.shop_id, buyer_id=query.buyer_id):
        return not_found()
    place = read_cursor(query.cursor, TimePlace)
    wanted = TicketFilter(
        shop_id=call.own_shop or query.shop_id,
        buyer_id=call.own_buyer or query.buyer_id,
        order_id=query.order_id,
        state=query.state,
        approved_by=query.approved_by,
        requested_from=query.requested_from,
        requested_until=query.requested_until,
        after=(place.at, place.id) if place is not None else None,
        limit=query.limit + 1,
    )
    found = await call.app.shelf.tickets(wanted)
    rows = tuple(_row(ticket) for ticket in found[: query.limit])
    following = write_cursor(rows[-1].requested_at, rows[-1].ticket_id) if len(found) > query.limit else None
    return Answer(200, _encode(answers.TicketPage(tickets=rows, next=following)))


def _row(ticket: Ticket) -> answers.TicketRow:
    return answers.TicketRow(
        ticket_id=ticket.ticket_id,
        order_id=ticket.order_id,
        buyer_id=ticket.buyer_id,
        shop_id=ticket.shop_id,
        state=ticket.state,
        version=ticket.version,
        reason=ticket.reason,
        amount=Amount(ticket.amount_minor, ticket.currency),
        approved_by=ticket.approved_by,
        notice=ticket.notice,
        requested_at=ticket.requested_at,
        expires_at=ticket.expires_at,
        approved_at=ticket.approved_at,
        closed_at=ticket.closed_at,
    )


# What each reader may see ----------------------------------------------------------------------------------------

_PUBLIC_REVIEW_REASONS = frozenset({"partly_shipped", "captured_later"})


def ticket_for(call: AnyCall, file: OrderFile, ticket_id: UUID) -> TicketView:
    """The ticket's view; what the platform keeps to itself is left out for others."""
    view = view_ticket(file, ticket_id)
    if call.scope is PLATFORM:
        return view
    view = without_staff(view, shop=call.scope is SHOP)
    refunds = tuple(replace(refund, reason="") for refund in view.refunds)
    return replace(view, refunds=refunds, review_reason=_review_reason(call, view.review_reason))


def ticket_answer(call: AnyCall, file: OrderFile, ticket_id: UUID) -> Answer:
    """The ticket as an answer, its version as the ETag."""
    view = ticket_for(call, file, ticket_id)
    return Answer(200, _encode(view), (("etag", f'"{view.version}"'),))


def _review_reason(call: AnyCall, reason: str | None) -> str | None:
    return reason if call.scope is PLATFORM or reason in _PUBLIC_REVIEW_REASONS else None


def _outcome(decision: Decision, review_reason: str | None) -> Outcome:
    """A guard sends a request to review whatever the conditions say."""
    return decision.outcome if review_reason is None else Outcome.REVIEW


_AUDIENCES: dict[str, Literal["merchant", "buyer"]] = {SHOP: "merchant", BUYER: "buyer"}


_GUARD = ConditionResult("guard", Verdict.FALSE, public=False, detail_public=False, facts={}, text={"zh": "", "en": ""})
"""Stands for what stopped an approval beside the policy: others than the platform read it as *other factors*."""


def _conditions(call: AnyCall, decision: Decision, review_reason: str | None) -> tuple[answers.ConditionAnswer, ...]:
    """Verdict and sentence in both languages; figures for the platform alone."""
    assert call.scope is not None
    if call.scope is PLATFORM:
        return tuple(
            answers.ConditionAnswer(id=row.id, verdict=row.verdict, sentence=row.text, facts=row.facts)
            for row in decision.conditions
        )
    if review_reason is not None and review_reason not in _PUBLIC_REVIEW_REASONS:
        decision = replace(decision, conditions=(*decision.conditions, _GUARD))
    chinese = explain(decision, "zh", _AUDIENCES[call.scope]).rows
    english = explain(decision, "en", _AUDIENCES[call.scope]).rows
    return tuple(
        answers.ConditionAnswer(id=zh.id, verdict=zh.verdict, sentence={"zh": zh.sentence, "en": en.sentence})
        for zh, en in zip(chinese, english, strict=True)
    )


def _decision_for(
    call: AnyCall, ticket: Ticket, decision: Decision, decided_at: datetime, facts: Mapping[str, object]
) -> answers.DecisionAnswer:
    whole = call.scope is PLATFORM
    return answers.DecisionAnswer(
        outcome=_outcome(decision, ticket.review_reason),
        policy=answers.PolicyName(policy_id=decision.policy_id, version=decision.policy_version),
        decided_at=decided_at,
        conditions=_conditions(call, decision, ticket.review_reason),
        unknown=decision.unknown if whole else (),
        facts=facts if whole else {},
    )


# Headers, from the body, so that a kept answer gets the same ----------------------------------------------------


class _Named(msgspec.Struct):
    ticket_id: UUID
    version: int


class _NamedInside(msgspec.Struct):
    ticket: _Named


_read_ticket = msgspec.json.Decoder(_Named).decode
_read_new = msgspec.json.Decoder(_NamedInside).decode


def headers_of_ticket(body: bytes) -> Headers:
    """The ticket's version as its ETag, from a kept answer."""
    return (("etag", f'"{_read_ticket(body).version}"'),)


def _headers_of_new(ticket: Ticket | _Named) -> Headers:
    return ("etag", f'"{ticket.version}"'), ("location", f"/v1/after-sales/{ticket.ticket_id}")


_REVIEWED = (
    VERSION_REQUIRED,
    *(
        REFUSALS[code]
        for code in (
            RefusalCode.TICKET_STALE,
            RefusalCode.TICKET_ALREADY_APPROVED,
            RefusalCode.TICKET_ALREADY_CLOSED,
            RefusalCode.ORDER_ALREADY_SHIPPED,
            RefusalCode.AMOUNT_EXCEEDS_REFUNDABLE,
            RefusalCode.DISPUTE_OPEN,
            RefusalCode.NOTHING_TO_REFUND,
        )
    ),
)
_ASKED = tuple(
    REFUSALS[code]
    for code in (
        RefusalCode.ORDER_NOT_PAID,
        RefusalCode.ORDER_ALREADY_SHIPPED,
        RefusalCode.REFUND_IN_PROGRESS,
        RefusalCode.UNITS_NOT_AVAILABLE,
        RefusalCode.NOTHING_TO_REFUND,
        RefusalCode.UNKNOWN_LINE,
        RefusalCode.TOO_MANY_REQUESTS,
        RefusalCode.LINE_REQUEST_LIMIT,
    )
)
_TAG = "After-sales"
_ALL = frozenset({PLATFORM, SHOP, BUYER})
OPERATIONS = (
    Operation(
        "POST",
        "/v1/after-sales",
        ask_for_a_refund,
        "Ask for a refund",
        _TAG,
        {201: answers.TicketDecided},
        scopes=frozenset({PLATFORM, BUYER}),
        body=bodies.RefundRequestSent,
        keyed=True,
        problems=_ASKED,
        headers=("Jitui-Deadline-Ms",),
        description="Opens a ticket and decides it: refunded at once, or awaiting the merchant. The answer explains "
        "the decision as far as the key's scope may know it.",
    ),
    Operation(
        "GET",
        "/v1/after-sales",
        list_tickets,
        "List tickets",
        _TAG,
        {200: answers.TicketPage},
        scopes=_ALL,
        query=bodies.TicketQuery,
        description="Newest first. A shop or buyer key lists its own.",
    ),
    Operation("GET", "/v1/after-sales/{ticket_id}", get_ticket, "Read a ticket", _TAG, {200: TicketView}, scopes=_ALL),
    Operation(
        "POST",
        "/v1/after-sales/{ticket_id}/approve",
        approve_ticket,
        "Approve a ticket",
        _TAG,
        {200: TicketView},
        scopes=frozenset({PLATFORM, SHOP}),
        body=bodies.ApprovalSent,
        body_optional=True,
        keyed=True,
        problems=_REVIEWED,
        needed_headers=("If-Match",),
        description="The money is queued in the same transaction. A platform key approves as `operator`, or as "
        "`merchant` where it says `acting_for` and `person`.",
    ),
    Operation(
        "POST",
        "/v1/after-sales/{ticket_id}/reject",
        reject_ticket,
        "Reject a ticket",
        _TAG,
        {200: TicketView},
        scopes=frozenset({PLATFORM, SHOP}),
        body=bodies.RejectionSent,
        keyed=True,
        problems=(
            *_REVIEWED[:-2],
            *(
                REFUSALS[code]
                for code in (
                    RefusalCode.ORDER_NOT_PAID,
                    RefusalCode.ORDER_HELD,
                    RefusalCode.REFUND_IN_PROGRESS,
                    RefusalCode.UNITS_REFUNDED,
                    RefusalCode.UNITS_NOT_AVAILABLE,
                    RefusalCode.UNKNOWN_LINE,
                )
            ),
        ),
        needed_headers=("If-Match",),
        description="With a shipment as evidence, the rejection and the shipment are recorded in one step.",
    ),
    Operation(
        "POST",
        "/v1/after-sales/{ticket_id}/withdraw",
        withdraw_ticket,
        "Withdraw a ticket",
        _TAG,
        {200: TicketView},
        scopes=frozenset({PLATFORM, BUYER}),
        keyed=True,
        problems=tuple(_REVIEWED[1:4]),
        headers=("If-Match",),
        description="If-Match is optional here.",
    ),
    Operation(
        "GET",
        "/v1/after-sales/{ticket_id}/decision",
        get_decision,
        "Read the decision on a ticket",
        _TAG,
        {200: answers.DecisionAnswer},
        scopes=_ALL,
    ),
    Operation(
        "POST",
        "/v1/eligibility",
        check_if_eligible,
        "Ask whether a refund would be given at once",
        _TAG,
        {200: answers.EligibilityAnswer},
        scopes=frozenset({PLATFORM, BUYER}),
        body=bodies.RefundRequestSent,
        problems=_ASKED,
        description="A dry run of the same decision: nothing is written and no lock is taken.",
    ),
)
