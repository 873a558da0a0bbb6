"""Appeals: a buyer contests a restriction, and another person than the one who set it answers within a deadline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.ids import lane_of_id, new_id

LONGEST_APPEAL = 2_000
LONGEST_ANSWER = 500
BY_BUYER = "buyer"
"""Who opened an appeal that nobody opened for the buyer."""


class AppealState(StrEnum):
    """An appeal is open until it is decided. Upheld: the buyer is right, and the restriction is lifted."""

    OPEN = "open"
    UPHELD = "upheld"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Appeal:
    """The row of an appeal. `answer`: the reason of the decision, in words that the buyer reads."""

    appeal_id: UUID
    restriction_id: UUID
    buyer_id: str
    text: str
    opened_at: datetime
    opened_by: str
    answer_by: datetime
    state: AppealState = AppealState.OPEN
    answer: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None


@dataclass(frozen=True, slots=True)
class AppealDecision:
    """What becomes of an appeal, by whom. `upheld` lifts the restriction in the same transaction."""

    upheld: bool
    answer: str
    by: str
    at: datetime

    @property
    def state(self) -> AppealState:
        """The state after it."""
        return AppealState.UPHELD if self.upheld else AppealState.REJECTED


@dataclass(frozen=True, slots=True)
class AppealFilter:
    """A page of appeals, those first whose answer is due first; `after` is the last row of the page before."""

    state: AppealState | None = None
    buyer_id: str | None = None
    after: tuple[datetime, UUID] | None = None
    limit: int = 50


class Appeals(Protocol):
    """Opens, lists and decides appeals."""

    async def open(self, appeal: Appeal) -> Appeal | Refusal:
        """The open appeal against the restriction: the given one, or an equal one that was there already."""
        ...

    async def get(self, appeal_id: UUID) -> Appeal | None: ...

    async def list(self, wanted: AppealFilter) -> Sequence[Appeal]: ...

    async def decide(self, appeal_id: UUID, decision: AppealDecision) -> Appeal | Refusal: ...


def new_appeal(
    restriction_id: UUID, buyer_id: str, text: str, *, now: datetime, answer_days: int, by: str = BY_BUYER
) -> Appeal:
    """An appeal with an id of its own, to be answered within so many times 24 hours."""
    appeal_id = new_id(lane_of_id(restriction_id))
    return Appeal(appeal_id, restriction_id, buyer_id, text, now, by, now + timedelta(days=answer_days))


def restriction_over() -> Refusal:
    """The refusal of an appeal against a restriction that has ended or was lifted."""
    return Refusal(RefusalCode.RESTRICTION_OVER, "The restriction is over: there is nothing left to contest.")


def appeal_open() -> Refusal:
    """The refusal of a second appeal."""
    return Refusal(
        RefusalCode.APPEAL_OPEN, "An appeal against this restriction is open already; it will be answered first."
    )


def appeal_decided() -> Refusal:
    """The refusal of a second decision."""
    return Refusal(RefusalCode.APPEAL_DECIDED, "This appeal was decided already; a decision is not changed.")


def another_person_decides() -> Refusal:
    """The refusal for whoever set the restriction."""
    return Refusal(
        RefusalCode.SECOND_PERSON_NEEDED,
        "Whoever set a restriction does not decide the appeal against it: another person does.",
    )
