"""The provider's books: payments, refunds, idempotency keys, and notifications that are not delivered yet.

Every change is an entry in the journal: it is decided, appended, then applied. A restart applies the same entries to
empty books. Everything runs on one thread, so a check and its change cannot be separated (T1).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct

from jitui.errors import BadInput
from jitui.provider_simulator.entries import (
    BalanceSet,
    BookRefusal,
    Entry,
    NoticeDone,
    PaymentCaptured,
    PaymentRequest,
    RefundChanged,
    RefundMade,
    RefundRefused,
    SimulatedRefundRequest,
    Status,
)
from jitui.provider_simulator.faults import SMOOTH, FaultPlan, FaultTiming, OutcomeFault, WebhookFault
from jitui.provider_simulator.journal import Journal


class PaymentAccount(Struct):
    """A payment, and how much of it was refunded or is pending."""

    captured: PaymentCaptured
    pending_minor: int = 0
    refunded_minor: int = 0

    @property
    def refundable_minor(self) -> int:
        return self.captured.request.amount_minor - self.pending_minor - self.refunded_minor


class SimulatedRefund(Struct):
    made: RefundMade
    status: Status
    failure: str
    updated_at_ms: int


class Notice(Struct):
    """An event for the webhook URL, with the state at the time of the event."""

    event_id: str
    refund: SimulatedRefund
    status: Status
    failure: str
    happened_at_ms: int
    due_at_ms: int
    tries: int = 0


class MovementKind(StrEnum):
    CAPTURE = "capture"
    REFUND = "refund"
    REFUND_RETURNED = "refund_returned"  # the refund succeeded and failed later, so the money came back


class Movement(Struct, frozen=True):
    """A line of the statement: money that moved; the amount of a refund is negative."""

    at_ms: int
    kind: MovementKind
    provider_id: str
    reference: str
    payment: PaymentRequest
    amount_minor: int


class Books:
    """The state in memory, from the journal. Call `durable` before telling anybody about a change."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.accounts: dict[str, PaymentAccount] = {}
        self.refunds: list[SimulatedRefund] = []
        self.by_reference: dict[str, list[SimulatedRefund]] = {}
        self.keys: dict[str, RefundMade | RefundRefused] = {}
        self.notices: dict[str, Notice] = {}
        self.movements: defaultdict[date, list[Movement]] = defaultdict(list)
        self.paid_twice: set[str] = set()
        self.over_refunded: set[str] = set()
        self.given_up = 0
        self.balances: dict[str, int] = {}  # the merchant's, by currency; without one refunds are not bounded
        self.advanced_minor: defaultdict[str, int] = defaultdict(int)  # by currency, from the platform's account
        self.changes_due: list[tuple[int, str]] = []  # heap of (due_at_ms, refund id)
        self.notices_due: list[tuple[int, str]] = []  # heap of (due_at_ms, event id)

    # --- commands: decide, append, apply -----------------------------------------------------------------

    def capture(self, request: PaymentRequest, now_ms: int) -> PaymentCaptured | BookRefusal:
        """Record a captured payment; repeating it returns the same result."""
        if (refusal := self.check_capture(request)) is not None:
            return refusal
        if request.id not in self.accounts:
            self._record(PaymentCaptured(request, now_ms))
        return self.accounts[request.id].captured

    def check_capture(self, request: PaymentRequest) -> BookRefusal | None:
        """Why this payment could not be recorded; None when it could."""
        if request.amount_minor <= 0:
            return BookRefusal.AMOUNT_NOT_POSITIVE
        known = self.accounts.get(request.id)
        return BookRefusal.PAYMENT_DIFFERS if known is not None and known.captured.request != request else None

    def set_balance(self, currency: str, amount_minor: int | None, now_ms: int) -> None:
        """Set what the merchant has in a currency; None takes the bound away."""
        self._record(BalanceSet(currency, amount_minor, now_ms))

    def remembered(
        self, key: str, request: SimulatedRefundRequest, now_ms: int, key_life_ms: float | None
    ) -> RefundMade | RefundRefused | BookRefusal | None:
        """The earlier response to this key; None when the key is new or has expired."""
        known = self.keys.get(key)
        if known is None or (key_life_ms is not None and now_ms - known.at_ms > key_life_ms):
            return None
        return known if known.request == request else BookRefusal.IDEMPOTENCY_KEY_REUSED

    def refund(
        self,
        request: SimulatedRefundRequest,
        key: str,
        now_ms: int,
        plan: FaultPlan = SMOOTH,
        timing: FaultTiming | None = None,
        *,
        notify: bool = False,
    ) -> RefundMade | BookRefusal:
        """Make a refund, succeeded or pending, or refuse it; never more than is left of the payment."""
        account = self.accounts.get(request.payment_id)
        if account is None:
            return BookRefusal.UNKNOWN_PAYMENT
        if request.amount_minor <= 0:
            return BookRefusal.AMOUNT_NOT_POSITIVE
        if request.currency != account.captured.request.currency:
            return BookRefusal.CURRENCY_DIFFERS
        if request.amount_minor > account.refundable_minor:
            self._record(RefundRefused(request, key, BookRefusal.AMOUNT_EXCEEDS_REFUNDABLE, now_ms))
            return BookRefusal.AMOUNT_EXCEEDS_REFUNDABLE
        balance_minor = self.balances.get(request.currency)
        short = balance_minor is not None and request.amount_minor > balance_minor
        if short and not request.advance:  # not kept with the key: once the balance is enough, a repeat is paid
            return BookRefusal.INSUFFICIENT_BALANCE
        made = _planned_refund(
            request,
            key="" if key == request.reference else key,
            refund_id=f"re_{len(self.refunds) + 1:09d}",
            now_ms=now_ms,
            plan=plan,
            timing=timing or FaultTiming(),
            notify=notify,
            advanced=short,
        )
        self._record(made)
        return made

    def change_due(self, now_ms: int) -> bool:
        """Carry out the changes that were planned up to now; returns whether there were any."""
        changed = False
        while self.changes_due and self.changes_due[0][0] <= now_ms:
            _, refund_id = heapq.heappop(self.changes_due)
            made = self.refund_of(refund_id).made
            if made.then_status is not None:
                failure = "payment_method_closed" if made.then_status is Status.FAILED else ""
                self._record(RefundChanged(refund_id, made.then_status, made.then_at_ms, failure))
                changed = True
        return changed

    def notice_done(self, event_id: str, *, delivered: bool) -> None:
        """Remove an event from the queue.

        After a crash before this is on disk, it is sent again, as webhooks may be.
        """
        if event_id in self.notices:
            self._record(NoticeDone(event_id, delivered))

    # --- questions ---------------------------------------------------------------------------------------

    def refund_of(self, refund_id: str) -> SimulatedRefund:
        return self.refunds[int(refund_id.removeprefix("re_")) - 1]

    async def durable(self) -> None:
        """Return when everything in the books is on disk."""
        await self.journal.durable()

    # --- entries -----------------------------------------------------------------------------------------

    def _record(self, entry: Entry) -> None:
        self.journal.append(_encoder.encode(entry))
        self.apply(entry)

    def apply(self, entry: Entry) -> None:
        """Change the state as the entry says; nothing else changes it."""
        match entry:
            case PaymentCaptured():
                self.accounts[entry.request.id] = PaymentAccount(entry)
                request = entry.request
                self._move(entry.at_ms, MovementKind.CAPTURE, request.id, "", request, request.amount_minor)
            case BalanceSet(currency, None):
                self.balances.pop(currency, None)
            case BalanceSet(currency, amount_minor):
                assert amount_minor is not None
                self.balances[currency] = amount_minor
            case RefundMade():
                self._apply_refund(entry)
            case RefundChanged():
                self._apply_change(entry)
            case RefundRefused():
                self.keys[entry.key] = entry
            case NoticeDone():
                self.notices.pop(entry.event_id, None)
                self.given_up += not entry.delivered

    def _apply_refund(self, made: RefundMade) -> None:
        refund = SimulatedRefund(made, made.status, made.failure, made.at_ms)
        self.refunds.append(refund)
        self.by_reference.setdefault(made.request.reference, []).append(refund)
        self.keys[made.key or made.request.reference] = made
        if made.status is not Status.FAILED:
            self._take(made, made.request.amount_minor)
        account = self.accounts[made.request.payment_id]
        if made.status is Status.PENDING:
            account.pending_minor += made.request.amount_minor
        elif made.status is Status.SUCCEEDED:
            self._pay(refund, account)
        if made.then_status is not None:
            heapq.heappush(self.changes_due, (made.then_at_ms, made.id))
        if made.notify_at_ms is not None:
            self._announce(refund, made.notify_at_ms)

    def _apply_change(self, change: RefundChanged) -> None:
        refund = self.refund_of(change.id)
        request = refund.made.request
        account = self.accounts[request.payment_id]
        was, refund.status = refund.status, change.status
        refund.failure, refund.updated_at_ms = change.failure, change.at_ms
        if change.status is Status.FAILED:
            self._take(refund.made, -request.amount_minor)
        if was is Status.PENDING:
            account.pending_minor -= request.amount_minor
        elif was is Status.SUCCEEDED:
            account.refunded_minor -= request.amount_minor
            self._move(
                change.at_ms,
                MovementKind.REFUND_RETURNED,
                change.id,
                request.reference,
                account.captured.request,
                request.amount_minor,
            )
        if change.status is Status.SUCCEEDED:
            self._pay(refund, account)
        if refund.made.notify_at_ms is not None:
            self._announce(refund, change.at_ms + refund.made.then_notify_delay_ms)

    def _take(self, made: RefundMade, amount_minor: int) -> None:
        """Take a refund from the account that pays it; a negative amount gives it back."""
        currency = made.request.currency
        if made.advanced:
            self.advanced_minor[currency] += amount_minor
        elif currency in self.balances:
            self.balances[currency] -= amount_minor

    def _pay(self, refund: SimulatedRefund, account: PaymentAccount) -> None:
        request = refund.made.request
        account.refunded_minor += request.amount_minor
        self._move(
            refund.updated_at_ms,
            MovementKind.REFUND,
            refund.made.id,
            request.reference,
            account.captured.request,
            -request.amount_minor,
        )
        if account.refundable_minor < 0:
            self.over_refunded.add(request.payment_id)
        siblings = self.by_reference[request.reference]
        if len(siblings) > 1 and sum(other.status is Status.SUCCEEDED for other in siblings) > 1:
            self.paid_twice.add(request.reference)

    def _move(
        self,
        at_ms: int,
        kind: MovementKind,
        provider_id: str,
        reference: str,
        payment: PaymentRequest,
        amount_minor: int,
    ) -> None:
        day = moment(at_ms).date()
        self.movements[day].append(Movement(at_ms, kind, provider_id, reference, payment, amount_minor))

    def _announce(self, refund: SimulatedRefund, due_at_ms: int) -> None:
        """Queue one event per state; a duplicate is the same event queued again."""
        event_id = f"evt_{refund.made.id}_{refund.status}"
        self.notices[event_id] = Notice(
            event_id, refund, refund.status, refund.failure, refund.updated_at_ms, due_at_ms
        )
        heapq.heappush(self.notices_due, (due_at_ms, event_id))


