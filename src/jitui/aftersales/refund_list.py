"""Lists of refunds: what they are sorted and filtered by, and how late they are (decision 0047)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from jitui.aftersales.model.refund import Refund, RefundState
from jitui.aftersales.model.sorting import Place, SortOrder
from jitui.aftersales.model.ticket import ApprovedBy


class RefundSort(StrEnum):
    """What a list of refunds is sorted by; equal ones by the refund's id, and those in one state by their time first.

    Amounts of different currencies do not compare: they are sorted by the currency's code first.
    """

    QUEUED_AT = "queued_at"
    AMOUNT = "amount"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class RefundFilter:
    """A page of refunds; `after` is the place of the previous page's last row in this order (`place_of_refund`).

    `shop_id`, `buyer_id` and `approved_by` are those of the refund's ticket.
    """

    state: RefundState | None = None
    provider: str | None = None
    order_id: str | None = None
    buyer_id: str | None = None
    shop_id: str | None = None
    approved_by: ApprovedBy | None = None
    queued_from: datetime | None = None
    queued_before: datetime | None = None
    sort: RefundSort = RefundSort.QUEUED_AT
    order: SortOrder = SortOrder.DESC
    after: Place | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class ListedRefund:
    """A refund as it is now, and the state in which the list found it: its place is by that one."""

    refund: Refund
    shop_id: str
    approved_by: ApprovedBy | None
    listed_state: RefundState


@dataclass(frozen=True, slots=True)
class ListedRefunds:
    """A page of a list, and how many milliseconds ago everything that was committed by then was in it; 0: exact."""

    refunds: Sequence[ListedRefund]
    lag_ms: int = 0

    def as_of(self, now: datetime) -> datetime:
        """The moment up to which the list is complete, by the clock that says `now`."""
        return now - timedelta(milliseconds=self.lag_ms)


def place_of_refund(listed: ListedRefund, sort: RefundSort) -> Place:
    """Where a refund stands in a list with this order."""
    refund = listed.refund
    match sort:
        case RefundSort.QUEUED_AT:
            return refund.queued_at, refund.refund_id
        case RefundSort.AMOUNT:
            return refund.currency, refund.amount_minor, refund.refund_id
        case RefundSort.STATE:
            return listed.listed_state, refund.queued_at, refund.refund_id


class RefundList(Protocol):
    """The copy of the refunds that lists are read from."""

    async def fill(self) -> None:
        """Bring in every refund that changed since the last time; whoever else does so waits or has done it."""
