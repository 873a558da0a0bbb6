"""The books for finance: the journal by days, closed periods, and what a shop is told of its money."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.accounting.journal import Days, JournalLine, journal_lines
from jitui.aftersales.accounting.periods import BookFault, FaultIn
from jitui.aftersales.accounting.shop_statement import CurrencyStatement, shop_statement
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.entrypoints.http.fields import may_name
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation, post
from jitui.entrypoints.http.problems import not_found, refuse
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.identity.access import Permission

MOST_DAYS = 92
Day = Annotated[date, Meta(description="A day of the platform's time zone.")]


class DaysQuery(Sent, frozen=True, kw_only=True):
    """Whole days of the platform's time zone, both included."""

    first_day: Day
    last_day: Day


class PeriodSent(Sent, frozen=True, kw_only=True):
    """The last day of the period that is closed."""

    last_day: Day


class JournalLineAnswer(Shown, frozen=True, kw_only=True):
    """A day of an account in a currency, by the day of booking; a balance is debits less credits."""

    day: date
    account: str
    currency: str
    opening_minor: int
    debit_minor: int
    credit_minor: int
    closing_minor: int
    entries: int


class JournalAnswer(Shown, frozen=True, kw_only=True):
    """The journal of some days; accounts without an entry on a day have no line for it."""

    first_day: date
    last_day: date
    time_zone: str
    lines: tuple[JournalLineAnswer, ...]


class PeriodBalanceAnswer(Shown, frozen=True, kw_only=True):
    """An account over a closed period, with the SHA-256 of its entries."""

    account: str
    currency: str
    opening_minor: int
    debit_minor: int
    credit_minor: int
    closing_minor: int
    entries: int
    hash: str


class PeriodAnswer(Shown, frozen=True, kw_only=True):
    """A closed period; its hash is over its balances and the hash of the period before."""

    period: int
    from_at: datetime | None
    until_at: datetime
    last_day: date
    time_zone: str
    closed_by: str
    closed_at: datetime
    entries: int
    hash: str
    balances: tuple[PeriodBalanceAnswer, ...]


class PeriodPage(Shown, frozen=True, kw_only=True):
    """All closed periods, oldest first."""

    periods: tuple[PeriodAnswer, ...]


class BookFaultAnswer(Shown, frozen=True, kw_only=True):
    """A closed period of which the ledger says something else now."""

    period: int
    what: FaultIn
    account: str
    currency: str
    sentence: str


class VerificationAnswer(Shown, frozen=True, kw_only=True):
    """Whether the ledger still says of every closed period what it said when it was closed."""

    unchanged: bool
    faults: tuple[BookFaultAnswer, ...]


class StatementAccountAnswer(Shown, frozen=True, kw_only=True):
    """An account over the shop's orders."""

    account: str
    opening_minor: int
    debit_minor: int
    credit_minor: int
    closing_minor: int


class IncidentFiguresAnswer(Shown, frozen=True, kw_only=True):
    """What became of incidents within the days, corrections taken off."""

    returned_minor: int
    repaid_minor: int
    borne_by_platform_minor: int
    charged_minor: int


class ReceivableFiguresAnswer(Shown, frozen=True, kw_only=True):
    """What the shop owes for incidents."""

    opening_minor: int
    charged_minor: int
    recovered_minor: int
    written_off_minor: int
    moved_to_owed_back_minor: int
    closing_minor: int
    owed_back_minor: int


class CurrencyStatementAnswer(Shown, frozen=True, kw_only=True):
    """A shop's statement in one currency."""

    currency: str
    refunds_minor: Mapping[str, int]
    fees_minor: int
    incidents: IncidentFiguresAnswer
    receivable: ReceivableFiguresAnswer
    accounts: tuple[StatementAccountAnswer, ...]


class StatementAnswer(Shown, frozen=True, kw_only=True):
    """What a shop is told of its money over some days, by the day of booking."""

    shop_id: str
    first_day: date
    last_day: date
    time_zone: str
    currencies: tuple[CurrencyStatementAnswer, ...]


_TAG = ["Books"]


@get(
    "/v1/finance/journal",
    tags=_TAG,
    summary="Read the journal",
    description=f"By day of booking, account and currency, in the platform's time zone; at most {MOST_DAYS} days. "
    "`jitui finance journal` writes any number of them.",
    opt=operation({200: JournalAnswer}, Permission.FINANCE_READ, query=DaysQuery),
)
async def get_journal(request: RequestContext) -> Reply:
    """Return the journal of some days."""
    days = _days(request)
    async with request.service.books.journal(days) as reading:
        lines = tuple([shown(JournalLineAnswer, line) async for line in journal_lines(reading)])
    return answer(JournalAnswer(first_day=days.first, last_day=days.last, time_zone=days.time_zone.key, lines=lines))


@get(
    "/v1/finance/periods",
    tags=_TAG,
    summary="List closed periods",
    description="Oldest first, with the balances and hashes that were recorded when they were closed.",
    opt=operation({200: PeriodPage}, Permission.FINANCE_READ),
)
async def list_periods(request: RequestContext) -> Reply:
    """Return the closed periods."""
    found = await request.service.books.periods()
    return answer(PeriodPage(periods=tuple(shown(PeriodAnswer, one) for one in found)))


