"""What is done about an incident: evidence, contacts, its outcome, recoveries, a contest and its answer, its deadlines.

Each is a command on the incident's order: it takes the locks of every other, and its postings are keyed, so that of two
who decide at once one does, and nothing is posted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from jitui.aftersales import ledger
from jitui.aftersales.changes import LedgerEntry, MoveIncident, OutgoingEventKind
from jitui.aftersales.commands import incident_refusals as refused
from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute, not_found
from jitui.aftersales.commands.incident_steps import (
    BuyerContact as BuyerContact,
)
from jitui.aftersales.commands.incident_steps import (
    ContestAnswer as ContestAnswer,
)
from jitui.aftersales.commands.incident_steps import (
    Evidence as Evidence,
)
from jitui.aftersales.commands.incident_steps import (
    IncidentRules as IncidentRules,
)
from jitui.aftersales.commands.incident_steps import (
    OutcomeTold as OutcomeTold,
)
from jitui.aftersales.commands.incident_steps import (
    RecoveryTried as RecoveryTried,
)
from jitui.aftersales.commands.incident_steps import (
    decided_as,
    moved_to,
    shares_shown,
)
from jitui.aftersales.ledger import Cause
from jitui.aftersales.model.incident import (
    MOST_ENTRIES,
    Contest,
    EntryKind,
    Incident,
    IncidentDeadline,
    IncidentOutcome,
    next_deadline,
    standing,
)
from jitui.aftersales.model.refund import same_person
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import SYSTEM, Actor
from jitui.aftersales.outcomes import Refusal, StoredResponse
from jitui.aftersales.ports import IncidentRef, Store
from jitui.ids import new_id
from jitui.policy.sections import Loss

Outcome = Executed | Refusal | StoredResponse
_Planner = Callable[[Incident], Plan | Refusal]


async def add_evidence(
    store: Store,
    ref: IncidentRef,
    evidence: Evidence,
    *,
    by: Actor,
    now: datetime,
    shop_id: str | None = None,
    reply: IdempotentReply | None = None,
) -> Outcome:
    """Add evidence, at any time; it is numbered and never changed."""

    def plan(incident: Incident) -> Plan | Refusal:
        detail = {"text": evidence.text, "references": list(evidence.references)}
        return _noted(incident, EntryKind.EVIDENCE, detail, by, now)

    return await _execute(store, ref, plan, shop_id, reply)


async def record_contact(
    store: Store,
    ref: IncidentRef,
    contact: BuyerContact,
    *,
    by: Actor,
    now: datetime,
    shop_id: str | None = None,
    reply: IdempotentReply | None = None,
) -> Outcome:
    """Record that the buyer was spoken to."""

    def plan(incident: Incident) -> Plan | Refusal:
        detail = {"channel": contact.channel.value, "note": contact.note, "happened_at": contact.at.isoformat()}
        return _noted(incident, EntryKind.CONTACT, detail, by, now)

    return await _execute(store, ref, plan, shop_id, reply)


async def decide_incident(
    store: Store,
    ref: IncidentRef,
    told: OutcomeTold,
    terms: Loss,
    rules: IncidentRules,
    *,
    by: Actor,
    now: datetime,
    reply: IdempotentReply | None = None,
) -> Outcome:
    """Decide what became of the loss, or correct it; `terms` are those of the policy that approved the refund.

    A correction is posted: the postings of the outcome before stay, and are posted back.
    """

    def plan(incident: Incident) -> Plan | Refusal:
        if incident.version != told.version:
            return refused.stale(incident)
        if incident.is_contested:
            return refused.contested()
        decided = decided_as(incident, told, terms, rules, by, now)
        return decided if isinstance(decided, Refusal) else _outcome_plan(incident, decided, told, by, now)

    return await _execute(store, ref, plan, None, reply)


async def record_recovery(
    store: Store,
    ref: IncidentRef,
    tried: RecoveryTried,
    rules: IncidentRules,
    *,
    by: Actor,
    now: datetime,
    reply: IdempotentReply | None = None,
) -> Outcome:
    """Record an attempt to recover what the shop owes; the last one that may be made writes off what it leaves."""

    def plan(incident: Incident) -> Plan | Refusal:
        late = incident.receivable_minor == 0 and incident.written_off_minor > 0
        most_minor = incident.written_off_minor if late else incident.receivable_minor
        if incident.is_contested:
            return refused.contested()
        if most_minor == 0 or (late and tried.amount_minor == 0):
            return refused.nothing_to_recover()
        if tried.amount_minor > most_minor:
            return refused.exceeds_receivable(most_minor, incident.currency)
        return _recovery_plan(incident, tried, rules, late=late, by=by, now=now)

    return await _execute(store, ref, plan, None, reply)


async def contest_incident(
    store: Store,
    ref: IncidentRef,
    reason: str,
    rules: IncidentRules,
    *,
    by: Actor,
    now: datetime,
    shop_id: str | None = None,
    reply: IdempotentReply | None = None,
) -> Outcome:
    """The shop contests what it is charged, within the time that it was told; recovery rests until the answer."""

    def plan(incident: Incident) -> Plan | Refusal:
        if incident.is_contested:
            return refused.contested()
        if incident.contest_until is None or now >= incident.contest_until or not incident.shop_minor:
            return refused.not_contestable(incident)
        assert incident.decided_by is not None
        contest = Contest(
            complaint_id=new_id(ref.lane),
            shop_id=incident.shop_id,
            reason=reason,
            made_by=by.id,
            made_at=now,
            answer_by=now + timedelta(days=rules.answer_days),
            decided_by=incident.decided_by,
        )
        detail = {"reason": reason, "answer_by": contest.answer_by.isoformat()}
        after = replace(incident, contest=contest)
        return moved_to(
            after, EntryKind.CONTEST, detail, by, now, OutgoingEventKind.INCIDENT_CONTESTED, contest=contest
        )

    return await _execute(store, ref, plan, shop_id, reply)


async def answer_contest(
    store: Store,
    ref: IncidentRef,
    said: ContestAnswer,
    terms: Loss,
    rules: IncidentRules,
    *,
    by: Actor,
    now: datetime,
    reply: IdempotentReply | None = None,
) -> Outcome:
    """Another person than who decided answers; upheld, the corrected outcome holds and cannot be contested again."""

    def plan(incident: Incident) -> Plan | Refusal:
        contest = incident.contest
        if contest is None or not contest.is_open:
            return refused.not_contested()
        if same_person(contest.decided_by, by.id) or same_person(contest.made_by, by.id):
            return refused.another_person_answers()
        if said.upheld is (said.corrected is None):
            return refused.answer_incomplete(upheld=said.upheld)
        answered = replace(
            contest,
            state="answered",
            outcome="upheld" if said.upheld else "rejected",
            answer=said.words,
            answered_by=by.id,
            answered_at=now,
        )
        return _answer_plan(incident, answered, said, terms, rules, by, now)

    return await _execute(store, ref, plan, None, reply)


async def apply_deadline(store: Store, ref: IncidentRef, rules: IncidentRules, *, now: datetime) -> Outcome:
    """Do what is due of an incident: charge an advance, a reminder, the end of its contest time or of its recovery."""

    def plan(incident: Incident) -> Plan | Refusal:
        due = next_deadline(incident)
        if due is None or due[0] > now:
            return _rescheduled(incident)
        return _deadline_plan(incident, due[1], rules, now)

    return await _execute(store, ref, plan, None, None)


async def _execute(
    store: Store, ref: IncidentRef, planner: _Planner, shop_id: str | None, reply: IdempotentReply | None
) -> Outcome:
    def plan(snapshot: OrderSnapshot, _: object) -> Plan | Refusal:
        incident = snapshot.incident
        if incident is None or shop_id not in (None, incident.shop_id):
            return not_found()
        return planner(incident)

    return await execute(store, ref, plan, reply=reply)


# Plans -------------------------------------------------------------------------------------------------------------


def _noted(
    incident: Incident, kind: EntryKind, detail: Mapping[str, object], by: Actor, now: datetime
) -> Plan | Refusal:
    if incident.entries >= MOST_ENTRIES:
        return refused.full()
    return moved_to(incident, kind, detail, by, now, OutgoingEventKind.INCIDENT_NOTED)


def _outcome_plan(before: Incident, after: Incident, told: OutcomeTold, by: Actor | None, now: datetime) -> Plan:
    entries = ledger.incident_decided(before, after, now)
    detail = {**shares_shown(after), "outcome": told.outcome.value, "reason": told.reason, "reference": told.reference}
    return moved_to(after, EntryKind.OUTCOME, detail, by, now, OutgoingEventKind.INCIDENT_DECIDED, entries)


def _recovery_plan(
    incident: Incident, tried: RecoveryTried, rules: IncidentRules, *, late: bool, by: Actor, now: datetime
) -> Plan:
    amount_minor, entries = tried.amount_minor, list[LedgerEntry]()
    after = replace(
        incident,
        recovered_minor=incident.recovered_minor + amount_minor,
        written_off_minor=incident.written_off_minor - (amount_minor if late else 0),
        attempts=incident.attempts + 1,
    )
    numbered = replace(after, entries=after.entries + 1)
    if amount_minor:
        cause = Cause.INCIDENT_RECOVERED_LATE if late else Cause.INCIDENT_RECOVERED
        entries.append(ledger.incident_money(cause, numbered, amount_minor, now))
    result = "nothing" if not amount_minor else "part" if after.receivable_minor or after.written_off_minor else "all"
    detail = {
        "attempt": after.attempts,
        "result": result,
        "recovered_minor": amount_minor,
        "reference": tried.reference,
        "note": tried.note,
    }
    plan = moved_to(after, EntryKind.RECOVERY, detail, by, now, OutgoingEventKind.INCIDENT_RECOVERED, entries)
    if late or not after.receivable_minor or after.attempts < rules.recovery_attempts:
        return plan
    written_off = _written_off(standing(numbered), by.id, now)
    return Plan((*plan.changes, *written_off.changes))


def _written_off(incident: Incident, by: str, now: datetime) -> Plan:
    rest_minor = incident.receivable_minor
    after = replace(incident, written_off_minor=rest_minor)
    numbered = replace(after, entries=after.entries + 1)
    entry = ledger.incident_money(Cause.INCIDENT_WRITTEN_OFF, numbered, rest_minor, now)
    detail = {"written_off_minor": rest_minor, "attempts": after.attempts}
    return moved_to(after, EntryKind.WRITTEN_OFF, detail, by, now, OutgoingEventKind.INCIDENT_SETTLED, [entry])


def _answer_plan(
    incident: Incident,
    answered: Contest,
    said: ContestAnswer,
    terms: Loss,
    rules: IncidentRules,
    by: Actor,
    now: datetime,
) -> Plan | Refusal:
    rested = now - answered.made_at
    after: Incident | Refusal = replace(
        incident,
        recover_until=incident.recover_until + rested if incident.recover_until is not None else None,
    )
    entries: tuple[LedgerEntry, ...] = ()
    if said.corrected is not None:
        after = decided_as(incident, said.corrected, terms, rules, by, now)
        if isinstance(after, Refusal):
            return after
        if after.shop_minor >= incident.shop_minor:
            return refused.not_in_favour()
        entries = ledger.incident_decided(incident, after, now)
    assert isinstance(after, Incident)
    final = replace(after, contest=answered, contest_until=None, reminded_at=None)
    detail = {"outcome": answered.outcome, "answer": said.words, **shares_shown(final)}
    return moved_to(
        final, EntryKind.ANSWER, detail, by, now, OutgoingEventKind.INCIDENT_ANSWERED, entries, contest=answered
    )


def _deadline_plan(incident: Incident, due: IncidentDeadline, rules: IncidentRules, now: datetime) -> Plan | Refusal:
    match due:
        case IncidentDeadline.CHARGE:
            told = OutcomeTold(IncidentOutcome.BORNE_BY_SHOP, incident.version, reason="")
            charged = decided_as(incident, told, Loss(), rules, SYSTEM, now)
            return charged if isinstance(charged, Refusal) else _outcome_plan(incident, charged, told, None, now)
        case IncidentDeadline.WRITE_OFF:
            return _written_off(incident, "", now)
        case IncidentDeadline.CLOSE_CONTEST:
            after, kind = replace(incident, contest_until=None), EntryKind.CLOSED
            is_over = standing(after).due_at is None
            event = OutgoingEventKind.INCIDENT_SETTLED if is_over else OutgoingEventKind.INCIDENT_NOTED
            return moved_to(after, kind, {"what": due.value}, None, now, event)
        case _:
            after = replace(incident, reminded_at=now)
            detail = {"what": due.value}
            return moved_to(after, EntryKind.REMINDER, detail, None, now, OutgoingEventKind.INCIDENT_REMINDER)


def _rescheduled(incident: Incident) -> Plan:
    """Nothing is due after all: where the row says otherwise, it is set right, without a word."""
    placed = standing(incident)
    return Plan() if placed == incident else Plan((MoveIncident(placed, None),))


def incident_of(done: Executed) -> Incident:
    """The incident after a command."""
    incident = done.snapshot.incident
    assert incident is not None
    return incident
