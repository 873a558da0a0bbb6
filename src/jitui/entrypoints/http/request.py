"""The request that handlers of the API get: Litestar's own, with the admitted key and operation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from time import monotonic

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.types import Receive, Scope, Send
from msgspec import UnsetType

from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.outcomes import IdempotencyKey
from jitui.bootstrap import Service
from jitui.entrypoints.http.exchange import exchange_of
from jitui.entrypoints.http.keys import KnownKeys
from jitui.entrypoints.http.limits import Meters, Rate, Readers, rate_a_minute, rate_of
from jitui.entrypoints.http.metrics import Metrics
from jitui.entrypoints.http.operation import BUYER, PLATFORM, SHOP, Operation
from jitui.entrypoints.http.problems import Problem, ProblemRaised, refuse
from jitui.entrypoints.http.refused_keys import RefusedKeys
from jitui.entrypoints.http.used_keys import UsedKeys
from jitui.errors import Unavailable
from jitui.identity.access import KeyScope, Permission, allows
from jitui.identity.keys import ApiKey, grants_of, key_may
from jitui.settings import Settings


class Stopping:
    """Tells waiting readers that the process is about to stop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def now(self) -> None:
        """The process stops: end all waits."""
        self._event.set()

    async def within(self, seconds: float) -> bool:
        """Wait this long or until the process stops; returns whether it does."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        return self._event.is_set()


class Api:
    """What the handlers of one process share; the service exists from start-up to shutdown."""

    def __init__(
        self,
        settings: Settings,
        rate: Rate | None = None,
        service: Service | None = None,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self.opened = service
        self.settings = settings
        self.metrics = Metrics()
        refused = RefusedKeys(self.metrics, seconds=seconds)
        self.keys = KnownKeys(rate_a_minute(settings.wrong_keys_per_minute), seconds=seconds, tell=refused.tell)
        self.used_keys = UsedKeys()
        self.meters = Meters(rate or rate_of(settings.rate_per_key), rate_of(settings.rate_per_address))
        self.readers = Readers()
        self.worker_beside: Callable[[], bool] | None = None
        self.stopping = Stopping()

    @property
    def service(self) -> Service:
        """The open service."""
        if self.opened is None:
            raise Unavailable("The service is starting.")
        return self.opened


class RequestContext(Request[None, ApiKey | None, State]):
    """A request that was admitted: its key, its operation and the service."""

    __slots__ = ("api", "idempotency_key", "key", "operation", "sent_headers", "service")

    api: Api
    service: Service
    operation: Operation
    key: ApiKey | None
    sent_headers: dict[bytes, str]
    """The headers that this API reads, by lower-case name."""
    idempotency_key: str | None

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self.key = self.idempotency_key = None

    @property
    def arrived_at(self) -> float:
        """When the request arrived, in the time of `time.monotonic`."""
        return exchange_of(self.scope).arrived_at

    @property
    def key_scope(self) -> KeyScope | None:
        """The scope of the key; None without a key."""
        return self.key.scope if self.key is not None else None

    @property
    def own_shop(self) -> str | None:
        """The shop of a shop key."""
        return self.key.subject_id if self.key is not None and self.key.scope is SHOP else None

    @property
    def own_buyer(self) -> str | None:
        """The buyer of a buyer key."""
        return self.key.subject_id if self.key is not None and self.key.scope is BUYER else None

    def may(self, permission: Permission) -> bool:
        """Whether the key has a permission, beside the one that the operation needs."""
        return self.key is not None and key_may(self.key, permission)

    def may_see(self, *, shop_id: str | None = None, buyer_id: str | None = None) -> bool:
        """Whether a thing of this shop and buyer is the caller's to see; what it has neither of is the platform's."""
        needed = self.operation.permission
        if self.key is None or needed is None:
            return False
        own = {SHOP: shop_id, BUYER: buyer_id}.get(self.key.scope) == self.key.subject_id
        if self.key.scope in self.operation.refused_by_handler:
            return own  # of its own things the handler says why not
        return allows(grants_of(self.key), needed, own=own)

    def may_filter(self, *, shop_id: str | None, buyer_id: str | None) -> bool:
        """Whether the caller may filter a list like this: a shop key by its own shop, a buyer key by its own buyer."""
        foreign_shop = self.key_scope is SHOP and shop_id not in (None, self.own_shop)
        foreign_buyer = self.key_scope is BUYER and buyer_id not in (None, self.own_buyer)
        return not foreign_shop and not foreign_buyer

    async def check_key_again(self) -> None:
        """For a request that waits: raises a problem once the key that it came with has been revoked or has ended."""
        authorization = self.sent_headers.get(b"authorization")
        if authorization is not None:
            found = await self.api.keys.find(self.service, authorization, self.scope)
            if isinstance(found, Problem):
                raise ProblemRaised(found)

    @property
    def actor(self) -> Actor:
        """Who acts, as timelines name them; who has rolled a key is still the same."""
        assert self.key is not None
        if self.key.person is not None:
            return Actor(ActorKind.OPERATOR, self.key.person)
        if self.key.scope is SHOP:
            return Actor(ActorKind.MERCHANT, self.key.subject_id)
        if self.key.scope is BUYER:
            return Actor(ActorKind.BUYER, self.key.subject_id)
        return Actor(ActorKind.PLATFORM, self.key.label or self.key.client)

    def actor_for(self, acting_for: str | UnsetType, person: str | UnsetType) -> Actor:
        """Who acts, when a platform passes on what a merchant's person decided; raises a problem for missing fields."""
        if isinstance(acting_for, UnsetType) and isinstance(person, UnsetType):
            return self.actor
        if isinstance(acting_for, UnsetType) or isinstance(person, UnsetType):
            raise refuse(
                "person" if isinstance(person, UnsetType) else "acting_for",
                "acting_for and person go together: for whom, and who decided it there.",
            )
        if self.key_scope is not PLATFORM:
            raise refuse("acting_for", "Only a platform's key acts for a merchant; yours already says whose it is.")
        return Actor(ActorKind.MERCHANT, person, through=self.actor.id)

    def idempotency_key_for(self, body: object, *more: str) -> IdempotencyKey | None:
        """The Idempotency-Key of this request, with a hash of all that determines its effect; None when not sent."""
        if self.idempotency_key is None or self.key is None:
            return None
        shapes = sha256(msgspec.json.encode(body, order="deterministic"))
        for text in (self.method, str(self.scope["path"]), *more):
            shapes.update(b"\x00" + text.encode())
        route = f"{self.method} {self.scope['path_template']}"
        return IdempotencyKey(self.key.client, route, self.idempotency_key, shapes.digest())
