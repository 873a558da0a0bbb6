"""What a guard counts of a canary: its own arms' requests in their order, each once, and each with its own value."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from jitui.adapters.postgres.canary_guards import PostgresCanaryGuards
from jitui.aftersales.governance.canary_guard import REPEAT_WITHIN, Compared, GuardSeen
from jitui.aftersales.governance.guard import ArmSums, Evidence, GuardMetric, Observation
from tests.aftersales.market import DEFAULT_POLICY, NOW, Market
from tests.publishing import put
from tests.race.locks import wait_for_a_lock

MOMENT = timedelta(microseconds=1)
A_DAY = timedelta(days=1)
CANARY, LIVE, INSTANT = "the canary's text", "the live text", "instant_refund"
BEGAN, UNTIL = NOW - 9 * A_DAY, NOW - A_DAY
AT = BEGAN + A_DAY


async def execute(market: Market, sql: str, *values: object) -> None:
    async with market.pool.connection() as connection:
        await connection.execute(sql.encode(), values)


async def decided(
    market: Market, number: int, *, arm: str = "canary", at: datetime = AT, sha: str | None = None,
    by: str | None = INSTANT, currency: str = "CNY", buyer: str = "",
) -> None:  # fmt: skip
    """The request of this number; its amount is the number too."""
    buyer = buyer or f"b-{number}"
    sha = sha or (CANARY if arm == "canary" else LIVE)
    await execute(
        market,
        "INSERT INTO buyer (lane, buyer_id, updated_at) VALUES (1, %s, %s) ON CONFLICT DO NOTHING",
        buyer, at,
    )  # fmt: skip
    order = f"o-{number}"
    await execute(
        market,
        "INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, placed_at, paid_at)"
        " VALUES (1, %s, %s, 's', %s, 0, %s, %s)",
        order, buyer, currency, at, at,
    )  # fmt: skip
    await execute(
        market,
        "INSERT INTO ticket (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency,"
        " amount_minor, freight_minor, approved_by, arm, on_timeout, requested_at, approved_at) VALUES (1, %s, %s, %s,"
        " 's', 'refunding', 1, 'other', %s, %s, 0, %s, %s, 'approve', %s, %s)",
        UUID(int=number), order, buyer, currency, number, by, arm, at, at if by else None,
    )  # fmt: skip
    await execute(
        market,
        "INSERT INTO decision (lane, ticket_id, order_id, policy_id, policy_version, policy_sha256, outcome,"
        " decided_at, facts, decision) VALUES (1, %s, %s, 'p', '1', %s, 'instant', %s, '{}', '{}')",
        UUID(int=number), order, sha, at,
    )  # fmt: skip


@dataclass
class Guard:
    """Counts a metric of a publication, and keeps what it was shown."""

    market: Market
    publication: int
    metric: GuardMetric = GuardMetric.MONEY_OUT
    shown: list[tuple[bool, int]] = field(default_factory=list)

    async def advance(self, limit: int = 99) -> bool:
        """Whether there may be more."""
        compared = Compared(self.publication, self.metric, CANARY, LIVE, "CNY", BEGAN, UNTIL, timedelta(hours=2))
        guards = PostgresCanaryGuards(self.market.pool)
        _, more = await guards.advance(compared, Evidence(), self.fold, lambda _: True, limit=limit, now=NOW)
        return more

    def fold(self, before: Evidence, seen: Sequence[Observation]) -> Evidence:
        self.shown += [(one.is_canary, one.value) for one in seen]
        return Evidence(canary=ArmSums(len(self.shown), sum(value for _, value in self.shown)))


async def guard(market: Market, metric: GuardMetric = GuardMetric.MONEY_OUT) -> Guard:
    row = await put(market.policies, DEFAULT_POLICY, now=BEGAN)
    return Guard(market, row.publication, metric)


async def test_the_requests_of_both_arms_are_counted_once_each_in_their_order(market: Market) -> None:
    """Within its time; and beside them are requests that another text decided, or that no arm has."""
    counting = await guard(market)
    await decided(market, 6, at=UNTIL)
    await decided(market, 7, at=UNTIL + MOMENT)
    await decided(market, 5, at=AT, arm="live")
    await decided(market, 3, at=AT)
    await decided(market, 4, at=AT)
    await decided(market, 1, at=BEGAN - MOMENT)
    await decided(market, 2, at=BEGAN)
    await decided(market, 8, sha=LIVE)
    await decided(market, 9, arm="live", sha=CANARY)
    await decided(market, 10, arm="hold_out", sha=CANARY)
    await decided(market, 11, arm="hold_out", sha=LIVE)
    while await counting.advance(limit=1):
        pass
    assert counting.shown == [(True, 2), (True, 3), (True, 4), (False, 5), (True, 6)]
    at_once = await guard(market)
    assert not await at_once.advance()
    assert at_once.shown == counting.shown
    assert not await at_once.advance()
    assert at_once.shown == counting.shown


async def test_each_metric_of_each_canary_is_counted_and_shown_for_itself(market: Market) -> None:
    first, second = await guard(market), await guard(market)
    signal = Guard(market, first.publication, GuardMetric.SHARE_INSTANT)
    for number in (1, 2):
        await decided(market, number, at=AT + number * MOMENT)
    for one in (first, second, signal):
        await one.advance(limit=1)
    guards = PostgresCanaryGuards(market.pool)

    async def seen(one: Guard) -> Sequence[GuardSeen]:
        return await guards.seen(one.publication)

    before = [*await seen(first), *await seen(second)]
    metrics = [GuardMetric.MONEY_OUT, GuardMetric.SHARE_INSTANT, GuardMetric.MONEY_OUT]
    assert [(one.metric, one.counted_until) for one in before] == [(metric, AT + MOMENT) for metric in metrics]
    await first.advance(limit=1)
    (changed, *others) = [*await seen(first), *await seen(second)]
    assert (changed.counted_until, changed.evidence.canary) == (AT + 2 * MOMENT, ArmSums(2, 3))
    assert others == before[1:]
    assert (first.shown, second.shown, signal.shown) == ([(True, 1), (True, 2)], [(True, 1)], [(True, 1)])


async def test_whoever_comes_while_another_counts_goes_on_from_there(market: Market, database_url: str) -> None:
    one = await guard(market)
    await decided(market, 1, at=AT)
    await one.advance()
    await decided(market, 2, at=AT + MOMENT)
    async with market.pool.connection() as other:
        await other.execute("SELECT 1 FROM canary_guard FOR UPDATE")
        advancing = asyncio.create_task(one.advance())
        assert await wait_for_a_lock(database_url, advancing)
        await other.execute("UPDATE canary_guard SET requested_at = %s", (AT + MOMENT,))
        await other.execute("UPDATE canary_guard SET ticket_id = %s", (UUID(int=2),))
        await other.commit()
        await advancing
    assert one.shown == [(True, 1)]


async def happens(market: Market, metric: GuardMetric, number: int, at: datetime, *, otherwise: bool = False) -> None:
    """What the metric counts, of the request of this number; `otherwise`: something of another kind."""
    if metric is GuardMetric.INCIDENT_RATE:
        kind = "platform_advance" if otherwise else "goods_left_after_refund"
        await execute(
            market,
            "INSERT INTO incident (lane, incident_id, order_id, ticket_id, shop_id, kind, state, amount_minor,"
            " currency, evidence, opened_at, refund_id) VALUES (1, gen_random_uuid(), %s, %s, 's', %s, 'open', 1,"
            " 'CNY', '[]', %s, CASE WHEN %s THEN gen_random_uuid() END)",
            f"o-{number}", UUID(int=number), kind, at, otherwise,
        )  # fmt: skip
        return
    state = "refunded" if otherwise else "refund_failed"
    await execute(
        market,
        "INSERT INTO ticket_event (lane, ticket_id, seq, order_id, from_state, to_state, actor_kind, why, at)"
        " VALUES (1, %s, 1, %s, 'refunding', %s, 'worker', 'x', %s)",
        UUID(int=number), f"o-{number}", state, at,
    )  # fmt: skip


@pytest.mark.parametrize("metric", [GuardMetric.INCIDENT_RATE, GuardMetric.REFUND_FAILURES])
async def test_what_follows_a_request_counts_for_that_request_when_it_came_in_time(
    market: Market, metric: GuardMetric
) -> None:
    in_time = timedelta(hours=2)
    for number in range(1, 6):
        await decided(market, number, at=AT + number * A_DAY / 10, by="merchant" if number == 5 else INSTANT)
    for number, after, otherwise in (
        (1, in_time, False),
        (2, in_time + MOMENT, False),
        (3, in_time, True),
        (5, in_time, False),
    ):
        await happens(market, metric, number, AT + number * A_DAY / 10 + after, otherwise=otherwise)
    one = await guard(market, metric)
    await one.advance()
    assert one.shown == [(True, 1), (True, 0), (True, 0), (True, 0)], "what the merchant approved does not count"


async def test_money_and_shares_are_of_what_was_approved_at_once(market: Market) -> None:
    by_number = {1: (INSTANT, "CNY"), 2: ("merchant", "CNY"), 3: (None, "CNY"), 4: (INSTANT, "USD")}
    for number, (by, currency) in by_number.items():
        await decided(market, number, by=by, currency=currency)
    money = await guard(market)
    await money.advance()
    assert [value for _, value in money.shown] == [1, 0, 0, 0]
    share = Guard(market, money.publication, GuardMetric.SHARE_INSTANT)
    await share.advance()
    assert [value for _, value in share.shown] == [1, 0, 0, 1]


async def test_a_request_repeats_an_earlier_one_of_its_buyer_within_seven_days(market: Market) -> None:
    await decided(market, 1, buyer="a", at=AT - REPEAT_WITHIN, arm="none")
    await decided(market, 2, buyer="b", at=AT - REPEAT_WITHIN - MOMENT, arm="none")
    for number, buyer in ((3, "a"), (4, "b"), (5, "c"), (6, "c")):
        await decided(market, number, buyer=buyer)
    one = await guard(market, GuardMetric.REPEAT_REQUESTS)
    await one.advance()
    assert [value for _, value in one.shown] == [1, 0, 0, 1]
