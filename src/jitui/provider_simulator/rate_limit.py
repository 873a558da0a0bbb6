"""A limit on the refunds that are taken each second."""

from __future__ import annotations

import time
from collections.abc import Callable


class RateLimit:
    """A limit on requests per second; the bucket holds the requests of one second and is refilled steadily.

    None: no limit.
    """

    def __init__(self, per_second: float | None, seconds: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._seconds = seconds
        self._left = max(1.0, per_second or 0.0)
        self._at = seconds()

    def seconds_to_wait(self) -> float:
        """0 when the request may pass, which counts it; otherwise the seconds until one may."""
        if self.per_second is None:
            return 0.0
        now = self._seconds()
        self._left = min(max(1.0, self.per_second), self._left + (now - self._at) * self.per_second)
        self._at = now
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / self.per_second
