"""The section `lists`: words or whole numbers under one name, for the right side of `in`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from jitui.policy.facts import NUL, ScalarValue
from jitui.policy.loading import file_format as form
from jitui.policy.loading.field_readers import Notes, entries, items
from jitui.policy.loading.file_kinds import IDENTIFIER
from jitui.policy.loading.parameters import Parameters
from jitui.policy.loading.written import Written
from jitui.policy.loading.yaml_document import Listing, Node, Scalar
from jitui.policy.sections import NamedList

_NAME = re.compile(IDENTIFIER)
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_LIKE_A_NUMBER = re.compile(r"[-+.]?[0-9][0-9_.,eE+-]*")
_NO_TEXT = ("true", "false", "null", "~", "")


def read_lists(notes: Notes, node: Node | None, parameters: Parameters) -> Parameters:
    """The parameters with the lists beside them; a name that has another meaning is noted."""
    lists: dict[str, tuple[ScalarValue, ...]] = {}
    keys: dict[str, Scalar] = {}
    for key, value in entries(notes, node, "lists"):
        name = key.value
        if not _NAME.fullmatch(name):
            notes.add(key.place, "a list is a name of small letters, digits and _, as in cold_regions")
        elif name in form.FIRST_WORDS or name in form.TAKEN_BY_CEL:
            notes.add(key.place, f"{name} already has a meaning in conditions: give the list another name")
        elif name in parameters.keys:
            line = parameters.keys[name].place.line
            notes.add(key.place, f"{name} is already the parameter of line {line}: give the list another name")
        else:
            keys[name] = key
            lists[name] = _words(notes, name, value)
    given = parameters.given or node is not None
    return replace(parameters, given=given, lists=lists, list_keys=keys)


def _words(notes: Notes, name: str, node: Node) -> tuple[ScalarValue, ...]:
    """The words of one list, all of one type; what is wrong is noted."""
    found: dict[ScalarValue, Scalar] = {}
    for item in items(notes, node, f"the list {name}"):
        word = _word(notes, name, item)
        if word is None or not isinstance(item, Scalar):
            continue
        if word in found:
            notes.add(item.place, f"{item.value} is already in line {found[word].place.line}: leave it out here")
            continue
        first = next(iter(found), None)
        if first is not None and type(first) is not type(word):
            message = f"the list {name} is of {_KINDS[type(first)]}, and this is {_KINDS[type(word)]}"
            notes.add(item.place, f"{message}: text that looks like a number stands in quotes, a number without")
            continue
        found[word] = item
    if not found and isinstance(node, Listing) and not node.items:
        notes.add(node.place, f"the list {name} needs at least one word, as in [CN-54, CN-65]")
    return tuple(found)


_KINDS: Mapping[type, str] = {str: "text", int: "whole numbers"}


def _word(notes: Notes, name: str, item: Node) -> str | int | None:
    if isinstance(item, Scalar):
        if item.plain and _INTEGER.fullmatch(item.value):
            return int(item.value)
        if NUL in item.value:
            notes.add(item.place, "no text holds the character NUL: leave it out")
            return None
        if item.value.strip() and not (item.plain and (item.value in _NO_TEXT or _LIKE_A_NUMBER.fullmatch(item.value))):
            return item.value
    message = f"the list {name} has whole numbers, or text; text that looks like something else stands in quotes"
    notes.add(item.place, message)
    return None


def lists_used(parameters: Parameters, found: Written) -> tuple[NamedList, ...]:
    """The lists, each with the sentences that show it."""
    return tuple(
        NamedList(
            name,
            words,
            tuple(one.key for one in found.sentences if any(used.name == name for used in one.references())),
        )
        for name, words in parameters.lists.items()
    )
