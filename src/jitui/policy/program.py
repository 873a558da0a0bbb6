"""The compiled expressions of a policy, and the facts that each of them reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jitui.policy.facts import LINES, Facts, FactSpec, FactType, KnownValue, ScalarValue, fitting, known_lines
from jitui.policy.language.expression import evaluating_env, value_of
from jitui.policy.language.known import PREFIX, without_known
from jitui.policy.language.syntax import DefinitionRef, Fact, Fold, Known, LineField, Names, Node, Quantifier, walk
from jitui.policy.language.unparse import lists_in, parameters_in
from jitui.policy.sections import Condition, Definition, RestrictionRule, ShopGate

if TYPE_CHECKING:
    from cel_expr_python.cel import Env, Expression


@dataclass(frozen=True, slots=True)
class Reads:
    """The facts, line fields, definitions, parameters and lists that an expression reads, also through definitions.

    `tested` are the facts of which it asks whether they are known. `only_tested` are those of which it reads no value,
    and fields of lines as `order.lines.sku`: that one of them is unknown makes nothing unknown.
    """

    facts: tuple[str, ...]
    line_fields: tuple[str, ...]
    definitions: tuple[str, ...]
    parameters: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()
    only_tested: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable that the expression reads."""
        return self.facts + self.definitions + self.parameters + self.lists


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression whose value has the type `type`.

    `stands_for`: the definition's name, when the expression consists of that name alone.
    """

    id: str
    run: Expression
    type: FactType
    reads: Reads
    stands_for: str | None = None


@dataclass(frozen=True, slots=True)
class Programs:
    """All expressions of a policy: conditions, restrictions, gates, and the definitions that each of the three needs.

    A gate has two, in the order of the gates: when a shop should leave, and when it may return.
    """

    env: Env
    specs: Mapping[str, FactSpec]
    parameters: Mapping[str, int]
    constants: Mapping[str, int | list[ScalarValue]]
    tested: Mapping[str, str]
    conditions: tuple[Program, ...]
    condition_definitions: tuple[Program, ...]
    condition_reads: Reads
    restrictions: tuple[Program, ...]
    restriction_definitions: tuple[Program, ...]
    restriction_reads: Reads
    gates: tuple[Program, ...]
    gate_definitions: tuple[Program, ...]
    gate_reads: Reads


def compile_programs(
    names: Names,
    definitions: tuple[Definition, ...],
    conditions: tuple[Condition, ...],
    restrictions: tuple[RestrictionRule, ...],
    gates: tuple[ShopGate, ...] = (),
) -> Programs:
    """Compile checked expressions for evaluation; `definitions` are in the order of their dependencies."""
    tested, env = _environment(names, definitions, conditions, restrictions, gates)

    def compiled(when: str) -> Expression:
        return env.compile(without_known(when, names).text)

    known: dict[str, Reads] = {}
    named: list[Program] = []
    for definition in definitions:
        reads = reads_of(definition.tree, known)
        known[definition.name] = reads
        named.append(Program(definition.name, compiled(definition.when), definition.type, reads))

    def program(name: str, when: str, tree: Node) -> Program:
        return Program(name, compiled(when), FactType.BOOL, reads_of(tree, known), _whole(tree))

    def needed(reads: Reads) -> tuple[Program, ...]:
        return tuple(one for one in named if one.id in reads.definitions)

    of_conditions = tuple(program(rule.id, rule.when, rule.tree) for rule in conditions)
    of_restrictions = tuple(program(rule.id, rule.when, rule.tree) for rule in restrictions)
    of_gates = tuple(
        program(gate.id, when, tree)
        for gate in gates
        for when, tree in ((gate.leave_when, gate.leave_tree), (gate.return_when, gate.return_tree))
    )
    condition_reads, restriction_reads, gate_reads = (union_of(of) for of in (of_conditions, of_restrictions, of_gates))
    return Programs(
        env,
        names.facts,
        names.parameters,
        {**names.parameters, **{name: list(words) for name, words in names.lists.items()}},
        tested,
        of_conditions,
        needed(condition_reads),
        condition_reads,
        of_restrictions,
        needed(restriction_reads),
        restriction_reads,
        of_gates,
        needed(gate_reads),
        gate_reads,
    )


def _environment(
    names: Names,
    definitions: tuple[Definition, ...],
    conditions: tuple[Condition, ...],
    restrictions: tuple[RestrictionRule, ...],
    gates: tuple[ShopGate, ...],
) -> tuple[dict[str, str], Env]:
    """The companions of the facts of which `known()` asks, and the environment for all expressions."""
    texts = [one.when for one in definitions] + [one.when for one in conditions] + [one.when for one in restrictions]
    texts += [when for gate in gates for when in (gate.leave_when, gate.return_when)]
    tested = {fact: PREFIX + fact for text in texts for fact in without_known(text, names).facts}
    return tested, evaluating_env(names, "\n".join(texts), tested)


def _whole(tree: Node) -> str | None:
    """The definition's name, when the expression consists of that name alone; its value is then known already."""
    return tree.name if isinstance(tree, DefinitionRef) else None


