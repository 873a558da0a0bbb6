"""Takes away the bound of the merchant's balance that an earlier trial left in the simulator's books."""

from __future__ import annotations

import aiohttp
import msgspec
import psycopg

from jitui.errors import Unavailable

_ASK_AGAIN = """
UPDATE refund SET due_at = now() WHERE state = 'unknown' AND reason = 'insufficient_balance' AND due_at > now()
"""


class _Books(msgspec.Struct):
    balances: dict[str, int]


_read_books = msgspec.json.Decoder(_Books)


async def lift_balances(url: str, key: str) -> tuple[str, ...]:
    """Let refunds be paid whatever the merchant has; the currencies that were bounded.

    Raises Unavailable when the simulator does not do it.
    """
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {key}"}) as client:
        async with client.get(f"{url}/books") as response:
            if response.status != 200:
                raise Unavailable(f"The simulator does not show its books: {await response.text()}")
            bounded = tuple(_read_books.decode(await response.read()).balances)
        for currency in bounded:
            async with client.put(f"{url}/balance", json={"currency": currency, "amount_minor": None}) as response:
                if response.status != 200:
                    raise Unavailable(f"The simulator's balance stays as it was: {await response.text()}")
    return bounded


def ask_again(database_url: str) -> int:
    """Have the worker ask at once for the refunds that wait for a balance; their pauses have grown to minutes."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(_ASK_AGAIN).rowcount
