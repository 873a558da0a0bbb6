"""The restriction rules of the policy in force, applied when a buyer asks and when a buyer's history grows (R11).

An event counts for one restriction of a rule: a rule that restricted a buyer before looks only at the days after the
one on which that restriction began, or was lifted, and needs at least one event there. So it does not restrict again
the moment its restriction ends or an appeal lifts it, and attributes alone do not restrict twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from jitui.aftersales.changes import RestrictBuyer
from jitui.aftersales.commands.facts import buyer_facts, decision_query, inputs_beside
from jitui.aftersales.commands.feature_facts import window_fact
from jitui.aftersales.deciding import Deciding
from jitui.aftersales.model.order import Buyer
from jitui.aftersales.ports import DecisionInputs, DecisionQuery, PastRule
from jitui.ids import new_id
from jitui.policy import Decision, FactValue, Policy, RuleHit, decide, rule_hits

RESTRICTED = "buyer.restricted"
CHECKED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class RuledDecision:
    """A decision, the facts that it was made on, and the restrictions that rules set for it."""

    decision: Decision
    facts: dict[str, FactValue]
    restrictions: tuple[RestrictBuyer, ...]


def decide_under_rules(
    policy: Policy,
    facts: Mapping[str, FactValue],
    inputs: DecisionInputs,
    lane: int,
    now: datetime,
    time_zone: ZoneInfo,
) -> RuledDecision:
    """Decide on the facts, of which `buyer.restricted` is true when a rule restricts the buyer now (I4)."""
    restrictions = new_restrictions(policy, facts, inputs, lane, now, time_zone)
    decided_on = {**facts, RESTRICTED: True} if restrictions else dict(facts)
    return RuledDecision(decide(policy, decided_on), decided_on, restrictions)


def new_restrictions(
    policy: Policy,
    facts: Mapping[str, FactValue],
    inputs: DecisionInputs,
    lane: int,
    now: datetime,
    time_zone: ZoneInfo,
) -> tuple[RestrictBuyer, ...]:
    """The restrictions that the policy's rules set now; a rule of which one stands sets no second one."""
    past = {one.rule_id: one for one in inputs.past_rules}
    hits = [hit for hit in rule_hits(policy, facts) if hit.rule.id not in past]
    for one in past.values():
        hit = _hit_again(policy, facts, one, decision_query(policy, now, time_zone), now, time_zone)
        hits += [] if hit is None else [hit]
    return tuple(_restriction(policy, hit, past.get(hit.rule.id), lane, now) for hit in hits)


def _hit_again(
    policy: Policy,
    facts: Mapping[str, FactValue],
    past: PastRule,
    query: DecisionQuery,
    now: datetime,
    time_zone: ZoneInfo,
) -> RuleHit | None:
    """Whether the rule is true of what happened since its last restriction; a feature that was unknown stays so."""
    if past.stands or not any(window.events for window in past.windows):
        return None
    counted = {window.name: window for window in past.windows}
    since = {
        asked.name: window_fact(asked, counted.get(asked.name), now, time_zone)
        for asked in query.rule_windows
        if asked.rule_id == past.rule_id and asked.name in facts
    }
    known = {name: value for name, value in {**facts, **since}.items() if value is not None}
    return next((hit for hit in rule_hits(policy, known) if hit.rule.id == past.rule_id), None)


def _restriction(policy: Policy, hit: RuleHit, past: PastRule | None, lane: int, now: datetime) -> RestrictBuyer:
    rule = hit.rule
    return RestrictBuyer(
        restriction_id=new_id(lane),
        reason=f"Rule {rule.id} of policy {policy.id}, version {policy.version}.",
        withdraw=rule.withdraw,
        starts_at=now,
        ends_at=now + timedelta(days=rule.for_days),
        policy_id=policy.id,
        policy_version=policy.version,
        policy_sha256=policy.sha256,
        rule_id=rule.id,
        occurrence=1 if past is None else past.times + 1,
        facts={name: value for name, value in hit.facts.items() if value is not None},
        text=dict(rule.text),
    )


# As the history grows --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BuyerChecked:
    """A buyer with new events, and what the rules read, under the buyer's lock."""

    buyer: Buyer
    inputs: DecisionInputs


Judge = Callable[[BuyerChecked], Sequence[RestrictBuyer]]


class RestrictionChecks(Protocol):
    """Buyers with events that no rule has looked at yet; one is noted in the transaction of each event."""

    async def lanes_due(self) -> Sequence[int]:
        """The lanes that have any, read without locks."""
        ...

    async def check(self, lane: int, query: DecisionQuery, judge: Judge, *, limit: int) -> int:
        """Judge the buyers of a lane that nobody else holds, and write what `judge` says, in one transaction.

        Returns how many were judged. A worker that dies has judged none of them, and they stay due.
        """
        ...

    async def drop(self) -> int:
        """Without rules nobody is due: how many were."""
        ...


async def check_due(checks: RestrictionChecks, deciding: Deciding, *, now: datetime, time_zone: ZoneInfo) -> int:
    """Apply the rules of each buyer's policy to every buyer with new events; returns how many were looked at."""
    live, canary = deciding.live, deciding.canary.policy if deciding.canary is not None else None
    if not live.restrictions and not (canary is not None and canary.restrictions):
        return await checks.drop()
    query = decision_query(live, now, time_zone, beside=canary)

    def judge(checked: BuyerChecked) -> Sequence[RestrictBuyer]:
        buyer, inputs = checked.buyer, checked.inputs
        decides = deciding.for_buyer(buyer.buyer_id)
        policy = decides.policy
        if decides.in_canary:
            inputs = inputs_beside(live, policy, inputs, now, time_zone)
        facts = buyer_facts(policy, buyer, inputs, now, time_zone)
        known = {name: value for name, value in facts.items() if value is not None}
        return new_restrictions(policy, known, inputs, buyer.lane, now, time_zone)

    looked_at = 0
    for lane in await checks.lanes_due():
        while found := await checks.check(lane, query, judge, limit=CHECKED_AT_ONCE):
            looked_at += found
    return looked_at
