"""Where a policy file has its expressions, sentences and limits, for advice and for the uses of a parameter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jitui.policy.facts import MONEY
from jitui.policy.language import syntax
from jitui.policy.loading.parameters import Parameters
from jitui.policy.loading.sentences import Reference, read_sentence
from jitui.policy.loading.yaml_document import Listing, Mapped, Node, Scalar
from jitui.policy.sections import Condition, Definition, Gates, Parameter, RestrictionRule

PERCENT = "percent"
_UNITS = {"count": "approvals", "amount_minor": MONEY, "hold_out_percent": PERCENT}


@dataclass(frozen=True, slots=True)
class WrittenExpression:
    """An expression of a definition, condition, restriction or gate; `key` names it in the file."""

    key: str
    leaf: Scalar
    tree: syntax.Node


@dataclass(frozen=True, slots=True)
class WrittenSentence:
    """A sentence in one language; `condition` is the condition that it explains, None for title and notice."""

    key: str
    leaf: Scalar
    condition: str | None

    def references(self) -> Iterator[Reference]:
        """The parameters that it shows."""
        return (part for part in read_sentence(self.leaf.value) if isinstance(part, Reference))


@dataclass(frozen=True, slots=True)
class WrittenLimit:
    """A number of a cap, or the hold-out's share; `leaf` is the number or a parameter's name."""

    key: str
    leaf: Scalar
    unit: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a policy file says, in the order of the file within each kind."""

    expressions: tuple[WrittenExpression, ...]
    sentences: tuple[WrittenSentence, ...]
    limits: tuple[WrittenLimit, ...]


def written(
    sections: Mapping[str, Node],
    definitions: Sequence[Definition],
    conditions: Sequence[Condition],
    restrictions: Sequence[RestrictionRule],
    gates: Gates,
) -> Written:
    """The expressions, sentences and limits of a file without faults, whose sections are `sections`."""
    named = {definition.name: definition.tree for definition in definitions}
    expressions = [
        WrittenExpression(f"definitions.{name}", leaf, named[name])
        for name, leaf in _leaves(sections.get("definitions"))
    ]
    sentences = [*_sentences(sections, "title", None), *_sentences(sections, "notice", None)]
    rules: Iterable[tuple[str, Sequence[Condition | RestrictionRule]]] = (
        ("conditions", conditions),
        ("restrictions", restrictions),
    )
    for section, read in rules:
        listed = sections.get(section)
        for item, rule in zip(listed.items if isinstance(listed, Listing) else (), read, strict=True):
            entries = _entries(item)
            when = entries["when"]
            assert isinstance(when, Scalar)
            expressions.append(WrittenExpression(f"{section}.{rule.id}", when, rule.tree))
            explained = rule.id if section == "conditions" else None
            sentences += _sentences(entries, f"{section}.{rule.id}.text", explained)
    of_gates = _entries(sections.get("gates"))
    expressions += _of_shop_gates(of_gates.get("shops"), gates)
    for listed in of_gates.values():
        for item in listed.items if isinstance(listed, Listing) else ():
            for key in ("text", "return_text"):
                sentences += _sentences(_entries(item), f"gates.{key}", None)
    caps = _entries(sections.get("caps"))
    limits = [limit for scope, cap in caps.items() for limit in _limits(f"caps.{scope}", cap)]
    limits += _limits("selection", sections.get("selection"))
    return Written(tuple(expressions), tuple(sentences), tuple(limits))


def _of_shop_gates(listed: Node | None, gates: Gates) -> Iterator[WrittenExpression]:
    for item, gate in zip(listed.items if isinstance(listed, Listing) else (), gates.shops, strict=True):
        leaves = dict(_leaves(item))
        yield WrittenExpression(f"gates.{gate.id}.leave_when", leaves["leave_when"], gate.leave_tree)
        yield WrittenExpression(f"gates.{gate.id}.return_when", leaves["return_when"], gate.return_tree)


def parameters_used(parameters: Parameters, found: Written) -> tuple[Parameter, ...]:
    """The parameters, each with the sentences and limits that use it."""
    return tuple(
        Parameter(
            name,
            value,
            tuple(one.key for one in found.sentences if any(used.name == name for used in one.references())),
            tuple(one.key for one in found.limits if one.leaf.value == name),
        )
        for name, value in parameters.values.items()
    )


def _sentences(entries: Mapping[str, Node], key: str, condition: str | None) -> list[WrittenSentence]:
    return [
        WrittenSentence(f"{key}.{language}", leaf, condition)
        for language, leaf in _leaves(entries.get(key.rpartition(".")[2]))
    ]


def _limits(key: str, node: Node | None) -> list[WrittenLimit]:
    return [WrittenLimit(f"{key}.{name}", leaf, _UNITS[name]) for name, leaf in _leaves(node) if name in _UNITS]


def _entries(node: Node | None) -> dict[str, Node]:
    return {key.value: value for key, value in node.entries} if isinstance(node, Mapped) else {}


def _leaves(node: Node | None) -> Iterator[tuple[str, Scalar]]:
    return ((key, leaf) for key, leaf in _entries(node).items() if isinstance(leaf, Scalar))
