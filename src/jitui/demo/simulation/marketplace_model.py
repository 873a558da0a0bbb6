"""The driver of one world: the marketplace of a seed, its processes, network, provider and clock."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from uuid import uuid4

import psycopg

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.model.order import OrderLine, Tender
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import NewOrder, Store
from jitui.bootstrap import open_service
from jitui.demo.simulation.actors import Process, gives_up
from jitui.demo.simulation.environment import Environment
from jitui.demo.simulation.fork_server import ForkServer
from jitui.demo.simulation.keys import PromisedKeys
from jitui.demo.simulation.messages import ProcessSpec
from jitui.demo.simulation.network import Answered, Flight, Network
from jitui.demo.simulation.provider import API_KEY, WEBHOOK_SECRET, Message, ModelProvider
from jitui.demo.simulation.workload import STARTS_AT, Deal, Workload
from jitui.demo.stock import payment_id
from jitui.errors import JituiError
from jitui.provider_simulator.entries import PaymentRequest
from jitui.settings import Settings
from jitui.worker import KEEP_RESPONSES

GLANCE_SECONDS, LONGEST_GLANCE_SECONDS = 0.005, 0.1
STUCK_SECONDS = 40.0
LEASE_SECONDS = 60


class Stuck(JituiError):
    """A world does not come to rest, because a task does not end."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What somebody was told, which must stay true whatever fails afterwards."""

    kind: str
    order_id: str
    ticket_id: str
    approved: bool
    waybill: str = ""


