"""Converts arguments of the command line to values of the core; wrong ones are refused in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from datetime import datetime, tzinfo
    from enum import StrEnum

    from jitui.aftersales.governance.registry import Scope

    _Word = TypeVar("_Word", bound=StrEnum)


def word_of(text: str, allowed: tuple[_Word, ...], what: str) -> _Word:
    """The word, if it is allowed; raises BadInput with the allowed ones."""
    from jitui.errors import BadInput

    for word in allowed:
        if word.value == text:
            return word
    raise BadInput(f"{what} is one of {', '.join(allowed)}, not {text!r}.", path=what)


def place_of(scope: str, ref: str, allowed: tuple[Scope, ...]) -> tuple[Scope, str]:
    """A scope with the id that it needs; the platform has none. Raises BadInput."""
    from jitui.aftersales.governance.registry import Scope
    from jitui.errors import BadInput

    place = word_of(scope, allowed, "the scope")
    if place is Scope.PLATFORM and ref:
        raise BadInput("There is only one platform: leave the id out.", path="ref")
    if place is not Scope.PLATFORM and not ref:
        raise BadInput(f"Which {place}? Give its id.", path="ref")
    return place, ref


def id_of(text: str, what: str) -> str:
    """An id as it was given; raises BadInput that names the character that it must not have."""
    from jitui.errors import BadInput
    from jitui.text import why_no_id

    why = why_no_id(text)
    if why is not None:
        raise BadInput(f"{what}: this is no id: {why}.", path=what)
    return text


def moment_of(text: str, option: str, days_in: tzinfo | None = None) -> datetime:
    """A time with its zone; with `days_in` also a day, which means its first moment there. Raises BadInput."""
    from datetime import UTC

    from jitui.errors import BadInput
    from jitui.tabular.cells import Unreadable, read_day, read_moment

    day = Unreadable("") if days_in is None else read_day(text, days_in)
    found = read_moment(text, None) if isinstance(day, Unreadable) else day
    if not isinstance(found, Unreadable):
        return found
    if not isinstance(read_moment(text, UTC), Unreadable):
        raise BadInput(f"{option} needs its zone: {text}Z or {text}+08:00.", path=option)
    if found.reason.startswith("expected a time from"):
        raise BadInput(f"{option}: {found.reason}.", path=option)
    what = "a time" if days_in is None else "a day or a time"
    such = "" if days_in is None else "2026-11-23 or "
    raise BadInput(f"{option} takes {what}, such as {such}2026-11-23T08:00:00+08:00, not {text!r}.", path=option)
