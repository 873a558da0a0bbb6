"""The random faults: of requests, processes, the clock, the provider and the database server."""

from __future__ import annotations

import asyncio

from jitui.demo.simulation.actors import Process, RunningCommand
from jitui.demo.simulation.commands import take_turn
from jitui.demo.simulation.marketplace_model import MarketplaceModel
from jitui.demo.simulation.messages import Go, write
from jitui.demo.simulation.network import IMPATIENT, Fate
from jitui.demo.simulation.workload import drawn

LONGEST_STALL_SECONDS = 3_600.0

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


async def let_go(model: MarketplaceModel, process: Process, task: RunningCommand) -> None:
    """Let a task continue from its checkpoint; its request may meet a fault, and its process may be killed."""
    task.fate = Fate.SMOOTH
    die_at = 0
    if not model.quiet and task.at in ("send", "look up"):
        task.fate = drawn(model.rng, _FATES)
    elif not model.quiet and task.at in ("open", "opened", "commit", "claim", "roll up", "expired"):
        die_at = model.rng.randint(1, 3) if model.rng.random() < 0.02 else 0
    model.counts["steps"] += 1
    task.at = None
    write(process.writer, Go(task.number, model.now, impatient=task.fate in IMPATIENT, die_at=die_at))


async def pass_time(model: MarketplaceModel) -> None:
    """Advance the clock; a worker may roll up meanwhile."""
    low, high = drawn(model.rng, _JUMPS_SECONDS)
    seconds = model.rng.uniform(low, high)
    if seconds > LONGEST_STALL_SECONDS:
        await _end_stalled(model)
    model.now += seconds
    model.counts["clock:jumps"] += high > 5
    idle = model.idle_workers()
    if idle and high > 20 and model.rng.random() < 0.7:
        await take_turn(model, idle[0], "roll_up")


async def _end_stalled(model: MarketplaceModel) -> None:
    """End hanging processes, as a supervisor does: none hangs for longer than a provider remembers a key."""
    for process in [one for one in model.processes if any(task.at == "send" for task in one.tasks.values())]:
        model.note(f"  a supervisor ends {process.name}, which hangs")
        await kill(model, process)


async def kill(model: MarketplaceModel, process: Process) -> None:
    """Kill a process with SIGKILL, and start another of its kind."""
    for task in process.tasks.values():
        model.counts[f"cut:{task.at or ('calling_provider' if task.flight else 'waiting_for_lock')}"] += 1
    model.counts[f"kill:{process.kind}"] += 1
    await model.replace(process)


async def crash_provider(model: MarketplaceModel) -> None:
    """Restart the provider from what it had on disk."""
    model.counts["provider:crashes"] += 1
    await model.provider.crash()
    model.network.app = model.provider.app


async def restart_database(model: MarketplaceModel) -> None:
    """Kill the database server and let it recover."""
    model.restart_at = -1
    model.shaken = True
    model.counts["database:kills"] += 1
    model.monitor.close()
    await asyncio.to_thread(model.environment.restart)
    model.connect()
