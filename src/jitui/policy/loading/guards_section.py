"""Reads the section `guards`."""

from __future__ import annotations

from jitui.policy.loading.field_readers import Notes, duration, fields, integer, read
from jitui.policy.loading.file_kinds import PolicySection
from jitui.policy.loading.guards_format import (
    GUARDS,
    MAX_ABOVE_LIVE_PERCENT,
    MAX_COUNTS_AFTER_DAYS,
    MAX_FALSE_ALARM_PERCENT,
    guard_sections,
)
from jitui.policy.loading.yaml_document import Node
from jitui.policy.sections import GuardBound, Guards


def read_guards(notes: Notes, node: Node | None) -> Guards:
    """The guards; what is left out has the usual bounds."""
    found = fields(notes, node, GUARDS.what, GUARDS.required, GUARDS.optional) if node is not None else {}
    usual = Guards()
    bound = {
        name: _guard(notes, found[name], name, getattr(usual, name), section) if name in found else getattr(usual, name)
        for name, section in guard_sections().items()
    }
    percent = read(notes, found, "false_alarm_percent", integer(1, MAX_FALSE_ALARM_PERCENT))
    return Guards(**bound, false_alarm_percent=usual.false_alarm_percent if percent is None else percent)


def _guard(notes: Notes, node: Node, what: str, usual: GuardBound, section: PolicySection) -> GuardBound:
    found = fields(notes, node, what, section.required, section.optional)
    above = read(notes, found, "above_live_percent", integer(0, MAX_ABOVE_LIVE_PERCENT))
    after = read(notes, found, "counts_after", duration("hd", MAX_COUNTS_AFTER_DAYS))
    return GuardBound(
        usual.above_live_percent if above is None else above,
        usual.counts_after_seconds if after is None else after,
    )
