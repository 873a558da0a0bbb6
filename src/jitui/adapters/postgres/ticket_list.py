"""Filling and reading the list of tickets; the port is `jitui.aftersales.ticket_list.TicketList`.

A change of the feed says only *that* tickets of an order changed: their rows are read and copied as they are now. So
a change that is applied twice, or whose tickets have changed again since, does no harm, and the list can be made anew
from position 0. All tickets of the order, because a plan may change one beside the one that it names: freight that
moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString

from jitui.adapters.postgres.feed import LOCK_FOR_THE_TRANSACTION, database_time, publish_changes
from jitui.adapters.postgres.pool import Connection, Pool, read_rows
from jitui.aftersales.model.ticket import ApprovedBy, TicketState
from jitui.aftersales.ports import TicketFilter
from jitui.aftersales.ticket_list import ListedTickets, SortOrder, TicketSort
from jitui.ids import lane_of

TICKET_LIST_LOCK = 7405107
FILL_BATCH = 5_000
"""Changes in one transaction: a few tenths of a second, well within the limit of an idle session."""

# Filling -----------------------------------------------------------------------------------------------------------

_NEXT: LiteralString = """
SELECT r.position, (SELECT max(c.position) FROM (
    SELECT position FROM change WHERE position > r.position ORDER BY position LIMIT %(limit)s) c)
FROM roll_up r WHERE r.name = 'ticket_list'
"""

# A statement of its own after the lock, so it reads the tickets as they are when nobody else copies them.
_COPY: LiteralString = """
WITH moved AS (
    SELECT DISTINCT lane, order_id FROM change
    WHERE position > %(after)s AND position <= %(upto)s AND ticket_id IS NOT NULL)
INSERT INTO ticket_list AS l (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency,
    amount_minor, freight_minor, funding_returns, notice, approved_by, review_reason, arm, on_timeout, requested_at,
    expires_at, approved_at, closed_at, remind_at, assignment, offer, arbitration, basis)
SELECT t.lane, t.ticket_id, t.order_id, t.buyer_id, t.shop_id, t.state, t.version, t.reason, t.currency,
    t.amount_minor, t.freight_minor, t.funding_returns, t.notice, coalesce(t.approved_by, ''), t.review_reason, t.arm,
    t.on_timeout, t.requested_at, coalesce(t.expires_at, 'infinity'), t.approved_at, t.closed_at, t.remind_at,
    t.assignment, t.offer, t.arbitration, t.basis
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

# The time is the database's; after a failover its clock may go back, and the list's time with it.
_ADVANCE: LiteralString = """
UPDATE roll_up SET position = %(upto)s, by_database_clock = true, as_of = coalesce(%(as_of)s, as_of)
WHERE name = 'ticket_list'
"""


class PostgresTicketList:
    """Fills the list from the feed."""

    def __init__(self, pool: Pool, batch: int = FILL_BATCH) -> None:
        self._pool = pool
        self._batch = batch

    async def fill(self) -> None:
        """Copy the tickets of all changes that were committed when this began; one worker at a time copies."""
        async with self._pool.connection() as connection:
            # Read before publishing: what is committed after this time may not be in the list yet.
            as_of = await database_time(connection)
            while await publish_changes(connection, 10_000) == 10_000:
                pass
            while await self._copy_next(connection, as_of):
                pass

    async def _copy_next(self, connection: Connection, as_of: datetime) -> bool:
        """Copy one batch and commit; whether there may be more. Only who has reached the end says how late it is."""
        await connection.execute(LOCK_FOR_THE_TRANSACTION, {"lock": TICKET_LIST_LOCK})
        row = await (await connection.execute(_NEXT, {"limit": self._batch})).fetchone()
        assert row is not None, "the migration wrote it"
        after, upto = row
        if upto is not None:
            await connection.execute(_COPY, {"after": after, "upto": upto})
        await connection.execute(_ADVANCE, {"upto": upto or after, "as_of": as_of if upto is None else None})
        await connection.commit()
        return upto is not None


# Reading -----------------------------------------------------------------------------------------------------------

_HIGHEST_ID, _LOWEST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"
_NOBODY = ""
_TIME: LiteralString = "requested_at"

