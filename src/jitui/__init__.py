"""Instant refund before shipment: one policy decides, the money goes back exactly once, the ticket says why.

As a library: `Policy.from_file("policy.yaml")`, then `decide(policy, facts)` and `explain(decision)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jitui.policy import Policy as Policy
    from jitui.policy import PolicyRefused as PolicyRefused
    from jitui.policy import decide as decide
    from jitui.policy import explain as explain

__all__ = ["Policy", "PolicyRefused", "decide", "explain"]


def __getattr__(name: str) -> object:
    """Import the policy layer when it is first used: `import jitui` alone loads nothing."""
    if name in ("Policy", "PolicyRefused", "decide", "explain"):
        from jitui import policy

        return getattr(policy, name)
    raise AttributeError(f"module 'jitui' has no attribute {name!r}")
