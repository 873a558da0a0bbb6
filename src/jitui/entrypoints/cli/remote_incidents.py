"""`jitui incidents` on a service elsewhere: the calls, and the answers as the core's values."""

from __future__ import annotations

from collections.abc import Sequence

from jitui.aftersales.commands.incidents import BuyerContact, ContestAnswer, Evidence, OutcomeTold, RecoveryTried
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.incident import (
    Contest,
    EntryKind,
    Incident,
    IncidentEntry,
    IncidentKind,
    IncidentOutcome,
    IncidentState,
)
from jitui.aftersales.ports import IncidentRef
from jitui.aftersales.queries import IncidentDetails
from jitui.client import Client, api
from jitui.entrypoints.cli.remote import LARGEST_PAGE, found_or_none, our_code, our_value, up_to
from jitui.errors import BadInput


def incidents(client: Client, wanted: IncidentFilter) -> Sequence[Incident]:
    """Incidents, in the order that is asked for."""
    call = api.list_incidents(
        shop_id=wanted.shop_id,
        buyer_id=wanted.buyer_id,
        order_id=wanted.order_id,
        state=None if wanted.state is None else api.IncidentState(wanted.state),
        sort=wanted.sort.value,
        order=wanted.order.value,
        limit=min(wanted.limit, LARGEST_PAGE),
    )
    return [_incident(row, None) for row in up_to(client, call, wanted.limit)]


def details(client: Client, ref: IncidentRef) -> IncidentDetails:
    """One incident with its log."""
    found = found_or_none(client, api.get_incident(ref.incident_id))
    if found is None:
        raise BadInput(f"There is no incident {ref.incident_id} at this service.", path="INCIDENT")
    log = tuple(
        IncidentEntry(entry.seq, our_code(EntryKind, entry.kind), entry.at, entry.by, entry.detail)
        for entry in found.log
    )
    return IncidentDetails(_incident(found.incident, found.contest), log)


def add_evidence(client: Client, ref: IncidentRef, told: Evidence) -> Incident:
    """Send evidence."""
    sent = api.IncidentEvidenceSent(text=told.text, references=told.references)
    return _incident(client.send(api.add_incident_evidence(ref.incident_id, sent)), None)


def record_contact(client: Client, ref: IncidentRef, told: BuyerContact) -> Incident:
    """Send a contact."""
    channel = api.ContactChannel(told.channel.value)
    sent = api.IncidentContactSent(channel=channel, note=told.note, contacted_at=told.at)
    return _incident(client.send(api.record_incident_contact(ref.incident_id, sent)), None)


def decide(client: Client, ref: IncidentRef, told: OutcomeTold) -> Incident:
    """Send an outcome."""
    sent = api.IncidentOutcomeSent(
        version=told.version,
        outcome=api.IncidentOutcome(told.outcome.value),
        reason=told.reason,
        repaid_minor=told.repaid_minor,
        reference=told.reference,
    )
    return _incident(client.send(api.set_incident_outcome(ref.incident_id, sent)), None)


def recover(client: Client, ref: IncidentRef, tried: RecoveryTried) -> Incident:
    """Send an attempt."""
    sent = api.IncidentRecoverySent(amount_minor=tried.amount_minor, reference=tried.reference, note=tried.note)
    return _incident(client.send(api.record_incident_recovery(ref.incident_id, sent)), None)


def contest(client: Client, ref: IncidentRef, reason: str) -> Incident:
    """Send a contest."""
    sent = api.IncidentContestSent(reason=reason)
    return _incident(client.send(api.contest_an_incident(ref.incident_id, sent)), None)


def answer(client: Client, ref: IncidentRef, said: ContestAnswer) -> Incident:
    """Send an answer."""
    to = said.corrected
    corrected = None
    if to is not None:
        corrected = api.CorrectedOutcomeSent(
            outcome=api.IncidentOutcome(to.outcome.value),
            reason=to.reason,
            repaid_minor=to.repaid_minor,
            reference=to.reference,
        )
    verdict = api.ContestOutcome("upheld" if said.upheld else "rejected")
    sent = api.IncidentContestAnswerSent(verdict=verdict, answer=said.words, corrected=corrected)
    return _incident(client.send(api.answer_incident_contest(ref.incident_id, sent)), None)


def _incident(row: api.IncidentAnswer, contest: api.ContestAnswerView | None) -> Incident:
    """What the service shows of an incident; what only its worker needs is not among it."""
    known: Contest | None = None
    if contest is not None:
        known = our_value(Contest, {**_fields(contest), "shop_id": row.shop_id, "decided_by": row.decided_by or ""})
    return Incident(
        incident_id=row.incident_id,
        order_id=row.order_id,
        ticket_id=row.ticket_id,
        shop_id=row.shop_id,
        kind=our_code(IncidentKind, row.kind),
        state=our_code(IncidentState, row.state),
        amount_minor=row.amount.amount_minor,
        currency=row.amount.currency,
        evidence=row.evidence,
        opened_at=row.opened_at,
        due_at=row.due_at,
        version=row.version,
        outcome=None if row.outcome is None else our_code(IncidentOutcome, row.outcome),
        returned_minor=row.returned.amount_minor,
        repaid_minor=row.repaid.amount_minor,
        platform_minor=row.borne_by_platform.amount_minor,
        shop_minor=row.charged.amount_minor,
        recovered_minor=row.recovered.amount_minor,
        written_off_minor=row.written_off.amount_minor,
        attempts=row.attempts,
        reference=row.reference,
        reason=row.reason,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        contest_until=row.contest_until,
        recover_until=row.recover_until,
        contest=known,
        refund_id=row.refund_id,
    )


def _fields(contest: api.ContestAnswerView) -> dict[str, object]:
    return {name: getattr(contest, name) for name in contest.__struct_fields__}
