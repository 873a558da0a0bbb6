"""Shipping risks: where a shop can lose goods and money before a parcel is on its way (R9).

What a risk is stands once, in the statement of the adapter (`adapters.postgres.shipping_risks`): lists, the console and
reminders read the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class RiskKind(StrEnum):
    """What threatens.

    `label_not_handed_over`: a label was printed and no carrier has the parcel. `ship_by_near`, `ship_by_passed`: goods
    of a paid order wait, and its `ship_by` comes or is over. `scan_without_tracking`: a carrier has a parcel of which
    the merchant told nothing. `open_ticket`: the buyer asks for the money back, so nothing is shipped.
    `stop_ship_unanswered`: goods with a label were refunded, and the warehouse has not said that it holds them.
    """

    LABEL_NOT_HANDED_OVER = "label_not_handed_over"
    SHIP_BY_NEAR = "ship_by_near"
    SHIP_BY_PASSED = "ship_by_passed"
    SCAN_WITHOUT_TRACKING = "scan_without_tracking"
    OPEN_TICKET = "open_ticket"
    STOP_SHIP_UNANSWERED = "stop_ship_unanswered"


WHAT_TO_DO: Mapping[RiskKind, str] = {
    RiskKind.LABEL_NOT_HANDED_OVER: "Hand the parcel over and record it as shipped, or void the label.",
    RiskKind.SHIP_BY_NEAR: "Ship these goods in time and record the tracking number.",
    RiskKind.SHIP_BY_PASSED: "Ship these goods now and record the tracking number, or agree with the buyer.",
    RiskKind.SCAN_WITHOUT_TRACKING: "Record the tracking number: the carrier has this parcel already.",
    RiskKind.OPEN_TICKET: "Do not ship: decide the ticket, or reject it with the tracking number if the goods left.",
    RiskKind.STOP_SHIP_UNANSWERED: "Stop this parcel, and answer the stop-ship: held, or already gone.",
}
"""One sentence each, for the shop."""

LOOK_BACK = timedelta(days=30)
"""What is older is abandoned rather than at risk, and is not listed."""


@dataclass(frozen=True, slots=True)
class RiskTimes:
    """From when on something is a risk: the ages of a label and of an unanswered stop-ship, the time before `ship_by`.

    A carrier's scan without tracking and an open ticket are risks at once.
    """

    label_late_after: timedelta = timedelta(hours=24)
    ship_by_near: timedelta = timedelta(hours=24)
    stop_ship_answer_within: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class ShippingRisk:
    """One risk. `subject` names what of the order it is about: a shipment, a ticket, or the order.

    `since`: when it began to count: the label, the scan, the request, the approval; for `ship_by` that time itself.
    `amount_minor`: what the buyer paid for the goods concerned, or what the ticket refunds.
    """

    risk: RiskKind
    subject: str
    lane: int
    order_id: str
    shop_id: str
    since: datetime
    amount_minor: int
    currency: str
    carrier: str | None = None
    tracking_no: str | None = None
    ticket_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class RiskFilter:
    """A page of risks, oldest first; `after` is time, kind and subject of the last row of the page before."""

    shop_id: str | None = None
    kinds: tuple[RiskKind, ...] = tuple(RiskKind)
    after: tuple[datetime, RiskKind, str] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class DueReminder:
    """A risk that has reached a stage of which nobody was told; stages count from 1."""

    risk: ShippingRisk
    stage: int


def reminder_stages(times: RiskTimes) -> Mapping[RiskKind, tuple[timedelta, ...]]:
    """The ages at which a shop is reminded of a risk. Tickets have reminders of their own."""
    late, answer = times.label_late_after, times.stop_ship_answer_within
    return {
        RiskKind.LABEL_NOT_HANDED_OVER: (late, 2 * late),
        RiskKind.SHIP_BY_PASSED: (timedelta(), timedelta(hours=24)),
        RiskKind.SCAN_WITHOUT_TRACKING: (late,),
        RiskKind.STOP_SHIP_UNANSWERED: (answer, 4 * answer),
    }


class ShippingRisks(Protocol):
    """Finds risks; the caller sets the shop (I8)."""

    async def risks(self, wanted: RiskFilter, now: datetime) -> Sequence[ShippingRisk]: ...

    async def due_reminders(self, now: datetime, limit: int) -> Sequence[DueReminder]:
        """Those that have reached a stage without having been told of it or of a later one, the oldest first."""
        ...
