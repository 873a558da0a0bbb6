"""Refunds of a service elsewhere, as `jitui refunds` shows and mends them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from jitui.aftersales.model.refund import Attempt, AttemptState, Refund, RefundState, Settlement, SettlementProposal
from jitui.aftersales.model.ticket import ApprovedBy, TicketEvent, TicketState
from jitui.aftersales.operations.refunds import RefundAction, RefundDetails
from jitui.aftersales.refund_list import ListedRefund, ListedRefunds, RefundFilter
from jitui.client import Client, api
from jitui.entrypoints.cli.remote import LARGEST_PAGE, found_or_none, our_code, our_value, up_to
from jitui.errors import BadInput


def refunds(client: Client, wanted: RefundFilter) -> ListedRefunds:
    """Refunds, in the order that is asked for, and how late the first page was."""
    call = api.list_refunds(
        state=None if wanted.state is None else api.RefundState(wanted.state),
        provider=wanted.provider,
        order_id=wanted.order_id,
        buyer_id=wanted.buyer_id,
        shop_id=wanted.shop_id,
        approved_by=None if wanted.approved_by is None else api.ApprovedBy(wanted.approved_by),
        queued_before=wanted.queued_before,
        sort=wanted.sort.value,
        order=wanted.order.value,
        limit=min(wanted.limit, LARGEST_PAGE),
    )
    first = client.send(call)
    rows = first.refunds if wanted.limit <= LARGEST_PAGE else up_to(client, call, wanted.limit)
    return ListedRefunds([_listed(row) for row in rows], first.lag_ms)


def details(client: Client, refund_id: UUID) -> RefundDetails:
    """One refund with its attempts and its ticket's timeline. Raises BadInput where there is none."""
    found = found_or_none(client, api.get_refund(refund_id))
    if found is None:
        raise BadInput(f"There is no refund {refund_id} at this service.", path="refund")
    ticket = client.send(api.get_ticket(found.ticket_id))
    return RefundDetails(
        refund=_refund(found),
        attempts=tuple(_attempt(refund_id, one) for one in found.attempts),
        buyer_id=ticket.buyer_id,
        shop_id=ticket.shop_id,
        ticket_state=our_code(TicketState, ticket.state),
        timeline=tuple(_event(found.ticket_id, *one) for one in enumerate(ticket.timeline, start=1)),
        actions=tuple(our_code(RefundAction, action) for action in found.actions),
    )


def retry(client: Client, refund_id: UUID) -> Refund:
    """Send it again; the refund as it is now."""
    details(client, refund_id)
    client.send(api.retry_refund(refund_id))
    return details(client, refund_id).refund


def settle(client: Client, refund_id: UUID, *, reference: str, note: str, amount_minor: int, currency: str) -> Refund:
    """Say that it was paid by hand; the refund as it is now."""
    amount = api.PositiveMoney(amount_minor, currency)
    client.send(api.settle_refund(refund_id, api.ManualPayoutSent(reference=reference, note=note, amount=amount)))
    return details(client, refund_id).refund


def confirm(client: Client, refund_id: UUID, reference: str) -> Refund:
    """Confirm a payment by hand as the second person; the refund as it is now."""
    details(client, refund_id)
    client.send(api.confirm_refund_settlement(refund_id, api.ConfirmationSent(reference=reference)))
    return details(client, refund_id).refund


def reject(client: Client, refund_id: UUID, note: str) -> Refund:
    """Take a proposed payment by hand back; the refund as it is now."""
    details(client, refund_id)
    client.send(api.reject_refund_settlement(refund_id, api.SettlementRejectionSent(note=note)))
    return details(client, refund_id).refund


def _listed(row: api.RefundRow) -> ListedRefund:
    approved_by = None if row.approved_by is None else our_code(ApprovedBy, row.approved_by)
    return ListedRefund(_refund(row), row.shop_id, approved_by, our_code(RefundState, row.state))


def _refund(row: api.RefundRow | api.RefundAnswer) -> Refund:
    settlement = row.settlement if isinstance(row, api.RefundAnswer) else None
    return Refund(
        refund_id=row.refund_id,
        ticket_id=row.ticket_id,
        order_id=row.order_id,
        tender_id=row.tender_id,
        provider=row.provider,
        payment_id="",
        amount_minor=row.amount.amount_minor,
        captured_minor=0,
        currency=row.amount.currency,
        state=our_code(RefundState, row.state),
        queued_at=row.queued_at,
        reason=row.reason,
        closed_at=row.closed_at,
        settlement=_as(Settlement, settlement),
        proposal=_as(SettlementProposal, row.proposal),
    )


def _as(kind: Any, value: msgspec.Struct | None) -> Any:
    return None if value is None else our_value(kind, value)


def _attempt(refund_id: UUID, row: api.AttemptAnswer) -> Attempt:
    return Attempt(
        row.attempt_id,
        refund_id,
        row.attempt_no,
        our_code(AttemptState, row.state),
        row.started_at,
        row.provider_refund_id,
        row.reason,
        news_at=row.news_at,
    )


def _event(ticket_id: UUID, seq: int, row: api.TimelineView) -> TicketEvent:
    values = msgspec.to_builtins(row)
    values["actor_kind"] = values.pop("actor")
    event: TicketEvent = our_value(TicketEvent, {"ticket_id": str(ticket_id), "seq": seq, **values})
    return event