@post(
    "/v1/finance/periods",
    tags=_TAG,
    summary="Close a period",
    description="Closes the books from the end of the last period up to the end of a day that is over. No entry is "
    "booked in it afterwards: a correction is an entry of its own in the open period. Idempotent by nature: the same "
    "day again gives the period that was closed.",
    opt=operation(
        {200: PeriodAnswer},
        Permission.FINANCE_CLOSE,
        body=PeriodSent,
        refusals=(RefusalCode.PERIOD_NOT_OVER, RefusalCode.PERIOD_CLOSED, RefusalCode.LEDGER_BUSY),
    ),
)
async def close_period(request: RequestContext) -> Reply:
    """Close the books up to the end of a day."""
    sent, service = await read_body(request, PeriodSent), request.service
    done = await service.books.close(
        sent.last_day, service.settings.time_zone, by=request.actor.id, now=service.clock()
    )
    return done if isinstance(done, Refusal) else answer(shown(PeriodAnswer, done))


@get(
    "/v1/finance/verification",
    tags=_TAG,
    summary="Verify closed periods",
    description="Reads every entry of every closed period again, and compares sums and hashes.",
    opt=operation({200: VerificationAnswer}, Permission.FINANCE_READ),
)
async def verify_periods(request: RequestContext) -> Reply:
    """Return what the ledger says otherwise now of closed periods."""
    found = await request.service.books.verify()
    return answer(VerificationAnswer(unchanged=not found, faults=tuple(shown(BookFaultAnswer, one) for one in found)))


@get(
    "/v1/shops/{shop_id:str}/statement",
    tags=_TAG,
    summary="Read a shop's statement",
    description=f"Refunds by who paid them, incidents, what the shop owes, and the accounts of its orders; at most "
    f"{MOST_DAYS} days.",
    opt=operation({200: StatementAnswer}, Permission.STATEMENTS_READ, query=DaysQuery),
)
async def get_shop_statement(request: RequestContext, shop_id: FromPath[str]) -> Reply:
    """Return what a shop is told of its money."""
    days = _days(request)
    if not request.may_see(shop_id=shop_id) or not may_name(shop_id):
        return not_found()
    found = shop_statement(await request.service.books.of_shop(shop_id, days))
    return answer(
        StatementAnswer(
            shop_id=shop_id,
            first_day=days.first,
            last_day=days.last,
            time_zone=days.time_zone.key,
            currencies=tuple(_in_currency(one) for one in found),
        )
    )


def _days(request: RequestContext) -> Days:
    query = read_query(request, DaysQuery)
    if not 0 <= (query.last_day - query.first_day).days < MOST_DAYS:
        raise refuse("last_day", f"Expected a day from first_day on, of at most {MOST_DAYS} days.")
    if not 1970 <= query.first_day.year <= query.last_day.year < 9999:
        raise refuse("first_day", "Expected a day from 1970 on.")
    return Days(query.first_day, query.last_day, request.service.settings.time_zone)


def _in_currency(found: CurrencyStatement) -> CurrencyStatementAnswer:
    return shown(CurrencyStatementAnswer, found)


HANDLERS = (get_journal, list_periods, close_period, verify_periods, get_shop_statement)

_LINE = JournalLine(date(2026, 6, 1), "escrow", "CNY", 0, 0, 12900, -12900, 1)
_PERIOD = PeriodAnswer(
    period=1,
    from_at=None,
    until_at=sample.ASKED_AT,
    last_day=date(2026, 5, 31),
    time_zone="Asia/Shanghai",
    closed_by="finance",
    closed_at=sample.ASKED_AT,
    entries=1,
    hash="9f" * 32,
    balances=(
        PeriodBalanceAnswer(
            account="escrow",
            currency="CNY",
            opening_minor=0,
            debit_minor=0,
            credit_minor=12900,
            closing_minor=-12900,
            entries=1,
            hash="5d" * 32,
        ),
    ),
)
_STATEMENT = CurrencyStatementAnswer(
    currency="CNY",
    refunds_minor={"buyer": 12900},
    fees_minor=0,
    incidents=IncidentFiguresAnswer(returned_minor=0, repaid_minor=0, borne_by_platform_minor=0, charged_minor=12900),
    receivable=ReceivableFiguresAnswer(
        opening_minor=0,
        charged_minor=12900,
        recovered_minor=9000,
        written_off_minor=0,
        moved_to_owed_back_minor=0,
        closing_minor=3900,
        owed_back_minor=0,
    ),
    accounts=(
        StatementAccountAnswer(
            account="shop_receivable", opening_minor=0, debit_minor=12900, credit_minor=9000, closing_minor=3900
        ),
    ),
)
_FAULT = BookFault(1, FaultIn.HASH, "escrow", "CNY", "Period 1, escrow CNY: the same sums, and other entries.")
EXAMPLES = (
    PeriodSent(last_day=date(2026, 5, 31)),
    JournalAnswer(
        first_day=date(2026, 6, 1),
        last_day=date(2026, 6, 1),
        time_zone="Asia/Shanghai",
        lines=(shown(JournalLineAnswer, _LINE),),
    ),
    _PERIOD,
    PeriodPage(periods=(_PERIOD,)),
    VerificationAnswer(unchanged=False, faults=(shown(BookFaultAnswer, _FAULT),)),
    StatementAnswer(
        shop_id="s-1",
        first_day=date(2026, 6, 1),
        last_day=date(2026, 6, 30),
        time_zone="Asia/Shanghai",
        currencies=(_STATEMENT,),
    ),
)
