"""One world: a seed's marketplace, its processes, network, provider and clock, and the order in which they move."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from uuid import uuid4

import msgspec
import psycopg

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.model.order import OrderLine, Tender
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import NewOrder, Store
from jitui.bootstrap import open_service
from jitui.demo.simulation.actors import Process, RunningCommand, gives_up
from jitui.demo.simulation.environment import Environment
from jitui.demo.simulation.fork_server import ForkServer
from jitui.demo.simulation.keys import PromisedKeys
from jitui.demo.simulation.messages import Begin, Go, ProcessSpec, Result, write
from jitui.demo.simulation.network import IMPATIENT, Answered, Fate, Flight, Network
from jitui.demo.simulation.process import Words
from jitui.demo.simulation.provider import API_KEY, WEBHOOK_SECRET, Message, ModelProvider
from jitui.demo.simulation.workload import STARTS_AT, Deal, Workload, WorkloadStep, draw_workload
from jitui.demo.stock import payment_id
from jitui.errors import JituiError
from jitui.provider_simulator.books import PaymentRequest
from jitui.settings import Settings
from jitui.worker import KEEP_RESPONSES

GLANCE_SECONDS, LONGEST_GLANCE_SECONDS = 0.005, 0.1
STUCK_SECONDS = 40.0
LONGEST_STALL_SECONDS = 3_600.0
LONGEST_FLIGHT_SECONDS = 600.0
"""How late a request that was given up may still arrive: no network keeps one for longer."""
MOST_MOVES = 420
RUSH_MOVES = 60
MOST_QUIET_MOVES, MOST_ROUNDS, MOST_ROUNDS_OF_BROKEN = 5_000, 150, 40
ENOUGH_BROKEN = 12
AT_ONCE = 5
LEASE_SECONDS = 60
DATABASE_AWAY = "Unavailable"
"""What a command may end with when the database was killed under it."""

_FATES: tuple[tuple[Fate, int], ...] = (
    (Fate.SMOOTH, 50),
    (Fate.LOST_BEFORE, 5),
    (Fate.LOST_AFTER, 7),
    (Fate.CUT_OFF, 5),
    (Fate.TIMED_OUT_BEFORE, 2),
    (Fate.TIMED_OUT_AFTER, 3),
    (Fate.TIMED_OUT_LATE, 5),
    (Fate.GATEWAY_BEFORE, 4),
    (Fate.GATEWAY_AFTER, 4),
    (Fate.RATE_LIMITED, 5),
    (Fate.STRANGE_404, 4),
    (Fate.TWICE, 6),
)
_JUMPS_SECONDS: tuple[tuple[tuple[float, float], int], ...] = (
    ((0.2, 5), 50),
    ((5, 62), 25),
    ((62, 400), 12),
    ((400, 5_000), 6),
    ((5_000, 60_000), 4),
    ((86_400, 200_000), 3),
)

Move = tuple[float, str, Callable[[], Awaitable[None]]]


class Stuck(JituiError):
    """The world does not come to rest: a task is on its way for good."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What somebody was told, which must stand whatever dies afterwards."""

    kind: str
    order_id: str
    ticket_id: str
    approved: bool
    waybill: str = ""


