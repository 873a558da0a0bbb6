"""A refund that the platform's account paid, because the shop's balance at the provider was short.

The provider says from which account it paid, in the answer to one attempt: there is no second attempt, so nothing is
paid twice. It is an incident of its own kind, opened in the transaction that books the payment. The worker charges it
to the shop at once; recovery, contest and write-off are those of every incident.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from jitui.aftersales import ledger
from jitui.aftersales.changes import Announce, Change, MoveIncident, OpenIncident, OutgoingEventKind
from jitui.aftersales.commands.incident_steps import moved_to, shares_shown
from jitui.aftersales.model.incident import EntryKind, IncidentKind, IncidentOutcome, standing
from jitui.aftersales.model.refund import Refund
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import SYSTEM
from jitui.ids import new_id


def open_advance(snapshot: OrderSnapshot, refund: Refund, now: datetime) -> tuple[Change, ...]:
    """The incident of a refund that the platform's account has paid; one that was taken back before is open again."""
    known = snapshot.incident
    if known is not None and known.outcome is IncidentOutcome.RETURNED:
        again = replace(known, outcome=None, returned_minor=0, decided_by=None, decided_at=None)
        return (MoveIncident(standing(replace(again, version=known.version + 1)), None),)
    if known is not None:
        return ()
    ticket = snapshot.ticket(refund.ticket_id)
    opened = OpenIncident(
        incident_id=new_id(ticket.lane),
        ticket_id=ticket.ticket_id,
        shop_id=ticket.shop_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        evidence={"provider": refund.provider, "refund_id": str(refund.refund_id), "paid_at": now.isoformat()},
        opened_at=now,
        kind=IncidentKind.PLATFORM_ADVANCE,
        refund_id=refund.refund_id,
    )
    body = {
        "incident_id": str(opened.incident_id),
        "refund_id": str(refund.refund_id),
        "amount_minor": opened.amount_minor,
        "currency": opened.currency,
    }
    return opened, Announce(OutgoingEventKind.ADVANCE_PAID, now, ticket.shop_id, body, ticket.ticket_id)


def take_advance_back(snapshot: OrderSnapshot, now: datetime) -> tuple[Change, ...]:
    """The end of an advance whose refund the provider took back: the shop owes nothing for it any more.

    What the shop has paid already is owed back to it.
    """
    known = snapshot.incident
    if known is None or known.outcome is IncidentOutcome.RETURNED:
        return ()
    after = replace(
        known,
        outcome=IncidentOutcome.RETURNED,
        outcome_no=known.outcome_no + 1,
        returned_minor=known.amount_minor,
        platform_minor=0,
        shop_minor=0,
        written_off_minor=0,
        attempts=0,
        reason="",
        decided_by=SYSTEM.id,
        decided_at=now,
        contest_until=None,
        recover_until=None,
        reminded_at=None,
    )
    detail = {**shares_shown(after), "outcome": IncidentOutcome.RETURNED.value}
    entries = ledger.incident_decided(known, after, now)
    return moved_to(after, EntryKind.OUTCOME, detail, None, now, OutgoingEventKind.INCIDENT_DECIDED, entries).changes
