"""Finds the API key of a request; keys are cached per process, and wrong keys are limited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from cachetools import LRUCache, TTLCache
from litestar.types import Scope

from jitui.bootstrap import Service
from jitui.entrypoints.http.client import client_of
from jitui.entrypoints.http.limits import Buckets, Rate, Taken
from jitui.entrypoints.http.problems import RATE_LIMITED, UNAUTHENTICATED, Problem
from jitui.identity.keys import ApiKey, KeyFault, judge, read_presented
from jitui.metrics import is_opened_by
from jitui.settings import Settings

KEY_SECONDS = 5.0
"""How long a process uses a cached key; a revoked key works at most this much longer."""

MOST_KEYS = 10_000
PACE_SECONDS = 0.25
"""The shortest time between two queries for keys of clients that have sent too many wrong ones."""
MOST_PACED = 1_000

_Row = tuple[ApiKey, bytes] | None
Tell = Callable[[KeyFault, str | None, str], None]
"""Hears of what was refused: why, the id that was presented where there was one, and the client's address."""


class Lookups:
    """Looks keys up in the database: one statement at a time, for all keys that were requested meanwhile.

    So the load on the database does not grow with the number of guessed keys.
    """

    def __init__(self, *, pause_seconds: float = 0.0) -> None:
        self._pause_seconds = pause_seconds
        self._wanted: dict[str, asyncio.Future[_Row]] = {}
        self._running: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._wanted)

    async def find(self, service: Service, key_id: str) -> _Row:
        """The row of a key; raises what the database raises."""
        answer = self._wanted.get(key_id)
        if answer is None:
            answer = self._wanted[key_id] = asyncio.get_running_loop().create_future()
        if self._running is None:
            self._running = asyncio.create_task(self._run(service))
        return await asyncio.shield(answer)

    async def _run(self, service: Service) -> None:
        try:
            while self._wanted:
                await asyncio.sleep(self._pause_seconds)
                wanted, self._wanted = self._wanted, {}
                await _answer(service, wanted)
        finally:
            self._running = None


async def _answer(service: Service, wanted: dict[str, asyncio.Future[_Row]]) -> None:
    try:
        found = await service.keys.find(tuple(wanted))
    except Exception as error:
        for answer in wanted.values():
            answer.set_exception(error)
            answer.exception()  # the caller may have gone
        return
    for key_id, answer in wanted.items():
        answer.set_result(found.get(key_id))


class KnownKeys:
    """Keys as this process knows them, so that a request needs no round trip for its key.

    A wrong key is counted against the client's address before the database is asked, and its place in the count is
    given back where it proves right. Beyond the count the answer is 429, and the database is asked at a slow pace: a
    right key that this process has never seen waits a moment for that, and one that it has seen does not even wait.

    Keys that do not exist are kept apart from those that do, so that guessing pushes no known key out.
    """

    def __init__(
        self, wrong: Rate, *, seconds: Callable[[], float] = monotonic, tell: Tell = lambda fault, key_id, client: None
    ) -> None:
        self._seconds = seconds
        self._tell = tell
        self._wrong = Buckets(wrong, "wrong-keys", seconds=seconds)
        self._known: LRUCache[str, tuple[float, ApiKey, bytes]] = LRUCache(MOST_KEYS)
        self._absent: TTLCache[str, None] = TTLCache(MOST_KEYS, KEY_SECONDS, timer=seconds)
        self._prompt = Lookups()
        self._paced = Lookups(pause_seconds=PACE_SECONDS)

    async def find(self, service: Service, authorization: str, scope: Scope) -> ApiKey | Problem:
        """The key of an Authorization header, or why there is none."""
        word, _, presented = authorization.partition(" ")
        parts = read_presented(presented) if word.lower() == "bearer" else None
        if parts is None:
            return self._refuse_wrong(service, scope, KeyFault.MALFORMED, None)
        key_id, secret_hash = parts
        known = self._known.get(key_id)
        if known is not None and known[0] > self._seconds():
            found = judge(known[1:], secret_hash, service.clock())
            return found if isinstance(found, ApiKey) else self._refuse_wrong(service, scope, found, key_id)
        if key_id in self._absent:
            return self._refuse_wrong(service, scope, KeyFault.UNKNOWN, key_id)
        if known is not None and judge(known[1:], secret_hash, service.clock()) is not KeyFault.WRONG_SECRET:
            # It was right a moment ago: no guess.
            row = await self._look_up(service, key_id, self._prompt)
            found = judge(row, secret_hash, service.clock())
            return found if isinstance(found, ApiKey) else self._refuse(service, scope, found, key_id)
        return await self._find_new(service, key_id, secret_hash, scope)

    async def _find_new(self, service: Service, key_id: str, secret_hash: bytes, scope: Scope) -> ApiKey | Problem:
        source = _source(service, scope)
        counted = self._wrong.take(source)
        if not counted.within and len(self._paced) >= MOST_PACED:
            return refuse_wrong_keys(counted)
        row = await self._look_up(service, key_id, self._prompt if counted.within else self._paced)
        found = judge(row, secret_hash, service.clock())
        if not isinstance(found, ApiKey):
            self._tell(found, key_id, source)
            return unauthenticated() if counted.within else refuse_wrong_keys(counted)
        if counted.within:
            self._wrong.give_back(source)
        return found

    async def _look_up(self, service: Service, key_id: str, lookups: Lookups) -> _Row:
        """Held from the moment of the question: what changes while it is answered is not in the answer."""
        asked_at = self._seconds()
        row = await lookups.find(service, key_id)
        if row is None:
            self._known.pop(key_id, None)
            self._absent[key_id] = None
        else:
            self._known[key_id] = (asked_at + KEY_SECONDS, *row)
        return row

    def _refuse(self, service: Service, scope: Scope, fault: KeyFault, key_id: str) -> Problem:
        self._tell(fault, key_id, _source(service, scope))
        return unauthenticated()

    def _refuse_wrong(self, service: Service, scope: Scope, fault: KeyFault, key_id: str | None) -> Problem:
        source = _source(service, scope)
        counted = self._wrong.take(source)
        self._tell(fault, key_id, source)
        return unauthenticated() if counted.within else refuse_wrong_keys(counted)


def is_monitoring(settings: Settings, authorization: str | None) -> bool:
    """Whether the header has the token for metrics, which needs no database."""
    return is_opened_by((authorization or "").encode("latin-1", "replace"), settings.metrics_token)


def _source(service: Service, scope: Scope) -> str:
    return client_of(scope, service.settings.trusted_proxies).counted_as


def unauthenticated() -> Problem:
    """The problem for a missing or a wrong key; it does not tell which."""
    return Problem(
        UNAUTHENTICATED,
        "Send a valid API key as Authorization: Bearer jt_….",
        headers=(("www-authenticate", 'Bearer realm="jitui"'),),
    )


def refuse_wrong_keys(taken: Taken) -> Problem:
    """The problem for too many wrong keys; a right key is still accepted."""
    return Problem(
        RATE_LIMITED,
        "Too many wrong keys came from your address; a right one is still taken.",
        retry_after_seconds=taken.next_seconds,
        headers=taken.headers,
    )
