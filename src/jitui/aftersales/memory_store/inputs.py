"""The decision inputs from memory, as `adapters.postgres` reads them from the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.governance.registry import Coverage, Pause, Restriction, Scope
from jitui.aftersales.memory_store.history import buyer_window, counting
from jitui.aftersales.memory_store.tables import MemoryTables
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import ApprovedBy
from jitui.aftersales.model.usage import Usage, UsageBeside
from jitui.aftersales.ports import (
    DecisionInputs,
    DecisionQuery,
    FeatureWindow,
    KnownPayment,
    PastRule,
    PaymentName,
    ScopedRow,
)
from jitui.text import folded


def decision_inputs(tables: MemoryTables, snapshot: OrderSnapshot, query: DecisionQuery) -> DecisionInputs:
    """Everything that the query asks for; usage and shops' days are rolled up to its time first."""
    order, buyer_id, roll_ups = snapshot.order, snapshot.order.buyer_id, tables.roll_ups
    roll_ups.roll_up(tables.feed, query.now)
    places = {(scope, folded(ref)) for scope, ref in _places(snapshot)}
    pauses = [row for row in tables.pauses.values() if row.stands(query.now)]
    standing = list(counting(tables.events.get(buyer_id, {}).values()))
    selection = tables.selections.get(buyer_id)
    usage = _usage(tables, snapshot, query)
    return DecisionInputs(
        windows=tuple(
            buyer_window(window, standing, query, tables.time_zone)
            if window.subject == "buyer"
            else roll_ups.shop_window(order.shop_id, window)
            for window in query.windows
        ),
        history=tuple(tables.history.values()),
        restricted=_is_restricted(tables, buyer_id, query.now),
        past_rules=_past_rules(tables, buyer_id, standing, query),
        selection=None if selection is None else selection.verdict,
        coverage=tuple(_scoped(row) for row in tables.coverage.values() if (row.scope, folded(row.ref)) in places),
        pauses=tuple(_scoped(row) for row in pauses if (row.scope, folded(row.ref)) in places),
        paused_scopes=tuple(
            scope.value for scope in (Scope.REGION, Scope.CATEGORY) if any(row.scope is scope for row in pauses)
        ),
        uncovered_scopes=_uncovered_scopes(tables),
        buyer_usage=usage.buyer,
        shop_usage=usage.shop,
        platform_usage=usage.platform,
        category_usage=usage.categories,
        cluster_usage=usage.cluster,
        usage_as_of=roll_ups.as_of,
        shop_days_as_of=roll_ups.as_of,
        payment=KnownPayment() if query.payment is None else _known_payment(tables, snapshot, query.payment),
        usage_beside=None if query.beside is None else _usage(tables, snapshot, query.beside),
    )


def _usage(tables: MemoryTables, snapshot: OrderSnapshot, query: DecisionQuery) -> UsageBeside:
    used = tables.roll_ups.used
    shop_from, platform_from = query.shop_cap_from or query.now, query.platform_cap_from or query.now
    shop_seconds, platform_seconds = query.shop_cap_bucket_seconds, query.platform_cap_bucket_seconds
    return UsageBeside(
        buyer=_buyer_usage(tables, snapshot, query.buyer_cap_from or query.now, query.currency),
        shop=used("shop", snapshot.order.shop_id, shop_seconds, shop_from, query.currency),
        platform=used("platform", "", platform_seconds, platform_from, query.currency),
        categories=_category_usage(tables, snapshot, query),
        # There are no linked accounts here: everybody is alone.
        cluster=_buyer_usage(tables, snapshot, query.cluster_cap_from or query.now, query.currency),
    )


def _category_usage(tables: MemoryTables, snapshot: OrderSnapshot, query: DecisionQuery) -> dict[str, Usage]:
    since, seconds = query.category_cap_from or query.now, query.category_cap_bucket_seconds
    found = {
        line.category_id: tables.roll_ups.used("category", line.category_id, seconds, since, query.currency)
        for line in snapshot.lines
        if line.category_id
    }
    return {category_id: usage for category_id, usage in found.items() if usage != Usage()}


def buyer_inputs(tables: MemoryTables, buyer_id: str, query: DecisionQuery) -> DecisionInputs:
    """What restriction rules read of a buyer, without an order."""
    standing = list(counting(tables.events.get(buyer_id, {}).values()))
    return DecisionInputs(
        windows=tuple(
            buyer_window(window, standing, query, tables.time_zone)
            for window in query.windows
            if window.subject == "buyer"
        ),
        history=tuple(tables.history.values()),
        past_rules=_past_rules(tables, buyer_id, standing, query),
    )


