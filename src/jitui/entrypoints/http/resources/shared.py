"""Shared by the resources: base classes of bodies, units of lines, ids in addresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from jitui.aftersales.governance.registry import Scope
from jitui.aftersales.model.order import LineUnits
from jitui.entrypoints.http.fields import Code, Id, Quantity
from jitui.entrypoints.http.problems import FaultCollector, refuse
from jitui.policy.problems import did_you_mean
from jitui.text import why_no_id

MOST_LINES = 1_000
_Value = TypeVar("_Value")


class Sent(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of bodies that callers send. Unknown fields are refused, such as an amount in a refund request (T30)."""


class Shown(Struct, frozen=True, kw_only=True):
    """The base of bodies that the API returns."""


class ActingSent(Sent, frozen=True, kw_only=True):
    """For whom a platform acts. Unset fields are not part of the request's hash, so that older requests keep theirs."""

    acting_for: Annotated[
        Literal["merchant"] | UnsetType,
        Meta(description="With a platform key: the merchant decided this; `person` says who. Else an operator did."),
    ] = UNSET
    person: Annotated[
        Code | UnsetType, Meta(description="Who decided it at the merchant's, as the merchant names its people.")
    ] = UNSET


class UnitsSent(Sent, frozen=True, kw_only=True):
    """A number of units of one order line."""

    line_id: Id
    quantity: Quantity


def units(lines: Iterable[UnitsSent]) -> tuple[LineUnits, ...]:
    """Units as the core has them."""
    return tuple(LineUnits(line.line_id, line.quantity) for line in lines)


def id_of_address(name: str, text: str) -> str:
    """An id that may be created at this address. Raises a problem when it is not valid."""
    why = why_no_id(text)
    if why is not None:
        raise refuse(name, f"Expected 1 to 128 visible characters, without spaces or slashes; {why}.")
    return text


BuyerIdOfKey = Annotated[Id | None, Meta(description="A buyer key may leave it out; a platform key must not.")]


def buyer_meant(sent: str | None, own: str | None) -> str:
    """The buyer that was named, or else that of a buyer key. Raises a problem when there is neither."""
    buyer_id = sent or own
    if buyer_id is None:
        raise refuse("buyer_id", "This field is required with a platform key.")
    return buyer_id


def said(value: _Value | UnsetType, otherwise: _Value) -> _Value:
    """The value of a field, or `otherwise` when it was not sent."""
    return otherwise if isinstance(value, UnsetType) else value


def left_out(sent: Struct) -> list[str]:
    """The fields that were not sent, which stay as they are."""
    return [name for name in sent.__struct_fields__ if getattr(sent, name) is UNSET]


def check_event_kind(faults: FaultCollector, path: str, kind: str, known: Sequence[str]) -> None:
    """Add a fault for an unknown kind of event: no policy could use it, so it would be lost."""
    if kind not in known:
        faults.add(path, f"Expected {', '.join(known[:-1])} or {known[-1]}{did_you_mean(kind, known)}")


def check_place(scope: str, ref: str) -> None:
    """Raise a problem when the platform has a `ref`, or any other scope has none."""
    if (scope == Scope.PLATFORM.value) != (ref == ""):
        raise refuse("ref", "Expected an id, except for the platform, which has none.")
