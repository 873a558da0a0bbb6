"""Reading what was sent: bodies, queries, headers and cursors become values, or a problem that names the field."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import datetime
from functools import cache
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar import Request
from msgspec import Meta

from jitui.entrypoints.http.fields import (
    CODE_PATTERN,
    EARLIEST,
    ID_OR_NONE_PATTERN,
    LATEST,
    SENTENCES,
    Storable,
    Time,
)
from jitui.entrypoints.http.problems import (
    BODY_TOO_LARGE,
    INVALID_JSON,
    INVALID_REQUEST,
    UNSUPPORTED_MEDIA_TYPE,
    Fault,
    Problem,
    of_faults,
)
from jitui.text import ID_PATTERN, why_no_id

_Value = TypeVar("_Value")

IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
IF_MATCH = re.compile(r'"([0-9]{1,9})"')
MAX_DEADLINE_MS = 600_000


class Malformed(Exception):
    """A request that cannot be read; carries the problem to answer. Raised and caught at the edge alone."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def refuse(path: str, detail: str) -> Malformed:
    """A single fault, ready to raise."""
    return Malformed(Problem(INVALID_REQUEST, detail, path))


class Faults:
    """Collects what is wrong beyond what a schema can say, so that all of it is told at once."""

    def __init__(self) -> None:
        self._found: list[Fault] = []

    def add(self, path: str, detail: str) -> None:
        """One more."""
        if len(self._found) < 100:
            self._found.append(Fault(path, detail))

    def time(self, path: str, value: datetime | None) -> None:
        """Times stay within what every part can hold."""
        if value is not None and not EARLIEST <= value < LATEST:
            self.add(path, f"Expected a time from {EARLIEST.year} to {LATEST.year - 1}")

    def unique(self, path: str, name: str, values: Iterable[str]) -> None:
        """Each value once."""
        seen: set[str] = set()
        for index, value in enumerate(values):
            if value in seen:
                self.add(f"{path}[{index}].{name}", f"{value!r} is named twice")
            seen.add(value)

    def settle(self) -> None:
        """Raise what was found."""
        if self._found:
            raise Malformed(of_faults(self._found))


MAX_BODY_BYTES = 1024 * 1024


async def read_all(request: Request[Any, Any, Any]) -> bytes:
    """The bytes of a body. Raises Malformed as soon as there are more than `MAX_BODY_BYTES`, announced or sent."""
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


def _too_large() -> Malformed:
    return Malformed(Problem(BODY_TOO_LARGE, f"A body has at most {MAX_BODY_BYTES} bytes; send less at a time."))


