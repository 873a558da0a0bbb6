"""A provider's statement from a file: compared as `jitui reconcile` does, and its result as a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from tempfile import TemporaryDirectory

from litestar import post
from litestar.datastructures import UploadFile

from jitui.aftersales.reconciliation.match import DIFFERENCES, MovementVerdict
from jitui.aftersales.reconciliation.reconcile import ReconciliationReport
from jitui.bootstrap_providers import statement_formats
from jitui.bootstrap_reconciling import reconcile_file, statement_format
from jitui.entrypoints.console.operations.reconciliation import side_of
from jitui.entrypoints.console.page.access import needs
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, show
from jitui.errors import BadInput
from jitui.identity.access import Permission

LARGEST_FILE_BYTES = 5_000_000
_ROOM_FOR_THE_FORM_BYTES = 10_000


_ORDER = {verdict: place for place, verdict in enumerate(MovementVerdict)}
"""What agrees comes first, as the verdicts are written down."""


def _(message: str) -> str:
    return message


DAYS_NEEDED = _("Please enter both the first and the last day that the file covers, or leave both empty.")
NO_STATEMENT = _("The file cannot be read as a statement of this provider. Nothing was compared, and no task opened.")


@dataclass(frozen=True, slots=True)
class Wish:
    """What was chosen beside the file: whose statement it is, and the first and last day that it covers, if told."""

    provider: str = ""
    since: str = ""
    until: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether no day is given, or two of which the second is not before the first."""
        if not self.since and not self.until:
            return True
        try:
            first, last = date.fromisoformat(self.since), date.fromisoformat(self.until)
        except ValueError:
            return False
        return 1970 <= first.year <= last.year < 2200 and first <= last

    def covers_in(self, zone: tzinfo) -> tuple[datetime | None, datetime | None]:
        """From the beginning of the first day to the end of the last one, in the zone of the provider's days."""
        if not self.since:
            return None, None
        first, last = (datetime.fromisoformat(day).replace(tzinfo=zone) for day in (self.since, self.until))
        return first, last + timedelta(days=1)


@post(
    "/reconciliation/statement",
    opt=needs(Permission.TASKS_WRITE),
    status_code=200,
    request_max_body_size=LARGEST_FILE_BYTES + _ROOM_FOR_THE_FORM_BYTES,
)
async def compare_statement(visit: Visiting, request: ConsoleRequest) -> Page:
    """Compare a file with the ledger: a task for each difference, and refunds that were not known to be paid."""
    form = await request.form()
    sent, wish = form.get("file"), Wish(*(str(form.get(name, "")).strip() for name in ("provider", "since", "until")))
    content = await sent.read() if isinstance(sent, UploadFile) else b""
    name = sent.filename if isinstance(sent, UploadFile) else ""
    if not content:
        return _refused(visit, wish, _("The file is empty.") if name else _("Please choose a file."))
    if not wish.is_possible:
        return _refused(visit, wish, DAYS_NEEDED)
    try:
        report = await _compared(visit, wish, name, content)
    except BadInput as error:
        return _refused(visit, wish, NO_STATEMENT, visit.speech.tell(error.said))
    return _page(visit, wish, report=report)


async def _compared(visit: Visit, wish: Wish, name: str, content: bytes) -> ReconciliationReport:
    with TemporaryDirectory() as folder:
        file = Path(folder) / _file_name(name)
        file.write_bytes(content)
        zone = statement_format(wish.provider).whole_days_in or UTC
        return await reconcile_file(visit.service, wish.provider, file, *wish.covers_in(zone))


def _file_name(name: str) -> str:
    """The file's own name, which a refusal repeats, where it can be the name of a file here."""
    last = name.replace("\\", "/").rpartition("/")[2]
    usable = last.isprintable() and last not in ("", ".", "..") and len(last) <= 60
    return last if usable else "statement"


def _refused(visit: Visit, wish: Wish, refusal: str, detail: str = "") -> Page:
    return _page(visit, wish, refusal=refusal, detail=detail, status_code=422)


def _page(
    visit: Visit,
    wish: Wish,
    *,
    report: ReconciliationReport | None = None,
    refusal: str = "",
    detail: str = "",
    status_code: int = 200,
) -> Page:
    first = () if report is None else report.first
    return show(
        visit,
        "operations/statement.html",
        status_code=status_code,
        report=report,
        counts=() if report is None else sorted(report.counts.items(), key=lambda one: (one[0][0], _ORDER[one[0][1]])),
        first=[
            (one.task, side_of(one.task, "ours"), side_of(one.task, "theirs"), visit.speech.tell(one.said))
            for one in first
        ],
        differences=tuple(DIFFERENCES),
        grouped=next((one.task.evidence["count"] for one in first if "count" in one.task.evidence), 0),
        formats=tuple(statement_formats()),
        wish=wish,
        refusal=refusal,
        detail=detail,
    )


HANDLERS = (compare_statement,)
