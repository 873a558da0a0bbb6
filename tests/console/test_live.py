"""The live page: figures of the service that follow it, read once for all who look, until their session ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from jitui.adapters.platforms.kuaishou import requests as kuaishou
from jitui.adapters.platforms.medusa import orders as medusa
from jitui.adapters.platforms.saleor import orders as saleor
from jitui.adapters.platforms.shopify import orders as shopify
from jitui.adapters.platforms.vendure import orders as vendure
from jitui.adapters.platforms.woocommerce import orders as woocommerce
from jitui.aftersales.operations.platform_connections import LATE, PlatformConnection
from jitui.aftersales.operations.platform_sync import SyncState
from jitui.aftersales.operations.workers import WorkerBeat
from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble
from jitui.aftersales.queries import OperationsState, ProviderTroubleSeen
from jitui.entrypoints.console.mount import console_app
from jitui.entrypoints.console.operations import live as live_page
from jitui.entrypoints.console.operations.live_figures import EVERY_SECONDS, LiveReader
from jitui.entrypoints.console.words.platforms import headline_of
from jitui.entrypoints.http.request import Stopping
from jitui.errors import Unavailable
from tests.console.conftest import Visit
from tests.console.marketplace import Marketplace
from tests.console.operators import AUDITOR, LI, SUPPORT, failed, refunding, staffed
from tests.console.pages import Page, visiting

PROBLEMS = (
    kuaishou.problem_of,
    medusa.problem_of,
    saleor.problem_of,
    shopify.problem_of,
    vendure.problem_of,
    woocommerce.problem_of,
)


@pytest.fixture(autouse=True)
async def _staff(market: Marketplace) -> None:
    await staffed(market)


async def busy(market: Marketplace) -> None:
    """A refund that failed, one that waits, and a worker that cannot reach its provider."""
    await failed(market, "A-1")
    await refunding(market, "A-2")
    now = market.service.clock()
    trouble = {"simulator": ProviderTroubleSeen("unreachable", "connection refused", now)}
    await market.service.workers.beat(WorkerBeat("w-1", now, ("simulator",), trouble))


async def test_the_page_shows_the_service_without_scripts(market: Marketplace, visit: Visit) -> None:
    await busy(market)
    page = await (await visit(LI)).see("/operations/live")
    for said in (
        "Requests in the last hour 2",
        "Of these, approved at once 2 100%",
        "Money approved at once CN¥258.00",
        "There is no connection",
        "connection refused",
        "Refused by the provider 1",
        "Queued 1",
        "Workers at work: 1",
        "A provider cannot be worked with",
        "Open tasks: 1",
        "Refunds may be paid",
    ):
        assert said in page.text, (said, page.text)
    links = [given.get("href") for tag, given in page.tags if tag == "a"]
    assert "/operations/refunds?state=failed&provider=simulator" in links
    assert [given["data-live"] for _, given in page.tags if "data-live" in given] == ["/operations/live/events"]


async def test_commerce_platforms_are_shown_with_what_keeps_them_from_being_read(
    market: Marketplace, visit: Visit
) -> None:
    service, now = market.service, market.service.clock()
    before = await (await visit(LI)).see("/operations/live")
    assert "Commerce platforms" not in before.text
    connections, states = service.platforms.connections, service.platforms.states
    for name in ("medusa", "vendure", "woocommerce"):
        url = f"https://{name}.example.com"
        await connections.put(PlatformConnection(name, url, "/secret/key", "my-shop", False, now, "wei"))
    await states.note("medusa", SyncState(None, now - timedelta(seconds=20)))
    await states.note(
        "vendure", SyncState(None, now - timedelta(seconds=20), "Vendure does not take the key, or it lacks rights.")
    )
    service = replace(service, providers={**service.providers, "vendure": service.providers["simulator"]})
    await states.note("woocommerce", SyncState(None, now - LATE - timedelta(seconds=1)))
    async with visiting(console_app(service, one_click=True), LI) as visitor:
        page = await visitor.see("/operations/live")
    for said in (
        "medusa · my-shop No trouble Address https://medusa.example.com Last read to its end 2",
        "vendure · my-shop It does not take our key Vendure does not take the key, or it lacks rights.",
        "woocommerce · my-shop Not read in time",
    ):
        assert said in page.text, (said, page.text)
    assert "/secret" not in page.text
    assert "vendure It cannot be read State" in page.text, "as a provider it has no better news"


@pytest.mark.parametrize(
    ("problem", "headline"),
    [
        *((of(CallFailed("it said: does not answer", CallTrouble.UNAUTHORISED)), "our key") for of in PROBLEMS),
        *((of(CallFailed("it said: does not take the ", CallTrouble.UNREACHABLE)), "not answer") for of in PROBLEMS),
        *((of(CallFailed("x", CallTrouble.UNREADABLE)), "not this platform") for of in PROBLEMS),
        ("The file with the key of saleor cannot be read, or is empty: /key.", "cannot be opened"),
        ("Saleor's list of orders has more than 9 pages.", "cannot be read"),
    ],
)
def test_what_an_adapter_says_has_a_headline_that_is_translated(problem: str, headline: str) -> None:
    assert headline in headline_of(problem)


async def test_the_same_is_sent_as_events(market: Marketplace) -> None:
    await busy(market)
    console = console_app(market.service, one_click=True, live_for=timedelta())
    async with visiting(console, AUDITOR) as visitor:
        answer = await visitor.get("/operations/live/events")
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        lines = answer.text.splitlines()
        assert lines[0] == "event: figures"
        sent = Page("\n".join(line.removeprefix("data: ") for line in lines if line.startswith("data: ")))
        shown = await visitor.see("/operations/live")
    ids = [given["id"] for tag, given in sent.tags if tag == "section"]
    assert ids == [given["id"] for tag, given in shown.tags if tag == "section"]
    assert ids == ["live-state", "live-hour", "live-providers", "live-caps", "live-guards"]
    assert "connection refused" in sent.text


@dataclass
class CountingQueries:
    """Counts one of the queries, and can be away."""

    inner: Any
    asked: int = 0
    away: bool = False

    async def operations(self, now: datetime) -> OperationsState:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.away:
            raise Unavailable("The database does not answer.")
        found: OperationsState = await self.inner.operations(now)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


async def test_many_who_look_ask_the_database_once(market: Marketplace) -> None:
    seconds = 100.0
    queries = CountingQueries(market.service.queries)
    service = replace(market.service, queries=queries)
    reader = LiveReader(seconds=lambda: seconds)
    await refunding(market, "A-1")
    found = await asyncio.gather(*(reader.look(service) for _ in range(5)))
    assert queries.asked == 1
    assert {one.requests for one in found} == {1}
    seconds += EVERY_SECONDS - 0.1
    await reader.look(service)
    assert queries.asked == 1
    seconds += 0.1
    await reader.look(service)
    assert queries.asked == 2
    seconds, queries.away = seconds + EVERY_SECONDS, True
    away = await reader.look(service)
    assert (away.requests, away.open_tasks) == (1, 0), "what was read last stays"
    assert away.read_at == (await reader.look(service)).read_at


async def test_the_session_and_the_role_are_looked_at_again(market: Marketplace) -> None:
    async with visiting(console_app(market.service, one_click=True), LI) as visitor:
        token = visitor.http.cookies["jitui_session"]
        people, now = market.service.people, market.service.clock()
        assert await live_page.still_may(market.service, token)
        await people.end_sessions(LI.name, None, by="ops", now=now)
        assert not await live_page.still_may(market.service, token)
        assert (await visitor.get("/operations/live/events")).status_code == 303
    async with visiting(console_app(market.service, one_click=True), SUPPORT) as visitor:
        assert not await live_page.still_may(market.service, visitor.http.cookies["jitui_session"])


async def test_the_end_of_a_session_is_told_and_nothing_follows(market: Marketplace) -> None:
    assert await events_of(market, timedelta(minutes=1)) == ["figures", "ended"]
    assert await events_of(market, timedelta()) == ["figures"], "long enough: the browser asks again"
    stopping = Stopping()
    stopping.now()
    assert await events_of(market, timedelta(minutes=1), stopping) == ["figures"], "the process stops"


async def events_of(market: Marketplace, lasts: timedelta, stopping: Stopping | None = None) -> list[str | None]:
    """What is sent to a session that has ended, when it is looked at each time."""
    one = live_page.Following(
        market.service, "nobody's", LiveReader(), stopping or Stopping(), lasts, timedelta(), every_seconds=0.01
    )
    return [message.event async for message in live_page.follow(one, lambda figures: str(figures.requests))]
