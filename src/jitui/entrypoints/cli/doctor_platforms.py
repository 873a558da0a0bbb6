"""What `jitui doctor` says of a connected commerce platform: whether it takes our key, and how old what we know is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jitui.entrypoints.cli.doctor_operations import RUN_A_WORKER, DoctorFinding, Level, age_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from jitui.aftersales.operations.platform_connections import PlatformConnection
    from jitui.aftersales.queries import PlatformSeen, WorkerSeen
    from jitui.settings import Settings

UNTIL_STARTED_AGAIN = (
    "A process takes up a changed connection or key when it starts: start the workers and servers again."
)


async def platforms(
    connections: Iterable[PlatformConnection],
    seen: Iterable[PlatformSeen],
    workers: Sequence[WorkerSeen],
    settings: Settings,
    now: datetime,
) -> tuple[DoctorFinding, ...]:
    """One finding for each platform that is connected."""
    standing = {one.platform: one for one in seen}
    return tuple([await _platform(one, standing[one.platform], workers, settings, now) for one in connections])


async def _platform(
    connection: PlatformConnection,
    seen: PlatformSeen,
    workers: Sequence[WorkerSeen],
    settings: Settings,
    now: datetime,
) -> DoctorFinding:
    from jitui.aftersales.operations.conditions import started_before
    from jitui.bootstrap_platforms import access_of, changed_at, check_access
    from jitui.errors import NotConfigured

    name, page = connection.platform, f"docs/how-to/connect-{connection.platform}.md says what it needs."
    try:
        problem = await check_access(name, access_of(connection, settings))
    except NotConfigured as error:
        return DoctorFinding(name, Level.MISSING, f"{error} {unread(seen, now)}", page)
    if problem is not None:
        return DoctorFinding(name, Level.FAILED, f"{problem} {unread(seen, now)}", page)
    if older := started_before(workers, changed_at(connection)):
        found = f"it answers, and takes our key, but the connection was changed after {', '.join(older)} started"
        return DoctorFinding(name, Level.FAILED, found, UNTIL_STARTED_AGAIN)
    return _lag(name, seen, now)


def unread(seen: PlatformSeen, now: datetime) -> str:
    """Since when nothing is known of its orders, and what that means."""
    since = seen.unread_since.isoformat(timespec="seconds")
    never = "" if seen.read_at is not None else "It was never read to its end; it was connected at "
    told = f"{never}{since}" if never else f"It was last read at {since}"
    return f"{told}, {age_of(now, seen.unread_since)} ago. Until it is read its buyers cannot ask for refunds."


def _lag(name: str, seen: PlatformSeen, now: datetime) -> DoctorFinding:
    from jitui.aftersales.operations.platform_connections import LATE

    if seen.read_at is None:
        found = seen.problem or "its orders were never read to the end"
        return DoctorFinding(name, Level.FAILED, found, RUN_A_WORKER)
    found = f"it answers, takes our key, and was read {seen.unread_seconds(now):.0f} s ago"
    if now - seen.read_at <= LATE:
        return DoctorFinding(name, Level.OK, found)
    return DoctorFinding(name, Level.FAILED, f"{found}. {seen.problem} {unread(seen, now)}", RUN_A_WORKER)
