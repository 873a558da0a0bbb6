"""What the simulator sends, computed from its books."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import TypeVar

import msgspec
from msgspec import Struct

from jitui.money import to_decimal_text
from jitui.provider_simulator.books import Books, Movement, Notice, PaymentAccount, SimulatedRefund, moment
from jitui.provider_simulator.entries import RefundMade, Status

_encode = msgspec.json.Encoder().encode
_ROWS_A_PIECE = 500
T = TypeVar("T")


class RefundBody(Struct, frozen=True):
    id: str
    reference: str
    payment_id: str
    amount_minor: int
    currency: str
    status: Status
    failure_code: str
    created_at: datetime
    updated_at: datetime
    advanced: bool


class PaymentView(Struct, frozen=True):
    id: str
    order_id: str
    currency: str
    captured_minor: int
    refunded_minor: int
    pending_minor: int
    captured_at: datetime


class AttemptView(Struct, frozen=True):
    """All refunds with one reference; `times_paid` above one means that it was paid more than once."""

    reference: str
    payment_id: str
    currency: str
    times_paid: int
    paid_minor: int
    pending_minor: int


class Lookup(Struct, frozen=True):
    reference: str
    refunds: list[RefundBody]


class RefundPage(Struct, frozen=True):
    refunds: list[RefundBody]
    has_more: bool


class CurrencyTotals(Struct, frozen=True):
    payments: int
    captured_minor: int
    refunds: int
    refunded_minor: int
    pending_minor: int


class BooksView(Struct, frozen=True):
    """Totals per currency, and the two lists that must stay empty."""

    totals: dict[str, CurrencyTotals]
    refunds_by_status: dict[str, int]
    paid_twice: list[str]
    over_refunded: list[str]
    webhooks_waiting: int
    webhooks_given_up: int
    balances: dict[str, int]
    advanced_minor: dict[str, int]


class EventData(Struct, frozen=True):
    refund: RefundBody


class Event(Struct, frozen=True):
    type: str
    timestamp: datetime
    data: EventData


def refund_view(refund: SimulatedRefund) -> RefundBody:
    return _view(refund.made, refund.status, refund.failure, refund.updated_at_ms)


def first_answer(made: RefundMade) -> RefundBody:
    """The refund as it was when it was made; its key gets this response for ever."""
    return _view(made, made.status, made.failure, made.at_ms)


def _view(made: RefundMade, status: Status, failure: str, updated_at_ms: int) -> RefundBody:
    request = made.request
    return RefundBody(
        made.id,
        request.reference,
        request.payment_id,
        request.amount_minor,
        request.currency,
        status,
        failure,
        moment(made.at_ms),
        moment(updated_at_ms),
        made.advanced,
    )


def payment_view(account: PaymentAccount) -> PaymentView:
    payment = account.captured.request
    return PaymentView(
        payment.id,
        payment.order_id,
        payment.currency,
        payment.amount_minor,
        account.refunded_minor,
        account.pending_minor,
        moment(account.captured.at_ms),
    )


def attempt_view(reference: str, refunds: Sequence[SimulatedRefund]) -> AttemptView:
    request = refunds[0].made.request
    paid = [r.made.request.amount_minor for r in refunds if r.status is Status.SUCCEEDED]
    pending = sum(r.made.request.amount_minor for r in refunds if r.status is Status.PENDING)
    return AttemptView(reference, request.payment_id, request.currency, len(paid), sum(paid), pending)


def event_body(notice: Notice) -> bytes:
    refund = _view(notice.refund.made, notice.status, notice.failure, notice.happened_at_ms)
    return _encode(Event(f"refund.{notice.status}", moment(notice.happened_at_ms), EventData(refund)))


def books_view(books: Books) -> BooksView:
    """The totals, summed from the single rows on each request, not from running totals."""
    totals: dict[str, list[int]] = {}
    for account in books.accounts.values():
        payment = account.captured.request
        row = totals.setdefault(payment.currency, [0, 0, 0, 0, 0])
        row[0] += 1
        row[1] += payment.amount_minor
    by_status = {str(status): 0 for status in Status}
    for refund in books.refunds:
        request = refund.made.request
        row = totals[request.currency]
        row[2] += 1
        row[3] += request.amount_minor if refund.status is Status.SUCCEEDED else 0
        row[4] += request.amount_minor if refund.status is Status.PENDING else 0
        by_status[refund.status] += 1
    return BooksView(
        {currency: CurrencyTotals(*row) for currency, row in totals.items()},
        by_status,
        sorted(books.paid_twice),
        sorted(books.over_refunded),
        len(books.notices),
        books.given_up,
        dict(sorted(books.balances.items())),
        {currency: minor for currency, minor in sorted(books.advanced_minor.items()) if minor},
    )


async def json_lines(views: Iterable[Struct]) -> AsyncIterator[bytes]:
    """One JSON object per line, in pieces, between which other requests are served."""
    for piece in _pieces(views):
        yield b"".join(_encode(view) + b"\n" for view in piece)
        await asyncio.sleep(0)


STATEMENT_COLUMNS = (
    "time",
    "kind",
    "provider_id",
    "payment_id",
    "reference",
    "order_id",
    "amount",
    "currency",
)


async def statement_lines(books: Books, day: date) -> AsyncIterator[bytes]:
    """The movements of a day in major units; captures are positive, refunds negative."""
    yield _csv_rows([STATEMENT_COLUMNS])
    rows = sorted(books.movements.get(day, ()), key=lambda movement: movement.at_ms)
    for piece in _pieces(rows):
        yield _csv_rows(map(_statement_row, piece))
        await asyncio.sleep(0)


def _statement_row(movement: Movement) -> tuple[str, ...]:
    payment = movement.payment
    return (
        moment(movement.at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        movement.kind,
        movement.provider_id,
        payment.id,
        movement.reference,
        payment.order_id,
        to_decimal_text(movement.amount_minor, payment.currency),
        payment.currency,
    )


def _csv_rows(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _pieces(items: Iterable[T]) -> Iterator[list[T]]:
    piece: list[T] = []
    for item in items:
        piece.append(item)
        if len(piece) == _ROWS_A_PIECE:
            yield piece
            piece = []
    if piece:
        yield piece
