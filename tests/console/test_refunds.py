"""The operators' refunds: found by filters in the address, read, sent again, settled by one person or by two."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from jitui.adapters.postgres.platform_calls import PostgresPlatformCalls
from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.model.order import Tender
from jitui.aftersales.model.refund import Refund, RefundState
from jitui.aftersales.operations.platform_connections import LOST_AFTER, resolve_lost_call
from jitui.aftersales.operations.platform_refunds import ASKED_BEFORE
from jitui.aftersales.operations.refunds import read_refund
from jitui.aftersales.ports import RefundRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.aftersales.refund_list import RefundFilter
from jitui.entrypoints.console.mount import console_app
from jitui.entrypoints.console.operations.refund_list import REFUNDS_PER_PAGE
from jitui.ids import lane_of_id
from tests.console.conftest import Visit
from tests.console.marketplace import PREMIUM, Marketplace
from tests.console.operators import (
    AUDITOR,
    LI,
    PENDING,
    SUCCEEDED,
    SUPPORT,
    UNKNOWN,
    WANG,
    failed,
    hears,
    refunding,
    staffed,
)
from tests.console.pages import Page, Visitor, visiting
from tests.console.policies import ADA, enrolled

PAID = {"reference": "BANK-7", "amount": "129.00", "note": "By hand.", "confirmed": "yes"}
STALE = "Somebody changed this refund since you opened it."


@pytest.fixture(autouse=True)
async def _staff(market: Marketplace) -> None:
    await staffed(market)


def page_of(refund_id: UUID) -> str:
    return f"/operations/refunds/{refund_id}"


async def read(market: Marketplace, refund_id: UUID) -> Refund:
    found = (await market.service.queries.refunds(RefundFilter(buyer_id=PREMIUM.subject_id))).refunds  # exact
    return next(one.refund for one in found if one.refund.refund_id == refund_id)


async def act(visitor: Visitor, refund_id: UUID, action: str, **fields: str) -> Page | None:
    """Fill in the form that is shown; None when it was done, else the page with what is wrong."""
    form = (await visitor.see(page_of(refund_id))).form(f"{page_of(refund_id)}/{action}")
    return await send(visitor, refund_id, action, {**form.fields, **fields})


async def send(visitor: Visitor, refund_id: UUID, action: str, fields: dict[str, str]) -> Page | None:
    done = await visitor.post(f"{page_of(refund_id)}/{action}", fields)
    if done.status_code == 303:
        assert done.headers["location"] == page_of(refund_id)
        return None
    assert done.status_code in (409, 422), done.text
    return Page(done.text)


def forms_of(page: Page) -> set[str]:
    return {form.action.rpartition("/")[2] for form in page.forms if form.action.startswith("/operations")} - {
        "refunds"
    }


# The list ----------------------------------------------------------------------------------------------------------


async def test_refunds_are_found_by_filters_in_the_address_and_as_csv(market: Marketplace, visit: Visit) -> None:
    declined = await failed(market, "6921734958201736459")
    unknown = await refunding(market, "A-2")
    await hears(market, unknown, UNKNOWN)
    visitor = await visit(LI)

    async def orders(query: str) -> set[str]:
        page = await visitor.see(f"/operations/refunds?{query}")
        return {order for order in ("6921734958201736459", "A-2") if f">{order}</a>" in page.html}

    assert await orders("") == {"6921734958201736459", "A-2"}
    assert await orders("state=failed") == {"6921734958201736459"}
    assert await orders("state=unknown") == {"A-2"}
    assert await orders("state=&provider=simulator&order=A-2") == {"A-2"}
    assert await orders("provider=stripe") == await orders("buyer=nobody") == await orders("older=1h") == set()
    assert await orders("shop=shop-chao") == set() != await orders("shop=shop-shan")
    page = await visitor.see("/operations/refunds?state=failed")
    assert ("a", {"href": page_of(declined), "class": "row-link"}) in page.tags
    assert "card closed" in page.text
    current = [given["href"] for tag, given in page.tags if tag == "a" and given.get("aria-current") == "page"]
    assert current == ["/operations/refunds", "/operations/refunds?state=failed"]

    answer = await visitor.get("/operations/refunds.csv?state=failed")
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == 2
    assert rows[1][:2] == [str(declined), "'6921734958201736459"]
    assert rows[1][3:7] == ["Refused by the provider", "simulator", "129.00", "CNY"]
    for wrong in ("state=x", "older=x", "order=a%20b", "after=x"):
        assert (await visitor.get(f"/operations/refunds?{wrong}")).status_code == 400, wrong


async def test_a_long_list_is_paged_and_loses_nothing(market: Marketplace, visit: Visit) -> None:
    ref = await market.order(PREMIUM, "A-1", [("登山杖", 1, 130 * (REFUNDS_PER_PAGE + 1))], paid=False)
    service, now = market.service, market.service.clock()
    for number in range(REFUNDS_PER_PAGE + 1):
        tender = Tender(f"t{number}", "simulator", f"pay-{number}", "CNY", 130, now)
        await capture_payment(service.store, ref, tender, await service.decision_settings(), now=now)
    await service.feed.roll_up(now)
    await market.ask(PREMIUM, "A-1")
    visitor, seen, path = await visit(LI), list[str](), "/operations/refunds?provider=simulator"
    counts = list[int]()
    while path:
        page = await visitor.see(path)
        links = [given["href"] for tag, given in page.tags if tag == "a" and given.get("class") == "row-link"]
        seen, counts = seen + links, [*counts, len(links)]
        path = next((g["href"] for t, g in page.tags if t == "a" and "after=" in g.get("href", "")), "")
        assert not path or "provider=simulator" in path
    assert (counts, len(set(seen))) == ([REFUNDS_PER_PAGE, 1], REFUNDS_PER_PAGE + 1)


# One refund --------------------------------------------------------------------------------------------------------


async def test_a_failed_refund_is_read_and_sent_again(market: Marketplace, visit: Visit) -> None:
    refund_id = await failed(market, "A-1")
    visitor = await visit(LI)
    page = await visitor.see(page_of(refund_id))
    assert "The provider has refused it for good." in page.text
    assert "card closed" in page.text
    assert "Held for the order" in page.text and "Owed to the buyer" in page.text
    assert "captured" not in page.text, "the order's other postings are not about this refund"
    assert forms_of(page) == {"retry", "settle"}
    refused = await act(visitor, refund_id, "retry")
    assert refused is not None and "Please tick the box" in refused.text
    assert (await read(market, refund_id)).state is RefundState.FAILED
    assert await act(visitor, refund_id, "retry", confirmed="yes") is None
    page = await visitor.see(page_of(refund_id))
    assert "It waits for a worker" in page.text and "The platform tries the payment again" in page.text
    assert "li.na" in page.text
    assert forms_of(page) == set()
    await hears(market, refund_id, SUCCEEDED)
    page = await visitor.see(page_of(refund_id))
    assert "It is paid." in page.text and "The provider paid the refund" in page.text and "rf-7" in page.text


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "account or card for this payment is closed"), ("zh-CN", "买家付款时所用的账户或银行卡已注销")],
)
async def test_the_providers_code_is_said_in_words_with_the_code_beside(
    market: Marketplace, visit: Visit, language: str, words: str
) -> None:
    refund_id = await refunding(market, "A-1")
    await hears(market, refund_id, RefundResult(RefundResultKind.DECLINED, "payment_method_closed"))
    ref = await market.service.queries.refunds(RefundFilter(order_id="A-1"))
    ticket = ref.refunds[0].refund.ticket_id
    visitor, support = await visit(LI, language), await visit(SUPPORT, language)
    refund, listed = await visitor.see(page_of(refund_id)), await visitor.see("/operations/refunds")
    for page, times in ((refund, 2), (listed, 1), (await support.see(f"/support/tickets/{ticket}"), 2)):
        assert page.text.count(words) == page.text.count("payment_method_closed") == times


async def test_what_this_service_wrote_itself_is_said_once_in_the_list(market: Marketplace, visit: Visit) -> None:
    refund_id = await refunding(market, "A-1")
    await hears(market, refund_id, RefundResult(RefundResultKind.UNKNOWN, ASKED_BEFORE))
    visitor = await visit(LI, "zh-CN")
    refund, listed = await visitor.see(page_of(refund_id)), await visitor.see("/operations/refunds")
    assert ASKED_BEFORE in refund.text, "the original stands on the refund's own page"
    assert ASKED_BEFORE not in listed.text and "asked for once" not in listed.text


async def test_a_refund_whose_call_was_lost_says_what_to_do_and_what_was_seen(
    market: Marketplace, visit: Visit
) -> None:
    service, calls = market.service, market.service.platforms.calls
    assert isinstance(calls, PostgresPlatformCalls)
    refund_id = await refunding(market, "A-1")
    await hears(market, refund_id, UNKNOWN)
    visitor, now = await visit(LI), service.clock()
    ref = RefundRef(lane_of_id(refund_id), refund_id)
    found = await read_refund(service.store, ref, service.manual_payment_rules)
    assert found is not None
    attempt_id = found.attempts[0].attempt_id
    await calls.begin("simulator", "A-1", attempt_id, now - LOST_AFTER + timedelta(minutes=1))
    page, listed = await visitor.see(page_of(refund_id)), await visitor.see("/operations/refunds")
    assert "jitui platform resolve" not in page.text, "it may still be answered"
    assert "Look at the payment's gateway" not in listed.text
    await calls.withdraw(attempt_id)
    await calls.begin("simulator", "A-1", attempt_id, now - LOST_AFTER)
    page, listed = await visitor.see(page_of(refund_id)), await visitor.see("/operations/refunds")
    assert f"jitui platform resolve {refund_id} --not-made" in page.text and "the answer was lost" in page.text
    assert "The worker asks the provider" not in page.text
    assert "Look at the payment's gateway" in listed.text
    done = await resolve_lost_call(service.store, calls, ref, made=True, note="R-7731 there", by="wei", now=now)
    assert done is None
    page = await visitor.see(page_of(refund_id))
    assert "jitui platform resolve" not in page.text
    assert "The refund was made. R-7731 there" in page.text and "wei" in page.text


async def test_a_refund_is_settled_with_evidence_and_typing_errors_keep_what_was_typed(
    market: Marketplace, visit: Visit
) -> None:
    refund_id = await failed(market, "A-1")
    visitor = await visit(LI)
    for changed, said in (
        ({"reference": "BANK 7"}, "payment's own number"),
        ({"amount": "1e9"}, "Please enter the amount"),
        ({"note": ""}, "Please write a note"),
        ({"amount": "12.90"}, "This is not the amount of the refund."),
    ):
        page = await act(visitor, refund_id, "settle", **{**PAID, **changed})
        assert page is not None and said in page.text
        typed = page.form(f"{page_of(refund_id)}/settle").fields
        expected = {**PAID, **changed}
        assert {name: typed[name] for name in ("reference", "amount", "note")} == {
            name: expected[name] for name in ("reference", "amount", "note")
        }
    assert (await read(market, refund_id)).settlement is None
    assert await act(visitor, refund_id, "settle", **PAID) is None
    settled = await read(market, refund_id)
    assert settled.settlement is not None and settled.settlement.by == "li.na"
    page = await visitor.see(page_of(refund_id))
    assert "An operator settled it by hand" in page.text and "BANK-7" in page.text
    assert forms_of(page) == set()


async def test_above_the_limit_another_person_confirms_or_rejects(market: Marketplace) -> None:
    refund_id = await failed(market, "A-1", minor=29900)
    strict = replace(market.service, settings=replace(market.service.settings, settle_alone_up_to=()))
    console = console_app(strict, one_click=True)
    async with visiting(console, LI) as first, visiting(console, WANG) as second:
        await above_the_limit(market, refund_id, first, second)


async def above_the_limit(market: Marketplace, refund_id: UUID, first: Visitor, second: Visitor) -> None:
    assert "This amount takes two" in (await first.see(page_of(refund_id))).text
    assert await act(first, refund_id, "settle", **{**PAID, "amount": "299.00"}) is None
    mine = await first.see(page_of(refund_id))
    assert "another person confirms it" in mine.text
    assert forms_of(mine) == {"reject"}
    form = (await second.see(page_of(refund_id))).form(f"{page_of(refund_id)}/confirm").fields
    refused = await send(first, refund_id, "confirm", {**await own_fields(first, refund_id, form), "confirmed": "yes"})
    assert refused is not None and "Another person must confirm this." in refused.text
    stale = await send(second, refund_id, "confirm", {**form, "proposed": "BANK-8", "confirmed": "yes"})
    assert stale is not None and STALE in stale.text
    assert await act(second, refund_id, "reject", note="Unknown there.", confirmed="yes") is None
    assert (await read(market, refund_id)).proposal is None
    assert await act(second, refund_id, "settle", **{**PAID, "amount": "299.00"}) is None
    assert await act(first, refund_id, "confirm", confirmed="yes") is None
    settled = (await read(market, refund_id)).settlement
    assert settled is not None and (settled.by, settled.confirmed_by) == ("wang.wei", "li.na")


async def own_fields(visitor: Visitor, refund_id: UUID, form: dict[str, str]) -> dict[str, str]:
    """The same form with this visitor's own token."""
    return {**form, "_csrf_token": (await visitor.see("/policy")).form("/preferences").fields["_csrf_token"]}


