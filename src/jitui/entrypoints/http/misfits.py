"""Finds everything in a body that does not fit its struct, with paths, in words without Python's type names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import UnsetType, inspect

from jitui.entrypoints.http.fields import EXPECTED_OF_PATTERN, ID_LIKE_PATTERNS, PATTERNS_WITH_SLASHES, WORDS_PATTERNS
from jitui.entrypoints.http.problems import Fault
from jitui.text import why_no_id

REQUIRED = "This field is required."
NOT_KNOWN = "This field is not known here."


def misfits(kind: Any, value: object, path: str = "") -> Iterator[Fault]:
    """The faults of a value; structs, lists and objects are searched, so that no fault hides another."""
    if _fits(kind, value):
        return
    inner = _inner(kind)
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, dict):
        yield from _in_struct(inner, value, path)
    elif get_origin(inner) is list and isinstance(value, list):
        (item_kind,) = get_args(inner)
        if not _fits(kind, value, of_any=list):
            yield Fault(path, expected(kind))
        for index, item in enumerate(value):
            yield from misfits(item_kind, item, f"{path}[{index}]")
    elif get_origin(inner) is dict and isinstance(value, dict):
        key_kind, item_kind = get_args(inner)
        if not _fits(kind, value, of_any=dict):
            yield Fault(path, expected(kind))
        for name, item in value.items():
            if not _fits(key_kind, name):
                yield Fault(_below(path, name), f"Of the name: {expected(key_kind, name)}")
            yield from misfits(item_kind, item, _below(path, name))
    else:
        yield Fault(path, expected(kind, value))


def _in_struct(kind: type[msgspec.Struct], value: dict[str, object], path: str) -> Iterator[Fault]:
    known = msgspec.structs.fields(kind)
    for field in known:
        if field.encode_name in value:
            yield from misfits(field.type, value[field.encode_name], _below(path, field.encode_name))
        elif field.required:
            yield Fault(_below(path, field.encode_name), REQUIRED)
    for name in value.keys() - {field.encode_name for field in known}:
        yield Fault(_below(path, name), NOT_KNOWN)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _fits(kind: Any, value: object, *, of_any: type | None = None) -> bool:
    """Whether a value fits; with `of_any` only whether the length of a list or an object does."""
    if of_any is not None:
        found = _plain(inspect.type_info(kind))[0]
        assert isinstance(found, inspect.ListType | inspect.DictType) and isinstance(value, list | dict)
        return (found.min_length or 0) <= len(value) <= (len(value) if found.max_length is None else found.max_length)
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError):
        return False
    return True


def _inner(kind: Any) -> Any:
    """The type without annotations, null and "left out"."""
    if get_origin(kind) is Annotated:
        return _inner(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        said = [one for one in get_args(kind) if one not in (NoneType, UnsetType)]
        return _inner(said[0]) if len(said) == 1 else kind
    return kind


# In words --------------------------------------------------------------------------------------------------------


def expected(kind: Any, value: object = None) -> str:
    """A sentence about what is expected; for an id, also what is wrong with the one that was sent."""
    found = _plain(inspect.type_info(kind))
    words = ", or ".join(dict.fromkeys(_words(one) for one in found))
    patterns = {one.pattern for one in found if isinstance(one, inspect.StrType)} & ID_LIKE_PATTERNS
    why = why_no_id(value, slashes=patterns <= PATTERNS_WITH_SLASHES) if patterns and isinstance(value, str) else None
    return f"Expected {words}{'' if why is None else f'; {why}'}."


def _plain(found: inspect.Type) -> tuple[inspect.Type, ...]:
    if isinstance(found, inspect.Metadata):
        return _plain(found.type)
    if isinstance(found, inspect.UnionType):
        return tuple(one for each in found.types for one in _plain(each))
    return (found,)


def _words(found: inspect.Type) -> str:
    match found:
        case inspect.StrType(pattern=str(pattern)) if pattern in EXPECTED_OF_PATTERN:
            return EXPECTED_OF_PATTERN[pattern]
        case inspect.StrType(min_length=least, max_length=most, pattern=pattern):
            text = f"a text{_span(least, most, 'characters')}"
            return f"{text}, not only spaces" if pattern in WORDS_PATTERNS else text
        case inspect.IntType(ge=least, le=most):
            return f"a whole number from {least} to {most}" if least is not None else "a whole number"
        case inspect.EnumType(cls=members):
            return f"one of {_listed(members)}"
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case inspect.ListType(min_length=least, max_length=most):
            return f"a list{_span(least, most, 'items')}"
        case inspect.DictType(min_length=least, max_length=most):
            return f"an object{_span(least, most, 'fields')}"
    return _SIMPLE.get(type(found), "another value")


_SIMPLE: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.NoneType: "null",
    inspect.FloatType: "a number",
    inspect.StructType: "an object",
    inspect.UUIDType: "an id of this service",
    inspect.DateTimeType: "a time with its zone, such as 2026-06-01T12:00:00+08:00",
}


def _listed(members: type[Enum]) -> str:
    return ", ".join(str(member.value) for member in members)


def _span(least: int | None, most: int | None, what: str) -> str:
    if most is None:
        return ""
    return f" of {least} to {most} {what}" if least else f" of at most {most} {what}"


# What msgspec says ------------------------------------------------------------------------------------------------

_PLAIN_NAMES = {"object": "an object", "array": "a list", "str": "a text", "int": "a whole number", "null": "null"}


def first_misfit(message: str) -> Fault:
    """msgspec's own message in our words, for a body that cannot be searched."""
    detail, _, place = message.partition(" - at ")
    path = place.strip("`").removeprefix("$").lstrip(".")
    if "out of range" in detail:
        return Fault(path, "Expected a number of fewer digits.")
    wanted = re.match(r"Expected `([a-z]+)", detail)
    return Fault(path, f"Expected {_PLAIN_NAMES.get(wanted[1], 'another value') if wanted else 'another value'}.")


@cache
def decoder_of(kind: Any) -> msgspec.json.Decoder[Any]:
    """The decoder of a type, cached."""
    return msgspec.json.Decoder(kind)
