"""Explains a decision in sentences, for the platform, the merchant or the buyer (R16)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from jitui.policy.decide import ConditionResult, Decision, Outcome, ReadValue, Verdict
from jitui.policy.facts import FACTS
from jitui.policy.sections import OTHER_FACTORS

Language = Literal["zh", "en"]
Audience = Literal["platform", "merchant", "buyer"]

_OTHER_FACTORS_TEXT = {
    "zh": "平台根据交易历史等因素综合判断，本次申请转由商家审核",
    "en": "Other factors that the platform considers: this request goes to the merchant",
}
# Merchants see no figures about the buyer, buyers none about the shop or about accounts that are linked with theirs;
# neither sees figures about the platform or its categories.
_HIDDEN_FACTS = {
    "merchant": ("buyer.", "caps.buyer_", "caps.category_", "caps.cluster_", "caps.platform_"),
    "buyer": ("buyer.cluster_", "shop.", "caps.shop_", "caps.category_", "caps.cluster_", "caps.platform_"),
}


@dataclass(frozen=True, slots=True)
class ExplanationRow:
    """One condition as this reader may see it; `facts` is empty when the figures are hidden."""

    id: str
    verdict: Verdict
    sentence: str
    facts: Mapping[str, ReadValue]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a request was or was not refunded at once."""

    outcome: Outcome
    rows: tuple[ExplanationRow, ...]


def explain(decision: Decision, language: Language = "zh", audience: Audience = "platform") -> Explanation:
    """The conditions that the audience may see.

    The platform sees everything. Merchants and buyers see the public conditions, and one neutral row when a private
    condition is not true.
    """
    if audience == "platform":
        rows = [_row(result, language, result.facts) for result in decision.conditions]
        return Explanation(decision.outcome, tuple(rows))
    rows = [_row(result, language, _shown(result, audience)) for result in decision.conditions if result.public]
    if any(not result.public and result.verdict is not Verdict.TRUE for result in decision.conditions):
        # Always `false`: whether a private condition was false or unknown is private too.
        rows.append(ExplanationRow(OTHER_FACTORS, Verdict.FALSE, _OTHER_FACTORS_TEXT[language], {}))
    return Explanation(decision.outcome, tuple(rows))


def _row(result: ConditionResult, language: Language, facts: Mapping[str, ReadValue]) -> ExplanationRow:
    return ExplanationRow(result.id, result.verdict, result.text[language], facts)


def _shown(result: ConditionResult, audience: Audience) -> dict[str, ReadValue]:
    if not result.detail_public:
        return {}
    # Attributes and features that the policy declares, such as a risk score, are not in FACTS: only the platform sees
    # them.
    return {
        name: value
        for name, value in result.facts.items()
        if name in FACTS and not name.startswith(_HIDDEN_FACTS[audience])
    }
