"""Filling and reading the list of refunds; the port is `jitui.aftersales.refund_list.RefundList`.

The copy has what a list filters and sorts by, and of that only the state ever changes. Rows are found in the copy and
read where they are, so what a page says of a refund is never late.

A change of the feed brings new refunds in. Their later states are on no feed, so a refund whose state differs is looked
for where it can be: one that is not paid, here or in the copy. Both are few, and both have a partial index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import LiteralString

from jitui.adapters.postgres.list_copy import FILL_BATCH, LAG_MS, Copied, ListCopy
from jitui.adapters.postgres.list_page import (
    NOBODY,
    Column,
    Page,
    Range,
    Values,
    amount_columns,
    exact_page,
    id_column,
    is_few,
    lane_of_few,
    merged_page,
    set_filters,
    text_column,
    time_column,
    whose,
)
from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.ticket import ApprovedBy
from jitui.aftersales.refund_list import ListedRefunds, RefundFilter, RefundSort

REFUND_LIST_LOCK = 7405112

# Filling -----------------------------------------------------------------------------------------------------------

_TAKE: LiteralString = """
INSERT INTO refund_list AS l (lane, refund_id, shop_id, provider, state, approved_by, queued_at, currency, amount_minor)
SELECT r.lane, r.refund_id, t.shop_id, r.provider, r.state, coalesce(t.approved_by, ''), r.queued_at, r.currency,
    r.amount_minor
"""
_AS_IT_IS: LiteralString = """
ON CONFLICT (lane, refund_id) DO UPDATE SET state = excluded.state, approved_by = excluded.approved_by
WHERE (l.state, l.approved_by) IS DISTINCT FROM (excluded.state, excluded.approved_by)
"""

_COPY: LiteralString = f"""
WITH moved AS (
    SELECT DISTINCT lane, order_id FROM change WHERE position > %(after)s AND position <= %(upto)s)
{_TAKE} FROM moved m JOIN refund r ON r.lane = m.lane AND r.order_id = m.order_id
    JOIN ticket t ON t.lane = r.lane AND t.ticket_id = r.ticket_id
{_AS_IT_IS}
"""

# Both sides are few. Each refund that differs is then looked up by its keys: the planner takes them for many.
_FOLLOW: LiteralString = f"""
WITH differs AS (
    SELECT lane, refund_id
    FROM (SELECT lane, refund_id, state FROM refund WHERE state <> 'succeeded') here
        FULL JOIN (SELECT lane, refund_id, state FROM refund_list WHERE state <> 'succeeded') there
        USING (lane, refund_id)
    WHERE here.state IS DISTINCT FROM there.state)
{_TAKE} FROM differs d
    CROSS JOIN LATERAL (SELECT * FROM refund WHERE lane = d.lane AND refund_id = d.refund_id LIMIT 1) r
    CROSS JOIN LATERAL (SELECT * FROM ticket WHERE lane = r.lane AND ticket_id = r.ticket_id LIMIT 1) t
{_AS_IT_IS}
"""

_COPIED = Copied("refund_list", REFUND_LIST_LOCK, _COPY, _FOLLOW)


class PostgresRefundList(ListCopy):
    """Fills the list from the feed, and from the refunds that are not paid."""

    def __init__(self, pool: Pool, batch: int = FILL_BATCH) -> None:
        super().__init__(pool, _COPIED, batch)


# Reading -----------------------------------------------------------------------------------------------------------

_TIME: LiteralString = "queued_at"
_ID: LiteralString = "refund_id"

_SORTED_BY: Mapping[RefundSort, tuple[Column, ...]] = {
    RefundSort.QUEUED_AT: (time_column(_TIME), id_column(_ID)),
    RefundSort.AMOUNT: (*amount_columns("t.currency"), id_column(_ID)),
    RefundSort.STATE: (text_column("state", "t.state"), time_column(_TIME), id_column(_ID)),
}
_SORTED_EXACTLY_BY: Mapping[RefundSort, tuple[Column, ...]] = {
    **_SORTED_BY,
    RefundSort.AMOUNT: (*amount_columns(), id_column(_ID)),
    RefundSort.STATE: (text_column("state"), time_column(_TIME), id_column(_ID)),
}

# The providers that there are, each by one look into the index.
_KNOWN: LiteralString = """
WITH RECURSIVE in_provider (provider) AS (
    (SELECT provider FROM refund_list ORDER BY provider LIMIT 1)
    UNION ALL
    SELECT (SELECT l.provider FROM refund_list l WHERE l.provider > p.provider ORDER BY l.provider LIMIT 1)
    FROM in_provider p WHERE p.provider IS NOT NULL)
