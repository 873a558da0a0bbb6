"""An incident as the API shows it, to the platform and to its shop."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.incidents import incident_of
from jitui.aftersales.governance.complaint import ComplaintState, ContestOutcome
from jitui.aftersales.governance.statement_of_reasons import statement_of_charge
from jitui.aftersales.model.incident import (
    EntryKind,
    Incident,
    IncidentEntry,
    IncidentKind,
    IncidentOutcome,
    IncidentState,
)
from jitui.aftersales.model.view import Amount
from jitui.aftersales.queries import IncidentDetails
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import PLATFORM
from jitui.entrypoints.http.reply import Answer, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Shown

BY_PLATFORM = "platform"


class IncidentAnswer(Shown, frozen=True, kw_only=True):
    """What has to be made good, and what became of the loss: four shares that sum to the amount.

    `goods_left_after_refund`: goods that left; `platform_advance`: the platform's account paid the refund `refund_id`.
    """

    incident_id: UUID
    order_id: str
    ticket_id: UUID
    shop_id: str
    kind: IncidentKind
    state: IncidentState
    amount: Amount
    evidence: tuple[Mapping[str, object], ...]
    opened_at: datetime
    due_at: datetime | None
    version: int
    outcome: IncidentOutcome | None
    reason: str
    reference: str
    decided_at: datetime | None
    decided_by: str | None
    returned: Amount
    repaid: Amount
    borne_by_platform: Amount
    charged: Amount
    recovered: Amount
    written_off: Amount
    receivable: Amount
    owed_back: Amount
    attempts: int
    contest_until: datetime | None
    recover_until: datetime | None
    refund_id: UUID | None


class ContestAnswerView(Shown, frozen=True, kw_only=True):
    """A shop's contest of an incident; who wrote it only for the platform."""

    complaint_id: UUID
    reason: str
    state: ComplaintState
    made_at: datetime
    made_by: str
    answer_by: datetime
    outcome: ContestOutcome | None
    answer: str | None
    answered_at: datetime | None
    answered_by: str | None


class IncidentEntryAnswer(Shown, frozen=True, kw_only=True):
    """An entry of an incident's log; a shop reads `platform` where somebody of the platform did it."""

    seq: int
    kind: EntryKind
    at: datetime
    by: str
    detail: Mapping[str, object]


class IncidentDetailsAnswer(Shown, frozen=True, kw_only=True):
    """An incident with its contest, its log, and, where the shop is charged, the statement of reasons."""

    incident: IncidentAnswer
    contest: ContestAnswerView | None
    statement_of_reasons: Mapping[str, str] | None
    log: tuple[IncidentEntryAnswer, ...]


def incident_answer(request: RequestContext, incident: Incident) -> IncidentAnswer:
    """The incident; who decided it only for the platform."""
    return shown(
        IncidentAnswer,
        incident,
        borne_by_platform=Amount(incident.platform_minor, incident.currency),
        charged=Amount(incident.shop_minor, incident.currency),
        decided_by=incident.decided_by if request.key_scope is PLATFORM else None,
    )


def details_answer(request: RequestContext, found: IncidentDetails) -> IncidentDetailsAnswer:
    """The incident with everything that belongs to it."""
    incident, settings = found.incident, request.service.settings
    for_platform = request.key_scope is PLATFORM
    contest = None
    if incident.contest is not None:
        hidden = {} if for_platform else {"made_by": "", "answered_by": None}
        contest = shown(ContestAnswerView, incident.contest, **hidden)
    statement = statement_of_charge(incident, time_zone=settings.time_zone, answer_days=settings.complaints_answer_days)
    return IncidentDetailsAnswer(
        incident=incident_answer(request, incident),
        contest=contest,
        statement_of_reasons=statement,
        log=tuple(_entry(request, entry, for_platform=for_platform) for entry in found.log),
    )


def _entry(request: RequestContext, entry: IncidentEntry, *, for_platform: bool) -> IncidentEntryAnswer:
    by = entry.by if for_platform or entry.by in ("", request.own_shop) else BY_PLATFORM
    return shown(IncidentEntryAnswer, entry, by=by)


def rendered(request: RequestContext, done: Executed) -> Answer:
    """The incident after a command."""
    return answer(incident_answer(request, incident_of(done)))


_NONE = Amount(0, "CNY")
INCIDENT = IncidentAnswer(
    incident_id=sample.INCIDENT_ID,
    order_id="o-1001",
    ticket_id=sample.TICKET_ID,
    shop_id="s-1",
    kind=IncidentKind.GOODS_LEFT,
    state=IncidentState.RECOVERING,
    amount=sample.FULL,
    evidence=({"carrier": "sf", "tracking_no": "SF1000000001", "degree": "picked_up", "lines": ["l1"]},),
    opened_at=sample.REFUNDED_AT,
    due_at=sample.REFUNDED_AT + timedelta(days=87),
    version=2,
    outcome=IncidentOutcome.BORNE_BY_SHOP,
    reason="The stop-ship signal was an hour old when the carrier took the parcel.",
    reference="",
    decided_at=sample.REFUNDED_AT,
    decided_by="second desk",
    returned=_NONE,
    repaid=_NONE,
    borne_by_platform=_NONE,
    charged=sample.FULL,
    recovered=_NONE,
    written_off=_NONE,
    receivable=sample.FULL,
    owed_back=_NONE,
    attempts=0,
    contest_until=sample.REFUNDED_AT,
    recover_until=sample.REFUNDED_AT,
    refund_id=None,
)
CONTEST = ContestAnswerView(
    complaint_id=sample.COMPLAINT_ID,
    reason="The depot had stopped the parcel.",
    state=ComplaintState.OPEN,
    made_at=sample.REFUNDED_AT,
    made_by="s-1",
    answer_by=sample.REFUNDED_AT,
    outcome=None,
    answer=None,
    answered_at=None,
    answered_by=None,
)
EXAMPLES = (
    INCIDENT,
    CONTEST,
    IncidentDetailsAnswer(
        incident=INCIDENT,
        contest=CONTEST,
        statement_of_reasons={"zh": "订单 o-1001 …", "en": "The goods of order o-1001 left …"},
        log=(
            IncidentEntryAnswer(
                seq=1,
                kind=EntryKind.CONTACT,
                at=sample.REFUNDED_AT,
                by="s-1",
                detail={"channel": "phone", "note": "Will send it back.", "happened_at": "2026-06-01T12:30:00Z"},
            ),
        ),
    ),
)
