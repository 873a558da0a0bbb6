"""The part of a policy that everybody may read (R16); it is stored when the policy is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from jitui.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class PublishedCondition:
    """A published condition, as a sentence."""

    id: str
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PublicPolicy:
    """The public part of a policy; `other_factors`: the policy has conditions that are not public."""

    policy_id: str
    version: str
    title: Mapping[str, str]
    legal_basis: Mapping[str, str]
    effective_from: datetime
    notice: Mapping[str, str]
    conditions: tuple[PublishedCondition, ...]
    other_factors: bool
    deadline_seconds: int
    on_timeout: str


def public_view(policy: Policy) -> PublicPolicy:
    """The public part of a policy."""
    return PublicPolicy(
        policy_id=policy.id,
        version=policy.version,
        title=policy.title,
        legal_basis=policy.legal_basis,
        effective_from=policy.effective_from,
        notice=policy.notice,
        conditions=tuple(PublishedCondition(one.id, one.text) for one in policy.conditions if one.public),
        other_factors=any(not one.public for one in policy.conditions),
        deadline_seconds=policy.review.deadline_seconds,
        on_timeout=policy.review.on_timeout,
    )
