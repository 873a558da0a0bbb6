"""A buyer without an account: who has proved to be the buyer of one order sees that one order, for a short time.

Two ways lead there. A code goes to the address that the shop has for the order; or the shop itself gives a signed link
to a buyer whom it knows. Both end in a session that is a signed text, bound to the order. No address is kept here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlencode

from jitui.identity.people import People, installation_secret

CODE_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Without characters that are taken for one another."""
CODE_LENGTH = 8
CODE_LASTS = timedelta(minutes=15)
MOST_TRIES = 5
CODES_PER_ORDER = 3
CODES_WITHIN = timedelta(hours=1)
SESSION_LASTS = timedelta(minutes=30)
LINK_LASTS = timedelta(days=7)
LONGEST_LINK = timedelta(days=90)
LINK_PATH = "/shop/link"
_SECRET = "shopper"


class Proof(StrEnum):
    """What is signed: one never passes for the other."""

    LINK = "link"
    SESSION = "session"


class ShopperCodes(Protocol):
    """Where codes are kept, by the hash of what the asking browser alone has."""

    async def add(self, asked: bytes, code: bytes, order_id: str, *, now: datetime) -> bool:
        """Keep a code; False, and nothing is kept, when the order had CODES_PER_ORDER within CODES_WITHIN."""
        ...

    async def use(self, asked: bytes, code: bytes, *, now: datetime) -> str | None:
        """The order of a right code, once; a wrong one counts as a try."""
        ...


# Codes -----------------------------------------------------------------------------------------------------------


def new_browser() -> str:
    """What the browser keeps that asks for a code: only there is the code worth anything."""
    return secrets.token_urlsafe(32)


async def new_code(codes: ShopperCodes, browser: str, order_id: str, *, now: datetime) -> str | None:
    """A code for an order, to be sent to its buyer; None when the order had too many."""
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    return code if await codes.add(_asked(browser), _hash_of(browser, code), order_id, now=now) else None


async def use_code(codes: ShopperCodes, browser: str, code: str, *, now: datetime) -> str | None:
    """The order that the code opens; None for a wrong, an old or a used one."""
    typed = "".join(code.split()).replace("-", "").upper()[:100]
    return await codes.use(_asked(browser), _hash_of(browser, typed), now=now)


def same_address(given: str, known: str | None) -> bool:
    """Whether an address is the order's; letters of either case are the same."""
    ours, theirs = (known or "").strip().casefold(), given.strip().casefold()
    same = hmac.compare_digest(ours.encode("utf-8", "surrogatepass"), theirs.encode("utf-8", "surrogatepass"))
    return bool(ours) and same


def _asked(browser: str) -> bytes:
    return hashlib.sha256(browser.encode("utf-8", "surrogatepass")).digest()


def _hash_of(browser: str, code: str) -> bytes:
    """With what the browser has, which is nowhere else: who reads the table cannot try out codes."""
    return hashlib.sha256(f"{browser}\n{code}".encode("utf-8", "surrogatepass")).digest()


# What is signed ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs orders with their ends, by the installation's secret."""

    secret: str

    def sign(self, proof: Proof, order_id: str, expires_at: datetime) -> str:
        """The signature, as it stands in an address."""
        text = f"{proof}\n{_seconds(expires_at)}\n{order_id}".encode("utf-8", "surrogatepass")
        return _text(hmac.new(self.secret.encode(), text, hashlib.sha256).digest())

    def is_signed(self, proof: Proof, order_id: str, expires_at: datetime, signature: str, *, now: datetime) -> bool:
        """Whether it is ours, and not over."""
        right = self.sign(proof, order_id, expires_at)
        return hmac.compare_digest(right.encode(), signature.encode("utf-8", "surrogatepass")) and now < expires_at


async def signer_of(people: People) -> Signer:
    """The installation's signer."""
    return Signer(await installation_secret(people, _SECRET))


def link_for(signer: Signer, console_url: str, order_id: str, expires_at: datetime) -> str:
    """The whole address of an order's refund page."""
    query = {
        "order": order_id,
        "exp": str(_seconds(expires_at)),
        "sig": signer.sign(Proof.LINK, order_id, expires_at),
    }
    return f"{console_url.rstrip('/')}{LINK_PATH}?{urlencode(query)}"


def order_of_link(signer: Signer, query: Mapping[str, str], *, now: datetime) -> str | None:
    """The order that a link opens; None for one that is not ours, was changed, or is over."""
    order_id, expires_at = query.get("order", ""), _moment(query.get("exp", ""))
    if expires_at is None or not order_id:
        return None
    right = signer.is_signed(Proof.LINK, order_id, expires_at, query.get("sig", ""), now=now)
    return order_id if right else None


def session_for(signer: Signer, order_id: str, expires_at: datetime) -> str:
    """The text of a session's cookie."""
    named = _text(order_id.encode("utf-8", "surrogatepass"))
    return f"{_seconds(expires_at)}.{named}.{signer.sign(Proof.SESSION, order_id, expires_at)}"


def order_of_session(signer: Signer, session: str, *, now: datetime) -> str | None:
    """The order that a session may see; None for one that is not ours, was changed, or is over."""
    ends, _, rest = session.partition(".")
    named, _, signature = rest.partition(".")
    expires_at = _moment(ends)
    try:
        order_id = base64.urlsafe_b64decode(named.encode() + b"=" * (-len(named) % 4)).decode("utf-8", "surrogatepass")
    except ValueError:
        return None
    if expires_at is None:
        return None
    return order_id if signer.is_signed(Proof.SESSION, order_id, expires_at, signature, now=now) else None


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _moment(text: str) -> datetime | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        return None
    return datetime.fromtimestamp(int(text), UTC)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
