"""What a decision counts, without a database: a buyer's events, a shop's days, and the usage of caps.

The rules are those of the statements in `adapters.postgres` (`writing`, `reading`, `feed`); the tests run both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from jitui.aftersales.changes import OutgoingEventKind, RecordBuyerEvent
from jitui.aftersales.model.usage import Usage
from jitui.aftersales.ports import DecisionQuery, FeatureWindow, OutgoingEvent, WindowValue
from jitui.policy.facts import ONCE_PER_ORDER

_MOST = 2**63
_BUCKETS = (60, 3600)


@dataclass(slots=True)
class Sum:
    """The events and the money of one day or bucket."""

    events: int = 0
    amount_minor: int = 0


Days = Mapping[tuple[date, str], Sum]
"""Sums by day and currency; an empty currency is an unknown one."""


def window_value(window: FeatureWindow, days: Days, *, ahead: bool) -> WindowValue:
    """The sums of a window. An amount in an unknown currency makes the sum unknown; other currencies are left out."""
    inside = [(day, of, found) for (day, of), found in days.items() if window.from_day <= day <= window.to_day]
    unknown = sum(found.amount_minor for _, of, found in inside if not of)
    amount = sum(found.amount_minor for _, of, found in inside if of == window.currency)
    return WindowValue(
        name=window.name,
        events=sum(found.events for _, _, found in inside),
        amount_minor=None if unknown or abs(amount) >= _MOST else amount,
        last_day=max((day for day, _, found in inside if found.events > 0), default=None),
        ahead=ahead,
    )


# A buyer's events ------------------------------------------------------------------------------------------------


def counting(events: Iterable[RecordBuyerEvent]) -> Iterator[RecordBuyerEvent]:
    """The events that count: not retracted, and of those that an order has once, the first that was written."""
    known = list(events)
    retracted = {event.retracts for event in known}
    seen: set[tuple[str, str]] = set()
    for event in known:
        if event.retracts is not None or event.event_id in retracted:
            continue
        if event.order_id is not None and event.kind in ONCE_PER_ORDER:
            if (event.kind, event.order_id) in seen:
                continue
            seen.add((event.kind, event.order_id))
        yield event


def buyer_window(
    window: FeatureWindow, standing: Sequence[RecordBuyerEvent], query: DecisionQuery, time_zone: ZoneInfo
) -> WindowValue:
    """A buyer's feature, from the events that count."""
    of_kind = [event for event in standing if event.kind == window.kind]
    ahead = any(event.at > event.recorded_at and event.at > query.ahead_from for event in of_kind)
    return window_value(window, _by_day(of_kind, time_zone), ahead=ahead)


def _by_day(events: Iterable[RecordBuyerEvent], time_zone: ZoneInfo) -> Days:
    days: defaultdict[tuple[date, str], Sum] = defaultdict(Sum)
    for event in events:
        found = days[event.at.astimezone(time_zone).date(), event.currency or ""]
        found.events += 1
        found.amount_minor += event.amount_minor
    return days


# What is rolled up from the feed ---------------------------------------------------------------------------------


@dataclass
class RollUps:
    """The usage of the shops' and the platform's caps, and the shops' days, counted up to a position of the feed."""

    time_zone: ZoneInfo
    position: int = 0
    as_of: datetime | None = None
    usage: defaultdict[tuple[str, str, int], defaultdict[tuple[datetime, str], Sum]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Sum))
    )
    shop_days: defaultdict[tuple[str, str], defaultdict[tuple[date, str], Sum]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Sum))
    )

    def roll_up(self, feed: Sequence[OutgoingEvent], now: datetime) -> None:
        """Count the new events. A late one counts on the day on which it arrives, because earlier days are closed."""
        closed = None if self.as_of is None else self.as_of.astimezone(self.time_zone).date()
        for event in feed[self.position :]:
            self._count_usage(event)
            self._count_shop_day(event, closed)
        self.position = len(feed)
        self.as_of = now if self.as_of is None else max(self.as_of, now)

    def used(self, scope: str, ref: str, bucket_seconds: int, since: datetime, currency: str) -> Usage:
        """Approvals in all currencies, and money in one, of the buckets that end after `since`."""
        found = self.usage[scope, ref, bucket_seconds]
        inside = [
            (of, bucket) for (began, of), bucket in found.items() if began > since - timedelta(seconds=bucket_seconds)
        ]
        amount = sum(bucket.amount_minor for of, bucket in inside if of == currency)
        return Usage(sum(bucket.events for _, bucket in inside), amount)

    def shop_window(self, shop_id: str, window: FeatureWindow) -> WindowValue:
        """A shop's feature, from its days."""
        return window_value(window, self.shop_days.get((shop_id, window.kind), {}), ahead=False)

    def _count_usage(self, event: OutgoingEvent) -> None:
        approved = event.kind == OutgoingEventKind.TICKET_APPROVED
        if not approved and event.kind != OutgoingEventKind.TICKET_AMOUNT_RAISED:
            return
        if event.body.get("approved_by") != "instant_refund":
            return
        amount_minor = _number(event.body.get("amount_minor" if approved else "more_minor"))
        categories = event.body.get("categories")
        by_category = categories.items() if isinstance(categories, Mapping) else ()
        amounts = {("shop", event.shop_id): amount_minor, ("platform", ""): amount_minor}
        amounts |= {("category", str(category_id)): _number(amount) for category_id, amount in by_category}
        for (scope, ref), amount in amounts.items():
            for seconds in _BUCKETS:
                began = datetime.fromtimestamp(event.at.timestamp() // seconds * seconds, tz=event.at.tzinfo)
                bucket = self.usage[scope, ref, seconds][began, str(event.body.get("currency", ""))]
                bucket.events += approved
                bucket.amount_minor += amount

    def _count_shop_day(self, event: OutgoingEvent, closed: date | None) -> None:
        if event.body.get("free_of_charge"):
            return
        day = event.at.astimezone(self.time_zone).date()
        for kind in _shop_kinds(event):
            days = self.shop_days[event.shop_id, kind]
            found = days[max(day, closed or day), str(event.body.get("currency", ""))]
            found.events += 1
            found.amount_minor += _number(event.body.get("amount_minor"))


def _shop_kinds(event: OutgoingEvent) -> Iterator[str]:
    match event.kind:
        case OutgoingEventKind.SHIPMENT_RECORDED:
            if event.body.get("left"):
                yield "shipped"
            if event.body.get("on_time"):
                yield "shipped_on_time"
        case OutgoingEventKind.ORDER_PAID:
            yield "order_paid"
        case OutgoingEventKind.TICKET_REFUNDED:
            yield "refund_before_shipment"
        case OutgoingEventKind.INCIDENT_OPENED:
            yield "incident"


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
