"""The database's machine dies under load and its standby is promoted; what was answered is held to the books.

API, worker and provider are processes of their own. The service is given both servers in one URL and goes on by itself.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import msgspec
import psutil

from jitui.adapters import embedded_postgres
from jitui.adapters.embedded_postgres import EmbeddedServer, ServerOptions
from jitui.adapters.postgres.migrate import upgrade
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.governance.registry import Shop, new_selection
from jitui.aftersales.model.order import Buyer, OrderLine, Tender
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import HistoryRecord, NewOrder
from jitui.bootstrap import Service, install_policy, open_service
from jitui.demo.home import DemoProcesses, free_port, opened_home
from jitui.errors import Unavailable
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from jitui.ids import lane_of
from jitui.policy.facts import BUYER_EVENTS, SHOP_EVENTS
from jitui.settings import LogLevel, Settings, environment_for

ORDERS = 240
CLIENTS = 8
AMOUNT_MINOR = 12_900
KILLED_AFTER_SHARE = (0.2, 0.6)
"""Of the orders, how many were answered."""
PROMOTED_AFTER_SECONDS = (0.2, 3.0)
THINKING_SECONDS = (0.05, 0.25)
ANSWER_SECONDS = 10.0
PATIENCE_SECONDS = 120.0
START_SECONDS = 60.0
SMALL = ServerOptions(durable=True, shared_buffers_mb=64, max_connections=100)


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that was answered 201, at times of the monotonic clock; `sent_at` is of the try that was answered."""

    order_id: str
    ticket_id: str
    approved: bool
    sent_at: float
    answered_at: float


