"""Which buyers are held out for comparison: a stable share by hash, the same on every machine (R7)."""

from __future__ import annotations

from hashlib import sha256

from jitui.policy.model import LoadedPolicy


def held_out(policy: LoadedPolicy, buyer_id: str) -> bool:
    """Whether this buyer's requests go to review for comparison; stays for all versions of the policy."""
    digest = sha256(f"{policy.id}:{buyer_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * 100 >> 64 < policy.selection.hold_out_percent


def held_out_below(policy: LoadedPolicy) -> str | None:
    """The same rule for a query: held out are the digests whose first sixteen hex digits sort below this; None: all."""
    bound = -(-(policy.selection.hold_out_percent << 64) // 100)
    return f"{bound:016x}" if bound < 1 << 64 else None
