"""Keeps WeChat Pay's documented rate limits before a call is made; no network and no threads."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

REFUNDS_PER_SECOND = 150
ERRORS_PER_SECOND = 6
SECONDS_BETWEEN_REFUNDS = 60.0
"""The time between two refunds of one payment; the same refund may be repeated at once."""


class Pace:
    """The limits for the calls of one process; another process of the same merchant counts for itself.

    `clock` returns seconds that never decrease. Source: the notes on the refund call in WeChat Pay's API v3.
    """

    def __init__(self, clock: Callable[[], float], *, refunds_per_second: int = REFUNDS_PER_SECOND) -> None:
        self._clock = clock
        self._refunds_per_second = refunds_per_second
        self._calls: deque[float] = deque()
        self._errors: deque[float] = deque()
        self._last: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def seconds_to_wait(self, payment_id: str, number: str) -> float:
        """The seconds until this refund may be requested; when it is 0 or less, the call is counted."""
        now = self._clock()
        wait = max(
            _until_free(self._calls, self._refunds_per_second, now),
            _until_free(self._errors, ERRORS_PER_SECOND, now),
            self._until_next_refund(payment_id, number, now),
        )
        if wait <= 0:
            self._calls.append(now)
            self._last[payment_id] = (number, now)
            self._last.move_to_end(payment_id)
        return wait

    def count_error(self) -> None:
        """Count an error: WeChat Pay limits refused refunds more strictly than accepted ones."""
        self._errors.append(self._clock())

    def _until_next_refund(self, payment_id: str, number: str, now: float) -> float:
        while self._last and now - next(iter(self._last.values()))[1] >= SECONDS_BETWEEN_REFUNDS:
            self._last.popitem(last=False)
        last_number, at = self._last.get(payment_id, (number, now))
        return 0.0 if last_number == number else at + SECONDS_BETWEEN_REFUNDS - now


def _until_free(times: deque[float], most: int, now: float) -> float:
    """The seconds until fewer than `most` of the times are within the last second."""
    while times and now - times[0] >= 1.0:
        times.popleft()
    return 0.0 if len(times) < most else times[len(times) - most] + 1.0 - now