"""

_LISTED: LiteralString = f"""
{_KNOWN}
SELECT json_build_object('lag_ms', {LAG_MS.format(name="refund_list")}, 'refunds', (
    SELECT coalesce(json_agg(json_build_object('refund', to_json(r), 'shop_id', (x.row).shop_id,
        'approved_by', nullif((x.row).approved_by, ''), 'listed_state', (x.row).state) ORDER BY {{order}}), '[]')
    FROM ({{page}}) x JOIN refund r ON r.lane = (x.row).lane AND r.refund_id = (x.row).refund_id))::text
"""

# A buyer's refunds, and an order's, are few and in one lane: they are found where they are, and no moment late.
_EXACT: LiteralString = """
SELECT json_build_object('lag_ms', 0, 'refunds', (
    SELECT coalesce(json_agg(json_build_object('refund', to_json(x.row), 'shop_id', k.shop_id,
        'approved_by', k.approved_by, 'listed_state', (x.row).state) ORDER BY {order}), '[]')
    FROM ({page}) x JOIN ticket k ON k.lane = (x.row).lane AND k.ticket_id = (x.row).ticket_id))::text
"""

_FILTERS: tuple[tuple[str, LiteralString], ...] = (("shop_id", " AND t.shop_id = %(shop_id)s"),)
_EXACT_FILTERS: tuple[tuple[str, LiteralString], ...] = (
    ("shop_id", " AND k.shop_id = %(shop_id)s"),
    ("buyer_id", " AND k.buyer_id = %(buyer_id)s"),
    ("order_id", " AND t.order_id = %(order_id)s"),
    ("state", " AND t.state = %(state)s"),
    ("provider", " AND t.provider = %(provider)s"),
    ("approved_by", " AND k.approved_by = %(approved_by)s"),
)


async def read_refunds(pool: Pool, wanted: RefundFilter) -> ListedRefunds:
    """A page: of a buyer or an order exactly, of everything else from the list."""
    page, query = (_exact(wanted), _EXACT) if is_few(wanted) else (_listed(wanted), _LISTED)
    params = {**page.params, **_params(wanted)}
    return (await read_rows(pool, query.format(page=page.relation, order=page.order), params, ListedRefunds))[0]


def _listed(wanted: RefundFilter) -> Page:
    states: Sequence[str] = tuple(RefundState) if wanted.state is None else (wanted.state,)
    approvers = (NOBODY, *ApprovedBy) if wanted.approved_by is None else (wanted.approved_by,)
    providers = Values(relation="in_provider") if wanted.provider is None else Values((wanted.provider,))
    return merged_page(
        "refund_list",
        {"provider": providers, "state": Values(states), "approved_by": Values(approvers)},
        _SORTED_BY[wanted.sort],
        wanted.order,
        wanted.after,
        wanted.limit,
        filters=set_filters(_FILTERS, wanted),
        span=_span(wanted),
    )


def _exact(wanted: RefundFilter) -> Page:
    return exact_page(
        "refund t JOIN ticket k ON k.lane = t.lane AND k.ticket_id = t.ticket_id",
        _SORTED_EXACTLY_BY[wanted.sort],
        wanted.order,
        wanted.after,
        wanted.limit,
        where=f"t.lane = {lane_of_few(wanted)}{set_filters(_EXACT_FILTERS, wanted)}{_span(wanted).filters()}",
    )


def _span(wanted: RefundFilter) -> Range:
    return Range(_TIME, wanted.queued_from, wanted.queued_before)


def _params(wanted: RefundFilter) -> dict[str, object]:
    return {
        **whose(wanted),
        "provider": wanted.provider,
        "approved_by": wanted.approved_by,
        "range_low": wanted.queued_from,
        "range_high": wanted.queued_before,
    }
