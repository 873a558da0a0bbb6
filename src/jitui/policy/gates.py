"""Evaluates the gates of a policy on the facts of one shop (R12). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from jitui.policy.decide import ReadValue
from jitui.policy.facts import Facts
from jitui.policy.language.syntax import Node
from jitui.policy.language.unparse import expanded, unparse
from jitui.policy.model import LoadedPolicy
from jitui.policy.program import evaluate, known_facts
from jitui.policy.sections import Feature, ListGate, ShopGate, Text

OTHER_FACTORS_TEXT: Text = {
    "zh": "平台根据经营和服务质量等因素综合判断",
    "en": "Other factors that the platform considers, such as operation and service quality",
}
"""What a merchant reads in place of the text of a gate that is not public."""


class GateVerdict(StrEnum):
    """What a shop's facts say of a gate.

    `between`: neither bound is reached. `unknown`: a fact that would tell is missing, so nothing changes (I5).
    """

    FAILS = "fails"
    MEETS = "meets"
    BETWEEN = "between"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict of one gate, and the facts that it read; a fact that is None is unknown."""

    gate: ShopGate
    verdict: GateVerdict
    facts: Mapping[str, ReadValue]


def gate_results(policy: LoadedPolicy, facts: Facts) -> tuple[GateResult, ...]:
    """The verdict of every gate for shops, in their order."""
    programs = policy.programs
    known = known_facts(programs.specs, programs.gate_reads, facts)
    truths = evaluate(programs, known, programs.gate_definitions, programs.gates)
    results = []
    for place, gate in enumerate(policy.gates.shops):
        pair = slice(2 * place, 2 * place + 2)
        names = dict.fromkeys(name for program in programs.gates[pair] for name in program.reads.facts)
        results.append(GateResult(gate, _verdict(*truths[pair]), {name: known.get(name) for name in names}))
    return tuple(results)


def _verdict(leave: bool | None, back: bool | None) -> GateVerdict:
    # ^INVARIANT: an unknown bound takes nobody out, and lets nobody in.
    if leave is True:
        return GateVerdict.FAILS
    if leave is None or back is None:
        return GateVerdict.UNKNOWN
    return GateVerdict.MEETS if back else GateVerdict.BETWEEN


def gate_features(policy: LoadedPolicy) -> tuple[Feature, ...]:
    """The features that gates read."""
    return tuple(feature for feature in policy.features if feature.name in policy.programs.gate_reads.facts)


def rule_hash(policy: LoadedPolicy, gate: ShopGate | ListGate) -> str:
    """What the gate asks for, in few letters: another one is another rule, and what was counted by the old one is void.

    The days and the texts are no part of it, nor how the rule is written.
    """
    if isinstance(gate, ListGate):
        return "list"
    trees: dict[str, Node] = {one.name: one.tree for one in policy.definitions}
    asked = [unparse(expanded(tree, trees)) for tree in (gate.leave_tree, gate.return_tree)]
    place = policy.gates.shops.index(gate)
    read = {name for program in policy.programs.gates[2 * place : 2 * place + 2] for name in program.reads.facts}
    declared = [repr(one) for one in policy.features if one.name in read]
    return sha256("\n".join([*asked, policy.currency, *sorted(declared)]).encode()).hexdigest()[:16]
