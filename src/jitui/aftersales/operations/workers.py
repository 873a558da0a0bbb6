"""Workers say that they live; whoever looks sees one that has fallen silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from jitui.aftersales.queries import ProviderTroubleSeen


@dataclass(frozen=True, slots=True)
class WorkerBeat:
    """What a worker says of itself every few seconds."""

    name: str
    started_at: datetime
    providers: tuple[str, ...]
    trouble: Mapping[str, ProviderTroubleSeen] = field(default_factory=dict)


class Workers(Protocol):
    """The list of workers, by the database's clock."""

    async def beat(self, worker: WorkerBeat) -> None:
        """It lives."""
        ...

    async def leave(self, name: str) -> None:
        """It stops as it was told to."""
        ...

    async def forget(self, silent_for: timedelta) -> None:
        """Strike out those who have been silent for so long: they do not come back."""
        ...
