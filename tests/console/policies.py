"""People who write and approve policies, and policies at every step of their lives, for tests of their pages."""

from __future__ import annotations

from datetime import timedelta

from jitui.aftersales.governance.proposals import PolicyWish, Proposal, propose
from jitui.aftersales.governance.publication import Stage
from jitui.aftersales.governance.publishing import Candidate
from jitui.aftersales.governance.registry import Pause, Scope
from jitui.bootstrap import default_policy
from jitui.identity.access import Role
from jitui.identity.people import Person, enrol
from jitui.policy import Policy
from tests.console.marketplace import Marketplace
from tests.publishing import put

ADA = Person("ada", Role.RISK, "", "Ada", {"zh": "写策略", "en": "Writes policies"}, True)
BO = Person("bo", Role.RISK, "", "Bo", {"zh": "审批策略", "en": "Approves policies"}, True)
LIVE = default_policy()
NEXT = LIVE.text.replace('version: "2"', 'version: "3"').replace("limit_minor: 30000", "limit_minor: 20000")


async def enrolled(market: Marketplace) -> None:
    """Both can sign in."""
    for person in (ADA, BO):
        await enrol(market.service.people, person, None, now=market.service.clock())


async def policies_at_work(market: Marketplace) -> list[str]:
    """A canary, a shadow, a scheduled text, a proposal, a pause and a change to be confirmed; the pages of some."""
    await enrolled(market)
    service, now = market.service, market.service.clock()
    numbered = {number: Policy.from_text(NEXT.replace('"3"', f'"{number}"')) for number in (3, 4, 5)}
    await put(service.policies, numbered[3], now=now, stage=Stage.CANARY, percent=5, seed="a")
    await put(service.policies, numbered[4], now=now, stage=Stage.SHADOW)
    wish = PolicyWish(Candidate(numbered[5].text, "p.yaml"), "The limit is lower.", 5)
    done = await propose(service.policies, service.proposals, wish, by=ADA.name, now=now)
    assert isinstance(done, Proposal), done
    await put(service.policies, Policy.from_text(NEXT.replace('"3"', '"6"')), now=now, effective_at=now + timedelta(9))
    assert await service.policies.end_single_person(by="tests", now=now)
    await service.registry.set_pause(Pause(Scope.SHOP, "shop-1", "A drill.", BO.name, now, now + timedelta(hours=4)))
    return [
        f"/risk/policies/texts/{LIVE.id}/2",
        f"/risk/policies/texts/{LIVE.id}/3",
        f"/risk/policies/proposals/{done.proposal_id}",
    ]
