"""Requests to an application in this process."""

from __future__ import annotations

from typing import Any, cast

import httpx
from litestar import Litestar


def transport_to(app: Litestar, **options: Any) -> httpx.ASGITransport:
    """httpx's way to an application; the two describe ASGI by different types."""
    return httpx.ASGITransport(app=cast(Any, app), **options)
