"""Named expressions, checked in the order of their dependencies.

A definition is evaluated once and is then a variable. An unknown definition is left out, like an unknown fact, so a
condition gets the value that the written-out expression would have. A fault is reported where it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from jitui.policy.facts import FactSpec, FactType
from jitui.policy.language.expression import Checked, check
from jitui.policy.language.syntax import STRING_OR_COMMENT, Names
from jitui.policy.loading.field_readers import Notes, scalar
from jitui.policy.loading.file_format import TAKEN_BY_CEL
from jitui.policy.loading.file_kinds import IDENTIFIER
from jitui.policy.loading.parameters import Parameters
from jitui.policy.loading.yaml_document import Node, Scalar
from jitui.policy.sections import Definition

_NAME = re.compile(IDENTIFIER)
_TOKEN = re.compile(STRING_OR_COMMENT + r"|(?P<name>[A-Za-z_]\w*)(?:\s*\.\s*[A-Za-z_]\w*)*", re.DOTALL)
Types = dict[str, FactType | None]


def check_definitions(
    notes: Notes, named: Iterable[tuple[Scalar, Node]], facts: Mapping[str, FactSpec], parameters: Parameters
) -> tuple[tuple[Definition, ...], Types]:
    """The definitions in the order of their dependencies, and the type of every name, None for one with a fault."""
    texts = _readable(notes, named, facts, parameters)
    types: Types = dict.fromkeys(texts)
    definitions = []
    for name in _in_order(notes, texts):
        leaf = texts[name]
        checked = check(leaf.value, Names(facts, types, parameters.values, parameters.lists))
        if isinstance(checked, Checked):
            types[name] = checked.type
            definitions.append(Definition(name, leaf.value, checked.type, checked.tree))
            continue
        for fault in checked:
            if not fault.message.startswith("the definition "):
                notes.add(leaf.place_of(fault.at), fault.message)
    return tuple(definitions), types


def _readable(
    notes: Notes, named: Iterable[tuple[Scalar, Node]], facts: Mapping[str, FactSpec], parameters: Parameters
) -> dict[str, Scalar]:
    roots = {name.split(".", 1)[0] for name in facts}
    texts = {}
    for key, node in named:
        leaf = scalar(notes, node, "a definition")
        if not _NAME.fullmatch(key.value):
            notes.add(key.place, "a definition is a name of small letters, digits and _, as in premium_buyer")
        elif key.value in roots or key.value in TAKEN_BY_CEL:
            notes.add(
                key.place,
                f"{key.value} already has a meaning in conditions: give the definition another name",
            )
        elif key.value in parameters.keys:
            line = parameters.keys[key.value].place.line
            notes.add(
                key.place, f"{key.value} is already the parameter of line {line}: give the definition another name"
            )
        elif key.value in parameters.list_keys:
            line = parameters.list_keys[key.value].place.line
            notes.add(key.place, f"{key.value} is already the list of line {line}: give the definition another name")
        elif leaf is not None:
            texts[key.value] = leaf
    return texts


def _in_order(notes: Notes, texts: Mapping[str, Scalar]) -> list[str]:
    """The names, each after those that it needs; names on a cycle are reported and left out."""
    uses = {name: _uses(leaf.value, texts) for name, leaf in texts.items()}
    # False while the names that it needs are visited
    done: dict[str, bool] = {}
    ordered: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        done[name] = False
        for used, at in uses[name].items():
            if used not in done:
                visit(used, (*path, used))
            elif not done[used] and used in path:
                circle = " → ".join((*path[path.index(used) :], used))
                notes.add(texts[name].place_of(at), f"definitions in a circle have no value: {circle}")
        done[name] = True
        ordered.append(name)

    for name in texts:
        if name not in done:
            visit(name, (name,))
    return ordered


def _uses(text: str, names: Mapping[str, Scalar]) -> dict[str, int]:
    found: dict[str, int] = {}
    for token in _TOKEN.finditer(text):
        if token["name"] in names:
            found.setdefault(token["name"], token.start())
    return found
