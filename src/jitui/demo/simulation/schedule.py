"""The order of steps in a world: random while there are faults, then until nothing is left to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from jitui.demo.simulation.actors import TURNS
from jitui.demo.simulation.commands import act, deliver_webhook, operate, take_turn
from jitui.demo.simulation.faults import crash_provider, kill, let_go, pass_time, restart_database
from jitui.demo.simulation.flights import fly, is_over
from jitui.demo.simulation.marketplace_model import MarketplaceModel
from jitui.demo.simulation.network import IMPATIENT, Fate

MOST_MOVES = 420
RUSH_MOVES = 60
MOST_QUIET_MOVES, MOST_ROUNDS, MOST_ROUNDS_OF_BROKEN = 5_000, 150, 40
ENOUGH_BROKEN = 12
AT_ONCE = 5

Move = tuple[float, str, Callable[[], Awaitable[None]]]
"""A step's weight, its line in the trace, and its action."""


async def play(model: MarketplaceModel) -> None:
    """The part with faults: random steps until the workload is done, and some more."""
    while model.moves < MOST_MOVES and (model.workload.steps or model.moves < 120):
        await _move(model, _noisy_moves(model))


async def _move(model: MarketplaceModel, moves: list[Move]) -> None:
    model.moves += 1
    _, label, move = model.rng.choices(moves, [weight for weight, _, _ in moves])[0]
    model.note(label)
    await move()
    await model.settle()
    await model.keep_time()


def _noisy_moves(model: MarketplaceModel) -> list[Move]:
    moves = [*_moves_under_way(model), *_turn_moves(model)]
    rush = model.workload.rushed and model.moves < RUSH_MOVES
    moves.append((0.3 if rush else 3.0, "time passes", partial(pass_time, model)))
    if model.workload.steps and _commands_under_way(model) < AT_ONCE:
        moves.append((20.0 if rush else 9.0, "somebody acts", partial(act, model)))
    moves += [(0.25, f"kill {one.name}", partial(kill, model, one)) for one in model.processes]
    moves.append((0.2, "the provider's process dies and comes back", partial(crash_provider, model)))
    moves.append((0.8, "an operator looks at failed refunds", partial(operate, model)))
    if model.restart_at >= 0 and model.moves >= model.restart_at:
        moves.append((200.0, "the database server is killed", partial(restart_database, model)))
    return moves


def _commands_under_way(model: MarketplaceModel) -> int:
    return sum(
        not task.own and task.command not in (*TURNS, "notify")
        for process in model.processes
        for task in process.tasks.values()
    )


def _moves_under_way(model: MarketplaceModel) -> list[Move]:
    """The steps of what has been started: tasks, requests and webhooks."""
    return [*_task_moves(model), *_flight_moves(model), *_mail_moves(model)]


def _task_moves(model: MarketplaceModel) -> list[Move]:
    waiting = [(one, task) for one in model.processes for _, task in sorted(one.tasks.items()) if task.at is not None]
    weight = 55.0 / max(1, len(waiting))
    return [
        (
            weight,
            f"{one.name} task {task.number} {task.command} goes on from {task.at}",
            partial(let_go, model, one, task),
        )
        for one, task in waiting
    ]


def _flight_moves(model: MarketplaceModel) -> list[Move]:
    model.flights = [flight for flight in model.flights if not is_over(model, flight)]
    weight = 25.0 / max(1, len(model.flights))
    return [
        (
            weight,
            f"network: {flight.method} {flight.path} of process {flight.process}: {flight.fate}",
            partial(fly, model, flight),
        )
        for flight in model.flights
    ]


def _mail_moves(model: MarketplaceModel) -> list[Move]:
    if not model.mail:
        return []
    return [(8.0, f"post: one of {len(model.mail)} webhooks", partial(deliver_webhook, model))]


def _turn_moves(model: MarketplaceModel) -> list[Move]:
    return [(5.0, f"{one.name} takes a turn", partial(take_turn, model, one)) for one in model.idle_workers()]


async def come_to_an_end(model: MarketplaceModel) -> None:
    """The part without faults: time advances until everything that is owed is paid."""
    model.quiet = True
    model.provider.recover()
    for flight in model.flights:
        flight.fate = Fate.SMOOTH if flight.fate not in IMPATIENT else flight.fate
    for _ in range(MOST_QUIET_MOVES):
        moves = _moves_under_way(model)
        if len(model.broken) > ENOUGH_BROKEN:
            return
        if moves:
            await _move(model, moves)
        elif not await _next_round(model):
            await _final_roll_up(model)
            return
    model.broken.append("the world does not come to an end: it goes on and on")


async def _next_round(model: MarketplaceModel) -> bool:
    """Advance to what is due next and let a worker do it; False when nothing is due any more."""
    if model.ask("SELECT FROM refund WHERE state = 'failed'"):
        await operate(model)
        await model.settle()
        return True
    due = _due(model)
    if due is None:
        return False
    model.rounds += 1
    if model.rounds > (MOST_ROUNDS_OF_BROKEN if model.override else MOST_ROUNDS):
        model.broken.append("the world does not come to an end: something is due again and again")
        return False
    model.now = max(model.now, due) + min(21_600.0, model.rounds**2)  # skips days of polling
    await model.keep_time()
    worker = next(one for one in model.processes if one.kind == "worker")
    for turn in ("roll_up", "expire", "pay"):
        if worker.tasks:
            break
        await take_turn(model, worker, turn)
        await model.settle()
        while moves := _task_moves(model) + _flight_moves(model):
            await _move(model, moves)
    return True


async def _final_roll_up(model: MarketplaceModel) -> None:
    """Roll up once more, so that the feed has everything."""
    await take_turn(model, next(one for one in model.processes if one.kind == "worker"), "roll_up")
    await model.settle()
    while moves := _task_moves(model):
        await _move(model, moves)


def _due(model: MarketplaceModel) -> float | None:
    ((ours,),) = model.ask(
        "SELECT extract(epoch FROM least((SELECT min(due_at) FROM refund), (SELECT min(expires_at) FROM ticket "
        "WHERE state = 'awaiting_merchant')))::float8"
    )
    times = [time for time in (ours, model.provider.next_due()) if isinstance(time, float)]
    return min(times, default=None)
