"""Providers without keys or look-ups, with late or missing reports; and when the buyer is told "refunded".

- T35 hyperswitch PR 13853: a failed void blocked the refund and was tried for ever. This service never authorises, so
  it voids nothing; what must hold here is that a refused attempt and its retry share one hold, and nothing repeats it.
- T36 csob/paymentgateway #705: a provider without keys and look-ups was asked again after a lost answer.
- T37 alphagov/pay-connector PR 5593: the correction of a late failure had no key of its own and was made twice.
- T38 mollie/api-documentation #722: a provider told of failures alone, and successful refunds stayed pending.
- T39 woocommerce-gateway-stripe #4405, fluent-cart #42: the buyer was told "refunded" when the refund was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.pay import NO_WAY_TO_ASK, NO_WAY_TO_REPEAT, pay_claimed
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.settle_refund import retry
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.ports import AttemptRef, OrderRef, RefundRef
from jitui.aftersales.provider import (
    BOTH,
    Capabilities,
    NotificationRefused,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)
from tests.aftersales.market import NOW, RULES, Market
from tests.known_bugs.steps import MERCHANT, SUCCEEDED, claim, heard, postings, refused, snapshot_of

PENDING = RefundResult(RefundResultKind.PENDING)
UNKNOWN = RefundResult(RefundResultKind.UNKNOWN, "no answer in time")
ABSENT = RefundResult(RefundResultKind.NOT_FOUND)
DECLINED = RefundResult(RefundResultKind.DECLINED, "account closed")


@dataclass
class Words:
    """A provider that says what a test lets it say, and counts what it was asked."""

    capabilities: Capabilities
    sent: list[RefundResult]
    found: list[RefundResult] = field(default_factory=list)
    name: str = "simulator"
    asked: list[str] = field(default_factory=list)

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        self.asked.append(f"send {instruction.attempt_id}")
        return self.sent.pop(0)

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        self.asked.append(f"look up {instruction.attempt_id}")
        return self.found.pop(0)

    def read_notification(self, headers: Mapping[str, str], body: bytes, now: datetime) -> NotificationRefused:
        return NotificationRefused("none")


def clock_at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


async def asked_for(market: Market) -> OrderRef:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000,))
    await market.asked(buyer, "o-1")
    return ref


async def work(market: Market, provider: Words, now: datetime) -> int:
    """What a worker does with all that is due at a moment."""
    claimed = await claim(market, now)
    for one in claimed:
        await pay_claimed(market.store, {"simulator": provider}, one, clock=lambda: now)
    return len(claimed)


async def test_t35_a_refused_attempt_and_its_retry_share_one_hold_and_nothing_repeats_it(market: Market) -> None:
    ref = await asked_for(market)
    provider = Words(BOTH, [DECLINED, SUCCEEDED])
    assert await work(market, provider, NOW) == 1
    assert await work(market, provider, NOW + timedelta(days=30)) == 0, "nobody tries it again by himself"
    snapshot = await snapshot_of(market, ref)
    assert (snapshot.tenders[0].pending_minor, snapshot.tenders[0].remaining_minor) == (10000, 0)
    refund = RefundRef(ref.lane, snapshot.refunds[0].refund_id)
    assert isinstance(await retry(market.store, refund, RULES, by=MERCHANT, now=NOW), Executed)
    assert refused(await retry(market.store, refund, RULES, by=MERCHANT, now=NOW)) is RefusalCode.REFUND_NOT_FAILED
    assert (await snapshot_of(market, ref)).tenders[0].pending_minor == 10000
    await work(market, provider, NOW)
    (tender,) = (await snapshot_of(market, ref)).tenders
    assert (tender.pending_minor, tender.refunded_minor) == (0, 10000)
    assert len(set(provider.asked)) == 2, "the retry has a key of its own"


async def test_t36_without_keys_and_look_ups_a_lost_answer_waits_for_the_statement(market: Market) -> None:
    ref = await asked_for(market)
    provider = Words(Capabilities(keys=False, look_up=False), [UNKNOWN])
    for now in (NOW, NOW + timedelta(seconds=30), NOW + timedelta(seconds=90)):
        await work(market, provider, now)
    assert len(provider.asked) == 1
    snapshot = await snapshot_of(market, ref)
    assert (snapshot.refunds[0].state, snapshot.refunds[0].reason) == (RefundState.UNKNOWN, NO_WAY_TO_ASK)
    statement = RefundUpdate(
        RefundResult(RefundResultKind.SUCCEEDED, amount_minor=10000, currency="CNY"), provider="simulator"
    )
    await confirm(market.store, AttemptRef(ref.lane, snapshot.attempts[0].attempt_id), statement, now=NOW)
    assert (await snapshot_of(market, ref)).tickets[0].state is TicketState.REFUNDED


async def test_t36_with_look_ups_alone_what_is_not_found_is_not_sent_again(market: Market) -> None:
    ref = await asked_for(market)
    provider = Words(Capabilities(keys=False, look_up=True), [UNKNOWN], [UNKNOWN, ABSENT])
    for seconds in (0, 30, 90, 150):
        await work(market, provider, NOW + timedelta(seconds=seconds))
    assert [word.split()[0] for word in provider.asked] == ["send", "look", "look"]
    assert (await snapshot_of(market, ref)).refunds[0].reason == NO_WAY_TO_REPEAT


async def test_t36_with_keys_alone_the_same_key_is_sent_again(market: Market) -> None:
    ref = await asked_for(market)
    provider = Words(Capabilities(keys=True, look_up=False), [UNKNOWN, SUCCEEDED])
    for seconds in (0, 30):
        await work(market, provider, NOW + timedelta(seconds=seconds))
    assert len(provider.asked) == 2 and len(set(provider.asked)) == 1
    assert (await snapshot_of(market, ref)).tickets[0].state is TicketState.REFUNDED


async def test_t36_what_was_accepted_is_not_sent_again_whatever_a_provider_can_do(market: Market) -> None:
    """An accepted refund that its provider cannot find, or cannot be asked about, may still be paid."""
    ref = await asked_for(market)
    for provider in (
        Words(Capabilities(keys=True, look_up=False), [PENDING]),
        Words(BOTH, [], [ABSENT]),
        Words(Capabilities(keys=False, look_up=True), [], [ABSENT]),
    ):
        now = max(NOW, *(refund.due_at or NOW for refund in (await snapshot_of(market, ref)).refunds), NOW)
        for seconds in (0, 30) if provider.sent else (0,):
            await work(market, provider, now + timedelta(seconds=seconds))
        assert (provider.sent, provider.found) == ([], []), "asked for nothing else"
    snapshot = await snapshot_of(market, ref)
    assert (len(snapshot.attempts), snapshot.refunds[0].state) == (1, RefundState.PENDING)


async def test_t36_what_was_held_up_past_its_lease_is_left_to_the_next_claim(market: Market) -> None:
    await asked_for(market)
    (claimed,) = await claim(market)
    provider = Words(BOTH, [SUCCEEDED])
    assert claimed.refund.leased_until is not None
    for late, sent in ((timedelta(microseconds=1), 0), (timedelta(0), 1)):
        now = claimed.refund.leased_until + late
        await pay_claimed(market.store, {"simulator": provider}, claimed, clock=clock_at(now))
        assert len(provider.asked) == sent


async def test_t37_the_correction_of_a_late_failure_has_a_key_and_is_made_once(market: Market) -> None:
    ref = await asked_for(market)
    (claimed,) = await claim(market)
    await heard(market, claimed)
    for _ in range(3):
        await heard(market, claimed, DECLINED, looked_up=True)
    provider = Words(BOTH, [UNKNOWN, SUCCEEDED], [ABSENT])
    for seconds in (1, 31):
        await work(market, provider, NOW + timedelta(seconds=seconds))
    keys = {word.split()[-1] for word in provider.asked}
    assert len(keys) == 1 and str(claimed.attempt.attempt_id) not in keys
    assert await postings(market, "o-1") == ["captured", "granted", "paid", "paid", "unpaid"]
    (tender,) = (await snapshot_of(market, ref)).tenders
    assert (tender.pending_minor, tender.refunded_minor) == (0, 10000)


async def test_t38_success_comes_by_polling_where_only_failures_are_told(market: Market) -> None:
    ref = await asked_for(market)
    provider = Words(BOTH, [PENDING], [PENDING, SUCCEEDED])
    for seconds in (0, 30, 90):
        await work(market, provider, NOW + timedelta(seconds=seconds))
    assert [word.split()[0] for word in provider.asked] == ["send", "look", "look"]
    assert (await snapshot_of(market, ref)).tickets[0].state is TicketState.REFUNDED


async def test_t39_refunded_is_said_once_the_money_is_confirmed_and_not_before(market: Market) -> None:
    ref = await asked_for(market)
    provider = Words(BOTH, [PENDING], [SUCCEEDED])
    seen = []
    for seconds in (0, 30):
        await work(market, provider, NOW + timedelta(seconds=seconds))
        snapshot = await snapshot_of(market, ref)
        said = [event.kind for event in await market.feed.events(0, 100)].count("ticket.refunded")
        paid = [event.why for event in snapshot.timeline].count("paid")
        seen.append((snapshot.tickets[0].state, said, paid))
    assert seen == [(TicketState.REFUNDING, 0, 0), (TicketState.REFUNDED, 1, 1)]