# What each order sorts by: the column, its type, and its lowest and highest value.
_Column = tuple[LiteralString, LiteralString, object, object]
_AT: _Column = (_TIME, "timestamptz", "-infinity", "infinity")
_ID: _Column = ("ticket_id", "uuid", _LOWEST_ID, _HIGHEST_ID)
_SORTED_BY: Mapping[TicketSort, tuple[_Column, ...]] = {
    TicketSort.REQUESTED_AT: (_AT, _ID),
    TicketSort.EXPIRES_AT: (("expires_at", "timestamptz", "-infinity", "infinity"), _ID),
    TicketSort.AMOUNT: (("currency", "text", "", "~"), ("amount_minor", "bigint", -1, 2**63 - 1), _ID),
    TicketSort.STATE: (("state", "text", "", "~"), _AT, _ID),
}

# Within one state and one approver the rows are in an index in every order that a list may have. So each of them is
# read as far as the page goes, and the page is the first of all these. `{0}` are the columns, `{1}` the place where
# the page begins, `{2}` the filters, `{5}` the comparison, and `{3}`, `{4}` and `{6}` the order outside, within and
# between.
_LIST = """
SELECT json_build_object(
    'lag_ms', (SELECT greatest(0, floor(extract(epoch FROM clock_timestamp() - as_of) * 1000))::bigint
               FROM roll_up WHERE name = 'ticket_list'),
    'tickets', (SELECT coalesce(json_agg(to_jsonb(x) || jsonb_build_object('approved_by', nullif(x.approved_by, ''),
                    'expires_at', CASE WHEN isfinite(x.expires_at) THEN x.expires_at END) ORDER BY {3}), '[]') FROM (
        SELECT l.* FROM unnest(%(states)s::text[]) s (state) CROSS JOIN unnest(%(approvers)s::text[]) a (approved_by)
        CROSS JOIN LATERAL (
            SELECT * FROM ticket_list t
            WHERE t.state = s.state AND t.approved_by = a.approved_by {2} AND ({0}) {5} ({1})
            ORDER BY {4} LIMIT %(limit)s) l
        ORDER BY {6} LIMIT %(limit)s) x))::text
"""

# A buyer's tickets, and an order's, are few and in one lane: they are read where they are, and no moment late.
_EXACT = """
SELECT json_build_object('lag_ms', 0, 'tickets', (SELECT coalesce(json_agg(to_jsonb(x) ORDER BY {1}), '[]') FROM (
    SELECT t.* FROM ticket t
    WHERE t.lane = {0} {2} AND ({3}) {5} ({4})
    ORDER BY {1} LIMIT %(limit)s) x))::text
"""

_LANE_OF_ORDER: LiteralString = "(SELECT lane FROM order_directory WHERE order_id = %(order_id)s)"

_FILTERS: tuple[tuple[str, LiteralString], ...] = (
    ("shop_id", "AND t.shop_id = %(shop_id)s"),
    ("buyer_id", "AND t.buyer_id = %(buyer_id)s"),
    ("order_id", "AND t.order_id = %(order_id)s"),
    ("requested_from", "AND t.requested_at >= %(requested_from)s"),
    ("requested_until", "AND t.requested_at < %(requested_until)s"),
)
"""Only those that are set are in a statement: one that is always true would mislead the planner."""


async def read_tickets(pool: Pool, wanted: TicketFilter) -> ListedTickets:
    """A page: of a buyer or an order exactly, of everything else from the list."""
    exact = wanted.buyer_id is not None or wanted.order_id is not None
    query, params = _exact(wanted) if exact else _listed(wanted)
    return (await read_rows(pool, query, params, ListedTickets))[0]


