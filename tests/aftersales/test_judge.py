"""Judging a statement is pure: every movement gets one verdict, and the totals add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.aftersales.reconciliation.match import (
    DIFFERENCES,
    EDGE,
    Finding,
    MovementGroup,
    MovementVerdict,
    ProviderMovement,
    judge,
)
from jitui.aftersales.reconciliation.statement import (
    RowKind,
    StatementRow,
    StatementSummary,
    StatementWindow,
    window_of,
)
from jitui.errors import BadInput

DAY = datetime(2026, 11, 23, tzinfo=UTC)
WINDOW = StatementWindow(DAY, DAY + timedelta(days=1))
NOON = DAY + timedelta(hours=12)
ATTEMPT = UUID(int=7)
PAID, BACK = RowKind.REFUND, RowKind.REFUND_RETURNED


def ours(kind: RowKind = PAID, amount: int = 100, at: datetime = NOON, currency: str = "CNY") -> ProviderMovement:
    return ProviderMovement(kind, at, at - timedelta(minutes=1), amount, currency, f"paid:{at.isoformat()}:{amount}")


def theirs(kind: RowKind = PAID, amount: int = 100, line: int = 1, currency: str = "CNY") -> StatementRow:
    return StatementRow(line, kind, NOON, amount, currency, provider_refund_id=f"re_{line}")


@pytest.mark.parametrize(
    ("named", "verdict"),
    [
        (("pay-1",), MovementVerdict.MATCHED),
        (("order-1", "pay-1"), MovementVerdict.MATCHED),
        ((), MovementVerdict.MATCHED),
        (("pay-2",), MovementVerdict.PAYMENT_DIFFERS),
    ],
)
def test_a_refund_of_another_payment_under_our_reference_is_a_difference(
    named: tuple[str, ...], verdict: MovementVerdict
) -> None:
    both = group(replace(ours(), payment_id="pay-1"), replace(theirs(), payment_ids=named))
    assert verdicts(both) == [verdict]


def verdicts(group: MovementGroup) -> list[MovementVerdict]:
    return [finding.verdict for finding in judge(group, WINDOW)]


def group(*movements: ProviderMovement | StatementRow, attempt: UUID | None = ATTEMPT) -> MovementGroup:
    return MovementGroup(
        "key",
        tuple(m for m in movements if isinstance(m, ProviderMovement)),
        tuple(m for m in movements if isinstance(m, StatementRow)),
        attempt_id=attempt,
    )


@pytest.mark.parametrize(
    ("movements", "expected"),
    [
        ((ours(), theirs()), [MovementVerdict.MATCHED]),
        ((ours(),), [MovementVerdict.OURS_ONLY]),
        ((theirs(),), [MovementVerdict.NEWS]),
        ((ours(), theirs(amount=101)), [MovementVerdict.AMOUNT_DIFFERS]),
        ((ours(), theirs(currency="USD")), [MovementVerdict.CURRENCY_DIFFERS]),
        ((ours(), theirs(), theirs(line=2)), [MovementVerdict.MATCHED, MovementVerdict.PAID_TWICE]),
        ((ours(), theirs(amount=5), theirs(line=2)), [MovementVerdict.MATCHED, MovementVerdict.PAID_TWICE]),
        ((ours(), ours(BACK), theirs(), theirs(BACK, line=2)), [MovementVerdict.MATCHED, MovementVerdict.MATCHED]),
        ((theirs(), theirs(BACK, line=2)), [MovementVerdict.UNDONE, MovementVerdict.UNDONE]),
        ((theirs(), theirs(BACK, 101, line=2)), [MovementVerdict.NEWS, MovementVerdict.NEWS]),
        ((theirs(), theirs(BACK, 99, line=2)), [MovementVerdict.NEWS, MovementVerdict.NEWS]),
        ((ours(), ours(BACK)), [MovementVerdict.UNDONE, MovementVerdict.UNDONE]),
        ((ours(), ours(BACK, 101)), [MovementVerdict.OURS_ONLY, MovementVerdict.OURS_ONLY]),
        ((ours(), ours(BACK, 99)), [MovementVerdict.OURS_ONLY, MovementVerdict.OURS_ONLY]),
        ((ours(), theirs(), theirs(BACK, line=2)), [MovementVerdict.MATCHED, MovementVerdict.NEWS]),
        ((ours(at=DAY - timedelta(days=3)), theirs()), [MovementVerdict.MATCHED]),
        ((ours(at=DAY - timedelta(days=3)),), []),
        ((ours(at=DAY + timedelta(seconds=1)),), [MovementVerdict.EDGE]),
        ((ours(at=WINDOW.until - timedelta(seconds=1)),), [MovementVerdict.EDGE]),
        ((replace(ours(), possible_from=DAY - timedelta(hours=2)),), [MovementVerdict.EDGE]),
        ((replace(theirs(), final=False),), [MovementVerdict.NOT_FINAL]),
        ((ours(), replace(theirs(), final=False)), [MovementVerdict.NOT_FINAL]),
    ],
)
def test_what_each_case_is(
    movements: tuple[ProviderMovement | StatementRow, ...], expected: list[MovementVerdict]
) -> None:
    assert verdicts(group(*movements)) == expected


def test_a_refund_that_is_no_attempt_of_ours_is_theirs_only() -> None:
    assert verdicts(group(theirs(), attempt=None)) == [MovementVerdict.THEIRS_ONLY]
    assert verdicts(group(theirs(RowKind.PAYMENT), attempt=None)) == [MovementVerdict.THEIRS_ONLY]


AMOUNTS = st.integers(1, 3)
KINDS = st.sampled_from(RowKind)
MOMENTS = st.sampled_from([DAY - timedelta(days=1), DAY + EDGE / 2, NOON, NOON + timedelta(hours=1), WINDOW.until])
OURS = st.builds(
    ProviderMovement,
    kind=KINDS,
    at=MOMENTS,
    possible_from=st.just(DAY - timedelta(days=1)) | st.just(NOON),
    amount_minor=AMOUNTS,
    currency=st.sampled_from(["CNY", "CNY", "USD"]),
    posting=st.uuids().map(str),
)
THEIRS = st.builds(
    StatementRow,
    line=st.integers(1, 99),
    kind=KINDS,
    at=MOMENTS,
    amount_minor=AMOUNTS,
    currency=st.sampled_from(["CNY", "CNY", "USD"]),
    final=st.sampled_from([True, True, True, False]),
)


def _sides(findings: tuple[Finding, ...]) -> tuple[Counter[ProviderMovement], Counter[StatementRow]]:
    mine = Counter(finding.ours for finding in findings if finding.ours is not None)
    other = Counter(finding.theirs for finding in findings if finding.theirs is not None)
    return mine, other


@given(mine=st.lists(OURS, max_size=5), other=st.lists(THEIRS, max_size=5), known=st.booleans())
def test_every_movement_has_one_verdict_and_totals_add_up(
    mine: list[ProviderMovement], other: list[StatementRow], known: bool
) -> None:
    findings = judge(group(*mine, *other, attempt=ATTEMPT if known else None), WINDOW)
    of_ours, of_theirs = _sides(findings)
    assert of_theirs == Counter(other)
    assert of_ours <= Counter(mine)
    inside = Counter(movement for movement in mine if WINDOW.covers(movement.at))
    assert inside <= of_ours, "what lies in the window is never left out"
    for finding in findings:
        pair = (finding.ours, finding.theirs)
        if finding.verdict is MovementVerdict.MATCHED:
            assert None not in pair
        if None not in pair and finding.ours and finding.theirs:
            same = (finding.ours.amount_minor, finding.ours.currency) == (
                finding.theirs.amount_minor,
                finding.theirs.currency,
            )
            assert same == (finding.verdict in (MovementVerdict.MATCHED, MovementVerdict.NOT_FINAL))
        else:
            assert pair != (None, None)


@given(mine=st.lists(OURS, max_size=5))
def test_a_statement_that_says_what_we_say_matches_whole(mine: list[ProviderMovement]) -> None:
    mirrored = [
        StatementRow(line, movement.kind, movement.at, movement.amount_minor, movement.currency)
        for line, movement in enumerate(mine)
    ]
    findings = judge(group(*mine, *mirrored), WINDOW)
    assert {finding.verdict for finding in findings} <= {MovementVerdict.MATCHED}
    assert len(findings) == len(mine)


@given(mine=st.lists(OURS, min_size=1, max_size=4), data=st.data())
def test_one_wrong_amount_is_one_difference(mine: list[ProviderMovement], data: st.DataObject) -> None:
    mirrored = [
        StatementRow(line, movement.kind, movement.at, movement.amount_minor, movement.currency)
        for line, movement in enumerate(mine)
    ]
    at = data.draw(st.integers(0, len(mine) - 1))
    mirrored[at] = replace(mirrored[at], amount_minor=1000)
    found = [f.verdict for f in judge(group(*mine, *mirrored), WINDOW) if f.verdict in DIFFERENCES]
    assert found == [MovementVerdict.AMOUNT_DIFFERS]


SHANGHAI = ZoneInfo("Asia/Shanghai")
FIRST, LAST = NOON, NOON + timedelta(hours=5)


def staged(first: datetime | None, last: datetime | None) -> StatementSummary:
    return StatementSummary({}, 0, (), first, last)


def test_what_a_statement_covers() -> None:
    rows = staged(FIRST, LAST)  # 20:00 of the 23rd to 01:00 of the 24th in Beijing
    untold = partial(StatementWindow, is_told=False)
    assert window_of(rows, None, None, None) == untold(FIRST, LAST + timedelta(microseconds=1))
    assert window_of(rows, UTC, None, None) == replace(WINDOW, is_told=False)
    assert window_of(rows, UTC, None, None, tells_its_end=True) == WINDOW
    days = untold(datetime(2026, 11, 23, tzinfo=SHANGHAI), datetime(2026, 11, 25, tzinfo=SHANGHAI))
    assert window_of(rows, SHANGHAI, None, None) == days
    assert window_of(rows, UTC, DAY, None).is_told is window_of(rows, UTC, None, LAST).is_told is False
    told = window_of(staged(None, None), SHANGHAI, DAY, NOON)
    assert told == StatementWindow(DAY, NOON)
    for empty, since, until in ((staged(None, None), None, NOON), (rows, NOON, NOON), (rows, LAST, FIRST)):
        with pytest.raises(BadInput):
            window_of(empty, UTC, since, until)


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ((1000, 2500), (3500,), True),
        ((3500,), (1000, 2500), True),
        ((1000, 2500), (2000, 1500), True),
        ((1000, 2500), (3501,), False),
        ((1000, 2500), (1000, 2500), True),
        ((2500, 1000), (1000, 2500), True),
        ((1000,), (3500,), False),
    ],
)
def test_a_payment_for_several_orders_or_in_several_captures_is_compared_by_its_sum(
    ours: tuple[int, ...], theirs: tuple[int, ...], same: bool
) -> None:
    mine = [
        ProviderMovement(RowKind.PAYMENT, NOON, NOON, minor, "CNY", f"captured:{at}") for at, minor in enumerate(ours)
    ]
    rows = [StatementRow(line, RowKind.PAYMENT, NOON, minor, "CNY") for line, minor in enumerate(theirs)]
    findings = judge(group(*mine, *rows), WINDOW)
    assert (not [finding for finding in findings if finding.verdict in DIFFERENCES]) is same
    assert _sides(findings) == (Counter(mine), Counter(rows))
