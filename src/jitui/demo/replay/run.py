"""Runs a replay, from the open history to the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time

from jitui.aftersales.changes import BuyerEventKind
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.deciding import Deciding
from jitui.aftersales.governance.policies import Policies, install
from jitui.aftersales.governance.publishing import Blocked, BlockerCode, Candidate, publish_alone
from jitui.aftersales.governance.registry import Category, Shop
from jitui.aftersales.ports import HistoryRecord, OrderFilter
from jitui.backtest.history import History, PastEvent, SetAside, Span, Unmatched
from jitui.bootstrap import Service, open_service
from jitui.demo.replay.assumptions import ReplayAssumptions, as_attributes, refuse_others
from jitui.demo.replay.books import open_books_of
from jitui.demo.replay.check import check_books
from jitui.demo.replay.driver import Progress, Replay, drive
from jitui.demo.replay.environment import ReplayEnvironment
from jitui.demo.replay.left_out import LeftOutRows
from jitui.demo.replay.report import ReplayReport, make_report
from jitui.errors import BadInput
from jitui.policy import Policy

CATEGORIES = {
    "goods": "Giftware",
    "postage": "Postage and carriage",
    "manual": "Entered by hand",
    "fee": "Fees, discounts, samples",
    "gift-voucher": "Gift vouchers",
}
"""The flags of the categories: no item in the file is customised, and only vouchers are virtual."""

FED = (*(kind.value for kind in BuyerEventKind), "shipped")
"""The kinds of events that a replay records from its first day on; every other kind stays unknown (I5)."""

BUYERS_AT_ONCE = 6
"""More connections do not find a free core, and each has to plan its own statements."""

_PAGE = 1_000


async def replay_history(
    environment: ReplayEnvironment,
    history: History,
    policy: Policy,
    assumptions: ReplayAssumptions,
    *,
    watch: Callable[[Progress], None] = lambda _: None,
    on_unmatched: Callable[[Unmatched], None] = lambda _: None,
    keep_first: int = 20,
) -> ReplayReport:
    """Replay a history through the service; repeating it changes nothing and reports the same.

    Raises BadInput when the database holds other orders, or a replay with other assumptions.
    """
    span = Span(assumptions.since, assumptions.until)
    counts = history.count(span)
    if counts.first_day is None:
        raise BadInput("There is no row with a readable date in these days.")
    since = _midnight(history, span.since or counts.first_day)
    settings = replace(
        environment.settings, time_zone=history.time_zone, pool_size=min(environment.settings.pool_size, BUYERS_AT_ONCE)
    )
    left_out = LeftOutRows(keep_first, on_unmatched)
    async with (
        open_books_of(environment.simulator) as books,
        open_service(settings, environment.database_url, clock=lambda: since) as service,
    ):
        was_here = await _prepare(service, history, assumptions, since)
        await _publish(service.policies, policy, since)
        run = Replay(
            service=service,
            books=books,
            decision_settings=DecisionSettings(Deciding(policy), history.time_zone, frozenset(service.providers)),
            history=history,
            assumptions=assumptions,
            completed=await _completed_orders(service, history.shop_id),
            repeating=was_here,
            progress=Progress(),
        )
        await drive(run, _sifted(history.events(span), left_out), watch=watch)
        return await make_report(run, left_out, counts, await check_books(environment))


async def _publish(policies: Policies, policy: Policy, now: datetime) -> None:
    """The replay's policy in force, in a database of its own, where one person publishes. Raises BadInput."""
    if await install(policies, policy, by="replay", now=now):
        return
    done = await publish_alone(policies, Candidate(policy.text, policy.name), by="replay", now=now)
    if isinstance(done, Blocked) and [one.code for one in done.blockers] != [BlockerCode.ALREADY_LIVE]:
        raise BadInput("; ".join(str(one) for one in done.blockers))


async def _prepare(service: Service, history: History, assumptions: ReplayAssumptions, since: datetime) -> bool:
    """Store the shop with the assumptions, the categories and the start of the history. True after an earlier run."""
    shop = await service.registry.get_shop(history.shop_id)
    if shop is not None:
        refuse_others(assumptions, shop.attributes)
    elif await service.queries.orders(OrderFilter(limit=1)):
        raise BadInput("This database holds other orders; a replay needs a database of its own.")
    name = f"Replay of {history.format_name}"
    await service.registry.put_shop(Shop(history.shop_id, name, as_attributes(assumptions)), since)
    for category_id, title in CATEGORIES.items():
        category = Category(category_id, title, customised=False, virtual=category_id == "gift-voucher")
        await service.registry.put_category(category, since)
    await service.registry.record_history([HistoryRecord(kind, since) for kind in FED])
    return shop is not None


async def _completed_orders(service: Service, shop_id: str) -> frozenset[str]:
    """Orders that an earlier run has completed; only their requests are replayed, to read the stored results."""
    completed: set[str] = set()
    after: tuple[datetime, str] | None = None
    while page := await service.queries.orders(OrderFilter(shop_id=shop_id, after=after, limit=_PAGE)):
        completed.update(order.order_id for order in page if order.completed_at is not None)
        after = (page[-1].placed_at, page[-1].order_id)
    return frozenset(completed)


def _sifted(events: Iterator[PastEvent], left_out: LeftOutRows) -> Iterator[PastEvent]:
    """The orders and requests; everything else is counted in `left_out`."""
    for event in events:
        match event:
            case SetAside():
                left_out.add_row(event)
            case Unmatched():
                left_out.add_unmatched(event)
            case _:
                yield event


def _midnight(history: History, day: date) -> datetime:
    return datetime.combine(day, time.min, history.time_zone).astimezone(UTC)
