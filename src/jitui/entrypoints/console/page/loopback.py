"""Whether a request was made on this machine: what only the demo offers is offered to nobody else."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection

from jitui.entrypoints.http.client import client_address

_OF_A_PROXY = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def is_on_this_machine(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether the client and the host that it names are both loopback, and no proxy stands between.

    A browser that was sent here under another site's name (DNS rebinding) is on this machine and names another host. A
    proxy on this machine may be open to others; it says so in its headers.
    """
    if any(name in connection.headers for name in _OF_A_PROXY):
        return False
    return is_loopback(client_address(connection.scope, ())) and is_loopback(_host(connection.headers.get("host", "")))


def is_loopback(host: str) -> bool:
    """Whether an address or a name is this machine's own; names under `localhost` are (RFC 6761)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _host(header: str) -> str:
    """The name of a Host header without its port; empty for one that cannot be read."""
    try:
        return urlsplit(f"//{header.strip()}").hostname or ""
    except ValueError:
        return ""
