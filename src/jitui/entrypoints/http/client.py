"""The client's address: that of the connection, or the one that a trusted proxy reports.

`JITUI_TRUSTED_PROXIES` has the networks of our own proxies. X-Forwarded-For and X-Forwarded-Proto are used only when
they come from these, because anybody can send such headers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from litestar.types import Scope

from jitui.settings import Network

IPV6_PREFIX = 64
"""Whoever has one IPv6 address has at least this whole network, so limits count it as one client."""
_LONGEST_CHAIN = 50


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a request; `address` is empty for a socket of the file system."""

    address: str
    is_tls: bool

    @property
    def counted_as(self) -> str:
        """The key for limits: an IPv4 address, or the network of an IPv6 address."""
        return _counted_as(self.address)


def client_of(scope: Scope, trusted: Sequence[Network]) -> Client:
    """The client of a request; `trusted` has the networks of our proxies (`settings.trusted_proxies`)."""
    client = scope.get("client")
    peer = client[0] if client else ""
    is_tls = scope.get("scheme") == "https"
    if not trusted or not _is_trusted(_parsed(peer), trusted):
        return Client(peer, is_tls)
    address = _forwarded_for(peer, _values(scope, b"x-forwarded-for"), trusted)
    protocols = _values(scope, b"x-forwarded-proto")
    # only the last value of the list was certainly written by one of our proxies
    return Client(address, protocols[-1].lower() == "https" if protocols else is_tls)


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """The address of the client of a request."""
    return client_of(scope, trusted).address


def is_tls(scope: Scope, trusted: Sequence[Network]) -> bool:
    """Whether the client uses TLS, to us or to our proxy."""
    return client_of(scope, trusted).is_tls


def _forwarded_for(peer: str, hops: Sequence[str], trusted: Sequence[Network]) -> str:
    """The first address from the right that is not one of our proxies; addresses left of it cannot be trusted."""
    address = peer
    for hop in reversed(hops[-_LONGEST_CHAIN:]):
        parsed = _parsed(_without_port(hop))
        if parsed is None:
            break
        address = str(parsed)
        if not _is_trusted(parsed, trusted):
            break
    return address


def _values(scope: Scope, wanted: bytes) -> list[str]:
    """The values of a list header, in the order of its lines: a proxy may add a line of its own."""
    lines: Iterable[bytes] = (value for name, value in scope["headers"] if name == wanted)
    return [part.strip() for line in lines for part in line.decode("latin-1").split(",") if part.strip()]


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


@lru_cache(maxsize=4096)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_trusted(address: IPv4Address | IPv6Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)


@lru_cache(maxsize=4096)
def _counted_as(address: str) -> str:
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), IPV6_PREFIX), strict=False))
    return str(parsed) if parsed is not None else address
