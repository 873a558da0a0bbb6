"""A provider's trouble is told once when it begins, with its reason, and once when it has ended; not for every call."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from jitui.aftersales.memory_store import MemoryProvider
from jitui.aftersales.operations.provider_health import ProvidersHealth, TroubleBegan, TroubleEnded, TroubleNews
from jitui.aftersales.provider import CallTrouble, RefundInstruction, RefundResult, RefundResultKind
from jitui.aftersales.queries import ProviderTroubleSeen
from tests.aftersales.market import NOW

WELL = RefundResult(RefundResultKind.SUCCEEDED)
LATE = RefundResult(RefundResultKind.UNKNOWN, "no answer in time", trouble=CallTrouble.TIMED_OUT)
AWAY = RefundResult(RefundResultKind.UNKNOWN, "connection broken", trouble=CallTrouble.UNREACHABLE)
REFUSED = RefundResult(RefundResultKind.DECLINED, "401", final=False, trouble=CallTrouble.UNAUTHORISED)
BEGAN_LATE = TroubleBegan("stripe", CallTrouble.TIMED_OUT, "no answer in time")
BEGAN_REFUSED = TroubleBegan("stripe", CallTrouble.UNAUTHORISED, "401")


@dataclass
class Watcher:
    """Calls to one provider, a second apart, and what was told of them."""

    now: datetime = NOW
    told: list[TroubleNews] = field(default_factory=list)
    health: ProvidersHealth = field(init=False)

    def __post_init__(self) -> None:
        self.health = ProvidersHealth(lambda: self.now, self.told.append)

    def calls(self, *results: RefundResult, provider: str = "stripe") -> None:
        for result in results:
            self.now += timedelta(seconds=1)
            self.health.called(provider, result)

    def after(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.health.look()


def test_one_late_answer_or_two_are_no_trouble_and_three_in_a_row_are_told_once() -> None:
    watcher = Watcher()
    watcher.calls(LATE, LATE, WELL, LATE, LATE)
    assert watcher.told == [] and watcher.health.trouble == {}
    watcher.calls(LATE, LATE, AWAY, LATE)
    assert watcher.told == [BEGAN_LATE]


def test_a_key_that_is_not_taken_is_told_at_once_and_is_no_time_out() -> None:
    watcher = Watcher()
    watcher.calls(REFUSED, REFUSED, REFUSED)
    assert watcher.told == [BEGAN_REFUSED]


def test_a_time_out_that_becomes_a_refused_key_is_told_again_and_not_the_other_way() -> None:
    watcher = Watcher()
    watcher.calls(LATE, LATE, LATE, REFUSED, REFUSED, LATE, LATE, LATE)
    assert watcher.told == [BEGAN_LATE, BEGAN_REFUSED]
    assert watcher.health.trouble == {
        "stripe": ProviderTroubleSeen("unauthorised", "401", NOW + timedelta(seconds=3)),
    }, "it lasts since the first of them"


def test_it_has_ended_half_a_minute_after_the_last_failure_when_a_call_went_well() -> None:
    watcher = Watcher()
    watcher.calls(LATE, LATE, LATE)
    watcher.after(60)
    assert len(watcher.told) == 1, "nobody has called since"
    watcher.calls(LATE, WELL)
    watcher.after(28.999)
    assert len(watcher.told) == 1
    watcher.after(0.001)
    assert watcher.told == [BEGAN_LATE, TroubleEnded("stripe", CallTrouble.TIMED_OUT, timedelta(seconds=91))]
    watcher.after(60)
    assert len(watcher.told) == 2 and watcher.health.trouble == {}


def test_a_provider_that_fails_every_second_call_is_told_once() -> None:
    watcher = Watcher()
    watcher.calls(LATE, LATE, LATE)
    for _ in range(100):
        watcher.calls(WELL, LATE)
        watcher.after(0)
    assert watcher.told == [BEGAN_LATE]


def test_trouble_that_comes_back_is_told_again_and_providers_do_not_mix() -> None:
    watcher = Watcher()
    watcher.calls(LATE, LATE)
    watcher.calls(LATE, AWAY, provider="alipay")
    assert watcher.told == []
    watcher.calls(REFUSED, WELL)
    watcher.after(31)
    watcher.calls(REFUSED)
    assert [type(news) for news in watcher.told] == [TroubleBegan, TroubleEnded, TroubleBegan]
    assert {news.provider for news in watcher.told} == {"stripe"}


async def test_calls_and_look_ups_are_taken_in_and_the_provider_stays_what_it_is() -> None:
    watcher = Watcher()
    provider = MemoryProvider("stripe", lambda _: REFUSED)
    watched = watcher.health.watching({"stripe": provider})["stripe"]
    instruction = RefundInstruction(uuid4(), "stripe", "pi_1", "o-1", 1, "CNY", 1)
    assert await watched.look_up(instruction) == await provider.look_up(instruction)
    assert watcher.told == []
    assert await watched.send(instruction) == REFUSED
    assert watcher.told == [BEGAN_REFUSED]
    assert (watched.name, watched.capabilities) == (provider.name, provider.capabilities)
