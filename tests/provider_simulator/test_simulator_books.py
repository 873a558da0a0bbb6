"""The books keep their rules under any sequence of commands, and are equal after a restart."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.errors import BadInput, Unavailable
from jitui.provider_simulator.books import Books, open_books
from jitui.provider_simulator.entries import BookRefusal, PaymentRequest, RefundMade, SimulatedRefundRequest, Status
from jitui.provider_simulator.faults import FaultPlan, FaultTiming, OutcomeFault, WebhookFault

TIMING = FaultTiming(settle_ms=10, fail_ms=20, hold_ms=1, late_ms=30)

payments = st.sampled_from(["p1", "p2"])
amounts = st.integers(-5, 120)
commands = st.one_of(
    st.tuples(st.just("capture"), payments, st.integers(-5, 100)),
    st.tuples(st.just("refund"), payments, amounts, st.sampled_from(["r1", "r2", "r3", "r4", "r5"])),
    st.tuples(st.just("advance"), payments, amounts, st.sampled_from(["r6", "r7", "r8", "r9"])),
    st.tuples(st.just("balance"), st.none() | st.integers(0, 150)),
    st.tuples(st.just("wait"), st.integers(1, 40)),
)
plans = st.builds(
    FaultPlan, st.none() | st.sampled_from(list(OutcomeFault)), st.none() | st.sampled_from(list(WebhookFault))
)


def picture(books: Books) -> object:
    """Everything a caller could ever be told."""
    return (
        books.accounts,
        books.refunds,
        books.keys,
        books.notices,
        dict(books.movements),
        books.paid_twice,
        books.balances,
        dict(books.advanced_minor),
        sorted(books.changes_due),
        sorted(books.notices_due),
    )


def close(books: Books) -> None:
    asyncio.run(books.journal.close())


def play(books: Books, script: list[tuple[tuple[object, ...], FaultPlan]]) -> None:
    now_ms = 1_000_000
    for command, plan in script:
        now_ms += 1
        match command:
            case ("capture", str(name), int(amount_minor)):
                books.capture(PaymentRequest(name, "o", amount_minor, "CNY"), now_ms)
            case ("balance", int() | None as amount_minor):
                books.set_balance("CNY", amount_minor, now_ms)
            case ("refund" | "advance" as how, str(name), int(amount_minor), str(key)):
                request = SimulatedRefundRequest(key, name, amount_minor, "CNY", how == "advance")
                if books.remembered(key, request, now_ms, key_life_ms=25) is None:
                    books.refund(request, key, now_ms, plan, TIMING, notify=True)
            case ("wait", int(passed_ms)):
                now_ms += passed_ms
                books.change_due(now_ms)
        for account in books.accounts.values():
            assert account.pending_minor >= 0
            assert account.refunded_minor >= 0
            assert account.refundable_minor >= 0


@given(st.lists(st.tuples(commands, plans), max_size=40))
def test_nothing_is_over_refunded_and_reading_again_gives_the_same_books(
    script: list[tuple[tuple[object, ...], FaultPlan]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        books = open_books(Path(folder) / "books.journal")
        play(books, script)
        close(books)
        again = open_books(Path(folder) / "books.journal")
        assert picture(again) == picture(books)
        assert not again.over_refunded
        close(again)
        assert_accounts_are_the_sum_of_their_refunds(books)
        assert_the_platform_pays_only_what_was_asked_of_it(books)


def assert_accounts_are_the_sum_of_their_refunds(books: Books) -> None:
    sums: defaultdict[tuple[str, Status], int] = defaultdict(int)
    for refund in books.refunds:
        sums[refund.made.request.payment_id, refund.status] += refund.made.request.amount_minor
    moved: defaultdict[str, int] = defaultdict(int)
    for movements in books.movements.values():
        for movement in movements:
            moved[movement.payment.id] += movement.amount_minor
    for name, account in books.accounts.items():
        assert account.refunded_minor == sums[name, Status.SUCCEEDED]
        assert account.pending_minor == sums[name, Status.PENDING]
        assert moved[name] == account.captured.request.amount_minor - account.refunded_minor


def assert_the_platform_pays_only_what_was_asked_of_it(books: Books) -> None:
    advanced = [refund for refund in books.refunds if refund.made.advanced]
    assert all(refund.made.request.advance for refund in advanced)
    held = sum(refund.made.request.amount_minor for refund in advanced if refund.status is not Status.FAILED)
    assert books.advanced_minor["CNY"] == held
    assert all(minor >= 0 for minor in books.balances.values())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Books with a payment of 100 and two refunds of 10."""
    kept = tmp_path / "books.journal"
    books = open_books(kept)
    books.capture(PaymentRequest("p1", "o1", 100, "CNY"), 1)
    for key in ("r1", "r2"):
        assert isinstance(books.refund(SimulatedRefundRequest(key, "p1", 10, "CNY"), key, 2), RefundMade)
    close(books)
    return kept


@pytest.mark.parametrize("cut_bytes", [1, 5, 40, 100])
def test_an_entry_cut_off_by_a_crash_is_dropped_and_the_books_go_on(path: Path, cut_bytes: int) -> None:
    path.write_bytes(path.read_bytes()[:-cut_bytes])
    books = open_books(path)
    assert list(books.by_reference) == ["r1"]
    assert isinstance(books.refund(SimulatedRefundRequest("r3", "p1", 90, "CNY"), "r3", 3), RefundMade)
    close(books)
    again = open_books(path)
    assert list(again.by_reference) == ["r1", "r3"]
    close(again)


def test_damage_in_the_middle_is_refused_and_named(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b'"p1"', b'"p2"') + lines[2])
    with pytest.raises(BadInput, match=f"damaged at byte {len(lines[0])}"):
        open_books(path)
    path.write_bytes(b"".join(lines))
    close(open_books(path))


def test_books_are_open_once(path: Path) -> None:
    books = open_books(path)
    with pytest.raises(Unavailable, match="another simulator"):
        open_books(path)
    close(books)
    close(open_books(path))


def test_a_full_disk_stops_the_books_instead_of_losing_entries(path: Path) -> None:
    """/dev/full takes no byte, as a full disk does."""
    import os

    books = open_books(path)
    with Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), books.journal._file)

    async def write() -> None:
        books.refund(SimulatedRefundRequest("r3", "p1", 10, "CNY"), "r3", 3)
        with pytest.raises(Unavailable, match="cannot be written"):
            await books.durable()
        with pytest.raises(Unavailable, match="cannot be written"):
            books.refund(SimulatedRefundRequest("r4", "p1", 10, "CNY"), "r4", 3)

    asyncio.run(write())
    books.journal.release()
    again = open_books(path)
    assert list(again.by_reference) == ["r1", "r2"]
    close(again)


def test_the_refusals_of_refunds(path: Path) -> None:
    books = open_books(path)
    for amount_minor, currency, payment_id, refusal in (
        (81, "CNY", "p1", BookRefusal.AMOUNT_EXCEEDS_REFUNDABLE),
        (0, "CNY", "p1", BookRefusal.AMOUNT_NOT_POSITIVE),
        (1, "JPY", "p1", BookRefusal.CURRENCY_DIFFERS),
        (1, "CNY", "p2", BookRefusal.UNKNOWN_PAYMENT),
    ):
        assert books.refund(SimulatedRefundRequest("r9", payment_id, amount_minor, currency), "r9", 3) is refusal
    close(books)
