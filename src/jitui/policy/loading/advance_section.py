"""The section `advance`: its format, and its reading."""

from __future__ import annotations

from jitui.money import MAX_AMOUNT_MINOR
from jitui.policy.loading.field_readers import Notes, fields, integer, read
from jitui.policy.loading.file_kinds import IntegerKind, PolicyField, PolicySection
from jitui.policy.loading.yaml_document import Node
from jitui.policy.sections import Advance

_KEY = "at_most_minor"

ADVANCE = PolicySection(
    "advance",
    (
        PolicyField(
            _KEY,
            IntegerKind(1, MAX_AMOUNT_MINOR),
            "The largest refund of one request that the platform's account may pay, where the shop's balance at the "
            "provider is short. The shop owes the amount from then on.",
            "30000",
        ),
    ),
)


def read_advance(notes: Notes, node: Node | None) -> Advance | None:
    """What the platform may pay for a shop; None: nothing."""
    if node is None:
        return None
    found = fields(notes, node, ADVANCE.what, ADVANCE.required, ADVANCE.optional)
    at_most_minor = read(notes, found, _KEY, integer(1, MAX_AMOUNT_MINOR))
    return None if at_most_minor is None else Advance(at_most_minor)
