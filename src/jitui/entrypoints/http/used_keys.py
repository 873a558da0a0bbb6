"""When keys were last used: noted in memory by every request, written down together about once a minute."""

from __future__ import annotations

import asyncio
from contextvars import Context
from datetime import datetime

from jitui.bootstrap import Service
from jitui.errors import JituiError
from jitui.identity.keys import ApiKey
from jitui.logs import get_logger

WRITE_SECONDS = 60.0

log = get_logger("jitui.http")


class UsedKeys:
    """A request notes its key and goes on; no request waits for the writing, and none fails with it."""

    def __init__(self, *, write_seconds: float = WRITE_SECONDS) -> None:
        self._write_seconds = write_seconds
        self._used: dict[str, datetime] = {}
        self._writing: asyncio.Task[None] | None = None

    def note(self, service: Service, key: ApiKey) -> None:
        """The key was used now."""
        self._used[key.key_id] = service.clock()
        if self._writing is None:
            # Not in the context of this request, whose id would stand in the log.
            self._writing = asyncio.get_running_loop().create_task(self._write_later(service), context=Context())

    async def write(self, service: Service) -> None:
        """Write down what was noted; what cannot be written is noted still."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await service.keys.record_use(used)
        except JituiError as error:
            self._used = {**used, **self._used}
            log.warning("key_use_not_written", keys=len(used), reason=str(error))

    async def close(self, service: Service) -> None:
        """The process ends: nothing is left to be written later."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])
        await self.write(service)

    async def _write_later(self, service: Service) -> None:
        try:
            await asyncio.sleep(self._write_seconds)
            await self.write(service)
        finally:
            self._writing = None
