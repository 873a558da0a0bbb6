"""The plain values of a policy's sections: features, definitions, conditions, caps, restrictions, review."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from jitui.policy.facts import FactType
from jitui.policy.language.syntax import Node

OTHER_FACTORS = "other_factors"
"""The id of the row that stands for private conditions in an explanation; no condition may take it."""

DAY_SECONDS = 86_400
Text = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Feature:
    """An aggregate over one kind of event of a buyer or a shop: a fact of type int under its own name.

    The window is the `days` calendar days of the platform's time zone before today, plus today so far (shops: up to
    yesterday). `sum` adds what is in the policy's currency; `last_age_days` counts the midnights since the last event,
    and is unknown when the window holds none.
    """

    name: str
    subject: Literal["buyer", "shop"]
    function: Literal["count", "sum", "last_age_days"]
    kind: str
    days: int


@dataclass(frozen=True, slots=True)
class Definition:
    """A named expression; definitions are kept in an order in which each uses only earlier ones."""

    name: str
    when: str
    type: FactType
    tree: Node


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the conditions that must all hold; the figures of a private detail stay inside (R16)."""

    id: str
    when: str
    public: bool
    detail_public: bool
    text: Text
    tree: Node


@dataclass(frozen=True, slots=True)
class RestrictionRule:
    """When a buyer loses the service by the rule, and for how long (R11)."""

    id: str
    when: str
    withdraw: str
    for_days: int
    tree: Node


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many approvals in any currency, and so much money in the policy's, within a rolling window of seconds.

    None is no limit.
    """

    count: int | None
    amount_minor: int | None
    over_seconds: int


@dataclass(frozen=True, slots=True)
class Caps:
    """The caps of a policy; None where the policy sets none."""

    per_buyer: Cap | None = None
    per_shop: Cap | None = None
    platform: Cap | None = None


@dataclass(frozen=True, slots=True)
class SelectionSection:
    """The share of buyers whose requests go to review for comparison (R7)."""

    hold_out_percent: int = 0


@dataclass(frozen=True, slots=True)
class Review:
    """How long a merchant has, and what silence means."""

    deadline_seconds: int
    on_timeout: Literal["approve", "reject"]
