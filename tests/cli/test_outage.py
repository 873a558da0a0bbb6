"""The database stops under a service and its worker: what they write of it, and what they answer meanwhile."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitui.adapters import embedded_postgres
from jitui.logs.repeats import kind_of
from tests.cli.outage import OPTIONS, serving, until_ready

SECONDS = 13.0
"""Longer than a caller waits for a connection, so that every kind of error has come once."""

MOST_LINES_A_MINUTE = 60


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place for a server of this test alone."""
    place = Path(tempfile.mkdtemp(prefix="jitui_out_"))
    try:
        yield place
    finally:
        embedded_postgres.shut_down(place)
        shutil.rmtree(place)


def test_a_stopped_database_is_told_in_few_lines_and_the_service_goes_on_when_it_is_back(
    folder: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, folder) as running:
        (listening,) = (line for line in running.lines()["api"] if line["event"] == "listening")
        assert listening["address"] == running.address
        before = {name: len(lines) for name, lines in running.lines().items()}
        answered = running.database_away(SECONDS, every_seconds=0.2)
        written = {name: lines[before[name] :] for name, lines in running.lines().items()}
        embedded_postgres.start(folder, OPTIONS)
        until_ready(running.address)
    assert set(answered) == {200, 503}, "metrics are answered, everything else is not"
    for name, lines in written.items():
        kinds = [kind_of(line["logger"], line) for line in lines]
        assert len(set(kinds)) == len(kinds), "each once"
        assert any("does not answer" in str(line.get("reason")) for line in lines), name
        # Within a minute each is told once more, with its number: twice as many lines.
        assert 2 * len(lines) <= MOST_LINES_A_MINUTE, (name, lines)
        assert not [line for line in lines if "exception" in line], "an expected fault has no trace"
