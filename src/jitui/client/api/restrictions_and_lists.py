"""Restrictions and lists: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from jitui.client.call import Call, Sent, Shown, new_idempotency_key


class RestrictionAnswer(Shown, frozen=True, kw_only=True):
    """A restriction of a buyer."""

    restriction_id: UUID
    buyer_id: str
    reason: str
    starts_at: datetime
    ends_at: datetime | None
    lifted_at: datetime | None
    set_by: str


class RestrictionList(Shown, frozen=True, kw_only=True):
    """A buyer's restrictions, newest first, also past ones."""

    restrictions: tuple[RestrictionAnswer, ...]


class RestrictionSent(Sent, frozen=True, kw_only=True):
    """Withdraw the service from a buyer; without `ends_at` until it is lifted."""

    buyer_id: str
    reason: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class SelectionAnswer(Shown, frozen=True, kw_only=True):
    """A buyer on one of the platform's lists."""

    buyer_id: str
    verdict: str
    reason: str
    set_by: str
    set_at: datetime


class SelectionSent(Sent, frozen=True, kw_only=True):
    """Put a buyer on the allow or the deny list."""

    verdict: Literal["allow", "deny"]
    reason: str = ""


def restrict_buyer(sent: RestrictionSent, *, idempotency_key: str | None = None) -> Call[RestrictionAnswer]:
    """Restrict a buyer.

    With an Idempotency-Key the restriction's id follows from the key and the buyer. Keys of scope: platform.
    Permission: `restrictions:write`.
    """
    return Call(
        operation="restrict_buyer",
        method="POST",
        path="/v1/restrictions",
        answer=RestrictionAnswer,
        statuses=(201,),
        body=sent,
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )


def list_restrictions(*, buyer_id: str) -> Call[RestrictionList]:
    """List a buyer's restrictions. Keys of scope: platform. Permission: `restrictions:read`."""
    return Call(
        operation="list_restrictions",
        method="GET",
        path="/v1/restrictions",
        answer=RestrictionList,
        statuses=(200,),
        query={"buyer_id": buyer_id},
        may_repeat=True,
    )


def lift_restriction(restriction_id: UUID) -> Call[None]:
    """Lift a restriction.

    404 when no such restriction stands, also when it was lifted already. Keys of scope: platform. Permission:
    `restrictions:write`.
    """
    return Call(
        operation="lift_restriction",
        method="POST",
        path="/v1/restrictions/{restriction_id}/lift",
        answer=type(None),
        statuses=(204,),
        places={"restriction_id": restriction_id},
    )


def select_buyer(buyer_id: str, sent: SelectionSent) -> Call[SelectionAnswer]:
    """Put a buyer on a list.

    `allow` overrides the hold-out, `deny` sends every request to review. Keys of scope: platform. Permission:
    `restrictions:write`.
    """
    return Call(
        operation="select_buyer",
        method="PUT",
        path="/v1/selection/{buyer_id}",
        answer=SelectionAnswer,
        statuses=(200,),
        places={"buyer_id": buyer_id},
        body=sent,
        may_repeat=True,
    )
