"""A console with an issuer beside it, and the way from one to the other and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar

from jitui.bootstrap import Service, install_policy, open_service
from jitui.encryption import new_key
from jitui.entrypoints.console.mount import console_app
from jitui.identity.access import Role
from jitui.identity.people import Person, enrol
from jitui.settings import Settings
from tests.console.pages import Visitor, visiting
from tests.openid.issuer import CLIENT_ID, CLIENT_SECRET, TestIssuer
from tests.provider_simulator.server import SIMULATOR_AWAY

ADA = Person("ada", Role.OPERATOR, "", "Ada")
SHAN = Person("shan", Role.MERCHANT, "shop-1", "Shan")
PASSWORD = "correct horse battery"
CONSOLE = "http://console.localhost"


@dataclass
class Counted:
    """Counts refused sign-ins as the metrics do."""

    reasons: list[str] = field(default_factory=list)

    def sign_in_refused(self, reason: str) -> None:
        self.reasons.append(reason)


@dataclass(frozen=True)
class Site:
    """The console, what it stands on, and what it counted."""

    service: Service
    issuer: TestIssuer
    console: Litestar
    counted: Counted

    async def link(self, person: Person = ADA, subject: str = "u-1") -> None:
        identities, now = self.service.identities, self.service.clock()
        assert await identities.link(person.name, self.issuer.url, subject, by="tests", now=now) == "done"

    async def audit(self) -> list[tuple[str, str, str, str]]:
        """Action, subject, actor and detail, oldest first."""
        rows = await self.service.audit_log.events(actor=None, action=None, subject=None, before=None, limit=100)
        return [(row.action, row.subject, row.actor, row.detail) for row in rows][::-1]


def settings_of(home: Path, issuer: TestIssuer, **changed: Any) -> Settings:
    home.mkdir(parents=True, exist_ok=True)
    secret, keys = home / "openid-secret", home / "encryption-keys"
    secret.write_text(CLIENT_SECRET)
    if not keys.exists():
        keys.write_text(new_key())
    given: dict[str, Any] = {
        "public_url": CONSOLE,
        "encryption_key_file": keys,
        "openid_issuer": issuer.url,
        "openid_client_id": CLIENT_ID,
        "openid_client_secret_file": secret,
    }
    return Settings(home=home, **SIMULATOR_AWAY, **{**given, **changed})


@asynccontextmanager
async def open_site(database_url: str, home: Path, issuer: TestIssuer, **changed: Any) -> AsyncIterator[Site]:
    """Ada the operator and Shan the merchant have passwords; nobody is linked yet."""
    async with open_service(settings_of(home, issuer, **changed), database_url) as service:
        await install_policy(service)
        for person in (ADA, SHAN):
            if await service.people.find_account(person.name) is None:
                await enrol(service.people, person, PASSWORD, now=service.clock())
        console, counted = console_app(service), Counted()
        console.state.metrics = counted
        yield Site(service, issuer, console, counted)


async def go(visitor: Visitor, site: Site, next_path: str = "") -> httpx.Response:
    """From the start page to the issuer and back; what the console answers then."""
    return await come_back(visitor, await to_issuer(visitor, site, next_path))


async def to_issuer(visitor: Visitor, site: Site, next_path: str = "") -> str:
    """The address by which the issuer sends the browser back."""
    sent = await visitor.http.get("/sign-in/openid", params={"next": next_path})
    assert sent.status_code == 303, sent.text
    return await site.issuer.agree(sent.headers["location"])


async def come_back(visitor: Visitor, address: str) -> httpx.Response:
    assert address.startswith(f"{CONSOLE}/sign-in/openid/return?"), address
    return await visitor.get(address.removeprefix(CONSOLE))


def signed_in(visitor: Visitor) -> bool:
    return "jitui_session" in visitor.http.cookies


__all__ = ["visiting"]