async def test_a_stale_page_says_how_it_stands_and_keeps_what_was_typed(market: Marketplace, visit: Visit) -> None:
    refund_id = await failed(market, "A-1")
    slow, quick = await visit(LI), await visit(WANG)
    seen = (await slow.see(page_of(refund_id))).form(f"{page_of(refund_id)}/settle").fields
    seen_retry = (await slow.see(page_of(refund_id))).form(f"{page_of(refund_id)}/retry").fields
    assert await act(quick, refund_id, "retry", confirmed="yes") is None
    page = await send(slow, refund_id, "settle", {**seen, **PAID})
    assert page is not None and STALE in page.text and "It waits for a worker" in page.text
    assert "What you wrote" in page.text and "BANK-7" in page.text and "By hand." in page.text
    await hears(market, refund_id)
    page = await send(slow, refund_id, "retry", {**seen_retry, "confirmed": "yes"})
    assert page is not None and STALE in page.text, "it failed again: that is another attempt than the one seen"
    assert (await read(market, refund_id)).state is RefundState.FAILED


@pytest.mark.parametrize(
    ("result", "said"),
    [(None, "It is being sent"), (PENDING, "has accepted it"), (UNKNOWN, "The provider may have paid it")],
)
async def test_what_is_under_way_is_left_alone(market: Marketplace, visit: Visit, result: object, said: str) -> None:
    refund_id = await refunding(market, "A-1")
    if result is None:
        now = market.service.clock()
        await market.service.store.claim_refunds(now=now, lease_until=now, limit=9)
    else:
        await hears(market, refund_id, result)  # type: ignore[arg-type]
    page = await (await visit(LI)).see(page_of(refund_id))
    assert said in page.text
    assert forms_of(page) == set()