@dataclass
class MarketplaceModel:
    """Everything of one seed that is not in the database or in the provider's books."""

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
        self.network.app = self.provider.app
        self.network.flew = self._flew
        self.monitor = psycopg.connect(self.database_url, autocommit=True)

    # Beginning and end ---------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Orders placed and paid, and two processes of each kind."""
        settings = Settings(home=self.environment.folder, database_url=self.database_url, pool_size=2)
        async with open_service(settings, self.database_url, clock=lambda: STARTS_AT) as service:
            for deal in self.workload.deals:
                await _place(service.store, deal, await service.decision_settings())
                for number, minor in enumerate(deal.tenders_minor, start=1):
                    payment = PaymentRequest(payment_id(deal.order_id, number), deal.order_id, minor, "CNY")
                    self.provider.books.capture(payment, self.provider.now_ms())
        await self.provider.books.durable()
        for kind in ("api", "api", "worker", "worker"):
            await self.spawn(kind)
        await self.settle()

    def end(self) -> None:
        """No process, connection or file of this world is left."""
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
        """A new process."""
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

    # Coming to rest ------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Until every task is at a checkpoint, in the network's hands, or waits for a lock that another holds."""
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

    def ask(self, query: str, *params: object) -> list[tuple[object, ...]]:
        """A look into the database past all checkpoints."""
        try:
            return self.monitor.execute(query, params).fetchall()
        except psycopg.OperationalError:
            self.monitor = psycopg.connect(self.database_url, autocommit=True)
            return self.monitor.execute(query, params).fetchall()

    async def _reap(self) -> None:
        """Those that killed themselves are collected and replaced, as a supervisor does."""
        for process in [one for one in self.processes if one.gone]:
            self.counts["cut:waiting_for_database"] += 1
            self.note(f"{process.name} died waiting for the database")
            await self._replace(process)

    async def _replace(self, process: Process) -> None:
        self.processes.remove(process)
        lost = process.die()
        self.fork_server.kill(process.pid)
        self.counts["kills"] += 1
        await self.spawn(process.kind)
        for task in lost:
            task.on_end(None)

    def _flew(self, flight: Flight) -> None:
        process = next((one for one in self.processes if one.number == flight.process), None)
        task = process.caller_of(flight) if process is not None else None
        if task is None:
            flight.caller.set_result(Answered(hung_up=True))
            return
        if task.flight is not None:  # the HTTP client tried again by itself
            task.fate = Fate.SMOOTH
        flight.fate, flight.left_at, task.flight = task.fate, self.now, flight
        self.flights.append(flight)
        if flight.fate is not Fate.SMOOTH:
            self.counts[f"network:{flight.fate}"] += 1
        if flight.fate is Fate.TIMED_OUT_AFTER:
            self.listeners.append(asyncio.create_task(self._fly(flight)))
        self.stirred.set()

    def note(self, text: str) -> None:
        """A line of the schedule."""
        self.trace.append(f"{self.moves:4d} {self.now - STARTS_AT.timestamp():12.1f} s  {text}")

    # Moving --------------------------------------------------------------------------------------------------------

    async def play(self) -> None:
        """The noisy part: whatever the seed draws, until the workload is played and some more."""
        while self.moves < MOST_MOVES and (self.workload.steps or self.moves < 120):
            await self._move(self._noisy_moves())

    async def _move(self, moves: list[Move]) -> None:
        self.moves += 1
        _, label, act = self.rng.choices(moves, [weight for weight, _, _ in moves])[0]
        self.note(label)
        await act()
        await self.settle()
        await self.provider.keep_time()
        self._collect_mail()

    def _noisy_moves(self) -> list[Move]:
        moves = [*self._task_moves(), *self._flight_moves(), *self._mail_moves(), *self._turn_moves()]
        rush = self.workload.rushed and self.moves < RUSH_MOVES
        moves.append((0.3 if rush else 3.0, "time passes", self._pass_time))
        if self.workload.steps and self._commands() < AT_ONCE:
            moves.append((20.0 if rush else 9.0, "somebody acts", self._act))
        moves += [(0.25, f"kill {one.name}", partial(self._kill, one)) for one in self.processes]
        moves.append((0.2, "the provider's process dies and comes back", self._crash_provider))
        moves.append((0.8, "an operator looks at failed refunds", self._operate))
        if self.restart_at >= 0 and self.moves >= self.restart_at:
            moves.append((200.0, "the database server is killed", self._restart_database))
        return moves

    def _commands(self) -> int:
        return sum(
            not task.own and task.command not in ("pay", "expire", "roll_up", "forget", "notify")
            for process in self.processes
            for task in process.tasks.values()
        )

    def _task_moves(self) -> list[Move]:
        waiting = [(one, task) for one in self.processes for task in sorted_tasks(one) if task.at is not None]
        weight = 55.0 / max(1, len(waiting))
        return [
            (
                weight,
                f"{one.name} task {task.number} {task.command} goes on from {task.at}",
                partial(self._let_go, one, task),
            )
            for one, task in waiting
        ]

    async def _let_go(self, process: Process, task: RunningCommand) -> None:
        task.fate = Fate.SMOOTH
        die_at = 0
        if not self.quiet and task.at in ("send", "look up"):
            task.fate = self.rng.choices([fate for fate, _ in _FATES], [weight for _, weight in _FATES])[0]
        elif not self.quiet and task.at in ("open", "opened", "commit", "claim", "roll up", "expired"):
            die_at = self.rng.randint(1, 3) if self.rng.random() < 0.02 else 0
        self.counts["steps"] += 1
        task.at = None
        write(process.writer, Go(task.number, self.now, impatient=task.fate in IMPATIENT, die_at=die_at))

    # The network ---------------------------------------------------------------------------------------------------

    def _flight_moves(self) -> list[Move]:
        self.flights = [flight for flight in self.flights if not self._over(flight)]
        weight = 25.0 / max(1, len(self.flights))
        return [
            (
                weight,
                f"network: {flight.method} {flight.path} of process {flight.process}: {flight.fate}",
                partial(self._fly, flight),
            )
            for flight in self.flights
        ]

    def _over(self, flight: Flight) -> bool:
        if flight.answered is None and flight.arrives and self.now - flight.left_at > LONGEST_FLIGHT_SECONDS:
            flight.fate = Fate.LOST_BEFORE
        return flight.caller.done() and (flight.answered is not None or not flight.arrives)

    async def _fly(self, flight: Flight) -> None:
        """One leg: to the provider, or back."""
        if flight.answered is None and flight.arrives:
            if flight.fate is Fate.TWICE:
                await self.network.deliver(flight)
            flight.answered = await self.network.deliver(flight)
            return
        if flight.caller.done():
            return
        process = next((one for one in self.processes if one.number == flight.process), None)
        for task in process.tasks.values() if process is not None else ():
            if task.flight is flight:
                task.flight = None
        flight.caller.set_result(_answer(flight))

    # Webhooks ------------------------------------------------------------------------------------------------------

    def _collect_mail(self) -> None:
        self.mail += self.provider.due_messages()

    def _mail_moves(self) -> list[Move]:
        if not self.mail:
            return []
        return [(8.0, f"post: one of {len(self.mail)} webhooks", self._post)]

    async def _post(self) -> None:
        place = 0 if self.quiet else self.rng.randrange(len(self.mail))
        drawn = 1.0 if self.quiet else self.rng.random()
        message = self.mail[place] if 0.12 <= drawn < 0.24 else self.mail.pop(place)
        self.note(f"  {message.event_id} {'is lost' if drawn < 0.12 else 'is delivered'}")
        if drawn < 0.12:
            self.counts["webhook:lost"] += 1
            return
        self.counts["webhook:delivered"] += 1
        self.counts["webhook:repeated"] += drawn < 0.24
        self.counts["webhook:reordered"] += place > 0
        self.counts["webhook:too_old"] += self.now - message.sent_at > 300
        words: Words = {"headers": msgspec.json.encode(dict(message.headers)).decode(), "body": message.body.decode()}

        def taken(result: Result | None) -> None:
            self.note(f"  {message.event_id}: {result}")
            if result is not None and result.status == 204:
                self.provider.books.notice_done(message.event_id, delivered=True)
            self._look_at(result, "notify")

        self._command("notify", words, taken)

    # Commands ------------------------------------------------------------------------------------------------------

    def _command(self, command: str, words: Words, on_end: Callable[[Result | None], None], kind: str = "api") -> None:
        process = self.rng.choice([one for one in self.processes if one.kind == kind])
        self._begin(process, command, words, on_end)

    def _begin(self, process: Process, command: str, words: Words, on_end: Callable[[Result | None], None]) -> None:
        self.numbers += 1
        process.tasks[self.numbers] = RunningCommand(self.numbers, command, words, on_end)
        write(process.writer, Begin(self.numbers, self.now, command, words))

    def _turn_moves(self) -> list[Move]:
        idle = [one for one in self.processes if one.kind == "worker" and not one.tasks]
        return [(5.0, f"{one.name} takes a turn", partial(self._turn, one)) for one in idle]

    async def _turn(self, process: Process, command: str = "") -> None:
        turn = command or self.rng.choices(("pay", "expire", "roll_up", "forget"), (70, 10, 18, 2))[0]
        self.note(f"  {turn}")
        self._begin(process, turn, {}, lambda result: self._look_at(result, turn))

    def _look_at(self, result: Result | None, what: str) -> None:
        """An error that no fault explains is a finding of its own."""
        if result is None or (result.kind not in ("error", "broken") and not result.text):
            return
        if result.kind == "refusal":
            return
        self.note(f"  {what}: {result.kind} {result.code} {result.text}")
        if self.shaken and DATABASE_AWAY in f"{result.code} {result.text}":
            self.counts["database:errors"] += 1
            return
        self.broken.append(f"{what} ended with {result.code} {result.text}".strip())

    async def _act(self) -> None:
        last = len(self.workload.steps) - 1
        place = last if self.workload.rushed else self.rng.randint(0, last)
        step = self.workload.steps.pop(place)
        words = self._words(step)
        if words is None:
            self._again(step)
            return
        self.note(f"  {step.kind} {words}")
        self.counts[f"act:{step.kind}"] += 1
        self._command(step.kind, words, lambda result: self._heard(step, words, result))

    def _words(self, step: WorkloadStep) -> Words | None:
        deal = step.deal
        words: Words = {"order_id": deal.order_id, "buyer_id": deal.buyer_id, "units": step.units, "key": step.key}
        if step.waybill:
            words |= {"waybill": f"{deal.order_id}/{step.waybill}", "degree": step.degree, "source": step.source}
        if step.kind in ("ask", "ship"):
            return words
        state = "%" if self.rng.random() < 0.15 else "awaiting_merchant"
        rows = self.ask(
            "SELECT ticket_id::text, version FROM ticket WHERE order_id = %s AND state LIKE %s ORDER BY requested_at",
            deal.order_id,
            state,
        )
        if not rows:
            return None
        ticket_id, version = self.rng.choice(rows)
        return {**words, "ticket_id": str(ticket_id), "version": int(str(version)) if self.rng.random() < 0.5 else None}

    def _again(self, step: WorkloadStep) -> None:
        step.tries -= 1
        if step.tries > 0:
            self.workload.steps.insert(0, step)

    def _heard(self, step: WorkloadStep, words: Words, result: Result | None) -> None:
        """What the client of a command does with the answer, or without one."""
        if result is None or result.kind == "error" or result.code in ("too-many-requests", "request-in-flight"):
            self._look_at(result, step.kind)
            self._again(step)
            return
        self._look_at(result, step.kind)
        self.counts[f"answer:{step.kind}:{result.code or result.kind}"] += 1
        if result.kind not in ("plan", "kept"):
            wrong = self.keys.refusal(step.key, result.code, self.now)
            self.broken += [wrong] if wrong else []
            return
        if step.kind == "ask":
            wrong = self.keys.ticket(step.key, result)
            self.broken += [wrong] if wrong else []
        self.counts["approved:instant_refund"] += step.kind == "ask" and result.approved_by == "instant_refund"
        approved = step.kind == "approve" or bool(result.approved_by)
        self.promises.append(
            Promise(step.kind, step.deal.order_id, result.ticket_id, approved, str(words.get("waybill") or ""))
        )

    # Other faults --------------------------------------------------------------------------------------------------

    async def _pass_time(self) -> None:
        (low, high), _ = self.rng.choices(_JUMPS_SECONDS, [weight for _, weight in _JUMPS_SECONDS])[0]
        seconds = self.rng.uniform(low, high)
        if seconds > LONGEST_STALL_SECONDS:
            await self._end_stalled()
        self.now += seconds
        self.counts["clock:jumps"] += high > 5
        idle = [one for one in self.processes if one.kind == "worker" and not one.tasks]
        if idle and high > 20 and self.rng.random() < 0.7:
            await self._turn(idle[0], "roll_up")

    async def _end_stalled(self) -> None:
        """No process hangs for longer than a provider remembers a key: a supervisor ends it before that."""
        for process in [one for one in self.processes if any(task.at == "send" for task in one.tasks.values())]:
            self.note(f"  a supervisor ends {process.name}, which hangs")
            await self._kill(process)

    async def _kill(self, process: Process) -> None:
        for task in process.tasks.values():
            self.counts[f"cut:{task.at or ('calling_provider' if task.flight else 'waiting_for_lock')}"] += 1
        self.counts[f"kill:{process.kind}"] += 1
        await self._replace(process)

    async def _crash_provider(self) -> None:
        self.counts["provider:crashes"] += 1
        await self.provider.crash()
        self.network.app = self.provider.app

    async def _restart_database(self) -> None:
        self.restart_at = -1
        self.shaken = True
        self.counts["database:kills"] += 1
        self.monitor.close()
        await asyncio.to_thread(self.environment.restart)
        self.monitor = psycopg.connect(self.database_url, autocommit=True)

    async def _operate(self) -> None:
        rows = self.ask("SELECT refund_id::text FROM refund WHERE state = 'failed' ORDER BY queued_at, tender_id")
        for (refund_id,) in rows[:1] if not self.quiet else rows:
            self.counts["act:operator_retry"] += 1
            self._command("retry", {"refund_id": str(refund_id)}, lambda result: self._look_at(result, "retry"))

    # The quiet end -------------------------------------------------------------------------------------------------

    async def come_to_an_end(self) -> None:
        """No more faults: time goes on, and everything that is owed must get done."""
        self.quiet = True
        self.provider.faulty = False
        for flight in self.flights:
            flight.fate = Fate.SMOOTH if flight.fate not in IMPATIENT else flight.fate
        for _ in range(MOST_QUIET_MOVES):
            moves = [*self._task_moves(), *self._flight_moves(), *self._mail_moves()]
            if len(self.broken) > ENOUGH_BROKEN:
                return
            if moves:
                await self._move(moves)
            elif not await self._next_round():
                await self._final_roll_up()
                return
        self.broken.append("the world does not come to an end: it goes on and on")

    async def _next_round(self) -> bool:
        """Advance to what is due next and let a worker at it; False when nothing is due any more."""
        if self.ask("SELECT FROM refund WHERE state = 'failed'"):
            await self._operate()
            await self.settle()
            return True
        due = self._due()
        if due is None:
            return False
        self.rounds += 1
        if self.rounds > (MOST_ROUNDS_OF_BROKEN if self.override else MOST_ROUNDS):
            self.broken.append("the world does not come to an end: something is due again and again")
            return False
        self.now = max(self.now, due) + min(21_600.0, self.rounds**2)  # days of polling need not be walked through
        await self.provider.keep_time()
        self._collect_mail()
        worker = next(one for one in self.processes if one.kind == "worker")
        for turn in ("roll_up", "expire", "pay"):
            if worker.tasks:
                break
            await self._turn(worker, turn)
            await self.settle()
            while moves := self._task_moves() + self._flight_moves():
                await self._move(moves)
        return True

    async def _final_roll_up(self) -> None:
        """The feed has everything."""
        await self._turn(next(one for one in self.processes if one.kind == "worker"), "roll_up")
        await self.settle()
        while moves := self._task_moves():
            await self._move(moves)

    def _due(self) -> float | None:
        ((ours,),) = self.ask(
            "SELECT extract(epoch FROM least((SELECT min(due_at) FROM refund), (SELECT min(expires_at) FROM ticket "
            "WHERE state = 'awaiting_merchant')))::float8"
        )
        times = [time for time in (ours, self.provider.next_due()) if isinstance(time, float)]
        return min(times, default=None)


