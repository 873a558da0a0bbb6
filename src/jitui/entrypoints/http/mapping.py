"""Values of the core as structs of the API and back, by the names that both sides share."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from jitui.aftersales.model.view import Amount

_Kind = TypeVar("_Kind")


def shown(kind: type[_Kind], source: object, *, currency: str | None = None, **more: object) -> _Kind:
    """A value as a struct of the API: attributes of the same names, and `more` beside them.

    An amount `paid` is the source's `paid_minor` in `currency`, else in the source's own.
    """
    values: dict[str, object] = more
    for name, is_amount in _shown_fields(cast(Hashable, kind)):
        if name in more:
            continue
        value: Any = getattr(source, f"{name}_minor" if is_amount else name)
        values[name] = Amount(value, currency or source.currency) if is_amount else value  # type: ignore[attr-defined]
    return msgspec.convert(values, kind, from_attributes=True)


def taken(kind: type[_Kind], sent: object, **more: object) -> _Kind:
    """What was sent as a value of the core: fields of the same names as far as there are any, and `more`."""
    same = {
        name: getattr(sent, name)
        for name in _taken_fields(cast(Hashable, kind))
        if name not in more and hasattr(sent, name)
    }
    return msgspec.convert({**same, **more}, kind, from_attributes=True)


@cache
def _shown_fields(kind: Any) -> tuple[tuple[str, bool], ...]:
    return tuple((field.name, field.type is Amount) for field in msgspec.structs.fields(kind))


@cache
def _taken_fields(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))
