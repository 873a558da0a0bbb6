"""The ledger of an order."""

from __future__ import annotations

from datetime import datetime

from litestar.params import FromPath

from jitui.aftersales.changes import LedgerEntry
from jitui.aftersales.ledger import FLOWS, Cause, balances, cause_of
from jitui.aftersales.model.view import Amount
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Shown, id_of_address
from jitui.identity.access import Permission


class PostingAnswer(Shown, frozen=True, kw_only=True):
    """An amount moved from `credit` to `debit`."""

    posted_at: datetime
    cause: Cause
    meaning: str
    debit: str
    credit: str
    amount: Amount
    posting: str


class BalanceAnswer(Shown, frozen=True, kw_only=True):
    """An account's debits less its credits."""

    account: str
    balance_minor: int
    currency: str


class LedgerAnswer(Shown, frozen=True, kw_only=True):
    """The postings of an order, and the balances, which sum to zero per currency."""

    order_id: str
    postings: tuple[PostingAnswer, ...]
    balances: tuple[BalanceAnswer, ...]


@get(
    "/v1/orders/{order_id:str}/ledger",
    tags=["Books"],
    summary="Read an order's ledger",
    description="Double entry: each posting moves a positive amount from `credit` to `debit`.",
    opt=operation({200: LedgerAnswer}, Permission.LEDGER_READ),
)
async def get_ledger(request: RequestContext, order_id: FromPath[str]) -> Reply:
    """Return the ledger of an order."""
    order_id = id_of_address("order_id", order_id)
    ref = await request.service.store.find_order(order_id)
    if ref is None:
        return not_found()
    entries = await request.service.queries.ledger(ref)
    sums = tuple(
        BalanceAnswer(account=account, balance_minor=minor, currency=currency)
        for (account, currency), minor in balances(entries).items()
    )
    return answer(LedgerAnswer(order_id=order_id, postings=tuple(map(_posting, entries)), balances=sums))


def _posting(entry: LedgerEntry) -> PostingAnswer:
    cause = cause_of(entry)
    return shown(PostingAnswer, entry, cause=cause, meaning=FLOWS[cause].meaning)


HANDLERS = (get_ledger,)

EXAMPLES = (
    LedgerAnswer(
        order_id="o-1001",
        postings=(
            PostingAnswer(
                posted_at=sample.PAID_AT,
                cause=Cause.CAPTURED,
                meaning=FLOWS[Cause.CAPTURED].meaning,
                debit="provider_clearing:simulator",
                credit="escrow",
                amount=sample.FULL,
                posting="captured:t1",
            ),
        ),
        balances=(
            BalanceAnswer(account="escrow", balance_minor=-12900, currency="CNY"),
            BalanceAnswer(account="provider_clearing:simulator", balance_minor=12900, currency="CNY"),
        ),
    ),
)
