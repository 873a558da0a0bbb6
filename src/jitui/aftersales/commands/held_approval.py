"""Decides again on a request whose goods the warehouse holds: on the facts of that moment, under the locks (R9)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from jitui.aftersales.changes import BuyerEventKind, Change, RecordLaterDecision
from jitui.aftersales.commands.approval import amount_now
from jitui.aftersales.commands.decision_record import record_decision
from jitui.aftersales.commands.facts import gather_facts, history_read
from jitui.aftersales.commands.later_money import inputs_of
from jitui.aftersales.commands.request_refund import DecisionSettings, guard_of
from jitui.aftersales.commands.restriction_rules import decide_under_rules
from jitui.aftersales.commands.review import plan_approval
from jitui.aftersales.commands.ship import goods_with_carrier
from jitui.aftersales.model.order import LineUnits
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import SYSTEM, ApprovedBy, Ticket
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import DecisionInputs, WindowValue
from jitui.policy import Outcome, Policy, waits_for_warehouse


@dataclass(frozen=True, slots=True)
class DecidedAgain:
    """The second decision with the restrictions that it sets, and the approval that follows; empty: in review still."""

    recorded: tuple[Change, ...]
    approval: tuple[Change, ...]


def decide_on_held(
    snapshot: OrderSnapshot, ticket: Ticket, read: DecisionInputs, decision_settings: DecisionSettings, now: datetime
) -> DecidedAgain:
    """Approve as instant when the policy in force still does but for the label, and nothing else is in the way.

    `read` is what `later_money.capture_query` asked for.
    """
    policy = decision_settings.deciding.for_buyer(snapshot.order.buyer_id).policy
    inputs = inputs_of(snapshot, read, decision_settings, now)
    rows = snapshot.lines_of(ticket.ticket_id)
    facts = gather_facts(
        policy,
        snapshot,
        without_own_request(policy, snapshot, ticket, inputs),
        asked=[LineUnits(row.line_id, row.quantity) for row in rows],
        amount_minor=amount_now(snapshot, ticket).amount_minor,
        line_amounts={row.line_id: row.amount_minor for row in rows},
        now=now,
        time_zone=decision_settings.time_zone,
        usage_max_age=decision_settings.usage_max_age,
    )
    ruled = decide_under_rules(policy, facts, inputs, ticket.lane, now, decision_settings.time_zone)
    decision = ruled.decision
    again = record_decision(ticket.ticket_id, decision, ruled.facts, history_read(policy, snapshot, inputs), now)
    recorded: tuple[Change, ...] = (RecordLaterDecision(again), *ruled.restrictions)
    holds = decision.outcome is Outcome.INSTANT or waits_for_warehouse(policy, decision)
    # A carrier that has the goods contradicts the warehouse, and what is contradictory never approves (I5).
    carried = goods_with_carrier(snapshot, ticket.ticket_id)
    if not holds or carried or guard_of(snapshot, inputs, decision_settings) is not None:
        return DecidedAgain(recorded, ())
    told = replace(ticket, notice=dict(policy.notice))
    approved = plan_approval(snapshot, told, ApprovedBy.INSTANT_REFUND, SYSTEM, now)
    return DecidedAgain(recorded, () if isinstance(approved, Refusal) else approved.changes)


def without_own_request(
    policy: Policy, snapshot: OrderSnapshot, ticket: Ticket, inputs: DecisionInputs
) -> DecisionInputs:
    """The inputs as if the ticket's own request were not in the buyer's history; at the request it was not either.

    It is younger than every window. When another request is there too, the day of the last one is unknown.
    """
    if snapshot.order.free_of_charge:
        return inputs  # such an order is in nobody's history
    asked = next(event for event in snapshot.timeline_of(ticket.ticket_id) if event.why == "requested")
    amount_minor = int(str(asked.detail["amount_minor"]))
    ours = {one.name for one in policy.deciding_features if one.kind == BuyerEventKind.REFUND_REQUESTED}
    windows = tuple(_without(window, amount_minor) if window.name in ours else window for window in inputs.windows)
    return replace(inputs, windows=windows)


def _without(window: WindowValue, amount_minor: int) -> WindowValue:
    rest_minor = None if window.amount_minor is None else max(0, window.amount_minor - amount_minor)
    return replace(window, events=max(0, window.events - 1), amount_minor=rest_minor, last_day=None)
