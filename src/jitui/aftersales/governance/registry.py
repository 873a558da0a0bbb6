"""Plain rows that people set: shops, buyers, categories, coverage, pauses, restrictions, lists, history.

Only what a decision reads is here; proposals, approval by two people and appeals come with governance.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from jitui.aftersales.changes import RecordBuyerEvent, RestrictBuyer
from jitui.aftersales.model.order import Buyer
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import HistoryRecord
from jitui.ids import lane_of, new_id
from jitui.policy import CLOCKS_DIFFER_SECONDS


class Scope(StrEnum):
    """Where a pause or a coverage row applies.

    An order is covered when its shop is (by the shop's row, else the platform's) and every line is (by the item's row,
    else its category's).
    """

    PLATFORM = "platform"
    SHOP = "shop"
    CATEGORY = "category"
    ITEM = "item"
    REGION = "region"


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop, as the platform describes it; a shop cannot switch the guarantee on or off (R13)."""

    shop_id: str
    name: str = ""
    attributes: dict[str, int | str | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Category:
    """A row of the platform's category table; customised and virtual are separate flags (R2)."""

    category_id: str
    title: str = ""
    customised: bool = False
    virtual: bool = False


def place_name(scope: Scope, ref: str) -> str:
    """A place as the audit log names it."""
    return f"{scope} {ref}" if ref else scope.value


@dataclass(frozen=True, slots=True)
class Coverage:
    """Whether a place is covered, and why, as the merchant reads it (R12, R13). `ref` is the id within the scope.

    Of a row that a gate wrote, `texts` has the reason in each language.
    """

    scope: Scope
    ref: str
    covered: bool
    reason: str
    set_by: str
    set_at: datetime
    gate_id: str | None = None
    texts: Mapping[str, str] | None = None

    @property
    def by_gate(self) -> str | None:
        """The gate that wrote the row; None for one that a person set, which stands above the gates."""
        return self.gate_id if self.gate_id is not None and self.set_by == set_by_gate(self.gate_id) else None


def row_of_shop(rows: Sequence[Coverage]) -> Coverage | None:
    """The row of those in `coverage_of` that a shop goes by: its own, else the platform's; None: it is covered (R2)."""
    by_scope = {row.scope: row for row in rows}
    return by_scope.get(Scope.SHOP) or by_scope.get(Scope.PLATFORM)


def set_by_gate(gate_id: str) -> str:
    """Who sets a row that a gate writes."""
    return f"gate:{gate_id}"


@dataclass(frozen=True, slots=True)
class Pause:
    """Instant approvals are stopped for a place: every request there goes to review, until `ends_at` or its lifting.

    `lift_by`: the role whose people may lift it; None for everybody who may lift pauses.
    """

    scope: Scope
    ref: str
    reason: str
    set_by: str
    set_at: datetime
    ends_at: datetime | None = None
    lift_by: str | None = None

    def stands(self, now: datetime) -> bool:
        """Whether it has not ended by itself."""
        return self.ends_at is None or self.ends_at > now


def later_pause(standing: Pause | None, new: Pause) -> Pause:
    """What stands when a paused place is paused again: the new reason, and never an earlier end or a wider circle.

    Otherwise a second pause would be a way to lift the first.
    """
    if standing is None or not standing.stands(new.set_at):
        return new
    endless = standing.ends_at is None or new.ends_at is None
    ends_at = None if endless else max(standing.ends_at, new.ends_at)  # type: ignore[type-var]  # neither is None
    return replace(new, ends_at=ends_at, lift_by=standing.lift_by or new.lift_by)


class Withdrawn(StrEnum):
    """What a restriction takes from a buyer."""

    INSTANT_REFUND = "instant_refund"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a restriction by hand rests on: the platform's orders and events, and words. Buyers never see it."""

    order_ids: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Restriction:
    """The service is withdrawn from a buyer (R11), until `ends_at` or until the restriction is lifted.

    The fields from `policy_id` on are those of a restriction that a rule of the policy set: `facts` are what the rule
    read, `text` is what the buyer is told of it. `set_at` is None for one that an earlier release wrote.
    """

    restriction_id: UUID
    buyer_id: str
    reason: str
    starts_at: datetime
    ends_at: datetime | None
    set_by: str
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    lift_reason: str = ""
    set_at: datetime | None = None
    withdraw: Withdrawn = Withdrawn.INSTANT_REFUND
    evidence: Evidence = field(default_factory=Evidence)
    policy_id: str | None = None
    policy_version: str | None = None
    policy_sha256: str | None = None
    rule_id: str | None = None
    occurrence: int | None = None
    facts: Mapping[str, object] | None = None
    text: Mapping[str, str] = field(default_factory=dict)

    def stands(self, now: datetime) -> bool:
        """Whether it can still have an effect: it was not lifted and has not ended, though it may have yet to begin."""
        return self.lifted_at is None and (self.ends_at is None or self.ends_at > now)


@dataclass(frozen=True, slots=True)
class RestrictionFilter:
    """A page of all buyers' restrictions that stand at a moment, newest first; `after`: the last row before it."""

    at: datetime
    after: tuple[datetime, UUID] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class CoverageFilter:
    """A page of the places that have a row, by scope and id; `after` is the last row of the page before."""

    after: tuple[Scope, str] | None = None
    limit: int = 50


BY_POLICY = "policy"
"""Who sets a restriction by a rule."""


def restriction_by_rule(buyer_id: str, told: RestrictBuyer) -> Restriction:
    """The row of a restriction that a rule set."""
    return Restriction(
        restriction_id=told.restriction_id,
        buyer_id=buyer_id,
        reason=told.reason,
        starts_at=told.starts_at,
        ends_at=told.ends_at,
        set_by=BY_POLICY,
        set_at=told.starts_at,
        withdraw=Withdrawn(told.withdraw),
        policy_id=told.policy_id,
        policy_version=told.policy_version,
        policy_sha256=told.policy_sha256,
        rule_id=told.rule_id,
        occurrence=told.occurrence,
        facts=told.facts,
        text=told.text,
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """A buyer on the platform's allow or deny list (R3a); a buyer who is on it already keeps the id from then.

    `proposed`: nobody has approved it yet.
    """

    buyer_id: str
    verdict: str
    reason: str
    set_by: str
    set_at: datetime
    selection_id: UUID
    proposed: bool = False


def new_selection(buyer_id: str, verdict: str, reason: str, set_by: str, set_at: datetime) -> Selection:
    """An entry with an id of its own."""
    return Selection(buyer_id, verdict, reason, set_by, set_at, new_id(lane_of(buyer_id)))


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event that contradicts a buyer's history; `field` is the field in conflict.

    `erased`: it contradicts nothing, and is about what an erasure took away: it is left out.
    """

    event: RecordBuyerEvent
    field: str
    reason: str
    erased: bool = False


@dataclass(frozen=True, slots=True)
class NamedEvent:
    """The buyer of whom an event was first told, and whether that was just now."""

    buyer_id: str
    is_new: bool


ORDER_OF_ANOTHER_BUYER = "This order belongs to another buyer."
OF_ERASED_BUYER = "This happened before the buyer was erased, or on an order from then; it is not taken in again."
RETRACTS_ANOTHER_KIND = "An event is taken back by one of its own kind."
RETRACTS_FROM_AHEAD = "What takes an event back cannot lie in the future."


def contradicting(
    events: Sequence[RecordBuyerEvent],
    of_others: Collection[int],
    of_another_kind: Collection[int],
    of_erased: Collection[int] = (),
) -> list[RefusedEvent]:
    """The events that contradict the history or one another; the other arguments are positions in `events`.

    `of_others`: name another buyer's order. `of_another_kind`: take back an event of another kind, or were taken back
    by one. `of_erased`: happened before the buyer was erased, or name an order of an erased buyer.
    """
    said: dict[tuple[str, str | None], str] = {
        (event.buyer_id, event.event_id): event.kind for event in events if event.retracts is None
    }
    refused = []
    for place, event in enumerate(events):
        takes_back = event.retracts is not None
        if place in of_erased:
            refused.append(RefusedEvent(event, "buyer_id", OF_ERASED_BUYER, erased=True))
        elif place in of_others:
            refused.append(RefusedEvent(event, "order_id", ORDER_OF_ANOTHER_BUYER))
        elif takes_back and event.at > event.recorded_at + timedelta(seconds=CLOCKS_DIFFER_SECONDS):
            refused.append(RefusedEvent(event, "at", RETRACTS_FROM_AHEAD))
        elif place in of_another_kind or (
            takes_back and said.get((event.buyer_id, event.retracts), event.kind) != event.kind
        ):
            refused.append(RefusedEvent(event, "retracts" if takes_back else "kind", RETRACTS_ANOTHER_KIND))
    return refused


class Registry(Protocol):
    """Reads and sets these rows."""

    # A put replaces what it names; the fields in `kept` stay as they are (`attributes` in `kept`: all but those given).

    async def put_shop(self, shop: Shop, now: datetime, *, kept: Collection[str] = ()) -> Shop: ...

    async def get_shop(self, shop_id: str) -> Shop | None: ...

    async def put_buyer(self, buyer: Buyer, now: datetime, *, kept: Collection[str] = ()) -> Buyer: ...

    async def get_buyer(self, buyer_id: str) -> Buyer | None: ...

    async def put_category(self, category: Category, now: datetime, *, kept: Collection[str] = ()) -> Category: ...

    async def set_coverage(self, coverage: Coverage) -> None: ...

    async def unset_coverage(self, scope: Scope, ref: str, *, by: str, now: datetime) -> bool:
        """Take back what a person set, so that the gates decide again; whether there was such a row."""
        ...

    async def find_coverage(self, scope: Scope, ref: str) -> Coverage | None:
        """The row of a place itself, whoever set it."""
        ...

    async def knows_place(self, scope: Scope, ref: str, *, seller: str = "") -> bool:
        """Whether a shop, category or item was ever described, set or sold; what `seller` has sold counts too."""
        ...

    async def coverage_of(self, shop_id: str) -> Sequence[Coverage]: ...

    async def coverage_rows(self, wanted: CoverageFilter) -> Sequence[Coverage]: ...

    async def set_pause(self, pause: Pause) -> Pause:
        """Pause a place; what then stands (`later_pause`)."""
        ...

    async def lift_pause(self, scope: Scope, ref: str, *, by: str, now: datetime) -> bool: ...

    async def find_pause(self, scope: Scope, ref: str, now: datetime) -> Pause | None: ...

    async def pauses(self, now: datetime) -> Sequence[Pause]: ...

    async def restrict(self, restriction: Restriction) -> bool: ...

    async def lift_restriction(self, restriction_id: UUID, now: datetime, *, by: str, reason: str = "") -> bool:
        """Whether there was a standing restriction to lift; the one way by which a restriction is lifted by hand."""
        ...

    async def restriction(self, restriction_id: UUID) -> Restriction | None: ...

    async def restrictions_of(self, buyer_id: str) -> Sequence[Restriction]: ...

    async def standing_restrictions(self, wanted: RestrictionFilter) -> Sequence[Restriction]: ...

    async def select(self, selection: Selection) -> UUID: ...

    async def propose_selection(self, selection: Selection) -> UUID:
        """Keep whom a proposal would put on the allow list; proposed again the id stays."""
        ...

    async def selection_of(self, buyer_id: str) -> Selection | None: ...

    async def selection_entry(self, selection_id: UUID) -> Selection | None:
        """One entry, also one that is only proposed."""
        ...

    async def record_history(
        self, records: Sequence[HistoryRecord], *, kept: Collection[str] = ()
    ) -> Sequence[HistoryRecord]: ...

    async def history_records(self) -> Sequence[HistoryRecord]: ...

    async def refused_events(self, events: Sequence[RecordBuyerEvent]) -> Sequence[RefusedEvent]:
        """The events that contradict the history or one another; `record_buyer_events` leaves them out."""
        ...

    async def record_buyer_events(self, events: Sequence[RecordBuyerEvent]) -> int: ...

    async def new_buyer_events(self, events: Sequence[RecordBuyerEvent]) -> Collection[tuple[str, str]]:
        """As `record_buyer_events`; the buyers and ids of the events that were new."""
        ...

    async def name_events(self, told: Mapping[str, str]) -> Mapping[str, NamedEvent]:
        """Keep, for events that are named over all buyers, whose each name is; what is known of each."""
        ...


def refuse_opt_out() -> Refusal:
    """The refusal for a shop that wants to leave: the guarantee is the platform's, and a shop can only see it (R13)."""
    return Refusal(
        RefusalCode.SHOP_CANNOT_OPT_OUT,
        "Instant refund is a basic guarantee of the platform: a shop can see its coverage and cannot change it. It can "
        "complain: the platform answers by a deadline.",
    )
