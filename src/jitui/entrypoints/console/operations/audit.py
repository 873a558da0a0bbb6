"""The audit log: who did what, newest first; it is only read here, and nothing in it can be changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from litestar import get
from litestar.exceptions import ValidationException
from litestar.response import Stream

from jitui.entrypoints.console.page.access import needs
from jitui.entrypoints.console.page.csv_file import BATCH, CsvRow, csv_file
from jitui.entrypoints.console.page.language import Speech
from jitui.entrypoints.console.page.list_link import list_link
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, show
from jitui.entrypoints.console.words.audit import ACTION_WORDS
from jitui.identity.access import Permission
from jitui.identity.audit import AuditAction, AuditEvent

EVENTS_PER_PAGE = 50
LONGEST_NAME = 200
PATH = "/operations/audit"
NO_DETAIL = "{}"


def _(message: str) -> str:
    return message


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """The filters of the log: a person or key, an action, and what it was about; `after` is a row's number."""

    actor: str = ""
    action: AuditAction | None = None
    subject: str = ""
    after: int | None = None

    def link(self, path: str = PATH, **changed: object) -> str:
        """The link to the log with some filters changed; then it begins with the newest row."""
        return list_link(path, self, changed)


@get("/audit", opt=needs(Permission.AUDIT_READ))
async def audit(visit: Visiting, request: ConsoleRequest) -> Page:
    """Who did what."""
    query = read_query(request.query_params)
    found = await _events(visit, query, EVENTS_PER_PAGE + 1)
    shown = found[:EVENTS_PER_PAGE]
    return show(
        visit,
        "operations/audit.html",
        query=query,
        events=shown,
        next_page=shown[-1].number if len(found) > len(shown) else "",
        actions=tuple(AuditAction),
        action_words=ACTION_WORDS,
        no_detail=NO_DETAIL,
    )


@get("/audit.csv", opt=needs(Permission.AUDIT_READ))
async def audit_csv(visit: Visiting, request: ConsoleRequest) -> Stream:
    """The whole filtered log, with the hashes by which `jitui audit verify` checks it."""
    query = replace(read_query(request.query_params), after=None)
    return csv_file("audit.csv", _headings(visit.speech), _batches(visit, query))


def read_query(params: Mapping[str, str]) -> AuditQuery:
    """The filters in a link; empty fields are not set. Raises ValidationException for an unknown filter."""
    actor, subject = (params.get(name, "").strip() for name in ("actor", "subject"))
    after = params.get("after", "")
    if not (actor + subject).isprintable() or max(len(actor), len(subject)) > LONGEST_NAME:
        raise ValidationException
    if after and not (after.isascii() and after.isdigit() and len(after) <= 18):
        raise ValidationException
    try:
        action = AuditAction(params["action"]) if params.get("action") else None
    except ValueError as error:
        raise ValidationException from error
    return AuditQuery(actor, action, subject, int(after) if after else None)


async def _events(visit: Visit, query: AuditQuery, limit: int) -> Sequence[AuditEvent]:
    return await visit.service.audit_log.events(
        actor=query.actor or None,
        action=query.action,
        subject=query.subject or None,
        before=query.after,
        limit=limit,
    )


async def _batches(visit: Visit, query: AuditQuery) -> AsyncIterator[Iterable[CsvRow]]:
    while batch := await _events(visit, query, BATCH):
        yield [_csv_row(visit.speech, event) for event in batch]
        query = replace(query, after=batch[-1].number)


def _headings(speech: Speech) -> CsvRow:
    names = (
        _("Row"),
        _("When"),
        _("Who"),
        _("Action"),
        _("Subject"),
        _("Details"),
        _("Hash"),
        _("Redacted by row"),
    )
    return [speech.say(name) for name in names]


def _csv_row(speech: Speech, event: AuditEvent) -> CsvRow:
    return (
        str(event.number),
        event.at.astimezone(speech.zone).isoformat(),
        event.actor,
        event.action,
        event.subject,
        "" if event.detail == NO_DETAIL else event.detail,
        event.hash.hex(),
        "" if event.redacted_in is None else str(event.redacted_in),
    )
