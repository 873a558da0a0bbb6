"""Service: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from jitui.client.call import Call, Shown


class AliveAnswer(Shown, frozen=True, kw_only=True):
    """The process answers."""

    status: str


class ReadyAnswer(Shown, frozen=True, kw_only=True):
    """Whether requests can be served, and whether a worker is running.

    `degraded`: `worker_ended` or `usage_unknown`. `roll_up_age_seconds`: the age of the caps' usage.
    """

    ready: bool
    database: bool
    migrated: bool
    worker: bool
    degraded: tuple[str, ...]
    roll_up_age_seconds: float | None


def healthz() -> Call[AliveAnswer]:
    """Is the process alive. Public; a key is not needed."""
    return Call(
        operation="healthz",
        method="GET",
        path="/healthz",
        answer=AliveAnswer,
        statuses=(200,),
        may_repeat=True,
    )


def readyz() -> Call[ReadyAnswer]:
    """Can requests be served.

    503 while the database does not answer or is not migrated. `worker` is false, and `degraded` says why, while the
    worker beside this process has ended (`worker_ended`, it is started again) or no worker anywhere has rolled up in
    time (`usage_unknown`); requests are taken all the same. The age of the rolled-up cap usage is told: past ten
    seconds (a setting) it counts as unknown, and requests under such caps go to review. Public; a key is not needed.
    """
    return Call(
        operation="readyz",
        method="GET",
        path="/readyz",
        answer=ReadyAnswer,
        statuses=(200,),
        may_repeat=True,
    )
