"""What the live page shows, read once for all who look: the figures that `/metrics` and `jitui doctor` are made of."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import TypeVar

from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.task import NewTask
from jitui.aftersales.operations.conditions import is_alive, standing_tasks
from jitui.aftersales.queries import (
    ArmFigures,
    Benefit,
    Health,
    OpenRefunds,
    OperationsState,
    PlatformSeen,
    ProviderTroubleSeen,
)
from jitui.aftersales.reconciliation.restore import PayoutStatus
from jitui.bootstrap import Service
from jitui.monitoring.families import cap_shares
from jitui.monitoring.figures import CapsKnown, Kept, ServiceFigures

_Value = TypeVar("_Value")

EVERY_SECONDS = 2.0
"""How often the database is asked, however many look on."""


@dataclass(frozen=True, slots=True)
class ProviderSeen:
    """A payment provider: how many refunds of it are in which state, and what keeps workers from it."""

    name: str
    refunds: Mapping[RefundState, int]
    oldest_at: datetime | None
    trouble: ProviderTroubleSeen | None


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """The service at one moment; what was never read is None. `answers`: the database did so the last time."""

    answers: bool
    read_at: datetime | None = None
    requests: int | None = None
    instant: int | None = None
    instant_minor: Mapping[str, int] = field(default_factory=dict)
    times: Benefit | None = None
    queue: Mapping[str, int] | None = None
    providers: Sequence[ProviderSeen] = ()
    caps: Sequence[tuple[tuple[str, str], float]] | None = None
    cap_alerts: int = 0
    payouts: PayoutStatus | None = None
    workers: int | None = None
    usage_as_of: datetime | None = None
    open_tasks: int | None = None
    standing: Sequence[NewTask] = ()
    platforms: Sequence[PlatformSeen] = ()


class LiveReader:
    """One for each process: whoever looks within two seconds gets what the first one was given."""

    def __init__(self, *, seconds: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._figures = ServiceFigures(seconds=seconds)
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()

    async def look(self, service: Service) -> LiveFigures:
        """The figures as they were read last, at most two seconds ago while the database answers."""
        async with self._asking:
            if self._asked_at is None or self._seconds() - self._asked_at >= EVERY_SECONDS:
                self._asked_at = self._seconds()
                await self._figures.refresh(service)
        return _figures_of(service, self._figures.answers, self._figures.known)


def _figures_of(service: Service, answers: bool, known: Callable[[str], Kept | None]) -> LiveFigures:
    found = {name: kept.value for name in _KINDS if (kept := known(name)) is not None}
    read = known("operations")
    state = _of(found, "operations", OperationsState)
    arms, caps, alerts = found.get("arms"), _of(found, "caps", CapsKnown), found.get("cap_alerts")
    of_arms = [one for one in arms if isinstance(one, ArmFigures)] if isinstance(arms, Sequence) else None
    money = Counter[str]()
    for one in of_arms or ():
        money[one.currency] += one.instant_minor
    health = _of(found, "health", Health)
    return LiveFigures(
        answers=answers,
        read_at=read.now if read else None,
        requests=None if of_arms is None else sum(one.requests for one in of_arms),
        instant=None if of_arms is None else sum(one.instant for one in of_arms),
        instant_minor=dict(sorted(money.items())),
        times=_of(found, "refund_times", Benefit),
        queue=health.refund_queue if health else None,
        providers=_providers(service, state),
        caps=cap_shares(caps.policy, caps.used) if caps else None,
        cap_alerts=sum(one.alerts for one in alerts) if isinstance(alerts, Sequence) else 0,
        payouts=_of(found, "payouts", PayoutStatus),
        workers=sum(map(is_alive, state.workers)) if state else None,
        usage_as_of=health.usage_as_of if health else None,
        open_tasks=sum(state.open_tasks.values()) if state else None,
        platforms=_platforms(found.get("platforms")),
        standing=standing_tasks(state, (), service.expected, read.now) if state and read else (),
    )


_KINDS = ("operations", "health", "arms", "caps", "cap_alerts", "refund_times", "payouts", "platforms")


def _of(found: Mapping[str, object], name: str, kind: type[_Value]) -> _Value | None:
    value = found.get(name)
    return value if isinstance(value, kind) else None


def _platforms(found: object) -> Sequence[PlatformSeen]:
    return [one for one in found if isinstance(one, PlatformSeen)] if isinstance(found, Sequence) else ()


def _providers(service: Service, state: OperationsState | None) -> Sequence[ProviderSeen]:
    if state is None:
        return ()
    trouble = {name: seen for worker in state.workers if is_alive(worker) for name, seen in worker.trouble.items()}
    names = sorted({*service.providers, *(one.provider for one in state.refunds), *trouble})
    return [_provider(name, [one for one in state.refunds if one.provider == name], trouble) for name in names]


def _provider(name: str, refunds: Sequence[OpenRefunds], trouble: Mapping[str, ProviderTroubleSeen]) -> ProviderSeen:
    counts = {one.state: one.count for one in refunds}
    return ProviderSeen(name, counts, min((one.oldest_at for one in refunds), default=None), trouble.get(name))
