"""Limits per caller: token buckets in the memory of a process, and places for readers that wait for events.

Each process counts by itself, so with `--processes 4`, or on four machines, a caller may make four times as many
requests.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from time import monotonic

MOST_CALLERS = 10_000
BURST_SECONDS = 2
"""A bucket holds the requests of this many seconds."""
READERS_PER_KEY = 4


@dataclass(frozen=True, slots=True)
class Rate:
    """The rate of a token bucket: requests per second on average, and at most `burst` at once."""

    per_second: float
    burst: float


def rate_of(per_second: int) -> Rate:
    """The rate for a setting in requests per second."""
    return Rate(per_second, per_second * BURST_SECONDS)


def rate_a_minute(per_minute: int) -> Rate:
    """The rate for a setting per minute, for rare requests: those of a whole minute may come at once."""
    return Rate(per_minute / 60, per_minute)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a request found in its bucket."""

    policy: str
    within: bool
    left: float
    rate: Rate

    @property
    def next_seconds(self) -> int:
        """The seconds until the next request is within the rate."""
        return max(1, ceil((1 - self.left) / self.rate.per_second))

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers of draft-ietf-httpapi-ratelimit-headers: the quota, the rest, and when the bucket is full."""
        full_seconds = ceil(max(0.0, self.rate.burst - self.left) / self.rate.per_second)
        window_seconds = ceil(self.rate.burst / self.rate.per_second)
        return (
            ("ratelimit-policy", f'"{self.policy}";q={int(self.rate.burst)};w={window_seconds}'),
            ("ratelimit", f'"{self.policy}";r={max(0, int(self.left))};t={full_seconds}'),
        )


class Buckets:
    """The buckets of all callers under one rate."""

    def __init__(self, rate: Rate, policy: str, *, seconds: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._policy = policy
        self._seconds = seconds
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> Taken:
        """Count a request; it is within the rate when the bucket had one left."""
        now = self._seconds()
        left, at = self._left.get(caller, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - at) * self._rate.per_second)
        within = left >= 1
        self._keep(caller, left - within, now)
        return Taken(self._policy, within, left - within, self._rate)

    def give_back(self, caller: str) -> None:
        """Return a request to its bucket, when it should not have counted."""
        left, at = self._left.get(caller, (self._rate.burst, self._seconds()))
        self._keep(caller, min(self._rate.burst, left + 1), at)

    def _keep(self, caller: str, left: float, at: float) -> None:
        """Store a bucket; when there are too many, the caller that was away longest is forgotten."""
        self._left[caller] = (left, at)
        self._left.move_to_end(caller)
        if len(self._left) > MOST_CALLERS:
            self._left.popitem(last=False)


class Meters:
    """The buckets of each API key, and of each address that sends no key."""

    def __init__(self, per_key: Rate, per_address: Rate) -> None:
        self._keys = Buckets(per_key, "key")
        self._addresses = Buckets(per_address, "address")

    def take(self, key_id: str | None, address: Callable[[], str]) -> Taken:
        """Count a request in the bucket of its key, or of its address."""
        return self._keys.take(key_id) if key_id is not None else self._addresses.take(address())


class Readers:
    """Places for readers of the feed that wait for events; their number per key is limited."""

    def __init__(self, most: int = READERS_PER_KEY) -> None:
        self._most = most
        self._waiting: dict[str, int] = {}

    @contextmanager
    def place(self, key_id: str) -> Iterator[bool]:
        """Take a place for the time of a `with` block; yields whether there was one."""
        count = self._waiting.get(key_id, 0)
        if count >= self._most:
            yield False
            return
        self._waiting[key_id] = count + 1
        try:
            yield True
        finally:
            left = self._waiting.pop(key_id) - 1
            if left:
                self._waiting[key_id] = left