def reads_of(tree: Node, definitions: Mapping[str, Reads]) -> Reads:
    """What a tree reads, in the order of appearance; `definitions` has the reads of those that it may use."""
    facts: dict[str, None] = {}
    fields: dict[str, None] = {}
    names: dict[str, None] = {}
    parameters = dict.fromkeys(parameters_in(tree))
    lists = dict.fromkeys(lists_in(tree))
    tested: dict[str, None] = {}
    valued: set[str] = set()
    for node in walk(tree):
        match node:
            case Fact(name=name):
                facts[name] = None
                valued.add(name)
            case Quantifier() | Fold():
                facts[LINES] = None
                valued.add(LINES)
            case LineField(name=name):
                fields[name] = None
                valued.add(_of_lines(name))
            case Known(of=Fact(name=name)):
                facts[name] = tested[name] = None
            case Known(of=of):
                fields[of.name] = None
            case DefinitionRef(name=name):
                inner = definitions[name]
                names |= dict.fromkeys((*inner.definitions, name))
                facts |= dict.fromkeys(inner.facts)
                fields |= dict.fromkeys(inner.line_fields)
                parameters |= dict.fromkeys(inner.parameters)
                lists |= dict.fromkeys(inner.lists)
                tested |= dict.fromkeys(inner.tested)
                valued |= {*inner.facts, *map(_of_lines, inner.line_fields)} - set(inner.only_tested)
    only_tested = tuple(name for name in (*facts, *map(_of_lines, fields)) if name not in valued)
    named = (tuple(facts), tuple(fields), tuple(names), tuple(parameters), tuple(lists))
    return Reads(*named, tuple(tested), only_tested)


def _of_lines(field: str) -> str:
    return f"{LINES}.{field}"


def union_of(programs: Iterable[Program]) -> Reads:
    """What any of these reads."""
    reads = [program.reads for program in programs]

    def valued(name: str) -> bool:
        return any(
            name not in read.only_tested and name in (*read.facts, *map(_of_lines, read.line_fields)) for read in reads
        )

    return Reads(
        tuple(dict.fromkeys(name for read in reads for name in read.facts)),
        tuple(dict.fromkeys(name for read in reads for name in read.line_fields)),
        tuple(dict.fromkeys(name for read in reads for name in read.definitions)),
        tuple(dict.fromkeys(name for read in reads for name in read.parameters)),
        tuple(dict.fromkeys(name for read in reads for name in read.lists)),
        tuple(dict.fromkeys(name for read in reads for name in read.tested)),
        tuple(name for name in dict.fromkeys(name for read in reads for name in read.only_tested) if not valued(name)),
    )


def known_facts(specs: Mapping[str, FactSpec], reads: Reads, facts: Facts) -> dict[str, KnownValue]:
    """The facts of `reads` that are known: present, and of the right type and enum.

    Lines have the fields that are read, and their `line_id`, by which people name them.
    """
    known: dict[str, KnownValue] = {}
    for name in reads.facts:
        value = facts.get(name)
        if value is None:
            continue
        if name == LINES:
            lines = known_lines(value, ("line_id", *reads.line_fields))
            if lines is not None:
                known[name] = lines
        elif (fitted := fitting(specs[name], value)) is not None:
            known[name] = fitted
    return known


def evaluate(
    programs: Programs,
    known: Mapping[str, KnownValue],
    definitions: tuple[Program, ...],
    rules: tuple[Program, ...],
) -> tuple[bool | None, ...]:
    """The value of each rule, None for unknown. An unknown definition is left out, like an unknown fact."""
    # A parameter or list is a variable for the run time: its compiler knows no named constants.
    data: dict[str, KnownValue | list[ScalarValue] | list[dict[str, ScalarValue]]] = {**programs.constants, **known}
    for name, companion in programs.tested.items():
        data[companion] = name in known
    lines = data.get(LINES)
    if isinstance(lines, tuple):
        data[LINES] = list(lines)  # the run time accepts a list, and no other sequence
    activation = programs.env.Activation(data)
    values: dict[str, ScalarValue | None] = {}
    for definition in definitions:
        if definition.reads.definitions:
            activation = programs.env.Activation(data)
        value = values[definition.id] = value_of(definition.run, activation, definition.type)
        if value is not None:
            data[definition.id] = value
    if any(rule.reads.definitions and rule.stands_for is None for rule in rules):
        activation = programs.env.Activation(data)
    truths: list[bool | None] = []
    for rule in rules:
        # As `value_of` does for a condition; written out here because this is the inner loop of every decision.
        value = rule.run.eval(activation).value() if rule.stands_for is None else values[rule.stands_for]
        truths.append(value if value is True or value is False else None)
    return tuple(truths)
