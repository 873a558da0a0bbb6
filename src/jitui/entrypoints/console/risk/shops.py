"""Shops as the platform decides about them: complaints with their deadlines, places set apart, and a shop by id."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import quote

from litestar import get
from litestar.exceptions import ValidationException
from litestar.response import Response, Stream

from jitui.aftersales.governance.complaint import Complaint, ComplaintFilter, ComplaintState
from jitui.aftersales.governance.registry import Coverage, CoverageFilter, Scope
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.csv_file import BATCH, CsvRow, csv_file, headings
from jitui.entrypoints.console.page.language import Speech
from jitui.entrypoints.console.page.list_link import list_link
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.risk.buyers import confirmations_of
from jitui.entrypoints.console.risk.form import begins_at
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.entrypoints.cursor import from_cursor, to_cursor
from jitui.identity.access import Permission
from jitui.identity.audit import AuditAction
from jitui.text import why_no_id

PATH = "/risk/shops"
ROWS = 25


def _(message: str) -> str:
    return message


class Shown(StrEnum):
    """Which list is shown."""

    OPEN = "open"
    ALL = "all"
    PLACES = "places"


@dataclass(frozen=True, slots=True)
class ShopsQuery:
    """Which list, and where its page begins."""

    show: Shown = Shown.OPEN
    after: str = ""

    def link(self, path: str = PATH, **changed: object) -> str:
        """The link to this list with some filters changed; then it begins with the first page."""
        return list_link(path, self, changed)


TABS = (
    (_("Complaints to be answered"), ShopsQuery()),
    (_("All complaints"), ShopsQuery(Shown.ALL)),
    (_("Places that were set apart"), ShopsQuery(Shown.PLACES)),
)


def path_of_shop(shop_id: str) -> str:
    """The address of a shop's page."""
    return f"{PATH}/{quote(shop_id, safe='')}"


@get("/shops", opt=needs(Permission.COVERAGE_READ))
async def shops(visit: Visiting, request: ConsoleRequest) -> Response[str]:
    """The lists, and what a second person has to confirm; with `shop`, that shop's page."""
    query, wanted = read_query(request.query_params), request.query_params.get("shop", "").strip()
    if wanted and why_no_id(wanted) is None and await is_known(visit, wanted):
        return go_to(path_of_shop(wanted))
    return await _page(visit, query, wanted)


@get("/shops.csv", opt=needs(Permission.COVERAGE_READ))
async def shops_csv(visit: Visiting, request: ConsoleRequest) -> Stream:
    """The whole list."""
    query = replace(read_query(request.query_params), after="")
    if query.show is Shown.PLACES:
        return csv_file("coverage.csv", headings(visit.speech, _PLACE_HEADINGS), _place_rows(visit))
    rows = _complaint_rows(visit, _state(query))
    return csv_file("complaints.csv", headings(visit.speech, _COMPLAINT_HEADINGS), rows)


async def is_known(visit: Visit, shop_id: str) -> bool:
    """Whether anything is known of a shop: described by the platform, on an order, or set apart."""
    return await visit.service.registry.knows_place(Scope.SHOP, shop_id)


def read_query(params: Mapping[str, str]) -> ShopsQuery:
    """The filters in a link. Raises ValidationException for an unknown one."""
    try:
        return ShopsQuery(Shown(params.get("show") or Shown.OPEN), params.get("after", ""))
    except ValueError as error:
        raise ValidationException from error


async def _page(visit: Visit, query: ShopsQuery, unknown: str) -> Page:
    rows = await (_places(visit, query) if query.show is Shown.PLACES else _complaints(visit, query))
    shown, last = rows[:ROWS], rows[ROWS - 1] if len(rows) > ROWS else None
    shop_ids = {row.shop_id for row in shown if isinstance(row, Complaint)}
    return show(
        visit,
        "risk/shops.html",
        status_code=404 if unknown else 200,
        query=query,
        tabs=TABS,
        rows=shown,
        shops={shop_id: await shop_name(visit, shop_id) for shop_id in shop_ids},
        next_page="" if last is None else to_cursor(*_place(last)),
        confirmations=[
            (one, *place_of(one.subject)) for one in (await confirmations_of(visit, AuditAction.COVERAGE_SET)).values()
        ],
        may_confirm=may(visit, Permission.POLICIES_APPROVE),
        path_of_shop=path_of_shop,
        unknown=unknown,
        now=visit.service.clock(),
    )


