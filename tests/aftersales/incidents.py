"""Helpers for tests of incidents: goods that left after an instant refund, and what is done about it."""

from __future__ import annotations

from datetime import datetime, timedelta

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.incidents import (
    IncidentRules,
    Outcome,
    OutcomeTold,
    contest_incident,
    decide_incident,
    incident_of,
)
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.ledger import balances
from jitui.aftersales.model.incident import Incident, IncidentOutcome
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.ports import IncidentRef, OrderRef
from jitui.ids import lane_of_id
from jitui.policy.sections import BorneBy, Loss
from tests.aftersales.market import NOW, Market

DESK = Actor(ActorKind.OPERATOR, "desk")
SECOND = Actor(ActorKind.OPERATOR, "second desk")
SHOP = Actor(ActorKind.MERCHANT, "shop desk")
RULES = IncidentRules(contest_days=15, answer_days=15, recovery_days=90, recovery_attempts=5)
BY_SHOP, BY_PLATFORM = Loss(borne_by=BorneBy.MERCHANT), Loss(borne_by=BorneBy.PLATFORM)
LATER = NOW + timedelta(hours=3)


async def an_incident(
    market: Market, order_id: str = "o-1", *, amounts: tuple[int, ...] = (12900,), buyer_id: str = "b-1"
) -> tuple[OrderRef, IncidentRef]:
    """A label, a refund at once, and the carrier's scan."""
    buyer = await market.premium_buyer(buyer_id)
    ref = await market.paid_order(buyer, order_id, amounts=amounts)
    await market.ship(ref, status=ShipmentStatus.LABEL_PRINTED, tracking_no=f"SF-{order_id}")
    await market.asked(buyer, order_id)
    await market.ship(
        ref, status=ShipmentStatus.PICKED_UP, source=ShipmentSource.CARRIER, tracking_no=f"SF-{order_id}", now=LATER
    )
    found = await market.queries.incidents(IncidentFilter(shop_id="shop-1", limit=100))
    incident = next(one for one in found if one.order_id == order_id)
    return ref, IncidentRef(lane_of_id(incident.incident_id), incident.incident_id)


async def read(market: Market, ref: IncidentRef) -> Incident:
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None and snapshot.incident is not None
    return snapshot.incident


async def decide(
    market: Market,
    ref: IncidentRef,
    outcome: IncidentOutcome,
    terms: Loss = BY_SHOP,
    *,
    now: datetime = LATER,
    by: Actor = DESK,
    version: int | None = None,
    repaid_minor: int | None = None,
    reference: str = "PAY-1",
) -> Outcome:
    known = version if version is not None else (await read(market, ref)).version
    told = OutcomeTold(outcome, known, "Read the scan.", repaid_minor, reference)
    return await decide_incident(market.store, ref, told, terms, RULES, by=by, now=now)


async def contest(market: Market, ref: IncidentRef, *, now: datetime = LATER) -> Outcome:
    reason = "The parcel was stopped."
    return await contest_incident(market.store, ref, reason, RULES, by=SHOP, now=now, shop_id="shop-1")


def done(outcome: Outcome) -> Incident:
    assert isinstance(outcome, Executed), outcome
    return incident_of(outcome)


INCIDENT_ACCOUNTS = (
    "platform_advance",
    "goods_returned",
    "buyer_repayment",
    "loss",
    "shop_receivable",
    "shop_settlement",
    "shop_payable",
)


async def accounts(market: Market, ref: OrderRef) -> dict[str, int]:
    """The balances of the accounts that incidents move; those at zero are left out."""
    held = balances(await market.queries.ledger(ref))
    assert sum(held.values()) == 0
    return {account: minor for (account, _), minor in held.items() if account in INCIDENT_ACCOUNTS and minor}
