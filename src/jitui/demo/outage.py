"""Makes the demo's payment provider refuse every refund, by the simulator's own interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp

REFUSE_ALL = "seed:0:declined=1"
_TIMEOUT = aiohttp.ClientTimeout(total=2)


@dataclass(frozen=True, slots=True)
class SimulatorOutage:
    """The simulator at an address, and the key that it takes."""

    url: str
    key: str

    async def is_on(self) -> bool | None:
        """Whether it refuses; None when it cannot be asked."""
        answer = await self._call("GET")
        return None if answer is None else bool(answer["changed"])

    async def turn(self, *, on: bool) -> bool:
        """Make it refuse, or go back to the faults that it was started with; False when it did not answer."""
        return await self._call("PUT", {"faults": REFUSE_ALL if on else None}) is not None

    async def _call(self, method: str, body: dict[str, str | None] | None = None) -> dict[str, Any] | None:
        headers = {"authorization": f"Bearer {self.key}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as client,
                client.request(method, f"{self.url}/faults", json=body, headers=headers) as response,
            ):
                found: dict[str, Any] = await response.json()
                return found if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
