"""Chooses buyers by a hash that is equal on every machine: who is held out for comparison (R7), who is in a canary.

The two hashes have nothing in common, so a canary has the share of held-out buyers that everybody has.
"""

from __future__ import annotations

from hashlib import sha256

from jitui.policy.model import LoadedPolicy


def held_out(policy: LoadedPolicy, buyer_id: str) -> bool:
    """Whether this buyer's requests go to review for comparison. Versions with one seed hold out the same buyers."""
    return _is_in_share(f"{hold_out_seed(policy)}:{buyer_id}", policy.selection.hold_out_percent)


def hold_out_seed(policy: LoadedPolicy) -> str:
    """The seed of the experiment: the policy's own, else its id, by which the first experiments were drawn."""
    return policy.selection.seed or policy.id


def held_out_below(policy: LoadedPolicy) -> str | None:
    """The rule of `held_out` for SQL: a buyer is held out when the first 16 hex digits of the digest sort below this.

    None means every buyer.
    """
    bound = -(-(policy.selection.hold_out_percent << 64) // 100)
    return f"{bound:016x}" if bound < 1 << 64 else None


def drawn_for_canary(seed: str, percent: int, buyer_id: str) -> bool:
    """Whether a canary with this seed and share draws the buyer. A larger share of the same seed keeps all it had."""
    return _is_in_share(f"canary:{seed}:{buyer_id}", percent)


def _is_in_share(text: str, percent: int) -> bool:
    """Exact: of the 2**64 values of the hash, those below `percent` hundredths."""
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") * 100 >> 64 < percent
