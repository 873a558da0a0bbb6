"""Refund requests, and dry runs of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import monotonic
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from jitui.aftersales.changes import RecordDecision
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.request_refund import RefundRequest
from jitui.aftersales.model.ticket import Basis, Reason, Ticket
from jitui.aftersales.model.view import Amount, TicketView
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.entrypoints.http.fields import Id
from jitui.entrypoints.http.operation import BUYER, PLATFORM, operation, post
from jitui.entrypoints.http.problems import UNAVAILABLE, FaultCollector, Problem, not_found, refuse
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_headers import read_deadline_ms
from jitui.entrypoints.http.reply import Answer, Reply, answer, respond
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.decisions import (
    CONDITION_EXAMPLE,
    DECISION_EXAMPLE,
    POLICY_EXAMPLE,
    ConditionAnswer,
    DecisionAnswer,
    PolicyName,
    conditions_for,
    decision_for,
    outcome_of,
    policy_name,
)
from jitui.entrypoints.http.resources.shared import MOST_LINES, Sent, Shown, UnitsSent, units
from jitui.entrypoints.http.resources.ticket_view import (
    TICKET_EXAMPLE,
    TICKET_TAG,
    headers_for_new,
    headers_of_new,
    public_review_reason,
    ticket_for,
)
from jitui.identity.access import Permission
from jitui.platform_syncing import check_eligibility_now, request_refund_now
from jitui.policy import Decision, Outcome, Verdict, decision_from_json

GRACE_SECONDS = 5.0
"""How long after its deadline a request may wait for a connection or a lock, to be recorded as awaiting_merchant."""


class RefundRequestSent(Sent, frozen=True, kw_only=True):
    """A buyer's request for a refund; without lines: of everything that can be refunded. It never has amounts."""

    order_id: Id
    buyer_id: Annotated[Id | None, Meta(description="A buyer key may leave it out; a platform key must not.")] = None
    reason: Reason = Reason.OTHER
    basis: Annotated[Basis | UnsetType, Meta(description="Without it: `goodwill`.")] = UNSET
    lines: Annotated[list[UnitsSent], Meta(max_length=MOST_LINES)] = field(default_factory=list)


class TicketDecided(Shown, frozen=True, kw_only=True):
    """The new ticket and the decision on it."""

    ticket: TicketView
    decision: DecisionAnswer


