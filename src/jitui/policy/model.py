"""A loaded policy: the checked values of a text, with its expressions compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from jitui.policy.facts import FactSpec
from jitui.policy.problems import PolicyProblem
from jitui.policy.program import Programs
from jitui.policy.sections import (
    Advance,
    Caps,
    Condition,
    Definition,
    Feature,
    Gates,
    Guards,
    Loss,
    NamedList,
    Parameter,
    RestrictionRule,
    Review,
    SelectionSection,
    StopShip,
    Text,
)


@dataclass(frozen=True, eq=False)
class LoadedPolicy:
    """One version of a policy; `sha256` is the hash of the text, and equal texts decide equally."""

    name: str
    text: str
    sha256: str
    id: str
    version: str
    effective_from: datetime
    currency: str
    title: Text
    notice: Text
    legal_basis: Text
    parameters: tuple[Parameter, ...]
    lists: tuple[NamedList, ...]
    attributes: Mapping[str, FactSpec]
    """Of the buyer."""
    shop_attributes: Mapping[str, FactSpec]
    """Of the shop; gates alone read them."""
    features: tuple[Feature, ...]
    deciding_features: tuple[Feature, ...]
    """The features without those that gates alone read: a gate costs a request nothing."""
    definitions: tuple[Definition, ...]
    conditions: tuple[Condition, ...]
    selection: SelectionSection
    caps: Caps
    guards: Guards
    loss: Loss
    restrictions: tuple[RestrictionRule, ...]
    gates: Gates
    review: Review
    stop_ship: StopShip | None
    """None: a refund is approved at once whether a label is printed or not, as the conditions say."""
    advance: Advance | None
    """None: the platform's account pays for no shop."""
    notice_period_days: int
    """How long the next text is announced before it takes effect, in days of 24 hours; 0: nothing is announced."""
    facts: Mapping[str, FactSpec]
    """Every fact that this policy may read: of the table, and its own features and attributes."""
    advice: tuple[PolicyProblem, ...]
    """Warnings: what is allowed but probably not meant, such as a policy that `pause` cannot stop."""
    programs: Programs

    def __repr__(self) -> str:
        return f"<Policy {self.id} version {self.version} {self.sha256[:12]}>"
