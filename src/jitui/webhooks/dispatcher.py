"""Sends what waits for webhook endpoints: many at once, an order's events one after the other."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from jitui.aftersales.model.task import NewTask, TaskKind, Tasks
from jitui.encryption import Encryption
from jitui.errors import NotConfigured
from jitui.logs import get_logger, tell_failure
from jitui.webhooks.delivery import GONE, NOT_KEPT, after_attempt, signed_message
from jitui.webhooks.endpoints import decrypted
from jitui.webhooks.model import (
    Attempted,
    ClaimedDelivery,
    DeliveryState,
    EndpointHealth,
    Sender,
    SendResult,
    WebhookEndpoint,
    Webhooks,
)

IDLE_SECONDS = 0.25
GATHER_SECONDS = 0.01
AFTER_FAULT_SECONDS = 1.0
PLACES = 64
"""Events on their way at once, of this worker."""
PLACES_OF_AN_ENDPOINT = 8
"""So that a receiver that is slow or away holds up nobody else."""
NOT_READABLE_PAUSE = timedelta(minutes=1)
PROVIDER = "webhooks"
"""Where tasks name a payment provider."""

log = get_logger("jitui.webhooks")


@dataclass(frozen=True, slots=True)
class DispatchRules:
    """For how long an event is sent again, an endpoint may fail, and a worker has what it claimed."""

    dead_after: timedelta
    pause_after: timedelta
    keep: timedelta
    lease: timedelta
    user_agent: str


class Dispatcher:
    """What one worker has on its way to webhook endpoints."""

    def __init__(
        self,
        webhooks: Webhooks,
        sender: Sender,
        encryption: Encryption,
        tasks: Tasks,
        *,
        clock: Callable[[], datetime],
        rules: DispatchRules,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._endpoints = webhooks.endpoints
        self._queue = webhooks.queue
        self._sender = sender
        self._encryption = encryption
        self._tasks = tasks
        self._clock = clock
        self._rules = rules
        self._spread = spread
        self._calls: set[asyncio.Task[None]] = set()
        self._taken: Counter[UUID] = Counter()
        self._seen: dict[UUID, EndpointHealth] = {}
        self._failing: set[UUID] = set()
        self._unreadable: set[UUID] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then finish what is on its way."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                try:
                    begun = await self._begin_due()
                except Exception as error:
                    tell_failure(log, "step_failed", error, step="webhooks")
                    await _within(stopping, AFTER_FAULT_SECONDS)
                    continue
                if begun and len(self._calls) < PLACES:
                    continue
                await asyncio.wait({*self._calls, stopping}, timeout=IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(GATHER_SECONDS)
        finally:
            stopping.cancel()
            await asyncio.gather(*self._calls)
            try:
                await self.note_health()
            except Exception as error:
                tell_failure(log, "step_failed", error, step="webhook_health")

    async def send_due(self) -> int:
        """Send all that is due, and what becomes due by that, and wait for it; how many were sent."""
        sent = 0
        while begun := await self._begin_due():
            sent += begun
            await asyncio.gather(*self._calls)
        await self.note_health()
        return sent

    async def fan_out(self) -> bool:
        """Queue what was published since the last time; whether there may be more."""
        return await self._queue.fan_out(self._clock()) > 0

    async def note_health(self) -> None:
        """Write how the endpoints fared since the last time."""
        seen, self._seen = self._seen, {}
        if seen:
            await self._queue.note_health(seen)
        for endpoint_id, health in seen.items():
            self._say(endpoint_id, health)

    async def look_after(self) -> None:
        """Pause endpoints that have failed for too long, each with a task for a person."""
        for endpoint in await self._queue.failing_endpoints(self._clock() - self._rules.pause_after):
            hours = round(self._rules.pause_after / timedelta(hours=1))
            await self._pause(endpoint, f"It has not taken a single event for {hours} hours: {endpoint.last_failure}")

    async def purge(self) -> bool:
        """Forget what was closed long ago; whether there may be more."""
        now = self._clock()
        return await self._queue.purge(now - self._rules.keep, now) > 0

    async def _begin_due(self) -> int:
        now, free = self._clock(), PLACES - len(self._calls)
        if free <= 0:
            return 0
        lease_until = now + self._rules.lease
        claimed = await self._queue.claim(
            now=now, lease_until=lease_until, limit=free, places=PLACES_OF_AN_ENDPOINT, taken=dict(self._taken)
        )
        for one in claimed:
            self._taken[one.endpoint.endpoint_id] += 1
            call = asyncio.create_task(self._deliver(one))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        return len(claimed)

    async def _deliver(self, claimed: ClaimedDelivery) -> None:
        """A fault of one delivery leaves its lease to run out; the others go on."""
        endpoint_id = claimed.endpoint.endpoint_id
        try:
            await self._send(claimed)
        except Exception as error:
            tell_failure(log, "webhook_not_recorded", error, endpoint=str(endpoint_id), position=claimed.position)
        finally:
            self._taken[endpoint_id] -= 1
            if not self._taken[endpoint_id]:
                del self._taken[endpoint_id]

    async def _send(self, claimed: ClaimedDelivery) -> None:
        now = self._clock()
        if claimed.event is None:
            await self._close(claimed, Attempted(DeliveryState.DEAD, now, now, failure=NOT_KEPT))
            return
        secrets = self._secrets(claimed)
        if secrets is None:
            await self._queue.put_back(claimed, now + NOT_READABLE_PAUSE)
            return
        message = signed_message(claimed.event, claimed.endpoint, secrets, now, self._rules.user_agent)
        result = await self._sender.send(claimed.endpoint.url, message.headers, message.body)
        now = self._clock()
        self._see(claimed.endpoint, result, now)
        attempted = after_attempt(claimed, result, now=now, dead_after=self._rules.dead_after, spread=self._spread())
        if result.status == GONE:
            await self._pause(claimed.endpoint, "It answered 410: it is gone for good.")
        await self._close(claimed, attempted)

    def _secrets(self, claimed: ClaimedDelivery) -> list[str] | None:
        """None where this process cannot read them, which is not the receiver's fault."""
        endpoint_id = claimed.endpoint.endpoint_id
        try:
            secrets = [decrypted(self._encryption, endpoint_id, one) for one in claimed.encrypted]
        except NotConfigured as error:
            if endpoint_id not in self._unreadable:
                log.error("webhook_secret_unreadable", endpoint=str(endpoint_id), reason=str(error))
            self._unreadable.add(endpoint_id)
            return None
        self._unreadable.discard(endpoint_id)
        return secrets

    async def _close(self, claimed: ClaimedDelivery, attempted: Attempted) -> None:
        if attempted.state is DeliveryState.DEAD:
            # Told before it is written: a worker that dies in between tells it again, and the task is the same.
            await self._tasks.open([_dead_letter(claimed, attempted)])
            log.error("webhook_dead_letter", **_about(claimed.endpoint), position=claimed.position, tries=claimed.tries)
        await self._queue.close(claimed, attempted)

    async def _pause(self, endpoint: WebhookEndpoint, because: str) -> None:
        await self._tasks.open([_paused(endpoint, because, self._clock())])
        if await self._endpoints.pause(endpoint.endpoint_id, because):
            log.error("webhook_endpoint_paused", **_about(endpoint), because=because)

    def _see(self, endpoint: WebhookEndpoint, result: SendResult, now: datetime) -> None:
        seen = self._seen.get(endpoint.endpoint_id, EndpointHealth())
        if result.taken:
            seen = replace(seen, success_at=now, failing_since=None)
        else:
            since = seen.failing_since or now
            seen = replace(seen, failure_at=now, failing_since=since, failure=result.failure)
        self._seen[endpoint.endpoint_id] = seen

    def _say(self, endpoint_id: UUID, health: EndpointHealth) -> None:
        """That nothing was taken for a while, or everything again: when it begins and when it ends, not each time."""
        is_failing = endpoint_id in self._failing
        if health.success_at is None and not is_failing:
            self._failing.add(endpoint_id)
            log.warning("webhook_endpoint_failing", endpoint=str(endpoint_id), reason=health.failure)
        elif health.failure_at is None and is_failing:
            self._failing.discard(endpoint_id)
            log.info("webhook_endpoint_recovered", endpoint=str(endpoint_id))


