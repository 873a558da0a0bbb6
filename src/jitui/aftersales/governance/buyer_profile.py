"""What decisions read of a buyer: now, how much of the buyer's cap is used, and what the last ones read.

No values of features are kept by themselves: each decision keeps the facts that it read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jitui.aftersales.commands.cap_usage import usages_of
from jitui.aftersales.commands.facts import arm_of, buyer_facts, decision_query, is_selected
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.governance.registry import Selection
from jitui.aftersales.model.ticket import Arm, Ticket
from jitui.aftersales.ports import OrderFilter, OrderRef, Store, StoredDecision, TicketFilter, TicketRef
from jitui.aftersales.queries import Queries
from jitui.ids import lane_of_id
from jitui.policy import Cap, CapUsage, FactValue, Policy

OF_BUYER = "buyer."
"""Begins the names of the facts about a buyer."""


@dataclass(frozen=True, slots=True)
class CapOfBuyer:
    """The policy's cap on one buyer, and what is used of it; None: an erasure took away what would tell it."""

    limit: Cap
    used: CapUsage | None

    @property
    def left_count(self) -> int | None:
        """How many more approvals fit; None: no limit, or not known."""
        return _left(self.limit.count, None if self.used is None else self.used.count)

    @property
    def left_minor(self) -> int | None:
        """How much more money fits, in the policy's currency; None: no limit, or not known."""
        return _left(self.limit.amount_minor, None if self.used is None else self.used.amount_minor)


@dataclass(frozen=True, slots=True)
class BuyerProfile:
    """What decisions read of a buyer.

    `facts` and `cap` are None while the buyer has no order, with which they are read. `decisions`: the newest first.
    """

    policy: Policy
    arm: Arm
    facts: Mapping[str, FactValue | None] | None
    cap: CapOfBuyer | None
    tickets: Sequence[Ticket]
    decisions: Sequence[StoredDecision]

    def names(self) -> list[str]:
        """The facts about the buyer that are read now or were read before, in the order of their names."""
        read = (name for one in self.decisions for name in one.facts if name.startswith(OF_BUYER))
        return sorted({*(self.facts or {}), *read})


async def read_profile(
    store: Store,
    queries: Queries,
    settings: DecisionSettings,
    buyer_id: str,
    selection: Selection | None,
    *,
    now: datetime,
    tickets: int,
    decisions: int,
) -> BuyerProfile:
    """The profile, with so many of the newest tickets, and what the decisions on the first of them read."""
    decides = settings.deciding.for_buyer(buyer_id)
    newest = (await queries.tickets(TicketFilter(buyer_id=buyer_id, limit=tickets))).tickets
    refs = [TicketRef(lane_of_id(one.ticket_id), one.ticket_id) for one in newest[:decisions]]
    stored = [await queries.decision(ref) for ref in refs]
    facts, cap = await _now(store, queries, settings, decides.policy, buyer_id, now)
    arm = arm_of(decides, buyer_id, None if selection is None else selection.verdict)
    return BuyerProfile(decides.policy, arm, facts, cap, newest, [one for one in stored if one is not None])


async def _now(
    store: Store, queries: Queries, settings: DecisionSettings, policy: Policy, buyer_id: str, now: datetime
) -> tuple[Mapping[str, FactValue | None] | None, CapOfBuyer | None]:
    """What a request on the buyer's newest order would read of the buyer; nothing is written or locked."""
    orders = await queries.orders(OrderFilter(buyer_id=buyer_id, limit=1))
    if not orders:
        return None, None
    query = decision_query(policy, now, settings.time_zone)
    read = await store.read_inputs(OrderRef(orders[0].lane, orders[0].order_id), query)
    if read is None:
        return None, None
    snapshot, inputs = read
    max_age = settings.usage_max_age
    known = buyer_facts(policy, snapshot.buyer, inputs, now, settings.time_zone, usage_max_age=max_age)
    facts = {name: value for name, value in known.items() if name.startswith(OF_BUYER)}
    selected = is_selected(policy, buyer_id, inputs.selection)
    facts |= {"buyer.restricted": inputs.restricted, "buyer.selected": selected}
    limit = policy.caps.per_buyer
    return facts, None if limit is None else CapOfBuyer(limit, usages_of(inputs, now, max_age).buyer)


def _left(limit: int | None, used: int | None) -> int | None:
    return None if limit is None or used is None else max(0, limit - used)
