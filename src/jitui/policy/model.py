"""A loaded policy: the values of one text, checked, with its expressions compiled once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from jitui.policy.facts import FactSpec
from jitui.policy.problems import PolicyProblem
from jitui.policy.program import Programs
from jitui.policy.sections import Caps, Condition, Definition, Feature, RestrictionRule, Review, SelectionSection, Text


@dataclass(frozen=True, eq=False)
class LoadedPolicy:
    """One version of a policy; equal texts make equal decisions (`sha256` is of the text)."""

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
    attributes: Mapping[str, FactSpec]
    features: tuple[Feature, ...]
    definitions: tuple[Definition, ...]
    conditions: tuple[Condition, ...]
    selection: SelectionSection
    caps: Caps
    restrictions: tuple[RestrictionRule, ...]
    review: Review
    facts: Mapping[str, FactSpec]
    """Every fact that this policy may read: the table, its features and its attributes."""
    advice: tuple[PolicyProblem, ...]
    """What loads but is probably not meant, such as a policy that `pause` cannot stop."""
    programs: Programs

    def __repr__(self) -> str:
        return f"<Policy {self.id} version {self.version} {self.sha256[:12]}>"
