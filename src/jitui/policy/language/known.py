"""`known(f)`: whether a fact has a value. It is rewritten when an expression is loaded.

A function of the run time cannot see that a variable is missing. So `known(order.currency)` becomes the companion fact
`known.order.currency`, which is never unknown itself; and `known(l.sku)` of a line becomes CEL's `has(l.sku)`, since a
line is a map without the fields that are unknown. The rewritten text has the length of the written one, so that every
position in it stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jitui.policy.language.syntax import STRING_OR_COMMENT, ExpressionFault, Names
from jitui.policy.problems import did_you_mean

PREFIX = "known."
_CALL = re.compile(
    rf"(?:{STRING_OR_COMMENT})"
    r"|(?P<name>(?<![\w.])known)(?P<space>\s*)\((?P<of>\s*[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*\s*)(?P<end>\))"
    r"|(?P<wrong>(?<![\w.])known)\s*\(",
    re.DOTALL,
)
_ONE = "known() asks for one fact, as in known(order.currency), or for one field of a line, as in known(l.sku)"


@dataclass(frozen=True, slots=True)
class Rewritten:
    """An expression as the run time reads it, the facts of which it asks whether they are known, and its faults."""

    text: str
    facts: tuple[str, ...]
    faults: tuple[ExpressionFault, ...] = ()


def without_known(text: str, names: Names) -> Rewritten:
    """The expression with every `known(…)` rewritten."""
    if "known" not in text:
        return Rewritten(text, ())
    facts: dict[str, None] = {}
    faults: list[ExpressionFault] = []

    def rewritten(found: re.Match[str]) -> str:
        if found["wrong"]:
            faults.append(ExpressionFault(found.start(), _ONE))
        if found["name"] is None:
            return found[0]
        name = "".join(found["of"].split())
        if name in names.facts:
            facts[name] = None
            return f"known{found['space']}.{found['of']} "
        fault = _fault(name, names)
        if fault:
            faults.append(ExpressionFault(found.start("of"), fault))
        return f"has  {found['space']}({found['of']})"

    return Rewritten(_CALL.sub(rewritten, text), tuple(facts), tuple(faults))


def _fault(name: str, names: Names) -> str:
    """Why `known(name)` asks for nothing; empty for what can be the field of a line."""
    if name in names.definitions:
        return f"{name} is a definition: {_ONE}"
    if name in names.parameters or name in names.lists:
        return f"{name} stands in the policy, so that it is always known: {_ONE}"
    root, _, field = name.partition(".")
    if not field:
        return _ONE
    if "." in field or root in {fact.partition(".")[0] for fact in names.facts}:
        return f"there is no fact {name}{did_you_mean(name, list(names.facts))}"
    return ""
