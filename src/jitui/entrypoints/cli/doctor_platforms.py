"""What `jitui doctor` says of a connected commerce platform: whether it takes our key, and how old what we know is."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from jitui.entrypoints.cli.doctor_operations import RUN_A_WORKER, DoctorFinding, Level

if TYPE_CHECKING:
    from datetime import datetime

    from jitui.adapters.postgres.pool import Pool
    from jitui.settings import Settings

LATE = timedelta(minutes=5)
"""A worker reads every quarter of a minute; a shop of many orders takes longer."""
_PAGE = "docs/how-to/connect-vendure.md says what it needs."


async def platforms(settings: Settings, pool: Pool, now: datetime) -> tuple[DoctorFinding, ...]:
    """One finding for each platform that is configured."""
    from jitui.adapters.postgres.platform_states import PostgresPlatformStates
    from jitui.bootstrap_platforms import vendure
    from jitui.errors import NotConfigured

    async with AsyncExitStack() as stack:
        try:
            one = await vendure(settings, stack)
        except NotConfigured as error:
            return (DoctorFinding("Vendure", Level.MISSING, str(error), _PAGE),)
        if one is None:
            return ()
        source, _ = one
        problem = await source.check()
        if problem is not None:
            return (DoctorFinding("Vendure", Level.FAILED, problem, _PAGE),)
        state = await PostgresPlatformStates(pool).state(source.name)
        return (_lag(state.synced_at, state.problem, now),)


def _lag(synced_at: datetime | None, problem: str, now: datetime) -> DoctorFinding:
    if synced_at is None:
        return DoctorFinding("Vendure", Level.FAILED, problem or "its orders were never read to the end", RUN_A_WORKER)
    age = now - synced_at
    found = f"it answers, takes our key, and was read {age.total_seconds():.0f} s ago"
    if age <= LATE:
        return DoctorFinding("Vendure", Level.OK, found)
    return DoctorFinding("Vendure", Level.FAILED, f"{found}. {problem}".rstrip(), RUN_A_WORKER)
