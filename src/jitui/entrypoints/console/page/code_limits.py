"""How often codes are asked for and typed, in the memory of a process; the database counts those of each order."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from time import monotonic

from jitui.entrypoints.http.limits import Buckets, Rate

ASKED_PER_CLIENT = Rate(10 / 600, 10)
ASKED_BY_EVERYBODY = Rate(1, 60)
"""Each costs the shop's system a call."""
TYPED_PER_CLIENT = Rate(30 / 600, 30)
SENT_PER_ADDRESS = Rate(5 / 3600, 5)


class CodeLimits:
    """Each process counts by itself. Addresses are known here by a hash that ends with the process."""

    def __init__(self, *, seconds: Callable[[], float] = monotonic) -> None:
        self._asked = Buckets(ASKED_PER_CLIENT, "codes", seconds=seconds)
        self._by_everybody = Buckets(ASKED_BY_EVERYBODY, "codes", seconds=seconds)
        self._typed = Buckets(TYPED_PER_CLIENT, "typed", seconds=seconds)
        self._sent = Buckets(SENT_PER_ADDRESS, "sent", seconds=seconds)
        self._key = secrets.token_bytes(32)

    def may_ask(self, client: str) -> bool:
        """Whether this client, and all clients together, may ask for one more code."""
        return self._asked.take(client).within and self._by_everybody.take("").within

    def may_type(self, client: str) -> bool:
        """Whether this client may try one more code."""
        return self._typed.take(client).within

    def may_send_to(self, address: str) -> bool:
        """Whether one more mail may go to this address."""
        named = hmac.new(self._key, address.strip().casefold().encode("utf-8", "surrogatepass"), hashlib.sha256)
        return self._sent.take(named.hexdigest()).within
