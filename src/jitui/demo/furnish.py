"""After the day: something in every list of the sample shops, so that a visitor of the demo finds no empty page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from jitui.aftersales.commands.arbitration import escalate
from jitui.aftersales.commands.incidents import BuyerContact, Evidence, add_evidence, record_contact
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.request_refund import RefundRequest, request_refund
from jitui.aftersales.commands.review import Rejection, reject
from jitui.aftersales.commands.ship import ShipmentUpdate, record_shipment
from jitui.aftersales.governance.appeals import new_appeal
from jitui.aftersales.governance.complaint import Complaint
from jitui.aftersales.governance.registry import Restriction
from jitui.aftersales.governance.review_templates import ReviewTemplate
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.incident import ContactChannel
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.review import EvidenceItem, RejectionCode
from jitui.aftersales.model.ticket import Actor, ActorKind, Reason, Ticket, TicketState
from jitui.aftersales.ports import IncidentRef, TicketFilter, TicketRef
from jitui.aftersales.reconciliation.reconcile import Reconciling, reconcile
from jitui.aftersales.reconciliation.statement import RowKind, StatementRow, StatementWindow
from jitui.bootstrap import Service
from jitui.demo.marketplace import CURRENCY, Marketplace, PlannedOrder
from jitui.demo.stock import open_instantly, untouched
from jitui.identity.access import Role
from jitui.identity.people import Person
from jitui.ids import lane_of, lane_of_id, new_id

BEFORE_THE_MARKETPLACE = timedelta(days=900)


@dataclass(frozen=True, slots=True)
class _Shop:
    """A sample shop and who acts for it."""

    service: Service
    person: Person

    @property
    def actor(self) -> Actor:
        return Actor(ActorKind.MERCHANT, self.person.name)


async def furnish(service: Service, market: Marketplace, people: Sequence[Person]) -> None:
    """For each sample shop templates, a rejection with the platform asked to decide, an incident, and a risk.

    For the operators a difference, which is a task; for risk an appeal and complaints that wait for an answer.
    """
    named = {person.subject_id for person in people}
    for person in people:
        if person.role is Role.MERCHANT:
            shop = _Shop(service, person)
            free = [o for o in open_instantly(market) if o.shop_id == person.subject_id and o.buyer_id not in named]
            await _template(shop)
            await _incident(shop, free[::3])
            mine = [o for o in untouched(market) if o.shop_id == person.subject_id and o.buyer_id not in named]
            spare = [o for o in mine if o not in free]
            await _arbitration(shop, [*free[1::3], *spare[1:], *free[5::3]])
            await _scan(shop, [*spare[:1], *free[2::3]])
            await _complaint(shop)
    await _difference(service)
    await _appeal(service, next(buyer.buyer_id for buyer in market.buyers if buyer.buyer_id not in named))


async def _template(shop: _Shop) -> None:
    now, words = shop.service.clock(), "商品已按您的要求定制。 The goods are made for this order already."
    row = ReviewTemplate(shop.person.subject_id, "made-to-order", RejectionCode.MADE_TO_ORDER, words, now, "demo")
    await shop.service.review_templates.put(row)


async def _arbitration(shop: _Shop, spare: Sequence[PlannedOrder]) -> None:
    """One of the waiting requests is rejected, and its buyer asks the platform; another is left to review."""
    service, now = shop.service, shop.service.clock()
    waiting = await _waiting(shop)
    for order in spare:
        if len(waiting) > 1:
            break
        await _ask(service, order)
        waiting = await _waiting(shop)
    if len(waiting) < 2:  # what is left to review comes first
        return
    ticket = waiting[0]
    ref = TicketRef(ticket.lane, ticket.ticket_id)
    shown = (EvidenceItem("聊天记录 The chat of this morning"),)
    packed = Rejection(RejectionCode.OTHER, "已打包 Packed already", shown)
    await reject(service.store, ref, packed, Acting(shop.actor, now))
    buyer = Acting(Actor(ActorKind.BUYER, ticket.buyer_id), now)
    days = service.settings.arbitration_answer_days
    await escalate(service.store, ref, "还没有发货 Nothing has left yet", shown, buyer, answer_days=days)


async def _waiting(shop: _Shop) -> Sequence[Ticket]:
    await shop.service.ticket_list.fill()
    wanted = TicketFilter(shop_id=shop.person.subject_id, state=TicketState.AWAITING_MERCHANT, limit=2)
    return (await shop.service.queries.tickets(wanted)).tickets


async def _ask(service: Service, order: PlannedOrder) -> None:
    request = RefundRequest(order.buyer_id, order.order_id, Reason.NO_LONGER_WANTED, ())
    await request_refund(service.store, await service.decision_settings(), request, now=service.clock())


async def _incident(shop: _Shop, spare: Sequence[PlannedOrder]) -> None:
    """Goods with a label are refunded at once, and the carrier takes them all the same."""
    service, shop_id = shop.service, shop.person.subject_id
    for order in spare:
        if await service.queries.incidents(IncidentFilter(shop_id=shop_id, limit=1)):
            break
        found, now = await service.store.find_order(order.order_id), service.clock()
        if found is None:
            continue
        number = f"DEMO-{order.order_id}"
        label = ShipmentUpdate(ShipmentStatus.LABEL_PRINTED, "SF", number, ShipmentSource.MERCHANT, now)
        await record_shipment(service.store, found, label, by=shop.actor, now=now)
        await _ask(service, order)
        scan = ShipmentUpdate(ShipmentStatus.PICKED_UP, "SF", number, ShipmentSource.CARRIER, now)
        await record_shipment(service.store, found, scan, by=Actor(ActorKind.CARRIER, "SF"), now=now)
    for incident in await service.queries.incidents(IncidentFilter(shop_id=shop_id, limit=1)):
        ref, by, now = IncidentRef(lane_of_id(incident.incident_id), incident.incident_id), shop.actor, service.clock()
        said = Evidence("网点称已拦截 The depot says that it stopped the parcel.")
        await add_evidence(service.store, ref, said, by=by, now=now)
        contact = BuyerContact(ContactChannel.PLATFORM_CHAT, "买家愿意退回 The buyer will send it back.", now)
        await record_contact(service.store, ref, contact, by=by, now=now)


async def _scan(shop: _Shop, spare: Sequence[PlannedOrder]) -> None:
    """The carrier has a parcel of which the shop told nothing: a risk at once."""
    found = await shop.service.store.find_order(spare[0].order_id) if spare else None
    if found is None:
        return
    now, number = shop.service.clock(), f"DEMO-{found.order_id}"
    scan = ShipmentUpdate(ShipmentStatus.PICKED_UP, "SF", number, ShipmentSource.CARRIER, now)
    await record_shipment(shop.service.store, found, scan, by=Actor(ActorKind.CARRIER, "SF"), now=now)


async def _complaint(shop: _Shop) -> None:
    """The shop asks about its coverage."""
    service, shop_id, now = shop.service, shop.person.subject_id, shop.service.clock()
    reason = "上周的发货延误是因暴雪停运，希望平台不计入发货时效。"
    answer_by = now + service.settings.complaints_answer_within
    await service.complaints.make(
        Complaint(new_id(lane_of(shop_id)), shop_id, reason, shop.person.name, now, answer_by)
    )


async def _appeal(service: Service, buyer_id: str) -> None:
    """A buyer from whom the service was withdrawn contests it."""
    now, reason = service.clock(), "一周内多次申请退款后又取消"
    ends_at = now + timedelta(days=30)
    row = Restriction(new_id(lane_of(buyer_id)), buyer_id, reason, now, ends_at, "demo")
    await service.registry.restrict(row)
    days = service.settings.appeal_answer_days
    said = "那几次都是店铺通知缺货后让我取消的，有聊天记录。"
    await service.appeals.open(new_appeal(row.restriction_id, buyer_id, said, now=now, answer_days=days))


async def _difference(service: Service) -> None:
    """A statement of a minute before the marketplace opened, with a refund that our books do not have."""
    at = service.clock().replace(microsecond=0) - BEFORE_THE_MARKETPLACE
    row = StatementRow(2, RowKind.REFUND, at, 1_280, CURRENCY, provider_refund_id=f"demo-{at:%Y%m%d%H%M%S}")
    parts = Reconciling(service.store, service.staging, service.tasks, service.clock)
    window = StatementWindow(at, at + timedelta(minutes=1))
    await reconcile(parts, "simulator", [row], lambda _: window)
