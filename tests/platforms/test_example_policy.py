"""The example policy for a shop on a platform, on orders that were taken in from one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from jitui.aftersales.model.ticket import Ticket, TicketState
from jitui.aftersales.operations.platform_sync import take_order
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.platform import PlatformOrder
from jitui.aftersales.ports import TicketRef
from jitui.policy import Policy, decision_from_json
from tests.aftersales.market import DEFAULT_POLICY, NOW, Market, open_market
from tests.platforms.shop import ORDER, MemoryShop

TEXT = (Path(__file__).parents[2] / "policies" / "shop-on-a-platform.yaml").read_text(encoding="utf-8")
POLICY = Policy.from_text(TEXT.replace("currency: EUR", "currency: CNY"))
LIMIT_MINOR = 10_000


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    async with open_market(database_url) as opened:
        yield opened.deciding_by(POLICY)


def order(number: int, paid_minor: int = 2500) -> PlatformOrder:
    """An order of the shop's buyer without freight."""
    line = replace(ORDER.lines[0], paid_minor=paid_minor)
    paid = replace(ORDER.payments[0], payment_id=f"p{number}", amount_minor=paid_minor)
    return replace(ORDER, order_id=f"S-{number}", lines=(line,), freight_minor=0, payments=(paid,))


async def take(market: Market, found: PlatformOrder) -> None:
    deciding = replace(market.decision_settings, providers=frozenset({"memory"}))
    assert await take_order(market.store, deciding, "memory", "shop-1", found, now=NOW) == []


async def asked(market: Market, found: PlatformOrder, *, after: timedelta = timedelta(0)) -> Ticket:
    """The buyer asks for the whole order, once it was taken in."""
    await take(market, found)
    return await market.asked("shop-1", found.order_id, now=NOW + after)


async def stopped_by(market: Market, ticket: Ticket) -> list[str]:
    """Which conditions it misses, of a ticket that the shop decides on."""
    assert ticket.state is TicketState.AWAITING_MERCHANT
    found = await market.queries.decision(TicketRef(ticket.lane, ticket.ticket_id))
    assert found is not None
    return [one.id for one in decision_from_json(found.decision).conditions if one.verdict.value != "true"]


async def test_it_replaces_the_policy_that_an_installation_begins_with() -> None:
    assert POLICY.id == DEFAULT_POLICY.id
    assert POLICY.version != DEFAULT_POLICY.version


async def test_a_small_order_that_has_not_shipped_is_refunded_at_once(market: Market) -> None:
    assert (await asked(market, order(1, LIMIT_MINOR - 1))).state is TicketState.REFUNDING


async def test_a_large_one_goes_to_the_shop(market: Market) -> None:
    assert await stopped_by(market, await asked(market, order(1, LIMIT_MINOR))) == ["paid_under_limit"]


async def test_so_does_one_whose_amount_is_unknown_because_its_currency_is_another(market: Market) -> None:
    euros = Policy.from_text(TEXT)
    assert "paid_under_limit" in await stopped_by(market, await asked(market.deciding_by(euros), order(1)))


async def test_what_has_shipped_there_is_refused(market: Market) -> None:
    shop = MemoryShop()
    shop.ship()
    await take(market, shop.orders["S-1"])
    done = await market.ask("shop-1", "S-1")
    assert isinstance(done, Refusal)
    assert done.code is RefusalCode.ORDER_ALREADY_SHIPPED


async def test_what_has_shipped_there_in_part_goes_to_the_shop(market: Market) -> None:
    shop = MemoryShop()
    shop.ship(1)
    assert await stopped_by(market, await asked(market, shop.orders["S-1"])) == ["unshipped"]


async def test_so_does_the_fourth_order_of_a_buyer_within_thirty_days(market: Market) -> None:
    for number in (1, 2, 3):
        assert (await asked(market, order(number))).state is TicketState.REFUNDING
    assert await stopped_by(market, await asked(market, order(4))) == ["few_refunds"]


async def test_so_does_every_order_while_no_worker_counts(market: Market) -> None:
    assert await stopped_by(market, await asked(market, order(1), after=timedelta(hours=2))) == [
        "within_cap_of_the_shop"
    ]


async def test_the_policy_that_an_installation_begins_with_refunds_none_of_them(market: Market) -> None:
    missed = await stopped_by(market, await asked(market.deciding_by(DEFAULT_POLICY), order(1)))
    assert {"premium_buyer", "goods_supported"} <= set(missed)
