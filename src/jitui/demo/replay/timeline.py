"""The steps of a replay in time order: a heap that is emptied segment by segment."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

SEGMENT = timedelta(hours=12)
"""The longest time between the steps of one segment; a step causes only steps later than that."""

LARGEST_SEGMENT = 500


class Rank(IntEnum):
    """Which of two steps at the same minute runs first: goods leave before they are requested."""

    ORDER = 0
    COMPLETE = 1
    SHIP = 2
    DECIDE = 3
    ASK = 4


ALONE = frozenset({Rank.DECIDE, Rank.ASK})
"""Steps that approve run alone: everything before them is finished, and nothing after them has started."""


@dataclass(order=True, frozen=True, slots=True)
class ReplayStep:
    """A step at a time; `key` orders steps of equal rank and time."""

    at: datetime
    rank: Rank
    key: str
    buyer_id: str = field(compare=False)
    run: Callable[[], Awaitable[None]] = field(compare=False)


class Timeline:
    """The steps known so far; `source` adds further ones when they are needed: a step with those that follow from it.

    The first steps from `source` are in time order; what follows from them comes later.
    """

    def __init__(self, source: Iterator[tuple[ReplayStep, ...]]) -> None:
        self._source = source
        self._ahead = next(source, None)
        self._heap: list[ReplayStep] = []

    def add(self, step: ReplayStep) -> None:
        """Add a step that another step caused."""
        heapq.heappush(self._heap, step)

    def next_segment(self) -> list[ReplayStep]:
        """Steps that may run concurrently, those of one buyer in order; or one that must run alone."""
        segment: list[ReplayStep] = []
        while (step := self._earliest()) is not None:
            apart = bool(segment) and step.at > segment[0].at + SEGMENT
            if apart or len(segment) == LARGEST_SEGMENT or (segment and step.rank in ALONE):
                break
            segment.append(heapq.heappop(self._heap))
            if step.rank in ALONE:
                break
        return segment

    def _earliest(self) -> ReplayStep | None:
        while self._ahead is not None and (not self._heap or self._ahead[0].at <= self._heap[0].at):
            for step in self._ahead:
                self.add(step)
            self._ahead = next(self._source, None)
        return self._heap[0] if self._heap else None
