"""The provider of one world: the simulator's own code, with books on disk, and the simulated clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from jitui.demo.simulation.workload import drawn
from jitui.provider_simulator import FaultTiming, SimulatorSettings, create_app, new_webhook_secret, open_books
from jitui.provider_simulator.asgi import ASGIApp
from jitui.provider_simulator.books import Books
from jitui.provider_simulator.entries import SimulatedRefundRequest
from jitui.provider_simulator.faults import SMOOTH, FaultPlan, OutcomeFault, WebhookFault
from jitui.provider_simulator.signature import signing_key
from jitui.provider_simulator.webhooks import signed_message

API_KEY = "simulated-provider-key"
WEBHOOK_SECRET = new_webhook_secret()
MINUTE_MS, DAY_MS = 60_000, 86_400_000
RESEND_SECONDS = 20.0
"""How long the provider waits before it sends an unaccepted event again."""

_OUTCOMES: tuple[tuple[OutcomeFault | None, int], ...] = (
    (None, 54),
    (OutcomeFault.PENDING_THEN_SUCCEEDED, 9),
    (OutcomeFault.PENDING_THEN_FAILED, 5),
    (OutcomeFault.SUCCEEDED_THEN_FAILED, 6),
    (OutcomeFault.DECLINED, 6),
    (OutcomeFault.PAID_THEN_CLOSED, 5),
    (OutcomeFault.PAID_THEN_500, 5),
    (OutcomeFault.PAID_THEN_504, 5),
    (OutcomeFault.STALLED_BEFORE_PAYING, 5),
)
_WEBHOOKS: tuple[tuple[WebhookFault | None, int], ...] = (
    (None, 70),
    (WebhookFault.DUPLICATE, 10),
    (WebhookFault.LATE, 10),
    (WebhookFault.OUT_OF_ORDER, 10),
)


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery of an event, with the signature of the time when it was sent."""

    event_id: str
    headers: Mapping[str, str]
    body: bytes
    sent_at: float


class ModelProvider:
    """The provider's books, faults and events; `now` is the simulated time in seconds."""

    def __init__(self, books_path: Path, rng: Random, now: Callable[[], float], counts: Counter[str]) -> None:
        self._path = books_path
        self._rng = rng
        self._now = now
        self._counts = counts
        self._settings = SimulatorSettings(
            api_key=API_KEY, webhook_url="http://127.0.0.1/", webhook_secret=WEBHOOK_SECRET
        )
        self._key = signing_key(WEBHOOK_SECRET)
        self._again_at: dict[str, float] = {}
        self.faulty = True
        self.books, self.app = self._open()
        if rng.random() < 0.5:
            self._counts["provider:short_balance"] += 1
            self.books.set_balance("CNY", rng.choice((0, 10_000, 40_000)), self.now_ms())

    def _open(self) -> tuple[Books, ASGIApp]:
        books = open_books(self._path)
        return books, create_app(books, self._settings, now_ms=self.now_ms, planner=self._plan)

    def now_ms(self) -> int:
        """The simulated time in milliseconds."""
        return int(self._now() * 1000)

    async def crash(self) -> None:
        """Restart the provider from its disk; everything that it has told anybody must be there."""
        await self.books.durable()
        self.books.journal.release()
        self.books, self.app = self._open()

    def recover(self) -> None:
        """No more faults, and the merchant has paid in: what no account could pay is paid from now on."""
        self.faulty = False
        self.books.set_balance("CNY", None, self.now_ms())

    def close(self) -> None:
        """Close the file."""
        self.books.journal.release()

    def _plan(self, _: SimulatedRefundRequest) -> tuple[FaultPlan, FaultTiming]:
        """The faults of a new refund, drawn when the request arrives."""
        if not self.faulty:
            return SMOOTH, FaultTiming(hold_ms=0)
        outcome = drawn(self._rng, _OUTCOMES)
        webhook = drawn(self._rng, _WEBHOOKS)
        if webhook is WebhookFault.OUT_OF_ORDER and outcome is None:
            outcome = OutcomeFault.PENDING_THEN_SUCCEEDED
        for fault in (outcome, webhook):
            if fault is not None:
                self._counts[f"provider:{fault}"] += 1
        days = self._rng.random() < 0.25
        timing = FaultTiming(
            settle_ms=self._rng.choice((2_000, 30_000, 5 * MINUTE_MS)),
            fail_ms=self._rng.randrange(1, 5) * DAY_MS if days else self._rng.choice((5_000, 2 * MINUTE_MS)),
            hold_ms=0,
            late_ms=self._rng.choice((3_000, 3 * MINUTE_MS, DAY_MS)),
        )
        if days and outcome in (OutcomeFault.SUCCEEDED_THEN_FAILED, OutcomeFault.PENDING_THEN_FAILED):
            self._counts["provider:days_later"] += 1
        return FaultPlan(outcome, webhook), timing

    # Events ------------------------------------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """Carry out the changes that were planned up to now."""
        if self.books.change_due(self.now_ms()):
            await self.books.durable()

    def due_messages(self) -> list[Message]:
        """A new delivery of each event that is due and was not accepted yet."""
        now = self._now()
        due = [
            notice
            for event_id, notice in sorted(self.books.notices.items())
            if notice.due_at_ms <= self.now_ms() and self._again_at.get(event_id, 0.0) <= now
        ]
        messages = []
        for notice in due:
            self._again_at[notice.event_id] = now + RESEND_SECONDS
            headers, body = signed_message(self._key, notice, int(now))
            message = Message(notice.event_id, headers, body, now)
            messages += [message] * notice.refund.made.notify_times
        return messages

    def next_due(self) -> float | None:
        """When the provider has something to do next, in simulated seconds."""
        times = [at / 1000 for at, _ in self.books.changes_due[:1]]
        times += [
            max(notice.due_at_ms / 1000, self._again_at.get(event_id, 0.0))
            for event_id, notice in self.books.notices.items()
        ]
        return min(times, default=None)
