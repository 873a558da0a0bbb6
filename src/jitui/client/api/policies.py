"""Policies: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from jitui.client.call import Call, ListCall, Shown


class PolicyAnswer(Shown, frozen=True, kw_only=True):
    """A published policy: its public conditions; the document only for the platform."""

    policy_id: str
    version: str
    title: Mapping[str, str]
    legal_basis: Mapping[str, str]
    effective_from: datetime
    published_at: datetime
    conditions: tuple[PublicCondition, ...]
    notice: Mapping[str, str]
    document: str | None = None


class PolicyList(Shown, frozen=True, kw_only=True):
    """A page of published versions, newest first; the newest is in force. `next` is null on the last page."""

    policies: tuple[PolicyAnswer, ...]
    next: str | None


class PublicCondition(Shown, frozen=True, kw_only=True):
    """A published condition."""

    id: str
    text: Mapping[str, str]


def get_current_policy() -> Call[PolicyAnswer]:
    """Read the policy in force.

    Public: the published conditions. A platform key reads the document too. Public; a key is not needed.
    """
    return Call(
        operation="get_current_policy",
        method="GET",
        path="/v1/policies/current",
        answer=PolicyAnswer,
        statuses=(200,),
        may_repeat=True,
    )


def list_policies(*, cursor: str | None = None, limit: int | None = None) -> ListCall[PolicyList, PolicyAnswer]:
    """List published policies.

    Public: the published conditions and their earlier versions, newest first, by pages. Public; a key is not needed.
    """
    return ListCall(
        operation="list_policies",
        method="GET",
        path="/v1/policies",
        answer=PolicyList,
        statuses=(200,),
        query={"cursor": cursor, "limit": limit},
        may_repeat=True,
        rows="policies",
    )