@dataclass(slots=True)
class FailoverReport:
    """What came of one seed; all but the counts must be empty."""

    seed: int
    asked: int = 0
    answered: int = 0
    approved: int = 0
    paid: int = 0
    seconds_to_answer: float | None = None
    seconds_to_pay: float | None = None
    missing: list[str] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)
    paid_twice: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Nothing answered is missing, everything approved was paid once, and the service went on by itself."""
        return not (self.missing or self.unpaid or self.paid_twice or self.faults)


def run_failover(seed: int, *, orders: int = ORDERS) -> FailoverReport:
    """One primary, one synchronous standby, a load, a kill and a promotion, at moments that the seed draws."""
    with _folder() as folder, _servers(folder) as (primary, standby):
        return asyncio.run(_Failover(seed, orders, folder, primary, standby).run())


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="jitui-failover-"))
    folder.chmod(0o755)  # the servers' account must reach their folders
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _servers(folder: Path) -> Iterator[tuple[EmbeddedServer, EmbeddedServer]]:
    primary = embedded_postgres.start(folder / "primary", SMALL)
    try:
        standby = embedded_postgres.start_standby(primary, folder / "standby", SMALL)
        yield primary, standby
    finally:
        for name in ("primary", "standby"):
            embedded_postgres.shut_down(folder / name)


def url_of_both(*servers: EmbeddedServer) -> str:
    """The address by which libpq finds whichever of them may be written to."""
    parts = urlsplit(servers[0].url)
    asked = [parse_qs(urlsplit(server.url).query) for server in servers]
    hosts, ports = (",".join(query[name][0] for query in asked) for name in ("host", "port"))
    query = f"host={hosts}&port={ports}&target_session_attrs=read-write"
    return parts._replace(query=query).geturl()


def kill_machine(server: EmbeddedServer) -> None:
    """Every process of the server at once, as when the power fails."""
    postmaster = psutil.Process(server.pid)
    for process in (postmaster, *postmaster.children(recursive=True)):
        process.kill()


@dataclass(slots=True)
class _Failover:
    seed: int
    orders: int
    folder: Path
    primary: EmbeddedServer
    standby: EmbeddedServer
    answered: list[Answered] = field(default_factory=list)
    kill_after: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> FailoverReport:
        draw = random.Random(self.seed)
        settings = self._settings()
        upgrade(settings.database_url or "", single_person=True)
        assert settings.database_url is not None
        report = FailoverReport(self.seed, asked=self.orders)
        with opened_home(self.folder / "home", fresh=True) as home:
            children = DemoProcesses(home)
            try:
                self._start(children, settings, str(home.books))
                async with open_service(settings, settings.database_url) as service:
                    key = await _stock(service, self.orders)
                await _pay_provider(settings, self.orders)
                await self._ready(settings)
                killed_at = await self._under_load(draw, settings, key, report)
                await self._compare(settings, killed_at, report)
            finally:
                children.stop()
        return report

    def _settings(self) -> Settings:
        return Settings(
            home=self.folder / "home",
            database_url=url_of_both(self.primary, self.standby),
            host="127.0.0.1",
            port=free_port(0),
            simulator_url=f"http://127.0.0.1:{free_port(0)}",
            simulator_key=secrets.token_urlsafe(24),
            simulator_webhook_secret="whsec_" + secrets.token_hex(16),
            log_level=LogLevel.ERROR,
            provider_timeout_seconds=3,
            worker_lease_seconds=10,
        )

    def _start(self, children: DemoProcesses, settings: Settings, books: str) -> None:
        environment = environment_for(settings)
        simulator = {
            "books": books,
            "api_key": settings.simulator_key,
            "port": urlsplit(settings.simulator_url or "").port,
            "latency_ms": 20.0,
        }
        start = msgspec.json.encode(simulator)
        children.start("simulator", "jitui.provider_simulator", environment=environment, stdin=start)
        children.start("api", "jitui.entrypoints.cli", ("serve",), environment=environment)
        children.start("worker", "jitui.entrypoints.cli", ("worker",), environment=environment)

    async def _ready(self, settings: Settings) -> None:
        """The API answers and a worker has rolled up, without which nothing is approved at once."""
        deadline = time.monotonic() + START_SECONDS
        async with aiohttp.ClientSession() as client:
            while True:
                try:
                    async with client.get(f"http://127.0.0.1:{settings.port}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                if time.monotonic() > deadline:
                    raise Unavailable(f"The service did not get ready within {START_SECONDS:.0f} s.")
                await asyncio.sleep(0.1)

    async def _under_load(self, draw: random.Random, settings: Settings, key: str, report: FailoverReport) -> float:
        self.kill_after = round(self.orders * draw.uniform(*KILLED_AFTER_SHARE))
        promote_after = draw.uniform(*PROMOTED_AFTER_SECONDS)
        left = [f"o-{number}" for number in range(self.orders)]
        async with aiohttp.ClientSession(headers={"authorization": f"Bearer {key}"}) as client:
            loads = [
                asyncio.create_task(self._client(client, settings, left, random.Random(f"{self.seed}/{number}")))
                for number in range(CLIENTS)
            ]
            await asyncio.wait([asyncio.create_task(self.enough.wait()), *loads], return_when=asyncio.FIRST_COMPLETED)
            kill_machine(self.primary)
            killed_at = time.monotonic()
            await asyncio.sleep(promote_after)
            await asyncio.to_thread(embedded_postgres.promote, self.standby)
            for done in await asyncio.gather(*loads, return_exceptions=True):
                if isinstance(done, BaseException):
                    report.faults.append(f"a client gave up: {type(done).__name__} {done}")
        return killed_at

    async def _client(
        self, client: aiohttp.ClientSession, settings: Settings, left: list[str], draw: random.Random
    ) -> None:
        """Asks for one order after the other; whatever is not answered is asked again with the same key."""
        url = f"http://127.0.0.1:{settings.port}/v1/after-sales"
        while left:
            order_id = left.pop()
            began = sent_at = time.monotonic()
            while (told := await _asked(client, url, order_id)) is None:
                if time.monotonic() - began > PATIENCE_SECONDS:
                    raise Unavailable(f"order {order_id} was not answered within {PATIENCE_SECONDS:.0f} s")
                await asyncio.sleep(0.2)
                sent_at = time.monotonic()
            ticket = told["ticket"]
            approved = ticket["state"] != "awaiting_merchant"
            self.answered.append(Answered(order_id, ticket["ticket_id"], approved, sent_at, time.monotonic()))
            if len(self.answered) >= self.kill_after:
                self.enough.set()
            await asyncio.sleep(draw.uniform(*THINKING_SECONDS))

    async def _compare(self, settings: Settings, killed_at: float, report: FailoverReport) -> None:
        """What was answered against the promoted database, and that against the provider's own books."""
        report.answered = len(self.answered)
        report.approved = sum(one.approved for one in self.answered)
        after = [one.answered_at for one in self.answered if one.sent_at > killed_at]
        report.seconds_to_answer = round(min(after) - killed_at, 2) if after else None
        approved = {one.order_id for one in self.answered if one.approved}
        deadline = time.monotonic() + PATIENCE_SECONDS
        async with open_service(settings, self.standby.url) as service:
            while True:
                report.unpaid = sorted(approved - await _paid_orders(service, approved))
                if not report.unpaid or time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.2)
            report.seconds_to_pay = round(time.monotonic() - killed_at, 2)
            for one in self.answered:
                ref = await service.store.find_order(one.order_id)
                snapshot = await service.store.read_order(ref) if ref is not None else None
                known = {str(ticket.ticket_id) for ticket in snapshot.tickets} if snapshot is not None else set()
                if one.ticket_id not in known:
                    report.missing.append(one.order_id)
        found = await _books(settings)
        report.paid_twice = [str(one) for one in (*found.paid_twice, *found.over_refunded)]
        report.paid = sum(total.refunds for total in found.totals.values())
        if report.paid != len(approved) - len(report.unpaid):
            report.faults.append(f"the provider made {report.paid} refunds for {len(approved)} approvals")


