"""The policy that ships with Jitui."""

from __future__ import annotations

from jitui.aftersales.commands.shipped_policies import shipped_policy
from jitui.policy import Policy

DEFAULT_POLICY = "unshipped-instant-refund.yaml"


def default_policy() -> Policy:
    """The published rule (R3)."""
    return shipped_policy(DEFAULT_POLICY)
