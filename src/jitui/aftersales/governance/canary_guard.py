"""Watches a canary: counts its requests against the live policy's, ends it by itself, and keeps its share from rising.

Any number of workers do the same step. What was counted and how far is one row for each metric, which is locked while
it is advanced; whether the canary ends is read from it, so that a worker that is killed in between changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from jitui.aftersales.governance.guard import (
    ENDING,
    Evidence,
    GuardMetric,
    Observation,
    begin,
    bound_of,
    is_crossed,
    numbers_seen,
    observe,
)
from jitui.aftersales.governance.policies import Policies
from jitui.aftersales.governance.publication import Authority, InForce, LogEntry, Stage, in_force
from jitui.aftersales.governance.rollout import stop
from jitui.policy import Guards, Policy

GUARD = "canary guard"
"""Who ends a canary by itself, in the publication log."""

IN_HAND = timedelta(seconds=5)
"""A request this young may still be in a transaction; it counts later."""

REPEAT_WITHIN = timedelta(days=7)
BATCH = 5_000
FIRST_ID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Counted:
    """How far a metric was counted: up to and with this request."""

    requested_at: datetime
    ticket_id: UUID = FIRST_ID


@dataclass(frozen=True, slots=True)
class Compared:
    """What is counted: requests that the canary's text or the live one decided, after `begin_at` and up to `until`.

    Of what follows a request only what happens within `counts_after` is counted.
    """

    publication: int
    metric: GuardMetric
    canary_sha256: str
    live_sha256: str
    currency: str
    begin_at: datetime
    until: datetime
    counts_after: timedelta


@dataclass(frozen=True, slots=True)
class GuardSeen:
    """The row of a metric, as it is shown. `crossed`: the canary ends, or, of a signal, its share is not raised."""

    metric: GuardMetric
    evidence: Evidence
    crossed: bool
    counted_until: datetime
    updated_at: datetime


class CanaryGuards(Protocol):
    """Keeps what was counted."""

    async def advance(
        self,
        compared: Compared,
        beginning: Evidence,
        fold: Callable[[Evidence, Sequence[Observation]], Evidence],
        crossed: Callable[[Evidence], bool],
        *,
        limit: int,
        now: datetime,
    ) -> tuple[Evidence, bool]:
        """Count further requests under the row's lock, and keep the result; whether there may be more."""
        ...

    async def seen(self, publication: int) -> Sequence[GuardSeen]:
        """What was counted of a canary, by metric."""
        ...


@dataclass(frozen=True, slots=True)
class CanaryEnded:
    """A guard ended a canary: the row that it wrote, and the numbers that it saw."""

    entry: LogEntry
    reason: str


async def watch_canary(
    policies: Policies, guards: CanaryGuards, compiled: Callable[[LogEntry], Policy | None], *, now: datetime
) -> CanaryEnded | None:
    """Count what is new of the canary that stands, and end it when a bound is crossed.

    `compiled` gives the policy of a row of the log, None while this process has not read it yet.
    """
    reading = await policies.standing()
    found = in_force(reading.entries, reading.read_at)
    if found is None or found.canary is None:
        return None
    policy = compiled(found.canary)
    if policy is None:
        return None
    reasons = []
    for metric in GuardMetric:
        evidence = await _advance(guards, metric, found, found.canary, policy, now)
        if metric in ENDING and is_crossed(metric, evidence, policy.guards):
            reasons.append(numbers_seen(metric, evidence, policy.guards))
    if not reasons:
        return None
    # By the database's clock, and never before the row that it ends, whatever clock that was written by.
    at = max(reading.read_at, found.canary.takes_effect_at)
    reason = "; ".join(reasons)
    done = await stop(
        policies,
        Stage.CANARY,
        by=GUARD,
        now=at,
        reason=reason,
        authority=Authority.GUARD,
        publication=found.canary.publication,
    )
    return CanaryEnded(done, reason) if isinstance(done, LogEntry) else None


async def _advance(
    guards: CanaryGuards, metric: GuardMetric, found: InForce, canary: LogEntry, policy: Policy, now: datetime
) -> Evidence:
    bound = bound_of(metric, policy.guards)
    counts_after = timedelta(seconds=bound.counts_after_seconds)
    compared = Compared(
        publication=canary.publication,
        metric=metric,
        canary_sha256=canary.sha256,
        live_sha256=found.live.sha256,
        currency=policy.currency,
        begin_at=canary.takes_effect_at,
        until=now - max(counts_after, IN_HAND),
        counts_after=counts_after,
    )
    while True:
        evidence, more = await guards.advance(
            compared,
            begin(metric),
            lambda before, seen: observe(before, seen, bound),
            lambda after: is_crossed(metric, after, policy.guards),
            limit=BATCH,
            now=now,
        )
        if not more or (metric in ENDING and is_crossed(metric, evidence, policy.guards)):
            return evidence


async def signals_of(policies: Policies, guards: CanaryGuards, canary: LogEntry) -> Sequence[str]:
    """Why the share of a canary that stands is not raised now; nothing when it may be."""
    text = await policies.text(canary.sha256)
    assert text is not None, "the log refers to texts that are kept"
    return raising_is_paused(await guards.seen(canary.publication), Policy.from_text(text.document).guards)


def raising_is_paused(seen: Sequence[GuardSeen], guards: Guards) -> tuple[str, ...]:
    """Why the canary's share is not raised now: the numbers of each signal that stands."""
    return tuple(
        numbers_seen(one.metric, one.evidence, guards) for one in seen if one.crossed and one.metric not in ENDING
    )
