"""Filling and reading the list of tickets; the port is `jitui.aftersales.ticket_list.TicketList`.

A change of the feed says only *that* tickets of an order changed: their rows are read and copied as they are now. So
a change that is applied twice, or whose tickets have changed again since, does no harm, and the list can be made anew
from position 0. All tickets of the order, because a plan may change one beside the one that it names: freight that
moves.
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
from jitui.aftersales.model.ticket import ApprovedBy, TicketState
from jitui.aftersales.ports import TicketFilter
from jitui.aftersales.ticket_list import ListedTickets, TicketSort

TICKET_LIST_LOCK = 7405107

# Filling -----------------------------------------------------------------------------------------------------------

# A statement of its own after the lock, so it reads the tickets as they are when nobody else copies them.
_COPY: LiteralString = """
WITH moved AS (
    SELECT DISTINCT lane, order_id FROM change
    WHERE position > %(after)s AND position <= %(upto)s AND ticket_id IS NOT NULL)
INSERT INTO ticket_list AS l (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency,
    amount_minor, freight_minor, funding_returns, notice, approved_by, review_reason, arm, on_timeout, requested_at,
    expires_at, approved_at, closed_at, remind_at, assignment, offer, arbitration, basis,
    advance_up_to_minor)
SELECT t.lane, t.ticket_id, t.order_id, t.buyer_id, t.shop_id, t.state, t.version, t.reason, t.currency,
    t.amount_minor, t.freight_minor, t.funding_returns, t.notice, coalesce(t.approved_by, ''), t.review_reason, t.arm,
    t.on_timeout, t.requested_at, coalesce(t.expires_at, 'infinity'), t.approved_at, t.closed_at, t.remind_at,
    t.assignment, t.offer, t.arbitration, t.basis, t.advance_up_to_minor
FROM moved m JOIN ticket t ON t.lane = m.lane AND t.order_id = m.order_id
ON CONFLICT (lane, ticket_id) DO UPDATE SET buyer_id = excluded.buyer_id, state = excluded.state,
    version = excluded.version, reason = excluded.reason, currency = excluded.currency,
    amount_minor = excluded.amount_minor, freight_minor = excluded.freight_minor,
    funding_returns = excluded.funding_returns, notice = excluded.notice, approved_by = excluded.approved_by,
    review_reason = excluded.review_reason, arm = excluded.arm, on_timeout = excluded.on_timeout,
    requested_at = excluded.requested_at, expires_at = excluded.expires_at, approved_at = excluded.approved_at,
    closed_at = excluded.closed_at, remind_at = excluded.remind_at, assignment = excluded.assignment,
    offer = excluded.offer, arbitration = excluded.arbitration
WHERE l IS DISTINCT FROM excluded
"""

_COPIED = Copied("ticket_list", TICKET_LIST_LOCK, _COPY)


class PostgresTicketList(ListCopy):
    """Fills the list from the feed."""

    def __init__(self, pool: Pool, batch: int = FILL_BATCH) -> None:
        super().__init__(pool, _COPIED, batch)


# Reading -----------------------------------------------------------------------------------------------------------

_TIME: LiteralString = "requested_at"
_ID: LiteralString = "ticket_id"

_SORTED_BY: Mapping[TicketSort, tuple[Column, ...]] = {
    TicketSort.REQUESTED_AT: (time_column(_TIME), id_column(_ID)),
    TicketSort.EXPIRES_AT: (time_column("expires_at"), id_column(_ID)),
    TicketSort.AMOUNT: (*amount_columns("t.currency"), id_column(_ID)),
    TicketSort.STATE: (text_column("state", "t.state"), time_column(_TIME), id_column(_ID)),
}
_SORTED_EXACTLY_BY: Mapping[TicketSort, tuple[Column, ...]] = {
    **_SORTED_BY,
    TicketSort.EXPIRES_AT: (time_column("expires_at", "coalesce(t.expires_at, 'infinity')"), id_column(_ID)),
    TicketSort.AMOUNT: (*amount_columns(), id_column(_ID)),
    TicketSort.STATE: (text_column("state"), time_column(_TIME), id_column(_ID)),
}

_LISTED: LiteralString = f"""
SELECT json_build_object('lag_ms', {LAG_MS.format(name="ticket_list")}, 'tickets', (SELECT coalesce(json_agg(
    to_jsonb(x.row) || jsonb_build_object('approved_by', nullif((x.row).approved_by, ''),
        'expires_at', CASE WHEN isfinite((x.row).expires_at) THEN (x.row).expires_at END) ORDER BY {{order}}), '[]')
    FROM ({{page}}) x))::text
"""

# A buyer's tickets, and an order's, are few and in one lane: they are read where they are, and no moment late.
_EXACT: LiteralString = """
SELECT json_build_object('lag_ms', 0, 'tickets', (
    SELECT coalesce(json_agg(to_jsonb(x.row) ORDER BY {order}), '[]') FROM ({page}) x))::text
"""

_FILTERS: tuple[tuple[str, LiteralString], ...] = (
    ("shop_id", " AND t.shop_id = %(shop_id)s"),
    ("buyer_id", " AND t.buyer_id = %(buyer_id)s"),
    ("order_id", " AND t.order_id = %(order_id)s"),
)
_EXACT_FILTERS: tuple[tuple[str, LiteralString], ...] = (
    *_FILTERS,
    ("state", " AND t.state = %(state)s"),
    ("approved_by", " AND t.approved_by = %(approved_by)s"),
)


async def read_tickets(pool: Pool, wanted: TicketFilter) -> ListedTickets:
    """A page: of a buyer or an order exactly, of everything else from the list."""
    page, query = (_exact(wanted), _EXACT) if is_few(wanted) else (_listed(wanted), _LISTED)
    params = {**page.params, **_params(wanted)}
    return (await read_rows(pool, query.format(page=page.relation, order=page.order), params, ListedTickets))[0]


def _listed(wanted: TicketFilter) -> Page:
    states: Sequence[str] = tuple(TicketState) if wanted.state is None else (wanted.state,)
    approvers = (NOBODY, *ApprovedBy) if wanted.approved_by is None else (wanted.approved_by,)
    return merged_page(
        "ticket_list",
        {"state": Values(states), "approved_by": Values(approvers)},
        _SORTED_BY[wanted.sort],
        wanted.order,
        wanted.after,
        wanted.limit,
        filters=set_filters(_FILTERS, wanted),
        span=_span(wanted),
    )


def _exact(wanted: TicketFilter) -> Page:
    return exact_page(
        "ticket t",
        _SORTED_EXACTLY_BY[wanted.sort],
        wanted.order,
        wanted.after,
        wanted.limit,
        where=f"t.lane = {lane_of_few(wanted)}{set_filters(_EXACT_FILTERS, wanted)}{_span(wanted).filters()}",
    )


def _span(wanted: TicketFilter) -> Range:
    return Range(_TIME, wanted.requested_from, wanted.requested_until)


def _params(wanted: TicketFilter) -> dict[str, object]:
    return {
        **whose(wanted),
        "approved_by": wanted.approved_by,
        "range_low": wanted.requested_from,
        "range_high": wanted.requested_until,
    }