def _places(snapshot: OrderSnapshot) -> Iterator[tuple[Scope, str]]:
    """Every place that the order belongs to, once: platform, shop, items, categories and the buyer's region."""
    yield Scope.PLATFORM, ""
    yield Scope.SHOP, snapshot.order.shop_id
    yield from dict.fromkeys((Scope.ITEM, line.item_id) for line in snapshot.lines)
    yield from dict.fromkeys(
        (Scope.CATEGORY, line.category_id) for line in snapshot.lines if line.category_id is not None
    )
    if snapshot.buyer.region is not None:
        yield Scope.REGION, snapshot.buyer.region


def _scoped(row: Coverage | Pause) -> ScopedRow:
    return ScopedRow(row.scope.value, row.ref, row.covered if isinstance(row, Coverage) else True, row.reason)


def _uncovered_scopes(tables: MemoryTables) -> tuple[str, ...]:
    uncovered = any(row.scope is Scope.CATEGORY and not row.covered for row in tables.coverage.values())
    return (Scope.CATEGORY.value,) if uncovered else ()


def _is_restricted(tables: MemoryTables, buyer_id: str, now: datetime) -> bool:
    return any(
        one.buyer_id == buyer_id
        and one.lifted_at is None
        and one.starts_at <= now
        and (one.ends_at is None or one.ends_at > now)
        for one in tables.restrictions.values()
    )


def _past_rules(
    tables: MemoryTables, buyer_id: str, standing: Sequence[RecordBuyerEvent], query: DecisionQuery
) -> tuple[PastRule, ...]:
    """The rules of the query's policy that restricted the buyer before."""
    theirs: dict[str, list[Restriction]] = {}
    for one in tables.restrictions.values():
        if one.buyer_id == buyer_id and one.rule_id is not None and one.policy_id == query.policy_id:
            theirs.setdefault(one.rule_id, []).append(one)
    return tuple(_past_rule(tables, rule, theirs[rule], standing, query) for rule in sorted(theirs))


def _past_rule(
    tables: MemoryTables,
    rule_id: str,
    before: Sequence[Restriction],
    standing: Sequence[RecordBuyerEvent],
    query: DecisionQuery,
) -> PastRule:
    used_until = max((one.lifted_at or one.starts_at).astimezone(tables.time_zone).date() for one in before)
    since = sorted((one for one in query.rule_windows if one.rule_id == rule_id), key=lambda one: one.name)
    windows = [
        FeatureWindow(
            name=one.name,
            subject="buyer",
            function=one.function,
            kind=one.kind,
            from_day=max(one.from_day, used_until + timedelta(days=1)),
            to_day=one.to_day,
            currency=query.currency,
        )
        for one in since
    ]
    return PastRule(
        rule_id,
        max(one.occurrence or 0 for one in before),
        any(one.stands(query.now) for one in before),
        tuple(buyer_window(window, standing, query, tables.time_zone) for window in windows),
    )


def _buyer_usage(tables: MemoryTables, snapshot: OrderSnapshot, since: datetime, currency: str) -> Usage:
    """The buyer's instant approvals in all currencies, and the amount in the policy's currency."""
    approved = [
        ticket
        for order_id in tables.orders_of[snapshot.order.buyer_id]
        for ticket in tables.snapshots[order_id].tickets
        if ticket.approved_by is ApprovedBy.INSTANT_REFUND
        and ticket.approved_at is not None
        and ticket.approved_at > since
    ]
    return Usage(len(approved), sum(one.amount_minor for one in approved if one.currency == currency))


def _known_payment(tables: MemoryTables, snapshot: OrderSnapshot, payment: PaymentName) -> KnownPayment:
    """The parts of a payment on the buyer's other orders."""
    parts = [
        tender
        for order_id in tables.orders_of[snapshot.order.buyer_id] - {snapshot.order.order_id}
        for tender in tables.snapshots[order_id].tenders
        if (tender.provider, tender.payment_id) == (payment.provider, payment.payment_id)
    ]
    return KnownPayment(
        buyer_id=tables.payments.get((payment.provider, payment.payment_id)),
        parts=len(parts),
        parts_minor=sum(part.captured_minor for part in parts),
        total_minor=max(
            (part.payment_total_minor for part in parts if part.payment_total_minor is not None), default=None
        ),
        currency=min((part.currency for part in parts), default=None),
    )