def _planned_refund(
    request: SimulatedRefundRequest,
    *,
    key: str,
    refund_id: str,
    now_ms: int,
    plan: FaultPlan,
    timing: FaultTiming,
    notify: bool,
    advanced: bool,
) -> RefundMade:
    status, then_status, then_at_ms = _course_of(plan.outcome, now_ms, timing)
    late_ms = timing.late_ms if plan.webhook is WebhookFault.LATE else 0
    notify_at_ms = now_ms + late_ms
    if plan.webhook is WebhookFault.OUT_OF_ORDER:
        notify_at_ms = then_at_ms + timing.late_ms
    return RefundMade(
        request,
        refund_id,
        status,
        now_ms,
        key=key,
        failure="payment_method_closed" if status is Status.FAILED else "",
        then_status=then_status,
        then_at_ms=then_at_ms,
        notify_at_ms=notify_at_ms if notify else None,
        then_notify_delay_ms=late_ms,
        notify_times=3 if plan.webhook is WebhookFault.DUPLICATE else 1,
        advanced=advanced,
    )


def _course_of(outcome: OutcomeFault | None, now_ms: int, timing: FaultTiming) -> tuple[Status, Status | None, int]:
    """The first state; and the second state with its time, if there is one."""
    match outcome:
        case OutcomeFault.DECLINED:
            return Status.FAILED, None, 0
        case OutcomeFault.PENDING_THEN_SUCCEEDED:
            return Status.PENDING, Status.SUCCEEDED, now_ms + timing.settle_ms
        case OutcomeFault.PENDING_THEN_FAILED:
            return Status.PENDING, Status.FAILED, now_ms + timing.fail_ms
        case OutcomeFault.SUCCEEDED_THEN_FAILED:
            return Status.SUCCEEDED, Status.FAILED, now_ms + timing.fail_ms
        case _:
            return Status.SUCCEEDED, None, 0


def moment(at_ms: int) -> datetime:
    """Milliseconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


def open_books(path: Path) -> Books:
    """Open or create the books in a file; raises BadInput when the file is damaged or has no books.

    Raises Unavailable while another simulator has them open.
    """
    books = Books(Journal(path))
    try:
        for entry in _entries(books.journal):
            books.apply(entry)
    except BadInput:
        books.journal.release()
        raise
    # The entries have queued every change and event; those that have happened since are removed here.
    books.changes_due = [
        (at, refund_id)
        for at, refund_id in books.changes_due
        if books.refund_of(refund_id).status is books.refund_of(refund_id).made.status
    ]
    books.notices_due = [item for item in books.notices_due if item[1] in books.notices]
    heapq.heapify(books.changes_due)
    heapq.heapify(books.notices_due)
    return books


def _entries(journal: Journal) -> Iterator[Entry]:
    for number, line in enumerate(journal.read(), 1):
        try:
            yield _decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise BadInput(f"{journal.path}, entry {number}: {error}", path=str(journal.path)) from error
