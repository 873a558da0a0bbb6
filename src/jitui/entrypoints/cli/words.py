"""Words on the command line that become values of the core, refused in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from enum import StrEnum

    from jitui.aftersales.registry import Scope

    _Word = TypeVar("_Word", bound=StrEnum)


def word_of(text: str, allowed: tuple[_Word, ...], what: str) -> _Word:
    """The word that was meant; raises BadInput with the allowed ones."""
    from jitui.errors import BadInput

    for word in allowed:
        if word.value == text:
            return word
    raise BadInput(f"{what} is one of {', '.join(allowed)}, not {text!r}.", path=what)


def place_of(scope: str, ref: str, allowed: tuple[Scope, ...]) -> tuple[Scope, str]:
    """A scope with the id it needs; the platform has none."""
    from jitui.aftersales.registry import Scope
    from jitui.errors import BadInput

    place = word_of(scope, allowed, "the scope")
    if place is Scope.PLATFORM and ref:
        raise BadInput("There is only one platform: leave the id out.", path="ref")
    if place is not Scope.PLATFORM and not ref:
        raise BadInput(f"Which {place}? Give its id.", path="ref")
    return place, ref


def id_of(text: str, what: str) -> str:
    """An id as it was given; raises BadInput that says which character it cannot have."""
    from jitui.errors import BadInput
    from jitui.text import why_no_id

    why = why_no_id(text)
    if why is not None:
        raise BadInput(f"{what}: this is no id: {why}.", path=what)
    return text
