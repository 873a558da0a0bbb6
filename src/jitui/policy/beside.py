"""What a second policy says of a request that a first one has decided: only what can differ is evaluated.

Two versions of a policy share most of their conditions. A condition with the same expression, on facts with the same
values, has the same verdict (I4), so it is taken from the decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jitui.policy.decide import VERDICTS, Decision, Outcome, Verdict
from jitui.policy.facts import Facts
from jitui.policy.model import LoadedPolicy
from jitui.policy.program import Program, Reads, evaluate, known_facts, union_of


@dataclass(frozen=True, slots=True)
class _Part:
    rules: tuple[Program, ...]
    definitions: tuple[Program, ...]
    reads: Reads


def verdicts_beside(
    policy: LoadedPolicy, decided: Decision, beside: LoadedPolicy, facts: Facts, changed: frozenset[str]
) -> dict[str, Verdict]:
    """The verdicts of the second policy on its facts, by condition.

    `changed` names the facts that have another value than those on which the first policy decided.
    """
    shared = shared_conditions(policy, beside)
    verdicts = {one.id: one.verdict for one in decided.conditions}
    again = frozenset(
        program.id
        for program in beside.programs.conditions
        if program.id not in shared or not changed.isdisjoint(program.reads.facts)
    )
    if again:
        part = _part(beside, again)
        known = known_facts(beside.programs.specs, part.reads, facts)
        truths = evaluate(beside.programs, known, part.definitions, part.rules)
        verdicts |= {program.id: VERDICTS[truth] for program, truth in zip(part.rules, truths, strict=True)}
    return {program.id: verdicts[program.id] for program in beside.programs.conditions}


def outcome_of(verdicts: dict[str, Verdict]) -> Outcome:
    """Instant when every condition is true; see `decide`."""
    return Outcome.INSTANT if all(one is Verdict.TRUE for one in verdicts.values()) else Outcome.REVIEW


@lru_cache(maxsize=8)
def shared_conditions(policy: LoadedPolicy, beside: LoadedPolicy) -> frozenset[str]:
    """Ids of the conditions that say the same in both policies: text, definitions, facts and parameters' values."""
    theirs = {condition.id: condition.when for condition in policy.conditions}
    reads = {program.id: program.reads for program in policy.programs.conditions}
    return frozenset(
        condition.id
        for condition, program in zip(beside.conditions, beside.programs.conditions, strict=True)
        if theirs.get(condition.id) == condition.when
        and reads[condition.id] == program.reads
        and _say_the_same(policy, beside, program.reads)
    )


def _say_the_same(policy: LoadedPolicy, beside: LoadedPolicy, reads: Reads) -> bool:
    defined, there = ({one.name: one.when for one in either.definitions} for either in (policy, beside))
    values, theirs = policy.programs.constants, beside.programs.constants
    return (
        all(defined.get(name) == there.get(name) for name in reads.definitions)
        and all(policy.facts.get(name) == beside.facts.get(name) for name in reads.facts)
        and all(values.get(name) == theirs.get(name) for name in (*reads.parameters, *reads.lists))
    )


@lru_cache(maxsize=64)
def _part(policy: LoadedPolicy, conditions: frozenset[str]) -> _Part:
    """These conditions alone, with what they need."""
    rules = tuple(program for program in policy.programs.conditions if program.id in conditions)
    reads = union_of(rules)
    named = tuple(one for one in policy.programs.condition_definitions if one.id in reads.definitions)
    return _Part(rules, named, reads)
