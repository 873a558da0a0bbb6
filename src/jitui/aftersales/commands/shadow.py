"""What a policy in shadow would decide beside the live one, on the same snapshot. It changes nothing. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jitui.policy import Decision, Policy, Verdict, outcome_of


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """What is kept of a shadow's decision, with the decision beside which it was made.

    `differs`: ids of the conditions with another verdict, and of those that only one of the two policies has.
    `outcome` None: the shadow could not decide, and `error` names the exception.
    """

    policy_version: str
    policy_sha256: str
    outcome: str | None
    differs: tuple[str, ...] = ()
    error: str | None = None


def shadow_result(shadow: Policy, decided: Decision, verdicts: Callable[[], dict[str, Verdict]]) -> ShadowResult:
    """The result of a shadow. INVARIANT: whatever is wrong with the shadow, the request does not notice."""
    try:
        found = verdicts()
        return ShadowResult(shadow.version, shadow.sha256, outcome_of(found).value, _differing(decided, found))
    except Exception as error:
        return ShadowResult(shadow.version, shadow.sha256, None, error=type(error).__name__)


def _differing(decided: Decision, verdicts: dict[str, Verdict]) -> tuple[str, ...]:
    there = dict(verdicts)
    differs = [result.id for result in decided.conditions if there.pop(result.id, None) is not result.verdict]
    return (*differs, *there)
