"""A service whose webhooks go to receivers on this machine, on a clock that the test moves."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from jitui.adapters.webhooks import HttpSender
from jitui.aftersales.changes import OutgoingEventKind
from jitui.aftersales.model.task import OperatorTask, TaskFilter
from jitui.bootstrap import Service, address_rules, open_service
from jitui.encryption import Encryption, new_key
from jitui.ids import lane_of
from jitui.settings import Settings, YesOrNo
from jitui.webhooks.dispatcher import Dispatcher, DispatchRules
from jitui.webhooks.endpoints import NewEndpoint, create_endpoint
from jitui.webhooks.model import Delivery, DeliveryState, Sender, WebhookEndpoint
from tests.aftersales.market import Market, open_market
from tests.http.api import Now

RULES = DispatchRules(
    dead_after=timedelta(hours=72),
    pause_after=timedelta(hours=120),
    keep=timedelta(days=30),
    lease=timedelta(seconds=60),
    user_agent="Jitui/tests",
)


def key_file(home: Path, *keys: str) -> Path:
    """A file with these keys, the first of which encrypts."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / f"{keys[0][:8]}.keys"
    file.write_text("\n".join(keys))
    return file


def settings_of(home: Path, url: str | None = None, **changed: Any) -> Settings:
    base: dict[str, Any] = {
        "home": home,
        "database_url": url,
        "pool_size": 8,
        "encryption_key_file": key_file(home, new_key()),
        "webhook_allowed_networks": (ip_network("127.0.0.0/8"),),
        "webhook_allow_http": YesOrNo.YES,
        "webhook_timeout_seconds": 5,
    }
    return Settings(**{**base, **changed})


@dataclass(frozen=True)
class World:
    """The service, a market on the same database, and the clock of both."""

    service: Service
    market: Market
    now: Now
    sender: HttpSender

    def dispatcher(self, *, sender: Sender | None = None, service: Service | None = None) -> Dispatcher:
        """What a worker has; each call is another worker."""
        own = service or self.service
        chance = random.Random(7)
        return Dispatcher(
            own.webhooks,
            sender or self.sender,
            own.encryption,
            own.tasks,
            clock=self.now,
            rules=RULES,
            spread=chance.random,
        )

    async def endpoint(self, url: str, *, shop_id: str = "", kinds: Sequence[OutgoingEventKind] = ()) -> NewEndpoint:
        made = await create_endpoint(
            self.service.webhook_keeping,
            shop_id=shop_id,
            url=url,
            description="",
            kinds=kinds,
            by="tests",
            now=self.now(),
        )
        assert isinstance(made, NewEndpoint), made
        return made

    async def happen(
        self,
        order_id: str,
        count: int = 1,
        *,
        shop_id: str = "shop-1",
        kind: str = "order.paid",
        buyer_id: str | None = None,
    ) -> None:
        """Events of an order, as any command announces them."""
        rows = [{"kind": kind, "body": {"number": number}} for number in range(count)]
        buyer_id = buyer_id or f"buyer-of-{order_id}"
        async with self.market.pool.connection() as connection:
            await connection.execute(
                "INSERT INTO change (lane, kind, order_id, buyer_id, shop_id, at, body) "
                "SELECT %(lane)s, r.kind, %(order_id)s, %(buyer_id)s, %(shop_id)s, %(at)s, r.body "
                "FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (kind text, body jsonb)",
                {
                    "lane": lane_of(buyer_id),
                    "order_id": order_id,
                    "buyer_id": buyer_id,
                    "shop_id": shop_id,
                    "at": self.now(),
                    "rows": msgspec.json.encode(rows).decode(),
                },
            )

    async def sent(self, dispatcher: Dispatcher | None = None) -> int:
        """Queue what happened and send what is due, as a worker does."""
        worker = dispatcher or self.dispatcher()
        while await worker.fan_out():
            pass
        return await worker.send_due()

    async def until_empty(self, dispatcher: Dispatcher, *, most: int = 400) -> int:
        """Go on from retry to retry; how many attempts there were."""
        attempts = await self.sent(dispatcher)
        for _ in range(most):
            if not await self.waiting():
                return attempts
            self.now.later(hours=1)
            attempts += await self.sent(dispatcher)
        raise AssertionError("events wait for ever")

    async def waiting(self) -> int:
        """Orders that something waits for."""
        return int(str((await self.rows("SELECT count(*) FROM webhook_queue"))[0][0]))

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        async with self.market.pool.connection() as connection:
            return await (await connection.execute(query.encode())).fetchall()

    async def deliveries(self, endpoint_id: UUID, state: DeliveryState | None = None) -> list[Delivery]:
        """Oldest first."""
        found = await self.service.webhooks.endpoints.deliveries(endpoint_id, state=state, before=None, limit=1000)
        return list(found)[::-1]

    async def stands(self, endpoint_id: UUID) -> WebhookEndpoint:
        found = await self.service.webhooks.endpoints.get(endpoint_id)
        assert found is not None
        return found

    async def tasks(self) -> list[OperatorTask]:
        return list(await self.service.tasks.list(TaskFilter()))

    def with_keys(self, *keys: str) -> Service:
        """The same service with other encryption keys."""
        settings = replace(self.service.settings, encryption_key_file=key_file(self.service.settings.home, *keys))
        return replace(self.service, settings=settings, encryption=Encryption(settings.encryption_keys()))


@asynccontextmanager
async def open_world(database_url: str, home: Path) -> AsyncIterator[World]:
    now = Now()
    settings = settings_of(home)
    async with (
        open_market(database_url, pool_size=4) as market,
        open_service(settings, database_url, clock=now) as service,
        HttpSender(address_rules(settings), timeout_seconds=settings.webhook_timeout_seconds) as sender,
    ):
        yield World(service, market, now, sender)


def half_of_the_time(seed: int = 11) -> Callable[[object], int]:
    """What a receiver answers that fails half of the time."""
    chance = random.Random(seed)
    return lambda _: 204 if chance.random() < 0.5 else chance.choice((400, 404, 429, 500, 503))
