"""The provider's own books, over HTTP: payments are put into them, and what they say was paid out is compared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import msgspec

from jitui.demo.replay.provider import RunningSimulator
from jitui.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Payment:
    """A captured payment as the provider knows it."""

    id: str
    order_id: str
    amount_minor: int
    currency: str


class PaidBack(msgspec.Struct, frozen=True):
    """A payment in the books, with what has gone back or is about to."""

    order_id: str
    refunded_minor: int
    pending_minor: int


class Totals(msgspec.Struct, frozen=True):
    """The two lists of the books that must stay empty."""

    paid_twice: list[str]
    over_refunded: list[str]


class Books:
    """One per event loop; see `open_books_of`."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def record(self, payments: Sequence[Payment]) -> None:
        """Record captured payments; the same payments again are the same payments."""
        body = msgspec.json.encode({"payments": payments})
        async with self._http.post(f"{self._url}/payments/batch", data=body) as response:
            if response.status != 200:
                raise Unavailable(f"The provider simulator refuses payments: {await response.text()}")

    async def totals(self) -> Totals:
        """What the books themselves hold against the provider."""
        async with self._http.get(f"{self._url}/books") as response:
            response.raise_for_status()
            return msgspec.json.decode(await response.read(), type=Totals)

    async def paid_back(self) -> AsyncIterator[PaidBack]:
        """Every payment of which something has gone back or is about to."""
        async with self._http.get(f"{self._url}/books/payments") as response:
            response.raise_for_status()
            async for line in response.content:
                payment = msgspec.json.decode(line, type=PaidBack)
                if payment.refunded_minor or payment.pending_minor:
                    yield payment


@asynccontextmanager
async def open_books_of(simulator: RunningSimulator) -> AsyncIterator[Books]:
    """The books of a running simulator."""
    headers = {"authorization": f"Bearer {simulator.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        yield Books(http, simulator.url)
