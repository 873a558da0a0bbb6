"""Pauses: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from jitui.client.api.shared import Scope
from jitui.client.call import Call, Sent, Shown


class PauseAnswer(Shown, frozen=True, kw_only=True):
    """A pause in force."""

    scope: Scope
    ref: str
    reason: str
    set_by: str
    set_at: datetime


class PauseList(Shown, frozen=True, kw_only=True):
    """All pauses in force."""

    pauses: tuple[PauseAnswer, ...]


class PauseSent(Sent, frozen=True, kw_only=True):
    """Stops instant approvals for a place; `ref` is empty for the platform."""

    scope: Scope
    reason: str
    ref: str = ""


def set_pause(sent: PauseSent) -> Call[PauseAnswer]:
    """Pause instant refunds for a place.

    Every request there goes to review from the next one on. Idempotent by nature: a place is paused or it is not;
    pausing again replaces the reason. Keys of scope: platform. Permission: `pauses:write`.
    """
    return Call(
        operation="set_pause",
        method="POST",
        path="/v1/pauses",
        answer=PauseAnswer,
        statuses=(200,),
        body=sent,
        may_repeat=True,
    )


def list_pauses() -> Call[PauseList]:
    """List pauses. Keys of scope: platform. Permission: `pauses:read`."""
    return Call(
        operation="list_pauses",
        method="GET",
        path="/v1/pauses",
        answer=PauseList,
        statuses=(200,),
        may_repeat=True,
    )


def lift_pause(place: Literal["shop", "category", "item", "region"], ref: str) -> Call[None]:
    """Lift a pause.

    `place` is the scope: shop, category, item or region. 404 when nothing is paused there. Keys of scope: platform.
    Permission: `pauses:write`.
    """
    return Call(
        operation="lift_pause",
        method="DELETE",
        path="/v1/pauses/{place}/{ref}",
        answer=type(None),
        statuses=(204,),
        places={"place": place, "ref": ref},
        may_repeat=True,
    )


def lift_platform_pause() -> Call[None]:
    """Lift the pause of the whole platform. Keys of scope: platform. Permission: `pauses:write`."""
    return Call(
        operation="lift_platform_pause",
        method="DELETE",
        path="/v1/pauses/platform",
        answer=type(None),
        statuses=(204,),
        may_repeat=True,
    )
