"""Whatever is decided, corrected, recovered and contested of an incident, its accounts say the same as it does."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.incidents import (
    ContestAnswer,
    OutcomeTold,
    RecoveryTried,
    answer_contest,
    apply_deadline,
    contest_incident,
    decide_incident,
    record_recovery,
)
from jitui.aftersales.ledger import balances
from jitui.aftersales.model.incident import Incident, IncidentOutcome
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import IncidentRef, OrderRef
from jitui.policy.sections import BorneBy, Loss
from tests.aftersales.incidents import DESK, LATER, RULES, SECOND, SHOP, an_incident, read
from tests.aftersales.market import Market, memory_market

OUTCOMES = st.sampled_from(list(IncidentOutcome))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("decide"), OUTCOMES, st.sampled_from([None, 1, 50, 101])),
        st.tuples(st.just("recover"), st.integers(0, 101)),
        st.tuples(st.just("contest")),
        st.tuples(st.just("answer"), st.booleans(), OUTCOMES),
        st.tuples(st.just("wait"), st.sampled_from([1, 13, 20, 91])),
    ),
    max_size=14,
)
TERMS = st.sampled_from(
    [
        Loss(),
        Loss(borne_by=BorneBy.MERCHANT),
        Loss(borne_by=BorneBy.SPLIT, shop_percent=0),
        Loss(borne_by=BorneBy.SPLIT, shop_percent=33),
        Loss(borne_by=BorneBy.SPLIT, shop_percent=100),
    ]
)


WRITTEN_OFF = [("decide", IncidentOutcome.BORNE_BY_SHOP, None), ("recover", 40), ("wait", 91), *[("wait", 1)] * 3]
"""Each wait does one thing that is due: a reminder, the end of the contest, and then the rest is written off."""


@settings(max_examples=100, deadline=None)
@example(steps=[*WRITTEN_OFF, ("decide", IncidentOutcome.BORNE_BY_SHOP, None)], terms=Loss(borne_by=BorneBy.MERCHANT))
@example(steps=[*WRITTEN_OFF, ("decide", IncidentOutcome.RETURNED, None)], terms=Loss(borne_by=BorneBy.MERCHANT))
@example(
    steps=[*WRITTEN_OFF, ("recover", 11), ("decide", IncidentOutcome.REPAID, 90)],
    terms=Loss(borne_by=BorneBy.MERCHANT),
)
@given(steps=STEPS, terms=TERMS)
def test_the_accounts_of_an_incident_say_what_it_says(steps: list[tuple[object, ...]], terms: Loss) -> None:
    asyncio.run(follow(steps, terms))


async def follow(steps: list[tuple[object, ...]], terms: Loss) -> None:
    market = await memory_market()
    order, ref = await an_incident(market, amounts=(101,))
    now = LATER
    await check(market, order, ref)
    for name, *values in steps:
        now += timedelta(days=int(str(values[0]))) if name == "wait" else timedelta(minutes=1)
        before = await read(market, ref)
        done = await step(market, ref, str(name), values, terms, before, now)
        assert isinstance(done, Executed | Refusal)
        if isinstance(done, Refusal):
            assert await read(market, ref) == before, "a refusal leaves nothing half-done"
        await check(market, order, ref)


async def step(
    market: Market, ref: IncidentRef, name: str, values: list[object], terms: Loss, known: Incident, now: object
) -> object:
    store, at = market.store, LATER.__class__.fromisoformat(str(now))
    match name, values:
        case "decide", [IncidentOutcome() as outcome, repaid_minor]:
            minor = repaid_minor if isinstance(repaid_minor, int) else None
            told = OutcomeTold(outcome, known.version, "So.", minor, "PAY-1")
            return await decide_incident(store, ref, told, terms, RULES, by=DESK, now=at)
        case "recover", [int() as amount_minor]:
            return await record_recovery(store, ref, RecoveryTried(amount_minor), RULES, by=DESK, now=at)
        case "contest", _:
            return await contest_incident(store, ref, "No.", RULES, by=SHOP, now=at)
        case "answer", [bool() as upheld, IncidentOutcome() as outcome]:
            corrected = OutcomeTold(outcome, 0, "So.", None, "PAY-1") if upheld else None
            said = ContestAnswer(upheld, "Read again.", corrected)
            return await answer_contest(store, ref, said, terms, RULES, by=SECOND, now=at)
    return await apply_deadline(store, ref, RULES, now=at)


async def check(market: Market, order: OrderRef, ref: IncidentRef) -> None:
    incident = await read(market, ref)
    held = balances(await market.queries.ledger(order))
    assert sum(held.values()) == 0
    of = {account: minor for (account, _), minor in held.items()}
    receivable_minor = of.get("shop_receivable", 0)
    assert receivable_minor == incident.receivable_minor >= 0
    assert of.get("shop_payable", 0) == -incident.owed_back_minor <= 0
    assert of.get("loss", 0) == incident.platform_minor + incident.written_off_minor >= 0
    assert of.get("goods_returned", 0) == incident.returned_minor
    assert of.get("buyer_repayment", 0) == incident.repaid_minor
    assert of.get("shop_settlement", 0) == incident.recovered_minor
    assert of.get("platform_advance", 0) == -incident.decided_minor
    borne = (of.get(name, 0) for name in ("loss", "goods_returned", "buyer_repayment", "shop_settlement"))
    decided_minor = 101 if incident.outcome is not None else 0
    assert sum(borne) + receivable_minor + of.get("shop_payable", 0) == decided_minor
