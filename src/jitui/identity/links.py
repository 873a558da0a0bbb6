"""One-time links: how somebody who cannot sign in yet, or not any more, chooses a password."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from jitui.identity.people import Person, hash_password, hash_token

LINK_LASTS = timedelta(hours=24)
PATH = "/welcome/"


@dataclass(frozen=True, slots=True)
class OneTimeLink:
    """A link that was just made; the token is shown this once."""

    name: str
    token: str
    expires_at: datetime

    @property
    def path(self) -> str:
        """The page of the console that takes it."""
        return PATH + self.token


class Links(Protocol):
    """What keeps one-time links."""

    async def add_link(self, token_hash: bytes, name: str, *, by: str, now: datetime, expires_at: datetime) -> None: ...

    async def find_link(self, token_hash: bytes, now: datetime) -> Person | None: ...

    async def take_link(self, token_hash: bytes, password_hash: str, now: datetime) -> Person | None: ...


async def make_link(links: Links, name: str, *, by: str, now: datetime, lasts: timedelta = LINK_LASTS) -> OneTimeLink:
    """A link for a person; former ones that were not used are worth nothing from now on."""
    link = OneTimeLink(name, secrets.token_urlsafe(32), now + lasts)
    await links.add_link(hash_token(link.token), name, by=by, now=now, expires_at=link.expires_at)
    return link


async def whose_link(links: Links, token: str, *, now: datetime) -> Person | None:
    """Whom a link is for; None when it is unknown, was used, or has ended."""
    return await links.find_link(hash_token(token), now)


async def use_link(
    links: Links, token: str, password: str, *, now: datetime, refused: Callable[[], None] = lambda: None
) -> Person | None:
    """Choose a password by a link. Of several who use it at once one does; for the others it is used.

    Raises BadInput for a password that is too short or too long; the link can be used again then.
    """
    if await whose_link(links, token, now=now) is None:
        refused()
        return None
    person = await links.take_link(hash_token(token), await hash_password(password), now)
    if person is None:
        refused()
    return person
