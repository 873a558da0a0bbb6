"""Records buyers' payments in the provider's books over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import msgspec

from jitui.demo.replay.provider import RunningSimulator
from jitui.errors import Unavailable


@dataclass(frozen=True, slots=True)
class ReplayPayment:
    """A captured payment, as the provider knows it."""

    id: str
    order_id: str
    amount_minor: int
    currency: str


class ReplayBooks:
    """The books of one simulator. One per event loop; see `open_books_of`."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def record(self, payments: Sequence[ReplayPayment]) -> None:
        """Record captured payments; repeating them changes nothing."""
        body = msgspec.json.encode({"payments": payments})
        async with self._http.post(f"{self._url}/payments/batch", data=body) as response:
            if response.status != 200:
                raise Unavailable(f"The provider simulator refuses payments: {await response.text()}")


@asynccontextmanager
async def open_books_of(simulator: RunningSimulator) -> AsyncIterator[ReplayBooks]:
    """The books of a running simulator."""
    headers = {"authorization": f"Bearer {simulator.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        yield ReplayBooks(http, simulator.url)
