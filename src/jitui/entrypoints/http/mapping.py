"""Converts values of the core to structs of the API and back, by equal names."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from jitui.aftersales.model.view import Amount

_Kind = TypeVar("_Kind")


def shown(kind: type[_Kind], source: object, *, currency: str | None = None, **more: object) -> _Kind:
    """A value as a struct of the API, from attributes with equal names and from `more`.

    An amount `paid` is made from the source's `paid_minor`, in `currency` or else in the source's own.
    """
    values: dict[str, object] = more
    for name, is_amount in _shown_fields(cast(Hashable, kind)):
        if name in more:
            continue
        value: Any = getattr(source, f"{name}_minor" if is_amount else name)
        values[name] = Amount(value, currency or source.currency) if is_amount else value  # type: ignore[attr-defined]
    return msgspec.convert(values, kind, from_attributes=True)


def taken(kind: type[_Kind], sent: object, **more: object) -> _Kind:
    """A struct of the API as a value of the core, from fields with equal names and from `more`."""
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
