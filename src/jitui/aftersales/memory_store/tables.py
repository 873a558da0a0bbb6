"""The tables of the store in memory, and how a plan is written to them: completely, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import (
    Announce,
    BuyerEventKind,
    Change,
    ClaimPayment,
    ClaimRefund,
    ClaimWaybill,
    CloseTask,
    LedgerEntry,
    MoveIncident,
    OpenIncident,
    OpenTask,
    OutgoingEventKind,
    PutContest,
    RecordBuyerEvent,
    RecordDecision,
    RecordLaterDecision,
    RecordReminder,
    RestrictBuyer,
    SharePayment,
)
from jitui.aftersales.commands.put_order import OrderPut
from jitui.aftersales.constraints import broken_constraint
from jitui.aftersales.governance.registry import (
    Category,
    Coverage,
    Pause,
    Restriction,
    Scope,
    Selection,
    restriction_by_rule,
)
from jitui.aftersales.memory_store.history import RollUps, counting
from jitui.aftersales.model.incident import REMIND_UNDECIDED, Incident, IncidentEntry, IncidentKind, IncidentState
from jitui.aftersales.model.order import WAYBILL_KEPT, Buyer, OrderLine, ShipmentSource
from jitui.aftersales.model.refund import Refund
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import BY_THE_SERVICE, NewTask, OperatorTask, TaskState
from jitui.aftersales.model.ticket import Ticket, TicketState
from jitui.aftersales.outcomes import StoredResponse
from jitui.aftersales.ports import (
    AttemptRef,
    HistoryRecord,
    IncidentRef,
    OrderRef,
    OutgoingEvent,
    Ref,
    RefundRef,
    TicketRef,
)
from jitui.errors import InvariantBroken, Overtaken, WaybillTaken
from jitui.ids import lane_of

Payment = tuple[str, str]
"""The provider, and the provider's id of the payment."""


