"""P10: from the command to the help page. The demo's own time to a usable console is measured by its test."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.frame import Measured, Run, result
from benchmarks.processes import ROOT

AT_MOST_SECONDS = 0.3
TIMES = 7


def measure(run: Run) -> Measured:
    """The median of several; a bare interpreter in the same run says how slow the machine is just now."""
    run.say("   jitui --help, several times")
    ours = _median_seconds(["-m", "jitui.entrypoints.cli", "--help"])
    bare = _median_seconds(["-c", "pass"])
    return result(
        "P10",
        ours=ours,
        floor=AT_MOST_SECONDS,
        unit="s",
        holds=ours <= AT_MOST_SECONDS,
        detail={"times": TIMES, "bare_interpreter_seconds": bare, "measured": "jitui --help"},
    )


def _median_seconds(words: list[str]) -> float:
    """The first run, which may have to compile, does not count."""
    seconds = []
    for _ in range(TIMES + 1):
        started_at = time.perf_counter()
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started_at)
    return round(statistics.median(seconds[1:]), 4)
