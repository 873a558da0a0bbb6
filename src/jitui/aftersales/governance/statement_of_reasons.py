"""Statements of reasons, in each language: what a buyer reads of a restriction, a shop of an incident. Pure.

It never has a rule's expression or figures (R16), who set the restriction, or the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from jitui.aftersales.governance.registry import Restriction
from jitui.aftersales.model.incident import Incident, IncidentKind
from jitui.money import to_decimal_text

LANGUAGES = ("zh", "en")

_LOSES = {
    "zh": "自 {start} 起，您的退款申请不再由系统自动审核通过，而是转由商家审核；您的退款权利不受影响。",
    "en": "From {start} your refund requests are no longer approved at once but go to the merchant for review. "
    "Your right to a refund is not affected.",
}
_REASON = {"zh": "原因：{reason}。", "en": "The reason: {reason}."}
_GENERAL = {
    "zh": "您近期的交易记录符合平台暂停极速退款服务的规则",
    "en": "your recent orders meet the platform's rules for withdrawing instant refunds",
}
_ENDS = {"zh": "该限制于 {end} 结束。", "en": "The restriction ends at {end}."}
_NO_END = {
    "zh": "该限制在平台解除之前持续有效。",
    "en": "The restriction has no end date; it holds until the platform lifts it.",
}
_CONTEST = {
    "zh": "如有异议，您可以在限制期间提出申诉，平台将在 {days} 日内由未参与该决定的人员答复。",
    "en": "You can contest it by an appeal while it lasts. Somebody who did not set it answers within {days} days.",
}
_CONTEST_RULE = {
    "zh": "如有异议，您可以在限制期间提出申诉，平台将在 {days} 日内由工作人员答复。",
    "en": "You can contest it by an appeal while it lasts. A person answers within {days} days.",
}

_CHARGED = {
    "zh": "订单 {order} 的商品在极速退款后仍已发出（承运商 {carrier}，运单号 {waybill}），"
    "平台于 {decided} 决定由贵店承担 {amount}。",
    "en": "The goods of order {order} left although they had been refunded at once (carrier {carrier}, tracking number "
    "{waybill}). On {decided} the platform decided that your shop bears {amount} of it.",
}
_ADVANCED = {
    "zh": "订单 {order} 退款时，贵店在支付机构的可用余额不足，该退款由平台账户垫付；"
    "平台于 {decided} 将 {amount} 计为贵店应还款项。",
    "en": "When order {order} was refunded, your shop's balance at the payment provider was short, and the platform's "
    "account paid the refund. On {decided} {amount} was charged to your shop.",
}
_ADVANCED_FOR = {"zh": "理由：{reason}。", "en": "The reason: {reason}."}
_CHARGED_FOR = {
    "zh": "依据为批准该退款时生效的平台规则对损失承担的规定；理由：{reason}。",
    "en": "It follows from what the rules that approved this refund say about who bears such a loss. The reason: "
    "{reason}.",
}
_CONTEST_CHARGE = {
    "zh": "如有异议，您可以在 {until} 前提出申诉，平台将在 {days} 日内由未参与该决定的人员答复；答复之前暂停追偿。",
    "en": "You can contest it until {until}. Somebody who did not decide it answers within {days} days, and nothing is "
    "recovered until then.",
}
_CHARGE_FINAL = {
    "zh": "申诉期已过或申诉已答复，该决定不能再次申诉。",
    "en": "The time to contest it is over, or a contest was answered.",
}


def statement_of(restriction: Restriction, *, time_zone: ZoneInfo, answer_days: int) -> Mapping[str, str]:
    """The statement in each language; times are in the platform's time zone."""
    return {language: _statement(restriction, language, time_zone, answer_days) for language in LANGUAGES}


def statement_of_charge(incident: Incident, *, time_zone: ZoneInfo, answer_days: int) -> Mapping[str, str] | None:
    """What a shop reads of an incident that is charged to it: what, why, by which facts, how to contest it.

    None while nothing is charged. `answer_days`: within how many days a contest is answered.
    """
    if not incident.shop_minor or incident.decided_at is None:
        return None
    scan = incident.evidence[0] if incident.evidence else {}
    amount = f"{to_decimal_text(incident.shop_minor, incident.currency)} {incident.currency}"
    values = {
        "order": incident.order_id,
        "amount": amount,
        "carrier": scan.get("carrier") or "-",
        "waybill": scan.get("tracking_no") or "-",
        "decided": _moment(incident.decided_at, time_zone),
        "reason": incident.reason.strip().rstrip("。."),
        "days": answer_days,
    }
    final = incident.contest_until is None
    until = _moment(incident.contest_until, time_zone) if incident.contest_until is not None else ""
    why: tuple[Mapping[str, str], ...] = (_CHARGED, _CHARGED_FOR)
    if incident.kind is IncidentKind.PLATFORM_ADVANCE:
        why = (_ADVANCED, _ADVANCED_FOR) if incident.reason else (_ADVANCED,)
    parts = (*why, _CHARGE_FINAL if final else _CONTEST_CHARGE)
    return {
        language: ("" if language == "zh" else " ").join(part[language].format(**values, until=until) for part in parts)
        for language in LANGUAGES
    }


def reason_in(restriction: Restriction, language: str) -> str:
    """The reason alone: the words of who set it by hand, or the rule's sentence for buyers."""
    if restriction.rule_id is None:
        return restriction.reason
    return restriction.text.get(language, _GENERAL[language])


def _statement(restriction: Restriction, language: str, time_zone: ZoneInfo, answer_days: int) -> str:
    ends, by_rule = restriction.ends_at, restriction.rule_id is not None
    reason = reason_in(restriction, language).strip().rstrip("。.")
    parts = [
        _LOSES[language].format(start=_moment(restriction.starts_at, time_zone)),
        *([_REASON[language].format(reason=reason)] if reason else []),
        _NO_END[language] if ends is None else _ENDS[language].format(end=_moment(ends, time_zone)),
        (_CONTEST_RULE if by_rule else _CONTEST)[language].format(days=answer_days),
    ]
    return ("" if language == "zh" else " ").join(parts)


def _moment(at: datetime, time_zone: ZoneInfo) -> str:
    return f"{at.astimezone(time_zone):%Y-%m-%d %H:%M} ({time_zone.key})"
