"""Runs worlds one after another: how many passed, which faults were injected, and how to replay a failure."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random

from jitui.demo.audit import read_books
from jitui.demo.simulation.environment import Environment, open_environment, stock
from jitui.demo.simulation.flights import take_off
from jitui.demo.simulation.fork_server import ForkServer
from jitui.demo.simulation.invariants import violations_of
from jitui.demo.simulation.marketplace_model import MarketplaceModel, Stuck
from jitui.demo.simulation.network import Network, open_network
from jitui.demo.simulation.provider import API_KEY
from jitui.demo.simulation.schedule import come_to_an_end, play
from jitui.demo.simulation.workload import draw_workload


@dataclass(frozen=True, slots=True)
class SimulationOptions:
    """Which worlds to run, and with which faults; `override` names a function that breaks a part, for tests.

    `seconds`: start no world after this time, once `seeds` worlds have run.
    """

    seeds: int
    first_seed: int = 1
    restart_database: bool = False
    override: str = ""
    seconds: float | None = None
    stop_at_failure: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A world that failed: what was wrong, the command that repeats it, and its schedule."""

    seed: int
    wrong: tuple[str, ...]
    command: str
    trace: tuple[str, ...] = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """The number of worlds, the injected faults by kind, and the failures."""

    seeds: int
    first_seed: int
    counts: dict[str, int]
    refunds: int
    tickets: int
    attempts: int
    paid: int
    paid_minor: int
    seconds: float
    failures: tuple[Failure, ...]

    @property
    def holds(self) -> bool:
        """Whether no world failed."""
        return not self.failures


def replay_command(seed: int, *, restart_database: bool) -> str:
    """The command that runs this world again."""
    words = f"jitui simulate-faults --seeds 1 --first-seed {seed}"
    return words + (" --restart-database" if restart_database else "") + " --trace"


@dataclass(frozen=True, slots=True)
class Stage:
    """What all worlds share: a server with the template, and the fork server."""

    environment: Environment
    fork_server: ForkServer


@contextmanager
def open_stage(server_url: str | None = None, *, restarts: bool = False) -> Iterator[Stage]:
    """Start everything that worlds share, and stop it at the end.

    Raises BadInput when the named server would have to be killed.
    """
    with open_environment(server_url, restarts=restarts) as environment, closing(ForkServer()) as fork_server:
        asyncio.run(stock(environment))
        yield Stage(environment, fork_server)


def run_seeds(
    stage: Stage, options: SimulationOptions, advance: Callable[[int], None] = lambda failures: None
) -> SimulationReport:
    """Run the worlds one after another; `advance` is called after each with the number of failures."""
    return asyncio.run(_run_seeds(stage, options, advance))


async def _run_seeds(stage: Stage, options: SimulationOptions, advance: Callable[[int], None]) -> SimulationReport:
    begun = time.monotonic()
    counts: Counter[str] = Counter()
    failures: list[Failure] = []
    done = 0
    async with open_network() as network:
        while done < options.seeds or (options.seconds and time.monotonic() - begun < options.seconds):
            failure = await _run_one(options.first_seed + done, options, stage, network, counts)
            done += 1
            if failure is not None:
                failures.append(failure)
            advance(len(failures))
            if failures and options.stop_at_failure:
                break
    sums = {name: counts.pop(name, 0) for name in ("refunds", "tickets", "attempts", "paid", "paid_minor")}
    seconds = round(time.monotonic() - begun, 1)
    return SimulationReport(
        seeds=done,
        first_seed=options.first_seed,
        counts=dict(sorted(counts.items())),
        seconds=seconds,
        failures=tuple(failures),
        **sums,
    )


async def _run_one(
    seed: int, options: SimulationOptions, stage: Stage, network: Network, counts: Counter[str]
) -> Failure | None:
    with stage.environment.database(seed) as url:
        model = _new_model(seed, options, stage, network, url)
        try:
            await model.begin()
            await play(model)
            await come_to_an_end(model)
            wrong = [*model.broken, *await _check(model, url)]
        except Stuck as stuck:
            wrong = [*model.broken, f"the world does not come to rest: {stuck}"]
        finally:
            model.end()
            counts.update(model.counts)
    if not wrong:
        return None
    command = replay_command(seed, restart_database=options.restart_database)
    return Failure(seed, tuple(wrong), command, tuple(model.trace))


def _new_model(seed: int, options: SimulationOptions, stage: Stage, network: Network, url: str) -> MarketplaceModel:
    """The world of a seed, not started yet."""
    model = MarketplaceModel(
        draw_workload(seed),
        stage.environment,
        url,
        network,
        stage.fork_server,
        options.restart_database,
        options.override,
        Random(f"schedule/{seed}"),
    )
    network.app, network.flew = model.provider.app, partial(take_off, model)
    return model


async def _check(model: MarketplaceModel, url: str) -> list[str]:
    books = await read_books(model.network.url, API_KEY)
    ((refunds, tickets, attempts),) = model.ask(
        "SELECT (SELECT count(*) FROM refund), (SELECT count(*) FROM ticket), (SELECT count(*) FROM refund_attempt)"
    )
    paid = [refund.amount_minor for refund in books.refunds if refund.status == "succeeded"]
    model.counts.update(
        refunds=int(str(refunds)),
        tickets=int(str(tickets)),
        attempts=int(str(attempts)),
        paid=len(paid),
        paid_minor=sum(paid),
    )
    return violations_of(url, books, model.promises)
