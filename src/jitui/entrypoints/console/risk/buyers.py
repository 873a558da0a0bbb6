"""Buyers whom the platform decides about: appeals that wait for an answer, who is restricted, and a buyer by id."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import quote
from uuid import UUID

from litestar import get
from litestar.exceptions import ValidationException
from litestar.response import Response, Stream

from jitui.aftersales.governance.appeals import Appeal, AppealFilter, AppealState
from jitui.aftersales.governance.confirmations import Confirmation
from jitui.aftersales.governance.registry import Restriction, RestrictionFilter
from jitui.aftersales.ports import OrderFilter
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.csv_file import BATCH, CsvRow, csv_file, headings
from jitui.entrypoints.console.page.language import Speech
from jitui.entrypoints.console.page.list_link import list_link
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.risk.form import begins_at
from jitui.entrypoints.cursor import to_cursor
from jitui.identity.access import Permission
from jitui.identity.audit import AuditAction
from jitui.text import why_no_id

PATH = "/risk/buyers"
ROWS = 25
MOST_CONFIRMATIONS = 200


def _(message: str) -> str:
    return message


class Shown(StrEnum):
    """Which list is shown."""

    OPEN = "open"
    ALL = "all"
    RESTRICTED = "restricted"


@dataclass(frozen=True, slots=True)
class BuyersQuery:
    """Which list, and where its page begins."""

    show: Shown = Shown.OPEN
    after: str = ""

    def link(self, path: str = PATH, **changed: object) -> str:
        """The link to this list with some filters changed; then it begins with the first page."""
        return list_link(path, self, changed)


TABS = (
    (_("Appeals to be answered"), BuyersQuery()),
    (_("All appeals"), BuyersQuery(Shown.ALL)),
    (_("Restricted now"), BuyersQuery(Shown.RESTRICTED)),
)


def path_of_buyer(buyer_id: str) -> str:
    """The address of a buyer's page."""
    return f"{PATH}/{quote(buyer_id, safe='')}"


@get("/buyers", opt=needs(Permission.RESTRICTIONS_READ))
async def buyers(visit: Visiting, request: ConsoleRequest) -> Response[str]:
    """The lists, and what a second person has to confirm; with `buyer`, that buyer's page."""
    query, wanted = read_query(request.query_params), request.query_params.get("buyer", "").strip()
    if wanted and why_no_id(wanted) is None and await is_known(visit, wanted):
        return go_to(path_of_buyer(wanted))
    return await _page(visit, query, wanted)


@get("/buyers.csv", opt=needs(Permission.RESTRICTIONS_READ))
async def buyers_csv(visit: Visiting, request: ConsoleRequest) -> Stream:
    """The whole list."""
    query = replace(read_query(request.query_params), after="")
    if query.show is Shown.RESTRICTED:
        return csv_file("restrictions.csv", headings(visit.speech, _RESTRICTION_HEADINGS), _restriction_rows(visit))
    return csv_file("appeals.csv", headings(visit.speech, _APPEAL_HEADINGS), _appeal_rows(visit, _state(query)))


async def is_known(visit: Visit, buyer_id: str) -> bool:
    """Whether anything is known of a buyer: described by the platform, on an order, or restricted."""
    service = visit.service
    if await service.registry.get_buyer(buyer_id) is not None:
        return True
    if await service.registry.restrictions_of(buyer_id):
        return True
    return bool(await service.queries.orders(OrderFilter(buyer_id=buyer_id, limit=1)))


def read_query(params: Mapping[str, str]) -> BuyersQuery:
    """The filters in a link. Raises ValidationException for an unknown one."""
    try:
        return BuyersQuery(Shown(params.get("show") or Shown.OPEN), params.get("after", ""))
    except ValueError as error:
        raise ValidationException from error


async def confirmations_of(visit: Visit, *actions: AuditAction) -> dict[str, Confirmation]:
    """What nobody has confirmed yet of these actions, by what it is about."""
    found = await visit.service.confirmations.open(limit=MOST_CONFIRMATIONS)
    return {one.subject: one for one in found if one.action in actions}


