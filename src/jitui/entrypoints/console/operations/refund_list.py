"""The operators' list of refunds: its filters in the address, its pages, and its CSV file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from litestar import get
from litestar.exceptions import ValidationException
from litestar.response import Stream

from jitui.aftersales.model.refund import Refund, RefundState
from jitui.aftersales.model.sorting import Place
from jitui.aftersales.operations.platform_connections import LOST_AFTER
from jitui.aftersales.refund_list import ListedRefund, RefundFilter, place_of_refund
from jitui.entrypoints.console.page.access import needs
from jitui.entrypoints.console.page.csv_file import BATCH, CsvRow, csv_file
from jitui.entrypoints.console.page.cursor import begins
from jitui.entrypoints.console.page.language import Speech
from jitui.entrypoints.console.page.list_link import list_link
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, show
from jitui.entrypoints.list_cursor import REFUNDS
from jitui.identity.access import Permission
from jitui.money import to_decimal_text
from jitui.text import why_no_id

REFUNDS_PER_PAGE = 25
PATH = "/operations/refunds"
IDS = ("provider", "order", "buyer", "shop")


def _(message: str) -> str:
    return message


class OlderThan(StrEnum):
    """How long ago a refund was approved, at least."""

    HOUR = "1h"
    DAY = "1d"
    WEEK = "7d"


AGES = {OlderThan.HOUR: timedelta(hours=1), OlderThan.DAY: timedelta(days=1), OlderThan.WEEK: timedelta(days=7)}
AGE_WORDS = {
    OlderThan.HOUR: _("Older than an hour"),
    OlderThan.DAY: _("Older than a day"),
    OlderThan.WEEK: _("Older than a week"),
}


@dataclass(frozen=True, slots=True)
class RefundQuery:
    """The filters of the list."""

    state: RefundState | None = None
    provider: str = ""
    order: str = ""
    buyer: str = ""
    shop: str = ""
    older: OlderThan | None = None
    after: str = ""

    def link(self, path: str = PATH, **changed: object) -> str:
        """The link to this list with some filters changed; then it begins with the first page."""
        return list_link(path, self, changed)


TABS = (
    (_("All"), RefundQuery()),
    (_("Failed"), RefundQuery(state=RefundState.FAILED)),
    (_("Outcome not known"), RefundQuery(state=RefundState.UNKNOWN)),
    (_("Not paid for an hour"), RefundQuery(state=RefundState.QUEUED, older=OlderThan.HOUR)),
)
"""Saved filters."""


@get("/refunds", opt=needs(Permission.REFUNDS_READ))
async def refunds(visit: Visiting, request: ConsoleRequest) -> Page:
    """Money on its way back, and what is held up."""
    query = read_query(request.query_params)
    wanted = replace(_filter(visit, query), limit=REFUNDS_PER_PAGE + 1)
    found = (await visit.service.queries.refunds(wanted)).refunds
    shown = found[:REFUNDS_PER_PAGE]
    return show(
        visit,
        "operations/refunds.html",
        query=query,
        tabs=TABS,
        refunds=[one.refund for one in shown],
        lost=await visit.service.platforms.calls.lost(visit.service.clock() - LOST_AFTER),
        next_page=REFUNDS.after(_place(shown[-1]), wanted.sort, wanted.order) if len(found) > len(shown) else "",
        states=tuple(RefundState),
        ages=AGE_WORDS,
        providers=sorted(visit.service.providers),
        now=visit.service.clock(),
    )


@get("/refunds.csv", opt=needs(Permission.REFUNDS_READ))
async def refunds_csv(visit: Visiting, request: ConsoleRequest) -> Stream:
    """The whole filtered list."""
    wanted = _filter(visit, replace(read_query(request.query_params), after=""))
    return csv_file("refunds.csv", _headings(visit.speech), _batches(visit, wanted))


def read_query(params: Mapping[str, str]) -> RefundQuery:
    """The filters in a link; empty fields are not set. Raises ValidationException for an unknown filter."""
    ids = {name: params.get(name, "").strip() for name in IDS}
    if any(value and why_no_id(value) is not None for value in ids.values()):
        raise ValidationException
    try:
        return RefundQuery(
            state=RefundState(params["state"]) if params.get("state") else None,
            older=OlderThan(params["older"]) if params.get("older") else None,
            after=params.get("after", ""),
            **ids,
        )
    except ValueError as error:
        raise ValidationException from error


def _filter(visit: Visit, query: RefundQuery) -> RefundFilter:
    return RefundFilter(
        state=query.state,
        provider=query.provider or None,
        order_id=query.order or None,
        buyer_id=query.buyer or None,
        shop_id=query.shop or None,
        queued_before=visit.service.clock() - AGES[query.older] if query.older else None,
        after=begins(REFUNDS, query.after, RefundFilter().sort, RefundFilter().order),
    )


def _place(listed: ListedRefund) -> Place:
    return place_of_refund(listed, RefundFilter().sort)


async def _batches(visit: Visit, wanted: RefundFilter) -> AsyncIterator[Iterable[CsvRow]]:
    wanted = replace(wanted, limit=BATCH)
    while batch := (await visit.service.queries.refunds(wanted)).refunds:
        yield [_csv_row(visit.speech, one.refund) for one in batch]
        wanted = replace(wanted, after=_place(batch[-1]))


def _headings(speech: Speech) -> Sequence[str]:
    names = (
        _("Refund"),
        _("Order"),
        _("Ticket"),
        _("State"),
        _("Payment provider"),
        _("Amount"),
        _("Currency"),
        _("Approved at"),
        _("Paid at"),
        _("Reason"),
    )
    return [speech.say(name) for name in names]


def _csv_row(speech: Speech, refund: Refund) -> CsvRow:
    return (
        str(refund.refund_id),
        refund.order_id,
        str(refund.ticket_id),
        speech.word(refund.state),
        refund.provider,
        to_decimal_text(refund.amount_minor, refund.currency),
        refund.currency,
        *(at.astimezone(speech.zone).isoformat() if at else "" for at in (refund.queued_at, refund.closed_at)),
        refund.reason,
    )
