"""What clients were told under their Idempotency-Keys, and what they may not be told after that."""

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
    """For as long as answers are kept, a key stands for one ticket; after that it may be used again.

    Counted from when an answer was made, not from when a client heard it: an answer may be lost, and is then heard by
    a repeat many hours later.
    """

    kept_for: timedelta
    _told: dict[str, _Told] = field(default_factory=dict)

    def ticket(self, key: str, result: Result) -> str | None:
        """Somebody hears of a ticket; what is wrong with that, if anything is."""
        told = _Told(result.ticket_id, result.answered_at)
        known = self._told.setdefault(key, told)
        if told.answered_at > known.answered_at:
            self._told[key] = told
        apart = abs(told.answered_at - known.answered_at)
        if known.ticket_id == told.ticket_id or apart >= self.kept_for.total_seconds():
            return None
        return f"one key, two tickets: {known.ticket_id} and {told.ticket_id}"

    def refusal(self, key: str, code: str, now: float) -> str | None:
        """Somebody is refused; what is wrong with that, if anything is."""
        known = self._told.get(key)
        if known is None or now - known.answered_at >= self.kept_for.total_seconds():
            return None
        return f"key {key} was answered with a ticket, and then with {code}"