async def _page(visit: Visit, query: BuyersQuery, unknown: str) -> Page:
    rows = await (_restricted(visit, query) if query.show is Shown.RESTRICTED else _appeals(visit, query))
    shown, last = rows[:ROWS], rows[ROWS - 1] if len(rows) > ROWS else None
    unconfirmed = await confirmations_of(visit, AuditAction.RESTRICTION_SET)
    about = [(one, await visit.service.registry.restriction(UUID(one.subject))) for one in unconfirmed.values()]
    return show(
        visit,
        "risk/buyers.html",
        status_code=404 if unknown else 200,
        query=query,
        tabs=TABS,
        rows=shown,
        next_page="" if last is None else to_cursor(*_place(last)),
        confirmations=[(one, row) for one, row in about if row is not None],
        may_confirm=may(visit, Permission.POLICIES_APPROVE),
        path_of_buyer=path_of_buyer,
        unknown=unknown,
        now=visit.service.clock(),
    )


async def _appeals(visit: Visit, query: BuyersQuery) -> Sequence[Appeal | Restriction]:
    wanted = AppealFilter(_state(query), after=begins_at(query.after), limit=ROWS + 1)
    return await visit.service.appeals.list(wanted)


async def _restricted(visit: Visit, query: BuyersQuery) -> Sequence[Appeal | Restriction]:
    wanted = RestrictionFilter(visit.service.clock(), begins_at(query.after), ROWS + 1)
    return await visit.service.registry.standing_restrictions(wanted)


def _state(query: BuyersQuery) -> AppealState | None:
    return AppealState.OPEN if query.show is Shown.OPEN else None


def _place(row: Appeal | Restriction) -> tuple[object, UUID]:
    return (row.answer_by, row.appeal_id) if isinstance(row, Appeal) else (row.starts_at, row.restriction_id)


async def _appeal_rows(visit: Visit, state: AppealState | None) -> AsyncIterator[Iterable[CsvRow]]:
    wanted = AppealFilter(state, limit=BATCH)
    while batch := await visit.service.appeals.list(wanted):
        yield [_appeal_row(visit.speech, row) for row in batch]
        wanted = replace(wanted, after=(batch[-1].answer_by, batch[-1].appeal_id))


async def _restriction_rows(visit: Visit) -> AsyncIterator[Iterable[CsvRow]]:
    wanted = RestrictionFilter(visit.service.clock(), limit=BATCH)
    while batch := await visit.service.registry.standing_restrictions(wanted):
        yield [_restriction_row(visit.speech, row) for row in batch]
        wanted = replace(wanted, after=(batch[-1].starts_at, batch[-1].restriction_id))


_APPEAL_HEADINGS = (
    _("Appeal"),
    _("Restriction"),
    _("Buyer"),
    _("State"),
    _("Made at"),
    _("Answer due"),
    _("Answered at"),
    _("Answered by"),
    _("Answer"),
)
_RESTRICTION_HEADINGS = (_("Restriction"), _("Buyer"), _("From"), _("Until"), _("Set by"), _("Rule"), _("Reason"))


def _appeal_row(speech: Speech, row: Appeal) -> CsvRow:
    opened_at, answer_by, decided_at = (
        at.astimezone(speech.zone).isoformat() if at else "" for at in (row.opened_at, row.answer_by, row.decided_at)
    )
    state = speech.say(STATE_WORDS[row.state])
    ids = (str(row.appeal_id), str(row.restriction_id), row.buyer_id)
    return (*ids, state, opened_at, answer_by, decided_at, row.decided_by or "", row.answer or "")


def _restriction_row(speech: Speech, row: Restriction) -> CsvRow:
    starts_at, ends_at = (at.astimezone(speech.zone).isoformat() if at else "" for at in (row.starts_at, row.ends_at))
    ids = (str(row.restriction_id), row.buyer_id)
    return (*ids, starts_at, ends_at, row.set_by, row.rule_id or "", row.reason)


STATE_WORDS = {
    AppealState.OPEN: _("Waiting for an answer"),
    AppealState.UPHELD: _("Upheld: the restriction was lifted"),
    AppealState.REJECTED: _("Not upheld"),
}
"""The states as the platform reads them; the buyer reads them in other words."""

HANDLERS = (buyers, buyers_csv)
