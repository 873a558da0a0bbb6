"""The gates of the policy on shops, categories and items: what a place's state and coverage are after a day (R12).

`plan_place` is pure; the store reads what it needs under the lock of the place, and writes what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from jitui.aftersales.commands.facts import shop_facts
from jitui.aftersales.commands.feature_facts import feature_windows
from jitui.aftersales.governance.coverage import (
    GateDays,
    GateNews,
    GateState,
    GateStatus,
    at_first,
    next_state,
    when_removed,
    without_rule,
)
from jitui.aftersales.governance.registry import Scope
from jitui.aftersales.ports import FeatureWindow, HistoryRecord, WindowValue
from jitui.policy import (
    OTHER_FACTORS_TEXT,
    GateVerdict,
    ListGate,
    Policy,
    ShopGate,
    gate_features,
    gate_results,
    rule_hash,
)

GATED = (Scope.SHOP, Scope.CATEGORY, Scope.ITEM)
"""Where gates apply."""

Figures = Mapping[str, int | str | bool | None]


@dataclass(frozen=True, slots=True)
class Place:
    """A shop, a category or an item."""

    scope: Scope
    ref: str


@dataclass(frozen=True, slots=True)
class GateRecord:
    """How a place stands with one gate, with the texts and the figures of the day. The rest is `GateState`."""

    scope: Scope
    ref: str
    gate_id: str
    status: GateStatus
    since: date
    row_days: int
    leaves_on: date | None
    computed_on: date | None
    rule_hash: str
    verdict: GateVerdict
    facts: Figures
    public: bool
    texts: Mapping[str, str]
    return_texts: Mapping[str, str]
    leave_after_days: int
    return_after_days: int

    @property
    def state(self) -> GateState:
        """The part that a day changes."""
        return GateState(self.status, self.since, self.row_days, self.leaves_on, self.computed_on)


@dataclass(frozen=True, slots=True)
class CoverageEntry:
    """A row of the history of a place: what became of it by a gate, or that a person set it. Numbered by the store."""

    scope: Scope
    ref: str
    what: str
    at: datetime
    gate_id: str | None = None
    from_status: str | None = None
    to_status: str | None = None
    leaves_on: date | None = None
    policy_id: str | None = None
    policy_version: str | None = None
    public: bool = True
    texts: Mapping[str, str] = field(default_factory=dict)
    facts: Figures = field(default_factory=dict)
    set_by: str | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class GateRules:
    """The policy whose gates are applied, the number of its publication, and whose midnight begins a day."""

    policy: Policy
    publication: int
    time_zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class PlaceQuery:
    """What is read of a place: the windows of the features that gates read; amounts in the policy's currency."""

    place: Place
    windows: tuple[FeatureWindow, ...]
    currency: str


