"""Where webhooks may be sent to: public addresses over https, and what the settings allow beside.

An endpoint's address is somebody else's text. Without these rules it would make the service call what only the service
can reach: its own database, its neighbours, a cloud's metadata.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

LONGEST_URL = 2_048
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")

_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class AddressRules:
    """`allowed_networks` may be called although they are not public, `allow_http` that traffic is not encrypted."""

    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    allow_http: bool = False

    def why_url_refused(self, url: str) -> str | None:
        """Why an endpoint cannot have this address, as a sentence; None for one that it may have.

        What its name stands for is looked up, and judged, when something is sent to it.
        """
        if not (len(url) <= LONGEST_URL and url.isascii() and url.isprintable()) or set(url) & set(" #\\"):
            return f"Expected an address of at most {LONGEST_URL} ASCII characters, without spaces, # and backslashes."
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return "Expected an address such as https://shop.example/webhooks."
        return self._why_parts_refused(parts, port)

    def _why_parts_refused(self, parts: SplitResult, port: int | None) -> str | None:
        if parts.scheme == "http" and not self.allow_http:
            return "Expected an https address: over http everybody on the way reads and changes what is sent."
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            return "Expected an address such as https://shop.example/webhooks."
        if "@" in parts.netloc:
            return "Expected an address without a user and a password: the signature says who sends."
        if parts.hostname == "localhost" or parts.hostname.endswith(".localhost"):
            return self.why_address_refused("127.0.0.1") and self.why_address_refused("::1")
        try:
            literal = ip_address(parts.hostname)
        except ValueError:
            return None
        return self.why_address_refused(str(literal))

    def why_address_refused(self, address: str) -> str | None:
        """Why nothing may be sent to this IP address, as a sentence; None for one that may be called."""
        forms = _forms(ip_address(address))
        if any(form in network for form in forms for network in self.allowed_networks):
            return None
        if all(map(_is_public, forms)):
            return None
        return f"{address} is not a public address; JITUI_WEBHOOK_ALLOWED_NETWORKS does not allow it."


def _forms(address: _Address) -> tuple[_Address, ...]:
    """The address, or the IPv4 address that it stands for, which is the one that is reached."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address.teredo is not None:
        return (address, *address.teredo)
    return (address,)


def _is_public(address: _Address) -> bool:
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST
