"""Settings of signing in, and how their values are read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jitui.settings.values import ExpectedValue, address

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class FactorAt(StrEnum):
    """Who asks for the second factor after a sign-in by OpenID Connect."""

    ISSUER = "issuer"
    HERE = "here"


@dataclass(frozen=True, slots=True)
class Pair:
    """A value and the word that it stands for, `jitui-admins:admin`."""

    value: str
    word: str

    def __str__(self) -> str:
        return f"{self.value}:{self.word}"


def claim(text: str) -> str:
    """The name of a claim, or a path into objects; some issuers name claims by addresses."""
    if not text.isprintable() or " " in text or len(text) > 200:
        raise ExpectedValue("the name of a claim, such as groups or realm_access.roles")
    return text


def issuer(text: str) -> str:
    """The name of an issuer, which is the address of its discovery document too."""
    parts = address(text)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not safe or not parts.hostname or parts.query or parts.fragment or parts.username is not None:
        raise ExpectedValue(
            "the issuer's address, which begins with https://, such as https://id.example.com/realms/staff"
        )
    return text  # as it is: tokens name the issuer letter by letter


def client_id(text: str) -> str:
    """The id of our client at the issuer. A colon would end it in HTTP's basic authentication."""
    if not (text.isascii() and text.isprintable()) or ":" in text or len(text) > 200:
        raise ExpectedValue("the id of a client at the issuer: at most 200 visible characters without a colon")
    return text


def words(text: str) -> tuple[str, ...]:
    """Words with commas or spaces between them, each once."""
    return tuple(dict.fromkeys(text.replace(",", " ").split()))


def scopes(text: str) -> tuple[str, ...]:
    """Scopes of a request to the issuer."""
    found = words(text)
    if "openid" not in found:
        raise ExpectedValue("scopes such as openid,email,profile, with openid among them")
    return found


def pairs(text: str) -> tuple[Pair, ...]:
    """Values of a claim, each with a role."""
    pairs = []
    for part in text.split(","):
        value, colon, word = part.strip().rpartition(":")
        if not (colon and value and word):
            raise ExpectedValue("values of the claim with a role each, such as jitui-admins:admin,jitui-desk:operator")
        pairs.append(Pair(value.strip(), word.strip()))
    return tuple(pairs)
