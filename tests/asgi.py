"""Requests to an application in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import httpx
from litestar import Litestar


def transport_to(app: Litestar, **options: Any) -> httpx.ASGITransport:
    """httpx's way to an application; the two describe ASGI by different types."""
    return httpx.ASGITransport(app=cast(Any, app), **options)


def besides_access(logs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What was logged, without the line that every request has in the access log."""
    return [line for line in logs if line["event"] != "request"]
