"""What comes after an erasure: messages with the old id, a fresh start, decisions that are verified, a restore."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import put_order
from jitui.aftersales.governance.erasure import (
    ErasedAgain,
    ErasureList,
    ErasureMark,
    erase_again,
    list_as_text,
    read_list,
)
from jitui.aftersales.model.order import Buyer, OrderLine
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import NewOrder
from jitui.errors import BadInput
from jitui.ids import lane_of
from tests.aftersales.market import NOW, Market, ticket_of
from tests.erasure.life import (
    BUYER,
    BY,
    KEEP_UNTIL,
    LATER,
    PLANTED,
    a_life,
    erase,
    erased,
    everywhere,
    personal_data,
    rows,
)

LINES = (OrderLine("l1", "sku-1", "item-1", 1, 12900, "apparel", customised=False, virtual=False),)
AGAIN = LATER + timedelta(days=1)


def told(event_id: str, *, days: int = 0, order_id: str | None = None) -> RecordBuyerEvent:
    return RecordBuyerEvent(BUYER, event_id, "order_completed", AGAIN + timedelta(days=days), AGAIN, order_id, 100)


# The old id ----------------------------------------------------------------------------------------------------------


async def test_an_order_of_the_erased_buyer_is_not_put_again_under_the_old_id(
    market: Market, database_url: str
) -> None:
    await market.premium_buyer(BUYER)
    await market.paid_order(BUYER, "o-1")
    await erased(market)
    refused = await put_order(market.store, NewOrder("o-1", BUYER, "shop-1", "CNY", NOW, LINES), now=AGAIN)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.BUYER_ERASED
    strangers = await put_order(market.store, NewOrder("o-1", "somebody", "shop-1", "CNY", NOW, LINES), now=AGAIN)
    assert isinstance(strangers, Refusal) and strangers.code is RefusalCode.BUYER_ERASED
    asked = await market.ask(BUYER, "o-1", now=AGAIN)
    assert isinstance(asked, Refusal) and asked.code is RefusalCode.NOT_FOUND
    assert everywhere(database_url, BUYER) == []


async def test_what_names_the_order_alone_goes_on(market: Market, database_url: str) -> None:
    """A carrier's scan, after which the texts it brings go with another erasure, of the id that stands there now."""
    await market.premium_buyer(BUYER)
    ref = await market.paid_order(BUYER, "o-1")
    await erased(market)
    assert isinstance(await market.ship(ref, tracking_no=f"SF-{PLANTED}", now=AGAIN), Executed)
    ((standing,),) = rows(database_url, "SELECT buyer_id FROM orders")
    assert everywhere(database_url, PLANTED)
    await erase(market, standing, now=AGAIN + timedelta(days=31))
    assert everywhere(database_url, PLANTED, standing) == []


async def test_events_about_what_was_erased_are_left_out_and_name_nobody(market: Market, database_url: str) -> None:
    await market.premium_buyer(BUYER)
    await market.paid_order(BUYER, "o-1")
    await erased(market)
    events = [told("old", days=-300), told("order", days=1, order_id="o-1")]
    assert [one.erased for one in await market.registry.refused_events(events)] == [True, True]
    assert await market.registry.record_buyer_events(events) == 0
    assert everywhere(database_url, BUYER) == []


async def test_a_fresh_start_has_a_history_from_then_on(market: Market, database_url: str) -> None:
    await market.premium_buyer(BUYER)
    await erased(market)
    await market.registry.put_buyer(Buyer(lane_of(BUYER), BUYER, NOW - timedelta(days=900)), AGAIN)
    assert rows(database_url, "SELECT history_from FROM buyer WHERE buyer_id = %s", BUYER) == [(AGAIN,)]
    assert await market.registry.record_buyer_events([told("before", days=-1), told("after", days=1)]) == 1
    assert rows(database_url, "SELECT history_from FROM buyer WHERE buyer_id = %s", BUYER) == [(AGAIN,)]
    await market.registry.put_buyer(Buyer(lane_of(BUYER), BUYER, NOW), AGAIN + timedelta(days=5))
    assert rows(database_url, "SELECT history_from FROM buyer WHERE buyer_id = %s", BUYER) == [(AGAIN,)], "not later"


async def test_a_fresh_start_by_an_order_alone_has_none_either(market: Market, database_url: str) -> None:
    await market.premium_buyer(BUYER)
    await erased(market)
    await market.paid_order(BUYER, "o-2", now=AGAIN)
    assert rows(database_url, "SELECT history_from FROM buyer WHERE buyer_id = %s", BUYER) == [(AGAIN,)]


