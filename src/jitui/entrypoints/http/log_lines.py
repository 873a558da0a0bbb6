"""Which lines about refused callers are written: the first of a kind in a minute, so that guessing fills no disk."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from jitui.entrypoints.http.limits import Buckets, Rate

LINES = Rate(per_second=1 / 60, burst=1)


class LogLines:
    """Remembers what was written within the minute; metrics count what is left out."""

    def __init__(self, *, seconds: Callable[[], float] = monotonic) -> None:
        self._buckets = Buckets(LINES, "log", seconds=seconds)

    def may_write(self, kind: str, about: str) -> bool:
        """Whether a line of this kind, about this key, person or address, is due."""
        return self._buckets.take(f"{kind} {about}").within
