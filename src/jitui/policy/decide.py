"""Decides on facts by a policy. The decision depends on nothing else (I4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct, convert

from jitui.policy.facts import LINES, Facts, KnownValue
from jitui.policy.language.expression import engine_name
from jitui.policy.model import LoadedPolicy
from jitui.policy.program import Program, Programs, evaluate, known_facts
from jitui.policy.sections import HELD_BY_WAREHOUSE, RestrictionRule, Text


class Verdict(StrEnum):
    """Whether a condition holds; only `true` does."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """Instant: refund at once. Review: ask the merchant. A condition that is not true never refuses a request."""

    INSTANT = "instant"
    REVIEW = "review"


ReadValue = KnownValue | None
"""The value of a fact in a decision; for lines, the line ids and the fields that the condition read."""

VERDICTS = {True: Verdict.TRUE, False: Verdict.FALSE, None: Verdict.UNKNOWN}


class ConditionResult(Struct, frozen=True):
    """One condition of a decision, with the facts that it read; a fact that is None is unknown."""

    id: str
    verdict: Verdict
    public: bool
    detail_public: bool
    facts: Mapping[str, ReadValue]
    text: Text


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision, stored whole with the ticket; `unknown` names the missing facts of its unknown conditions."""

    outcome: Outcome
    conditions: tuple[ConditionResult, ...]
    policy_id: str
    policy_version: str
    policy_sha256: str
    unknown: tuple[str, ...]
    engine: str


@dataclass(frozen=True, slots=True)
class RuleHit:
    """A restriction rule that is true of a buyer, and the facts that it read."""

    rule: RestrictionRule
    facts: Mapping[str, ReadValue]


def decide(policy: LoadedPolicy, facts: Facts) -> Decision:
    """Instant when every condition is true, otherwise review. A fact of the wrong type is unknown, not an error."""
    programs = policy.programs
    known = known_facts(programs.specs, programs.condition_reads, facts)
    truths = evaluate(programs, known, programs.condition_definitions, programs.conditions)
    results = [
        ConditionResult(
            condition.id,
            VERDICTS[truth],
            condition.public,
            condition.detail_public,
            _values_read(program, known),
            condition.text,
        )
        for condition, program, truth in zip(policy.conditions, programs.conditions, truths, strict=True)
    ]
    # ^INVARIANT: only True approves; False and None both send the request to review.
    outcome = Outcome.INSTANT if all(truth is True for truth in truths) else Outcome.REVIEW
    unknown = tuple(_unknown_facts(programs, truths, known)) if None in truths else ()
    return Decision(outcome, tuple(results), policy.id, policy.version, policy.sha256, unknown, engine_name())


def waits_for_warehouse(policy: LoadedPolicy, decision: Decision) -> bool:
    """Whether a printed label alone is in the way, and the policy approves once the warehouse holds the goods."""
    # INVARIANT: an unknown shipment asks nobody and approves nothing (I5).
    return policy.stop_ship is not None and all(
        result.verdict is (Verdict.FALSE if result.id == HELD_BY_WAREHOUSE else Verdict.TRUE)
        for result in decision.conditions
    )


def restriction_hits(policy: LoadedPolicy, facts: Facts) -> tuple[RestrictionRule, ...]:
    """The restriction rules that are true of a buyer; a rule that is unknown restricts nothing."""
    return tuple(hit.rule for hit in rule_hits(policy, facts))


def rule_hits(policy: LoadedPolicy, facts: Facts) -> tuple[RuleHit, ...]:
    """As `restriction_hits`, each rule with the facts that it read."""
    if not policy.restrictions:
        return ()
    programs = policy.programs
    known = known_facts(programs.specs, programs.restriction_reads, facts)
    truths = evaluate(programs, known, programs.restriction_definitions, programs.restrictions)
    found = zip(policy.restrictions, programs.restrictions, truths, strict=True)
    return tuple(RuleHit(rule, _values_read(program, known)) for rule, program, truth in found if truth is True)


def _values_read(program: Program, known: Mapping[str, KnownValue]) -> dict[str, ReadValue]:
    reads = program.reads
    read: dict[str, ReadValue] = {name: known.get(name) for name in reads.facts}
    if isinstance(lines := read.get(LINES), tuple):
        wanted = ("line_id", *reads.line_fields)
        read[LINES] = tuple([{name: line[name] for name in wanted if name in line} for line in lines])
    return read


def _unknown_facts(programs: Programs, truths: Sequence[bool | None], known: Mapping[str, KnownValue]) -> Iterable[str]:
    """The missing facts of the conditions that could not be decided, each once."""
    undecided = [program for program, truth in zip(programs.conditions, truths, strict=True) if truth is None]
    return dict.fromkeys(name for program in undecided for name in _unknown_names(program, known))


def _unknown_names(program: Program, known: Mapping[str, KnownValue]) -> list[str]:
    names = [name for name in program.reads.facts if name not in known]
    lines = known.get(LINES)
    if isinstance(lines, tuple) and LINES in program.reads.facts:
        names += [f"{LINES}.{field}" for field in program.reads.line_fields if any(field not in line for line in lines)]
    if program.reads.only_tested:
        return [name for name in names if name not in program.reads.only_tested]
    return names


def decision_to_json(decision: Decision) -> dict[str, object]:
    """A decision as JSON values; `decision_from_json` returns an equal decision."""
    return {
        "outcome": decision.outcome.value,
        "policy_id": decision.policy_id,
        "policy_version": decision.policy_version,
        "policy_sha256": decision.policy_sha256,
        "unknown": list(decision.unknown),
        "engine": decision.engine,
        "conditions": [
            {
                "id": result.id,
                "verdict": result.verdict.value,
                "public": result.public,
                "detail_public": result.detail_public,
                "facts": {name: _to_json(value) for name, value in result.facts.items()},
                "text": dict(result.text),
            }
            for result in decision.conditions
        ],
    }


def decision_from_json(stored: Mapping[str, object]) -> Decision:
    """The decision that `decision_to_json` wrote; raises msgspec.ValidationError for anything else."""
    return convert(stored, Decision)


def _to_json(value: ReadValue) -> object:
    return [dict(line) for line in value] if isinstance(value, tuple) else value