def _about(endpoint: WebhookEndpoint) -> Mapping[str, str]:
    """As the log names it: an address may hold a secret of its owner's."""
    return {"endpoint": str(endpoint.endpoint_id), "shop": endpoint.shop_id}


def _dead_letter(claimed: ClaimedDelivery, attempted: Attempted) -> NewTask:
    """One for each endpoint and day, whose evidence is the first of them."""
    endpoint = claimed.endpoint
    return NewTask(
        name=f"webhook dead letter {endpoint.endpoint_id} {attempted.at:%Y-%m-%d}",
        kind=TaskKind.WEBHOOK_DEAD_LETTER,
        provider=PROVIDER,
        evidence={
            **_about(endpoint),
            "url": endpoint.url,
            "event_id": claimed.event.event_id if claimed.event is not None else None,
            "failure": attempted.failure,
            "tries": claimed.tries + 1,
        },
        opened_at=attempted.at,
        order_id=claimed.order_id,
    )


def _paused(endpoint: WebhookEndpoint, because: str, now: datetime) -> NewTask:
    since = endpoint.failing_since
    return NewTask(
        name=f"webhook endpoint paused {endpoint.endpoint_id} {since.isoformat() if since else now.date()}",
        kind=TaskKind.WEBHOOK_ENDPOINT_PAUSED,
        provider=PROVIDER,
        evidence={
            **_about(endpoint),
            "url": endpoint.url,
            "because": because,
            "failing_since": since.isoformat() if since else None,
        },
        opened_at=now,
    )


async def _within(stopping: asyncio.Task[bool], seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(stopping), seconds)
