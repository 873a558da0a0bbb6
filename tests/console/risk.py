"""Buyers and shops in every state that risk decides about, for tests of their pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from jitui.aftersales.governance.complaint import Complaint
from jitui.aftersales.governance.gates import GateRules, Recomputing, recompute_places
from jitui.aftersales.governance.linked_accounts import IdentityLink, LinkKind
from jitui.aftersales.governance.registry import Coverage, Scope, Shop
from jitui.aftersales.outcomes import Refusal
from jitui.identity.people import Person
from jitui.ids import lane_of, new_id
from tests.aftersales.gating import gated_policy
from tests.console.marketplace import NEWCOMER, OTHER_SHOP, PREMIUM, SHOP, Marketplace
from tests.console.policies import enrolled

LONG_REASON = "近 30 天内多次在发货前取消订单，且与多家店铺发生纠纷" * 6


@dataclass(frozen=True)
class AtRisk:
    """What the pages show: a restriction with an open appeal, one to be confirmed, an open complaint."""

    contested: UUID
    appeal: UUID
    complaint: UUID


async def complained(market: Marketplace, shop_id: str = SHOP.subject_id, reason: str = "罢工不应计入") -> UUID:
    """An open complaint of a shop; its id."""
    service, now = market.service, market.service.clock()
    answer_by = now + service.settings.complaints_answer_within
    made = await service.complaints.make(Complaint(new_id(lane_of(shop_id)), shop_id, reason, "shan", now, answer_by))
    assert not isinstance(made, Refusal)
    return made.complaint_id


async def linked(market: Marketplace, *buyer_ids: str) -> None:
    """These buyers used one device."""
    service, now = market.service, market.service.clock()
    await service.linked_accounts.add([IdentityLink(one, LinkKind.DEVICE, "a" * 40, now) for one in buyer_ids], now)
    await service.linked_accounts.join_new(now)


async def gated(market: Marketplace, shop: Person, **attributes: int) -> None:
    """The gates of a policy are computed for a shop that the platform described so."""
    service, now = market.service, market.service.clock()
    await service.registry.put_shop(Shop(shop.subject_id, shop.display_name, dict(attributes)), now)
    await service.feed.roll_up(now)
    rules = GateRules(gated_policy("leave_after: 2d", "leave_after: 1d"), 99, service.settings.time_zone)
    await recompute_places(service.gates, rules, [shop.subject_id], Recomputing(now, "li.na"))


async def risk_at_work(market: Marketplace) -> AtRisk:
    """Restrictions, appeals, linked accounts, complaints and places in their states; two people approve."""
    await enrolled(market)
    service, now = market.service, market.service.clock()
    contested = await market.restricted(NEWCOMER, by="ada")
    appeal = await market.contested(NEWCOMER, contested)
    await market.contested(NEWCOMER, await market.restricted(NEWCOMER), upheld=True)
    await linked(market, NEWCOMER.subject_id, PREMIUM.subject_id)
    await service.policies.end_single_person(by="tests", now=now)
    await market.restricted(PREMIUM, by="bo")
    complaint = await complained(market)
    await gated(market, SHOP, experience_score=40, secret_score=12)
    await gated(market, OTHER_SHOP, experience_score=65, secret_score=950)
    await service.registry.set_coverage(Coverage(Scope.CATEGORY, "outdoor", False, LONG_REASON, "ada", now))
    await complained(market, OTHER_SHOP.subject_id, LONG_REASON)
    await service.registry.set_coverage(
        Coverage(Scope.ITEM, "item-" + "8" * 60, True, "已整改", "bo", now - timedelta(days=1))
    )
    return AtRisk(contested, appeal, complaint)
