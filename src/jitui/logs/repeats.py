"""Errors that repeat are counted instead of repeated: the first at once, then a line a minute, and one when it ends.

What counts as the same: the event, its reason, and which of several things is in trouble. Everything else of a line (a
refund's id, a step) says which occurrence it was.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic

EVERY_SECONDS = 60.0
QUIET_SECONDS = 60.0
"""An error has ended when it did not come for so long."""

MOST_KINDS = 1_000
MOST_WORDS = 8
"""Of a field that differs from occurrence to occurrence, the words that a line about many of them names."""

SUBJECTS = ("provider", "endpoint", "key_id", "person", "client", "process", "route", "status")
_REASONS = ("reason", "error", "raised_at")
_NUMBERS = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+", re.IGNORECASE)
_LONGEST_REASON = 200

Event = Mapping[str, object]
Kind = tuple[str, ...]


def kind_of(logger: str, event: Event) -> Kind:
    """What a line has in common with those that it repeats; numbers and ids within a reason do not count."""
    reasons = (_NUMBERS.sub("#", str(event[name]))[:_LONGEST_REASON] for name in _REASONS if name in event)
    subjects = (f"{name}={event[name]}" for name in SUBJECTS if event.get(name) is not None)
    return (logger, _NUMBERS.sub("#", str(event.get("event")))[:_LONGEST_REASON], *reasons, *subjects)


@dataclass(slots=True)
class _Repeated:
    """An error that goes on. `unsaid`: how often it came since a line told of it; `differing`: the words of fields."""

    fields: dict[str, object]
    first_at: float
    last_at: float
    said_at: float
    times: int = 1
    unsaid: int = 0
    differing: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Summary:
    """A line about many: the fields that all have in common, how often it came, and whether it has ended."""

    kind: Kind
    fields: Mapping[str, object]


class Repeats:
    """What a process's log has said and not said; the caller locks. `seconds` is its clock."""

    def __init__(self, *, seconds: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._known: OrderedDict[Kind, _Repeated] = OrderedDict()
        self._ended: list[Summary] = []

    def __len__(self) -> int:
        return len(self._known)

    def is_new(self, kind: Kind, event: Event) -> bool:
        """Take in a line; whether it is to be written. What it repeats is told by `due`."""
        now = self._seconds()
        known = self._known.get(kind)
        if known is not None and now - known.last_at >= QUIET_SECONDS:
            self._end(kind)
            known = None
        if known is None:
            if len(self._known) >= MOST_KINDS:
                self._end(next(iter(self._known)))
            kept = {name: value for name, value in event.items() if name not in _OF_ONE}
            self._known[kind] = _Repeated(kept, now, now, now)
            return True
        known.last_at = now
        known.times += 1
        known.unsaid += 1
        _note_differences(known, event)
        return False

    def due(self, *, all_of_them: bool = False) -> Iterator[Summary]:
        """The lines that are due now; of an error that came once there is none. `all_of_them`: the process ends."""
        now = self._seconds()
        for kind, known in list(self._known.items()):
            if now - known.last_at >= QUIET_SECONDS:
                self._end(kind)
            elif known.unsaid and (all_of_them or now - known.said_at >= EVERY_SECONDS):
                within = round(now - known.said_at, 1)
                yield Summary(kind, {**_told(known), "again": known.unsaid, "within_seconds": within})
                known.said_at, known.unsaid, known.differing = now, 0, {}
        ended, self._ended = self._ended, []
        yield from ended

    def _end(self, kind: Kind) -> None:
        known = self._known.pop(kind)
        if known.times > 1:
            lasted = round(known.last_at - known.first_at, 1)
            told = {**_told(known), "ended": True, "times": known.times, "lasted_seconds": lasted}
            self._ended.append(Summary(kind, told))


_OF_ONE = frozenset({"timestamp", "exception", "exc_info", "request_id", "trace_id", "logger", "stack_info", "ms"})
"""Fields of one occurrence, which a line about many does not have."""


def _note_differences(known: _Repeated, event: Event) -> None:
    for name, value in event.items():
        if name in _OF_ONE or known.fields.get(name) == value:
            continue
        words = known.differing.setdefault(name, [str(known.fields[name])] if name in known.fields else [])
        if str(value) not in words and len(words) <= MOST_WORDS:
            words.append(str(value))


def _told(known: _Repeated) -> dict[str, object]:
    differing = {
        name: " ".join(words[:MOST_WORDS]) + (" …" if len(words) > MOST_WORDS else "")
        for name, words in known.differing.items()
        if name != "event"
    }
    return {**known.fields, **differing}
