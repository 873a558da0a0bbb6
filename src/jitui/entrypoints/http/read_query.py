"""Reads a query string: only known parameters, each once and in its form."""

from __future__ import annotations

import re
from collections.abc import Hashable
from functools import cache
from itertools import islice
from typing import TypeVar, cast
from urllib.parse import parse_qsl

import msgspec

from jitui.entrypoints.http.misfits import first_misfit, misfits
from jitui.entrypoints.http.operation import Nothing
from jitui.entrypoints.http.problems import MOST_FAULTS, ProblemRaised, of_faults, refuse
from jitui.entrypoints.http.request import RequestContext

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_Value = TypeVar("_Value")


def read_query(request: RequestContext, kind: type[_Value]) -> _Value:
    """The query as the operation's struct. Raises a problem with all its faults."""
    assert request.operation.query is kind, f"{request.scope['path_template']} is described with another query"
    return decode_query(kind, request.scope["query_string"])


def refuse_query(raw: bytes) -> None:
    """Raise a problem for any parameter, for an operation without a query."""
    decode_query(Nothing, raw)


def decode_query(kind: type[_Value], raw: bytes) -> _Value:
    """A query string as a struct. Raises a problem for unknown, repeated and wrong parameters."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except (UnicodeDecodeError, ValueError):
        raise refuse("", "The query is not percent-encoded UTF-8.") from None
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1)
        raise refuse(twice, "This parameter is given twice.")
    for name, value in pairs:
        if "\x00" in name or "\x00" in value:
            raise refuse(name.replace("\x00", ""), "A NUL character cannot be stored.")
    wholes = _whole_numbers(cast(Hashable, kind))
    sent = {name: int(text) if name in wholes and _WHOLE.fullmatch(text) else text for name, text in values.items()}
    try:
        return msgspec.convert(sent, kind)
    except msgspec.ValidationError as error:
        faults = tuple(islice(misfits(kind, sent), MOST_FAULTS)) or (first_misfit(str(error)),)
        raise ProblemRaised(of_faults(faults)) from None


@cache
def _whole_numbers(kind: Hashable) -> frozenset[str]:
    """The parameters that are whole numbers; all others stay text."""
    fields = msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
    return frozenset(field.encode_name for field in fields if _is_whole(field.type))


def _is_whole(found: msgspec.inspect.Type) -> bool:
    if isinstance(found, msgspec.inspect.Metadata):
        return _is_whole(found.type)
    if isinstance(found, msgspec.inspect.UnionType):
        return any(_is_whole(one) for one in found.types)
    return isinstance(found, msgspec.inspect.IntType)
