"""Reads a JSON body: with a limit on its size, each field once, and all faults reported together.

Litestar's own `data` reports only the first fault, and of a field that is named twice it takes the last value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator
from itertools import islice
from typing import TypeVar, cast

import msgspec

from jitui.entrypoints.http.misfits import decoder_of, first_misfit, misfits
from jitui.entrypoints.http.problems import (
    BODY_TOO_LARGE,
    INVALID_JSON,
    MOST_FAULTS,
    UNSUPPORTED_MEDIA_TYPE,
    Fault,
    Problem,
    ProblemRaised,
    of_faults,
    refuse,
)
from jitui.entrypoints.http.request import RequestContext

MAX_BODY_BYTES = 1024 * 1024
_Value = TypeVar("_Value")


async def read_body(request: RequestContext, kind: type[_Value]) -> _Value:
    """The body as the operation's struct. Raises a problem with all its faults."""
    assert request.operation.body is kind, f"{request.scope['path_template']} is described with another body"
    raw = await read_all(request)
    if not raw and request.operation.body_optional:
        return kind()
    return decode_body(kind, raw, request.sent_headers.get(b"content-type"))


async def read_all(request: RequestContext) -> bytes:
    """The bytes of the body. Raises a problem as soon as more are announced or sent than allowed."""
    for name, value in request.scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value[:20]) > MAX_BODY_BYTES):
            raise _too_large()
    body = b""
    more = True
    while more:
        event = await request.receive()
        if event["type"] == "http.disconnect":
            raise refuse("", "The body did not arrive whole.")
        assert event["type"] == "http.request"
        body += event.get("body", b"")
        more = event.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
    return body


def _too_large() -> ProblemRaised:
    return ProblemRaised(Problem(BODY_TOO_LARGE, f"A body has at most {MAX_BODY_BYTES} bytes; send less at a time."))


def decode_body(kind: type[_Value], raw: bytes, content_type: str | None) -> _Value:
    """A JSON body as a struct; a missing body is a fault too."""
    if not raw:
        raise refuse("", "A body is required: a JSON object, and {} says nothing.")
    if content_type is None or content_type.partition(";")[0].strip().lower() != "application/json":
        raise ProblemRaised(Problem(UNSUPPORTED_MEDIA_TYPE, "Send the body as content-type: application/json."))
    value: _Value | None = None
    misfit = ""
    try:
        value = decoder_of(cast(Hashable, kind)).decode(raw)
    except msgspec.ValidationError as error:
        misfit = str(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemRaised(_broken(raw, error)) from None
    faults = tuple(islice(_faults_of(kind, raw, misfit), MOST_FAULTS))
    if faults:
        raise ProblemRaised(of_faults(faults))
    return cast(_Value, value)


def decode_json(raw: bytes) -> object:
    """A body as the JSON that it is, for what is judged part by part. Raises a problem for what is no JSON."""
    if not raw:
        raise refuse("", "A body is required.")
    repeated: list[_Repeated] = []
    try:
        msgspec.json.decode(raw)
        whole: object = json.loads(raw, object_pairs_hook=lambda pairs: _object(pairs, repeated))
    except msgspec.ValidationError as error:  # JSON, with a number beyond all bounds
        raise ProblemRaised(of_faults((first_misfit(str(error)),))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemRaised(_broken(raw, error)) from None
    faults = tuple(islice(_oddities(whole, ""), MOST_FAULTS)) if repeated or b"\\u0000" in raw else ()
    if faults:
        raise ProblemRaised(of_faults(faults))
    return whole


def _faults_of(kind: object, raw: bytes, misfit: str) -> Iterator[Fault]:
    """The faults one by one, so that the search can stop after the most that are reported."""
    repeated: list[_Repeated] = []
    try:
        whole = json.loads(raw, object_pairs_hook=lambda pairs: _object(pairs, repeated))
    except RecursionError:
        yield first_misfit(misfit)
        return
    except ValueError:  # not JSON, after a first fault that hid it, or a number with more digits than Python reads
        whole = _decoded(raw, misfit)
    if repeated or b"\\u0000" in raw:
        yield from _oddities(whole, "")
    if misfit:
        found = misfits(kind, whole)
        yield next(found, first_misfit(misfit))
        yield from found


def _decoded(raw: bytes, misfit: str) -> object:
    try:
        return msgspec.json.decode(raw)
    except msgspec.ValidationError:  # JSON with a number beyond all limits
        raise ProblemRaised(of_faults((first_misfit(misfit),))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemRaised(_broken(raw, error)) from None


# Fields that are named twice, and NUL ------------------------------------------------------------------------------


class _Repeated(dict[str, object]):
    """An object that names a field twice; parsers differ in which of the two they take."""

    names: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, object]], found: list[_Repeated]) -> dict[str, object]:
    built = dict(pairs)
    if len(built) == len(pairs):
        return built
    repeated = _Repeated(built)
    names = [name for name, _ in pairs]
    repeated.names = tuple(name for name in built if names.count(name) > 1)
    found.append(repeated)
    return repeated


def _oddities(value: object, path: str) -> Iterator[Fault]:
    if isinstance(value, str) and "\x00" in value:
        yield Fault(path, "A NUL character cannot be stored")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _oddities(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        if isinstance(value, _Repeated):
            for name in value.names:
                yield Fault(f"{path}.{name}" if path else name, "This field is named twice")
        for name, item in value.items():
            if "\x00" in name:
                yield Fault(path, "A NUL character cannot be stored")
            yield from _oddities(item, f"{path}.{name}" if path else name)


# What is no JSON ---------------------------------------------------------------------------------------------------


def _broken(raw: bytes, error: Exception) -> Problem:
    if isinstance(error, UnicodeDecodeError):
        return Problem(INVALID_JSON, "The body is not UTF-8.")
    if isinstance(error, RecursionError):
        return Problem(INVALID_JSON, "The body is nested too deeply.")
    found = re.search(r"\(byte (\d+)\)", str(error))
    at = int(found[1]) if found else len(raw)
    if "trailing" in str(error):
        at -= 1  # msgspec gives the position after the first surplus byte
    line = raw.count(b"\n", 0, at) + 1
    column = at - (raw.rfind(b"\n", 0, at) + 1) + 1
    why = str(error).removeprefix("JSON is malformed: ").partition(" (byte")[0]
    return Problem(INVALID_JSON, f"Broken JSON at byte {at} (line {line}, column {column}): {why}.")