def sorted_tasks(process: Process) -> list[RunningCommand]:
    """In the order in which they were begun."""
    return [task for _, task in sorted(process.tasks.items())]


def _answer(flight: Flight) -> Answered:
    match flight.fate:
        case Fate.LOST_BEFORE | Fate.LOST_AFTER:
            return Answered(hung_up=True)
        case Fate.GATEWAY_BEFORE | Fate.GATEWAY_AFTER:
            return Answered(502, (("content-type", "text/html"),), b"<html>Bad gateway</html>")
        case Fate.RATE_LIMITED:
            body = b'{"error": {"code": "rate_limited", "message": "slowly"}}'
            return Answered(429, (("content-type", "application/json"), ("retry-after", "3")), body)
        case Fate.STRANGE_404:
            return Answered(404, (("content-type", "text/html"),), b"<html>Not found</html>")
    assert flight.answered is not None
    return flight.answered


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


def new_model(
    seed: int,
    environment: Environment,
    database_url: str,
    network: Network,
    fork_server: ForkServer,
    *,
    restarts: bool,
    override: str,
) -> MarketplaceModel:
    """The world of a seed, not yet begun."""
    rng = Random(f"schedule/{seed}")
    return MarketplaceModel(
        draw_workload(seed), environment, database_url, network, fork_server, restarts, override, rng
    )
