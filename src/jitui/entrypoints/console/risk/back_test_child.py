"""The process of one back-test: `python -m … FOLDER` reads its wish there, and writes progress, report and end.

The address of the database comes by the standard input.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec import json

from jitui.backtest.incident_cost import rates_of
from jitui.backtest.report_page import render_html
from jitui.backtest.report_parts import report_parts
from jitui.backtest.run import BacktestSpec, peak_memory_mib, run_backtest
from jitui.bootstrap import exported
from jitui.entrypoints.console.risk.back_test_runs import Against, End, Ended, Progress, Wish, write
from jitui.errors import BadInput
from jitui.policy import Policy

MOST_SECONDS = 600.0
INCIDENT_PERCENT, REVIEW_MINUTES = 0.5, 4.0
"""As in `jitui backtest`, which takes others."""
ENGINE_MIB = 1024
MOST_MIB = 3072
"""For the process as a whole; the engine keeps to `ENGINE_MIB` and spills to disk beyond it."""
LOOK_SECONDS = 0.25
PROGRESS_SECONDS = 0.25


def run(folder: Path, database_url: str) -> Ended:
    """Run it; what stands against it is a value, also what nobody expected."""
    wish, work = json.decode((folder / "wish.json").read_bytes(), type=Wish), folder / "work"
    work.mkdir()
    zone = ZoneInfo(wish.time_zone)
    tell = _Teller(folder)
    try:
        policy = Policy.from_text(wish.document, f"{wish.policy_id}.yaml")
        live = Policy.from_text(wish.live_document, "live.yaml") if wish.against is Against.LIVE else None
        tell("exporting the history", 0, 0)
        spec = BacktestSpec(
            policy=policy,
            history=exported(database_url, zone, work),
            time_zone=zone,
            against=live,
            decided=live is None,
            memory_mib=ENGINE_MIB,
            rates=rates_of(policy, INCIDENT_PERCENT, None, REVIEW_MINUTES),
            findings=True,
            since=wish.since,
        )
        done = run_backtest(spec, work, tell)
    except BadInput as error:
        return Ended(End.FAILED, str(error))
    write(folder / "parts.json", report_parts(done))
    (folder / "report.html").write_text(render_html(done, "en"), encoding="utf-8")
    return Ended(End.DONE)


class _Teller:
    """Writes what is being done, not more often than somebody can see."""

    def __init__(self, folder: Path) -> None:
        self.path, self.what, self.told_at = folder / "progress.json", "", 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if what == self.what and now - self.told_at < PROGRESS_SECONDS:
            return
        self.what, self.told_at = what, now
        write(self.path, Progress(what, done, of))


def _watch(folder: Path, ending: threading.Lock) -> None:
    """End this process when somebody asks for it, or when it takes too long or too much."""
    began, parent = time.monotonic(), os.getppid()
    while True:
        time.sleep(LOOK_SECONDS)
        end = _why_to_end(folder, os.getppid() != parent, time.monotonic() - began)
        if end is not None and ending.acquire(blocking=False):
            _end(folder, Ended(end))


def _why_to_end(folder: Path, is_orphan: bool, seconds: float) -> End | None:
    if is_orphan:
        return End.CUT_OFF
    if (folder / "stop").exists():
        return End.STOPPED
    if seconds > MOST_SECONDS:
        return End.TOO_LONG
    return End.TOO_LARGE if peak_memory_mib() > MOST_MIB else None


def _end(folder: Path, ended: Ended) -> None:
    """Remove what was only needed on the way, which has facts about buyers; say how it ended, and end at once."""
    shutil.rmtree(folder / "work", ignore_errors=True)
    write(folder / "ended.json", ended)
    os._exit(0)


def main() -> None:
    """Run the back-test of the folder that is named."""
    folder = Path(sys.argv[1])
    ending = threading.Lock()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # sent when the server ends; the watcher sees that and tidies up
    os.nice(10)  # requests of buyers go first
    threading.Thread(target=_watch, args=(folder, ending), daemon=True).start()
    try:
        ended = run(folder, sys.stdin.read())
    except MemoryError:
        ended = Ended(End.TOO_LARGE)
    except Exception as error:  # nobody else would tell the reader
        ended = Ended(End.FAILED, f"{type(error).__name__}: {error}")
    with ending:
        _end(folder, ended)


if __name__ == "__main__":
    main()
