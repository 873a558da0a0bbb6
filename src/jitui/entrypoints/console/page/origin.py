"""Where a request comes from: over TLS or not, and from our page or another site's."""

from __future__ import annotations

from urllib.parse import urlsplit

from jitui.entrypoints.console.page.visit import AnyConnection, service_of
from jitui.entrypoints.http.client import client_of

_OURS = ("same-origin", "none")
"""The values of Sec-Fetch-Site for our own pages; `none` means that the person entered the address."""

_PORTS = {"http": 80, "https": 443}


def is_tls(connection: AnyConnection) -> bool:
    """Whether the browser uses TLS, to us or to a proxy in front of us."""
    return client_of(connection.scope, service_of(connection).settings.trusted_proxies).is_tls


def is_foreign(connection: AnyConnection) -> bool:
    """Whether the browser reports that another site sent this; a browser that reports nothing counts as ours."""
    site, origin = connection.headers.get("sec-fetch-site"), connection.headers.get("origin")
    if site is not None and site.strip().lower() not in _OURS:
        return True
    return origin is not None and not _is_ours(origin.strip().lower(), connection)


def _is_ours(origin: str, connection: AnyConnection) -> bool:
    """Whether the origin has our host and port, and does not use plain HTTP when our page uses TLS."""
    scheme = "https" if is_tls(connection) else "http"
    sender = _place(origin)
    if sender is None or (scheme == "https" and not origin.startswith("https://")):
        return False
    # The proxy that ends TLS may not be known to us; then the origin's scheme is used for both.
    host = connection.headers.get("host", "")
    return sender == _place(f"{origin.partition('://')[0]}://{host.strip().lower()}")


def _place(address: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path or parts.query or parts.username is not None:
        return None
    return parts.hostname, _PORTS[parts.scheme] if port is None else port
