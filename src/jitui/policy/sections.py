"""The values of a policy's sections: features, definitions, conditions, caps, restrictions, review."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from jitui.policy.facts import FactType, ScalarValue
from jitui.policy.language.syntax import Node

OTHER_FACTORS = "other_factors"
"""The id of the row that stands for private conditions in an explanation; no condition may have it."""
HELD_BY_WAREHOUSE = "held_by_warehouse"
"""The id of the condition that the section `stop_ship` adds: no label is printed."""

DAY_SECONDS = 86_400
DEFAULT_ALERTS = (80, 100)
Text = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A whole number with a name, which expressions, sentences and limits share.

    `shown_in` are the sentences and `limits` the caps and shares that use it, by their keys in the file; which
    expressions use it, the programs know.
    """

    name: str
    value: int
    shown_in: tuple[str, ...]
    limits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamedList:
    """Words or whole numbers under one name, for the right side of `in`; `shown_in` are the sentences that show it."""

    name: str
    words: tuple[ScalarValue, ...]
    shown_in: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Feature:
    """A number that is counted from one kind of event of a buyer or a shop: a fact of type int with its own name.

    The window is the `days` calendar days of the platform's time zone before today, plus today so far (for shops up to
    yesterday). `sum` adds the amounts in the policy's currency; `last_age_days` counts the midnights since the last
    event, and is unknown when the window has none.
    """

    name: str
    subject: Literal["buyer", "shop"]
    function: Literal["count", "sum", "last_age_days"]
    kind: str
    days: int


@dataclass(frozen=True, slots=True)
class Definition:
    """A named expression; each definition uses only those before it."""

    name: str
    when: str
    type: FactType
    tree: Node


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the conditions that must all hold. Figures of a private detail are shown to the platform alone (R16)."""

    id: str
    when: str
    public: bool
    detail_public: bool
    text: Text
    tree: Node


@dataclass(frozen=True, slots=True)
class RestrictionRule:
    """When a buyer loses the service, and for how long (R11).

    `text` is what the buyer is told; empty: in general words.
    """

    id: str
    when: str
    withdraw: str
    for_days: int
    text: Text
    tree: Node


@dataclass(frozen=True, slots=True)
class ShopGate:
    """When a shop is not covered (R12), with a bound of its own to come back, so that a shop does not flicker.

    The days are whole days of the platform's time zone: in a row until the shop is told, in a row until it is back, and
    between being told and leaving.
    """

    id: str
    leave_when: str
    return_when: str
    leave_after_days: int
    return_after_days: int
    notice_days: int
    public: bool
    text: Text
    return_text: Text
    leave_tree: Node
    return_tree: Node


@dataclass(frozen=True, slots=True)
class ListGate:
    """Categories or items that are not covered (R12), by their ids."""

    id: str
    scope: Literal["category", "item"]
    refs: tuple[str, ...]
    notice_days: int
    public: bool
    text: Text


@dataclass(frozen=True, slots=True)
class Gates:
    """Which shops, categories and items are not covered."""

    shops: tuple[ShopGate, ...] = ()
    lists: tuple[ListGate, ...] = ()


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit on instant approvals within a rolling window of seconds.

    `count` limits approvals in all currencies, `amount_minor` the money in the policy's currency; None is no limit.
    """

    count: int | None
    amount_minor: int | None
    over_seconds: int


@dataclass(frozen=True, slots=True)
class Caps:
    """The caps of a policy; None for a scope without a cap.

    `alerts_at_percent`: the shares of a cap, in percent and rising, at which operators are told.
    """

    per_buyer: Cap | None = None
    per_shop: Cap | None = None
    platform: Cap | None = None
    per_category: Cap | None = None
    per_cluster: Cap | None = None
    alerts_at_percent: tuple[int, ...] = DEFAULT_ALERTS


@dataclass(frozen=True, slots=True)
class SelectionSection:
    """The share of buyers whose requests go to review for comparison (R7), and the seed by which they are drawn.

    Without a `seed` the policy's id is it.
    """

    hold_out_percent: int = 0
    seed: str = ""


@dataclass(frozen=True, slots=True)
class GuardBound:
    """How far a canary's mean may lie above the live policy's: by so many percent of it.

    A request counts once it is `counts_after_seconds` old, and only what happened to it within that time.
    """

    above_live_percent: int
    counts_after_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Guards:
    """What a canary of this policy is watched by.

    The first three end it by themselves, wrongly in at most `false_alarm_percent` of canaries that are no worse; the
    others keep its share from being raised.
    """

    incident_rate: GuardBound = GuardBound(0, 2 * DAY_SECONDS)
    refund_failures: GuardBound = GuardBound(0, 3600)
    money_out: GuardBound = GuardBound(25)
    share_instant: GuardBound = GuardBound(50)
    repeat_requests: GuardBound = GuardBound(25)
    false_alarm_percent: int = 5


class BorneBy(StrEnum):
    """Who bears the loss of goods that left although their refund was approved at once."""

    PLATFORM = "platform"
    MERCHANT = "merchant"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class Loss:
    """What goes wrong costs, for tuning and reports, and who bears it; it decides nothing.

    `shop_percent` is the shop's part of a split loss. A text that does not say who bears a loss charges no shop.

    An incident costs a percentage of the amount, a dispute that the buyer loses and a minute of review an amount in
    minor units of the policy's currency.
    """

    incident_cost_percent: int = 100
    lost_dispute_cost_minor: int = 0
    review_minute_cost_minor: int = 0
    borne_by: BorneBy = BorneBy.PLATFORM
    shop_percent: int = 50


@dataclass(frozen=True, slots=True)
class Advance:
    """Where a shop's balance at the provider is short, the platform's account may pay requests of at most so much."""

    at_most_minor: int


@dataclass(frozen=True, slots=True)
class StopShip:
    """Goods with a printed label: the refund waits for the warehouse, which answers within so many minutes."""

    minutes: int


@dataclass(frozen=True, slots=True)
class Review:
    """The merchant's deadline, and what happens when it passes."""

    deadline_seconds: int
    on_timeout: Literal["approve", "reject"]
