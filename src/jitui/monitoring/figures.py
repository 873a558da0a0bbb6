"""Figures of the whole service, read from the database for each scrape and kept for when it does not answer.

They are the same whichever process answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from prometheus_client import Metric
from prometheus_client.metrics_core import GaugeMetricFamily

from jitui.aftersales.commands.facts import decision_query
from jitui.aftersales.queries import CapsUsed
from jitui.bootstrap import Service
from jitui.errors import JituiError
from jitui.logs import get_logger, tell_failure
from jitui.monitoring import families
from jitui.policy import Policy

LOOK_SECONDS = 3.0
"""How long a scrape waits for the database, together."""

CAPS_EVERY_SECONDS = 60.0
"""The usage of all shops is summed less often than a scrape comes."""

REFUND_TIMES_OVER = timedelta(hours=1)

log = get_logger("jitui.monitoring")


@dataclass(frozen=True, slots=True)
class Kept:
    """What was read, when by the process's own clock, and what time it was then."""

    value: object
    at: float
    now: datetime


@dataclass(frozen=True, slots=True)
class CapsKnown:
    """The caps of the policy in force and how much of them is used."""

    policy: Policy
    used: CapsUsed


class ServiceFigures:
    """A collector of prometheus_client's; `seconds` is the clock by which what was read grows old."""

    def __init__(self, *, seconds: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._kept: dict[str, Kept] = {}
        self._answers = False
        self._reading: asyncio.Task[None] | None = None

    async def refresh(self, service: Service) -> None:
        """Read what the database answers in time; never raises for the rest, which stays as it was."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(service))
        await asyncio.shield(self._reading)

    @property
    def answers(self) -> bool:
        """Whether the database answered the last time."""
        return self._answers

    def known(self, kind: str) -> Kept | None:
        """What was read of a kind last; None before it ever was."""
        return self._kept.get(kind)

    def collect(self) -> Iterator[Metric]:
        """The metrics as they were read last, with their age."""
        yield families.gauge("jitui_database_up", "Whether the database answered the last scrape.", self._answers)
        ages = GaugeMetricFamily(
            "jitui_figures_age_seconds",
            "When the figures were read from the database, by their kind.",
            labels=["figures"],
        )
        for kind, kept in self._kept.items():
            ages.add_metric([kind], max(0.0, self._seconds() - kept.at))
        yield ages
        for kind, shown in families.SHOWN.items():
            known = self._kept.get(kind)
            if known is not None:
                yield from shown(known.value, known.now)

    async def _read(self, service: Service) -> None:
        began = self._seconds()
        self._answers = False
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                for kind, read in _reads(service).items():
                    if kind != "caps" or self._is_old(kind, began):
                        await self._keep(kind, read, service.clock())
                    self._answers = True
        except (JituiError, TimeoutError) as error:
            reason = str(error).partition("\n")[0] or "The database did not answer in time."
            log.warning("figures_not_read", reason=reason)

    def _is_old(self, kind: str, now: float) -> bool:
        known = self._kept.get(kind)
        return known is None or now - known.at >= CAPS_EVERY_SECONDS

    async def _keep(self, kind: str, read: Callable[[], Awaitable[object]], now: datetime) -> None:
        try:
            self._kept[kind] = Kept(await read(), self._seconds(), now)
        except JituiError:
            raise
        except Exception as error:  # one kind that cannot be read keeps nobody from the others
            tell_failure(log, "figures_not_read", error, figures=kind)


def _reads(service: Service) -> Mapping[str, Callable[[], Awaitable[object]]]:
    """How each kind is read, those that matter most first."""
    now = service.clock()
    return {
        "health": lambda: service.queries.health(now),
        "operations": lambda: service.queries.operations(now),
        "payouts": service.payouts.status,
        "webhooks": service.webhooks.endpoints.backlog,
        "notices": service.notices.queue.backlog,
        "keys": lambda: service.keys.ending_soon(now),
        "refund_times": lambda: service.queries.benefit(shop_id=None, since=now - REFUND_TIMES_OVER),
        "arms": lambda: service.queries.arms(now - REFUND_TIMES_OVER),
        "platforms": service.platforms.connections.seen,
        "cap_alerts": service.cap_usages.standing,
        "caps": lambda: _caps(service, now),
    }


async def _caps(service: Service, now: datetime) -> CapsKnown:
    policy = await service.policy_in_force.current()
    return CapsKnown(policy, await service.queries.caps_used(decision_query(policy, now, service.settings.time_zone)))
