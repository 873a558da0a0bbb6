"""`jitui demo`: a complete installation on this machine, a day of requests, and a check of the results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import aiohttp
import msgspec

from jitui.adapters import embedded_postgres
from jitui.adapters.postgres.migrate import upgrade
from jitui.bootstrap import Service, install_policy, open_service
from jitui.demo.audit import Findings, audit
from jitui.demo.balance import ask_again, lift_balances
from jitui.demo.furnish import furnish
from jitui.demo.home import DemoProcesses, Home, State, free_port, opened_home, own_database, write_exports, write_json
from jitui.demo.marketplace import CURRENCY, EventKind, Marketplace, PlannedOrder, generate
from jitui.demo.play import Day, play
from jitui.demo.stock import (
    DemoKeys,
    capture_at_provider,
    enrol_people,
    issue_keys,
    open_instantly,
    sample_people,
    stock,
)
from jitui.demo.summary import DaySummary, on_the_way, summarise, why_not_final
from jitui.errors import Unavailable
from jitui.identity.people import Person
from jitui.provider_simulator import new_webhook_secret
from jitui.settings import LogLevel, Settings, environment_for

DEFAULT_SEED = 7
START_SECONDS = 60
SETTLE_SECONDS = 120
BUYERS_WITH_KEYS = 40
ORDERS_TRIED = 25
LATENCY_MS = 15.0
RATE_PER_KEY = 100_000
"""All requests of a platform come with one key, as fast as this machine can."""
FAULTS = (
    "pending_then_succeeded=0.06,paid_then_504=0.02,paid_then_closed=0.02,paid_then_500=0.01,"
    "webhook_duplicate=0.05,webhook_late=0.05,webhook_out_of_order=0.02"
)
"""The provider's faults on this day: none that ends a refund for good, all that could pay it twice."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The options of the command line."""

    orders: int = 2_000
    seed: int | None = None
    fresh: bool = False


