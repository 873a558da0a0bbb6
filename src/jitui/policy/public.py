"""The part of a policy that everybody may read (R16); it is stored when the policy is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jitui.money import to_decimal_text
from jitui.policy.policy import Policy
from jitui.policy.sections import BorneBy


@dataclass(frozen=True, slots=True)
class PublishedCondition:
    """A published condition, as a sentence."""

    id: str
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PublicPolicy:
    """The public part of a policy; `other_factors`: the policy has conditions that are not public.

    `loss_borne_by`, `loss_shop_percent`: who bears it when goods had left; the percentage is of a split loss.
    `advance_up_to_minor`: the largest refund, in minor units of `currency`, that the platform's account may pay for a
    shop, which then owes it; None: none.
    """

    policy_id: str
    version: str
    title: Mapping[str, str]
    legal_basis: Mapping[str, str]
    effective_from: datetime
    notice: Mapping[str, str]
    conditions: tuple[PublishedCondition, ...]
    other_factors: bool
    deadline_seconds: int
    on_timeout: str
    loss_borne_by: str = BorneBy.PLATFORM.value
    loss_shop_percent: int | None = None
    advance_up_to_minor: int | None = None
    currency: str = ""


def public_view(policy: Policy) -> PublicPolicy:
    """The public part of a policy."""
    return PublicPolicy(
        policy_id=policy.id,
        version=policy.version,
        title=policy.title,
        legal_basis=policy.legal_basis,
        effective_from=policy.effective_from,
        notice=policy.notice,
        conditions=tuple(PublishedCondition(one.id, one.text) for one in policy.conditions if one.public),
        other_factors=any(not one.public for one in policy.conditions),
        deadline_seconds=policy.review.deadline_seconds,
        on_timeout=policy.review.on_timeout,
        loss_borne_by=policy.loss.borne_by.value,
        loss_shop_percent=policy.loss.shop_percent if policy.loss.borne_by is BorneBy.SPLIT else None,
        advance_up_to_minor=None if policy.advance is None else policy.advance.at_most_minor,
        currency=policy.currency,
    )


class PublicChangeKind(StrEnum):
    """What is otherwise in a later version."""

    CONDITION_ADDED = "condition_added"
    CONDITION_REMOVED = "condition_removed"
    CONDITION_REWORDED = "condition_reworded"
    OTHER_FACTORS_ADDED = "other_factors_added"
    OTHER_FACTORS_REMOVED = "other_factors_removed"
    DEADLINE = "deadline"
    ON_TIMEOUT = "on_timeout"
    LOSS_BORNE_BY = "loss_borne_by"
    ADVANCE = "advance"
    NOTICE = "notice"
    TITLE = "title"


@dataclass(frozen=True, slots=True)
class PublicChange:
    """One difference between two versions, in words for everybody; `condition` is empty where it is about none."""

    kind: PublicChangeKind
    text: Mapping[str, str]
    condition: str = ""


def public_changes(before: PublicPolicy, after: PublicPolicy) -> tuple[PublicChange, ...]:
    """What of the published part is otherwise in the later version. Of private conditions only that there are some."""
    old = {one.id: one.text for one in before.conditions}
    new = {one.id: one.text for one in after.conditions}
    kinds = PublicChangeKind
    changes = [
        PublicChange(kinds.CONDITION_ADDED, _words(text, "新增条件：{}", "New condition: {}"), name)
        for name, text in new.items()
        if name not in old
    ]
    changes += [
        PublicChange(kinds.CONDITION_REMOVED, _words(text, "取消条件：{}", "No condition any more: {}"), name)
        for name, text in old.items()
        if name not in new
    ]
    changes += [
        PublicChange(
            kinds.CONDITION_REWORDED,
            {"zh": f"条件由“{old[name]['zh']}”改为“{text['zh']}”", "en": f"“{old[name]['en']}” is now “{text['en']}”"},
            name,
        )
        for name, text in new.items()
        if name in old and old[name] != text
    ]
    return (*changes, *_other_changes(before, after))


def _other_changes(before: PublicPolicy, after: PublicPolicy) -> list[PublicChange]:
    kinds, found = PublicChangeKind, []
    if after.other_factors and not before.other_factors:
        text = {"zh": "平台新增不公开的其他因素", "en": "The platform now considers other factors, too"}
        found.append(PublicChange(kinds.OTHER_FACTORS_ADDED, text))
    if before.other_factors and not after.other_factors:
        text = {"zh": "平台不再考虑不公开的其他因素", "en": "The platform considers no other factors any more"}
        found.append(PublicChange(kinds.OTHER_FACTORS_REMOVED, text))
    if before.deadline_seconds != after.deadline_seconds:
        old, new = (f"{one.deadline_seconds / 3600:g}" for one in (before, after))
        text = {
            "zh": f"商家处理时限由 {old} 小时改为 {new} 小时",
            "en": f"The shop has {new} hours to decide in place of {old}",
        }
        found.append(PublicChange(kinds.DEADLINE, text))
    if before.on_timeout != after.on_timeout:
        approves = after.on_timeout == "approve"
        text = {
            "zh": "商家逾期未处理则" + ("同意退款" if approves else "拒绝退款"),
            "en": f"A request that the shop does not answer is {'approved' if approves else 'rejected'}",
        }
        found.append(PublicChange(kinds.ON_TIMEOUT, text))
    if (before.loss_borne_by, before.loss_shop_percent) != (after.loss_borne_by, after.loss_shop_percent):
        found.append(PublicChange(kinds.LOSS_BORNE_BY, loss_in_words(after)))
    if before.advance_up_to_minor != after.advance_up_to_minor:
        found.append(PublicChange(kinds.ADVANCE, advance_in_words(after)))
    if before.notice != after.notice:
        found.append(PublicChange(kinds.NOTICE, _words(after.notice, "工单说明改为：{}", "A ticket now says: {}")))
    if before.title != after.title:
        found.append(PublicChange(kinds.TITLE, _words(after.title, "名称改为：{}", "It is now named: {}")))
    return found


def loss_in_words(policy: PublicPolicy) -> Mapping[str, str]:
    """Who bears it when goods had left although they were refunded at once."""
    percent = policy.loss_shop_percent
    chinese = {"platform": "由平台承担", "merchant": "由商家承担", "split": f"由商家承担 {percent}%，其余由平台承担"}
    english = {
        "platform": "the platform bears the loss",
        "merchant": "the shop bears the loss",
        "split": f"the shop bears {percent} percent of the loss and the platform the rest",
    }
    return {
        "zh": f"极速退款后商品仍已发出的损失{chinese[policy.loss_borne_by]}",
        "en": f"When goods left although they were refunded at once, {english[policy.loss_borne_by]}",
    }


def advance_in_words(policy: PublicPolicy) -> Mapping[str, str]:
    """What the platform's account may pay for a shop."""
    if policy.advance_up_to_minor is None:
        return {
            "zh": "店铺在支付机构的可用余额不足时，退款待余额充足后再支付",
            "en": "Where a shop's balance at the payment provider is short, its refunds wait until there is enough",
        }
    amount = f"{to_decimal_text(policy.advance_up_to_minor, policy.currency)} {policy.currency}"
    return {
        "zh": f"店铺在支付机构的可用余额不足时，平台账户可垫付不超过 {amount} 的退款，并计为店铺应还款项",
        "en": "Where a shop's balance at the payment provider is short, the platform's account may pay refunds of at "
        f"most {amount}, and the shop owes them",
    }


def _words(text: Mapping[str, str], chinese: str, english: str) -> Mapping[str, str]:
    return {"zh": chinese.format(text["zh"]), "en": english.format(text["en"])}