class EligibilityAnswer(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """What would be decided now, and for how much; nothing was written."""

    outcome: Outcome
    amount: Amount
    policy: PolicyName
    conditions: tuple[ConditionAnswer, ...]
    review_reason: str | None = None
    unknown: tuple[str, ...] = ()


_REFUSALS = (
    RefusalCode.ORDER_NOT_PAID,
    RefusalCode.ORDER_ALREADY_SHIPPED,
    RefusalCode.REFUND_IN_PROGRESS,
    RefusalCode.UNITS_NOT_AVAILABLE,
    RefusalCode.NOTHING_TO_REFUND,
    RefusalCode.UNKNOWN_LINE,
    RefusalCode.TOO_MANY_REQUESTS,
    RefusalCode.LINE_REQUEST_LIMIT,
    RefusalCode.PLATFORM_UNAVAILABLE,
    RefusalCode.ASKED_AT_PLATFORM,
)


@post(
    "/v1/after-sales",
    tags=TICKET_TAG,
    summary="Ask for a refund",
    description="Opens a ticket and decides it: refunded at once, or awaiting the merchant. The answer explains "
    "the decision as far as the key's scope may know it.",
    opt=operation(
        {201: TicketDecided},
        Permission.REFUND_REQUESTS_WRITE,
        body=RefundRequestSent,
        idempotent=True,
        refusals=_REFUSALS,
        headers=("Jitui-Deadline-Ms",),
    ),
)
async def ask_for_a_refund(request: RequestContext) -> Reply:
    """Open a ticket, decide on it, and queue its refunds."""
    sent = await read_body(request, RefundRequestSent)
    refund_request = _ask(request, sent)
    if refund_request is None:
        return not_found()
    deadline = _Deadline(request.arrived_at, read_deadline_ms(request.sent_headers.get(b"jitui-deadline-ms")))
    return await deadline.keep(_ask_within(request, sent, refund_request, deadline))


async def _ask_within(
    request: RequestContext, sent: RefundRequestSent, refund_request: RefundRequest, deadline: _Deadline
) -> Reply:
    service = request.service
    decision_settings = await service.decision_settings(deadline.passed)
    by = request.actor if request.key_scope is BUYER else None
    return await respond(
        request,
        msgspec.structs.replace(
            sent, buyer_id=refund_request.buyer_id
        ),  # leaving the buyer out and naming it are the same request
        lambda reply: request_refund_now(service, decision_settings, refund_request, by=by, reply=reply),
        lambda done: _decided(request, done),
        headers_of_new,
    )


def _ask(request: RequestContext, sent: RefundRequestSent) -> RefundRequest | None:
    """The request; None when it names another buyer than the key's own."""
    faults = FaultCollector()
    faults.unique("lines", "line_id", (line.line_id for line in sent.lines))
    faults.settle()
    buyer_id = sent.buyer_id or request.own_buyer
    if buyer_id is None:
        raise refuse("buyer_id", "This field is required with a platform key.")
    if not request.may_see(buyer_id=buyer_id):
        return None
    return RefundRequest(buyer_id, sent.order_id, sent.reason, units(sent.lines), sent.basis or Basis.GOODWILL)


class _Deadline:
    """The caller's `Jitui-Deadline-Ms`, counted from the arrival of the request."""

    def __init__(self, arrived_at: float, deadline_ms: int | None) -> None:
        self._ends_at = None if deadline_ms is None else arrived_at + deadline_ms / 1000
        self._planned = False

    def passed(self) -> bool:
        """Called when the decision is made: after the deadline nothing is approved."""
        self._planned = True
        return self._ends_at is not None and monotonic() >= self._ends_at

    async def keep(self, work: Awaitable[Reply]) -> Reply:
        """Limit the time before the decision (connection, locks); once the decision has begun, the work is finished."""
        if self._ends_at is None:
            return await work
        task = asyncio.ensure_future(work)
        wait_seconds = max(0.0, self._ends_at - monotonic()) + GRACE_SECONDS
        await asyncio.wait({task}, timeout=wait_seconds)
        if task.done() or self._planned:
            return await task
        task.cancel()
        await asyncio.wait({task})
        return Problem(UNAVAILABLE, "The deadline passed before the request could be decided; nothing was written.")


def _decided(request: RequestContext, done: Executed) -> Answer:
    """The response with the new ticket, and the reasons as far as the caller may read them."""
    assert done.ticket_id is not None
    ticket = done.ticket
    record = next(change for change in done.changes if isinstance(change, RecordDecision))
    view = ticket_for(request, done.snapshot, done.ticket_id)
    decision = decision_from_json(record.decision)
    _count(request, ticket, decision)
    explained = decision_for(request, ticket, decision, record.decided_at, record.facts)
    return answer(TicketDecided(ticket=view, decision=explained), 201, headers_for_new(ticket))


def _count(request: RequestContext, ticket: Ticket, decision: Decision) -> None:
    missed = next((result.id for result in decision.conditions if result.verdict is not Verdict.TRUE), "")
    outcome = outcome_of(decision, ticket.review_reason).value
    request.api.metrics.decided(outcome, missed or ticket.review_reason or "")


@post(
    "/v1/eligibility",
    tags=TICKET_TAG,
    summary="Ask whether a refund would be given at once",
    description="A dry run of the same decision: no ticket is written and no lock is taken. An order of a connected "
    "commerce platform is read there first.",
    opt=operation(
        {200: EligibilityAnswer}, Permission.REFUND_REQUESTS_READ, body=RefundRequestSent, refusals=_REFUSALS
    ),
)
async def check_if_eligible(request: RequestContext) -> Reply:
    """Return what a request would be decided now."""
    refund_request = _ask(request, await read_body(request, RefundRequestSent))
    if refund_request is None:
        return not_found()
    done = await check_eligibility_now(request.service, refund_request)
    if isinstance(done, Refusal):
        return done
    decision, whole = done.decision, request.key_scope is PLATFORM
    return answer(
        EligibilityAnswer(
            outcome=outcome_of(decision, done.review_reason),
            amount=Amount(done.amount_minor, done.currency),
            policy=policy_name(request, decision),
            conditions=conditions_for(request, decision, done.review_reason),
            review_reason=public_review_reason(request, done.review_reason),
            unknown=decision.unknown if whole else (),
        )
    )


HANDLERS = (ask_for_a_refund, check_if_eligible)

EXAMPLES = (
    RefundRequestSent(order_id="o-1001", buyer_id="b-1", reason=Reason.NO_LONGER_WANTED),
    TicketDecided(ticket=TICKET_EXAMPLE, decision=DECISION_EXAMPLE),
    EligibilityAnswer(
        outcome=Outcome.INSTANT, amount=sample.FULL, policy=POLICY_EXAMPLE, conditions=(CONDITION_EXAMPLE,)
    ),
)