class Watcher(Protocol):
    """Is told how far a run is."""

    def say(self, text: str) -> None: ...

    def counting(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """What a person can try on the running demo."""

    platform_key: str
    shop_id: str
    shop_key: str
    buyer_id: str
    buyer_key: str
    order_id: str
    ticket_id: str


@dataclass(frozen=True, slots=True)
class Played:
    """The result of a day; `unexpected` has responses that no race explains, `session` is the file for shells."""

    seed: int
    day: int
    orders: int
    seconds: float
    base_url: str
    database_url: str
    summary: DaySummary
    findings: Findings
    outcomes: dict[str, int]
    unexpected: tuple[str, ...]
    sample: Sample
    session: Path


@dataclass(frozen=True, slots=True)
class _Site:
    """The running installation."""

    settings: Settings
    home: Home
    state: State
    children: DemoProcesses
    database_url: str
    base_url: str
    simulator_url: str


@contextmanager
def running_demo(settings: Settings, options: DemoOptions, watcher: Watcher) -> Iterator[tuple[Played, DemoProcesses]]:
    """Start everything, play a day, wait until every approved refund is final, and check the result.

    Everything stops at the end of the block. Raises Unavailable when a part does not start or dies, or when refunds are
    not final in time.
    """
    begun = time.monotonic()
    with opened_home(settings.home / "demo", fresh=options.fresh) as home, _server(settings) as server_url:
        database_url = own_database(server_url, fresh=options.fresh)
        upgrade(database_url, single_person=True)
        state = home.read_state() or State(options.seed or DEFAULT_SEED, webhook_secret=new_webhook_secret())
        state.seed = state.seed if options.seed is None else options.seed
        state.day += 1
        home.write_state(state)
        children = DemoProcesses(home)
        try:
            site = _start(settings, home, state, children, database_url)
            yield asyncio.run(_one_day(site, options, watcher, begun)), children
        finally:
            children.stop()


@contextmanager
def _server(settings: Settings) -> Iterator[str]:
    if settings.database_url is not None:
        yield settings.database_url
        return
    with embedded_postgres.running(settings.embedded_folder) as server:
        yield server.url


def _start(settings: Settings, home: Home, state: State, children: DemoProcesses, database_url: str) -> _Site:
    """Start simulator, API and worker, each as a process."""
    port, simulator_port = free_port(settings.port), free_port(0)
    base_url, simulator_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{simulator_port}"
    theirs = replace(
        settings,
        database_url=database_url,
        host="127.0.0.1",
        port=port,
        simulator_url=simulator_url,
        simulator_key=state.simulator_key,
        simulator_webhook_secret=state.webhook_secret,
        log_level=LogLevel.WARNING,
        rate_per_key=RATE_PER_KEY,
    )
    environment = environment_for(theirs)
    simulator = {
        "books": str(home.books),
        "api_key": state.simulator_key,
        "port": simulator_port,
        "webhook_url": f"{base_url}/v1/notifications/simulator",
        "webhook_secret": state.webhook_secret,
        "latency_ms": LATENCY_MS,
        "latency_jitter_ms": LATENCY_MS * 0.8,
        "faults": f"seed:{state.seed}:{FAULTS}",
    }
    cli = "jitui.entrypoints.cli"
    children.start(
        "simulator", "jitui.provider_simulator", environment=environment, stdin=msgspec.json.encode(simulator)
    )
    children.start("api", cli, ("serve", "--sample-people"), environment=environment)
    children.start("worker", cli, ("worker",), environment=environment, is_kept=True)
    return _Site(theirs, home, state, children, database_url, base_url, simulator_url)


# The day ---------------------------------------------------------------------------------------------------------


async def _one_day(site: _Site, options: DemoOptions, watcher: Watcher, begun: float) -> Played:
    now = datetime.now(UTC)
    market = generate(seed=site.state.seed, orders=options.orders, ends_at=now, day=site.state.day)
    people = sample_people(market)
    async with open_service(site.settings, site.database_url) as service:
        await install_policy(service)
        await enrol_people(service, people, now=now)
        keys = await issue_keys(service, market, _with_keys(market, people), now=now)
        with watcher.counting("History of the buyers", len(market.buyers)) as advance:
            stocking = stock(service, market, now=now, advance=advance)
            await asyncio.gather(stocking, _announced(site, watcher, begun))
        await _without_bounds(site, watcher)
        await _worker_ready(site, service, now)
        await capture_at_provider(site.simulator_url, site.state.simulator_key, market)
        day = Day(market, site.base_url, keys)
        since = service.clock()
        with watcher.counting("Playing the day", len(market.events)) as advance:
            await play(day, advance)
        await furnish(service, market, people)
        await _settled(site, watcher)
    findings = await audit(site.database_url, site.simulator_url, site.state.simulator_key)
    sample = await _sample(site, day, people)
    played = Played(
        seed=site.state.seed,
        day=site.state.day,
        orders=len(market.orders),
        seconds=round(time.monotonic() - begun, 1),
        base_url=site.base_url,
        database_url=site.database_url,
        summary=summarise(site.database_url, since, CURRENCY),
        findings=findings,
        outcomes=dict(sorted(day.outcomes.items())),
        unexpected=tuple(day.unexpected),
        sample=sample,
        session=site.home.session,
    )
    _write_people(site, people, sample)
    return played


def _with_keys(market: Marketplace, people: Sequence[Person]) -> list[str]:
    """The buyers who get API keys: some of those with requests, and all sample people."""
    orders = {order.order_id: order.buyer_id for order in market.orders}
    asking = [orders[event.order_id] for event in market.events if event.kind is EventKind.ASK]
    named = [person.subject_id for person in people if person.role.value == "buyer"]
    return list(dict.fromkeys([*named, *asking]))[:BUYERS_WITH_KEYS]


async def _announced(site: _Site, watcher: Watcher, begun: float) -> None:
    """Announce that the API and the simulator answer, so that people can look around."""
    deadline = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession() as client:
        for url in (f"{site.simulator_url}/health", f"{site.base_url}/healthz"):
            while not await _answers(client, url):
                await _wait(site, deadline, url)
    watcher.say(f"The service is up at {site.base_url} after {time.monotonic() - begun:.0f} s.")


async def _without_bounds(site: _Site, watcher: Watcher) -> None:
    """The simulator's books keep a bound of `PUT /balance` over a restart; the refunds of the day would wait for it."""
    bounded = await lift_balances(site.simulator_url, site.state.simulator_key)
    if bounded:
        ask_again(site.database_url)
        watcher.say(
            f"The simulator still bounded the merchant's balance in {', '.join(bounded)}, by a PUT /balance of an"
            " earlier run. The demo has taken the bound away, so that its refunds are paid."
        )


async def _worker_ready(site: _Site, service: Service, since: datetime) -> None:
    """Wait until the worker has rolled up usage; without that nothing is approved at once."""
    deadline = time.monotonic() + START_SECONDS
    while (rolled := (await service.queries.health(service.clock())).usage_as_of) is None or rolled < since:
        await _wait(site, deadline, "The worker")


async def _answers(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _wait(site: _Site, deadline: float, what: str) -> None:
    site.children.check()
    if time.monotonic() > deadline:
        raise Unavailable(f"{what} did not get ready within {START_SECONDS} s; see {site.home.logs}.")
    await asyncio.sleep(0.05)


async def _settled(site: _Site, watcher: Watcher) -> None:
    """Wait until every approved refund is final. Raises Unavailable when that takes too long."""
    deadline = time.monotonic() + SETTLE_SECONDS
    left = on_the_way(site.database_url)
    with watcher.counting("Refunds on their way", left) as advance:
        while left:
            site.children.check()
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{left} refunds are not final after {SETTLE_SECONDS} s ({why_not_final(site.database_url)});"
                    f" see {site.home.logs}."
                )
            await asyncio.sleep(0.1)
            before, left = left, on_the_way(site.database_url)
            advance(before - left)


# What to try -----------------------------------------------------------------------------------------------------


async def _sample(site: _Site, day: Day, people: Sequence[Person]) -> Sample:
    """Keys of the platform, a shop and a buyer, and an order of this buyer that would be refunded at once."""
    order = await _instant_order(site, day, people[0].subject_id) or day.market.orders[0]
    keys: DemoKeys = day.keys
    buyer_id = order.buyer_id if order.buyer_id in keys.buyers else next(iter(keys.buyers))
    ticket = next(iter(day.tickets.values()), None)
    return Sample(
        platform_key=keys.platform,
        shop_id=order.shop_id,
        shop_key=keys.shops[order.shop_id],
        buyer_id=buyer_id,
        buyer_key=keys.buyers[buyer_id],
        order_id=order.order_id,
        ticket_id=ticket.ticket_id if ticket is not None else "",
    )


async def _instant_order(site: _Site, day: Day, first_buyer: str) -> PlannedOrder | None:
    """An order that the service would refund at once; it is asked by a dry run."""
    open_orders = [order for order in open_instantly(day.market) if order.buyer_id in day.keys.buyers]
    open_orders.sort(key=lambda order: order.buyer_id != first_buyer)
    async with aiohttp.ClientSession() as client:
        for order in open_orders[:ORDERS_TRIED]:
            headers = {"authorization": f"Bearer {day.keys.buyers[order.buyer_id]}"}
            body = {"order_id": order.order_id}
            async with client.post(f"{site.base_url}/v1/eligibility", json=body, headers=headers) as response:
                if response.status == 200 and (await response.json()).get("outcome") == "instant":
                    return order
    return None


def _write_people(site: _Site, people: Sequence[Person], sample: Sample) -> None:
    write_json(
        site.home.people,
        {
            "start_page": f"{site.base_url}/",
            "people": [
                {"name": one.name, "role": one.role, "subject_id": one.subject_id, "display_name": one.display_name}
                for one in people
            ],
            "keys": sample,
        },
    )
    write_exports(
        site.home.session,
        {
            "JITUI": site.base_url,
            "PLATFORM_KEY": sample.platform_key,
            "SHOP": sample.shop_id,
            "SHOP_KEY": sample.shop_key,
            "BUYER": sample.buyer_id,
            "BUYER_KEY": sample.buyer_key,
            "ORDER": sample.order_id,
            "TICKET": sample.ticket_id,
            "DEMO_DATABASE_URL": site.database_url,
        },
    )
