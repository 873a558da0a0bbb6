"""The statement of reasons of a rejected or closed request: why, and how to contest it, in each language. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from zoneinfo import ZoneInfo

from jitui.aftersales.model.review import ARBITRATION_WINDOW, RejectionCode
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Basis, Ticket, TicketEvent, TicketState

LANGUAGES = ("zh", "en")

_SAYS = {
    "zh": "您对订单 {order} 的退款申请于 {at} 未获通过。",
    "en": "Your refund request about order {order} was not approved ({at}).",
}
_WHY = {
    "rejected": {"zh": "商家拒绝的原因：{code}{reason}。", "en": "The shop's reason: {code}{reason}."},
    "arbitration_decided": {"zh": "平台裁定：{reason}。", "en": "The platform decided: {reason}."},
    "timeout": {"zh": "原因：审核期限已过。", "en": "The reason: the time for its review has passed."},
    "goods_left": {"zh": "原因：商品已经发出。", "en": "The reason: the goods have left."},
    "dispute_open": {
        "zh": "原因：同一笔款项正由您的银行处理拒付，请等待银行的结果。",
        "en": "The reason: your bank is asked for the same money; please wait for its decision.",
    },
    "refused_at_platform": {
        "zh": "原因：商家已在您下单的平台上拒绝该申请。",
        "en": "The reason: the shop refused the request on the platform where you asked.",
    },
    "disputed_at_platform": {
        "zh": "原因：该申请正由您下单的平台处理。",
        "en": "The reason: the platform where you asked decides about the request.",
    },
    "changed_at_platform": {
        "zh": "原因：该申请已在您下单的平台上修改，将按修改后的申请重新审核。",
        "en": "The reason: the request was changed on the platform where you asked, and is decided anew.",
    },
    "returning_at_platform": {
        "zh": "原因：该申请已改为退货或换货。",
        "en": "The reason: the request became one about a return of the goods.",
    },
    "refunded_at_platform": {
        "zh": "您下单的平台已另行退款。",
        "en": "The platform where you asked has paid a refund of its own.",
    },
}
_CODES = {
    RejectionCode.ALREADY_SHIPPED: {"zh": "商品已发出；", "en": "the goods have left. "},
    RejectionCode.MADE_TO_ORDER: {"zh": "商品已为此订单定制；", "en": "the goods are made for this order. "},
    RejectionCode.AGREED_WITH_BUYER: {"zh": "已与您另有约定；", "en": "it was agreed otherwise with you. "},
    RejectionCode.SUSPECTED_ABUSE: {"zh": "涉嫌滥用售后；", "en": "the request is held to be an abuse. "},
}
_OTHERWISE = {"zh": "原因：目前无法退款。", "en": "The reason: it cannot be refunded as it stands."}
_SHIPPED = {
    "zh": "商家提供的运单号：{tracking_no}。",
    "en": "The shop gave this tracking number: {tracking_no}.",
}
_CONTEST = {
    "zh": "如不同意，您可以在 {until} 前申请平台介入，由平台判定。",
    "en": "If you do not agree, you can ask the platform to decide, until {until}.",
}
_AFTER_SHIPMENT = {
    "zh": "您在收到商品后仍可依法行使撤回权或申请退货退款。",
    "en": "You can still withdraw from the contract, or ask for a return, once you have the goods.",
}


def rejection_of(snapshot: OrderSnapshot, ticket: Ticket) -> TicketEvent | None:
    """The newest transition by which the ticket was rejected or closed without a refund; None when there is none."""
    ends = {TicketState.REJECTED, TicketState.CLOSED}
    timeline = snapshot.timeline_of(ticket.ticket_id)
    found = [event for event in timeline if event.to_state in ends and event.from_state is not event.to_state]
    return found[-1] if found and ticket.state in ends else None


def reason_of(event: TicketEvent) -> str:
    """Why a shop rejected, in its own words."""
    return str(event.detail.get("reason", "")).strip().rstrip("。.")


def _code_of(event: TicketEvent, language: str) -> str:
    """The code of a rejection in words; nothing for rejections of earlier releases, and where it says nothing."""
    words = _CODES.get(RejectionCode(str(event.detail.get("reason_code", RejectionCode.OTHER))))
    return words[language] if words is not None else ""


def statement_of_rejection(snapshot: OrderSnapshot, ticket: Ticket, time_zone: ZoneInfo) -> Mapping[str, str] | None:
    """The statement in each language; None for a ticket that was not rejected. Times are in the platform's zone."""
    event = rejection_of(snapshot, ticket)
    if event is None:
        return None
    return {language: _statement(ticket, event, language, time_zone) for language in LANGUAGES}


def _statement(ticket: Ticket, event: TicketEvent, language: str, time_zone: ZoneInfo) -> str:
    def moment(days: timedelta = timedelta(0)) -> str:
        return f"{(event.at + days).astimezone(time_zone):%Y-%m-%d %H:%M} ({time_zone.key})"

    tracking_no = event.detail.get("tracking_no")
    left = bool(tracking_no) or event.why == "goods_left"
    parts = [
        _SAYS[language].format(order=ticket.order_id, at=moment()),
        _WHY.get(event.why, _OTHERWISE)[language].format(reason=reason_of(event), code=_code_of(event, language)),
        *([_SHIPPED[language].format(tracking_no=tracking_no)] if tracking_no else []),
        *(
            [_CONTEST[language].format(until=moment(ARBITRATION_WINDOW))]
            if ticket.state is TicketState.REJECTED
            else []
        ),
        *([_AFTER_SHIPMENT[language]] if left or ticket.basis is Basis.WITHDRAWAL else []),
    ]
    return ("" if language == "zh" else " ").join(parts)
