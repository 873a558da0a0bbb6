"""A shop on a platform, its buyers without an account, and a mail server that keeps what it is given."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import httpx
from litestar import Litestar

from jitui.aftersales.memory_store.provider import MemoryProvider
from jitui.aftersales.platform import PlatformOrder
from jitui.bootstrap import Service
from jitui.bootstrap_platforms import Connected
from jitui.entrypoints.console.mount import console_app
from jitui.identity.shopper import CODE_LENGTH, link_for, signer_of
from jitui.notices.model import HandOver, Mail, MailOutcome, MailResult
from tests.aftersales.test_platform_orders import ORDER
from tests.asgi import transport_to
from tests.console.marketplace import PREMIUM, SHOP, Marketplace
from tests.console.pages import Visitor
from tests.platforms.fake import FakePlatform, with_platform

ADDRESS = "Wang.Fang@example.com"
OTHERS = "somebody@example.com"
BASE = "http://console.localhost"
_CODE = re.compile(rf"\b[A-HJ-NP-Z2-9]{{{CODE_LENGTH}}}\b")


@dataclass
class KeptMail:
    """See `jitui.notices.model.Mailer`."""

    sent: list[Mail] = field(default_factory=list)
    outcome: MailOutcome = MailOutcome.TAKEN

    async def send(self, mail: Mail, hand_over: HandOver) -> MailResult:
        assert await hand_over()
        self.sent.append(mail)
        return MailResult(self.outcome, "" if self.outcome is MailOutcome.TAKEN else "The mail server answered 550.")

    async def check(self) -> str | None:
        return None


@dataclass
class Clock:
    """The service's clock, which a test moves."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.at

    def later(self, **span: float) -> None:
        self.at += timedelta(**span)


@dataclass(frozen=True)
class Shoppers:
    """Orders V-1 and V-2 of the premium buyer are on the platform, and not recorded yet."""

    service: Service
    platform: FakePlatform
    mail: KeptMail
    clock: Clock
    app: Litestar

    @asynccontextmanager
    async def browser(self, language: str = "en", client: str = "127.0.0.1") -> AsyncIterator[Visitor]:
        """A new browser, at an address of its own."""
        transport = transport_to(self.app, client=(client, 4000))
        headers = {"accept-language": language}
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as http:
            yield Visitor(http)

    async def link(self, order_id: str = "V-1", **span: float) -> str:
        """The path of a link that the shop gives out."""
        signer = await signer_of(self.service.people)
        whole = link_for(signer, BASE, order_id, self.clock() + timedelta(**(span or {"days": 7})))
        return whole.removeprefix(BASE)

    def order(self, number: str, buyer_id: str = PREMIUM.subject_id) -> PlatformOrder:
        """An order as its platform has it, placed now."""
        now = self.clock()
        payments = (replace(ORDER.payments[0], payment_id=f"p-{number}", captured_at=now),)
        lines = tuple(replace(line, line_id=f"{number}-{line.line_id}") for line in ORDER.lines)
        return replace(ORDER, order_id=number, buyer_id=buyer_id, placed_at=now, payments=payments, lines=lines)

    def beside(self, other: FakePlatform) -> Shoppers:
        """The same, with a second platform of the same shop behind the first."""
        there = Connected(other, MemoryProvider(other.name), SHOP.subject_id)
        platforms = replace(self.service.platforms, connected=(*self.service.platforms.connected, there))
        providers = {**self.service.providers, other.name: there.provider}
        service = replace(self.service, platforms=platforms, providers=providers)
        return replace(self, service=service, app=console_app(service))

    def code(self) -> str:
        """The code of the latest mail."""
        return code_in(self.mail.sent[-1].text)


def code_in(text: str) -> str:
    """The code of a mail."""
    found = _CODE.search(text)
    assert found is not None, text
    return found[0]


def shoppers_of(market: Marketplace) -> Shoppers:
    """The console of a service with a platform and mail."""
    platform, mail, clock = FakePlatform(), KeptMail(), Clock()
    service = replace(with_platform(market.service, platform, SHOP.subject_id, mail), clock=clock)
    shop = Shoppers(service, platform, mail, clock, console_app(service))
    for number in ("V-1", "V-2"):
        platform.orders[number] = shop.order(number)
        platform.addresses[number] = ADDRESS
    return shop


async def ask_for_code(visitor: Visitor, order_id: str = "V-1", address: str = ADDRESS) -> httpx.Response:
    """What the first form sends."""
    return await visitor.send("/shop", "/shop/code", order=order_id, address=address)


async def type_code(visitor: Visitor, code: str) -> httpx.Response:
    """What the second form sends."""
    return await visitor.send("/shop/code", "/shop/open", code=code)
