"""A loaded policy: the values of one text, checked, with its expressions compiled once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jitui.policy.facts import FactSpec, FactType
from jitui.policy.problems import Problem
from jitui.policy.syntax import Node

if TYPE_CHECKING:
    from jitui.policy.program import Programs

DAY_SECONDS = 86_400
Text = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Feature:
    """An aggregate over one kind of event of a buyer or a shop: a fact of type int under its own name.

    The window is the `days` calendar days before today plus today so far (shops: up to yesterday). `sum` is
    in minor units; `last_age_days` is the whole days since the last event, unknown when the window holds none.
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
    """At most so many approvals and so much money within a rolling window; None is no limit."""

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
class Selection:
    """The share of buyers whose requests go to review for comparison (R7)."""

    hold_out_percent: int = 0


@dataclass(frozen=True, slots=True)
class Review:
    """How long a merchant has, and what silence means."""

    deadline_seconds: int
    on_timeout: Literal["approve", "reject"]


@dataclass(frozen=True, eq=False)
class Policy:
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
    selection: Selection
    caps: Caps
    restrictions: tuple[RestrictionRule, ...]
    review: Review
    facts: Mapping[str, FactSpec]
    """Every fact that this policy may read: the table, its features and its attributes."""
    advice: tuple[Problem, ...]
    """What loads but is probably not meant, such as a policy that `pause` cannot stop."""
    programs: Programs

    @classmethod
    def from_file(cls, path: str | Path) -> Policy:
        """The policy in a UTF-8 file; raises PolicyRefused with every problem, OSError when unreadable."""
        from jitui.policy.load import load_bytes

        return load_bytes(Path(path).read_bytes(), str(path))

    @classmethod
    def from_text(cls, text: str, name: str = "policy.yaml") -> Policy:
        """The policy in a text, `name` standing for the file; raises PolicyRefused with every problem."""
        from jitui.policy.load import load

        return load(text, name)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Policy.from_text, (self.text, self.name)

    def __repr__(self) -> str:
        return f"<Policy {self.id} version {self.version} {self.sha256[:12]}>"
