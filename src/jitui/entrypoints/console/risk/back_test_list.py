"""The back-tests of a text that are kept, for its page, and how each of them ended in words."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.aftersales.governance.policies import PolicyText
from jitui.entrypoints.console.page.visit import Visit
from jitui.entrypoints.console.risk.back_test_runs import End, NotBegun, Run, folder_of, runs

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
