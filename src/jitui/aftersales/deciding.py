"""Which policy decides for a buyer: the live one, or that of a canary. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from jitui.policy import Policy, drawn_for_canary, held_out


@dataclass(frozen=True, slots=True)
class Canary:
    """The policy that decides for a share of the buyers, drawn by a hash with a seed of its own."""

    policy: Policy
    percent: int
    seed: str


@dataclass(frozen=True, slots=True)
class BuyersPolicy:
    """The policy that decides for one buyer, whole: conditions, caps, deadline, notice.

    `in_canary`: the canary's share has the buyer. `shadow` decides beside the live policy and changes nothing.
    """

    policy: Policy
    in_canary: bool = False
    shadow: Policy | None = None


@dataclass(frozen=True, slots=True)
class Deciding:
    """The compiled policies that decide at a moment."""

    live: Policy
    canary: Canary | None = None
    shadow: Policy | None = None

    def for_buyer(self, buyer_id: str) -> BuyersPolicy:
        """The policy that decides for this buyer, by hashes alone, so it is known before anything is read.

        The hold-out comes first: whom the live policy holds out, no canary takes (R7). A shadow stands beside the live
        policy, so nothing is compared for the canary's buyers.
        """
        canary = self.canary
        if (
            canary is not None
            and drawn_for_canary(canary.seed, canary.percent, buyer_id)
            and not held_out(self.live, buyer_id)
        ):
            return BuyersPolicy(canary.policy, in_canary=True)
        return BuyersPolicy(self.live, shadow=self.shadow)
