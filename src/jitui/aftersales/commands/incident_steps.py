"""The parts of a command on an incident: what it is told, the shares of an outcome, and the change with its entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jitui.aftersales.changes import Announce, Change, LedgerEntry, MoveIncident, OutgoingEventKind, PutContest
from jitui.aftersales.commands import incident_refusals as refused
from jitui.aftersales.commands.execute import Plan
from jitui.aftersales.model.incident import (
    OUTCOMES,
    ContactChannel,
    Contest,
    EntryKind,
    Incident,
    IncidentEntry,
    IncidentKind,
    IncidentOutcome,
    standing,
)
from jitui.aftersales.model.ticket import Actor
from jitui.aftersales.outcomes import Refusal
from jitui.policy.sections import BorneBy, Loss

_TERMS_OF_ADVANCE = Loss(borne_by=BorneBy.MERCHANT)
"""The platform paid for the shop, which owes all of it unless the platform takes it on."""


@dataclass(frozen=True, slots=True)
class IncidentRules:
    """The platform's deadlines: days of 24 hours to contest, to answer and to recover; the most recovery attempts."""

    contest_days: int
    answer_days: int
    recovery_days: int
    recovery_attempts: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a merchant or the platform adds: words and references (waybills, addresses of pages), never files."""

    text: str
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuyerContact:
    """The buyer was spoken to: when, through what, and what came of it."""

    channel: ContactChannel
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class OutcomeTold:
    """An outcome as the platform decides it, on the version that it has read.

    `repaid_minor`: what the buyer paid again, None for all of it; what is left then is borne as the policy says.
    """

    outcome: IncidentOutcome
    version: int
    reason: str
    repaid_minor: int | None = None
    reference: str = ""


@dataclass(frozen=True, slots=True)
class RecoveryTried:
    """An attempt to get back what a shop owes; `amount_minor` 0 says that nothing came."""

    amount_minor: int
    reference: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ContestAnswer:
    """The answer to a contest, in words for the merchant; upheld with the outcome that holds from now on."""

    upheld: bool
    words: str
    corrected: OutcomeTold | None = None


def decided_as(
    incident: Incident, told: OutcomeTold, terms: Loss, rules: IncidentRules, by: Actor, now: datetime
) -> Incident | Refusal:
    """The incident under a new outcome; what the shop paid so far stays, what was written off does not."""
    shares = shares_of(incident, told, terms if incident.kind is IncidentKind.GOODS_LEFT else _TERMS_OF_ADVANCE)
    if isinstance(shares, Refusal):
        return shares
    charged = shares.shop_minor > 0
    return replace(
        shares,
        outcome=told.outcome,
        outcome_no=incident.outcome_no + 1,
        written_off_minor=0,
        attempts=0,
        reference=told.reference,
        reason=told.reason,
        decided_by=by.id,
        decided_at=now,
        contest_until=now + timedelta(days=rules.contest_days) if charged else None,
        recover_until=now + timedelta(days=rules.recovery_days) if charged else None,
        reminded_at=None,
    )


def shares_of(incident: Incident, told: OutcomeTold, terms: Loss) -> Incident | Refusal:
    """The four shares of the amount by an outcome; the shop is charged no more than the policy says."""
    amount_minor, kinds = incident.amount_minor, IncidentOutcome
    if incident.kind is IncidentKind.PLATFORM_ADVANCE and incident.outcome is kinds.RETURNED:
        return refused.advance_taken_back()
    if told.outcome not in OUTCOMES[incident.kind]:
        return refused.not_of_an_advance()
    repaid_minor = 0
    if told.outcome is kinds.REPAID:
        repaid_minor = amount_minor if told.repaid_minor is None else told.repaid_minor
        if not 0 < repaid_minor <= amount_minor:
            return refused.exceeds_amount(amount_minor, incident.currency)
        if not told.reference:
            return refused.no_reference()
    elif told.repaid_minor is not None:
        return refused.only_when_repaid()
    rest_minor = 0 if told.outcome is kinds.RETURNED else amount_minor - repaid_minor
    by_terms_minor = _share_of_shop(rest_minor, terms)
    wanted = {
        kinds.RETURNED: 0,
        kinds.REPAID: by_terms_minor,
        kinds.BORNE_BY_PLATFORM: 0,
        kinds.BORNE_BY_SHOP: rest_minor,
        kinds.BORNE_BY_BOTH: by_terms_minor,
    }
    shop_minor = wanted[told.outcome]
    if told.outcome is kinds.BORNE_BY_BOTH and terms.borne_by is not BorneBy.SPLIT:
        return refused.terms_differ(terms)
    if shop_minor > by_terms_minor:
        return refused.terms_differ(terms)
    return replace(
        incident,
        returned_minor=amount_minor if told.outcome is kinds.RETURNED else 0,
        repaid_minor=repaid_minor,
        platform_minor=rest_minor - shop_minor,
        shop_minor=shop_minor,
    )


def _share_of_shop(amount_minor: int, terms: Loss) -> int:
    """What the policy lets the shop bear, rounded down to whole minor units."""
    match terms.borne_by:
        case BorneBy.PLATFORM:
            return 0
        case BorneBy.MERCHANT:
            return amount_minor
        case BorneBy.SPLIT:
            return amount_minor * terms.shop_percent // 100


def shares_shown(incident: Incident) -> dict[str, object]:
    return {
        "returned_minor": incident.returned_minor,
        "repaid_minor": incident.repaid_minor,
        "platform_minor": incident.platform_minor,
        "shop_minor": incident.shop_minor,
    }


def moved_to(
    after: Incident,
    kind: EntryKind,
    detail: Mapping[str, object],
    by: Actor | str | None,
    now: datetime,
    event: OutgoingEventKind,
    entries: tuple[LedgerEntry, ...] | list[LedgerEntry] = (),
    *,
    contest: Contest | None = None,
) -> Plan:
    """The incident's new row, the entry of its log, its postings and the event, which carries no words of people."""
    name = by.id if isinstance(by, Actor) else by or ""
    moved = standing(replace(after, version=after.version + 1, entries=after.entries + 1))
    entry = IncidentEntry(moved.entries, kind, now, name, detail)
    body = {
        "incident_id": str(moved.incident_id),
        "state": moved.state.value,
        "version": moved.version,
        "kind": kind.value,
        "amount_minor": moved.amount_minor,
        "currency": moved.currency,
        "outcome": moved.outcome.value if moved.outcome is not None else None,
        **shares_shown(moved),
        "recovered_minor": moved.recovered_minor,
        "written_off_minor": moved.written_off_minor,
        "receivable_minor": moved.receivable_minor,
        **{name: detail[name] for name in ("what", "result", "answer_by") if name in detail},
    }
    changes: tuple[Change, ...] = (
        MoveIncident(moved, entry),
        *((PutContest(moved.incident_id, contest),) if contest is not None else ()),
        *entries,
        Announce(event, now, moved.shop_id, body, moved.ticket_id),
    )
    return Plan(changes)
