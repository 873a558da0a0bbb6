"""Reading lists of incidents, by indexes of the table itself (decision 0047)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import LiteralString

from jitui.adapters.postgres.list_page import (
    STATE_OF_EVERYBODY,
    Column,
    Page,
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
from jitui.adapters.postgres.reading import INCIDENT_ROW
from jitui.aftersales.incident_list import IncidentFilter, IncidentSort
from jitui.aftersales.model.incident import Incident, IncidentState

_TIME = time_column("opened_at")
_ID = id_column("incident_id")
_SORTED_BY: Mapping[IncidentSort, tuple[Column, ...]] = {
    IncidentSort.OPENED_AT: (_TIME, _ID),
    IncidentSort.DUE_AT: (time_column("due_at", "coalesce(t.due_at, 'infinity')"), _ID),
    IncidentSort.AMOUNT: (*amount_columns(), _ID),
    IncidentSort.STATE: (text_column("state"), _TIME, _ID),
}

_READ: LiteralString = f"""
SELECT ({INCIDENT_ROW})::text FROM ({{page}}) x CROSS JOIN LATERAL (SELECT (x.row).*) i ORDER BY {{order}}
"""

_FILTERS: tuple[tuple[str, LiteralString], ...] = (("shop_id", " AND t.shop_id = %(shop_id)s"),)
_EXACT_FILTERS: tuple[tuple[str, LiteralString], ...] = (
    *_FILTERS,
    ("buyer_id", " AND k.buyer_id = %(buyer_id)s"),
    ("order_id", " AND t.order_id = %(order_id)s"),
    ("state", " AND t.state = %(state)s"),
)


async def read_incidents(pool: Pool, wanted: IncidentFilter) -> Sequence[Incident]:
    """A page; those of a buyer or an order are few, and all of them are read."""
    page = _few(wanted) if is_few(wanted) else _listed(wanted)
    params = {**page.params, **whose(wanted)}
    return await read_rows(pool, _READ.format(page=page.relation, order=page.order), params, Incident)


def _listed(wanted: IncidentFilter) -> Page:
    states: Sequence[str] = tuple(IncidentState) if wanted.state is None else (wanted.state,)
    return merged_page(
        "incident",
        {"state": Values(states, text="" if wanted.shop_id is not None else STATE_OF_EVERYBODY)},
        _SORTED_BY[wanted.sort],
        wanted.order,
        wanted.after,
        wanted.limit,
        filters=set_filters(_FILTERS, wanted),
    )


def _few(wanted: IncidentFilter) -> Page:
    return exact_page(
        "incident t JOIN ticket k ON k.lane = t.lane AND k.ticket_id = t.ticket_id",
        _SORTED_BY[wanted.sort],
        wanted.order,
        wanted.after,
        wanted.limit,
        where=f"t.lane = {lane_of_few(wanted)}{set_filters(_EXACT_FILTERS, wanted)}",
    )
