"""What `jitui doctor` says of notices: the mail server, the platform's address book, and what was given up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from jitui.entrypoints.cli.doctor_operations import DoctorFinding, Level

if TYPE_CHECKING:
    from jitui.settings import Settings

_PAGE = "docs/how-to/send-notices.md"


class _Checked(AbstractAsyncContextManager[object], Protocol):
    async def check(self) -> str | None: ...


def sending(settings: Settings) -> Iterator[DoctorFinding]:
    """Two findings where notices are on: a connection is made to each, and nothing is sent."""
    from jitui.bootstrap_sending import address_book, sends_notices, smtp_mailer
    from jitui.errors import NotConfigured

    try:
        on = sends_notices(settings)
    except NotConfigured as error:
        yield DoctorFinding("notices", Level.MISSING, str(error), f"{_PAGE} says how.")
        return
    if not on:
        codes = "JITUI_ADDRESS_BOOK_URL is not set: mail has codes of refund pages alone"
        found = "not configured: nobody gets mail" if settings.smtp_host is None else codes
        yield DoctorFinding("notices", Level.ABSENT, found, f"{_PAGE} says how.")
        return
    where = f"{settings.smtp_host}:{settings.smtp_port}"
    yield _found("mail server", smtp_mailer(settings), f"{where} would take mail from {settings.mail_from}")
    yield _found("address book", address_book(settings), "it answers, and takes our key")


def _found(what: str, checked: _Checked, good: str) -> DoctorFinding:
    wrong = asyncio.run(_check(checked))
    if wrong is not None:
        return DoctorFinding(what, Level.FAILED, wrong, f"{_PAGE} says what it needs.")
    return DoctorFinding(what, Level.OK, good)


async def _check(checked: _Checked) -> str | None:
    async with checked:
        return await checked.check()


async def given_up(url: str) -> DoctorFinding:
    """Red while a task about notices is open."""
    from jitui.adapters.postgres.notices import PostgresNoticeQueue
    from jitui.adapters.postgres.pool import make_pool
    from jitui.adapters.postgres.tasks import PostgresTasks
    from jitui.aftersales.model.task import TaskFilter, TaskKind, TaskState

    async with make_pool(url, max_size=1) as pool:
        backlog, tasks = await PostgresNoticeQueue(pool).backlog(), PostgresTasks(pool)
        kinds = (TaskKind.NOTICE_DEAD, TaskKind.NOTICE_UNKNOWN)
        told = [task for kind in kinds for task in await tasks.list(TaskFilter(TaskState.OPEN, kind=kind))]
    found = f"{backlog.pending} wait, {backlog.dead} given up, {backlog.unknown} of which nobody knows"
    if told:
        mend = "`jitui notices list --state dead` says why; mend it, `jitui notices retry`, then resolve the tasks."
        return DoctorFinding("notices that wait", Level.FAILED, found, mend)
    return DoctorFinding("notices that wait", Level.OK, found)
