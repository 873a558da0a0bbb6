"""The part of `scripts/mutants.py` inside pytest: notes which test runs what, or runs the tests of one change.

Loaded by `-p mutants_in_pytest`; what it does is said by the JSON in MUTANTS_JOB.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

JOB = json.loads(os.environ.get("MUTANTS_JOB", "{}"))
STARTED = time.monotonic()


def pytest_configure(config: pytest.Config) -> None:
    if "notes" in JOB:
        config.pluginmanager.register(Notes(Path(JOB["notes"])))
    elif JOB:
        config.pluginmanager.register(OneMutant(JOB))


class Notes:
    """For each test: how long it takes and which SQL it sends, as a JSON line; what it covers goes to coverage.py."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sent: set[str] = set()
        self._listen()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        from coverage import Coverage

        measuring = Coverage.current()
        assert measuring is not None, "run under coverage"
        measuring.switch_context(item.nodeid)
        self.sent.clear()
        began = time.monotonic()
        done = yield
        with self.path.open("a") as file:
            seconds = round(time.monotonic() - began, 3)
            file.write(json.dumps({"test": item.nodeid, "seconds": seconds, "sql": sorted(self.sent)}) + "\n")
        measuring.switch_context("")
        return done

    def _listen(self) -> None:
        import psycopg
        from psycopg import pq

        from jitui.adapters.postgres import batch

        send = batch._send

        def noting_send(pgconn: pq.abc.PGconn, calls: Sequence[batch.BatchCall]) -> list[bytes | None]:
            self.sent.update(made.sql.decode() for made, _ in calls)
            return send(pgconn, calls)

        batch._send = noting_send
        for cursor in (psycopg.AsyncCursor, psycopg.AsyncServerCursor):
            cursor.execute = self._noting(cursor.execute)  # type: ignore[method-assign, assignment]  # psycopg has no hook for this

    def _noting(self, execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def noting_execute(cursor: object, query: object, *args: object, **kwargs: object) -> Any:
            if isinstance(query, str):
                self.sent.add(query)
            return await execute(cursor, query, *args, **kwargs)

        return noting_execute


class OneMutant:
    """Runs only the wanted tests, the quickest files first, stops when the time is up, and says how it ended.

    The databases of all mutants are copies of one template, so that the schema is migrated once.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.wanted = {str(name): place for place, name in enumerate(job["tests"])}
        self.end = STARTED + float(str(job["seconds"]))
        self.folder = str(job["folder"])
        self.answer = Path(str(job["answer"]))
        self.failed = ""
        self.tried = self.ran = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        for plugin in session.config.pluginmanager.get_plugins():
            if hasattr(plugin, "migrated_template") and hasattr(plugin, "RUN"):
                session.config.stash[plugin.RUN] = self.folder
        placed = [(self._place(item), item) for item in items]
        items[:] = [item for place, item in sorted(placed, key=lambda pair: pair[0]) if place >= 0]
        self.tried = len(items)

    def _place(self, item: pytest.Item) -> int:
        """When it is tried; -1: not at all. A file stands for all its tests, and a test for all its parameters."""
        names = (item.nodeid, item.nodeid.partition("[")[0], item.nodeid.partition("::")[0])
        return next((self.wanted[name] for name in names if name in self.wanted), -1)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed = self.failed or f"collecting {report.nodeid}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ran += report.when == "call"
        if report.failed:
            self.failed = self.failed or report.nodeid

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        if time.monotonic() > self.end:
            item.session.shouldstop = "the time is up"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        left = self.tried - self.ran
        how = "killed" if self.failed else "survived" if left <= 0 else "unfinished"
        self.answer.write_text(json.dumps({"how": how, "by": self.failed, "ran": self.ran, "left": left}))
        os._exit(0)  # clearing up would drop the template of the next mutant
