"""The client against the running service on PostgreSQL: lost answers, limits, a database that is away, wrong keys."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from jitui.client import Answered, AsyncClient, Client, Limits, NoAnswer, Problem, Refused, api
from tests.client.service import cutting, serving
from tests.http.api import BUYER, SHOP, open_api

PATIENT = Limits(tries=40, timeout_seconds=20, give_up_after_seconds=60)
AT = datetime(2026, 6, 1, 11, tzinfo=UTC)


@dataclass(frozen=True)
class Service:
    address: str
    database_url: str
    platform: str
    shop: str
    buyer: str


@pytest.fixture(scope="module")
def service(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("service")

    async def prepare() -> tuple[str, str, str]:
        async with open_api(module_database_url, home=home) as opened:
            return opened.platform, opened.shop, opened.buyer

    keys = asyncio.run(prepare())
    with serving(module_database_url, home, rate_per_key=500) as address:
        yield Service(address, module_database_url, *keys)


def put_order(jitui: Client, order_id: str) -> None:
    """A paid order of the buyer whose small orders are refunded at once."""
    line = api.LineSent(line_id="l1", sku="k", item_id="i", quantity=1, paid=api.Money(12900, "CNY"))
    order = api.OrderSent(buyer_id=BUYER, shop_id=SHOP, currency="CNY", placed_at=AT, lines=[line])
    assert jitui.send(api.put_an_order(order_id, order)).created
    payment = api.PaymentSent(
        tender_id="t1",
        provider="simulator",
        payment_id=f"pay-{order_id}",
        amount=api.PositiveMoney(12900, "CNY"),
        captured_at=AT,
    )
    assert jitui.send(api.record_payment(order_id, payment)).paid == api.Amount(12900, "CNY")


def ask(order_id: str) -> api.RefundRequestSent:
    return api.RefundRequestSent(order_id=order_id, buyer_id=BUYER, reason=api.Reason.NO_LONGER_WANTED)


def tickets(service: Service, order_id: str) -> list[api.TicketRow]:
    with Client(service.address, service.platform) as jitui:
        return list(jitui.each(api.list_tickets(order_id=order_id, limit=1)))


# A lost answer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_bytes", [0, 30, 700], ids=["before it", "in its head", "in its body"])
def test_an_answer_that_is_cut_after_the_commit_leaves_one_ticket(service: Service, after_bytes: int) -> None:
    order_id = f"o-cut-{after_bytes}"
    with Client(service.address, service.platform) as jitui:
        put_order(jitui, order_id)
    with cutting(service.address, after_bytes=after_bytes, cuts=2) as (address, cutter):
        with Client(address, service.platform) as jitui:
            outcome = jitui.outcome(api.ask_for_a_refund(ask(order_id)))
        assert cutter.taken == 3
    assert isinstance(outcome, Answered) and outcome.replayed and outcome.status == 201
    (ticket,) = tickets(service, order_id)
    assert (ticket.ticket_id, ticket.order_id) == (outcome.value.ticket.ticket_id, order_id)


async def test_an_answer_that_is_cut_leaves_one_ticket_with_asyncio_too(service: Service) -> None:
    with Client(service.address, service.platform) as jitui:
        put_order(jitui, "o-async")
    with cutting(service.address) as (address, cutter):
        async with AsyncClient(address, service.platform) as jitui_async:
            outcome = await jitui_async.outcome(api.ask_for_a_refund(ask("o-async")))
        assert cutter.taken == 2
    assert isinstance(outcome, Answered) and outcome.replayed
    assert len(tickets(service, "o-async")) == 1


def test_a_call_that_was_given_up_is_the_same_call_when_it_is_sent_again(service: Service) -> None:
    with Client(service.address, service.platform) as jitui:
        put_order(jitui, "o-again")
    call = api.ask_for_a_refund(ask("o-again"))
    with (
        cutting(service.address, cuts=100) as (address, _),
        Client(address, service.platform, limits=Limits(tries=2)) as jitui,
        pytest.raises(NoAnswer) as lost,
    ):
        jitui.send(call)
    assert lost.value.may_be_done
    with Client(service.address, service.platform) as jitui:
        outcome = jitui.outcome(call)
        another = jitui.outcome(api.ask_for_a_refund(ask("o-again")))
    assert isinstance(outcome, Answered) and outcome.replayed
    assert isinstance(another, Problem) and another.kind in (
        "refund-in-progress",
        "too-many-requests",
        "nothing-to-refund",
    )
    assert len(tickets(service, "o-again")) == 1


def test_what_may_not_be_repeated_is_not(service: Service) -> None:
    call = api.create_webhook_endpoint(api.EndpointSent(url="https://shop.example/cut"))
    with cutting(service.address, cuts=100) as (address, cutter):
        with Client(address, service.platform) as jitui, pytest.raises(NoAnswer) as lost:
            jitui.send(call)
        assert (cutter.taken, lost.value.may_be_done) == (1, True)


# Limits and outages --------------------------------------------------------------------------------------------------


def test_a_limit_is_waited_for(module_database_url: str, service: Service, tmp_path: Path) -> None:
    with serving(module_database_url, tmp_path, rate_per_key=3) as address:
        with Client(address, service.platform, limits=Limits(tries=1)) as hasty:
            outcomes = [hasty.outcome(api.list_pauses()) for _ in range(20)]
        limited = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
        assert {(one.kind, one.status, one.request_id != "") for one in limited} == {("rate-limited", 429, True)}
        assert all((one.retry_after_seconds or 0) >= 1 for one in limited)
        with Client(address, service.platform) as jitui:
            assert [jitui.send(api.list_pauses()).pauses for _ in range(8)] == [()] * 8


def test_a_database_that_is_away_for_a_moment_is_waited_for(service: Service, server_url: str) -> None:
    with Client(service.address, service.platform, limits=PATIENT) as jitui:
        put_order(jitui, "o-away")
        with psycopg.connect(server_url, autocommit=True) as connection:
            _open_for_connections(connection, service.database_url, False)
            with Client(service.address, service.platform, limits=Limits(tries=1)) as hasty:
                refused = hasty.outcome(api.get_order("o-away"))
            assert isinstance(refused, Problem) and (refused.status, refused.kind) == (503, "unavailable")
            opener = threading.Timer(1.5, _open_for_connections, (connection, service.database_url, True))
            opener.start()
            decided = jitui.send(api.ask_for_a_refund(ask("o-away")))
            opener.join()
    assert decided.ticket.order_id == "o-away"
    assert len(tickets(service, "o-away")) == 1


def _open_for_connections(connection: psycopg.Connection, url: str, is_open: bool) -> None:
    name = urlsplit(url).path.removeprefix("/")
    wanted = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(is_open))
    connection.execute(wanted)
    if not is_open:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        time.sleep(0.1)


# Refusals ------------------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_refused_at_once_with_the_request_id(service: Service) -> None:
    with Client(service.address, "jt_none_such") as jitui, pytest.raises(Refused) as refused:
        jitui.send(api.list_pauses())
    problem = refused.value.problem
    assert (problem.kind, problem.status) == ("unauthenticated", 401)
    assert problem.request_id and problem.request_id in str(refused.value)


def test_a_key_of_another_scope_and_what_is_not_there(service: Service) -> None:
    with Client(service.address, service.buyer) as jitui:
        outcomes = [jitui.outcome(call) for call in (api.list_pauses(), api.get_order("o-nobody's"))]
    assert [outcome.kind for outcome in outcomes if isinstance(outcome, Problem)] == ["scope-not-allowed", "not-found"]


def test_all_faults_of_a_body_are_told(service: Service) -> None:
    with Client(service.address, service.platform) as jitui:
        outcome = jitui.outcome(api.restrict_buyer(api.RestrictionSent(buyer_id="a b", reason="")))
    assert isinstance(outcome, Problem) and outcome.kind == "invalid-request"
    assert {outcome.path, *(fault.path for fault in outcome.errors)} >= {"buyer_id"}


# A whole way through -------------------------------------------------------------------------------------------------


def test_a_ticket_from_the_ask_to_the_feed(service: Service) -> None:
    with Client(service.address, service.platform) as platform, Client(service.address, service.shop) as shop:
        put_order(platform, "o-way")
        before = [event.position for event in shop.each(api.list_changes())][-1:]
        decided = platform.send(api.ask_for_a_refund(ask("o-way")))
        ticket = platform.send(api.get_ticket(decided.ticket.ticket_id))
        assert ticket == decided.ticket
        decision = platform.send(api.get_decision(ticket.ticket_id))
        assert decision.policy.policy_id == "unshipped-instant-refund"
        stale = platform.outcome(api.withdraw_ticket(ticket.ticket_id, version=ticket.version + 1))
        assert isinstance(stale, Problem) and stale.status in (409, 412)
        kinds = [event.kind for event in shop.each(api.list_changes()) if event.order_id == "o-way"]
        assert kinds and before is not None


def test_a_feed_is_followed_from_where_one_was(service: Service) -> None:
    with Client(service.address, service.platform) as jitui:
        put_order(jitui, "o-feed")
        pages = list(jitui.pages(api.list_changes(limit=2)))
        first = next(jitui.follow(api.list_changes(limit=2)))
        second = next(jitui.follow(api.list_changes(limit=2, after=first.next)))
        assert (first.changes, second.changes) == (pages[0].changes, pages[1].changes)


@pytest.mark.parametrize("ref", ["..", "?shop=1", "单%2F1"], ids=ascii)
def test_a_place_with_an_odd_id_is_paused_and_let_go_on(service: Service, ref: str) -> None:
    with Client(service.address, service.platform) as jitui:
        paused = jitui.send(api.set_pause(api.PauseSent(scope=api.Scope.ITEM, ref=ref, reason="recalled")))
        assert paused in jitui.send(api.list_pauses()).pauses
        jitui.send(api.lift_pause("item", ref))
        assert jitui.send(api.list_pauses()).pauses == ()
        again = jitui.outcome(api.lift_pause("item", ref))
    assert isinstance(again, Problem) and again.kind == "not-found"


# The how-to page -----------------------------------------------------------------------------------------------------


def test_the_programs_of_the_page_print_what_it_says(service: Service) -> None:

    page = (Path(__file__).parents[2] / "docs" / "how-to" / "use-the-client.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```python\n(.*?)^```\n\n(?:.*?)^```\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    assert len(programs) == 2
    environment = {"PATH": os.environ["PATH"], "JITUI_URL": service.address, "JITUI_KEY": service.platform}
    for program, printed in programs:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == (printed, "")