async def test_risk_support_and_auditors_read_and_change_nothing(market: Marketplace, visit: Visit) -> None:
    refund_id = await failed(market, "A-1")
    await enrolled(market)
    for person, ledger in ((ADA, False), (SUPPORT, True), (AUDITOR, True)):
        visitor = await visit(person)
        page = await visitor.see(page_of(refund_id))
        assert forms_of(page) == set()
        assert "an operator acts on it" in page.text
        assert ("In the ledger" in page.text) is ledger
    assert (await visitor.get(page_of(uuid4()))).status_code == 404


async def test_a_form_that_is_not_ours_is_refused(market: Marketplace, visit: Visit) -> None:
    refund_id = await failed(market, "A-1")
    visitor = await visit(LI)
    form = (await visitor.see(page_of(refund_id))).form(f"{page_of(refund_id)}/retry").fields
    for changed in ({"attempt": "x"}, {"attempt": ""}, {"state": "x"}):
        done = await visitor.post(f"{page_of(refund_id)}/retry", {**form, "confirmed": "yes", **changed})
        assert done.status_code == 400, changed
    done = await visitor.post(f"{page_of(refund_id)}/burn", {**form, "confirmed": "yes"})
    assert done.status_code == 404
    done = await visitor.post(f"{page_of(uuid4())}/retry", {**form, "confirmed": "yes"})
    assert done.status_code == 404
    assert (await read(market, refund_id)).state is RefundState.FAILED
