"""Checks that everybody was paid exactly once, from the database and the provider's own books alone.

No code of the service is used. `read_books` and `read_records` fetch plain rows; the other functions compare them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import aiohttp
import msgspec
import psycopg
from psycopg.rows import class_row

from jitui.errors import Unavailable

GRANTED = ("refunding", "refunded", "refund_failed")
"""The states in which the refund was approved: the units are refunded, and the money is owed."""

_Row = TypeVar("_Row")


class PaidState(StrEnum):
    """A refund's state at the provider."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


# The provider's books --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BookedRefund:
    """A refund in the provider's books; `reference` is our attempt."""

    id: str
    reference: str
    payment_id: str
    amount_minor: int
    currency: str
    status: PaidState
    advanced: bool = False  # the platform's account paid it, not the merchant's balance


@dataclass(frozen=True, slots=True)
class BookedPayment:
    """A captured payment in the provider's books."""

    id: str
    order_id: str
    currency: str
    captured_minor: int


@dataclass(frozen=True, slots=True)
class ProviderRecords:
    """The payments and refunds of the provider."""

    payments: tuple[BookedPayment, ...]
    refunds: tuple[BookedRefund, ...]


async def read_books(url: str, key: str) -> ProviderRecords:
    """All payments and refunds of the simulator. Raises Unavailable when it does not answer."""
    try:
        async with aiohttp.ClientSession(headers={"authorization": f"Bearer {key}"}) as client:
            payments = await _lines(client, f"{url}/books/payments", BookedPayment)
            refunds = await _lines(client, f"{url}/books/refunds", BookedRefund)
    except aiohttp.ClientError as error:
        raise Unavailable(f"The provider simulator at {url} does not show its books: {error}.") from error
    return ProviderRecords(payments, refunds)


async def _lines(client: aiohttp.ClientSession, url: str, kind: type[_Row]) -> tuple[_Row, ...]:
    async with client.get(url) as response:
        response.raise_for_status()
        return tuple(msgspec.json.Decoder(kind).decode_lines(await response.read()))


# Our rows --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AuditedTicket:
    """A ticket's state and approved amount."""

    ticket_id: str
    order_id: str
    state: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A call to the provider, with its refund and ticket."""

    attempt_id: str
    refund_id: str
    ticket_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class LineRow:
    """The units of an order line: bought, shipped by the merchant's command, and in approved tickets."""

    order_id: str
    line_id: str
    quantity: int
    commanded: int
    granted: int


@dataclass(frozen=True, slots=True)
class ServiceRecords:
    """The rows of our database."""

    tickets: tuple[AuditedTicket, ...]
    attempts: tuple[AttemptRow, ...]
    lines: tuple[LineRow, ...]


_TICKETS = "SELECT ticket_id::text, order_id, state, amount_minor FROM ticket"

_ATTEMPTS = """
SELECT a.attempt_id::text, r.refund_id::text, r.ticket_id::text, r.amount_minor
FROM refund_attempt a JOIN refund r ON r.lane = a.lane AND r.refund_id = a.refund_id
"""

# Counted from shipments and tickets, not from the sums on the line, which the service computes.
_LINES = """
SELECT l.order_id, l.line_id, l.quantity, coalesce(s.units, 0)::bigint AS commanded,
       coalesce(t.units, 0)::bigint AS granted
FROM order_line l
LEFT JOIN (
    SELECT p.lane, p.order_id, u.line_id, sum(u.quantity) AS units
    FROM shipment p, jsonb_to_recordset(p.commanded_lines) AS u (line_id text, quantity bigint)
    GROUP BY 1, 2, 3) s USING (lane, order_id, line_id)
LEFT JOIN (
    SELECT k.lane, k.order_id, k.line_id, sum(k.quantity) AS units
    FROM ticket_line k JOIN ticket t ON t.lane = k.lane AND t.ticket_id = k.ticket_id
    WHERE t.state = ANY(%(granted)s) GROUP BY 1, 2, 3) t USING (lane, order_id, line_id)
ORDER BY l.lane, l.order_id, l.position
"""


