"""The back-tests of a text that are kept, for its page and its proposals, and how each of them ended in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import ValidationError, convert, json, to_builtins

from jitui.aftersales.governance.policies import PolicyText
from jitui.entrypoints.console.page.visit import Visit
from jitui.entrypoints.console.risk.back_test_runs import Against, End, NotBegun, Run, find, folder_of, runs

PERIODS = (30, 7, 90, 365, 0)
"""The days that can be chosen, the first by default; 0: the whole history."""


def _(message: str) -> str:
    return message


END_WORDS: Mapping[End, str] = {
    End.DONE: _("Done"),
    End.STOPPED: _("Somebody stopped it."),
    End.TOO_LONG: _("It took longer than ten minutes, so it was ended. Choose a shorter period."),
    End.TOO_LARGE: _("It needed more memory than it may have, so it was ended. Choose a shorter period."),
    End.FAILED: _("It could not be finished. The history or the text does not allow it:"),
    End.CUT_OFF: _("It was cut off: the server was restarted meanwhile, or its process was ended."),
}
NOT_BEGUN_WORDS: Mapping[NotBegun, str] = {
    NotBegun.ANOTHER_RUNS: _("Another back-test runs. One at a time does, so that requests are not slowed down."),
    NotBegun.LIVE_CHANGED: _("Another version is live by now. This is how it stands."),
    NotBegun.NO_FOLDER: _("The server has no folder for temporary files that is its own, which a back-test needs."),
}


def back_tests_of(visit: Visit, text: PolicyText) -> list[Run]:
    """Those of this text, the newest first."""
    folder = folder_of(visit.service.database_url)
    found = [] if folder is None else runs(folder, visit.service.clock())
    return [run for run in found if run.wish.sha256 == text.sha256]


def parts_of(run: Run) -> Mapping[str, Mapping[str, Any]] | None:
    """What the report says, by language, as plain data: the back-test's own modules stay out of here."""
    if run.ended is None or run.ended.end is not End.DONE:
        return None
    found: dict[str, Mapping[str, Any]] = json.decode((run.folder / "parts.json").read_bytes())
    return found


@dataclass(frozen=True, slots=True)
class HeadlineFigure:
    """A figure of a report: what it is, its value, and of what."""

    name: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class HeadlineSaid:
    """The answer of a report in one language."""

    answer: tuple[str, ...]
    period: str
    figures: tuple[HeadlineFigure, ...]


@dataclass(frozen=True, slots=True)
class Headline:
    """What a proposal keeps of a back-test that ran here: which one, of which text, and what it came to."""

    run_id: UUID
    sha256: str
    begun_by: str
    begun_at: datetime
    days: int
    against: Against
    live_version: str
    said: Mapping[str, HeadlineSaid]


def headline_of(visit: Visit, text: PolicyText) -> dict[str, object] | None:
    """Of the newest back-test of this very text that found something, for the second person."""
    for run in back_tests_of(visit, text):
        try:
            parts = parts_of(run)
        except OSError:  # removed meanwhile
            continue
        if parts is None or any(one["none"] for one in parts.values()):
            continue
        wish, names = run.wish, ("answer", "period", "figures")
        said = convert({lang: {name: one[name] for name in names} for lang, one in parts.items()}, _SAID)
        found = Headline(
            run.run_id,
            wish.sha256,
            wish.begun_by,
            wish.begun_at,
            wish.days,
            wish.against,
            wish.live_version,
            said,
        )
        kept: dict[str, object] = to_builtins(found)
        return kept
    return None


_SAID = Mapping[str, HeadlineSaid]


def read_headline(told: object) -> Headline | None:
    """A headline as a proposal has it; None for a report that came otherwise, by the API or the command line."""
    try:
        return convert(told, Headline)
    except ValidationError:
        return None


def is_kept(visit: Visit, run_id: UUID) -> bool:
    """Whether the page of a back-test is still there."""
    folder = folder_of(visit.service.database_url)
    return folder is not None and find(folder, run_id, visit.service.clock()) is not None