def place_of(subject: str) -> tuple[Scope, str]:
    """The place that the audit log names so (`place_name`)."""
    scope, _blank, ref = subject.partition(" ")
    return Scope(scope), ref


async def _complaints(visit: Visit, query: ShopsQuery) -> Sequence[Complaint | Coverage]:
    wanted = ComplaintFilter(state=_state(query), after=begins_at(query.after), limit=ROWS + 1)
    return await visit.service.complaints.list(wanted)


async def _places(visit: Visit, query: ShopsQuery) -> Sequence[Complaint | Coverage]:
    after: tuple[Scope, str] | None = None
    if query.after:
        try:
            after = from_cursor(query.after, tuple[Scope, str])
        except ValueError as error:
            raise ValidationException from error
        if after[1] and why_no_id(after[1]) is not None:
            raise ValidationException
    return await visit.service.registry.coverage_rows(CoverageFilter(after, ROWS + 1))


def _state(query: ShopsQuery) -> ComplaintState | None:
    return ComplaintState.OPEN if query.show is Shown.OPEN else None


def _place(row: Complaint | Coverage) -> tuple[object, object]:
    return (row.answer_by, row.complaint_id) if isinstance(row, Complaint) else (row.scope, row.ref)


async def _complaint_rows(visit: Visit, state: ComplaintState | None) -> AsyncIterator[Iterable[CsvRow]]:
    wanted = ComplaintFilter(state=state, limit=BATCH)
    while batch := await visit.service.complaints.list(wanted):
        yield [_complaint_row(visit.speech, row) for row in batch]
        wanted = replace(wanted, after=(batch[-1].answer_by, batch[-1].complaint_id))


async def _place_rows(visit: Visit) -> AsyncIterator[Iterable[CsvRow]]:
    wanted = CoverageFilter(limit=BATCH)
    while batch := await visit.service.registry.coverage_rows(wanted):
        yield [_place_row(visit.speech, row) for row in batch]
        wanted = replace(wanted, after=(batch[-1].scope, batch[-1].ref))


_COMPLAINT_HEADINGS = (
    _("Complaint"),
    _("Shop"),
    _("Incident"),
    _("State"),
    _("Made at"),
    _("Made by"),
    _("Answer due"),
    _("Answered at"),
    _("Answered by"),
    _("Reason"),
    _("Answer"),
)
_PLACE_HEADINGS = (_("Where"), _("Id"), _("Covered"), _("Set by"), _("Since"), _("Reason"))


def _complaint_row(speech: Speech, row: Complaint) -> CsvRow:
    made_at, answer_by, answered_at = (
        at.astimezone(speech.zone).isoformat() if at else "" for at in (row.made_at, row.answer_by, row.answered_at)
    )
    about = "" if row.incident_id is None else str(row.incident_id)
    state = speech.word(row.state if row.outcome is None else row.outcome)
    start = (str(row.complaint_id), row.shop_id, about, state, made_at, row.made_by)
    return (*start, answer_by, answered_at, row.answered_by or "", row.reason, row.answer or "")


def _place_row(speech: Speech, row: Coverage) -> CsvRow:
    covered = speech.say(_("Covered") if row.covered else _("Not covered"))
    reason = (row.texts or {}).get(speech.texts) or row.reason
    since = row.set_at.astimezone(speech.zone).isoformat()
    return (speech.word(row.scope), row.ref, covered, row.set_by, since, reason)


HANDLERS = (shops, shops_csv)