async def _asked(client: aiohttp.ClientSession, url: str, order_id: str) -> dict[str, dict[str, str]] | None:
    """The answer; None where there was none, or one that says to come again."""
    body = {"order_id": order_id, "buyer_id": _buyer(order_id)}
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        async with client.post(url, json=body, headers={"idempotency-key": order_id}, timeout=timeout) as answer:
            if answer.status == 201:
                told: dict[str, dict[str, str]] = await answer.json()
                return told
            if answer.status in (409, 429, 500, 503):
                return None
            raise Unavailable(f"{answer.status} {(await answer.text())[:200]}")
    except (aiohttp.ClientError, TimeoutError):
        return None


async def _paid_orders(service: Service, orders: set[str]) -> set[str]:
    paid = set()
    for order_id in orders:
        ref = await service.store.find_order(order_id)
        snapshot = await service.store.read_order(ref) if ref is not None else None
        if snapshot is not None and snapshot.refunds and all(one.state == "succeeded" for one in snapshot.refunds):
            paid.add(order_id)
    return paid


def _buyer(order_id: str) -> str:
    return f"b-{order_id}"


async def _stock(service: Service, orders: int) -> str:
    """Buyers for whom everything holds, each with one paid order; returns a key of the platform."""
    now = datetime.now(UTC)
    await install_policy(service)
    kinds = sorted({*BUYER_EVENTS, *SHOP_EVENTS})
    await service.registry.record_history([HistoryRecord(kind, now - timedelta(days=3650)) for kind in kinds])
    await service.registry.put_shop(Shop("s-1", "shop"), now)
    await asyncio.gather(*(_stock_order(service, f"o-{number}", now) for number in range(orders)))
    lifetime = timedelta(days=1)
    issued = await issue_key(service.keys, KeyScope.PLATFORM, "", label="failover", now=now, lifetime=lifetime)
    return issued.secret


async def _stock_order(service: Service, order_id: str, now: datetime) -> None:
    buyer_id = _buyer(order_id)
    await service.registry.put_buyer(Buyer(lane_of(buyer_id), buyer_id, now - timedelta(days=400)), now)
    await service.registry.record_buyer_events(
        [
            RecordBuyerEvent(buyer_id, f"{kind}-{number}", kind, now - timedelta(days=number + 5), now)
            for kind in ("order_paid", "order_completed")
            for number in range(8)
        ]
    )
    await service.registry.select(new_selection(buyer_id, "allow", "", "failover", now))
    line = OrderLine("l1", "sku-1", "item-1", 1, AMOUNT_MINOR, "apparel", customised=False, virtual=False)
    new = NewOrder(order_id, buyer_id, "s-1", "CNY", now - timedelta(hours=1), (line,), (), 0)
    taken = await put_order(service.store, new, now=now)
    assert not isinstance(taken, Refusal), taken
    tender = Tender("t1", "simulator", f"pay-{order_id}", "CNY", AMOUNT_MINOR, now)
    await capture_payment(service.store, taken.ref, tender, await service.decision_settings(), now=now)


async def _pay_provider(settings: Settings, orders: int) -> None:
    payments = [
        {"id": f"pay-o-{number}", "order_id": f"o-{number}", "amount_minor": AMOUNT_MINOR, "currency": "CNY"}
        for number in range(orders)
    ]
    headers = {"authorization": f"Bearer {settings.simulator_key}"}
    async with aiohttp.ClientSession(headers=headers) as client:
        url = f"{settings.simulator_url}/payments/batch"
        async with client.post(url, json={"payments": payments}) as answer:
            if answer.status != 200:
                raise Unavailable(f"The simulator took no payments: {await answer.text()}")


class _Totals(msgspec.Struct):
    refunds: int


class _Books(msgspec.Struct):
    """What the simulator's own books say, as far as it is compared."""

    totals: dict[str, _Totals]
    paid_twice: list[object]
    over_refunded: list[object]


async def _books(settings: Settings) -> _Books:
    headers, url = {"authorization": f"Bearer {settings.simulator_key}"}, f"{settings.simulator_url}/books"
    async with aiohttp.ClientSession(headers=headers) as client, client.get(url) as answer:
        return msgspec.json.decode(await answer.read(), type=_Books)
