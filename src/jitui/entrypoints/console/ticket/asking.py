"""The form for a refund request, of buyers with and without an account: what was chosen, and a dry run of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import msgspec

from jitui.aftersales.commands.execute import Executed, IdempotentReply
from jitui.aftersales.commands.platform_orders import PlatformReading
from jitui.aftersales.commands.request_refund import Eligibility, RefundRequest, check_eligibility
from jitui.aftersales.model.order import FulfillmentStatus, LineUnits, OrderLine
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, Reason
from jitui.aftersales.outcomes import IdempotencyKey, Refusal, RefusalCode, StoredResponse
from jitui.entrypoints.console.page.visit import Visit
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.entrypoints.console.words.codes import REVIEW_REASONS
from jitui.platform_syncing import check_eligibility_now, request_refund_now
from jitui.policy import Explanation, Outcome, explain

UNITS_FIELD = "units."
_NO_SUCH_NUMBER = -1
"""A quantity that the core refuses, for a text that is not a number."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """The dry run: amount, whether it is refunded at once, and the public conditions in the buyer's language (R16)."""

    amount_minor: int
    currency: str
    instant: bool
    explanation: Explanation
    review_reason: str | None


def askable(snapshot: OrderSnapshot) -> tuple[OrderLine, ...]:
    """The lines with units that can still be requested; the core checks again."""
    gone = snapshot.fulfillment in (FulfillmentStatus.SHIPPED, FulfillmentStatus.DELIVERED)
    if gone or snapshot.order.paid_at is None:
        return ()
    busy = {line.line_id for line in snapshot.ticket_lines if line.open}
    return tuple(line for line in snapshot.lines if line.free_quantity and line.line_id not in busy)


def everything(buyer_id: str, snapshot: OrderSnapshot) -> RefundRequest:
    """A request for everything, which the form shows first."""
    units = tuple(LineUnits(line.line_id, line.free_quantity) for line in askable(snapshot))
    return RefundRequest(buyer_id, snapshot.order.order_id, Reason.NO_LONGER_WANTED, units)


def read_ask(buyer_id: str, order_id: str, form: Mapping[str, str]) -> RefundRequest | Refusal:
    """The chosen units as a request; a form without units is refused, because the core would take it for everything."""
    units = tuple(
        LineUnits(name.removeprefix(UNITS_FIELD), count)
        for name, text in form.items()
        if name.startswith(UNITS_FIELD) and (count := _count(text)) != 0
    )
    if not units:
        return Refusal(RefusalCode.UNKNOWN_LINE, "Nothing was chosen.", "lines")
    reason = form.get("reason", "")
    return RefundRequest(buyer_id, order_id, Reason(reason) if reason in tuple(Reason) else Reason.OTHER, units)


async def check(visit: Visit, request: RefundRequest) -> DryRun | Refusal:
    """The dry run of a request, as in the API: an order of a platform is read there first."""
    return _dry_run(visit, await check_eligibility_now(visit.service, request))


async def check_again(visit: Visit, request: RefundRequest) -> DryRun | Refusal:
    """The dry run of other units, on the order as it was read for the page."""
    service = visit.service
    as_read = replace(await service.decision_settings(), reading=PlatformReading.AGREES)
    return _dry_run(visit, await check_eligibility(service.store, as_read, request, now=service.clock()))


def _dry_run(visit: Visit, found: Eligibility | Refusal) -> DryRun | Refusal:
    if isinstance(found, Refusal):
        return found
    return DryRun(
        amount_minor=found.amount_minor,
        currency=found.currency,
        instant=found.decision.outcome is Outcome.INSTANT and found.review_reason is None,
        explanation=explain(found.decision, visit.speech.texts, "buyer"),
        review_reason=found.review_reason,
    )


def sent_once(sender: str, request: RefundRequest, nonce: str) -> IdempotencyKey:
    """The Idempotency-Key of a form, so that sending it twice (a double click, a reload) makes one request."""
    body_hash = hashlib.sha256(msgspec.json.encode(request)).digest()
    key = nonce if nonce.isprintable() and 0 < len(nonce) <= 64 else new_nonce()
    return IdempotencyKey(f"console:{sender}", "ask", key, body_hash)


async def send_ask(
    visit: Visit, request: RefundRequest, sender: str, nonce: str, *, by: Actor | None = None
) -> UUID | Refusal:
    """Open the ticket; the same form sent again is the same ticket."""
    service = visit.service
    reply = IdempotentReply(
        sent_once(sender, request, nonce),
        lambda done: StoredResponse(303, str(done.ticket_id).encode(), service.clock()),
    )
    done = await request_refund_now(service, await service.decision_settings(), request, by=by, reply=reply)
    if isinstance(done, Refusal):
        return done
    ticket_id = done.ticket_id if isinstance(done, Executed) else UUID(done.body.decode())
    assert ticket_id is not None
    return ticket_id


async def form_values(
    visit: Visit, snapshot: OrderSnapshot, chosen: RefundRequest, refusal: Refusal | None
) -> dict[str, Any]:
    """What the form's template shows."""
    lines = askable(snapshot)
    return {
        "snapshot": snapshot,
        "shop": await shop_name(visit, snapshot.order.shop_id),
        "lines": lines,
        "chosen": {units.line_id: units.quantity for units in chosen.lines},
        "reason": chosen.reason,
        "reasons": tuple(Reason),
        "nonce": new_nonce(),
        "refusal": refusal,
        **await check_values(visit, chosen.buyer_id, await check(visit, chosen) if lines else None),
    }


async def check_values(visit: Visit, buyer_id: str, checked: DryRun | Refusal | None) -> dict[str, Any]:
    """What the part of it shows that depends on what is chosen."""
    policy = (await visit.service.policy_in_force.deciding()).for_buyer(buyer_id).policy
    return {
        "checked": checked,
        "deadline_seconds": policy.review.deadline_seconds,
        "on_timeout": policy.review.on_timeout,
        "review_reasons": REVIEW_REASONS,
    }


def status_of(refusal: Refusal | None) -> int:
    """The status of a page that shows a refusal."""
    if refusal is None:
        return 200
    return 503 if refusal.code is RefusalCode.PLATFORM_UNAVAILABLE else 409


def new_nonce() -> str:
    """An id for one display of the form."""
    return str(uuid4())


def _count(text: str) -> int:
    clean = text.strip()
    if not clean:
        return 0
    return int(clean) if clean.isascii() and clean.isdigit() and len(clean) <= 9 else _NO_SUCH_NUMBER