def _listed(wanted: TicketFilter) -> tuple[LiteralString, Mapping[str, object]]:
    columns, down = _SORTED_BY[wanted.sort], wanted.order is SortOrder.DESC
    states: Sequence[str] = tuple(TicketState) if wanted.state is None else (wanted.state,)
    inner = columns
    begin = _begin_of_range(wanted)
    params = {**_params(wanted), **({} if begin is None else begin)}
    begins = [f"%(after_{name})s::{kind}" for name, kind, _, _ in columns]
    if wanted.sort is TicketSort.STATE:
        # In one state the rest is the order. The page goes on in the state of its place, and begins the later ones.
        inner, at = columns[1:], str(params["after_state"])
        states = [state for state in states if (state <= at if down else state >= at)]
        begins = [
            f"CASE s.state WHEN %(after_state)s THEN %(after_{name})s ELSE %({name}_first)s END::{kind}"
            for name, kind, _, _ in inner
        ]
        params = {f"{name}_first": highest if down else lowest for name, _, lowest, highest in inner} | params
    names = [name for name, _, _, _ in inner]
    way = "DESC" if down else "ASC"
    query = _LIST.format(
        ", ".join(f"t.{name}" for name in names),
        ", ".join(begins),
        _filters(wanted, without=None if begin is None else _RANGE[down]),
        ", ".join(f"x.{name} {way}" for name, _, _, _ in columns),
        ", ".join(f"t.{name} {way}" for name in names),
        "<" if down else ">",
        ", ".join(f"l.{name} {way}" for name, _, _, _ in columns),
    )
    approvers = (_NOBODY, *ApprovedBy) if wanted.approved_by is None else (wanted.approved_by,)
    return query, params | {"states": [str(state) for state in states], "approvers": [str(one) for one in approvers]}


_RANGE: Mapping[bool, LiteralString] = {True: "requested_until", False: "requested_from"}
"""The end of a range of time at which a list that goes down, or up, begins."""


def _begin_of_range(wanted: TicketFilter) -> dict[str, object] | None:
    """A list in order of time begins at the range's end. As a filter, PostgreSQL would read all that lies before it.

    None where the list is not in order of time or has no such end. A place beyond the end is one of another list.
    """
    down = wanted.order is SortOrder.DESC
    end = getattr(wanted, _RANGE[down])
    if end is None or wanted.sort not in (TicketSort.REQUESTED_AT, TicketSort.STATE):
        return None
    first = {f"{_TIME}_first": end, "ticket_id_first": _LOWEST_ID}
    at = None if wanted.after is None else wanted.after[-2]
    if isinstance(at, datetime) and (at < end if down else at >= end):
        return first
    return {**first, f"after_{_TIME}": end, "after_ticket_id": _LOWEST_ID}


def _exact(wanted: TicketFilter) -> tuple[LiteralString, Mapping[str, object]]:
    columns, down = _SORTED_BY[wanted.sort], wanted.order is SortOrder.DESC
    names = [_of_ticket(name, kind) for name, kind, _, _ in columns]
    way = "DESC" if down else "ASC"
    filters = _filters(wanted)
    if wanted.state is not None:
        filters += " AND t.state = %(state)s"
    if wanted.approved_by is not None:
        filters += " AND t.approved_by = %(approved_by)s"
    query = _EXACT.format(
        "%(lane)s" if wanted.buyer_id is not None else _LANE_OF_ORDER,
        ", ".join(f"{name} {way}" for name in names),
        filters,
        ", ".join(names),
        ", ".join(f"%(after_{name})s::{kind}" for name, kind, _, _ in columns),
        "<" if down else ">",
    )
    return query, _params(wanted)


def _of_ticket(name: str, kind: str) -> str:
    if name == "expires_at":
        return "coalesce(expires_at, 'infinity')"
    return f'{name} COLLATE "C"' if kind == "text" else name


def _filters(wanted: TicketFilter, without: str | None = None) -> str:
    return " ".join(text for name, text in _FILTERS if getattr(wanted, name) is not None and name != without)


def _params(wanted: TicketFilter) -> dict[str, object]:
    """All parameters; without a place the page begins before everything."""
    columns, down = _SORTED_BY[wanted.sort], wanted.order is SortOrder.DESC
    ends = tuple(highest if down else lowest for _, _, lowest, highest in columns)
    place = wanted.after or ends
    return {
        "lane": lane_of(wanted.buyer_id) if wanted.buyer_id is not None else None,
        "shop_id": wanted.shop_id,
        "buyer_id": wanted.buyer_id,
        "order_id": wanted.order_id,
        "state": wanted.state,
        "approved_by": wanted.approved_by,
        "requested_from": wanted.requested_from,
        "requested_until": wanted.requested_until,
        "limit": wanted.limit,
        **{
            f"after_{name}": "infinity" if value is None else value
            for (name, _, _, _), value in zip(columns, place, strict=True)
        },
    }
