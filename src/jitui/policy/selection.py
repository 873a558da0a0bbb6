"""Chooses the buyers who are held out for comparison: a fixed share, by a hash that is equal on every machine (R7)."""

from __future__ import annotations

from hashlib import sha256

from jitui.policy.model import LoadedPolicy


def held_out(policy: LoadedPolicy, buyer_id: str) -> bool:
    """Whether this buyer's requests go to review for comparison. All versions of a policy hold out the same buyers."""
    digest = sha256(f"{policy.id}:{buyer_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * 100 >> 64 < policy.selection.hold_out_percent


def held_out_below(policy: LoadedPolicy) -> str | None:
    """The rule of `held_out` for SQL: a buyer is held out when the first 16 hex digits of the digest sort below this.

    None means every buyer.
    """
    bound = -(-(policy.selection.hold_out_percent << 64) // 100)
    return f"{bound:016x}" if bound < 1 << 64 else None
