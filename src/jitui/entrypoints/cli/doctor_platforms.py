"""What `jitui doctor` says of a connected commerce platform: whether it takes our key, and how old what we know is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jitui.entrypoints.cli.doctor_operations import RUN_A_WORKER, DoctorFinding, Level

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from jitui.adapters.postgres.pool import Pool
    from jitui.aftersales.operations.platform_connections import PlatformConnection
    from jitui.settings import Settings


async def platforms(
    connections: Iterable[PlatformConnection], settings: Settings, pool: Pool, now: datetime
) -> tuple[DoctorFinding, ...]:
    """One finding for each platform that is connected."""
    return tuple([await _platform(one, settings, pool, now) for one in connections])


async def _platform(connection: PlatformConnection, settings: Settings, pool: Pool, now: datetime) -> DoctorFinding:
    from jitui.adapters.postgres.platform_states import PostgresPlatformStates
    from jitui.bootstrap_platforms import access_of, check_access
    from jitui.errors import NotConfigured

    name, page = connection.platform, f"docs/how-to/connect-{connection.platform}.md says what it needs."
    try:
        problem = await check_access(name, access_of(connection, settings))
    except NotConfigured as error:
        return DoctorFinding(name, Level.MISSING, str(error), page)
    if problem is not None:
        return DoctorFinding(name, Level.FAILED, problem, page)
    state = await PostgresPlatformStates(pool).state(name)
    return _lag(name, state.synced_at, state.problem, now)


def _lag(name: str, synced_at: datetime | None, problem: str, now: datetime) -> DoctorFinding:
    from jitui.aftersales.operations.platform_connections import LATE

    if synced_at is None:
        return DoctorFinding(name, Level.FAILED, problem or "its orders were never read to the end", RUN_A_WORKER)
    age = now - synced_at
    found = f"it answers, takes our key, and was read {age.total_seconds():.0f} s ago"
    if age <= LATE:
        return DoctorFinding(name, Level.OK, found)
    return DoctorFinding(name, Level.FAILED, f"{found}. {problem}".rstrip(), RUN_A_WORKER)