async def test_a_fresh_start_is_never_approved_at_once_by_what_was_erased(market: Market, database_url: str) -> None:
    """The platform sends everything again that made the buyer premium; none of it is known here."""
    await market.premium_buyer(BUYER)
    await market.feed.roll_up(NOW)
    await market.paid_order(BUYER, "o-1")
    assert (await market.asked(BUYER, "o-1")).approved_by == "instant_refund"
    other = "somebody-else"
    await market.premium_buyer(other)
    for buyer in (BUYER, other):
        await _come_back(market, buyer, erase_first=buyer == other)
    states = dict(rows(database_url, "SELECT order_id, state FROM ticket WHERE order_id LIKE 'again%%'"))
    assert states == {f"again-{BUYER}": "refunding", f"again-{other}": "awaiting_merchant"}
    ((facts,),) = rows(
        database_url,
        "SELECT facts FROM decision d JOIN ticket t USING (lane, ticket_id) WHERE t.order_id = %s",
        f"again-{other}",
    )
    assert {name for name in facts if name.startswith("buyer.")} == {"buyer.selected", "buyer.account_age_days"}
    assert "caps.buyer_ok" not in facts


async def _come_back(market: Market, buyer: str, *, erase_first: bool) -> None:
    if erase_first:
        await erased(market, buyer)
    later = LATER + timedelta(hours=1)
    await market.premium_buyer(buyer, later)
    await market.feed.roll_up(later)
    await market.paid_order(buyer, f"again-{buyer}", now=later)
    await market.asked(buyer, f"again-{buyer}", now=later)


async def test_nothing_is_approved_at_once_under_the_id_that_stands_in_the_buyers_place(
    market: Market, database_url: str
) -> None:
    await market.premium_buyer(BUYER)
    await market.paid_order(BUYER, "o-1")
    await erased(market)
    ((standing,),) = rows(database_url, "SELECT buyer_id FROM orders")
    await market.feed.roll_up(LATER)
    ticket = ticket_of(await market.ask(standing, "o-1", now=LATER))
    assert ticket.state is TicketState.AWAITING_MERCHANT
    assert rows(database_url, "SELECT count(*) FROM buyer_event") == [(0,)], "nothing of it makes a new history"


# A restore -----------------------------------------------------------------------------------------------------------


async def test_after_a_restore_the_list_erases_again(market: Market, database_url: str) -> None:
    data = personal_data(market)
    await a_life(market)
    await market.premium_buyer("stays")
    await erased(market)
    text = list_as_text(ErasureList(await data.fingerprint(), tuple(await data.marks())))
    assert BUYER not in text
    async with market.pool.connection() as connection:  # as a backup from before would stand
        await connection.execute("DELETE FROM erased_buyer")
    await market.registry.put_buyer(Buyer(lane_of(BUYER), BUYER, NOW, f"at {PLANTED}"), NOW)
    done = await erase_again(data, read_list(text, "list"), by=BY, now=AGAIN)
    assert done == ErasedAgain(1, {})
    assert everywhere(database_url, BUYER, PLANTED) == []
    assert await market.registry.get_buyer("stays") is not None
    assert await data.marks() == list(read_list(text, "list").marks)
    assert await erase_again(data, read_list(text, "list"), by=BY, now=AGAIN) == ErasedAgain(0, {})


async def test_a_list_says_what_it_could_not_do_yet_and_keeps_to_its_own_installation(market: Market) -> None:
    data = personal_data(market)
    await market.premium_buyer(BUYER)
    await erased(market)
    listed = ErasureList(await data.fingerprint(), tuple(await data.marks()))
    await market.premium_buyer(BUYER, LATER)
    await market.paid_order(BUYER, "o-1", now=LATER)
    done = await erase_again(data, listed, by=BY, now=LATER)
    assert (done.erased, [one.kind for one in done.pending[BUYER].pending]) == (0, ["order"])
    with pytest.raises(BadInput, match="another installation"):
        await erase_again(data, replace(listed, fingerprint="0" * 16), by=BY, now=LATER)
    over = replace(listed, marks=tuple(replace(mark, keep_until=LATER.date()) for mark in listed.marks))
    assert await erase_again(data, over, by=BY, now=LATER) == ErasedAgain(0, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no list of erasures"),
        ("something else\n", "no list of erasures"),
        ("jitui erasures f\n1 abc 2027-12-01\n", "line 2"),
        (f"jitui erasures f\n256 {'0' * 64} 2027-12-01\n", "line 2"),
        (f"jitui erasures f\n1 {'0' * 64} 2027-12-02\n", "line 2"),
        (f"jitui erasures f\n1 {'0' * 64} 2027-13-01\n", "is no day"),
    ],
    ids=["empty", "another-file", "short-digest", "lane-too-high", "day", "month"],
)
def test_what_is_no_list_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        read_list(text, "FILE")


def test_a_list_comes_back_as_it_was_written() -> None:
    listed = ErasureList("f" * 16, (ErasureMark(7, b"d" * 32, KEEP_UNTIL), ErasureMark(255, b"e" * 32, KEEP_UNTIL)))
    assert set(read_list(list_as_text(listed), "FILE").marks) == set(listed.marks)
