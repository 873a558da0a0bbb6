"""Shopify gives each shop a bucket of points; a query that costs more than is left in it is not answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct


class _Throttle(Struct, frozen=True, rename="camel"):
    currently_available: float
    restore_rate: float


class _Cost(Struct, frozen=True, rename="camel"):
    requested_query_cost: float
    throttle_status: _Throttle


class _Extensions(Struct, frozen=True):
    cost: _Cost


@dataclass(slots=True)
class Pace:
    """What is left in the bucket, by the last answer, and what each query has cost."""

    clock: Callable[[], float] = time.monotonic
    _available: float = float("inf")
    _restored: float = 1.0
    _at: float = 0.0
    _costs: dict[str, float] = field(default_factory=dict)

    def wait_seconds(self, query: str) -> float:
        """How long until the bucket holds what the query costs."""
        missing = self._costs.get(query, 0.0) - self._available - (self.clock() - self._at) * self._restored
        return max(0.0, missing / self._restored)

    def note(self, query: str, extensions: Any) -> None:
        """Take in what an answer says of its cost."""
        try:
            told = msgspec.convert(extensions, _Extensions).cost
        except msgspec.ValidationError:
            return
        self._costs[query] = told.requested_query_cost
        self._available = told.throttle_status.currently_available
        self._restored = max(told.throttle_status.restore_rate, 1.0)
        self._at = self.clock()
