"""One example of every body and answer, shown in the API's description; a test holds each to its schema."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from jitui.aftersales.ledger import FLOWS, Cause
from jitui.aftersales.order import DisputeState, Funder, Hold, ParcelDegree, ShipmentDegree, ShipmentSource
from jitui.aftersales.refund import AttemptState, RefundState
from jitui.aftersales.registry import Scope
from jitui.aftersales.task import TaskKind, TaskState
from jitui.aftersales.ticket import ActorKind, ApprovedBy, Reason, TicketState
from jitui.aftersales.view import Amount, RefundView, TicketLineView, TicketView, TimelineView
from jitui.entrypoints.http import answers as a
from jitui.entrypoints.http import bodies as b
from jitui.entrypoints.http.fields import Money, PositiveMoney
from jitui.policy import Outcome, Verdict

_ASKED = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
_PAID = _ASKED - timedelta(hours=1)
_REFUNDED = _ASKED + timedelta(seconds=2)
_TICKET = UUID("0197312a-6c00-7a11-b4c5-0d5e6f708a3c")
_REFUND = UUID("0197312a-6c00-7a12-9d11-2b3c4d5e6f3c")
_ATTEMPT = UUID("0197312a-6c40-7a13-8e22-5f60718293a4")
_INCIDENT = UUID("0197312a-7000-7a14-a133-8192a3b4c53c")
_RESTRICTION = UUID("0197312a-7400-7a15-b244-a3b4c5d6e73c")
_TASK = UUID("3b0f6f43-5a5e-5d0a-9d52-6c1f1c1a2b3c")
_FULL = Amount(12900, "CNY")
_NOTICE = {
    "zh": "该用户为平台优质用户且订单满足极速退款条件，平台已自动审核通过卖家发货前仅退款申请",
    "en": "This buyer is a premium buyer of the platform and the order meets the conditions for an instant refund: the "
    "platform has automatically approved the refund-only request made before shipment",
}
_UNDER_300 = {"zh": "订单实付金额低于 300 元", "en": "The order's paid amount is under 300.00 CNY"}
_POLICY = a.PolicyName(policy_id="unshipped-instant-refund", version="1")
_CURSOR = "WyIyMDI2LTA2LTAxVDEyOjAwOjAwWiIsIm8tMTAwMSJd"


def _ticket() -> TicketView:
    return TicketView(
        ticket_id=_TICKET,
        order_id="o-1001",
        buyer_id="b-1",
        shop_id="s-1",
        state=TicketState.REFUNDED,
        version=3,
        reason=Reason.NO_LONGER_WANTED,
        amount=_FULL,
        freight=Amount(0, "CNY"),
        approved_by=ApprovedBy.INSTANT_REFUND,
        notice=_NOTICE,
        review_reason=None,
        requested_at=_ASKED,
        expires_at=None,
        approved_at=_ASKED,
        closed_at=_REFUNDED,
        seconds_to_refund=2.0,
        lines=(TicketLineView("l1", "sku-1", "Cotton shirt, white", 1, _FULL),),
        refunds=(RefundView(_REFUND, "t1", "simulator", RefundState.SUCCEEDED, _FULL, _ASKED, _REFUNDED, ""),),
        timeline=(
            TimelineView(
                _ASKED,
                ActorKind.BUYER,
                "b-1",
                None,
                TicketState.AWAITING_MERCHANT,
                "requested",
                {"amount_minor": 12900},
            ),
            TimelineView(
                _ASKED,
                ActorKind.SYSTEM,
                "jitui",
                TicketState.AWAITING_MERCHANT,
                TicketState.REFUNDING,
                "approved_instant_refund",
                {"approved_by": "instant_refund"},
            ),
            TimelineView(
                _REFUNDED, ActorKind.PROVIDER, "simulator", TicketState.REFUNDING, TicketState.REFUNDED, "paid", {}
            ),
        ),
    )


def _conditions() -> tuple[a.ConditionAnswer, ...]:
    return (
        a.ConditionAnswer(
            id="paid_under_300", verdict=Verdict.TRUE, sentence=_UNDER_300, facts={"order.paid_minor": 12900}
        ),
    )


def _order() -> a.OrderAnswer:
    return a.OrderAnswer(
        order_id="o-1001",
        buyer_id="b-1",
        shop_id="s-1",
        shipment=ShipmentDegree.LABEL_PRINTED,
        hold=Hold.NONE,
        placed_at=_PAID,
        paid_at=_PAID,
        completed_at=None,
        ship_by=_PAID + timedelta(hours=48),
        paid=_FULL,
        freight=Amount(0, "CNY"),
        lines=(
            a.LineAnswer(
                line_id="l1",
                sku="sku-1",
                item_id="i-1",
                category_id="apparel",
                title="Cotton shirt, white",
                customised=False,
                virtual=False,
                quantity=1,
                claimed_quantity=0,
                left_quantity=0,
                free_quantity=1,
                paid=_FULL,
                claimed=Amount(0, "CNY"),
            ),
        ),
        shipments=(
            a.ParcelAnswer(
                degree=ParcelDegree.LABEL_PRINTED,
                carrier="sf",
                tracking_no="SF1000000001",
                source=ShipmentSource.MERCHANT,
                lines=(a.UnitsAnswer(line_id="l1", quantity=1),),
                happened_at=_ASKED,
                recorded_at=_ASKED,
            ),
        ),
        tenders=(
            a.TenderAnswer(
                tender_id="t1",
                provider="simulator",
                payment_id="pay-1001",
                captured=_FULL,
                pending=Amount(0, "CNY"),
                refunded=Amount(0, "CNY"),
                lost=Amount(0, "CNY"),
                captured_at=_PAID,
            ),
        ),
        disputes=(
            a.DisputeAnswer(
                dispute_id="dp-1",
                tender_id="t1",
                state=DisputeState.WON,
                amount=_FULL,
                lost=Amount(0, "CNY"),
                opened_at=_PAID,
                closed_at=_ASKED,
            ),
        ),
        funding=(
            a.FundingAnswer(funder=Funder.PLATFORM_SUBSIDY, amount=Amount(1000, "CNY"), returned=Amount(0, "CNY")),
        ),
        ticket_ids=(),
    )


def _bodies() -> tuple[object, ...]:
    line = b.LineSent(
        line_id="l1",
        sku="sku-1",
        item_id="i-1",
        quantity=1,
        paid=Money(12900, "CNY"),
        category_id="apparel",
        title="Cotton shirt, white",
    )
    return (
        b.OrderSent(
            buyer_id="b-1",
            shop_id="s-1",
            currency="CNY",
            placed_at=_PAID,
            lines=[line],
            funding=[b.FundingSent(funder=Funder.PLATFORM_SUBSIDY, amount=PositiveMoney(1000, "CNY"))],
            ship_by=_PAID + timedelta(hours=48),
        ),
        b.PaymentSent(
            tender_id="t1",
            provider="simulator",
            payment_id="pay-1001",
            amount=PositiveMoney(12900, "CNY"),
            captured_at=_PAID,
        ),
        b.DisputeSent(
            dispute_id="dp-1",
            tender_id="t1",
            state=DisputeState.OPEN,
            amount=PositiveMoney(12900, "CNY"),
            happened_at=_PAID,
            reason="not received",
        ),
        b.ShipmentSent(
            degree=ParcelDegree.LABEL_PRINTED,
            carrier="sf",
            tracking_no="SF1000000001",
            happened_at=_ASKED,
            lines=[b.UnitsSent(line_id="l1", quantity=1)],
        ),
        b.CompletionSent(completed_at=_PAID + timedelta(days=7)),
        b.RefundRequestSent(order_id="o-1001", buyer_id="b-1", reason=Reason.NO_LONGER_WANTED),
        b.ApprovalSent(acting_for="merchant", person="wang.fang"),
        b.RejectionSent(
            reason="The parcel is on its way.",
            shipment=b.EvidenceSent(tracking_no="SF1000000001", carrier="sf", happened_at=_ASKED),
        ),
        b.ManualPayoutSent(
            reference="BANK-20260601-0042",
            note="The card was closed; paid to the buyer's bank account.",
            amount=PositiveMoney(12900, "CNY"),
        ),
        b.ResolutionSent(note="The provider booked it a day later; checked with its support."),
        b.BuyerSent(registered_at=_PAID - timedelta(days=400), region="CN-33", attributes={"member_level": 4}),
        b.EventsSent(
            events=[b.EventSent(event_id="completed:o-900", kind="order_completed", at=_PAID, amount_minor=5900)]
        ),
        b.ShopSent(name="Cotton & Co", attributes={"experience_score": 92}),
        b.CategorySent(title="Customised mugs", customised=True),
        b.CoverageSent(scope="category", ref="jewellery", covered=False, reason="Under review by the platform."),
        b.ShopCoverageSent(covered=False, reason="Fulfilment below the platform's standard."),
        b.HistorySent(complete_from=_PAID - timedelta(days=730)),
        b.PauseSent(scope=Scope.SHOP, ref="s-1", reason="Stock system is being moved."),
        b.RestrictionSent(buyer_id="b-9", reason="Cancels in series.", ends_at=_ASKED + timedelta(days=90)),
        b.SelectionSent(verdict="allow", reason="Invited."),
    )


def _order_answers() -> tuple[object, ...]:
    return (
        a.OrderTakenAnswer(order_id="o-1001", created=True),
        _order(),
        a.OrderPage(
            orders=(
                a.OrderRow(
                    order_id="o-1001",
                    buyer_id="b-1",
                    shop_id="s-1",
                    currency="CNY",
                    hold=Hold.NONE,
                    placed_at=_PAID,
                    paid_at=_PAID,
                    completed_at=None,
                ),
            ),
            next=_CURSOR,
        ),
    )


def _ticket_answers() -> tuple[object, ...]:
    ticket = _ticket()
    decision = a.DecisionAnswer(
        outcome=Outcome.INSTANT,
        policy=_POLICY,
        decided_at=_ASKED,
        conditions=_conditions(),
        facts={"order.paid_minor": 12900},
    )
    row = a.TicketRow(
        ticket_id=ticket.ticket_id,
        order_id=ticket.order_id,
        buyer_id=ticket.buyer_id,
        shop_id=ticket.shop_id,
        state=ticket.state,
        version=ticket.version,
        reason=ticket.reason,
        amount=ticket.amount,
        approved_by=ticket.approved_by,
        notice=ticket.notice,
        requested_at=ticket.requested_at,
        expires_at=ticket.expires_at,
        approved_at=ticket.approved_at,
        closed_at=ticket.closed_at,
    )
    return (
        ticket,
        a.TicketDecided(ticket=ticket, decision=decision),
        a.TicketPage(tickets=(row,), next=None),
        decision,
        a.EligibilityAnswer(outcome=Outcome.INSTANT, amount=_FULL, policy=_POLICY, conditions=_conditions()),
    )


def _money_answers() -> tuple[object, ...]:
    attempt = a.AttemptAnswer(
        attempt_id=_ATTEMPT,
        attempt_no=1,
        state=AttemptState.SUCCEEDED,
        started_at=_ASKED,
        news_at=_REFUNDED,
        provider_refund_id="rf_1",
        reason="",
    )
    incident = a.IncidentAnswer(
        incident_id=_INCIDENT,
        order_id="o-1001",
        ticket_id=_TICKET,
        shop_id="s-1",
        kind="goods_left_after_refund",
        state="open",
        amount=_FULL,
        evidence=({"carrier": "sf", "tracking_no": "SF1000000001", "degree": "picked_up", "lines": ["l1"]},),
        opened_at=_REFUNDED,
    )
    stop = a.ChangeAnswer(
        position=42,
        kind="stop_ship",
        at=_ASKED,
        order_id="o-1001",
        buyer_id="b-1",
        shop_id="s-1",
        ticket_id=_TICKET,
        body={
            "lines": [{"line_id": "l1", "sku": "sku-1", "item_id": "i-1", "quantity": 1}],
            "labels_printed": [{"carrier": "sf", "tracking_no": "SF1000000001"}],
        },
    )
    return (
        a.RefundAnswer(
            refund_id=_REFUND,
            ticket_id=_TICKET,
            order_id="o-1001",
            tender_id="t1",
            provider="simulator",
            state=RefundState.SUCCEEDED,
            amount=_FULL,
            queued_at=_ASKED,
            closed_at=_REFUNDED,
            reason="",
            attempts=(attempt,),
        ),
        a.IncidentPage(incidents=(incident,), next=None),
        *_book_answers(),
        a.ChangePage(changes=(stop,), next="WzQyXQ"),
    )


def _book_answers() -> tuple[object, ...]:
    task = a.TaskAnswer(
        task_id=_TASK,
        kind=TaskKind.PAID_TWICE,
        provider="simulator",
        state=TaskState.OPEN,
        order_id="o-1001",
        amount=_FULL,
        evidence={"refund_id": str(_REFUND), "attempt_id": str(_ATTEMPT), "settled_by_hand": True, "looked_up": True},
        opened_at=_REFUNDED,
        resolved_at=None,
        resolved_by=None,
        note=None,
    )
    posting = a.PostingAnswer(
        posted_at=_PAID,
        cause=Cause.CAPTURED,
        meaning=FLOWS[Cause.CAPTURED].meaning,
        debit="provider_clearing:simulator",
        credit="escrow",
        amount=_FULL,
        posting="captured:t1",
    )
    balances = (
        a.BalanceAnswer(account="escrow", balance_minor=-12900, currency="CNY"),
        a.BalanceAnswer(account="provider_clearing:simulator", balance_minor=12900, currency="CNY"),
    )
    return (
        a.LedgerAnswer(order_id="o-1001", postings=(posting,), balances=balances),
        task,
        a.TaskPage(tasks=(task,), next=None),
    )


def _subject_answers() -> tuple[object, ...]:
    row = a.CoverageRow(
        scope=Scope.CATEGORY, ref="jewellery", covered=False, reason="Under review by the platform.", set_at=_PAID
    )
    history = a.HistoryAnswer(kind="order_completed", complete_from=_PAID - timedelta(days=730), fresh_until=None)
    return (
        a.BuyerAnswer(
            buyer_id="b-1",
            registered_at=_PAID - timedelta(days=400),
            region="CN-33",
            attributes={"member_level": 4},
        ),
        a.EventsTaken(recorded=1, known_already=0),
        a.ShopAnswer(shop_id="s-1", name="Cotton & Co", attributes={"experience_score": 92}),
        a.CategoryAnswer(category_id="mugs", title="Customised mugs", customised=True, virtual=False),
        row,
        a.ShopCoverageAnswer(shop_id="s-1", covered=True, reason="Every shop of the platform is covered.", rows=(row,)),
        a.BenefitAnswer(
            shop_id="s-1",
            since=None,
            requests=120,
            instant=95,
            refunded=110,
            awaiting=6,
            instant_median_seconds=1.9,
            instant_p99_seconds=4.2,
            reviewed_median_seconds=21600.0,
            reviewed_p99_seconds=172800.0,
        ),
        history,
        a.HistoryList(history=(history,)),
    )


def _governance_answers() -> tuple[object, ...]:
    pause = a.PauseAnswer(
        scope=Scope.SHOP, ref="s-1", reason="Stock system is being moved.", set_by="shop desk", set_at=_PAID
    )
    restriction = a.RestrictionAnswer(
        restriction_id=_RESTRICTION,
        buyer_id="b-9",
        reason="Cancels in series.",
        starts_at=_ASKED,
        ends_at=_ASKED + timedelta(days=90),
        lifted_at=None,
        set_by="risk desk",
    )
    policy = a.PolicyAnswer(
        policy_id="unshipped-instant-refund",
        version="1",
        title={"zh": "未发货极速退款", "en": "Instant refund before shipment"},
        legal_basis={"zh": "快手小店售后服务管理规则", "en": "Kuaishou shop after-sales service rules"},
        effective_from=_PAID,
        published_at=_PAID,
        conditions=(a.PublicCondition(id="paid_under_300", text=_UNDER_300),),
        notice=_NOTICE,
    )
    return (
        pause,
        a.PauseList(pauses=(pause,)),
        restriction,
        a.RestrictionList(restrictions=(restriction,)),
        a.SelectionAnswer(buyer_id="b-1", verdict="allow", reason="Invited.", set_by="risk desk", set_at=_PAID),
        policy,
        a.PolicyList(policies=(policy,), next=None),
        a.ReadyAnswer(ready=True, database=True, migrated=True, worker=True, degraded=(), roll_up_age_seconds=0.7),
        a.AliveAnswer(status="ok"),
    )


def examples() -> Mapping[type[Any], object]:
    """By type, as JSON values."""
    shown = (
        *_bodies(),
        *_order_answers(),
        *_ticket_answers(),
        *_money_answers(),
        *_subject_answers(),
        *_governance_answers(),
    )
    return {type(value): msgspec.to_builtins(value) for value in shown}
