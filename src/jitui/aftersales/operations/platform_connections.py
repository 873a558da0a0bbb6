"""Which commerce platforms are connected, and what a person says about a refund that was lost on the way to one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from jitui.aftersales.commands.failed_refund import latest_attempt
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.operations.platform_calls import PlatformCall
from jitui.aftersales.ports import RefundRef, Store

LATE = timedelta(minutes=5)
"""From when on a platform counts as not read in time: a worker reads every quarter of a minute, a large shop longer."""
LOST_AFTER = timedelta(minutes=15)
"""From when on a call without an answer is a person's matter: no call takes that long."""


@dataclass(frozen=True, slots=True)
class PlatformConnection:
    """A shop's platform. `secret_file`: where its key is. `settles`: a refund that waits for a person there is settled
    by us. `shop_id`: the shop here that its orders belong to.
    """

    platform: str
    url: str
    secret_file: str
    shop_id: str
    settles: bool
    connected_at: datetime
    connected_by: str


@dataclass(frozen=True, slots=True)
class NotDone:
    """Why nothing was changed, and what to do."""

    reason: str


@dataclass(frozen=True, slots=True)
class PlatformSeen:
    """A connected platform as it stands. `read_at`: when it was last read to its end; `problem`: why not since."""

    platform: str
    url: str
    shop_id: str
    connected_at: datetime
    read_at: datetime | None
    problem: str

    def unread_seconds(self, now: datetime) -> float:
        """For how long it was not read; since it was connected, where it never was."""
        return max(0.0, (now - (self.read_at or self.connected_at)).total_seconds())


class PlatformConnections(Protocol):
    """Where connections are kept. Each change is in the audit log."""

    async def all(self) -> list[PlatformConnection]:
        """Every connection, by the platform's name."""
        ...

    async def seen(self) -> list[PlatformSeen]:
        """Every connection, with how far it was read."""
        ...

    async def put(self, connection: PlatformConnection) -> None:
        """Keep a new connection, or the changed one of its platform."""
        ...

    async def remove(self, platform: str, *, by: str, now: datetime) -> bool:
        """Forget a connection; False where there was none."""
        ...

    async def unpaid(self, platform: str) -> int:
        """How many refunds of the platform are neither paid nor failed."""
        ...


async def connection_of(connections: PlatformConnections, platform: str) -> PlatformConnection | None:
    """The connection of a platform."""
    return next((one for one in await connections.all() if one.platform == platform), None)


def why_not_connected(known: PlatformConnection | None, new: PlatformConnection, known_url: str) -> NotDone | None:
    """Only the key and `settles` may differ from the connection that is there; `known_url`: its address, normalised."""
    if known is None or (known_url, known.shop_id) == (new.url, new.shop_id):
        return None
    return NotDone(
        f"{new.platform} is connected already, to {known.url} for the shop {known.shop_id}. "
        f"Disconnect it first: `jitui platform disconnect {new.platform}`."
    )


async def disconnect_platform(
    connections: PlatformConnections, platform: str, *, by: str, now: datetime
) -> NotDone | None:
    """Forget a connection through which no refund is on its way; orders and tickets stay."""
    if unpaid := await connections.unpaid(platform):
        return NotDone(
            f"{unpaid} refunds of {platform} are not paid yet. Let the worker pay them first, or settle those that "
            "failed: `jitui refunds list --provider` shows them."
        )
    if not await connections.remove(platform, by=by, now=now):
        return NotDone(f"{platform} is not connected.")
    return None


# Calls that were lost ------------------------------------------------------------------------------------------------


class LostCalls(Protocol):
    """The notes about calls. Each answer of a person is in the audit log."""

    async def call(self, attempt_id: UUID) -> PlatformCall | None:
        """The note about an attempt's call."""
        ...

    async def answer(self, attempt_id: UUID, *, made: bool, note: str, by: str, now: datetime) -> bool:
        """Keep what the person has seen: the refund was made, or the note goes, so that it is asked for again."""
        ...


async def resolve_lost_call(
    store: Store, calls: LostCalls, ref: RefundRef, *, made: bool, note: str, by: str, now: datetime
) -> NotDone | None:
    """A person has looked at the payment's gateway. `made`: the refund is there.

    Where it is not, the same attempt asks once more. Where it is, the refund fails with that reason, cannot be sent
    again, and is settled with the gateway's reference, by two people where the amount needs them.
    """
    snapshot = await store.read_order(ref)
    if snapshot is None:
        return NotDone("There is no such refund.")
    refund = next(one for one in snapshot.refunds if one.refund_id == ref.refund_id)
    attempt = latest_attempt(snapshot, refund)
    call = None if attempt is None else await calls.call(attempt.attempt_id)
    if refund.state is not RefundState.UNKNOWN or attempt is None or call is None:
        return NotDone(
            f"The refund is {refund.state.value}, and no call about it is lost: there is nothing to resolve."
        )
    if call.made_note is not None:
        return NotDone("Somebody has said already that the gateway made the refund; the worker takes it up.")
    if now < call.begun_at + LOST_AFTER:
        return NotDone(
            "The call is only a few minutes old, and may still be answered. Try again in a quarter of an hour."
        )
    await calls.answer(attempt.attempt_id, made=made, note=note, by=by, now=now)
    return None
