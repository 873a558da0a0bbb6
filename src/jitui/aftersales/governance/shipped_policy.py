"""The policy that ships with Jitui."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from jitui.policy import Policy

DEFAULT_POLICY = "unshipped-instant-refund.yaml"


def default_policy() -> Policy:
    """The published rule (R3)."""
    in_package = resources.files("jitui") / "policies" / DEFAULT_POLICY
    if in_package.is_file():
        return Policy.from_text(in_package.read_text(encoding="utf-8"), DEFAULT_POLICY)
    return Policy.from_file(Path(__file__).parents[4] / "policies" / DEFAULT_POLICY)
