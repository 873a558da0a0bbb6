"""Who is calling, and whether a key's scope may call an operation at all: the one place where that is decided (I8).

Whose things a key sees within an operation is `Call.may_see`, `own_shop` and `own_buyer`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from jitui.aftersales.registry import ApiKey, authenticate
from jitui.entrypoints.http.operation import Operation
from jitui.entrypoints.http.problems import RATE_LIMITED, SCOPE_NOT_ALLOWED, UNAUTHENTICATED, Problem
from jitui.settings import Settings
from jitui.wiring import App

KEY_SECONDS = 5.0
"""How long a process may go on with what it knows of a key; a revoked key lives at most that much longer."""

MOST_KEYS = 10_000
_PRESENTED = re.compile(r"jt_[0-9A-Za-z]{1,64}_[0-9A-Za-z_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket per key and process: so many requests a second on average, and at most `burst` at once."""

    per_second: float = 2_000.0
    burst: float = 4_000.0


GENEROUS = Rate()


class KnownKeys:
    """Keys as this process knows them, so that a request needs no round trip for its key."""

    def __init__(self, *, seconds: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._known: dict[bytes, tuple[float, ApiKey | None]] = {}

    async def find(self, app: App, authorization: str | None) -> ApiKey | None:
        """The key of an Authorization header; None when there is none that is good."""
        if authorization is None:
            return None
        digest = hashlib.sha256(authorization.encode("latin-1")).digest()
        known = self._known.get(digest)
        if known is None or known[0] <= self._seconds():
            word, _, presented = authorization.partition(" ")
            if word.lower() != "bearer" or _PRESENTED.fullmatch(presented) is None:
                return None
            if len(self._known) >= MOST_KEYS:
                self._known.clear()
            known = (self._seconds() + KEY_SECONDS, await authenticate(app.registry, presented, app.clock()))
            self._known[digest] = known
        key = known[1]
        expired = key is not None and key.expires_at is not None and key.expires_at <= app.clock()
        return None if expired else key


def is_monitoring(settings: Settings, authorization: str | None) -> bool:
    """Whether the header carries the token for metrics, which needs no database."""
    if settings.metrics_token is None or authorization is None:
        return False
    word, _, presented = authorization.partition(" ")
    same = hmac.compare_digest(presented.encode("latin-1", "replace"), settings.metrics_token.encode())
    return word.lower() == "bearer" and same


class Buckets:
    """What each key may still ask for right now."""

    def __init__(self, rate: Rate, *, seconds: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._seconds = seconds
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str) -> bool:
        """Whether one more request is within the rate."""
        now = self._seconds()
        left, at = self._left.get(key_id, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - at) * self._rate.per_second)
        if left < 1:
            return False
        if len(self._left) >= MOST_KEYS:
            self._left.clear()
        self._left[key_id] = (left - 1, now)
        return True


def refuse_access(operation: Operation, key: ApiKey | None, *, presented: bool) -> Problem | None:
    """The guard: every operation says in the table which scopes may call it; public ones take no key or a good one."""
    if key is None:
        if not operation.scopes and not presented:
            return None
        return Problem(
            UNAUTHENTICATED,
            "Send a valid API key as Authorization: Bearer jt_….",
            headers=(("www-authenticate", 'Bearer realm="jitui"'),),
        )
    if operation.scopes and key.scope not in operation.scopes:
        allowed = " and ".join(sorted(scope.value for scope in operation.scopes))
        return Problem(SCOPE_NOT_ALLOWED, f"This takes a key of scope {allowed}; yours is of scope {key.scope.value}.")
    return None


def refuse_rate() -> Problem:
    """Too fast; a bucket is refilled within the second."""
    return Problem(RATE_LIMITED, "More requests than this key may make; slow down.", retry_after_seconds=1)
