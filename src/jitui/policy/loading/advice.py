"""Advice about a policy that loads: what is allowed and probably not meant."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jitui.policy.caps import CAP_SCOPES
from jitui.policy.loading.file_kinds import IDENTIFIER
from jitui.policy.loading.repeated_numbers import Meaning, repeated_numbers
from jitui.policy.loading.written import Written
from jitui.policy.loading.yaml_document import Place
from jitui.policy.problems import PolicyProblem
from jitui.policy.program import Programs, reads_of, union_of
from jitui.policy.sections import HELD_BY_WAREHOUSE, Caps

_SAFEGUARDS = {
    "service.paused": "`pause` cannot stop it",
    "buyer.restricted": "a restriction does not stop it",
    "order.shipment": "it can refund what has left",
    "shop.covered": "coverage does not limit it",
}
_LOOKS_LIKE_A_PARAMETER = re.compile(rf"\{{\s*{IDENTIFIER}\s*(\|[^{{}}]*)?\}}")


def advice(
    file: str, conditions: Place, programs: Programs, caps: Caps, found: Written, meaning: Meaning
) -> tuple[PolicyProblem, ...]:
    """Everything that is probably not meant; `conditions` is the place of that section."""
    said = [
        *((conditions, message) for message in _missing_safeguards(programs, caps)),
        *_parameters(found, meaning),
        *repeated_numbers(found, meaning),
    ]
    return tuple(PolicyProblem(file, place.line, place.column, message) for place, message in said)


def _missing_safeguards(programs: Programs, caps: Caps) -> Iterator[str]:
    written = union_of(program for program in programs.conditions if program.id != HELD_BY_WAREHOUSE)
    reads = set(written.facts) - set(written.only_tested)
    for name, why in _SAFEGUARDS.items():
        if name not in reads:
            yield f"no condition reads {name}: {why}"
    for key, scope in CAP_SCOPES.items():
        if getattr(caps, key) is not None and f"caps.{scope}_ok" not in reads:
            yield f"no condition reads caps.{scope}_ok: the cap limits nothing"


def _parameters(found: Written, meaning: Meaning) -> Iterator[tuple[Place, str]]:
    """Parameters that nothing uses, and sentences with braces in a policy without parameters."""
    parameters = meaning.parameters
    if not parameters.given:
        for sentence in found.sentences:
            if match := _LOOKS_LIKE_A_PARAMETER.search(sentence.leaf.value):
                message = f"{match[0]} is shown as it stands, because the policy has no section parameters"
                yield sentence.leaf.place_of(match.start()), message
        return
    used = {name for one in found.expressions for name in reads_of(one.tree, meaning.definitions).parameters}
    used |= {reference.name for one in found.sentences for reference in one.references()}
    used |= {name for one in found.expressions for name in reads_of(one.tree, meaning.definitions).lists}
    used |= {one.leaf.value for one in found.limits}
    for kind, keys in (("parameter", parameters.keys), ("list", parameters.list_keys)):
        for name, key in keys.items():
            if name not in used:
                yield key.place, f"nothing uses the {kind} {name}: leave it out"
