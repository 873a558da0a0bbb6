"""Who lifts a restriction, covers a place, or allows a buyer, by hand: all let more money out.

Where two people approve, one proposes it and another one approves, and the approval does it (I8).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from jitui.aftersales.governance.policies import Policies
from jitui.aftersales.governance.proposals import (
    AllowBuyerContent,
    CoverContent,
    LiftRestrictionContent,
    Proposal,
    ProposalKind,
    Proposals,
    Proposed,
    propose_once,
)
from jitui.aftersales.governance.publishing import NotAlone
from jitui.aftersales.governance.registry import Coverage, Registry, Scope, Selection


class LoosenRefusal(StrEnum):
    """Why nothing was loosened."""

    NOT_RESTRICTED = "not_restricted"
    COVERED_BY_HAND = "covered_by_hand"
    NOTHING_SET = "nothing_set"
    ALLOWED_ALREADY = "allowed_already"


@dataclass(frozen=True, slots=True)
class CoverWish:
    """A place that is to be covered, for a reason that the merchant reads; `unset`: the gates decide on it again."""

    scope: Scope
    ref: str
    unset: bool = False


async def lift_restriction(
    registry: Registry, policies: Policies, restriction_id: UUID, *, by: str, now: datetime, reason: str
) -> LoosenRefusal | NotAlone | None:
    """Lift a restriction where one person is enough; None: it was lifted."""
    found = await registry.restriction(restriction_id)
    if found is None or not found.stands(now):
        return LoosenRefusal.NOT_RESTRICTED
    if not await policies.single_person():
        return NotAlone.NEEDS_SECOND_PERSON
    lifted = await registry.lift_restriction(restriction_id, now, by=by, reason=reason)
    return None if lifted else LoosenRefusal.NOT_RESTRICTED


async def propose_lifting(
    registry: Registry, proposals: Proposals, restriction_id: UUID, *, by: str, now: datetime, reason: str
) -> Proposal | LoosenRefusal:
    """Propose that a restriction is lifted; a second person's approval lifts it. Said again it is the same proposal."""
    found = await registry.restriction(restriction_id)
    if found is None or not found.stands(now):
        return LoosenRefusal.NOT_RESTRICTED
    # Nothing of the buyer: an erasure takes the buyer's id out of the restriction, and a proposal never changes.
    what = Proposed(
        kind=ProposalKind.LIFT_RESTRICTION,
        subject=f"restriction {restriction_id}",
        content=LiftRestrictionContent(restriction_id),
        evidence={"restricted_by": found.set_by, "starts_at": found.starts_at, "ends_at": found.ends_at},
    )
    return await propose_once(proposals, what, by=by, now=now, reason=reason)


async def set_coverage(registry: Registry, policies: Policies, row: Coverage) -> NotAlone | None:
    """Take a place out, or cover it where one person is enough; None: it was done."""
    if row.covered and not await policies.single_person():
        return NotAlone.NEEDS_SECOND_PERSON
    await registry.set_coverage(row)
    return None


async def unset_coverage(
    registry: Registry, policies: Policies, place: tuple[Scope, str], *, by: str, now: datetime
) -> LoosenRefusal | NotAlone | None:
    """Let the gates decide again where one person is enough; None: it was done."""
    standing = await registry.find_coverage(*place)
    if standing is None or standing.by_gate is not None:
        return LoosenRefusal.NOTHING_SET
    if not await policies.single_person():
        return NotAlone.NEEDS_SECOND_PERSON
    done = await registry.unset_coverage(*place, by=by, now=now)
    return None if done else LoosenRefusal.NOTHING_SET


async def propose_cover(
    registry: Registry, proposals: Proposals, wish: CoverWish, *, by: str, now: datetime, reason: str
) -> Proposal | LoosenRefusal:
    """Propose that a place is covered, or that the gates decide on it again; a second person's approval does it.

    It is approved for the place as it stands: what somebody sets there meanwhile is a change.
    """
    standing = await registry.find_coverage(wish.scope, wish.ref)
    by_hand = standing is not None and standing.by_gate is None
    if wish.unset and not by_hand:
        return LoosenRefusal.NOTHING_SET
    if not wish.unset and standing is not None and by_hand and standing.covered:
        return LoosenRefusal.COVERED_BY_HAND
    stands_since = None if standing is None else standing.set_at
    evidence: dict[str, object] = {"unset": wish.unset}
    if standing is not None:
        evidence |= {"covered": standing.covered, "set_by": standing.set_by, "set_for": standing.reason}
    what = Proposed(
        kind=ProposalKind.COVER,
        subject=f"{wish.scope} {wish.ref}".strip(),
        content=CoverContent(wish.scope.value, wish.ref, reason, wish.unset, stands_since),
        evidence=evidence,
    )
    return await propose_once(proposals, what, by=by, now=now, reason=reason)


async def select_buyer(registry: Registry, policies: Policies, row: Selection) -> UUID | NotAlone:
    """Deny a buyer, or allow one where one person is enough; the entry's id."""
    if row.verdict == "allow" and not await policies.single_person():
        return NotAlone.NEEDS_SECOND_PERSON
    return await registry.select(row)


async def propose_allowing(
    registry: Registry, proposals: Proposals, row: Selection, *, by: str, now: datetime
) -> Proposal | LoosenRefusal:
    """Propose that a buyer is put on the allow list; a second person's approval does it.

    It is approved for the lists as they stand: a buyer who is denied meanwhile stays denied.
    """
    standing = await registry.selection_of(row.buyer_id)
    if standing is not None and standing.verdict == "allow":
        return LoosenRefusal.ALLOWED_ALREADY
    selection_id = await registry.propose_selection(row)
    # Nothing of the buyer, as of a restriction that is to be lifted.
    what = Proposed(
        kind=ProposalKind.ALLOW_BUYER,
        subject=f"selection {selection_id}",
        content=AllowBuyerContent(selection_id, None if standing is None else standing.set_at),
        evidence={"denied_by": standing.set_by} if standing is not None else {},
    )
    return await propose_once(proposals, what, by=by, now=now, reason=row.reason)
