"""The kinds of fields that bodies and queries are made of; each says in the schema what it takes."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from jitui.ids import CODE_PATTERN, CURRENCY_PATTERN, ID_PATTERN
from jitui.ids import END as END
from jitui.ids import KIND_PATTERN as KIND_PATTERN
from jitui.ids import SENTENCES as SENTENCES
from jitui.money import MAX_AMOUNT_MINOR
from jitui.tabular.cells import EARLIEST as EARLIEST
from jitui.tabular.cells import LATEST as LATEST

Id = Annotated[str, Meta(pattern=ID_PATTERN, description="1 to 128 visible characters, without spaces or slashes.")]
Code = Annotated[str, Meta(pattern=CODE_PATTERN, description="1 to 128 visible characters, without spaces.")]
Kind = Annotated[str, Meta(pattern=KIND_PATTERN, description="A word in lower case.")]
Currency = Annotated[str, Meta(pattern=CURRENCY_PATTERN, description="ISO 4217.")]
Storable = Annotated[str, Meta(pattern=r"^[^\x00]*" + END)]
Text = Annotated[str, Meta(max_length=500)]
Why = Annotated[str, Meta(min_length=1, max_length=500, description="Why, for the people who will ask.")]
AmountMinor = Annotated[int, Meta(ge=0, le=MAX_AMOUNT_MINOR, description="In minor units (fen, cents).")]
PositiveMinor = Annotated[int, Meta(ge=1, le=MAX_AMOUNT_MINOR, description="In minor units (fen, cents).")]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000_000, description="Units.")]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its zone.")]
Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Attributes = dict[Kind, Whole | Text | bool]
PageLimit = Annotated[int, Meta(ge=1, le=200, description="At most so many rows.")]
Cursor = Annotated[str, Meta(min_length=1, max_length=512, description="`next` of the page before.")]

_ID = re.compile(ID_PATTERN)
_KIND = re.compile(KIND_PATTERN)


def is_id(text: str) -> bool:
    """Whether an address part can be an id at all."""
    return _ID.search(text) is not None


def is_kind(text: str) -> bool:
    """Whether an address part can name a kind of event."""
    return _KIND.search(text) is not None


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount in minor units of a currency."""

    amount_minor: AmountMinor
    currency: Currency


class PositiveMoney(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount of at least one minor unit."""

    amount_minor: PositiveMinor
    currency: Currency
