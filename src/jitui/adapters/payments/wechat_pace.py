"""WeChat Pay's documented rates, kept before a call goes out; no network and no threads in here."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

REFUNDS_PER_SECOND = 150
ERRORS_PER_SECOND = 6
SECONDS_BETWEEN_REFUNDS = 60.0
"""Between two refunds of one payment; the same refund may be asked for again at once."""


class Pace:
    """What one process may ask for right now; other processes of the same merchant have a pace of their own.

    `clock`: seconds that only grow. Source: the notes of the refund call in WeChat Pay's API v3.
    """

    def __init__(self, clock: Callable[[], float], *, refunds_per_second: int = REFUNDS_PER_SECOND) -> None:
        self._clock = clock
        self._refunds_per_second = refunds_per_second
        self._calls: deque[float] = deque()
        self._errors: deque[float] = deque()
        self._last: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def seconds_to_wait(self, payment_id: str, number: str) -> float:
        """Nothing to wait for: the call is counted and may go out. Else the seconds until it may."""
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
        """WeChat Pay refused a refund: those are limited more tightly than good ones."""
        self._errors.append(self._clock())

    def _until_next_refund(self, payment_id: str, number: str, now: float) -> float:
        while self._last and now - next(iter(self._last.values()))[1] >= SECONDS_BETWEEN_REFUNDS:
            self._last.popitem(last=False)
        last_number, at = self._last.get(payment_id, (number, now))
        return 0.0 if last_number == number else at + SECONDS_BETWEEN_REFUNDS - now


def _until_free(times: deque[float], most: int, now: float) -> float:
    """Seconds until fewer than `most` of these times lie within the last second."""
    while times and now - times[0] >= 1.0:
        times.popleft()
    return 0.0 if len(times) < most else times[len(times) - most] + 1.0 - now
