"""What the constants of two versions of an expression say, where nothing but constants differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jitui.money import to_decimal_text
from jitui.policy.facts import LINE_FIELDS
from jitui.policy.language.syntax import (
    Call,
    DefinitionRef,
    Fact,
    Fold,
    FoldKind,
    InList,
    Known,
    LineField,
    Literal,
    Node,
    walk,
)
from jitui.policy.language.unparse import Moved, expanded, moved_constants, unparse
from jitui.policy.model import LoadedPolicy

_FEW_WORDS = 6


def trees_of(policy: LoadedPolicy) -> dict[str, Node]:
    """The trees of a policy's definitions, by name."""
    return {definition.name: definition.tree for definition in policy.definitions}


def rewritten(
    old: tuple[LoadedPolicy, Node],
    new: tuple[LoadedPolicy, Node],
    old_trees: Mapping[str, Node],
    new_trees: Mapping[str, Node],
    more: str,
    less: str,
) -> str | None:
    """The constants that differ, and their effect on the whole; None when more than constants differ."""
    before, after = expanded(old[1], old_trees), expanded(new[1], new_trees)
    moved = moved_constants(before, after)
    if not moved:
        return None
    signs = {one.sign for one in moved} if _read_alike(before, old[0], new[0]) else {0}
    follows = {frozenset({1}): f": {more}", frozenset({-1}): f": {less}"}.get(frozenset(signs), "")
    told = [
        _words_moved(one) or f"`{unparse(one.old)}` → `{unparse(one.new)}`{_amounts(one, old[0], new[0])}"
        for one in dict.fromkeys(moved)
    ]
    return "; ".join(told) + follows


def _words_moved(moved: Moved) -> str:
    """What came to the words of a long `in` and what went; empty for anything else."""
    old, new = moved.old, moved.new
    if not isinstance(old, InList) or not isinstance(new, InList) or max(len(old.words), len(new.words)) <= _FEW_WORDS:
        return ""
    words = words_moved([unparse(word) for word in old.words], [unparse(word) for word in new.words])
    return f"`{unparse(old.value)} in …` {words}"


def words_moved(old: Sequence[object], new: Sequence[object]) -> str:
    """`now with a, b, without c`; of many words their number."""
    come, gone = ([word for word in one if word not in other] for one, other in ((new, old), (old, new)))
    parts = [f"{how} {few_words(words)}" for how, words in (("with", come), ("without", gone)) if words]
    return f"now {', '.join(parts)}"


def few_words(words: Sequence[object]) -> str:
    """The first words, and how many there are more."""
    shown = ", ".join(str(word) for word in words[:_FEW_WORDS])
    return f"{shown} and {len(words) - _FEW_WORDS} more" if len(words) > _FEW_WORDS else shown


def _read_alike(tree: Node, old: LoadedPolicy, new: LoadedPolicy) -> bool:
    """Whether facts and definitions in a tree mean the same in both policies, so that constants can be compared."""
    read = [node.of if isinstance(node, Known) else node for node in walk(tree)]
    facts = [node.name for node in read if isinstance(node, Fact)]
    names = [node.name for node in walk(tree) if isinstance(node, DefinitionRef)]
    before, after = trees_of(old), trees_of(new)
    return (
        old.currency == new.currency
        and all(old.facts.get(name) == new.facts.get(name) for name in facts)
        and all(
            name in before and name in after and expanded(before[name], before) == expanded(after[name], after)
            for name in names
        )
    )


def _amounts(moved: Moved, old: LoadedPolicy, new: LoadedPolicy) -> str:
    """` (300.00 → 200.00 CNY)` for a comparison of an amount, ` (90 → 120 days)` for other units."""
    before, after = _measured(moved.old, old), _measured(moved.new, new)
    if before is None or after is None or before[1] != after[1]:
        return ""
    return f" ({before[0]} → {after[0]} {after[1]})"


def _measured(node: Node, policy: LoadedPolicy) -> tuple[str, str] | None:
    if not isinstance(node, Call) or len(node.args) != 2:
        return None
    constants = [arg for arg in node.args if isinstance(arg, Literal) and type(arg.value) is int]
    units = [_unit(arg, policy) for arg in node.args if isinstance(arg, Fact | LineField | Fold)]
    if len(constants) != 1 or len(units) != 1 or not units[0]:
        return None
    number = int(constants[0].value)
    return _amount(number, units[0], policy.currency)


def _amount(number: int, unit: str, currency: str) -> tuple[str, str]:
    return (to_decimal_text(number, currency), currency) if unit == "minor units" else (str(number), unit)


def _unit(node: Node | None, policy: LoadedPolicy) -> str:
    if isinstance(node, Fold):
        return _unit(node.body, policy) if node.kind is FoldKind.SUM else "lines"
    if not isinstance(node, Fact | LineField):
        return ""
    spec = policy.facts.get(node.name) if isinstance(node, Fact) else LINE_FIELDS.get(node.name)
    return spec.unit if spec else ""
