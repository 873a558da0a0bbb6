"""Times on the command line: a day or a time with its zone, or a message about what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from jitui.entrypoints.cli.words import moment_of
from jitui.errors import BadInput

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize("text", ["2026-11-23", "2026-11-23T00:00+08:00", "2026-11-22 16:00:00Z", "'2026-11-23"])
def test_a_day_begins_in_its_zone_and_a_time_brings_its_own(text: str) -> None:
    assert moment_of(text, "--from", SHANGHAI) == datetime(2026, 11, 22, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["soon", "", "20261123", "2026-W47-1", "2026-11-31", "2026-11", "0001-01-01", "9999-12-31", "２０２６-11-23"],
)
def test_what_is_no_time_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(BadInput, match="--until takes a day or a time"):
        moment_of(text, "--until", SHANGHAI)


def test_a_time_without_its_zone_is_refused_and_so_is_a_day_where_none_is_taken() -> None:
    with pytest.raises(BadInput, match="--from needs its zone: 2026-11-23T08:00Z"):
        moment_of("2026-11-23T08:00", "--from", SHANGHAI)
    with pytest.raises(BadInput, match="--complete-from takes a time, such as"):
        moment_of("2026-11-23", "--complete-from")