@dataclass
class MarketplaceModel:
    """Everything of one world that is not in the database or in the provider's books."""

    workload: Workload
    environment: Environment
    database_url: str
    network: Network
    fork_server: ForkServer
    restarts: bool
    override: str
    rng: Random
    counts: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    keys: PromisedKeys = field(default_factory=lambda: PromisedKeys(KEEP_RESPONSES))
    processes: list[Process] = field(default_factory=list)
    flights: list[Flight] = field(default_factory=list)
    mail: list[Message] = field(default_factory=list)
    listeners: list[asyncio.Task[None]] = field(default_factory=list)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    now: float = STARTS_AT.timestamp()
    quiet: bool = False
    shaken: bool = False
    numbers: int = 0
    moves: int = 0
    rounds: int = 0

    def __post_init__(self) -> None:
        self.restart_at = self.rng.randint(20, 200) if self.restarts else -1
        books = self.environment.folder / f"books-{self.workload.seed}-{uuid4().hex[:6]}"
        self.provider = ModelProvider(books, self.rng, lambda: self.now, self.counts)
        self.books_path = books
        self.connect()

    # Start and end -------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Place and pay the orders, and start two processes of each kind."""
        settings = Settings(home=self.environment.folder, database_url=self.database_url, pool_size=2)
        async with open_service(settings, self.database_url, clock=lambda: STARTS_AT) as service:
            here = await service.decision_settings()
            decision_settings = replace(here, providers=frozenset({"simulator"}))  # those of the processes to come
            for deal in self.workload.deals:
                await _place(service.store, deal, decision_settings)
                for number, minor in enumerate(deal.tenders_minor, start=1):
                    payment = PaymentRequest(payment_id(deal.order_id, number), deal.order_id, minor, "CNY")
                    self.provider.books.capture(payment, self.provider.now_ms())
        await self.provider.books.durable()
        for kind in ("api", "api", "worker", "worker"):
            await self.spawn(kind)
        await self.settle()

    def end(self) -> None:
        """End all processes, and close all connections and files."""
        for process in self.processes:
            process.die()
            self.fork_server.kill(process.pid)
        for listener in self.listeners:
            listener.cancel()
        for flight in self.flights:
            if not flight.caller.done():
                flight.caller.set_result(Answered(hung_up=True))
        self.monitor.close()
        self.provider.close()
        self.books_path.unlink(missing_ok=True)

    async def spawn(self, kind: str) -> None:
        """Start a new process."""
        self.numbers += 1
        spec = ProcessSpec(
            number=self.numbers,
            seed=self.workload.seed,
            database_url=self.database_url,
            provider_url=self.network.url,
            api_key=API_KEY,
            webhook_secret=WEBHOOK_SECRET,
            home=str(self.environment.folder),
            override=self.override,
            lease_seconds=LEASE_SECONDS,
        )
        pid, line = self.fork_server.fork(spec)
        line.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=line)
        process = Process(spec.number, kind, pid, writer, self.stirred)
        self.processes.append(process)
        self.listeners.append(asyncio.create_task(process.listen(reader)))

    # Coming to rest --------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Wait until every task is at a checkpoint, waits for the network, or waits for another's lock."""
        limit = time.monotonic() + STUCK_SECONDS
        glance_seconds = GLANCE_SECONDS
        while True:
            self.stirred.clear()
            await self._reap()
            under_way = [task for process in self.processes for task in process.under_way()]
            unborn = [process for process in self.processes if not process.ready]
            giving_up = [task for task in under_way if gives_up(task)]
            rest = [task for task in under_way if task.flight is None]
            if not rest and not giving_up and not unborn:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stirred.wait(), glance_seconds)
                continue
            glance_seconds = min(LONGEST_GLANCE_SECONDS, glance_seconds * 2)
            if not giving_up and not unborn and self._waiting_for_locks() >= len(rest):
                return
            if time.monotonic() > limit:
                raise Stuck(f"still under way: {[task.command for task in rest]}")

    def _waiting_for_locks(self) -> int:
        rows = self.ask(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(str(rows[0][0]))

    def connect(self) -> None:
        """Open the driver's own connection, which has no checkpoints."""
        self.monitor = psycopg.connect(self.database_url, autocommit=True)

    def ask(self, query: str, *params: object) -> list[tuple[object, ...]]:
        """The rows of a query on the driver's own connection."""
        try:
            return self.monitor.execute(query, params).fetchall()
        except psycopg.OperationalError:
            self.connect()
            return self.monitor.execute(query, params).fetchall()

    async def _reap(self) -> None:
        """Collect and replace processes that killed themselves, as a supervisor does."""
        for process in [one for one in self.processes if one.gone]:
            self.counts["cut:waiting_for_database"] += 1
            self.note(f"{process.name} died waiting for the database")
            await self.replace(process)

    async def replace(self, process: Process) -> None:
        """End a process with all its running tasks, and start another of its kind."""
        self.processes.remove(process)
        lost = process.die()
        self.fork_server.kill(process.pid)
        self.counts["kills"] += 1
        await self.spawn(process.kind)
        for task in lost:
            task.on_end(None)

    async def keep_time(self) -> None:
        """Let the provider do what is due by now."""
        await self.provider.keep_time()
        self.mail += self.provider.due_messages()

    def process_of(self, flight: Flight) -> Process | None:
        """The process that made the request; None when it has ended."""
        return next((one for one in self.processes if one.number == flight.process), None)

    def idle_workers(self) -> list[Process]:
        """Workers without a running task."""
        return [one for one in self.processes if one.kind == "worker" and not one.tasks]

    def note(self, text: str) -> None:
        """Add a line to the schedule."""
        self.trace.append(f"{self.moves:4d} {self.now - STARTS_AT.timestamp():12.1f} s  {text}")


async def _place(store: Store, deal: Deal, decision_settings: DecisionSettings) -> None:
    lines = tuple(
        OrderLine(line_id, f"sku-{line_id}", f"item-{line_id}", units, paid, "apparel", customised=False, virtual=False)
        for line_id, units, paid in deal.lines
    )
    new = NewOrder(
        deal.order_id, deal.buyer_id, "shop-1", "CNY", STARTS_AT, lines, deal.funding, deal.freight_minor, deal.hold
    )
    taken = await put_order(store, new, now=STARTS_AT)
    assert not isinstance(taken, Refusal), taken
    for number, minor in enumerate(deal.tenders_minor, start=1):
        tender = Tender(f"t{number}", "simulator", payment_id(deal.order_id, number), "CNY", minor, STARTS_AT)
        done = await capture_payment(store, taken.ref, tender, decision_settings, now=STARTS_AT)
        assert isinstance(done, Executed), done
