"""The statement of reasons of a restriction: what the buyer reads, in each language. Pure.

It never has a rule's expression or figures (R16), who set the restriction, or the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from jitui.aftersales.governance.registry import Restriction

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


def statement_of(restriction: Restriction, *, time_zone: ZoneInfo, answer_days: int) -> Mapping[str, str]:
    """The statement in each language; times are in the platform's time zone."""
    return {language: _statement(restriction, language, time_zone, answer_days) for language in LANGUAGES}


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
