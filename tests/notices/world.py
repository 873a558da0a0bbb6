"""A service whose notices go to a mail server on this machine, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from jitui.adapters.address_book import HttpAddressBook
from jitui.adapters.smtp import SmtpMailer, SmtpServer, Tls
from jitui.aftersales.model.task import OperatorTask, TaskFilter
from jitui.bootstrap import Service, open_service
from jitui.bootstrap_sending import notice_rules, sources_of
from jitui.notices.dispatcher import NoticeDispatcher
from jitui.notices.model import Mailer, Notice, NoticeFilter, NoticeKind
from jitui.notices.operators import AddressesOfOperators
from jitui.settings import Settings
from jitui.settings.values import MailSender
from tests.aftersales.market import Market, open_market
from tests.http.api import Now
from tests.notices.mail_server import MailServer, Platform, mail_server, platform

KEY = "a-key-of-the-platforms"
BUYER_ADDRESS = "planted.buyer.7c1f@mail.example"
OPERATORS_ADDRESS = "planted.operators.4b0a@market.example"
SHOP_ADDRESS = "planted.shop.9d2e@shop.example"


@dataclass(frozen=True)
class World:
    """The service, a market on the same database, the clock of both, and the two servers."""

    service: Service
    market: Market
    now: Now
    mail: MailServer
    platform: Platform
    mailer: SmtpMailer
    addresses: HttpAddressBook

    def dispatcher(self, *, mailer: Mailer | None = None) -> NoticeDispatcher:
        """What a worker has; each call is another worker."""
        return NoticeDispatcher(
            self.service.notices,
            sources_of(self.service),
            AddressesOfOperators(self.addresses, self.service.people, OPERATORS_ADDRESS),
            mailer or self.mailer,
            self.service.tasks,
            clock=self.now,
            rules=notice_rules(self.service.settings),
            spread=lambda: 0.5,
        )

    async def sent(self, worker: NoticeDispatcher | None = None) -> None:
        """Queue what happened and send what is due, as a worker does."""
        at_work = worker or self.dispatcher()
        while await at_work.fan_out():
            pass
        while await at_work.send_due():
            pass

    async def notices(self) -> dict[NoticeKind, Notice]:
        """By kind, where there is one of each."""
        found = await self.service.notices.queue.list(NoticeFilter(limit=500))
        by_kind = {one.kind: one for one in found}
        assert len(by_kind) == len(found), "use `list`"
        return by_kind

    async def tasks(self) -> list[OperatorTask]:
        return list(await self.service.tasks.list(TaskFilter()))

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        async with self.market.pool.connection() as connection:
            return await (await connection.execute(query.encode())).fetchall()


@asynccontextmanager
async def open_world(database_url: str, home: Path) -> AsyncIterator[World]:
    now = Now()
    async with mail_server() as mail, platform() as book, open_market(database_url) as market:
        book.book[("buyer", "b-1")] = {"email": BUYER_ADDRESS, "language": "en-GB"}
        book.book[("shop", "shop-1")] = {"email": SHOP_ADDRESS}
        settings = Settings(
            home=home,
            database_url=database_url,
            smtp_host="127.0.0.1",
            smtp_port=mail.port,
            mail_from=MailSender("help@market.example", "Market help"),
            address_book_url=book.url,
        )
        server = SmtpServer("127.0.0.1", mail.port, Tls.NONE, "help@market.example", "Market help")
        async with (
            open_service(settings, database_url, clock=now) as service,
            SmtpMailer(server, timeout_seconds=5, clock=now) as mailer,
            HttpAddressBook(book.url, KEY, timeout_seconds=5) as addresses,
        ):
            opened = World(service, replace(market), now, mail, book, mailer, addresses)
            await opened.dispatcher().fan_out()  # it is switched on
            yield opened
