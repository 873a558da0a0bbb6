"""A call of the API as a value: what is sent, which type the answer has, and whether it may be sent again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

import msgspec
from msgspec import UNSET

Value = TypeVar("Value")
Row = TypeVar("Row")
_WordType = TypeVar("_WordType", bound="Word")


class Word(StrEnum):
    """A code of the API. One that this release does not know is kept as the service wrote it, instead of failing."""

    @classmethod
    def _missing_(cls: type[_WordType], value: object) -> _WordType | None:
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_ = unknown._value_ = value
        return unknown


class Sent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of what is sent. A field that was not given is not sent."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what the service answers. Fields that this release does not know are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Value]):
    """One call. Sending the same value again is the same call: its Idempotency-Key stays.

    `may_repeat`: carried out twice it does what once does, so it is sent again when the answer was lost.
    """

    operation: str
    method: str
    path: str
    answer: type[Value]
    statuses: tuple[int, ...] = (200,)
    places: Mapping[str, object] = field(default_factory=dict)
    query: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, object] = field(default_factory=dict)
    body: object = UNSET
    media_type: str = "application/json"
    idempotency_key: str | None = None
    may_repeat: bool = False

    @property
    def address(self) -> str:
        """The path with its ids; a slash or a dot in an id stays part of the id."""
        return self.path.format_map({name: _segment(str(value)) for name, value in self.places.items()})

    @property
    def parameters(self) -> dict[str, str]:
        """What stands behind the question mark."""
        return {name: _text(value) for name, value in self.query.items() if value is not None}

    @property
    def content(self) -> bytes | None:
        """The body as JSON; None for a call without one."""
        return None if self.body is UNSET or self.body is None else msgspec.json.encode(self.body)

    @property
    def header_fields(self) -> dict[str, str]:
        """The headers of this call alone."""
        fields = {name: _text(value) for name, value in self.headers.items() if value is not None}
        if self.idempotency_key is not None:
            fields["Idempotency-Key"] = self.idempotency_key
        return fields

    @property
    def wait_seconds(self) -> float:
        """How long the service was asked to wait before it answers."""
        waits = self.query.get("wait_seconds")
        return float(waits) if isinstance(waits, int) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCall(Call[Value], Generic[Value, Row]):
    """A call that answers one page of a list: `rows` names its rows, `cursor` the parameter that says where it begins.

    `ends`: the last page has no `next`; a feed always has one, and ends for now with an empty page.
    """

    rows: str
    cursor: str = "cursor"
    ends: bool = True

    def rows_of(self, page: Value) -> Sequence[Row]:
        """The rows of a page."""
        found: Sequence[Row] = getattr(page, self.rows)
        return found

    def beginning_at(self, cursor: str) -> ListCall[Value, Row]:
        """The same list from another place on."""
        return replace(self, query={**self.query, self.cursor: cursor})

    def following(self, page: Value) -> ListCall[Value, Row] | None:
        """The call for the next page; None after the last one."""
        cursor: str | None = page.next  # type: ignore[attr-defined]
        if cursor is None or not (self.ends or self.rows_of(page)):
            return None
        return self.beginning_at(cursor)


def new_idempotency_key() -> str:
    """A key that no other call has."""
    return str(uuid4())


def if_match(version: int | None) -> str | None:
    """A ticket's version as the header that says which version is decided on."""
    return None if version is None else f'"{version}"'


def _segment(text: str) -> str:
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(msgspec.to_builtins(value))
