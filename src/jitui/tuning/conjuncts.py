"""What a condition says in parts, and which parts the parameters that are tried change.

A condition is a conjunction at its top: `a && b` is true just where a and b are. So each part that reads parameters is
evaluated once for each of their values and no more, and a setting approves a request where every part is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from jitui.policy import Policy
from jitui.policy.language.syntax import (
    Call,
    DefinitionRef,
    Fact,
    InList,
    Literal,
    Node,
    Operator,
    walk,
    with_children,
)
from jitui.policy.language.unparse import parameters_in

CAPS = "caps."


@dataclass(frozen=True, slots=True)
class Conjuncts:
    """The parts of all conditions, without those that read caps, by the tried parameters that they read."""

    untouched: tuple[Node, ...]
    by_parameters: Mapping[tuple[str, ...], tuple[Node, ...]]


def conjuncts(policy: Policy, tried: Iterable[str]) -> Conjuncts:
    """The parts of a policy's conditions. Parts that read caps depend on earlier approvals and are left out."""
    names = tuple(tried)
    definitions = {one.name: one.tree for one in policy.definitions}
    untouched: list[Node] = []
    grouped: dict[tuple[str, ...], list[Node]] = {}
    for condition in policy.conditions:
        for part in _parts(inlined(condition.tree, definitions)):
            if any(isinstance(node, Fact) and node.name.startswith(CAPS) for node in walk(part)):
                continue
            read = parameters_in(part)
            touching = tuple(name for name in names if name in read)
            (grouped.setdefault(touching, []) if touching else untouched).append(part)
    return Conjuncts(tuple(untouched), {key: tuple(parts) for key, parts in grouped.items()})


def _parts(tree: Node) -> Iterator[Node]:
    if isinstance(tree, Call) and tree.operator is Operator.AND:
        for side in tree.args:
            yield from _parts(side)
    else:
        yield tree


def inlined(tree: Node, definitions: Mapping[str, Node]) -> Node:
    """The tree with what its definitions stand for in their place."""
    if isinstance(tree, DefinitionRef):
        return inlined(definitions[tree.name], definitions)
    return with_children(tree, lambda child: inlined(child, definitions))


def with_values(tree: Node, setting: Mapping[str, int]) -> Node:
    """The tree with other values of its parameters."""
    if isinstance(tree, Literal):
        return _valued(tree, setting)
    if isinstance(tree, InList):
        tree = replace(tree, words=tuple(_valued(word, setting) for word in tree.words))
    return with_children(tree, lambda child: with_values(child, setting))


def _valued(literal: Literal, setting: Mapping[str, int]) -> Literal:
    value = setting.get(literal.parameter or "")
    return literal if value is None else replace(literal, value=value)
