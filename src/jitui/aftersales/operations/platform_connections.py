"""Which commerce platforms are connected, and what a person says about a refund that was lost on the way to one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from jitui.aftersales.commands.failed_refund import latest_attempt
from jitui.aftersales.model.refund import Attempt, Refund, RefundState
from jitui.aftersales.operations.platform_calls import PlatformCall
from jitui.aftersales.ports import RefundRef, Store
from jitui.aftersales.queries import PlatformSeen

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
        waiting = "1 refund" if unpaid == 1 else f"{unpaid} refunds"
        return NotDone(
            f"{waiting} of {platform} {'is' if unpaid == 1 else 'are'} not paid yet. Let the worker pay first: "
            f"`jitui refunds list --provider {platform}` lists them, and `jitui refunds show REFUND` says what one "
            "waits for."
        )
    if not await connections.remove(platform, by=by, now=now):
        return NotDone(f"{platform} is not connected.")
    return None


# Calls that were lost ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """What a person has said about a lost call: whether the payment's gateway has the refund, and what they saw."""

    made: bool
    note: str
    by: str
    at: datetime


class CallStanding(StrEnum):
    """How a refund stands that was asked for at a platform while its outcome is not known.

    A person says what became of one that is `lost`; one that is `made` is taken up by the worker.
    """

    ON_ITS_WAY = "on_its_way"
    LOST = "lost"
    MADE = "made"


@dataclass(frozen=True, slots=True)
class CallSeen:
    """A refund's call to a platform, by our note, and what people have said; `standing`: None where none is open."""

    standing: CallStanding | None = None
    asked_at: datetime | None = None
    answers: tuple[GatewayAnswer, ...] = ()


class LostCalls(Protocol):
    """The notes about calls. Each answer of a person is in the audit log."""

    async def lost(self, begun_by: datetime) -> Collection[UUID]:
        """The refunds whose outcome is not known, that were asked for by then, and of which nobody has said more."""
        ...

    async def answers(self, attempts: Collection[UUID]) -> Sequence[GatewayAnswer]:
        """What people have said about the attempts' calls, oldest first."""
        ...

    async def call(self, attempt_id: UUID) -> PlatformCall | None:
        """The note about an attempt's call."""
        ...

    async def answer(self, attempt_id: UUID, *, made: bool, note: str, by: str, now: datetime) -> bool:
        """Keep what the person has seen: the refund was made, or the note goes, so that it is asked for again."""
        ...


async def read_call(calls: LostCalls, refund: Refund, attempts: Sequence[Attempt], now: datetime) -> CallSeen:
    """The refund's call, whatever the last look-up said; an empty one where it was never asked for at a platform."""
    latest = max(attempts, key=lambda attempt: attempt.attempt_no, default=None)
    call = None if latest is None else await calls.call(latest.attempt_id)
    said = tuple(await calls.answers([attempt.attempt_id for attempt in attempts]))
    if call is None:
        return CallSeen(answers=said)
    return CallSeen(standing_of(refund, call, now), call.begun_at, said)


def standing_of(refund: Refund, call: PlatformCall, now: datetime) -> CallStanding | None:
    """How the call stands; None where the outcome is known."""
    if refund.state is not RefundState.UNKNOWN:
        return None
    if call.made_note is not None:
        return CallStanding.MADE
    return CallStanding.ON_ITS_WAY if now < call.begun_at + LOST_AFTER else CallStanding.LOST


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
    standing = None if call is None else standing_of(refund, call, now)
    if attempt is None or standing is None:
        return NotDone(
            f"The refund is {refund.state.value}, and no call about it is lost: there is nothing to resolve."
        )
    if standing is CallStanding.MADE:
        return NotDone("Somebody has said already that the gateway made the refund; the worker takes it up.")
    if standing is CallStanding.ON_ITS_WAY:
        return NotDone(
            "The call is only a few minutes old, and may still be answered. Try again in a quarter of an hour."
        )
    await calls.answer(attempt.attempt_id, made=made, note=note, by=by, now=now)
    return None