# Bodies ----------------------------------------------------------------------------------------------------------


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def read_body(kind: type[_Value], raw: bytes, content_type: str | None) -> _Value:
    """A JSON body as its struct. Raises Malformed with the place of the fault; no body at all is one."""
    if not raw:
        raise refuse("", "A body is required: a JSON object, and {} says nothing.")
    if not _is_json(content_type):
        raise Malformed(Problem(UNSUPPORTED_MEDIA_TYPE, "Send the body as content-type: application/json."))
    try:
        value: _Value = _decoder(cast(Hashable, kind)).decode(raw)
    except msgspec.ValidationError as error:
        raise Malformed(_misfit(str(error), lambda: msgspec.json.decode(raw))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(_broken(raw, error)) from None
    _refuse_repeated(raw)
    if b"\\u0000" in raw:
        _refuse_nul(raw)
    return value


def _is_json(content_type: str | None) -> bool:
    return content_type is not None and content_type.partition(";")[0].strip().lower() == "application/json"


def _broken(raw: bytes, error: Exception) -> Problem:
    if isinstance(error, UnicodeDecodeError):
        return Problem(INVALID_JSON, "The body is not UTF-8.")
    if isinstance(error, RecursionError):
        return Problem(INVALID_JSON, "The body is nested too deeply.")
    found = re.search(r"\(byte (\d+)\)", str(error))
    at = int(found[1]) if found else len(raw)
    if "trailing" in str(error):
        at -= 1  # msgspec names the byte behind the first one too many
    line = raw.count(b"\n", 0, at) + 1
    column = at - (raw.rfind(b"\n", 0, at) + 1) + 1
    why = str(error).removeprefix("JSON is malformed: ").partition(" (byte")[0]
    return Problem(INVALID_JSON, f"Broken JSON at byte {at} (line {line}, column {column}): {why}.")


def _misfit(message: str, sent: Callable[[], object]) -> Problem:
    """msgspec's sentence as a path and a detail; of an id, also what is wrong with it."""
    detail, _, place = message.partition(" - at ")
    path = place.strip("`").removeprefix("key in `").removeprefix("$").lstrip(".")
    named = re.fullmatch(r"Object (?:contains unknown|missing required) field `(.*)`", detail)
    if named:
        path = f"{path}.{named[1]}" if path else named[1]
        detail = "This field is required" if "missing" in detail else "This field is not known here"
    pattern = re.search(r"matching regex (['\"])(.*)\1", detail)
    if pattern:
        known = next((known for known in SENTENCES if repr(known)[1:-1] == pattern[2]), None)
        detail = detail if known is None else SENTENCES[known]
        if known in (ID_PATTERN, ID_OR_NONE_PATTERN, CODE_PATTERN):
            detail += _why_not(_value_at(sent, path), slashes=known == CODE_PATTERN)
    return Problem(INVALID_REQUEST, f"{detail}.", path)


def _why_not(value: object, *, slashes: bool) -> str:
    why = why_no_id(value, slashes=slashes) if isinstance(value, str) else None
    return "" if why is None else f"; {why}"


def _value_at(sent: Callable[[], object], path: str) -> object:
    """What stands at a path such as `lines[0].sku`; None where that cannot be said."""
    try:
        value = sent()
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            value = cast(Any, value)[name or int(index)]
    except (msgspec.MsgspecError, LookupError, TypeError, RecursionError):
        return None
    return value


class _Repeated(dict[str, object]):
    """An object that names a field twice."""

    name = ""


def _refuse_repeated(raw: bytes) -> None:
    """A field that is named twice is a fault: readers differ on which of the two they take."""
    found: list[_Repeated] = []

    def build(pairs: list[tuple[str, object]]) -> dict[str, object]:
        built = dict(pairs)
        if len(built) == len(pairs):
            return built
        repeated = _Repeated(built)
        names = [name for name, _ in pairs]
        repeated.name = next(name for name in names if names.count(name) > 1)
        found.append(repeated)
        return repeated

    whole = json.loads(raw, object_pairs_hook=build)
    if found:
        faults = [Fault(path, "This field is named twice") for path in _repeated_paths(whole, "")]
        raise Malformed(of_faults(faults[:100] or [Fault(found[0].name, "This field is named twice")]))


def _repeated_paths(value: object, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _repeated_paths(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        if isinstance(value, _Repeated):
            yield f"{path}.{value.name}" if path else value.name
        for name, item in value.items():
            yield from _repeated_paths(item, f"{path}.{name}" if path else name)


def _refuse_nul(raw: bytes) -> None:
    found = [Fault(path, "A NUL character cannot be stored") for path in _nul_paths(msgspec.json.decode(raw), "")]
    if found:
        raise Malformed(of_faults(found[:100]))


def _nul_paths(value: object, path: str) -> Iterator[str]:
    if isinstance(value, str) and "\x00" in value:
        yield path
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nul_paths(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            if "\x00" in name:
                yield path
            yield from _nul_paths(item, f"{path}.{name}" if path else name)


# Queries ---------------------------------------------------------------------------------------------------------


_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")


@cache
def _whole_numbers(kind: Hashable) -> frozenset[str]:
    """The parameters that are whole numbers; all others are read as the text that they are."""
    fields = msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
    return frozenset(field.encode_name for field in fields if _is_whole(field.type))


def _is_whole(found: msgspec.inspect.Type) -> bool:
    if isinstance(found, msgspec.inspect.Metadata):
        return _is_whole(found.type)
    if isinstance(found, msgspec.inspect.UnionType):
        return any(_is_whole(one) for one in found.types)
    return isinstance(found, msgspec.inspect.IntType)


def read_query(kind: type[_Value], raw: bytes) -> _Value:
    """A query string as its struct; an unknown or repeated parameter is a fault, not noise."""
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
        raise Malformed(_misfit(str(error), lambda: values)) from None


# Headers ---------------------------------------------------------------------------------------------------------


_SINGLE = frozenset({b"authorization", b"content-type", b"idempotency-key", b"if-match", b"jitui-deadline-ms"})
"""Headers that this API reads: one of each, since whoever stands before us may take another one than we do."""


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """The headers that this API reads, by lower-case name. Raises Malformed for one that is sent twice."""
    found: dict[bytes, str] = {}
    for name, value in headers:
        if name in _SINGLE:
            if name in found:
                raise refuse(name.decode().title(), "This header is sent twice.")
            found[name] = value.decode("latin-1")
    return found


def read_idempotency_key(text: str | None) -> str | None:
    """1 to 255 visible ASCII characters, if sent at all."""
    if text is not None and IDEMPOTENCY_KEY.fullmatch(text) is None:
        raise refuse("Idempotency-Key", "Expected 1 to 255 visible ASCII characters.")
    return text


def read_version(text: str | None) -> int | None:
    """The ticket's version from If-Match, as ETag gave it: a number in quotes."""
    if text is None:
        return None
    found = IF_MATCH.fullmatch(text.strip())
    if found is None:
        raise refuse("If-Match", 'Expected the version of the ticket in quotes, as its ETag has it: "3".')
    return int(found[1])


def read_deadline_ms(text: str | None) -> int | None:
    """Milliseconds from the arrival of the request."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= MAX_DEADLINE_MS):
        raise refuse("Jitui-Deadline-Ms", f"Expected whole milliseconds, 0 to {MAX_DEADLINE_MS}.")
    return int(text)


# Ids and cursors -------------------------------------------------------------------------------------------------

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def read_uuid(text: str) -> UUID | None:
    """An id that we made; None for anything else, which therefore does not exist."""
    return UUID(text) if _UUID.fullmatch(text) else None


class TimePlace(msgspec.Struct, frozen=True, array_like=True):
    """A place in a list that is ordered by time, then by an id that we made."""

    at: Time
    id: UUID


class NamedPlace(msgspec.Struct, frozen=True, array_like=True):
    """A place in a list that is ordered by time, then by the platform's id."""

    at: Time
    id: Storable


class PublicationPlace(msgspec.Struct, frozen=True, array_like=True):
    """A place in the log of published policies."""

    publication: Annotated[int, Meta(ge=0, le=2**62)]


class FeedPlace(msgspec.Struct, frozen=True, array_like=True):
    """A place in the feed."""

    position: Annotated[int, Meta(ge=0, le=2**62)]


def write_cursor(*parts: object) -> str:
    """An opaque cursor: base64url of the last row's place."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def read_cursor(text: str | None, kind: type[_Value], name: str = "cursor") -> _Value | None:
    """The place that `write_cursor` wrote. Raises Malformed for anything else."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=kind)
    except (ValueError, binascii.Error):
        raise refuse(name, "This is not a cursor of this list.") from None
