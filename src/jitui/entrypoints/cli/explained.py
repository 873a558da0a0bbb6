"""A ticket with its decision, wherever it was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from jitui.aftersales.model.view import TicketView
    from jitui.policy import Explanation


ERASED = (
    "The buyer was erased. The numbers are those that were stored; whether they were right cannot be checked any more."
)


@dataclass(frozen=True, slots=True)
class Explained:
    """A ticket with its decision, as its reader may see it; `unknown` is None for others than the platform.

    `erased`: what cannot be checked any more because the buyer was erased; empty otherwise.
    """

    view: TicketView
    decided_at: datetime
    policy: Mapping[str, str]
    explanation: Explanation
    unknown: Sequence[str] | None
    erased: str
