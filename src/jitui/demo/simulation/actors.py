"""What the driver knows of the simulated processes and their tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from jitui.demo.simulation.checkpoints import FIRST_OWN_NUMBER
from jitui.demo.simulation.messages import Ended, Hello, Parked, Result, read_messages
from jitui.demo.simulation.network import IMPATIENT, Answered, Fate, Flight
from jitui.demo.simulation.process import Words

TURNS = ("pay", "expire", "roll_up", "forget")


@dataclass(eq=False)
class RunningCommand:
    """A command, or a task that a command started itself.

    `at` is the checkpoint where it waits; None while it is running.
    """

    number: int
    command: str
    words: Words
    on_end: Callable[[Result | None], None]
    at: str | None = None
    key: str = ""
    fate: Fate = Fate.SMOOTH
    flight: Flight | None = None

    @property
    def own(self) -> bool:
        """Whether a command started it, and not the driver."""
        return self.number >= FIRST_OWN_NUMBER


@dataclass(eq=False)
class Process:
    """A simulated process, as the driver knows it."""

    number: int
    kind: str
    pid: int
    writer: asyncio.StreamWriter
    stirred: asyncio.Event
    tasks: dict[int, RunningCommand] = field(default_factory=dict)
    ready: bool = False
    gone: bool = False

    @property
    def name(self) -> str:
        """The name in the trace."""
        return f"{self.kind}-{self.number}"

    def under_way(self) -> list[RunningCommand]:
        """Tasks that are neither at a checkpoint nor waiting for tasks that they started."""
        own = any(task.own for task in self.tasks.values())
        return [task for task in self.tasks.values() if task.at is None and (task.own or not own)]

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Read the reports of the process until it ends."""
        while (messages := await read_messages(reader)) is not None:
            for report in messages:
                self._take(report)
            self.stirred.set()
        self.gone = True
        self.stirred.set()

    def _take(self, report: Hello | Parked | Ended) -> None:
        match report:
            case Hello():
                self.ready = True
            case Parked():
                task = self.tasks.get(report.task) or self._begun_by_itself(report.task)
                task.at, task.key = report.at, report.key
                _land(task)
            case Ended():
                ended = self.tasks.pop(report.task, None)
                if ended is not None:
                    _land(ended)
                    ended.on_end(report.result)

    def _begun_by_itself(self, number: int) -> RunningCommand:
        self.tasks[number] = RunningCommand(number, "refund", {}, lambda _: None)
        return self.tasks[number]

    def caller_of(self, flight: Flight) -> RunningCommand | None:
        """The task that made this request."""
        named = flight.path.rpartition("/")[2]
        key = next((value.decode() for name, value in flight.headers if name == b"idempotency-key"), named)
        return next((task for task in self.tasks.values() if task.key == key and task.at is None), None)

    def die(self) -> list[RunningCommand]:
        """Drop all running tasks; their callers get no result."""
        lost = list(self.tasks.values())
        self.tasks.clear()
        self.gone = True
        self.writer.close()
        for task in lost:
            _land(task)
        return lost


def _land(task: RunningCommand) -> None:
    """Detach the task from its request, which gets no response any more."""
    if task.flight is not None and not task.flight.caller.done():
        task.flight.caller.set_result(Answered(hung_up=True))
    task.flight = None


def gives_up(task: RunningCommand) -> bool:
    """Whether the task gets no response and will report that itself."""
    return task.flight is not None and task.flight.fate in IMPATIENT
