"""The facts that a policy declares itself: its features, and the platform's attributes of buyers and shops."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, cast

from jitui.policy.facts import BUYER_EVENTS, EVENTS_WITHOUT_MONEY, FACTS, SHOP_EVENTS, FactSpec, FactType
from jitui.policy.loading import file_format as form
from jitui.policy.loading.caps_format import MAX_WINDOW_DAYS
from jitui.policy.loading.field_readers import (
    Notes,
    choice,
    duration,
    entries,
    fields,
    items,
    read,
    scalar,
    string,
)
from jitui.policy.loading.file_kinds import PolicySection
from jitui.policy.loading.yaml_document import Node, Scalar
from jitui.policy.problems import did_you_mean
from jitui.policy.sections import DAY_SECONDS, Feature

_FACT_NAME = re.compile(rf"{form.BUYER_NAME}|{form.SHOP_NAME}")
_OWN_APPROVALS = re.compile(r"approv|instant")


def read_features(notes: Notes, node: Node | None) -> dict[str, Feature | None]:
    """The features by name; None for a feature with a fault, so that expressions that use it are not reported too."""
    features: dict[str, Feature | None] = {}
    for key, value in entries(notes, node, "features"):
        if not _FACT_NAME.fullmatch(key.value):
            notes.add(key.place, "a feature is named buyer.x or shop.x, in small letters, digits and _")
        elif _cannot_be_written(key.value):
            notes.add(key.place, _cannot_be_written(key.value))
        elif key.value in FACTS:
            notes.add(key.place, f"{key.value} is already a fact: give the feature another name")
        else:
            features[key.value] = _feature(notes, key.value, value)
    return features


def _feature(notes: Notes, name: str, node: Node) -> Feature | None:
    subject = "shop" if name.startswith("shop.") else "buyer"
    found = _fields_of(notes, node, form.SHOP_FEATURE if subject == "shop" else form.BUYER_FEATURE)
    over = read(notes, found, "over", duration("d", MAX_WINDOW_DAYS))
    functions = [function for function in form.FUNCTIONS if function in found]
    if len(functions) != 1:
        if found:
            notes.add(node.place, f"a feature has exactly one of {', '.join(form.FUNCTIONS)}")
        return None
    kind = _event_kind(notes, found[functions[0]], subject)
    if functions[0] == "sum" and kind in EVENTS_WITHOUT_MONEY:
        money = ", ".join(word for word in _kinds_of(subject) if word not in EVENTS_WITHOUT_MONEY)
        notes.add(
            found["sum"].place,
            f"{kind} is recorded without an amount, so there is nothing to sum: count it, or sum one of {money}",
        )
        return None
    if over is None or kind is None:
        return None
    function = cast(Literal["count", "sum", "last_age_days"], functions[0])
    return Feature(name, cast(Literal["buyer", "shop"], subject), function, kind, over // DAY_SECONDS)


def _kinds_of(subject: str) -> tuple[str, ...]:
    return SHOP_EVENTS if subject == "shop" else BUYER_EVENTS


def _event_kind(notes: Notes, node: Node, subject: str) -> str | None:
    kind = scalar(notes, node, "the event kind")
    known = _kinds_of(subject)
    if kind is None or kind.value in known:
        return kind.value if kind else None
    if _OWN_APPROVALS.search(kind.value):
        message = (
            f"{kind.value} counts this service's own approvals, which depend on the policy that is tested: "
            "limit them with caps"
        )
    else:
        hint = did_you_mean(kind.value, known) or f": it is {' or '.join(known)}"
        message = f"{kind.value} is no event of a {subject}{hint}"
    notes.add(kind.place, message)
    return None


def read_attributes(
    notes: Notes, node: Node | None, features: Mapping[str, Feature | None]
) -> dict[str, FactSpec | None]:
    attributes: dict[str, FactSpec | None] = {}
    for key, value in entries(notes, node, "attributes"):
        if not _FACT_NAME.fullmatch(key.value):
            notes.add(
                key.place,
                "an attribute is named buyer.x or shop.x, in small letters, digits and _: it arrives with the buyer or "
                "the shop",
            )
        elif _cannot_be_written(key.value):
            notes.add(key.place, _cannot_be_written(key.value))
        elif key.value in FACTS or key.value in features:
            notes.add(key.place, f"{key.value} is already a fact: give the attribute another name")
        else:
            attributes[key.value] = _attribute(notes, key.value, value)
    return attributes


def _cannot_be_written(name: str) -> str:
    """Why a condition could not name this fact; empty when it could.

    CEL reads some words as its own even after a dot.
    """
    word = name.rpartition(".")[2]
    if word not in form.WORDS_OF_CEL:
        return ""
    return f"{word} is a word of CEL, so that no condition can say {name}: take another name"


def _attribute(notes: Notes, name: str, node: Node) -> FactSpec | None:
    meaning = "the platform's own attribute"
    if isinstance(node, Scalar):
        kind = choice(*form.ATTRIBUTE_TYPES)(notes, node, "the type of an attribute (or {enum: [a, b]})")
        return FactSpec(name, FactType(kind), "platform", meaning) if kind else None
    found = _fields_of(notes, node, form.ENUM)
    words = [string(notes, item, "a word of an enum") for item in items(notes, found.get("enum"), "enum")]
    if found and not words:
        notes.add(node.place, "an enum needs at least one word")
    enum = tuple(dict.fromkeys(word for word in words if word is not None))
    return FactSpec(name, FactType.STRING, "platform", meaning, enum=enum) if enum else None


def _fields_of(notes: Notes, node: Node, section: PolicySection) -> dict[str, Node]:
    return fields(notes, node, section.what, section.required, section.optional)
