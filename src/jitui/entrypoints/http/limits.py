"""How much one caller may ask for: token buckets in the memory of one process, and places for those who wait for news.

Each process counts for itself: on `--processes 4`, or on four machines, a caller may get four times as much through.
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
"""A bucket holds what comes in so many seconds."""
READERS_PER_KEY = 4


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: so many requests a second on average, and at most `burst` at once."""

    per_second: float
    burst: float


def rate_of(per_second: int) -> Rate:
    """The rate of a setting."""
    return Rate(per_second, per_second * BURST_SECONDS)


def rate_a_minute(per_minute: int) -> Rate:
    """The rate of a setting for what happens seldom: all of a minute at once, then as it comes in."""
    return Rate(per_minute / 60, per_minute)


@dataclass(frozen=True, slots=True)
class Taken:
    """What one request found in its bucket."""

    policy: str
    within: bool
    left: float
    rate: Rate

    @property
    def next_seconds(self) -> int:
        """Until the next request is within the rate."""
        return max(1, ceil((1 - self.left) / self.rate.per_second))

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The fields of draft-ietf-httpapi-ratelimit-headers: the quota of a bucket, what is left, when it is full."""
        full_seconds = ceil(max(0.0, self.rate.burst - self.left) / self.rate.per_second)
        window_seconds = ceil(self.rate.burst / self.rate.per_second)
        return (
            ("ratelimit-policy", f'"{self.policy}";q={int(self.rate.burst)};w={window_seconds}'),
            ("ratelimit", f'"{self.policy}";r={max(0, int(self.left))};t={full_seconds}'),
        )


class Buckets:
    """What each caller may still ask for right now, under one policy."""

    def __init__(self, rate: Rate, policy: str, *, seconds: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._policy = policy
        self._seconds = seconds
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> Taken:
        """One request more; it is within the rate where the bucket still held one."""
        now = self._seconds()
        left, at = self._left.get(caller, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - at) * self._rate.per_second)
        within = left >= 1
        self._keep(caller, left - within, now)
        return Taken(self._policy, within, left - within, self._rate)

    def give_back(self, caller: str) -> None:
        """The request was none of those that this counts."""
        left, at = self._left.get(caller, (self._rate.burst, self._seconds()))
        self._keep(caller, min(self._rate.burst, left + 1), at)

    def _keep(self, caller: str, left: float, at: float) -> None:
        """Of too many callers the one that was away for longest is forgotten, never all of them."""
        self._left[caller] = (left, at)
        self._left.move_to_end(caller)
        if len(self._left) > MOST_CALLERS:
            self._left.popitem(last=False)


class Meters:
    """How much each key, or each address that shows none, may still ask for."""

    def __init__(self, per_key: Rate, per_address: Rate) -> None:
        self._keys = Buckets(per_key, "key")
        self._addresses = Buckets(per_address, "address")

    def take(self, key_id: str | None, address: Callable[[], str]) -> Taken:
        """One request out of the bucket that pays for it."""
        return self._keys.take(key_id) if key_id is not None else self._addresses.take(address())


class Readers:
    """Places for readers of the feed that wait for news, so many for each key."""

    def __init__(self, most: int = READERS_PER_KEY) -> None:
        self._most = most
        self._waiting: dict[str, int] = {}

    @contextmanager
    def place(self, key_id: str) -> Iterator[bool]:
        """Hold a place; whether there was one."""
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
