"""`jitui refunds`: what failed is found, read, sent again or settled; what is refused is a sentence and exit code 1."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.ports import AttemptRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.bootstrap import utc_now
from tests.aftersales.market import open_market
from tests.cli.conftest import Jitui
from tests.provider_simulator.server import SIMULATOR_AWAY

REASON = "card closed \x1b[31m[bold]"
BY = ("--by", "li.na")
EVIDENCE = ("--reference", "BANK-7", "--amount", "129.00", "--note", "to the account on file")


@pytest.fixture(autouse=True)
def simulator_is_configured(settings: dict[str, str]) -> None:
    settings.update({f"JITUI_{name.upper()}": value for name, value in SIMULATOR_AWAY.items()})


@pytest.fixture
def refund_id(database_url: str) -> str:
    """A refund of 129.00 CNY that its provider declined for good; another one waits."""
    now = utc_now() - timedelta(hours=1)

    async def prepare() -> str:
        async with open_market(database_url, now=now) as market:
            buyer = await market.premium_buyer("b-1", now)
            await market.paid_order(buyer, "o-1", amounts=(12900,), now=now)
            await market.asked(buyer, "o-1", now=now)
            (claimed,) = await market.store.claim_refunds(now=now, lease_until=now, limit=9)
            declined = RefundResult(RefundResultKind.DECLINED, reason=REASON)
            await confirm(
                market.store,
                AttemptRef(claimed.lane, claimed.attempt.attempt_id),
                RefundUpdate(declined),
                now=now,
            )
            later = utc_now()
            await market.feed.roll_up(later)
            other = await market.premium_buyer("b-2", later)
            await market.paid_order(other, "o-2", amounts=(100,), shop_id="shop-2", now=later)
            await market.asked(other, "o-2", now=later)
            await market.refund_list.fill()
            return str(claimed.refund.refund_id)

    return asyncio.run(prepare())


def test_refunds_are_listed_by_what_an_operator_asks_for(jitui: Jitui, refund_id: str) -> None:
    def orders(*words: str) -> list[str]:
        return [row["order_id"] for row in jitui("refunds", "list", "--json", *words).json["refunds"]]

    assert orders() == ["o-2", "o-1"]
    assert orders("--ascending") == orders("--sort", "amount") == ["o-1", "o-2"]
    assert orders("--sort", "amount", "--ascending") == orders("--sort", "state", "--ascending")[::-1] == ["o-2", "o-1"]
    assert orders("--approved-by", "instant_refund") == ["o-2", "o-1"] and orders("--approved-by", "merchant") == []
    assert jitui("refunds", "list", "--sort", "shop").code == 2
    assert orders("--limit", "1") == ["o-2"]
    for words in (
        ("--state", "failed"),
        ("--order", "o-1"),
        ("--buyer", "b-1"),
        ("--shop", "shop-1"),
        ("--older-than", "30m"),
    ):
        assert orders(*words) == ["o-1"], words
    assert orders("--provider", "stripe") == orders("--older-than", "2h") == []
    assert jitui("refunds", "list", "--state", "unknown").out == "There are no such refunds.\n"


def test_a_list_that_no_worker_fills_says_how_late_it_is(jitui: Jitui, refund_id: str, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE roll_up SET as_of = clock_timestamp() + interval '1 minute' WHERE name LIKE '%_list'"
        )
        assert jitui("refunds", "list").err == ""
        connection.execute("UPDATE roll_up SET as_of = now() - interval '1 hour' WHERE name LIKE '%_list'")
    for words in (("refunds", "list"), ("tickets", "list")):
        said = jitui(*words).err
        assert "The list is 36" in said and "seconds late" in said, words
    assert jitui("refunds", "list", "--buyer", "b-1").err == ""


def test_a_list_is_readable_and_foreign_text_is_only_text(jitui: Jitui, refund_id: str) -> None:
    shown = jitui("refunds", "list", "--state", "failed").out
    assert shown.startswith(f"{refund_id}  failed\n  129.00 CNY, simulator, order o-1; since 20")
    assert shown.splitlines()[2] == "  card closed \\x1b[31m[bold]"
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("list", "--state", "lost"), "the state is one of queued, sending"),
        (("list", "--older-than", "soon"), "--older-than takes an age such as 30m, 2h or 3d, not 'soon'."),
        (("list", "--older-than", "h"), "--older-than takes an age"),
        (("show", "nonsense"), "'nonsense' is not a refund's id (a UUID)."),
        (("show", "0197312a-6c40-7a13-8e22-5f60718293a4"), "There is no refund 0197312a"),
        (("retry", "0197312a-6c40-7a13-8e22-5f60718293a4", *BY), "There is no refund 0197312a"),
        (("retry", "0197312a-6c40-7a13-8e22-5f60718293a4", "--by", " "), "Money is moved under a name"),
        (("settle", "0197312a-6c40-7a13-8e22-5f60718293a4", *BY, *EVIDENCE), "There is no refund 0197312a"),
        (("settle", "REFUND", *BY), "--reference is needed here."),
        (("settle", "REFUND", *BY, "--reference", "B"), "--amount is needed here."),
        (("settle", "REFUND", *BY, *EVIDENCE[:4]), "--note is needed here."),
        (("settle", "REFUND", *BY, "--confirm"), "--reference is needed here."),
        (("settle", "REFUND", *BY, "--reject"), "--note is needed here."),
        (("settle", "REFUND", *BY, "--confirm", "--reject"), "Confirm it or reject it, not both."),
        (("settle", "REFUND", *BY, "--reference", "B 7", *EVIDENCE[2:]), "--reference: this is no number of a payment"),
        (("settle", "REFUND", *BY, *EVIDENCE[:2], "--amount", "1.001", *EVIDENCE[4:]), "'1.001' is no amount of CNY."),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_a_sentence(jitui: Jitui, refund_id: str, words: tuple[str, ...], why: str) -> None:
    done = jitui("refunds", *(refund_id if word == "REFUND" else word for word in words))
    assert (done.code, done.out) == (2, "")
    assert why in done.err and done.err.count("\n") == 1


def test_a_refund_is_shown_with_its_attempts_and_what_can_be_done(jitui: Jitui, refund_id: str) -> None:
    shown = jitui("refunds", "show", refund_id)
    assert shown.code == 0
    assert "attempt 1: declined" in shown.out and "at the provider not named" in shown.out
    assert "approved_instant_refund, system jitui\n" in shown.out
    assert shown.out.endswith("can be done now: retry, settle\n")
    document = jitui("refunds", "show", refund_id, "--json").json
    assert document["refund"]["reason"] == REASON
    assert (document["actions"], document["shop_id"], len(document["attempts"])) == (["retry", "settle"], "shop-1", 1)


def test_a_failed_refund_is_sent_again_once(jitui: Jitui, refund_id: str) -> None:
    done = jitui("refunds", "retry", refund_id, *BY)
    assert (done.code, done.out) == (0, "It is queued; a worker sends it.\n")
    assert jitui("refunds", "show", refund_id, "--json").json["refund"]["state"] == "queued"
    again = jitui("refunds", "retry", refund_id, *BY)
    assert (again.code, again.out) == (1, "")
    assert again.err == "The refund is queued; only a failed one is retried.\n"


def test_one_person_settles_up_to_the_limit(jitui: Jitui, refund_id: str) -> None:
    wrong = jitui("refunds", "settle", refund_id, *BY, *EVIDENCE[:2], "--amount", "128.99", *EVIDENCE[4:])
    assert wrong.code == 1 and "The refund is 12900 minor units of CNY; it is settled whole" in wrong.err
    done = jitui("refunds", "settle", refund_id, *BY, *EVIDENCE)
    assert (done.code, done.out) == (0, "It is settled.\n")
    shown = jitui("refunds", "show", refund_id).out
    assert "settled by hand: BANK-7, by li.na: to the account on file\n" in shown
    assert shown.endswith("can be done now: nothing; it is on its way, or paid\n")
    assert jitui("tasks").out == "There are no open tasks.\n"


def test_above_the_limit_it_takes_another_person(jitui: Jitui, refund_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JITUI_SETTLE_ALONE_UP_TO", "CNY:12899")
    proposed = jitui("refunds", "settle", refund_id, *BY, *EVIDENCE)
    assert proposed.code == 0
    assert f"  jitui refunds settle {refund_id} --confirm --reference BANK-7 --by NAME\n" in proposed.out
    assert "waits for a second person: BANK-7, by li.na" in jitui("refunds", "list", "--state", "failed").out
    assert "can be done now: confirm, reject" in jitui("refunds", "show", refund_id).out
    own = jitui("refunds", "settle", refund_id, "--confirm", "--reference", "BANK-7", "--by", "Li.Na")
    assert (own.code, own.err) == (1, "li.na proposed this payment by hand; another person confirms it.\n")
    rejected = jitui("refunds", "settle", refund_id, "--reject", "--note", "not found", "--by", "wang.wei")
    assert rejected.out == "The payment by hand is rejected; the refund is as it was.\n"
    assert jitui("refunds", "settle", refund_id, *BY, *EVIDENCE).code == 0
    done = jitui("refunds", "settle", refund_id, "--confirm", "--reference", "BANK-7", "--by", "wang.wei")
    assert (done.code, done.out) == (0, "It is settled.\n")
    assert "by li.na, confirmed by wang.wei: to the account" in jitui("refunds", "show", refund_id).out


def test_a_call_that_was_lost_says_what_to_do_and_afterwards_what_was_said(
    jitui: Jitui, refund_id: str, database_url: str
) -> None:
    """By the note of the call, whatever the last look-up said."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE refund SET state = 'unknown', reason = 'no connection' WHERE refund_id = %s",
            [refund_id],
        )
        connection.execute(
            "INSERT INTO platform_call (attempt_id, platform, order_id, begun_at) SELECT attempt_id, 'vendure', 'o-1', "
            "now() - interval '15 minutes' FROM refund_attempt WHERE refund_id = %s",
            [refund_id],
        )
    assert f"jitui refunds show {refund_id}` says what to do" in jitui("refunds", "list").out
    told = jitui("refunds", "show", refund_id)
    assert f"jitui platform resolve {refund_id} --made --note" in told.out
    assert f"jitui platform resolve {refund_id} --not-made --note" in told.out
    assert "nothing; it is on its way" not in told.out
    assert jitui("refunds", "show", refund_id, "--json").json["call"]["standing"] == "lost"
    assert jitui("platform", "resolve", refund_id, "--not-made", "--note", "no refund there", "--by", "wei").code == 0
    told = jitui("refunds", "show", refund_id)
    assert "by wei: the gateway did not make it: no refund there" in told.out
    assert "jitui platform resolve" not in told.out
    assert "says what to do" not in jitui("refunds", "list").out
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE refund SET provider = 'vendure' WHERE refund_id = %s", [refund_id])
    refused = jitui("platform", "disconnect", "vendure", "--yes")
    assert "1 refund of vendure is not paid yet" in refused.err
    assert "`jitui refunds list --provider vendure`" in refused.err, "it can be pasted"