def read_records(database_url: str) -> ServiceRecords:
    """All tickets, attempts and order lines, from one snapshot."""
    with psycopg.connect(database_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        tickets = connection.cursor(row_factory=class_row(AuditedTicket)).execute(_TICKETS).fetchall()
        attempts = connection.cursor(row_factory=class_row(AttemptRow)).execute(_ATTEMPTS).fetchall()
        granted = {"granted": list(GRANTED)}
        lines = connection.cursor(row_factory=class_row(LineRow)).execute(_LINES, granted).fetchall()
    return ServiceRecords(tuple(tickets), tuple(attempts), tuple(lines))


# Judging ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of each check; an entry names the refund, payment, order, line or ticket and says what is wrong."""

    paid_twice: tuple[str, ...]
    over_refunded: tuple[str, ...]
    shipped_and_refunded: tuple[str, ...]
    approved_but_unpaid: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether there are no findings."""
        return not (self.paid_twice or self.over_refunded or self.shipped_and_refunded or self.approved_but_unpaid)


async def audit(database_url: str, books_url: str, books_key: str) -> Findings:
    """Compare the database with the simulator's books; run it when no refund is being paid."""
    books = await read_books(books_url, books_key)
    return judge(read_records(database_url), books)


def judge(records: ServiceRecords, books: ProviderRecords) -> Findings:
    """The findings of all four checks."""
    return Findings(
        tuple(paid_twice(records, books)),
        tuple(over_refunded(books)),
        tuple(shipped_and_refunded(records.lines)),
        tuple(approved_but_unpaid(records, books)),
    )


def paid_twice(records: ServiceRecords, books: ProviderRecords) -> Iterable[str]:
    """Refunds that the provider paid more than once, and payouts that belong to no refund of ours (I2)."""
    refund_of = {attempt.attempt_id: attempt.refund_id for attempt in records.attempts}
    paid = [refund for refund in books.refunds if refund.status is PaidState.SUCCEEDED]
    times = Counter(refund_of[refund.reference] for refund in paid if refund.reference in refund_of)
    for refund_id, count in times.items():
        if count > 1:
            yield f"refund {refund_id} was paid {count} times"
    for refund in paid:
        if refund.reference not in refund_of:
            yield f"payout {refund.id} of {refund.amount_minor} on {refund.payment_id} is no refund of ours"


def over_refunded(books: ProviderRecords) -> Iterable[str]:
    """Payments and orders that refunded, or are refunding, more than was captured (I1)."""
    back: Counter[str] = Counter()
    for refund in books.refunds:
        if refund.status is not PaidState.FAILED:
            back[refund.payment_id] += refund.amount_minor
    captured: Counter[str] = Counter()
    returned: Counter[str] = Counter()
    for payment in books.payments:
        captured[payment.order_id] += payment.captured_minor
        returned[payment.order_id] += back[payment.id]
        if back[payment.id] > payment.captured_minor:
            yield f"payment {payment.id}: {back[payment.id]} of {payment.captured_minor} back"
    for order_id, minor in returned.items():
        if minor > captured[order_id]:
            yield f"order {order_id}: {minor} of {captured[order_id]} back"
    known = {payment.id for payment in books.payments}
    for payment_id in back.keys() - known:
        yield f"payment {payment_id}: {back[payment_id]} back, and it was never captured"


def shipped_and_refunded(lines: Sequence[LineRow]) -> Iterable[str]:
    """Lines of which more units were approved and shipped by command than were bought (I3)."""
    for line in lines:
        if line.commanded + line.granted > line.quantity:
            yield (
                f"order {line.order_id}, line {line.line_id}: {line.commanded} shipped and {line.granted} refunded"
                f" of {line.quantity}"
            )


def approved_but_unpaid(records: ServiceRecords, books: ProviderRecords) -> Iterable[str]:
    """Approved tickets for which the provider did not pay exactly their amount."""
    ticket_of = {attempt.attempt_id: attempt.ticket_id for attempt in records.attempts}
    paid: Mapping[str, int] = _paid_by_ticket(ticket_of, books)
    for ticket in records.tickets:
        got = paid.get(ticket.ticket_id, 0)
        if ticket.state in GRANTED and got != ticket.amount_minor:
            yield f"ticket {ticket.ticket_id} ({ticket.state}): {got} of {ticket.amount_minor} paid"
        elif ticket.state not in GRANTED and got:
            yield f"ticket {ticket.ticket_id} ({ticket.state}): {got} paid without an approval"


def _paid_by_ticket(ticket_of: Mapping[str, str], books: ProviderRecords) -> Mapping[str, int]:
    paid: defaultdict[str, int] = defaultdict(int)
    for refund in books.refunds:
        if refund.status is PaidState.SUCCEEDED and refund.reference in ticket_of:
            paid[ticket_of[refund.reference]] += refund.amount_minor
    return paid
