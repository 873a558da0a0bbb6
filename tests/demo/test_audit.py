"""The audit finds each kind of fault that it checks for, in the books and in the rows."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest

from jitui.aftersales.model.order import ShipmentStatus
from jitui.demo.audit import (
    AttemptRow,
    AuditedTicket,
    BookedPayment,
    BookedRefund,
    Findings,
    LineRow,
    PaidState,
    ProviderRecords,
    ServiceRecords,
    judge,
    read_records,
)
from tests.aftersales.market import open_market

CLEAN = Findings((), (), (), ())
RECORDS = ServiceRecords(
    tickets=(AuditedTicket("t1", "o1", "refunded", 5_000), AuditedTicket("t2", "o2", "awaiting_merchant", 900)),
    attempts=(AttemptRow("a1", "r1", "t1", 3_000), AttemptRow("a2", "r2", "t1", 2_000)),
    lines=(LineRow("o1", "l1", 2, 1, 1), LineRow("o2", "l1", 1, 1, 0)),
)
PAID = BookedRefund("p1", "a1", "pay-1", 3_000, "CNY", PaidState.SUCCEEDED)
BOOKS = ProviderRecords(
    payments=(BookedPayment("pay-1", "o1", "CNY", 3_000), BookedPayment("pay-2", "o1", "CNY", 9_000)),
    refunds=(PAID, BookedRefund("p2", "a2", "pay-2", 2_000, "CNY", PaidState.SUCCEEDED)),
)


def with_refund(*refunds: BookedRefund) -> ProviderRecords:
    return replace(BOOKS, refunds=(*BOOKS.refunds, *refunds))


def test_a_clean_day_has_no_findings() -> None:
    assert judge(RECORDS, BOOKS) == CLEAN
    assert judge(RECORDS, BOOKS).clean


def test_a_refund_that_was_taken_back_and_paid_again_is_paid_once() -> None:
    records = replace(RECORDS, attempts=(*RECORDS.attempts, AttemptRow("a0", "r1", "t1", 3_000)))
    failed = BookedRefund("p0", "a0", "pay-1", 3_000, "CNY", PaidState.FAILED)
    assert judge(records, with_refund(failed)) == CLEAN


def test_one_attempt_paid_twice_is_found() -> None:
    found = judge(RECORDS, with_refund(replace(PAID, id="p3")))
    assert found.paid_twice == ("refund r1 was paid 2 times",)
    assert len(found.over_refunded) == 1
    assert len(found.approved_but_unpaid) == 1


def test_two_attempts_of_one_refund_that_were_both_paid_are_found() -> None:
    records = replace(RECORDS, attempts=(*RECORDS.attempts, AttemptRow("a9", "r2", "t1", 2_000)))
    again = BookedRefund("p9", "a9", "pay-2", 2_000, "CNY", PaidState.SUCCEEDED)
    assert judge(records, with_refund(again)).paid_twice == ("refund r2 was paid 2 times",)


def test_a_payout_that_nobody_ordered_is_found() -> None:
    stranger = BookedRefund("p9", "a-unknown", "pay-2", 1, "CNY", PaidState.SUCCEEDED)
    assert len(judge(RECORDS, with_refund(stranger)).paid_twice) == 1


@pytest.mark.parametrize("status", [PaidState.SUCCEEDED, PaidState.PENDING])
def test_more_than_was_captured_is_found_even_on_its_way(status: PaidState) -> None:
    more = BookedRefund("p9", "a2", "pay-1", 1, "CNY", status)
    assert judge(RECORDS, with_refund(more)).over_refunded == ("payment pay-1: 3001 of 3000 back",)


def test_more_than_the_whole_order_is_found() -> None:
    books = replace(
        BOOKS, payments=(BookedPayment("pay-1", "o1", "CNY", 3_000), BookedPayment("pay-2", "o1", "CNY", 1))
    )
    assert "order o1: 5000 of 3001 back" in judge(RECORDS, books).over_refunded


def test_a_unit_that_was_refunded_and_shipped_is_found() -> None:
    records = replace(RECORDS, lines=(LineRow("o1", "l1", 2, 2, 1),))
    assert judge(records, BOOKS).shipped_and_refunded == ("order o1, line l1: 2 shipped and 1 refunded of 2",)


@pytest.mark.parametrize("state", ["refunding", "refunded", "refund_failed"])
def test_an_approved_ticket_without_its_money_is_found(state: str) -> None:
    records = replace(RECORDS, tickets=(AuditedTicket("t1", "o1", state, 5_000),))
    books = replace(BOOKS, refunds=(PAID,))
    assert judge(records, books).approved_but_unpaid == (f"ticket t1 ({state}): 3000 of 5000 paid",)


def test_money_without_an_approval_is_found() -> None:
    records = replace(RECORDS, tickets=(AuditedTicket("t1", "o1", "rejected", 5_000),))
    assert len(judge(records, BOOKS).approved_but_unpaid) == 1


def test_units_are_counted_from_the_database_and_a_bent_row_is_found(database_url: str) -> None:
    async def one_refunded_one_shipped() -> None:
        async with open_market(database_url) as market:
            await market.premium_buyer("b-1")
            ref = await market.paid_order("b-1", "o-1", amounts=(6_000, 4_000), quantities=(2, 1))
            ticket = await market.asked("b-1", "o-1", lines=(("l1", 1),))
            assert ticket.state == "refunding"
            await market.ship(ref, status=ShipmentStatus.SHIPPED, lines=(("l2", 1),))

    asyncio.run(one_refunded_one_shipped())
    records = read_records(database_url)
    assert [(line.line_id, line.commanded, line.granted) for line in records.lines] == [("l1", 0, 1), ("l2", 1, 0)]
    assert judge(records, ProviderRecords((), ())).shipped_and_refunded == ()
    assert len(judge(records, ProviderRecords((), ())).approved_but_unpaid) == 1
    with psycopg.connect(database_url) as connection:
        connection.execute("""UPDATE shipment SET commanded_lines = '[{"line_id": "l1", "quantity": 2}]'""")
    found = judge(read_records(database_url), ProviderRecords((), ()))
    assert found.shipped_and_refunded == ("order o-1, line l1: 2 shipped and 1 refunded of 2",)
