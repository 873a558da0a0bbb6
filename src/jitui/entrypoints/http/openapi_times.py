"""Says in the schemas which texts are times: msgspec does so only for fields that are checked for a zone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import inspect


def mark_times(schemas: Mapping[str, dict[str, Any]], kinds: Iterable[type[Any]]) -> None:
    """Add `format: date-time` to every property that is a time, in the schemas of these types and of what they hold."""
    seen: set[str] = set()
    for told in inspect.multi_type_info(list(kinds)):
        for name, field, encoded_name in _time_fields(told, seen):
            _mark(schemas[name]["properties"][encoded_name], field)


def _time_fields(told: inspect.Type, seen: set[str]) -> Iterator[tuple[str, inspect.Type, str]]:
    """The name of the schema, the field's type and the field's name, of every field that holds a time."""
    if isinstance(told, inspect.StructType | inspect.DataclassType):
        name = told.cls.__name__
        if name in seen:
            return
        seen.add(name)
        for field in told.fields:
            if _is_time(field.type):
                yield name, field.type, field.encode_name
            yield from _time_fields(field.type, seen)
    for inner in _inner(told):
        yield from _time_fields(inner, seen)


def _inner(told: inspect.Type) -> tuple[inspect.Type, ...]:
    if isinstance(told, inspect.UnionType):
        return told.types
    if isinstance(told, inspect.Metadata):
        return (told.type,)
    if isinstance(told, inspect.DictType):
        return (told.value_type,)
    found = getattr(told, "item_type", None)
    return (found,) if isinstance(found, inspect.Type) else ()


def _is_time(told: inspect.Type) -> bool:
    if isinstance(told, inspect.UnionType):
        return any(map(_is_time, told.types))
    return isinstance(told, inspect.DateTimeType)


def _mark(schema: dict[str, Any], told: inspect.Type) -> None:
    options = schema["anyOf"] if isinstance(told, inspect.UnionType) and "anyOf" in schema else [schema]
    for option in options:
        if option.get("type") == "string":
            option["format"] = "date-time"