@dataclass(frozen=True, slots=True)
class PlaceInputs:
    """What was read of a place, under its lock."""

    records: tuple[GateRecord, ...] = ()
    computed_on: date | None = None
    publication: int = 0
    windows: tuple[WindowValue, ...] = ()
    history: tuple[HistoryRecord, ...] = ()
    shop_days_as_of: datetime | None = None
    attributes: Mapping[str, int | str | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlacePlan:
    """What is true of a place after today.

    `computed_on`: None while the figures of yesterday are not counted yet, so that the day is looked at again.
    """

    place: Place
    records: tuple[GateRecord, ...]
    entries: tuple[CoverageEntry, ...]
    computed_on: date | None
    publication: int

    @property
    def takes_out(self) -> GateRecord | None:
        """The gate that took the place out first; None while every gate lets it stay."""
        out = [one for one in self.records if one.status is GateStatus.OUT]
        return min(out, key=lambda one: (one.since, one.gate_id), default=None)


Plan = Callable[[PlaceInputs], PlacePlan | None]


@dataclass(frozen=True, slots=True)
class Recomputing:
    """How a place is computed. `by`: who asked for it; None for the daily round, which skips what another one is at.

    A dry run writes nothing.
    """

    now: datetime
    by: str | None = None
    dry_run: bool = False


class Gates(Protocol):
    """Keeps how places stand with the gates, and writes the coverage that follows."""

    async def enrol(self, places: Sequence[Place], *, shops: bool) -> None:
        """Know these places from now on; with `shops` every shop that the platform described or that has a history."""
        ...

    async def due(self, today: date, publication: int, limit: int) -> Sequence[Place]:
        """Places that were not computed today by this publication, nor by a later one."""
        ...

    async def places(self, listed: Sequence[Place], *, shops: bool) -> Sequence[Place]:
        """Those that `enrol` would know, and those that are known."""
        ...

    async def recompute(self, query: PlaceQuery, plan: Plan, how: Recomputing) -> PlacePlan | None:
        """Read, plan and write under the lock of the place; None where nothing was to be done."""
        ...

    async def shop_days_as_of(self) -> datetime | None:
        """Up to when the events of shops are counted."""
        ...

    async def of_shop(self, shop_id: str) -> Sequence[GateRecord]:
        """Of the shop, and of the categories and items that it sells."""
        ...

    async def history(self, shop_id: str, limit: int) -> Sequence[CoverageEntry]:
        """Of the same places, newest first."""
        ...


# Planning -------------------------------------------------------------------------------------------------------------


def plan_place(rules: GateRules, place: Place, inputs: PlaceInputs, now: datetime) -> PlacePlan | None:
    """The place after today. None where a later publication was applied already: policies do not alternate."""
    if inputs.publication > rules.publication:
        return None
    today = now.astimezone(rules.time_zone).date()
    known = {record.gate_id: record for record in inputs.records}
    judged = _judged(rules, place, inputs, now)
    records: list[GateRecord] = []
    entries: list[CoverageEntry] = []
    for gate, verdict, facts in judged:
        record, told = _after(rules, place, gate, verdict, facts, known.pop(gate.id, None), today)
        records.append(record)
        entries += [_entry(rules, record, before, after, news, now) for before, after, news in told]
    for gone in known.values():
        news = when_removed(gone.state)
        if news is not None:
            entries.append(_entry(rules, gone, gone.state, at_first(today), news, now))
    is_counted = place.scope is not Scope.SHOP or counts_yesterday(inputs.shop_days_as_of, today, rules.time_zone)
    return PlacePlan(place, tuple(records), tuple(entries), today if is_counted else None, rules.publication)


def counts_yesterday(shop_days_as_of: datetime | None, today: date, time_zone: ZoneInfo) -> bool:
    """Whether the shops' events of yesterday are counted, on which the windows of today's gates end."""
    return shop_days_as_of is not None and shop_days_as_of.astimezone(time_zone).date() >= today


Gate = ShopGate | ListGate
_Told = tuple[GateState, GateState, GateNews]


def _judged(
    rules: GateRules, place: Place, inputs: PlaceInputs, now: datetime
) -> list[tuple[Gate, GateVerdict, Figures]]:
    """The gates that apply to the place, with their verdicts and what they read."""
    policy = rules.policy
    if place.scope is not Scope.SHOP:
        lists = [one for one in policy.gates.lists if Scope(one.scope) is place.scope and place.ref in one.refs]
        return [(gate, GateVerdict.FAILS, {}) for gate in lists]
    facts = shop_facts(
        policy,
        gate_features(policy),
        {value.name: value for value in inputs.windows},
        {record.kind: record for record in inputs.history},
        inputs.shop_days_as_of,
        inputs.attributes,
        now=now,
        time_zone=rules.time_zone,
    )
    return [
        (result.gate, result.verdict, {name: _plain(value) for name, value in result.facts.items()})
        for result in gate_results(policy, facts)
    ]


def _plain(value: object) -> int | str | bool | None:
    return value if isinstance(value, int | str) else None


def _after(
    rules: GateRules,
    place: Place,
    gate: Gate,
    verdict: GateVerdict,
    facts: Figures,
    known: GateRecord | None,
    today: date,
) -> tuple[GateRecord, list[_Told]]:
    """The record of a gate after today, and what was told on the way."""
    asked, told = rule_hash(rules.policy, gate), []
    state = at_first(today) if known is None else known.state
    if known is not None and known.rule_hash != asked:
        after, news = without_rule(state, today)
        if news is not None:
            told.append((state, after, news))
        state = after
    after, news = next_state(state, verdict, days_of(gate), today)
    if news is not None:
        told.append((state, after, news))
    days = days_of(gate)
    record = GateRecord(
        scope=place.scope,
        ref=place.ref,
        gate_id=gate.id,
        status=after.status,
        since=after.since,
        row_days=after.row_days,
        leaves_on=after.leaves_on,
        computed_on=after.computed_on,
        rule_hash=asked,
        verdict=verdict,
        facts=facts,
        public=gate.public,
        texts=gate.text,
        return_texts=gate.return_text if isinstance(gate, ShopGate) else {},
        leave_after_days=days.leave_after,
        return_after_days=days.return_after,
    )
    return record, told


def days_of(gate: Gate) -> GateDays:
    """The days of a gate. What a list names, it names: one day is a row."""
    if isinstance(gate, ListGate):
        return GateDays(notice=gate.notice_days)
    return GateDays(gate.leave_after_days, gate.return_after_days, gate.notice_days)


def _entry(
    rules: GateRules, record: GateRecord, before: GateState, after: GateState, news: GateNews, now: datetime
) -> CoverageEntry:
    return CoverageEntry(
        scope=record.scope,
        ref=record.ref,
        what=news.value,
        at=now,
        gate_id=record.gate_id,
        from_status=before.status.value,
        to_status=after.status.value,
        leaves_on=after.leaves_on,
        policy_id=rules.policy.id,
        policy_version=rules.policy.version,
        public=record.public,
        texts=record.texts,
        facts=record.facts,
    )


# What is shown --------------------------------------------------------------------------------------------------------


def as_the_merchant_reads(record: GateRecord) -> GateRecord:
    """Of a private gate its merchant learns that there is one, its dates and the neutral sentence (R16).

    Of a public one it reads everything, its own figures too.
    """
    if not record.public:
        return replace(
            record,
            gate_id="other_factors",
            facts={},
            texts=OTHER_FACTORS_TEXT,
            return_texts={},
            verdict=GateVerdict.UNKNOWN,
            row_days=0,
            rule_hash="",
        )
    return record


def entry_as_the_merchant_reads(entry: CoverageEntry) -> CoverageEntry:
    """Who of the platform's people set a place is the platform's; of a private gate only the neutral sentence."""
    if not entry.public:
        return replace(entry, gate_id="other_factors", facts={}, texts=OTHER_FACTORS_TEXT, set_by=None)
    return replace(entry, set_by=None)


# Running --------------------------------------------------------------------------------------------------------------

BATCH = 200


async def recompute_due(gates: Gates, rules: GateRules, now: datetime) -> int:
    """Compute every place that was not computed today by these rules; how many were.

    Nothing is done before the shops' events of yesterday are counted. What stops in between continues with the next
    call: each place is committed by itself.
    """
    today = now.astimezone(rules.time_zone).date()
    if not counts_yesterday(await gates.shop_days_as_of(), today, rules.time_zone):
        return 0
    await gates.enrol(listed_places(rules.policy), shops=bool(rules.policy.gates.shops))
    done = 0
    while places := await gates.due(today, rules.publication, BATCH):
        plans = [await _recompute(gates, rules, place, Recomputing(now)) for place in places]
        done += sum(plan is not None for plan in plans)
        if not any(plans):  # another worker is at them
            break
    return done


async def recompute_places(
    gates: Gates, rules: GateRules, shop_ids: Sequence[str], how: Recomputing
) -> list[PlacePlan]:
    """Compute these shops now, also where it was done today; without any, every place."""
    places: Sequence[Place] = [Place(Scope.SHOP, shop_id) for shop_id in dict.fromkeys(shop_ids)]
    if not shop_ids:
        places = await gates.places(listed_places(rules.policy), shops=bool(rules.policy.gates.shops))
    found = [await _recompute(gates, rules, place, how) for place in places]
    return [plan for plan in found if plan is not None]


async def _recompute(gates: Gates, rules: GateRules, place: Place, how: Recomputing) -> PlacePlan | None:
    today = how.now.astimezone(rules.time_zone).date()
    features = gate_features(rules.policy) if place.scope is Scope.SHOP else ()
    query = PlaceQuery(place, feature_windows(features, today), rules.policy.currency)

    def plan(inputs: PlaceInputs) -> PlacePlan | None:
        if how.by is None and (inputs.computed_on, inputs.publication) == (today, rules.publication):
            return None  # another worker has just done it
        return plan_place(rules, place, inputs, how.now)

    return await gates.recompute(query, plan, how)


def listed_places(policy: Policy) -> list[Place]:
    """The categories and items that gates name."""
    return list(dict.fromkeys(Place(Scope(gate.scope), ref) for gate in policy.gates.lists for ref in gate.refs))
