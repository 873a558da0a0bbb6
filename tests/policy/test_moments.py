"""The facts of a request's moment, and constants that they never are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jitui.policy import Policy
from jitui.policy.moments import moment_facts
from tests.policy.policy_samples import small_text
from tests.policy.test_refusals import refused

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("at", "zone", "expected"),
    [
        (datetime(2025, 1, 25, 15, 59, tzinfo=UTC), SHANGHAI, (23, 6, "2025-01-25")),
        (datetime(2025, 1, 25, 16, 0, tzinfo=UTC), SHANGHAI, (0, 0, "2025-01-26")),
        (datetime(2025, 1, 27, 3, 0, tzinfo=UTC), SHANGHAI, (11, 1, "2025-01-27")),
        # the clocks go forward from 2 to 3, and back from 2 to 1
        (datetime(2025, 3, 9, 6, 59, tzinfo=UTC), NEW_YORK, (1, 0, "2025-03-09")),
        (datetime(2025, 3, 9, 7, 0, tzinfo=UTC), NEW_YORK, (3, 0, "2025-03-09")),
        (datetime(2025, 11, 2, 5, 30, tzinfo=UTC), NEW_YORK, (1, 0, "2025-11-02")),
        (datetime(2025, 11, 2, 6, 30, tzinfo=UTC), NEW_YORK, (1, 0, "2025-11-02")),
        (datetime(2024, 2, 29, 12, 0, tzinfo=UTC), ZoneInfo("UTC"), (12, 4, "2024-02-29")),
    ],
)
def test_a_moment_has_the_hour_the_day_and_the_date_of_the_zone(
    at: datetime, zone: ZoneInfo, expected: tuple[int, int, str]
) -> None:
    assert tuple(moment_facts(at, zone).values()) == expected


def test_the_week_begins_with_0_for_sunday() -> None:
    sunday = datetime(2025, 1, 26, 12, tzinfo=UTC)
    week = [moment_facts(sunday + timedelta(days=n), ZoneInfo("UTC"))["request.weekday"] for n in range(8)]
    assert week == [0, 1, 2, 3, 4, 5, 6, 0]


@pytest.mark.parametrize(
    ("when", "column", "says"),
    [
        ("request.hour == 24", 36, "request.hour is a number from 0 to 23, and never 24"),
        ("request.hour in [9, 25]", 40, "request.hour is a number from 0 to 23, and never 25"),
        ("-1 < request.hour", 20, "request.hour is a number from 0 to 23, and never -1"),
        ("request.hour < 25", 35, "never 25"),
        ("request.weekday == 7", 39, "request.weekday is a number from 0 for Sunday to 6 for Saturday, and never 7"),
        ("request.date >= '2025-1-26'", 36, "request.date is a date as in '2025-01-26', and '2025-1-26' is none"),
        ("request.date in ['2025-02-30']", 37, "'2025-02-30' is none"),
        ("request.date == '20250126'", 36, "'20250126' is none"),
        ("request.date == ''", 36, "'' is none"),
        ("now > 3", 20, "request.hour, request.weekday (0 is Sunday)"),
        ("request.date >= 2025-01-26", 36, "as in request.date >= '2025-01-26'"),
    ],
)
def test_a_constant_that_no_moment_has_is_refused(when: str, column: int, says: str) -> None:
    (problem,) = refused(small_text(when))
    assert problem[:2] == (12, column), problem
    assert says in problem[2]


@pytest.mark.parametrize(
    "when",
    ["request.hour < 24", "request.hour >= 9 && request.hour < 21", "request.weekday in [0, 6]",
     "request.date >= '2025-01-26' && request.date < '2025-02-05'", "request.date.startsWith('2025-11-')"],
)  # fmt: skip
def test_what_a_moment_can_be_is_taken(when: str) -> None:
    assert Policy.from_text(small_text(when)).programs.condition_reads.facts
