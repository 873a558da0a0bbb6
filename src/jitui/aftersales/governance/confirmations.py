"""What one person did at once to stop or narrow payments, and the second person who confirms it within a day.

Nothing is undone where nobody does: to let money out again takes two people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

CONFIRM_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What was done, by whom and why, and who confirmed it."""

    confirmation_id: UUID
    action: str
    subject: str
    done_by: str
    done_at: datetime
    reason: str
    confirm_by: datetime
    confirmed_by: str | None = None
    confirmed_at: datetime | None = None


class ConfirmRefusal(StrEnum):
    """Why nothing was confirmed."""

    NOTHING_TO_CONFIRM = "nothing_to_confirm"
    OWN_CHANGE = "own_change"
    CONFIRMER_IS_RECENT = "confirmer_is_recent"
    CONFIRMED_ALREADY = "confirmed_already"


class Confirmations(Protocol):
    """Keeps what is to be confirmed; the rows are written with what they are about."""

    async def open(self, *, limit: int) -> Sequence[Confirmation]:
        """What nobody confirmed yet, the first that is due first."""
        ...

    async def confirm(self, confirmation_id: UUID, *, by: str, now: datetime) -> Confirmation | ConfirmRefusal: ...