@dataclass
class MemoryTables:
    """The rows, by the keys of the database's tables. The lines in `snapshots` are without their categories' flags."""

    time_zone: ZoneInfo
    snapshots: dict[str, OrderSnapshot] = field(default_factory=dict)
    orders_of: dict[str, set[str]] = field(default_factory=dict)
    order_of: dict[UUID, str] = field(default_factory=dict)  # by the id of a ticket, a refund or an attempt
    buyers: dict[str, Buyer] = field(default_factory=dict)
    categories: dict[str, Category] = field(default_factory=dict)
    coverage: dict[tuple[Scope, str], Coverage] = field(default_factory=dict)
    pauses: dict[tuple[Scope, str], Pause] = field(default_factory=dict)
    restrictions: dict[UUID, Restriction] = field(default_factory=dict)
    restriction_checks: set[str] = field(default_factory=set)  # buyers with events that no rule has looked at
    selections: dict[str, Selection] = field(default_factory=dict)
    selections_proposed: dict[str, Selection] = field(default_factory=dict)
    history: dict[str, HistoryRecord] = field(default_factory=dict)
    events: dict[str, dict[str, RecordBuyerEvent]] = field(default_factory=dict)
    ledger: dict[str, dict[str, LedgerEntry]] = field(default_factory=dict)
    decisions: dict[UUID, RecordDecision] = field(default_factory=dict)
    later_decisions: dict[tuple[UUID, datetime], RecordDecision] = field(default_factory=dict)
    incidents: dict[UUID, Incident] = field(default_factory=dict)
    incident_entries: dict[UUID, list[IncidentEntry]] = field(default_factory=dict)
    tasks: dict[UUID, OperatorTask] = field(default_factory=dict)
    feed: list[OutgoingEvent] = field(default_factory=list)
    payments: dict[Payment, str] = field(default_factory=dict)  # the buyer's id
    waybills: dict[str, tuple[str, datetime]] = field(default_factory=dict)  # the buyer's id, and since when
    reminders: set[tuple[str, str, str, int]] = field(default_factory=set)
    # the payment's total, and the sum of its parts
    shared: dict[Payment, tuple[int, int]] = field(default_factory=dict)
    responses: dict[tuple[str, str, str, str], tuple[bytes, StoredResponse]] = field(default_factory=dict)
    due: dict[UUID, Refund] = field(default_factory=dict)  # the refund queue
    waiting: dict[UUID, Ticket] = field(default_factory=dict)  # tickets in review, which have a deadline
    roll_ups: RollUps = field(init=False)

    def __post_init__(self) -> None:
        self.roll_ups = RollUps(self.time_zone)

    def read(self, order_id: str) -> OrderSnapshot:
        """The snapshot with the current buyer, and with the flags of the categories."""
        snapshot = self.snapshots[order_id]
        lines = tuple(self._with_category(line) for line in snapshot.lines)
        completed = self.is_completed_by_event(snapshot)
        return replace(snapshot, buyer=self.buyers[snapshot.order.buyer_id], lines=lines, completed_by_event=completed)

    def is_completed_by_event(self, snapshot: OrderSnapshot) -> bool:
        """Whether the buyer's history has a completion of this order."""
        return any(
            event.kind == BuyerEventKind.ORDER_COMPLETED and event.order_id == snapshot.order.order_id
            for event in counting(self.events.get(snapshot.order.buyer_id, {}).values())
        )

    def find(self, ref: Ref) -> OrderSnapshot | None:
        """The snapshot for a reference, as a reader sees it."""
        match ref:
            case OrderRef(lane, order_id):
                snapshot = self.snapshots.get(order_id)
                return self.read(order_id) if snapshot is not None and snapshot.order.lane == lane else None
            case IncidentRef(_, subject):
                incident = self._incident(subject)
                return None if incident is None else replace(self.read(incident.order_id), incident=incident)
            case AttemptRef(_, subject):
                return self._with_advance(subject)
            case TicketRef(_, subject) | RefundRef(_, subject):
                found = self.order_of.get(subject)
                return None if found is None else self.read(found)

    def _with_advance(self, attempt_id: UUID) -> OrderSnapshot | None:
        """The snapshot for an attempt, with the advance of its refund."""
        found = self.order_of.get(attempt_id)
        if found is None:
            return None
        snapshot = self.read(found)
        attempt = next(one for one in snapshot.attempts if one.attempt_id == attempt_id)
        return replace(snapshot, incident=self.advance_of(attempt.refund_id))

    def buyer(self, buyer_id: str) -> Buyer:
        """The buyer's row, created when there is none."""
        return self.buyers.setdefault(buyer_id, Buyer(lane_of(buyer_id), buyer_id))

    def put(self, snapshot: OrderSnapshot) -> None:
        """Store the snapshot."""
        order = snapshot.order
        self.snapshots[order.order_id] = snapshot
        self.orders_of.setdefault(order.buyer_id, set()).add(order.order_id)
        for ticket in snapshot.tickets:
            self.order_of[ticket.ticket_id] = order.order_id
            self.waiting.pop(ticket.ticket_id, None)
            if ticket.state is TicketState.AWAITING_MERCHANT and ticket.expires_at is not None:
                self.waiting[ticket.ticket_id] = ticket
        for refund in snapshot.refunds:
            self.order_of[refund.refund_id] = order.order_id
            self.due.pop(refund.refund_id, None)
            if refund.due_at is not None:
                self.due[refund.refund_id] = refund
        for attempt in snapshot.attempts:
            self.order_of[attempt.attempt_id] = order.order_id

    def put_order(self, snapshot: OrderSnapshot, put: OrderPut, now: datetime) -> None:
        """Store an order that was created or replaced; one that costs nothing counts as paid when it is placed."""
        self._judge(snapshot, put.entries)
        self.put(snapshot)
        self.add_entry(snapshot.order.order_id, put.entries)
        if put.paid_now:
            body = {"amount_minor": 0, "currency": snapshot.order.currency, "free_of_charge": True}
            self.announce(snapshot, Announce(OutgoingEventKind.ORDER_PAID, now, snapshot.order.shop_id, body))

    def write(self, ref: OrderRef, changes: Sequence[Change | ClaimRefund]) -> None:
        """Write all changes of a plan.

        Raises InvariantBroken where the database would refuse one, and Overtaken when a payment is another buyer's.
        """
        snapshot = replace(apply_all(self.snapshots[ref.order_id], changes), incident=None)
        self._judge(snapshot, changes)
        self.put(snapshot)
        for change in changes:
            self._write_beside(snapshot, change)

    def announce(self, snapshot: OrderSnapshot, told: Announce) -> None:
        """Append an event to the feed."""
        order = snapshot.order
        number = len(self.feed) + 1
        event = OutgoingEvent(
            number,
            told.kind,
            told.at,
            order.order_id,
            _pseudonym(order.buyer_id),
            told.shop_id,
            told.ticket_id,
            told.body,
        )
        self.feed.append(event)

    def add_entry(self, order_id: str, entries: Iterable[LedgerEntry]) -> None:
        """Add postings; a posting that exists is not added again."""
        for entry in entries:
            self.ledger.setdefault(order_id, {}).setdefault(entry.posting, entry)

    def record_event(self, event: RecordBuyerEvent) -> bool:
        """Record an event; returns whether it was new. Events about an order that cost nothing are not recorded.

        Without a currency, the amount gets the order's.
        """
        named = self.snapshots.get(event.order_id or "")
        if named is not None and named.order.free_of_charge and named.order.lane == lane_of(event.buyer_id):
            self._complete_free(named, event)
            return False
        if event.currency is None and named is not None and named.order.buyer_id == event.buyer_id:
            event = replace(event, currency=named.order.currency)
        events = self.events.setdefault(event.buyer_id, {})
        is_new = events.setdefault(event.event_id, event) is event
        if is_new:
            self.restriction_checks.add(event.buyer_id)
        return is_new

    def _complete_free(self, snapshot: OrderSnapshot, event: RecordBuyerEvent) -> None:
        """Record the completion of an order that costs nothing on the order itself."""
        told = event.kind == BuyerEventKind.ORDER_COMPLETED and event.retracts is None
        if told and snapshot.order.completed_at is None and snapshot.order.buyer_id == event.buyer_id:
            self.put(replace(snapshot, order=replace(snapshot.order, completed_at=event.at)))

    # What a plan may write -----------------------------------------------------------------------------------------

    def _judge(self, snapshot: OrderSnapshot, changes: Sequence[Change | ClaimRefund]) -> None:
        claimed = [(change.provider, change.payment_id) for change in changes if isinstance(change, ClaimPayment)]
        if _taken(claimed, self.payments):
            raise Overtaken("Another transaction recorded this payment first; read again.")
        waybills = [change for change in changes if isinstance(change, ClaimWaybill)]
        if any(self._is_taken(snapshot, claim) for claim in waybills if claim.told_by is ShipmentSource.MERCHANT):
            raise WaybillTaken("This tracking number is on another buyer's order.")
        reminded = [_reminder(snapshot, change) for change in changes if isinstance(change, RecordReminder)]
        if _taken(reminded, self.reminders):
            raise Overtaken("Another worker told this reminder first.")
        broken = broken_constraint(snapshot) or self._broken_beside(snapshot, changes)
        if broken is not None:
            raise InvariantBroken(f"The store refused a write: it breaks {broken}.")

    def _broken_beside(self, snapshot: OrderSnapshot, changes: Sequence[Change | ClaimRefund]) -> str | None:
        entries = [change for change in changes if isinstance(change, LedgerEntry)]
        if any(entry.amount_minor <= 0 for entry in entries):
            return "ledger_amount_minor_check"
        if any(entry.debit == entry.credit for entry in entries):
            return "ledger_check"
        if _taken([change.ticket_id for change in changes if isinstance(change, RecordDecision)], self.decisions):
            return "decision_pkey"
        again = [change.decision for change in changes if isinstance(change, RecordLaterDecision)]
        if _taken([(one.ticket_id, one.decided_at) for one in again], self.later_decisions):
            return "later_decision_pkey"
        told = [(one.policy_id, one.rule_id, one.occurrence) for one in changes if isinstance(one, RestrictBuyer)]
        if _taken(told, self._occurrences(snapshot.order.buyer_id)):
            return "one_restriction_per_occurrence"
        shared = self._shared_after(changes)
        if any(parts > total for total, parts in shared.values()):
            return "parts_within_payment"
        for tender in snapshot.tenders:
            name = tender.provider, tender.payment_id
            total_minor, _ = shared.get(name) or self.shared.get(name) or (None, 0)
            if tender.payment_total_minor not in (None, total_minor):
                return "one_total_per_payment"
        return None

    def _occurrences(self, buyer_id: str) -> set[object]:
        theirs = (one for one in self.restrictions.values() if one.buyer_id == buyer_id)
        return {(one.policy_id, one.rule_id, one.occurrence) for one in theirs}

    def _shared_after(self, changes: Sequence[Change | ClaimRefund]) -> Mapping[Payment, tuple[int, int]]:
        """The payments that are shared after these changes: the first total stays, the parts add up."""
        shared: dict[Payment, tuple[int, int]] = {}
        for change in changes:
            if isinstance(change, SharePayment):
                name = change.provider, change.payment_id
                total_minor, parts_minor = shared.get(name) or self.shared.get(name) or (change.total_minor, 0)
                shared[name] = total_minor, parts_minor + change.amount_minor
        return shared

    def _write_beside(self, snapshot: OrderSnapshot, change: Change | ClaimRefund) -> None:
        match change:
            case LedgerEntry():
                self.add_entry(snapshot.order.order_id, [change])
            case Announce():
                self.announce(snapshot, change)
            case RecordBuyerEvent():
                self.record_event(change)
            case RecordDecision():
                self.decisions[change.ticket_id] = change
            case RecordLaterDecision():
                self.later_decisions[change.decision.ticket_id, change.decision.decided_at] = change.decision
            case RestrictBuyer():
                row = restriction_by_rule(snapshot.order.buyer_id, change)
                self.restrictions[row.restriction_id] = row
            case OpenTask():
                self._open_task(change)
            case CloseTask():
                self._close_task(change)
            case OpenIncident():
                self._open_incident(snapshot, change)
            case MoveIncident():
                self._move_incident(change)
            case PutContest():
                known = self._incident(change.incident_id)
                assert known is not None
                self.incidents[known.incident_id] = replace(known, contest=change.contest)
            case ClaimPayment():
                self.payments[change.provider, change.payment_id] = snapshot.order.buyer_id
            case ClaimWaybill():
                self._claim_waybill(snapshot, change)
            case RecordReminder():
                self.reminders.add(_reminder(snapshot, change))
            case SharePayment():
                self.shared.update(self._shared_after([change]))

    def _is_taken(self, snapshot: OrderSnapshot, claim: ClaimWaybill) -> bool:
        """Whether the number is another buyer's from about the same time."""
        buyer_id, claimed_at = self.waybills.get(claim.waybill, (snapshot.order.buyer_id, claim.at))
        return buyer_id != snapshot.order.buyer_id and abs(claim.at - claimed_at) < WAYBILL_KEPT

    def _claim_waybill(self, snapshot: OrderSnapshot, claim: ClaimWaybill) -> None:
        buyer_id = snapshot.order.buyer_id
        known, claimed_at = self.waybills.get(claim.waybill, (buyer_id, claim.at))
        if known == buyer_id or claim.at >= claimed_at + WAYBILL_KEPT:
            self.waybills[claim.waybill] = buyer_id, max(claimed_at, claim.at)

    def _open_task(self, told: OpenTask) -> None:
        """Nothing new for a cause that is known, or while a task of the condition is open."""
        condition = told.task.condition
        if condition is None or self._open_task_of(condition) is None:
            self.tasks.setdefault(told.task_id, self._task(told.task))

    def _task(self, new: NewTask) -> OperatorTask:
        about = None if new.order_id is None else self.snapshots.get(new.order_id)
        return OperatorTask(
            task_id=new.task_id,
            kind=new.kind,
            provider=new.provider,
            state=TaskState.OPEN,
            evidence=new.evidence,
            opened_at=new.opened_at,
            order_id=new.order_id,
            amount_minor=new.amount_minor,
            currency=new.currency,
            condition=new.condition,
            shop_id=None if about is None else about.order.shop_id,
        )

    def _close_task(self, told: CloseTask) -> None:
        known = self._open_task_of(told.condition)
        if known is not None:
            closed = replace(known, state=TaskState.RESOLVED, resolved_at=told.at, resolved_by=BY_THE_SERVICE)
            self.tasks[known.task_id] = replace(closed, note=told.note)

    def _open_task_of(self, condition: str) -> OperatorTask | None:
        open_ones = (task for task in self.tasks.values() if task.state is TaskState.OPEN)
        return next((task for task in open_ones if task.condition == condition), None)

    def _open_incident(self, snapshot: OrderSnapshot, told: OpenIncident) -> None:
        """Add an incident, or the evidence to the ticket's incident."""
        known = self._incident_of(told)
        if known is not None:
            amount_minor = max(known.amount_minor, told.amount_minor)
            evidence = [*known.evidence, told.evidence]
            grown = replace(known, evidence=evidence, amount_minor=amount_minor, version=known.version + 1)
            if amount_minor > known.amount_minor:
                due_at = told.opened_at + REMIND_UNDECIDED
                state = known.state if known.state is IncidentState.CONTESTED else IncidentState.OPEN
                grown = replace(grown, state=state, due_at=min(known.due_at or due_at, due_at))
            self.incidents[known.incident_id] = grown
            return
        self.incidents[told.incident_id] = Incident(
            incident_id=told.incident_id,
            order_id=snapshot.order.order_id,
            ticket_id=told.ticket_id,
            shop_id=told.shop_id,
            kind=told.kind,
            state=IncidentState.OPEN,
            amount_minor=told.amount_minor,
            currency=told.currency,
            evidence=[told.evidence],
            opened_at=told.opened_at,
            due_at=told.opened_at + (REMIND_UNDECIDED if told.kind is IncidentKind.GOODS_LEFT else timedelta()),
            refund_id=told.refund_id,
        )

    def _incident_of(self, told: OpenIncident) -> Incident | None:
        """The ticket's incident of goods, or the refund's advance."""
        if told.refund_id is not None:
            return self.advance_of(told.refund_id)
        return next(
            (
                one
                for one in self.incidents.values()
                if one.ticket_id == told.ticket_id and one.kind is IncidentKind.GOODS_LEFT
            ),
            None,
        )

    def advance_of(self, refund_id: UUID) -> Incident | None:
        """The refund's advance."""
        return next((one for one in self.incidents.values() if one.refund_id == refund_id), None)

    def _incident(self, incident_id: UUID) -> Incident | None:
        return self.incidents.get(incident_id)

    def _move_incident(self, told: MoveIncident) -> None:
        """The new row; the contest is a row of its own."""
        known = self.incidents[told.incident.incident_id]
        self.incidents[known.incident_id] = replace(told.incident, contest=known.contest)
        if told.entry is not None:
            self.incident_entries.setdefault(known.incident_id, []).append(told.entry)

    def _with_category(self, line: OrderLine) -> OrderLine:
        """The line with its category's flags: one that says *customised* or *virtual* overrides the other (R2)."""
        category = self.categories.get(line.category_id or "")
        if category is None:
            return line
        return replace(
            line,
            customised=True if category.customised else _either(line.customised, category.customised),
            virtual=True if category.virtual else _either(line.virtual, category.virtual),
        )


def _taken(keys: Sequence[object], known: Collection[object]) -> bool:
    """Whether a key exists already, or occurs twice."""
    return len(set(keys)) < len(keys) or any(key in known for key in keys)


def _reminder(snapshot: OrderSnapshot, change: RecordReminder) -> tuple[str, str, str, int]:
    return snapshot.order.order_id, change.risk, change.subject, change.stage


def _pseudonym(buyer_id: str) -> str:
    """What PostgreSQL makes with a key of the buyer's; here nobody is erased, and the same run gives the same."""
    return f"bp_{hashlib.sha256(buyer_id.encode()).hexdigest()[:32]}"


def _either(line: bool | None, category: bool) -> bool:
    return category if line is None else line
