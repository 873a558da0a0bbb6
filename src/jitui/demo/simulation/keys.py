"""Checks what clients were told under their Idempotency-Keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from jitui.demo.simulation.messages import Result


@dataclass(frozen=True, slots=True)
class _Told:
    ticket_id: str
    answered_at: float


@dataclass
class PromisedKeys:
    """A key stands for one ticket as long as responses are kept; after that it may be used again.

    The time counts from when a response was made, not from when a client received it: a response may be lost, and be
    received by a repetition many hours later.
    """

    kept_for: timedelta
    _told: dict[str, _Told] = field(default_factory=dict)

    def ticket(self, key: str, result: Result) -> str | None:
        """Record that a client was told of a ticket; returns what is wrong with that, if anything."""
        told = _Told(result.ticket_id, result.answered_at)
        known = self._told.setdefault(key, told)
        if told.answered_at > known.answered_at:
            self._told[key] = told
        apart = abs(told.answered_at - known.answered_at)
        if known.ticket_id == told.ticket_id or apart >= self.kept_for.total_seconds():
            return None
        return f"one key, two tickets: {known.ticket_id} and {told.ticket_id}"

    def refusal(self, key: str, code: str, now: float) -> str | None:
        """Check a refusal; returns what is wrong with it, if anything."""
        known = self._told.get(key)
        if known is None or now - known.answered_at >= self.kept_for.total_seconds():
            return None
        return f"key {key} was answered with a ticket, and then with {code}"
