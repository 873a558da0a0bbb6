"""The policy layer: facts in, decision out. Pure: no clock, no database, no environment."""

from jitui.policy.caps import CapUsage, Usages, caps_facts, fits_cap
from jitui.policy.decide import (
    ConditionResult,
    Decision,
    Outcome,
    RuleHit,
    Verdict,
    decide,
    decision_from_json,
    decision_to_json,
    restriction_hits,
    rule_hits,
)
from jitui.policy.explain import Explanation, ExplanationRow, explain
from jitui.policy.facts import (
    CLOCKS_DIFFER_SECONDS,
    FACTS,
    LINE_FIELDS,
    FactSpec,
    FactType,
    FactValue,
    Line,
    facts_to_json,
)
from jitui.policy.policy import Policy
from jitui.policy.problems import PolicyProblem, PolicyRefused
from jitui.policy.public import PublicChange, PublicChangeKind, PublicPolicy, public_changes, public_view
from jitui.policy.sections import Cap, Caps, Condition, Definition, Feature, Parameter, RestrictionRule
from jitui.policy.selection import held_out

__all__ = [
    "CLOCKS_DIFFER_SECONDS",
    "FACTS",
    "LINE_FIELDS",
    "Cap",
    "CapUsage",
    "Caps",
    "Condition",
    "ConditionResult",
    "Decision",
    "Definition",
    "Explanation",
    "ExplanationRow",
    "FactSpec",
    "FactType",
    "FactValue",
    "Feature",
    "Line",
    "Outcome",
    "Parameter",
    "Policy",
    "PolicyProblem",
    "PolicyRefused",
    "PublicChange",
    "PublicChangeKind",
    "PublicPolicy",
    "RestrictionRule",
    "RuleHit",
    "Usages",
    "Verdict",
    "caps_facts",
    "decide",
    "decision_from_json",
    "decision_to_json",
    "explain",
    "facts_to_json",
    "fits_cap",
    "held_out",
    "public_changes",
    "public_view",
    "restriction_hits",
    "rule_hits",
]
