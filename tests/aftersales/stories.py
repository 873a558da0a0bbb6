"""Stories of an order: every command as a step, scripts of steps, and random ones; for tests of all stores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, get_args
from uuid import uuid4

from hypothesis import strategies as st

from jitui.adapters.postgres.shipping_risks import PostgresShippingRisks
from jitui.aftersales.changes import (
    Change,
    ClaimRefund,
    RecordBuyerEvent,
)
from jitui.aftersales.commands.arbitration import ArbitrationDecision, decide_arbitration, escalate
from jitui.aftersales.commands.assignment import assign, remind
from jitui.aftersales.commands.dispute import record_dispute
from jitui.aftersales.commands.incidents import (
    ContestAnswer,
    IncidentRules,
    OutcomeTold,
    answer_contest,
    contest_incident,
    decide_incident,
)
from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.commands.offer import accept_offer, decline_offer, offer
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.review import approve, expire, reject, withdraw
from jitui.aftersales.commands.settle_refund import ManualPayout, confirm_settlement, reject_settlement, retry, settle
from jitui.aftersales.commands.ship import ShipmentUpdate, complete_order, record_shipment
from jitui.aftersales.commands.shipping_reminder import remind_of_risks
from jitui.aftersales.commands.stop_ship import StopShipAnswer, StopShipOutcome, acknowledge_stop_ship
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.incident import IncidentOutcome
from jitui.aftersales.model.order import (
    Dispute,
    DisputeState,
    Funder,
    Funding,
    LineUnits,
    OrderLine,
    ShipmentStatus,
    Tender,
)
from jitui.aftersales.model.order import ShipmentSource as Source
from jitui.aftersales.model.review import AtFault, RefundBorneBy
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.ports import (
    AttemptRef,
    ClaimedRefund,
    IncidentRef,
    NewOrder,
    OrderRef,
    OrderTaken,
    RefundRef,
    TicketRef,
)
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.aftersales.shipping_risks import RiskTimes
from jitui.policy.sections import BorneBy, Loss
from tests.aftersales.market import NOW, RULES, Market, rejection
from tests.aftersales.watched import WatchedStore

KINDS = frozenset(get_args(Change)) | {ClaimRefund}
ANYBODY = Actor(ActorKind.OPERATOR, "somebody")
ANOTHER = Actor(ActorKind.OPERATOR, "somebody else")
A_MINUTE = timedelta(seconds=61)
Step = tuple[object, ...]
_begun = count()


@dataclass
class Story:
    """Two orders of one buyer, so that a payment can be shared, and the moment."""

    market: Market
    buyer: str
    orders: tuple[OrderRef, OrderRef]
    now: datetime
    claims: list[ClaimedRefund] = field(default_factory=list)

    @property
    def store(self) -> WatchedStore:
        assert isinstance(self.market.store, WatchedStore)
        return self.market.store

    async def snapshot(self, order: OrderRef | None = None) -> OrderSnapshot:
        found = await self.store.read_order(order or self.orders[0])
        assert found is not None
        return found


async def begin(
    market: Market, *, premium: bool = True, amounts: tuple[int, int] = (9001, 333), free: bool = False
) -> Story:
    name, now = uuid4().hex, NOW + next(_begun) * timedelta(hours=1)  # usage is rolled up forward only
    buyer = await market.premium_buyer(f"b-{name}") if premium else f"b-{name}"
    refs = []
    for order_id in (f"{name}-1", f"{name}-2"):
        lines = tuple(
            OrderLine(f"l{n}", f"sku-{n}", f"item-{n}", n + 1, 0 if free else amount, "apparel", "", False, False)
            for n, amount in ((2, amounts[1]), (1, amounts[0]))
        )
        freight_minor = 0 if free else 7
        funding = (Funding(Funder.PLATFORM_SUBSIDY, 999), Funding(Funder.MERCHANT_COUPON, 50))
        new = NewOrder(order_id, buyer, "shop-1", "CNY", now - A_MINUTE, lines, funding, freight_minor)
        taken = await put_order(market.store, new, now=now)
        assert isinstance(taken, OrderTaken)
        refs.append(taken.ref)
    return Story(market, buyer, (refs[0], refs[1]), now)


# Steps -----------------------------------------------------------------------------------------------------------


async def pay_in(story: Story, tender_id: str, payment: str, minor: int, total: int | None, second: bool) -> object:
    order = story.orders[second]
    name = f"{story.buyer}-{payment}"
    tender = Tender(tender_id, "simulator", name, "CNY", minor, story.now, payment_total_minor=total)
    return await capture_payment(story.store, order, tender, story.market.decision_settings, now=story.now)


async def cancel_often(story: Story, times: int) -> list[object]:
    """Refunds before shipment that the platform tells of: ten of them make the default policy restrict the buyer."""
    events = [
        RecordBuyerEvent(
            story.buyer, f"cancelled-{story.now:%H%M%S}-{n}", "refund_before_shipment", story.now, story.now
        )
        for n in range(times)
    ]
    await story.market.registry.record_buyer_events(events)
    return []


async def ask(story: Story, units: list[tuple[str, int]]) -> object:
    return await story.market.ask(story.buyer, story.orders[0].order_id, lines=units, now=story.now)


async def ship(
    story: Story, source: Source, status: ShipmentStatus, number: str, units: list[tuple[str, int]], carrier: str
) -> object:
    lines = tuple(LineUnits(*unit) for unit in units)
    update = ShipmentUpdate(status, carrier, f"{number}-{story.buyer}", source, story.now, lines)
    return await record_shipment(story.store, story.orders[0], update, by=ANYBODY, now=story.now)


async def review(story: Story, what: str, which: int) -> object:
    tickets = (await story.snapshot()).tickets
    if not tickets:
        return None
    ticket = tickets[which % len(tickets)]
    ref = TicketRef(ticket.lane, ticket.ticket_id)
    match what:
        case "approve":
            return await approve(story.store, ref, Acting(ANYBODY, story.now))
        case "withdraw":
            return await withdraw(story.store, ref, Acting(ANYBODY, story.now))
        case "expire":
            return await expire(story.store, ref, now=story.now + timedelta(days=3))
        case "assign":
            return await assign(story.store, ref, Acting(ANYBODY, story.now))
        case "remind":
            return await remind(story.store, ref, now=story.now + timedelta(days=1))
        case "offer":
            return await offer(story.store, ref, (LineUnits("l1", 1),), "one is made", Acting(ANYBODY, story.now))
        case "accept":
            return await accept_offer(story.store, ref, Acting(ANYBODY, story.now))
        case "decline":
            return await decline_offer(story.store, ref, Acting(ANYBODY, story.now))
        case "escalate":
            return await escalate(story.store, ref, "why", (), Acting(ANYBODY, story.now), answer_days=7)
        case "uphold" | "deny" | "bear":
            borne = {"uphold": RefundBorneBy.MERCHANT, "deny": None, "bear": RefundBorneBy.PLATFORM}[what]
            decision = ArbitrationDecision(AtFault.NOBODY, borne, "as found")
            return await decide_arbitration(story.store, ref, decision, Acting(ANOTHER, story.now))
    number = f"R-{story.buyer}"
    update = ShipmentUpdate(ShipmentStatus.SHIPPED, "sf", number, Source.MERCHANT, story.now, (LineUnits("l1", 1),))
    said = rejection("no", update if what == "ship" else None)
    return await reject(story.store, ref, said, Acting(ANYBODY, story.now))


async def claim(story: Story, waited: bool) -> object:
    now = story.now + timedelta(hours=1) if waited else story.now
    found = await story.store.check_claims(*story.orders, now=now, lease_until=now + timedelta(seconds=9))
    story.claims += found
    return found


async def hear(story: Story, kind: RefundResultKind, looked_up: bool, which: int, more: dict[str, Any]) -> object:
    if not story.claims:
        return None
    claimed = story.claims[which % len(story.claims)]
    result = RefundResult(kind, reason="as drawn", **more)
    ref = AttemptRef(claimed.lane, claimed.attempt.attempt_id)
    return await confirm(story.store, ref, RefundUpdate(result, looked_up), now=story.now)


async def operate(story: Story, what: str) -> object:
    refunds = (await story.snapshot()).refunds
    if not refunds:
        return None
    refund = refunds[-1]
    ref = RefundRef(story.orders[0].lane, refund.refund_id)
    if what == "retry":
        return await retry(story.store, ref, RULES, by=ANYBODY, now=story.now)
    if what == "confirm":
        return await confirm_settlement(story.store, ref, "BANK-1", RULES, by=ANOTHER, now=story.now)
    if what == "reject":
        return await reject_settlement(story.store, ref, "not found", by=ANOTHER, now=story.now)
    rules = replace(RULES, alone_up_to_minor={}) if what == "propose" else RULES
    payout = ManualPayout("BANK-1", "by hand", refund.amount_minor, refund.currency)
    return await settle(story.store, ref, payout, rules, by=ANYBODY, now=story.now)


async def dispute(story: Story, dispute_id: str, state: DisputeState, minor: int) -> object:
    closed_at = None if state is DisputeState.OPEN else story.now
    told = Dispute(dispute_id, "t2", "", state, minor, "CNY", story.now, f"{state} so", closed_at=closed_at)
    return await record_dispute(story.store, story.orders[0], told, now=story.now)


async def complete(story: Story) -> object:
    return await complete_order(story.store, story.orders[0], now=story.now, completed_at=story.now)


async def incident(story: Story, what: str) -> object:
    found = await story.market.queries.incidents(IncidentFilter(shop_id="shop-1", limit=100))
    known = next((one for one in found if one.order_id == story.orders[0].order_id), None)
    if known is None:
        return None
    ref = IncidentRef(story.orders[0].lane, known.incident_id)
    rules, terms = IncidentRules(15, 15, 90, 5), Loss(borne_by=BorneBy.MERCHANT)
    match what:
        case "contest":
            return await contest_incident(story.store, ref, "It was stopped.", rules, by=ANOTHER, now=story.now)
        case "answer":
            said = ContestAnswer(False, "It was not.")
            by = Actor(ActorKind.OPERATOR, "a third")
            return await answer_contest(story.store, ref, said, terms, rules, by=by, now=story.now)
    told = OutcomeTold(IncidentOutcome(what), known.version, "As it is.", reference="PAY-1")
    return await decide_incident(story.store, ref, told, terms, rules, by=ANYBODY, now=story.now)


async def answer(story: Story, outcome: StopShipOutcome, number: str) -> object:
    tickets = (await story.snapshot()).tickets
    if not tickets:
        return None
    ref = TicketRef(tickets[0].lane, tickets[0].ticket_id)
    said = StopShipAnswer(outcome, f"{number}-{story.buyer}" if number else "")
    return await acknowledge_stop_ship(story.store, story.market.settings, ref, said, by=ANYBODY, now=story.now)


async def remind_risks(story: Story) -> list[object]:
    """A day later somebody looks for risks."""
    risks = PostgresShippingRisks(story.market.pool, RiskTimes())
    await remind_of_risks(story.store, risks, now=story.now + timedelta(hours=25))
    return []


async def go_back(story: Story) -> list[object]:
    """Another machine, whose clock is late."""
    story.now -= 5 * A_MINUTE
    return []


STEPS: dict[str, Callable[..., Awaitable[object]]] = {
    step.__name__: step
    for step in (
        pay_in,
        cancel_often,
        ask,
        ship,
        review,
        claim,
        hear,
        operate,
        dispute,
        complete,
        incident,
        answer,
        remind_risks,
        go_back,
    )
}


async def follow(story: Story, steps: list[Step]) -> list[str]:
    """Each step a minute after the one before; what each came to."""
    came = []
    for name, *values in steps:
        story.now += A_MINUTE
        await story.market.feed.roll_up(story.now)
        came.append(type(await STEPS[str(name)](story, *values)).__name__)
    return came


# Sequences -------------------------------------------------------------------------------------------------------

PAID: Step = ("pay_in", "t2", "p", 9341, None, False)
DEPOSIT: Step = ("pay_in", "t2", "p", 4000, None, False)
ALL: list[tuple[str, int]] = []
SUCCEEDED: Step = ("hear", RefundResultKind.SUCCEEDED, False, 0, {"provider_refund_id": "r-1"})
DECLINED: Step = ("hear", RefundResultKind.DECLINED, False, 0, {"provider_refund_id": "r-1"})
SCRIPTS: dict[str, tuple[bool, list[Step]]] = {
    "approved at once over two payments, paid, undone, paid again": (
        True,
        [
            DEPOSIT,
            ("pay_in", "t1", "q", 5341, None, False),
            ("ask", ALL),
            ("claim", False),
            ("claim", True),
            SUCCEEDED,
            ("hear", RefundResultKind.UNKNOWN, False, 1, {}),
            ("hear", RefundResultKind.DECLINED, True, 0, {}),
            ("claim", True),
        ],
    ),
    "stuck at the provider, settled by hand, paid after all, which is undone": (
        True,
        [
            PAID,
            ("ask", ALL),
            ("claim", False),
            ("hear", RefundResultKind.PENDING, False, 0, {"stuck": True}),
            ("operate", "settle"),
            SUCCEEDED,
            ("hear", RefundResultKind.DECLINED, True, 0, {}),
        ],
    ),
    "proposed by hand, rejected, proposed again, confirmed by another person": (
        True,
        [
            PAID,
            ("ask", ALL),
            ("claim", False),
            DECLINED,
            ("operate", "propose"),
            ("operate", "reject"),
            ("operate", "propose"),
            ("operate", "confirm"),
        ],
    ),
    "proposed by hand, and the provider pays after all": (
        True,
        [
            PAID,
            ("ask", ALL),
            ("claim", False),
            ("hear", RefundResultKind.PENDING, False, 0, {"stuck": True}),
            ("operate", "propose"),
            SUCCEEDED,
        ],
    ),
    "refused by the provider, sent again, and another payment is spoken of": (
        True,
        [
            PAID,
            ("ask", ALL),
            ("claim", False),
            DECLINED,
            ("operate", "retry"),
            ("claim", False),
            ("hear", RefundResultKind.SUCCEEDED, True, 1, {"payment_ids": ("another",)}),
            ("hear", RefundResultKind.SUCCEEDED, True, 1, {}),
        ],
    ),
    "reviewed, and the goods leave in spite of the approval": (
        False,
        [
            PAID,
            ("ask", [("l1", 1)]),
            ("review", "approve", 0),
            ("ask", [("l2", 2)]),
            ("review", "withdraw", 1),
            ("ship", Source.CARRIER, ShipmentStatus.SHIPPED, "A", ALL, "sf"),
            ("ship", Source.CARRIER, ShipmentStatus.DELIVERED, "a", ALL, "sf"),
            ("complete",),
            ("incident", "borne_by_shop"),
            ("incident", "contest"),
            ("incident", "answer"),
            ("incident", "repaid"),
        ],
    ),
    "a part is offered twice, accepted, and what is left is shipped": (
        False,
        [
            PAID,
            ("ask", ALL),
            ("review", "assign", 0),
            ("review", "remind", 0),
            ("review", "offer", 0),
            ("review", "decline", 0),
            ("review", "offer", 0),
            ("review", "accept", 0),
            ("ship", Source.MERCHANT, ShipmentStatus.SHIPPED, "B", [("l1", 1), ("l2", 3)], "sf"),
        ],
    ),
    "rejected, and the platform decides that the money goes back and bears it": (
        False,
        [PAID, ("ask", ALL), ("review", "reject", 0), ("review", "escalate", 0), ("review", "bear", 0)],
    ),
    "rejected, and the platform agrees with the shop": (
        False,
        [PAID, ("ask", ALL), ("review", "reject", 0), ("review", "escalate", 0), ("review", "deny", 0)],
    ),
    "labels are printed, a reminder comes, and the warehouse answers after the approval": (
        True,
        [
            PAID,
            ("ship", Source.MERCHANT, ShipmentStatus.LABEL_PRINTED, "A", [("l1", 2)], "sf"),
            ("ship", Source.CARRIER, ShipmentStatus.LABEL_PRINTED, "B", [("l2", 3)], "sf"),
            ("ship", Source.MERCHANT, ShipmentStatus.LABEL_PRINTED, "B", [], "sf"),
            ("remind_risks",),
            ("ask", ALL),
            ("answer", StopShipOutcome.HELD, ""),
            ("answer", StopShipOutcome.ALREADY_GONE, "A"),
            ("answer", StopShipOutcome.ALREADY_GONE, "C"),
        ],
    ),
    "shipped in two shipments by command, and the carrier's name comes later": (
        False,
        [
            PAID,
            ("ship", Source.MERCHANT, ShipmentStatus.SHIPPED, "A", [("l1", 1)], ""),
            ("ship", Source.MERCHANT, ShipmentStatus.SHIPPED, "B", [("l1", 1), ("l2", 3)], "sf"),
            ("ship", Source.CARRIER, ShipmentStatus.SHIPPED, "a", ALL, "yto"),
        ],
    ),
    "freight moves to the request that waits, and is left behind by the rejection that ships": (
        False,
        [PAID, ("ask", [("l1", 2)]), ("ask", [("l2", 3)]), ("review", "approve", 1), ("review", "ship", 0)],
    ),
    "a deposit refunded at once, its balance carried, and the payment turns out to be shared": (
        True,
        [
            DEPOSIT,
            ("ask", ALL),
            ("claim", False),
            SUCCEEDED,
            ("pay_in", "t2", "p", 5000, None, False),
            ("pay_in", "t1", "q", 4341, 9000, False),
            ("pay_in", "t1", "q", 4000, 9000, True),
            ("pay_in", "t2", "p", 5000, 6000, False),
        ],
    ),
    "the balance goes to review, told by a clock that is late": (
        True,
        [
            DEPOSIT,
            ("ask", ALL),
            ("dispute", "d1", DisputeState.OPEN, 100),
            ("go_back",),
            ("pay_in", "t1", "q", 5341, None, False),
            ("review", "approve", 0),
        ],
    ),
    "a request that waits takes later money in, and its deadline passes": (
        False,
        [DEPOSIT, ("ask", ALL), ("pay_in", "t2", "p", 9341, None, False), ("review", "expire", 0)],
    ),
    "restricted by a rule of the policy, which sends the request to review, and later money too": (
        True,
        [DEPOSIT, ("cancel_often", 10), ("ask", ALL), ("pay_in", "t1", "q", 5341, None, False)],
    ),
    "approved at once, and restricted when more money is captured": (
        True,
        [DEPOSIT, ("ask", ALL), ("cancel_often", 10), ("pay_in", "t1", "q", 5341, None, False)],
    ),
    "disputes in another sequence than they were opened in, one lost, one won": (
        False,
        [
            DEPOSIT,
            ("pay_in", "t1", "q", 5341, None, False),
            ("dispute", "d1", DisputeState.OPEN, 100),
            ("go_back",),
            ("dispute", "d2", DisputeState.LOST, 300),
            ("dispute", "d1", DisputeState.LOST, 200),
            ("dispute", "d3", DisputeState.WON, 200),
        ],
    ),
}


UNITS = st.lists(st.tuples(st.sampled_from(["l1", "l2"]), st.integers(1, 3)), max_size=2, unique_by=lambda u: u[0])
WHICH = st.integers(0, 3)
MORE = st.sampled_from([{}, {}, {"stuck": True}, {"final": False}, {"amount_minor": 1}, {"provider_refund_id": "r"}])
STEP = st.one_of(
    st.tuples(
        st.just("pay_in"),
        st.sampled_from(["t1", "t2"]),
        st.sampled_from(["p", "q"]),
        st.sampled_from([1, 1000, 4000, 5341, 9341, 20000]),
        st.sampled_from([None, None, 9341, 20000]),
        st.booleans(),
    ),
    st.tuples(st.just("cancel_often"), st.sampled_from([1, 10])),
    st.tuples(st.just("ask"), UNITS),
    st.tuples(
        st.just("ship"),
        st.sampled_from(list(Source)),
        st.sampled_from(list(ShipmentStatus)),
        st.sampled_from("AB"),
        UNITS,
        st.sampled_from(["", "sf", "yto"]),
    ),
    st.tuples(st.just("review"), st.sampled_from(["approve", "withdraw", "expire", "reject", "ship"]), WHICH),
    st.tuples(st.just("review"), st.sampled_from(["assign", "remind", "offer", "accept", "decline"]), WHICH),
    st.tuples(st.just("review"), st.sampled_from(["escalate", "uphold", "deny", "bear"]), WHICH),
    st.tuples(st.just("claim"), st.booleans()),
    st.tuples(st.just("hear"), st.sampled_from(list(RefundResultKind)[:4]), st.booleans(), WHICH, MORE),
    st.tuples(st.just("operate"), st.sampled_from(["retry", "settle", "propose", "confirm", "reject"])),
    st.tuples(
        st.just("dispute"),
        st.sampled_from(["d1", "d2"]),
        st.sampled_from(list(DisputeState)),
        st.sampled_from([1, 999]),
    ),
    st.tuples(st.just("complete")),
)
