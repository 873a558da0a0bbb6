"""An incident from the carrier's scan to its end: evidence, outcome, recovery, contest, deadlines, and its accounts."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.incidents import (
    BuyerContact,
    ContestAnswer,
    Evidence,
    OutcomeTold,
    RecoveryTried,
    add_evidence,
    answer_contest,
    apply_deadline,
    record_contact,
    record_recovery,
)
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.ledger import cause_of
from jitui.aftersales.model.incident import ContactChannel, EntryKind, IncidentOutcome, IncidentState
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import IncidentRef, OrderRef
from jitui.policy.sections import BorneBy, Loss
from tests.aftersales.incidents import (
    BY_PLATFORM,
    BY_SHOP,
    DESK,
    LATER,
    RULES,
    SECOND,
    SHOP,
    accounts,
    an_incident,
    contest,
    decide,
    done,
    read,
)
from tests.aftersales.market import NOW, Market, on_both_stores

A_DAY = timedelta(days=1)


async def recover(market: Market, ref: IncidentRef, amount_minor: int, *, days: int = 1) -> Executed | Refusal | object:
    tried = RecoveryTried(amount_minor, "SET-1", "Kept back.")
    return await record_recovery(market.store, ref, tried, RULES, by=DESK, now=LATER + days * A_DAY)


@on_both_stores
async def test_from_the_scan_to_the_recovery_in_accounts(market: Market) -> None:
    order, ref = await an_incident(market)
    assert await accounts(market, order) == {}
    await add_evidence(
        market.store, ref, Evidence("Stopped at the depot?", ("SF-o-1",)), by=SHOP, now=LATER, shop_id="shop-1"
    )
    said = BuyerContact(ContactChannel.PHONE, "Does not answer.", LATER)
    await record_contact(market.store, ref, said, by=SHOP, now=LATER, shop_id="shop-1")
    decided = done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP))
    assert decided.state is IncidentState.RECOVERING and decided.contest_until == LATER + 15 * A_DAY
    assert await accounts(market, order) == {"shop_receivable": 12900, "platform_advance": -12900}
    done(await recover(market, ref, 0))  # type: ignore[arg-type]
    part = done(await recover(market, ref, 9000, days=2))  # type: ignore[arg-type]
    assert (part.state, part.receivable_minor, part.attempts) == (IncidentState.RECOVERING, 3900, 2)
    assert await accounts(market, order) == {
        "shop_receivable": 3900,
        "shop_settlement": 9000,
        "platform_advance": -12900,
    }
    whole = done(await recover(market, ref, 3900, days=3))  # type: ignore[arg-type]
    assert whole.state is IncidentState.DECIDED and whole.due_at == LATER + 12 * A_DAY
    assert await accounts(market, order) == {"shop_settlement": 12900, "platform_advance": -12900}
    causes = [cause_of(entry).value for entry in await market.queries.ledger(order)]
    assert causes == ["captured", "granted", "incident_charged", "incident_recovered", "incident_recovered"]
    await apply_deadline(market.store, ref, RULES, now=LATER + 12 * A_DAY)
    await apply_deadline(market.store, ref, RULES, now=LATER + 15 * A_DAY)
    settled = await read(market, ref)
    assert settled.state is IncidentState.SETTLED and settled.due_at is None
    kinds = [event.kind for event in await market.feed.events(0, 100) if event.kind.startswith("incident.")]
    assert kinds == [
        "incident.opened",
        "incident.noted",
        "incident.noted",
        "incident.decided",
        *["incident.recovered"] * 3,
        "incident.reminder",
        "incident.settled",
    ]


@on_both_stores
@pytest.mark.parametrize(
    ("outcome", "terms", "held"),
    [
        (IncidentOutcome.RETURNED, BY_SHOP, {"goods_returned": 12900}),
        (IncidentOutcome.REPAID, BY_SHOP, {"buyer_repayment": 12900}),
        (IncidentOutcome.BORNE_BY_PLATFORM, BY_SHOP, {"loss": 12900}),
        (IncidentOutcome.BORNE_BY_SHOP, BY_SHOP, {"shop_receivable": 12900}),
        (
            IncidentOutcome.BORNE_BY_BOTH,
            Loss(borne_by=BorneBy.SPLIT, shop_percent=33),
            {"shop_receivable": 4257, "loss": 8643},
        ),
    ],
)
async def test_every_outcome_has_its_accounts(
    market: Market, outcome: IncidentOutcome, terms: Loss, held: dict[str, int]
) -> None:
    order, ref = await an_incident(market)
    decided = done(await decide(market, ref, outcome, terms))
    assert await accounts(market, order) == {**held, "platform_advance": -12900}
    ends = IncidentState.RECOVERING if "shop_receivable" in held else IncidentState.SETTLED
    assert decided.state is ends


@on_both_stores
async def test_what_the_buyer_did_not_pay_again_is_borne_as_the_policy_says(market: Market) -> None:
    order, ref = await an_incident(market, amounts=(101,))
    terms = Loss(borne_by=BorneBy.SPLIT, shop_percent=50)
    done(await decide(market, ref, IncidentOutcome.REPAID, terms, repaid_minor=50))
    assert await accounts(market, order) == {
        "buyer_repayment": 50,
        "shop_receivable": 25,
        "loss": 26,
        "platform_advance": -101,
    }


@on_both_stores
async def test_a_shop_is_charged_no_more_than_the_policy_says(market: Market) -> None:
    order, ref = await an_incident(market)
    for outcome, terms in (
        (IncidentOutcome.BORNE_BY_SHOP, BY_PLATFORM),
        (IncidentOutcome.BORNE_BY_SHOP, Loss()),
        (IncidentOutcome.BORNE_BY_SHOP, Loss(borne_by=BorneBy.SPLIT, shop_percent=99)),
        (IncidentOutcome.BORNE_BY_BOTH, BY_SHOP),
    ):
        refused = await decide(market, ref, outcome, terms)
        assert isinstance(refused, Refusal) and refused.code is RefusalCode.LOSS_TERMS_DIFFER
    assert await accounts(market, order) == {}
    assert (await read(market, ref)).outcome is None


@on_both_stores
@pytest.mark.parametrize("repaid_minor", [0, 12901])
async def test_an_amount_beyond_the_incidents_is_refused(market: Market, repaid_minor: int) -> None:
    _, ref = await an_incident(market)
    refused = await decide(market, ref, IncidentOutcome.REPAID, repaid_minor=repaid_minor)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.AMOUNT_EXCEEDS_INCIDENT
    refused = await decide(market, ref, IncidentOutcome.RETURNED, repaid_minor=1)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.AMOUNT_EXCEEDS_INCIDENT
    refused = await decide(market, ref, IncidentOutcome.REPAID, reference="")
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.INCIDENT_REFERENCE_MISSING


@on_both_stores
async def test_an_outcome_names_the_version_that_was_read(market: Market) -> None:
    _, ref = await an_incident(market)
    for version in (2, 99):
        refused = await decide(market, ref, IncidentOutcome.RETURNED, version=version)
        assert isinstance(refused, Refusal) and refused.code is RefusalCode.INCIDENT_STALE
    await add_evidence(market.store, ref, Evidence("Stopped?"), by=SHOP, now=LATER)
    refused = await decide(market, ref, IncidentOutcome.RETURNED, version=1)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.INCIDENT_STALE


@on_both_stores
async def test_a_corrected_charge_is_recovered_from_its_beginning(market: Market) -> None:
    order, ref = await an_incident(market)
    done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP))
    for day in range(1, 5):
        done(await recover(market, ref, 0, days=day))  # type: ignore[arg-type]
    again = done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP, now=LATER + 6 * A_DAY))
    assert (again.attempts, again.recover_until) == (0, LATER + 96 * A_DAY)
    assert done(await recover(market, ref, 0, days=7)).written_off_minor == 0  # type: ignore[arg-type]
    assert await accounts(market, order) == {"shop_receivable": 12900, "platform_advance": -12900}


async def test_of_two_who_decide_at_once_one_does(market: Market) -> None:
    order, ref = await an_incident(market)
    version = (await read(market, ref)).version
    outcomes = (IncidentOutcome.BORNE_BY_SHOP, IncidentOutcome.BORNE_BY_PLATFORM)
    told = await asyncio.gather(*(decide(market, ref, one, version=version) for one in outcomes * 3))
    assert sum(isinstance(one, Executed) for one in told) == 1
    codes = {one.code for one in told if isinstance(one, Refusal)}
    assert codes == {RefusalCode.INCIDENT_STALE}
    assert sum(map(abs, (await accounts(market, order)).values())) == 2 * 12900


@on_both_stores
async def test_a_correction_posts_back_what_was_posted(market: Market) -> None:
    order, ref = await an_incident(market)
    done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP))
    done(await recover(market, ref, 5000))  # type: ignore[arg-type]
    before = {entry.posting for entry in await market.queries.ledger(order)}
    corrected = done(await decide(market, ref, IncidentOutcome.RETURNED, now=LATER + 2 * A_DAY))
    assert (corrected.owed_back_minor, corrected.receivable_minor) == (5000, 0)
    assert await accounts(market, order) == {
        "goods_returned": 12900,
        "shop_settlement": 5000,
        "shop_payable": -5000,
        "platform_advance": -12900,
    }
    assert before < {entry.posting for entry in await market.queries.ledger(order)}
    done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP, now=LATER + 3 * A_DAY))
    assert await accounts(market, order) == {
        "shop_receivable": 7900,
        "shop_settlement": 5000,
        "platform_advance": -12900,
    }


@on_both_stores
async def test_a_recovery_is_at_most_what_is_owed_and_ends_by_attempts(market: Market) -> None:
    order, ref = await an_incident(market)
    nothing = await recover(market, ref, 1)
    assert isinstance(nothing, Refusal) and nothing.code is RefusalCode.NOTHING_TO_RECOVER
    done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP))
    much = await recover(market, ref, 12901)
    assert isinstance(much, Refusal) and much.code is RefusalCode.RECOVERY_EXCEEDS_RECEIVABLE
    for day, amount_minor in enumerate((0, 900, 0, 0), start=1):
        assert done(await recover(market, ref, amount_minor, days=day)).written_off_minor == 0  # type: ignore[arg-type]
    last = done(await recover(market, ref, 1000, days=5))  # type: ignore[arg-type]
    assert (last.recovered_minor, last.written_off_minor, last.receivable_minor) == (1900, 11000, 0)
    assert await accounts(market, order) == {"shop_settlement": 1900, "loss": 11000, "platform_advance": -12900}
    late = done(await recover(market, ref, 10000, days=200))  # type: ignore[arg-type]
    assert (late.recovered_minor, late.written_off_minor) == (11900, 1000)
    assert await accounts(market, order) == {"shop_settlement": 11900, "loss": 1000, "platform_advance": -12900}
    again = await recover(market, ref, 1001, days=201)
    assert isinstance(again, Refusal) and again.code is RefusalCode.RECOVERY_EXCEEDS_RECEIVABLE


@on_both_stores
async def test_a_recovery_ends_by_days_after_a_reminder(market: Market) -> None:
    order, ref = await an_incident(market)
    done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP))
    seen = []
    for day in range(95):
        now = LATER + day * A_DAY
        for due in await market.store.due_incidents(now, 10):
            await apply_deadline(market.store, due, RULES, now=now)
            incident = await read(market, ref)
            seen.append((day, incident.state.value, incident.written_off_minor))
    assert seen == [
        (12, "recovering", 0),
        (15, "recovering", 0),
        (87, "recovering", 0),
        (90, "settled", 12900),
    ]
    assert await accounts(market, order) == {"loss": 12900, "platform_advance": -12900}


@on_both_stores
async def test_an_incident_without_outcome_is_told_again_every_week_for_ninety_days(market: Market) -> None:
    _, ref = await an_incident(market)
    told = 0
    for day in range(120):
        now = LATER + day * A_DAY
        for due in await market.store.due_incidents(now, 10):
            await apply_deadline(market.store, due, RULES, now=now)
            told += 1
    assert told == 12
    assert (await read(market, ref)).state is IncidentState.OPEN
    reminders = [event for event in await market.feed.events(0, 100) if event.kind == "incident.reminder"]
    assert len(reminders) == 12 and reminders[0].body["what"] == "outcome_due"


@on_both_stores
async def test_a_deadline_that_has_not_come_does_nothing(market: Market) -> None:
    _, ref = await an_incident(market)
    assert await market.store.due_incidents(LATER + 7 * A_DAY - timedelta(seconds=1), 10) == []
    assert await market.store.due_incidents(LATER + 7 * A_DAY, 10) == [ref]
    nothing = await apply_deadline(market.store, ref, RULES, now=LATER + 7 * A_DAY - timedelta(seconds=1))
    assert isinstance(nothing, Executed) and not nothing.changes


# A contest ---------------------------------------------------------------------------------------------------------


def answer(upheld: bool, version: int = 0) -> ContestAnswer:
    corrected = OutcomeTold(IncidentOutcome.BORNE_BY_PLATFORM, version, "The stop came late.") if upheld else None
    return ContestAnswer(upheld, "The depot confirms it.", corrected)


@on_both_stores
async def test_an_upheld_contest_corrects_the_outcome_and_is_final(market: Market) -> None:
    order, ref = await an_incident(market)
    done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP))
    done(await recover(market, ref, 900))  # type: ignore[arg-type]
    contested = done(await contest(market, ref, now=LATER + 2 * A_DAY))
    assert contested.state is IncidentState.CONTESTED
    for refused in (
        await recover(market, ref, 100, days=3),
        await decide(market, ref, IncidentOutcome.RETURNED),
        await contest(market, ref, now=LATER + 3 * A_DAY),
    ):
        assert isinstance(refused, Refusal) and refused.code is RefusalCode.INCIDENT_CONTESTED
    answered = done(
        await answer_contest(market.store, ref, answer(True), BY_SHOP, RULES, by=SECOND, now=LATER + 4 * A_DAY)
    )
    assert answered.state is IncidentState.SETTLED and answered.contest is not None
    assert (answered.contest.outcome, answered.contest.answered_by) == ("upheld", "second desk")
    assert await accounts(market, order) == {
        "loss": 12900,
        "shop_settlement": 900,
        "shop_payable": -900,
        "platform_advance": -12900,
    }


@on_both_stores
async def test_a_rejected_contest_leaves_the_outcome_and_recovery_goes_on_where_it_rested(market: Market) -> None:
    order, ref = await an_incident(market)
    done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP))
    done(await contest(market, ref, now=LATER + 2 * A_DAY))
    rejected = done(
        await answer_contest(market.store, ref, answer(False), BY_SHOP, RULES, by=SECOND, now=LATER + 5 * A_DAY)
    )
    assert rejected.state is IncidentState.RECOVERING
    assert rejected.recover_until == LATER + 93 * A_DAY
    assert await accounts(market, order) == {"shop_receivable": 12900, "platform_advance": -12900}
    again = await contest(market, ref, now=LATER + 6 * A_DAY)
    assert isinstance(again, Refusal) and again.code is RefusalCode.INCIDENT_NOT_CONTESTABLE
    assert "answered" in again.message


@on_both_stores
async def test_who_decided_does_not_answer_and_the_answer_is_whole(market: Market) -> None:
    _, ref = await an_incident(market)
    done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP))
    nothing = await answer_contest(market.store, ref, answer(False), BY_SHOP, RULES, by=SECOND, now=LATER)
    assert isinstance(nothing, Refusal) and nothing.code is RefusalCode.INCIDENT_NOT_CONTESTED
    done(await contest(market, ref))
    for who in (DESK, SHOP):
        own = await answer_contest(market.store, ref, answer(False), BY_SHOP, RULES, by=who, now=LATER)
        assert isinstance(own, Refusal) and own.code is RefusalCode.SECOND_PERSON_NEEDED
    corrected = OutcomeTold(IncidentOutcome.BORNE_BY_SHOP, 0, "As before.")
    for said in (
        ContestAnswer(True, "Yes.", None),
        ContestAnswer(False, "No.", corrected),
        ContestAnswer(True, "Yes.", corrected),
    ):
        half = await answer_contest(market.store, ref, said, BY_SHOP, RULES, by=SECOND, now=LATER)
        assert isinstance(half, Refusal) and half.code is RefusalCode.INCIDENT_ANSWER_INCOMPLETE


async def test_the_database_refuses_the_answer_of_who_decided(market: Market) -> None:
    _, ref = await an_incident(market)
    done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP))
    done(await contest(market, ref))
    async with market.pool.connection() as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="contest_answered_by_another"):
            await connection.execute(
                "UPDATE complaint SET state = 'answered', outcome = 'rejected', answer = 'No.', answered_by = ' DESK ',"
                " answered_at = now()"
            )


@on_both_stores
async def test_a_contest_has_its_time_and_its_cause(market: Market) -> None:
    _, ref = await an_incident(market)
    before = await contest(market, ref)
    assert isinstance(before, Refusal) and "charged nothing" in before.message
    done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP))
    late = await contest(market, ref, now=LATER + 15 * A_DAY)
    assert isinstance(late, Refusal) and late.code is RefusalCode.INCIDENT_NOT_CONTESTABLE
    done(await contest(market, ref, now=LATER + 15 * A_DAY - timedelta(seconds=1)))


@on_both_stores
async def test_another_shop_sees_nothing(market: Market) -> None:
    _, ref = await an_incident(market)
    refused = await add_evidence(market.store, ref, Evidence("Ours?"), by=SHOP, now=NOW, shop_id="shop-2")
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.NOT_FOUND


@on_both_stores
async def test_more_goods_that_left_open_a_decided_incident_again(market: Market) -> None:
    order, ref = await an_incident_of_one_line(market)
    first = done(await decide(market, ref, IncidentOutcome.BORNE_BY_PLATFORM))
    assert (first.amount_minor, first.state) == (5000, IncidentState.SETTLED)
    await market.ship(
        order,
        status=ShipmentStatus.PICKED_UP,
        source=ShipmentSource.CARRIER,
        tracking_no="SF-second",
        lines=[("l2", 1)],
        now=LATER + A_DAY,
    )
    grown = await read(market, ref)
    assert (grown.amount_minor, grown.decided_minor, grown.state) == (11000, 5000, IncidentState.OPEN)
    assert grown.version == first.version + 1
    seen = await add_evidence(market.store, ref, Evidence("Two parcels."), by=SHOP, now=LATER + A_DAY)
    assert done(seen).state is IncidentState.OPEN
    await decide(market, ref, IncidentOutcome.BORNE_BY_PLATFORM)
    assert await accounts(market, order) == {"loss": 11000, "platform_advance": -11000}


async def an_incident_of_one_line(market: Market) -> tuple[OrderRef, IncidentRef]:
    buyer = await market.premium_buyer("b-2")
    ref = await market.paid_order(buyer, "o-2", amounts=(5000, 6000))
    await market.asked(buyer, "o-2")
    await market.ship(
        ref,
        status=ShipmentStatus.PICKED_UP,
        source=ShipmentSource.CARRIER,
        tracking_no="SF-first",
        lines=[("l1", 1)],
        now=LATER,
    )
    found = await market.queries.incidents(IncidentFilter(shop_id="shop-1", limit=10))
    incident = next(one for one in found if one.order_id == "o-2")
    return ref, IncidentRef(ref.lane, incident.incident_id)


async def test_the_log_tells_everything_in_order(market: Market) -> None:
    _, ref = await an_incident(market)
    done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP))
    done(await contest(market, ref))
    await answer_contest(market.store, ref, answer(False), BY_SHOP, RULES, by=SECOND, now=LATER)
    found = await market.queries.incident(ref)
    assert found is not None
    assert [(entry.seq, entry.kind, entry.by) for entry in found.log] == [
        (1, EntryKind.OUTCOME, "desk"),
        (2, EntryKind.CONTEST, "shop desk"),
        (3, EntryKind.ANSWER, "second desk"),
    ]
