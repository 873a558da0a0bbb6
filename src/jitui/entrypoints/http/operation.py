"""One operation of the API: what it takes, who may call it, what it answers. The table of them is the API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from time import monotonic
from typing import Any, Generic, TypeVar

import msgspec
from litestar import Request
from msgspec import UnsetType

from jitui.aftersales.command import Executed, Render
from jitui.aftersales.outcomes import KeptAnswer, Once, Refusal
from jitui.aftersales.registry import ApiKey, KeyScope
from jitui.aftersales.ticket import Actor, ActorKind
from jitui.entrypoints.http.limits import Readers
from jitui.entrypoints.http.metrics import Metrics
from jitui.entrypoints.http.problems import Problem, ProblemKind
from jitui.entrypoints.http.reading import refuse
from jitui.wiring import App

Headers = tuple[tuple[str, str], ...]
HttpRequest = Request[Any, Any, Any]

PLATFORM, SHOP, BUYER = KeyScope.PLATFORM, KeyScope.SHOP, KeyScope.BUYER


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No fields."""


NOTHING = Nothing()
_Body = TypeVar("_Body")
_Query = TypeVar("_Query")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back when nothing stood in the way."""

    status: int
    body: bytes
    headers: Headers = ()
    media_type: str = "application/json"


class Stopping:
    """Tells those who wait that the process is about to stop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def now(self) -> None:
        """The process stops: nobody waits any longer."""
        self._event.set()

    async def within(self, seconds: float) -> bool:
        """Wait so long, or until the process stops; whether it does."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        return self._event.is_set()


@dataclass(slots=True)
class Call(Generic[_Body, _Query]):
    """One request, read and admitted: what an operation works with."""

    app: App
    metrics: Metrics
    stopping: Stopping
    operation: Operation
    request: HttpRequest
    key: ApiKey | None
    body: _Body
    query: _Query
    arrived_at: float = field(default_factory=monotonic)
    idempotency_key: str | None = None
    readers: Readers = field(default_factory=Readers)
    worker_beside: Callable[[], bool] | None = None

    def path(self, name: str) -> str:
        """A part of the address, percent-decoded."""
        return str(self.request.scope["path_params"][name])

    def header(self, name: str) -> str | None:
        """A header by its lower-case name."""
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self.request.scope["headers"] if key == wanted), None)

    @property
    def scope(self) -> KeyScope | None:
        """Whose eyes this call sees with; None without a key."""
        return self.key.scope if self.key is not None else None

    @property
    def own_shop(self) -> str | None:
        """The shop that a shop key is bound to."""
        return self.key.subject_id if self.key is not None and self.key.scope is SHOP else None

    @property
    def own_buyer(self) -> str | None:
        """The buyer that a buyer key is bound to."""
        return self.key.subject_id if self.key is not None and self.key.scope is BUYER else None

    def may_see(self, *, shop_id: str | None = None, buyer_id: str | None = None) -> bool:
        """Whether a thing of this shop and buyer is the caller's to see; what it has neither of is the platform's."""
        if self.scope is PLATFORM:
            return True
        if self.scope is SHOP:
            return shop_id is not None and shop_id == self.own_shop
        return buyer_id is not None and buyer_id == self.own_buyer

    def may_filter(self, *, shop_id: str | None, buyer_id: str | None) -> bool:
        """Whether a list may be asked for by these: a shop key by its own shop only, a buyer key by its own buyer."""
        foreign_shop = self.scope is SHOP and shop_id not in (None, self.own_shop)
        foreign_buyer = self.scope is BUYER and buyer_id not in (None, self.own_buyer)
        return not foreign_shop and not foreign_buyer

    @property
    def actor(self) -> Actor:
        """Who acts, as timelines name them."""
        assert self.key is not None
        if self.key.scope is SHOP:
            return Actor(ActorKind.MERCHANT, self.key.subject_id)
        if self.key.scope is BUYER:
            return Actor(ActorKind.BUYER, self.key.subject_id)
        return Actor(ActorKind.PLATFORM, self.key.label or self.key.key_id)

    def actor_for(self, acting_for: str | UnsetType, person: str | UnsetType) -> Actor:
        """Who acts, when a platform may pass on what its merchant's person decided. Raises Malformed for half of it."""
        if isinstance(acting_for, UnsetType) and isinstance(person, UnsetType):
            return self.actor
        if isinstance(acting_for, UnsetType) or isinstance(person, UnsetType):
            raise refuse(
                "person" if isinstance(person, UnsetType) else "acting_for",
                "acting_for and person go together: for whom, and who decided it there.",
            )
        if self.key is None or self.key.scope is not PLATFORM:
            raise refuse("acting_for", "Only a platform's key acts for a merchant; yours already says whose it is.")
        return Actor(ActorKind.MERCHANT, person, through=self.actor.id)

    def once(self, body: object, *more: str) -> Once | None:
        """The Idempotency-Key of this call, if one was sent, bound to everything that shapes its effect."""
        if self.idempotency_key is None or self.key is None:
            return None
        shapes = sha256(msgspec.json.encode(body, order="deterministic"))
        for text in (self.operation.method, str(self.request.scope["path"]), *more):
            shapes.update(b"\x00" + text.encode())
        return Once(self.key.key_id, self.operation.route, self.idempotency_key, shapes.digest())


AnyCall = Call[Any, Any]
Done = Answer | Problem | Refusal
Run = Callable[[AnyCall], Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the API's table; `scopes` empty means public, `keyed` that it honours an Idempotency-Key.

    `signed`: the body itself proves who sends it, so no API key is looked for. `unmetered`: no rate limit.
    `for_monitoring`: the token of the settings opens it too.
    `headers` may be sent, `needed_headers` must be; a `body_optional` may be left out.
    """

    method: str
    path: str
    run: Run
    summary: str
    tag: str
    answers: Mapping[int, type[Any] | None]
    scopes: frozenset[KeyScope] = frozenset()
    body: type[Any] = Nothing
    query: type[Any] = Nothing
    problems: tuple[ProblemKind, ...] = ()
    keyed: bool = False
    signed: bool = False
    unmetered: bool = False
    for_monitoring: bool = False
    headers: tuple[str, ...] = ()
    needed_headers: tuple[str, ...] = ()
    body_optional: bool = False
    description: str = ""

    @property
    def operation_id(self) -> str:
        """The name of the function that runs it."""
        return self.run.__name__

    @property
    def route(self) -> str:
        """What scopes an Idempotency-Key: method and address template."""
        return f"{self.method} {self.path}"

    @property
    def takes_body(self) -> bool:
        """Whether a JSON body is read."""
        return self.body is not Nothing


async def carried_out(
    call: AnyCall,
    command: Callable[[Render], Awaitable[Executed | Refusal | KeptAnswer]],
    render: Callable[[Executed], Answer],
    headers: Callable[[bytes], Headers] = lambda _: (),
) -> Done:
    """Run a command; its answer is rendered inside the transaction when an Idempotency-Key must keep it.

    `headers` finds in a kept body the headers that the first answer had.
    """
    made: list[Answer] = []

    def keep(done: Executed) -> KeptAnswer:
        made.append(render(done))
        return KeptAnswer(made[0].status, made[0].body, call.app.clock())

    done = await command(keep)
    if isinstance(done, Refusal):
        return done
    if isinstance(done, KeptAnswer):
        return Answer(done.status, done.body, (*headers(done.body), ("idempotency-replayed", "true")))
    return made[0] if made else render(done)
