"""The section `parameters`: whole numbers with names, and the places of the file that take a number or such a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jitui.policy.facts import ScalarValue
from jitui.policy.loading import file_format as form
from jitui.policy.loading.field_readers import Notes, entries, integer
from jitui.policy.loading.file_kinds import IDENTIFIER, IntegerKind, in_words
from jitui.policy.loading.yaml_document import Mapped, Node, Scalar
from jitui.policy.problems import PolicyProblem, PolicyRefused, did_you_mean

_NAME = re.compile(IDENTIFIER)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a file by name, with the keys that name them, and its lists; a value with a fault is read as 0.

    `given`: the file has one of the two sections. Without them no brace in a sentence has a meaning, because files that
    are older than the sections show braces to people.
    """

    given: bool
    values: Mapping[str, int]
    keys: Mapping[str, Scalar]
    lists: Mapping[str, tuple[ScalarValue, ...]] = field(default_factory=dict)
    list_keys: Mapping[str, Scalar] = field(default_factory=dict)


def read_parameters(notes: Notes, node: Node | None) -> Parameters:
    """The section `parameters`; a name that has another meaning is noted."""
    values: dict[str, int] = {}
    keys: dict[str, Scalar] = {}
    kind = form.PARAMETER_VALUE
    for key, value in entries(notes, node, "parameters"):
        name = key.value
        if not _NAME.fullmatch(name):
            notes.add(key.place, "a parameter is a name of small letters, digits and _, as in limit_minor")
        elif name in form.FIRST_WORDS or name in form.TAKEN_BY_CEL:
            notes.add(key.place, f"{name} already has a meaning in conditions: give the parameter another name")
        else:
            keys[name] = key
            values[name] = integer(kind.least, kind.most)(notes, value, f"the parameter {name}") or 0
    return Parameters(node is not None, values, keys)


def number(parameters: Parameters, kind: IntegerKind) -> Callable[[Notes, Node, str], int | None]:
    """A reader of whole numbers that are written out, or given by the name of a parameter."""
    written_out = integer(kind.least, kind.most)

    def reader(notes: Notes, node: Node, what: str) -> int | None:
        if not isinstance(node, Scalar) or not _NAME.fullmatch(node.value):
            return written_out(notes, node, what)
        if node.value not in parameters.values:
            missing = f"there is no parameter {node.value}{did_you_mean(node.value, list(parameters.values))}"
            notes.add(node.place, f"{what} is {in_words(kind)}, or a parameter: {missing}")
            return None
        value = parameters.values[node.value]
        if kind.least <= value <= kind.most:
            return value
        notes.add(node.place, f"{what} is {in_words(kind)}, and the parameter {node.value} is {value}")
        return None

    return reader


def with_values(text: str, root: Node | None, file: str, values: Mapping[str, int]) -> str:
    """The text of a policy with other values of its parameters; nothing else in it changes.

    Raises PolicyRefused for a name that the policy has no parameter for.
    """
    found = _written_values(root)
    unknown = [name for name in values if name not in found]
    if unknown:
        said = (f"there is no parameter {name}{did_you_mean(name, list(found))}" for name in unknown)
        raise PolicyRefused(tuple(PolicyProblem(file, 1, 1, message) for message in said))
    edits = sorted(((found[name], str(value)) for name, value in values.items()), key=lambda edit: edit[0].offset)
    parts, done = [], 0
    for leaf, value in edits:
        start = _offset_in_file(text, leaf.offset)
        parts += [text[done:start], value]
        done = start + len(leaf.value)
    return "".join((*parts, text[done:]))


def _written_values(root: Node | None) -> dict[str, Scalar]:
    sections = root.entries if isinstance(root, Mapped) else ()
    given = next((node for key, node in sections if key.value == "parameters"), None)
    entries_given = given.entries if isinstance(given, Mapped) else ()
    return {key.value: leaf for key, leaf in entries_given if isinstance(leaf, Scalar)}


def _offset_in_file(text: str, offset: int) -> int:
    """Where a character is in the file as it is stored, given its offset in the text that the reader parsed."""
    at = 1 if text.startswith("\ufeff") else 0
    for _ in range(offset):
        at += 2 if text.startswith("\r\n", at) else 1
    return at
